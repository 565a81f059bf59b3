//! Unique, increasing numbers.
//!
//! # Why
//! Order numbers must be unique whatever crashes, and one exchange with the coordinator per number
//! would be slow. So a client reserves a *block* of numbers by compare-and-set over a register and
//! gives them out by itself.
//!
//! # What is promised
//! - **Unique** across all clients and restarts. A block whose reservation was not confirmed is
//!   dropped, though it may have been reserved: a gap is harmless, a duplicate is not.
//! - **Increasing** for each `Sequence` and its clones, and from one reservation to the next over
//!   all clients. Two clients give numbers out of two blocks at a time, so across clients the
//!   order is only that of the blocks.
//! - **Never from the start again**: a register that is damaged, of another kind, or has gone back
//!   is an error. So is the end of the numbers, which do not wrap.
//!
//! Numbers are lost with every client that stops: up to two blocks. Whoever needs numbers without
//! gaps needs a table in the journal instead.
//!
//! # How
//! The register holds the lowest number that nobody has reserved: `steadfast sequence 1 4711
//! 3f1c22aa` (format, number, checksum). When a third of a block is left, the next one is reserved;
//! that work is driven along by the calls themselves, so there is no task to run, and a caller waits
//! only when numbers are used faster than they can be reserved. Whoever waits, waits with all
//! others for the same reservation.

use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, Shared};

use super::cas::{Failure, Step, change};
use super::record::{Damaged, damaged, decode, encode};
use crate::client::Client;
use crate::limits::SEQUENCE_BLOCK_MAX;
use crate::port::{self, Name, Register};

const KIND: &str = "sequence";

/// How a sequence counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The first number of a sequence that does not exist yet. One that exists goes on where it is.
    pub start: u64,
    /// How many numbers are reserved at once: 1 to [`SEQUENCE_BLOCK_MAX`]. Enough for some seconds,
    /// so that the coordinator may be away for as long.
    pub block: u64,
    /// The last number that may be given out.
    pub last: u64,
}

impl Default for Options {
    /// From 1, in blocks of 100, up to 2⁶³ − 1, the largest number of an SQL `bigint`.
    fn default() -> Self {
        Self { start: 1, block: 100, last: i64::MAX.unsigned_abs() }
    }
}

/// Why there is no number.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The engine refuses, or cannot be asked.
    #[error(transparent)]
    Engine(#[from] port::Error),
    /// The register holds something else.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The register has lost what it held.
    #[error(
        "the sequence {register} has gone back: numbers below {seen} are reserved, and it says \
         {found:?}. Its register was deleted or restored from an older copy; store a number above \
         all that were given out"
    )]
    WentBack {
        /// Which one.
        register: Name,
        /// What it says now.
        found: Option<u64>,
        /// What it was known to have reached.
        seen: u64,
    },
    /// All numbers have been given out.
    #[error("the sequence {register} has no numbers left; {last} is the last one")]
    Exhausted {
        /// Which one.
        register: Name,
        /// The last number.
        last: u64,
    },
    /// Others were always faster.
    #[error("no block of {register} could be reserved in {attempts} attempts; make blocks larger")]
    Contended {
        /// Which one.
        register: Name,
        /// How often it was tried.
        attempts: u32,
    },
    /// The options make no sense.
    #[error(
        "a sequence from {} to {} in blocks of {} is not possible: blocks have 1 to \
         {SEQUENCE_BLOCK_MAX} numbers, and the last is not before the first and below 2⁶⁴ − 1",
        .0.start, .0.last, .0.block
    )]
    Options(Options),
}

/// What [`change`] says, before it is known for which register.
enum Trouble {
    Failed(Failure),
    Refused(Error),
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

/// A source of numbers. Clones share their blocks.
#[derive(Clone, Debug)]
pub struct Sequence {
    source: Arc<Source>,
}

type Refill = Shared<BoxFuture<'static, Result<Range<u64>, Error>>>;

struct Source {
    client: Client,
    register: Name,
    options: Options,
    state: Mutex<State>,
}

struct State {
    blocks: Blocks,
    refill: Option<Refill>,
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("register", &self.register).finish_non_exhaustive()
    }
}

