//! What becomes of a request on its way through an HTTP fault.
//!
//! The simulated transport and the real proxy draw here, so that the same fault is the same
//! thing on both.

use std::time::Duration;

use fastrand::Rng;

use super::Http;

/// What becomes of one request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fate {
    /// It is answered with this status, and not done.
    pub status: Option<u16>,
    /// It is done, and nobody hears of it.
    pub lost: bool,
    /// By how much its answer is late.
    pub delay: Duration,
}

impl Http {
    /// Draws the fate of one request. Takes three numbers from the sequence whatever the settings
    /// are, so that a milder fault meets the same requests.
    #[must_use]
    pub fn fate(&self, rng: &mut Rng) -> Fate {
        let (fails, loses, late) = (rng.f64(), rng.f64(), rng.f64());
        let status = (fails < self.share).then_some(self.status);
        let lost = status.is_none() && loses < self.lost_replies;
        Fate { status, lost, delay: self.latency + self.jitter.mul_f64(late) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_kept_and_a_refused_request_has_no_reply_to_lose() {
        let ms = Duration::from_millis;
        let http =
            Http { share: 0.2, status: 503, latency: ms(300), jitter: ms(50), lost_replies: 0.1 };
        let mut rng = Rng::with_seed(3);
        let fates: Vec<Fate> = (0..100_000).map(|_| http.fate(&mut rng)).collect();
        let refused = fates.iter().filter(|fate| fate.status == Some(503)).count();
        let lost = fates.iter().filter(|fate| fate.lost).count();
        // Five standard deviations of the binomial: 632 and 429.
        assert!((19_368..=20_632).contains(&refused), "{refused}");
        assert!((7_571..=8_429).contains(&lost), "{lost}: a tenth of the other 80 %");
        assert!(fates.iter().all(|fate| !(fate.lost && fate.status.is_some())));
        assert!(fates.iter().all(|fate| (ms(300)..=ms(350)).contains(&fate.delay)));
        assert_eq!(Http::default().fate(&mut rng), Fate::default());
    }
}
