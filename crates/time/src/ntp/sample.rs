//! What one exchange with one server says.

use std::time::Duration;

use super::packet::{Mode, NtpTime, Packet};
use super::select::Candidate;
use crate::clock::Monotonic;
use crate::interval::{Offset, drift};
use crate::timestamp::Timestamp;

/// Servers further than this from their reference are no use (RFC 5905, MAXDIST, is 1 s).
const ROOT_DISTANCE_MAX: Duration = Duration::from_secs(1);

/// One measurement of one server's clock against ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// How far the server's clock is ahead of ours.
    pub offset: Offset,
    /// The round trip without the server's own time. The true offset is within half of it of
    /// [`Sample::offset`], however unequal the two ways were.
    pub delay: Duration,
    /// The server's own bound: root delay / 2 + root dispersion, and the precision of its clock.
    pub root_distance: Duration,
    /// The server's stratum.
    pub stratum: u8,
    /// When the answer arrived.
    pub at: Monotonic,
}

/// Why an answer is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It answers another question: late, or forged.
    #[error("the answer is to another question")]
    OtherQuestion,
    /// It is not an answer of a server.
    #[error("the answer does not come from a server ({0:?})")]
    Mode(Mode),
    /// The server asks us to go away ("kiss of death"), with its code.
    #[error("the server refuses service: {}", String::from_utf8_lossy(.0))]
    KissOfDeath([u8; 4]),
    /// The server has no time itself.
    #[error("the server is not synchronised (leap {leap}, stratum {stratum})")]
    Unsynchronized {
        /// 3 is "not synchronised".
        leap: u8,
        /// 16 and above is "no time".
        stratum: u8,
    },
    /// The server has no times in its answer, or took longer than the whole round trip.
    #[error("the times in the answer are impossible")]
    Impossible,
    /// The server is too far from its reference.
    #[error("the server itself is only sure to {0:?}")]
    TooFar(Duration),
}

impl Sample {
    /// From an answer to the question with `nonce`, which was sent at `sent` (by our wall clock)
    /// and `sent_at` (monotonic), and whose answer arrived at `arrived_at`. Only the monotonic
    /// clock measures the round trip, so a wall clock that is stepped meanwhile does no harm.
    ///
    /// # Errors
    /// [`Refused`] when the answer must not be used.
    pub fn from_answer(
        answer: &Packet,
        nonce: u64,
        sent: Timestamp,
        (sent_at, arrived_at): (Monotonic, Monotonic),
        drift_ppm: u32,
    ) -> Result<Self, Refused> {
        if answer.originate != NtpTime(nonce) {
            return Err(Refused::OtherQuestion);
        }
        if answer.mode != Mode::Server {
            return Err(Refused::Mode(answer.mode));
        }
        if answer.stratum == 0 {
            return Err(Refused::KissOfDeath(answer.reference));
        }
        if answer.leap == 3 || answer.stratum >= 16 {
            return Err(Refused::Unsynchronized { leap: answer.leap, stratum: answer.stratum });
        }
        if answer.receive == NtpTime(0) || answer.transmit == NtpTime(0) {
            return Err(Refused::Impossible);
        }
        let round_trip = arrived_at - sent_at;
        let inside = answer.transmit.ahead_of(answer.receive);
        let inside = u64::try_from(inside).map_err(|_| Refused::Impossible)?;
        let delay =
            round_trip.checked_sub(Duration::from_nanos(inside)).ok_or(Refused::Impossible)?;
        let root = answer.root_delay / 2 + answer.root_dispersion + precision(answer.precision);
        if root > ROOT_DISTANCE_MAX {
            return Err(Refused::TooFar(root));
        }
        // ((T2 - T1) + (T3 - T4)) / 2, with T4 = T1 + the monotonic round trip.
        let began = NtpTime::from_timestamp(sent);
        let forth = i128::from(answer.receive.ahead_of(began));
        let back = i128::from(answer.transmit.ahead_of(began)) - nanos(round_trip);
        let offset = Offset::from_nanos(i64::try_from((forth + back) / 2).unwrap_or(i64::MAX));
        let root_distance = root + drift(drift_ppm, round_trip);
        Ok(Self { offset, delay, root_distance, stratum: answer.stratum, at: arrived_at })
    }

