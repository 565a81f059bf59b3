//! The span of time that counts.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use steadfast_time::Monotonic;

/// From when until when what happens is counted. It can be cut short.
#[derive(Debug)]
pub struct Window {
    start: Monotonic,
    /// Nanoseconds since the clock's start; 584 years fit.
    end: AtomicU64,
}

fn nanos(moment: Monotonic) -> u64 {
    u64::try_from(moment.since_start().as_nanos()).unwrap_or(u64::MAX)
}

impl Window {
    /// A window of this length.
    pub fn new(start: Monotonic, length: Duration) -> Self {
        Self { start, end: AtomicU64::new(nanos(start + length)) }
    }

    /// When it begins.
    pub const fn start(&self) -> Monotonic {
        self.start
    }

    /// When it ends.
    pub fn end(&self) -> Monotonic {
        Monotonic::from_start(Duration::from_nanos(self.end.load(Relaxed)))
    }

    /// Ends it now, if that is earlier.
    pub fn cut(&self, now: Monotonic) {
        self.end.fetch_min(nanos(now), Relaxed);
    }

    /// Whether a moment counts.
    pub fn contains(&self, moment: Monotonic) -> bool {
        (self.start..self.end()).contains(&moment)
    }

    /// Whether it is over.
    pub fn is_over(&self, now: Monotonic) -> bool {
        now >= self.end()
    }

    /// How long it is.
    pub fn length(&self) -> Duration {
        self.end() - self.start
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_can_be_cut_short_but_not_drawn_out() {
        let at = |seconds| Monotonic::from_start(Duration::from_secs(seconds));
        let window = Window::new(at(10), Duration::from_secs(5));
        assert!(!window.contains(at(9)) && window.contains(at(10)) && !window.contains(at(15)));
        window.cut(at(12));
        window.cut(at(14));
        assert_eq!((window.length(), window.is_over(at(12))), (Duration::from_secs(2), true));
        // Cut before it has begun: nothing was measured.
        window.cut(at(3));
        assert_eq!(window.length(), Duration::ZERO);
    }
}
