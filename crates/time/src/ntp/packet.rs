//! The 48 bytes of an NTP packet (RFC 5905, section 7.3), without extensions.

use std::time::Duration;

use crate::timestamp::Timestamp;

/// The length of a packet in bytes.
pub const LENGTH: usize = 48;

/// Seconds from 1900, where NTP counts from, to 1970.
const EPOCH_SECONDS: i64 = 2_208_988_800;

/// Seconds since 1900 with 32 fractional bits, modulo 2³² s (136 years). Only differences mean
/// anything, and those up to 68 years.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NtpTime(pub u64);

impl NtpTime {
    /// The date, rounded to 2⁻³² s.
    #[must_use]
    pub fn from_timestamp(at: Timestamp) -> Self {
        let micros = at.as_micros();
        let seconds = micros.div_euclid(1_000_000).wrapping_add(EPOCH_SECONDS) as u64;
        let fraction = ((micros.rem_euclid(1_000_000) as u64) << 32).div_ceil(1_000_000);
        Self((seconds << 32).wrapping_add(fraction))
    }

    /// How far this is ahead of `other`, in nanoseconds.
    #[must_use]
    pub fn ahead_of(self, other: Self) -> i64 {
        let difference = self.0.wrapping_sub(other.0) as i64;
        // At most 2^31 s, so the nanoseconds fit.
        ((i128::from(difference) * 1_000_000_000) >> 32) as i64
    }
}

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// A question.
    Client,
    /// An answer.
    Server,
    /// Anything else.
    Other(u8),
}

/// A packet, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// 0 to 2: no warning, a minute of 61 s, of 59 s; 3: the server is not synchronised.
    pub leap: u8,
    /// The version, 4 (answers in 3 are understood too).
    pub version: u8,
    /// Who sends.
    pub mode: Mode,
    /// Steps from a reference clock: 1 has one; 0 is a refusal; 16 and above is no time.
    pub stratum: u8,
    /// The clock's precision as a power of two, in seconds.
    pub precision: i8,
    /// The round trip to the reference clock.
    pub root_delay: Duration,
    /// The error against the reference clock that has built up on the way.
    pub root_dispersion: Duration,
    /// The reference clock; with stratum 0 the reason of the refusal, in ASCII.
    pub reference: [u8; 4],
    /// The `transmit` of the question, echoed.
    pub originate: NtpTime,
    /// When the question arrived at the server.
    pub receive: NtpTime,
    /// When this packet was sent.
    pub transmit: NtpTime,
}

/// The bytes are not an NTP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Shorter than a packet.
    #[error("{0} bytes are too few for an NTP packet of 48")]
    Short(usize),
    /// Of a version that is not understood.
    #[error("NTP version {0} is not understood (3 and 4 are)")]
    Version(u8),
}

impl Packet {
    /// A question. `nonce` stands where the sending time would; the server echoes it unread, so a
    /// random number tells nothing about our clock and is hard to forge an answer to
    /// (draft-ietf-ntp-data-minimization).
    #[must_use]
    pub fn question(nonce: u64) -> Self {
        Self {
            leap: 0,
            version: 4,
            mode: Mode::Client,
            stratum: 0,
            precision: 0,
            root_delay: Duration::ZERO,
            root_dispersion: Duration::ZERO,
            reference: [0; 4],
            originate: NtpTime(0),
            receive: NtpTime(0),
            transmit: NtpTime(nonce),
        }
    }

    /// As it goes over the wire.
    #[must_use]
    pub fn encode(&self) -> [u8; LENGTH] {
        let mode = match self.mode {
            Mode::Client => 3,
            Mode::Server => 4,
            Mode::Other(mode) => mode & 7,
        };
        let mut bytes = [0; LENGTH];
        bytes[0] = (self.leap << 6) | ((self.version & 7) << 3) | mode;
        bytes[1] = self.stratum;
        bytes[3] = self.precision.to_be_bytes()[0];
        bytes[4..8].copy_from_slice(&short(self.root_delay).to_be_bytes());
        bytes[8..12].copy_from_slice(&short(self.root_dispersion).to_be_bytes());
        bytes[12..16].copy_from_slice(&self.reference);
        bytes[24..32].copy_from_slice(&self.originate.0.to_be_bytes());
        bytes[32..40].copy_from_slice(&self.receive.0.to_be_bytes());
        bytes[40..48].copy_from_slice(&self.transmit.0.to_be_bytes());
        bytes
    }

