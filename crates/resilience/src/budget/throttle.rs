//! A budget that needs no clock: gRPC's retry throttling.
//!
//! Tokens, at first [`Options::tokens_max`] of them: a failure costs one, a success gives
//! [`Options::token_ratio`] back, and while no more than half of them are there, nothing is
//! retried (gRPC proposal A6, "Throttling Retry Attempts and Hedged RPCs").
//!
//! **When to prefer it** to [`super::Budget`]: where no clock is at hand or reading one costs too
//! much; to behave as gRPC clients beside you do; for one server or shard, whose outage it notices
//! after `tokens_max / 2` failures, however few calls there are.
//!
//! **When not:** it bounds how long retries go on, not how many there are: while tokens last,
//! every failure may be retried. And it forgets nothing: what an outage took at night is still
//! missing in the morning, until enough calls have succeeded (50 for the 5 tokens below half,
//! with the defaults).
//!
//! **What it costs:** a success with full tokens is one load, anything else a compare-and-swap.
//!
//! ```
//! use steadfast_resilience::budget::{Throttle, throttle::Options};
//!
//! let throttle = Throttle::new(&Options::default())?; // 10 tokens, 0.1 back
//! for _ in 0..4 {
//!     assert!(throttle.failed().is_ok());
//! }
//! assert!(throttle.failed().is_err()); // 5 left: not more than half
//! throttle.succeeded();                // 5.1
//! assert!(throttle.permit().is_ok());
//! # Ok::<(), steadfast_resilience::Invalid>(())
//! ```

use std::fmt;

use crate::Invalid;
use crate::sync::{AtomicU32, Ordering};

/// A token, in the unit of the arithmetic: A6 allows three decimals.
const UNIT: u32 = 1_000;

/// A6: "must be in the range (0, 1000]".
const TOKENS_MAX: u32 = 1_000;

/// How many tokens there are, and how they come back.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Tokens at first and at most. 10, the example in A6, unless told otherwise; from 1 to 1000.
    pub tokens_max: u32,
    /// What a success gives back. 0.1, the example in A6, unless told otherwise; from 0.001 to
    /// 1000, in steps of a thousandth.
    pub token_ratio: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self { tokens_max: 10, token_ratio: 0.1 }
    }
}

impl Options {
    /// Whether the settings make sense.
    ///
    /// # Errors
    /// The first that does not, with what is allowed.
    pub fn check(&self) -> Result<(), Invalid> {
        if !(1..=TOKENS_MAX).contains(&self.tokens_max) {
            let allowed = format!("from 1 to {TOKENS_MAX}");
            return Err(Invalid::new("tokens_max", self.tokens_max, allowed));
        }
        if !(0.001..=f64::from(TOKENS_MAX)).contains(&self.token_ratio) {
            let allowed = format!("from 0.001 to {TOKENS_MAX}");
            return Err(Invalid::new("token_ratio", self.token_ratio, allowed));
        }
        Ok(())
    }
}

/// Too many calls failed lately for repeating any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Throttled {
    /// Tokens that are left, in thousandths.
    pub tokens_milli: u32,
    /// What they have to exceed, in thousandths.
    pub threshold_milli: u32,
}

impl fmt::Display for Throttled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tokens = |milli: u32| f64::from(milli) / f64::from(UNIT);
        let (left, threshold) = (tokens(self.tokens_milli), tokens(self.threshold_milli));
        write!(f, "throttled: {left} tokens left, more than {threshold} needed")
    }
}

/// The rule, for one thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Machine {
    max: u32,
    ratio: u32,
    tokens: u32,
}

impl Machine {
    /// With all tokens.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        options.check()?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: from 1 to 1,000,000"
        )]
        let ratio = (options.token_ratio * f64::from(UNIT)).round() as u32;
        let max = options.tokens_max * UNIT;
        Ok(Self { max, ratio, tokens: max })
    }

    /// An attempt was answered well.
    pub const fn succeeded(&mut self) {
        let tokens = self.tokens + self.ratio;
        self.tokens = if tokens > self.max { self.max } else { tokens };
    }

    /// An attempt failed in a way that might be retried; may it be?
    ///
    /// # Errors
    /// No more than half of the tokens are left.
    pub const fn failed(&mut self) -> Result<(), Throttled> {
        self.tokens = self.tokens.saturating_sub(UNIT);
        self.permit()
    }

    /// Whether an extra attempt may be made that no failure came before: a hedge.
    ///
    /// # Errors
    /// No more than half of the tokens are left.
    pub const fn permit(&self) -> Result<(), Throttled> {
        let threshold_milli = self.max / 2;
        if self.tokens > threshold_milli {
            Ok(())
        } else {
            Err(Throttled { tokens_milli: self.tokens, threshold_milli })
        }
    }
}

/// The rule, for many threads.
#[derive(Debug)]
pub struct Throttle {
    full: Machine,
    tokens: AtomicU32,
}