impl Client {
    /// The sequence of that name.
    ///
    /// # Errors
    /// [`Error::Options`].
    pub fn sequence(&self, name: &Name, options: Options) -> Result<Sequence, Error> {
        let Options { start, block, last } = options;
        if block == 0 || block > SEQUENCE_BLOCK_MAX || last < start || last == u64::MAX {
            return Err(Error::Options(options));
        }
        let state = Mutex::new(State { blocks: Blocks::new(block), refill: None });
        let (client, register) = (self.clone(), name.clone());
        Ok(Sequence { source: Arc::new(Source { client, register, options, state }) })
    }
}

impl Sequence {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Name {
        &self.source.register
    }

    /// The next number. Out of the local block as a rule, without waiting; a number whose caller
    /// has gone is skipped.
    ///
    /// # Errors
    /// [`Error`] says which; those of the engine may be gone when this is called again.
    pub async fn next(&self) -> Result<u64, Error> {
        loop {
            let (number, refill) = self.take();
            match (number, refill) {
                (Some(number), None) => return Ok(number),
                (Some(number), Some(refill)) => {
                    // Drives it on. What becomes of it concerns whoever needs it.
                    if let Some(outcome) = refill.clone().now_or_never() {
                        let _ = self.settle(&refill, outcome);
                    }
                    return Ok(number);
                }
                (None, Some(refill)) => {
                    let outcome = refill.clone().await;
                    self.settle(&refill, outcome)?;
                }
                (None, None) => {}
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.source.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A number if there is one, and the reservation that is under way or has to be.
    fn take(&self) -> (Option<u64>, Option<Refill>) {
        let mut state = self.state();
        let number = state.blocks.take();
        if state.refill.is_none() && state.blocks.are_low() {
            let (client, register) = (self.source.client.clone(), self.source.register.clone());
            let (options, seen) = (self.source.options, state.blocks.seen());
            let work = async move { reserve(&client, &register, options, seen).await };
            state.refill = Some(work.boxed().shared());
        }
        (number, state.refill.clone())
    }

    /// Puts away what a reservation has brought, once.
    fn settle(&self, refill: &Refill, outcome: Result<Range<u64>, Error>) -> Result<(), Error> {
        let mut state = self.state();
        if !state.refill.as_ref().is_some_and(|current| current.ptr_eq(refill)) {
            // Somebody else has put it away; whoever still waits looks again.
            return outcome.map(drop);
        }
        let done = state.refill.take();
        let outcome = outcome.map(|block| state.blocks.put(block));
        drop(state);
        drop(done);
        outcome
    }
}

/// Reserves a block.
async fn reserve(
    client: &Client,
    register: &Name,
    options: Options,
    seen: Option<u64>,
) -> Result<Range<u64>, Error> {
    let decide = |current: Option<&Register>, _| {
        plan(register, options, seen, current).map_err(Trouble::Refused)
    };
    // A block that may have been reserved is not asked after: the next reading is after it, and it
    // is nobody's.
    change(client, register, decide).await.map_err(|trouble| match trouble {
        Trouble::Refused(error) => error,
        Trouble::Failed(Failure::Engine(error) | Failure::Unknown(error)) => error.into(),
        Trouble::Failed(Failure::Contended { attempts }) => {
            Error::Contended { register: register.clone(), attempts }
        }
    })
}

/// Which block to reserve, given what the register says.
fn plan(
    register: &Name,
    options: Options,
    seen: Option<u64>,
    current: Option<&Register>,
) -> Result<Step<Range<u64>>, Error> {
    let found = match current {
        None => None,
        Some(current) => {
            let content = decode(register, KIND, &current.value)?;
            let wrong = |_| damaged(register, KIND, format!("{content:?} is no number"));
            Some(content.parse::<u64>().map_err(wrong)?)
        }
    };
    if let Some(seen) = seen
        && found.is_none_or(|found| found < seen)
    {
        return Err(Error::WentBack { register: register.clone(), found, seen });
    }
    let start = found.unwrap_or(options.start);
    if start > options.last {
        return Err(Error::Exhausted { register: register.clone(), last: options.last });
    }
    let end = start.saturating_add(options.block).min(options.last + 1);
    Ok(Step::Store(encode(KIND, &end.to_string()), start..end))
}

/// The numbers at hand.
#[derive(Debug)]
struct Blocks {
    current: Range<u64>,
    ahead: Range<u64>,
    /// Below it, everything is reserved.
    seen: Option<u64>,
    /// With fewer at hand than this, more are reserved.
    low: u64,
}

impl Blocks {
    const fn new(block: u64) -> Self {
        Self { current: 0..0, ahead: 0..0, seen: None, low: block.div_ceil(3) }
    }

    fn take(&mut self) -> Option<u64> {
        if self.current.is_empty() {
            self.current = std::mem::take(&mut self.ahead);
        }
        self.current.next()
    }

    const fn seen(&self) -> Option<u64> {
        self.seen
    }

    /// Whether it is time for another block. Never with one in reserve.
    fn are_low(&self) -> bool {
        self.ahead.is_empty() && self.current.end - self.current.start < self.low
    }

    fn put(&mut self, block: Range<u64>) {
        self.seen = Some(block.end);
        if self.current.is_empty() {
            self.current = block;
        } else {
            self.ahead = block;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn register() -> Name {
        Name::new("orders").unwrap()
    }

    fn holding(content: &str) -> Register {
        Register { value: encode(KIND, content), version: 1 }
    }

    fn planned(options: Options, seen: Option<u64>, at: Option<u64>) -> Result<Range<u64>, Error> {
        let held = at.map(|at| holding(&at.to_string()));
        match plan(&register(), options, seen, held.as_ref())? {
            Step::Store(value, block) => {
                assert_eq!(value, encode(KIND, &block.end.to_string()));
                Ok(block)
            }
            Step::Done(_) => unreachable!("every reservation is a write"),
        }
    }

    #[test]
    fn the_end_is_an_error_and_not_a_new_beginning() {
        let options = Options { start: 10, block: 4, last: 15 };
        assert_eq!(planned(options, None, None).unwrap(), 10..14);
        assert_eq!(planned(options, Some(14), Some(14)).unwrap(), 14..16);
        let end = planned(options, Some(16), Some(16));
        assert!(matches!(end, Err(Error::Exhausted { last: 15, .. })), "{end:?}");
        let far = Options { last: u64::MAX - 1, block: SEQUENCE_BLOCK_MAX, ..options };
        let last = planned(far, None, Some(u64::MAX - 2)).unwrap();
        assert_eq!(last, u64::MAX - 2..u64::MAX);
        assert!(matches!(planned(far, None, Some(u64::MAX)), Err(Error::Exhausted { .. })));
    }

    #[test]
    fn a_register_that_has_gone_back_is_an_error() {
        let options = Options::default();
        for at in [None, Some(1), Some(99)] {
            let back = planned(options, Some(100), at);
            assert!(matches!(back, Err(Error::WentBack { seen: 100, .. })), "{back:?}");
        }
        let wrong = plan(&register(), options, None, Some(&holding("-3")));
        assert!(matches!(wrong, Err(Error::Damaged(_))));
    }

    #[test]
    fn more_is_reserved_when_less_than_a_third_is_left() {
        let mut blocks = Blocks::new(9);
        assert!(blocks.are_low());
        blocks.put(1..10);
        let mut taken = Vec::new();
        while !blocks.are_low() {
            taken.extend(blocks.take());
        }
        assert_eq!(taken, (1..=7).collect::<Vec<u64>>());
        blocks.put(50..59);
        assert!(!blocks.are_low());
        taken.extend((0..4).filter_map(|_| blocks.take()));
        assert_eq!(taken[7..], [8, 9, 50, 51]);
        // A block of one is reserved again only when it is used.
        let mut one = Blocks::new(1);
        one.put(5..6);
        assert!(!one.are_low());
        assert_eq!(one.take(), Some(5));
        assert!(one.are_low() && one.take().is_none());
    }
}