    /// From the wire. What follows the 48 bytes (extensions, a digest) is ignored.
    ///
    /// # Errors
    /// [`Malformed`] when the bytes cannot be a packet.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let Some(bytes) = bytes.first_chunk::<LENGTH>() else {
            return Err(Malformed::Short(bytes.len()));
        };
        let version = (bytes[0] >> 3) & 7;
        if !(3..=4).contains(&version) {
            return Err(Malformed::Version(version));
        }
        let four = |at: usize| [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
        let time = |at: usize| {
            let high = u64::from(u32::from_be_bytes(four(at)));
            NtpTime((high << 32) | u64::from(u32::from_be_bytes(four(at + 4))))
        };
        Ok(Self {
            leap: bytes[0] >> 6,
            version,
            mode: match bytes[0] & 7 {
                3 => Mode::Client,
                4 => Mode::Server,
                other => Mode::Other(other),
            },
            stratum: bytes[1],
            precision: i8::from_be_bytes([bytes[3]]),
            root_delay: long(u32::from_be_bytes(four(4))),
            root_dispersion: long(u32::from_be_bytes(four(8))),
            reference: four(12),
            originate: time(24),
            receive: time(32),
            transmit: time(40),
        })
    }
}

/// NTP's short format: seconds with 16 fractional bits, rounded up.
fn short(length: Duration) -> u32 {
    let units = (length.as_nanos() << 16).div_ceil(1_000_000_000);
    u32::try_from(units).unwrap_or(u32::MAX)
}

fn long(units: u32) -> Duration {
    Duration::from_nanos((u64::from(units) * 1_000_000_000).div_ceil(1 << 16))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(
            bits in any::<(u64, u64, u64)>(), stratum: u8, precision: i8, leap in 0..4_u8,
            reference: [u8; 4], delay: u32, dispersion: u32,
        ) {
            let packet = Packet {
                leap, version: 4, mode: Mode::Server, stratum, precision, reference,
                root_delay: long(delay), root_dispersion: long(dispersion),
                originate: NtpTime(bits.0), receive: NtpTime(bits.1), transmit: NtpTime(bits.2),
            };
            let decoded = Packet::decode(&packet.encode()).unwrap();
            // Lengths are rounded up by at most one unit of 15.3 µs on the way there.
            let unit = Duration::from_nanos(15_259);
            prop_assert!(decoded.root_delay >= packet.root_delay);
            prop_assert!(decoded.root_delay <= packet.root_delay + unit);
            let same = Packet {
                root_delay: packet.root_delay,
                root_dispersion: packet.root_dispersion,
                ..decoded
            };
            prop_assert_eq!(same, packet);
        }

        #[test]
        fn no_bytes_are_too_strange(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = Packet::decode(&bytes);
        }
    }

    #[test]
    fn ntp_time_is_the_rfc_s() {
        // RFC 5905, figure 4: 1970-01-01 is 2,208,988,800 s of era 0.
        assert_eq!(NtpTime::from_timestamp(Timestamp::EPOCH), NtpTime(2_208_988_800 << 32));
        // The first second of era 1 is 2036-02-07T06:28:16Z.
        let era: Timestamp = "2036-02-07T06:28:16Z".parse().unwrap();
        assert_eq!(NtpTime::from_timestamp(era), NtpTime(0));
        let before = NtpTime::from_timestamp(era - Duration::from_millis(1_500));
        assert_eq!(NtpTime(0).ahead_of(before), 1_500_000_000, "across the end of an era");
    }

    #[test]
    fn short_and_strange_packets_are_refused() {
        assert_eq!(Packet::decode(&[0x23; 47]), Err(Malformed::Short(47)));
        assert_eq!(Packet::decode(&[0x0c; 48]), Err(Malformed::Version(1)));
    }
}