impl Throttle {
    /// With all tokens.
    ///
    /// # Errors
    /// The options make no sense.
    pub fn new(options: &Options) -> Result<Self, Invalid> {
        let full = Machine::new(options)?;
        Ok(Self { full, tokens: AtomicU32::new(full.tokens) })
    }

    /// An attempt was answered well.
    #[inline]
    pub fn succeeded(&self) {
        // All is well nearly always, and then there is nothing to write.
        if self.tokens.load(Ordering::Relaxed) < self.full.max {
            self.update(Machine::succeeded);
        }
    }

    /// An attempt failed in a way that might be retried; may it be?
    ///
    /// # Errors
    /// No more than half of the tokens are left.
    pub fn failed(&self) -> Result<(), Throttled> {
        self.update(Machine::failed)
    }

    /// Whether an extra attempt may be made that no failure came before: a hedge.
    ///
    /// # Errors
    /// No more than half of the tokens are left.
    pub fn permit(&self) -> Result<(), Throttled> {
        self.with(self.tokens.load(Ordering::Relaxed)).permit()
    }

    const fn with(&self, tokens: u32) -> Machine {
        Machine { tokens, ..self.full }
    }

    /// Steps the machine, and answers from the very step that was stored.
    fn update<T>(&self, step: impl Fn(&mut Machine) -> T) -> T {
        let mut tokens = self.tokens.load(Ordering::Relaxed);
        loop {
            let mut machine = self.with(tokens);
            let answer = step(&mut machine);
            let (relaxed, next) = (Ordering::Relaxed, machine.tokens);
            match self.tokens.compare_exchange_weak(tokens, next, relaxed, relaxed) {
                Ok(_) => return answer,
                Err(newer) => tokens = newer,
            }
        }
    }
}

#[cfg(test)]
#[cfg(not(steadfast_loom))]
mod tests {
    use super::*;

    const fn blocked(tokens_milli: u32, threshold_milli: u32) -> Result<(), Throttled> {
        Err(Throttled { tokens_milli, threshold_milli })
    }

    /// gRPC A6: 10 tokens, ratio 0.1. Five failures and no more retries; one success and again.
    #[test]
    fn five_failures_of_ten_tokens_block_and_one_success_opens() {
        let mut machine = Machine::new(&Options::default()).unwrap();
        for _ in 0..4 {
            assert_eq!(machine.failed(), Ok(()));
        }
        assert_eq!(machine.failed(), blocked(5_000, 5_000));
        assert_eq!(machine.permit(), blocked(5_000, 5_000));
        machine.succeeded();
        assert_eq!(machine.tokens, 5_100);
        assert_eq!(machine.permit(), Ok(()));
    }

    /// grpc/grpc `retry_throttle_test.cc`, "Basic": 4 tokens, a success gives 1.6.
    #[test]
    fn it_steps_like_grpcs_own() {
        let options = Options { tokens_max: 4, token_ratio: 1.6 };
        let mut machine = Machine::new(&options).unwrap();
        assert_eq!(machine.failed(), Ok(()));
        machine.succeeded();
        assert_eq!(machine.tokens, 4_000, "never beyond the maximum");
        assert_eq!(machine.failed(), Ok(()));
        assert_eq!(machine.failed(), blocked(2_000, 2_000));
        assert_eq!(machine.failed(), blocked(1_000, 2_000));
        for _ in 0..3 {
            assert!(machine.failed().is_err());
        }
        assert_eq!(machine.tokens, 0, "never below nothing");
        machine.succeeded();
        machine.succeeded();
        assert_eq!((machine.tokens, machine.permit()), (3_200, Ok(())));
        assert_eq!(machine.failed(), Ok(()));
    }

    #[test]
    fn shared_by_threads_no_token_is_lost() {
        let options = Options { tokens_max: 1_000, token_ratio: 0.25 };
        let throttle = Throttle::new(&options).unwrap();
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| {
                    for step in 0..800 {
                        let _ = throttle.failed();
                        if step % 2 == 0 {
                            let _ = throttle.permit();
                        }
                    }
                });
            }
        });
        assert_eq!(throttle.permit(), blocked(0, 500_000));
        std::thread::scope(|threads| {
            for _ in 0..4 {
                threads.spawn(|| (0..501).for_each(|_| throttle.succeeded()));
            }
        });
        assert_eq!(throttle.tokens.load(Ordering::Relaxed), 4 * 501 * 250);
        assert_eq!(throttle.permit(), Ok(()));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_name() {
        let good = Options::default();
        let rows = [
            (Options { tokens_max: 0, ..good }, "tokens_max"),
            (Options { tokens_max: 1_001, ..good }, "tokens_max"),
            (Options { token_ratio: 0.0, ..good }, "token_ratio"),
            (Options { token_ratio: f64::NAN, ..good }, "token_ratio"),
        ];
        for (options, key) in rows {
            assert_eq!(options.check().unwrap_err().key, key, "{options:?}");
        }
        let throttled = Throttled { tokens_milli: 4_900, threshold_milli: 5_000 };
        assert_eq!(throttled.to_string(), "throttled: 4.9 tokens left, more than 5 needed");
    }
}