    /// How far [`Sample::offset`] may be from the truth if the server is correct: the synchronisation
    /// distance of RFC 5905, section 11.2.1.
    #[must_use]
    pub fn error(&self) -> Duration {
        // Our own timestamps are whole microseconds.
        self.delay / 2 + self.root_distance + Duration::from_micros(1)
    }

    /// As a vote at a later moment, `drift_ppm` being how fast our clock may drift away.
    #[must_use]
    pub fn candidate(&self, now: Monotonic, drift_ppm: u32) -> Candidate {
        Candidate { offset: self.offset, error: self.error() + drift(drift_ppm, now - self.at) }
    }
}

fn nanos(length: Duration) -> i128 {
    i128::try_from(length.as_nanos()).unwrap_or(i128::MAX)
}

/// `2^exponent` seconds, at least a nanosecond and at most a second.
fn precision(exponent: i8) -> Duration {
    let shift = u32::from(exponent.min(0).unsigned_abs()).min(30);
    Duration::from_nanos((1_000_000_000_u64 >> shift).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONCE: u64 = 0x5eed;

    fn at(millis: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(millis))
    }

    /// A server that is `ahead` ms of us, 30 ms away on the way there, 10 ms on the way back, and
    /// takes 5 ms itself.
    fn answer(ahead: i64) -> (Packet, Timestamp) {
        let sent = Timestamp::from_millis(1_790_000_000_000);
        let server = |ms: i64| {
            NtpTime::from_timestamp(Timestamp::from_millis(sent.as_millis() + ahead + ms))
        };
        let packet = Packet {
            mode: Mode::Server,
            stratum: 2,
            precision: -20,
            root_delay: Duration::from_millis(8),
            root_dispersion: Duration::from_millis(3),
            originate: NtpTime(NONCE),
            receive: server(30),
            transmit: server(35),
            ..Packet::question(0)
        };
        (packet, sent)
    }

    fn sample(packet: &Packet, sent: Timestamp) -> Result<Sample, Refused> {
        Sample::from_answer(packet, NONCE, sent, (at(500), at(545)), 0)
    }

    #[test]
    fn unequal_ways_are_within_the_bound() {
        for ahead in [-86_400_000, -7, 0, 250, 3_600_000] {
            let (packet, sent) = answer(ahead);
            let sample = sample(&packet, sent).unwrap();
            assert_eq!(sample.delay, Duration::from_millis(40));
            // Half of the difference of the ways, and exactly that.
            let wrong = sample.offset.as_nanos() - ahead * 1_000_000;
            assert!((wrong - 10_000_000).abs() < 1_000, "{wrong}");
            assert!(sample.error() >= Duration::from_millis(27), "20 + 4 + 3");
            assert!(sample.error() < Duration::from_micros(27_020));
        }
    }

    #[test]
    fn what_must_not_be_used_is_refused() {
        let (good, sent) = answer(0);
        let refused = |packet: Packet| sample(&packet, sent).unwrap_err();
        assert_eq!(refused(Packet { originate: NtpTime(1), ..good }), Refused::OtherQuestion);
        let client = Packet { mode: Mode::Client, ..good };
        assert_eq!(refused(client), Refused::Mode(Mode::Client));
        let kiss = refused(Packet { stratum: 0, reference: *b"RATE", ..good });
        assert_eq!(kiss.to_string(), "the server refuses service: RATE");
        let alarm = Refused::Unsynchronized { leap: 3, stratum: 2 };
        assert_eq!(refused(Packet { leap: 3, ..good }), alarm);
        let no_time = Refused::Unsynchronized { leap: 0, stratum: 16 };
        assert_eq!(refused(Packet { stratum: 16, ..good }), no_time);
        assert_eq!(refused(Packet { transmit: NtpTime(0), ..good }), Refused::Impossible);
        let swapped = Packet { transmit: good.receive, receive: good.transmit, ..good };
        assert_eq!(refused(swapped), Refused::Impossible);
        let endless = Packet { transmit: NtpTime(good.receive.0 + (1 << 32)), ..good };
        assert_eq!(refused(endless), Refused::Impossible, "longer inside than the round trip");
        let far = Packet { root_dispersion: Duration::from_secs(2), ..good };
        assert!(matches!(refused(far), Refused::TooFar(_)));
    }
}
