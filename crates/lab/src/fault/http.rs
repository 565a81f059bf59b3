//! What becomes of a request on its way through HTTP faults.
//!
//! The simulated transport and the real proxy draw here, so that the same faults are the same
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

/// The HTTP faults at work in front of one node.
#[derive(Clone, Debug, Default)]
pub struct Obstacles(Vec<Http>);

impl Obstacles {
    /// One begins or ends. Others go on.
    pub fn set(&mut self, http: Http, begins: bool) {
        if begins {
            self.0.push(http);
        } else if let Some(place) = self.0.iter().position(|known| *known == http) {
            self.0.remove(place);
        }
    }

    /// Draws the fate of one request among all of them: as if one stood behind the other.
    #[must_use]
    pub fn fate(&self, rng: &mut Rng) -> Fate {
        let mut all = Fate::default();
        for http in &self.0 {
            let fate = http.fate(rng);
            all.status = all.status.or(fate.status);
            all.lost |= fate.lost;
            all.delay += fate.delay;
        }
        // What is not done has no reply that could be lost.
        all.lost &= all.status.is_none();
        all
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

    #[test]
    fn the_end_of_one_fault_is_not_the_end_of_another() {
        let ms = Duration::from_millis;
        let slow = Http { latency: ms(255), ..Http::default() };
        let failing = Http { share: 1.0, status: 503, latency: ms(300), ..Http::default() };
        let (mut obstacles, mut rng) = (Obstacles::default(), Rng::with_seed(1));
        obstacles.set(slow, true);
        obstacles.set(failing, true);
        let fate = obstacles.fate(&mut rng);
        assert_eq!((fate.status, fate.delay), (Some(503), ms(555)));
        obstacles.set(slow, false);
        let fate = obstacles.fate(&mut rng);
        assert_eq!((fate.status, fate.delay), (Some(503), ms(300)));
        obstacles.set(failing, false);
        assert_eq!(obstacles.fate(&mut rng), Fate::default());
    }
}
