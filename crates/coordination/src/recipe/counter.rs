//! A number that many add to.
//!
//! # Why
//! A register over a quorum cannot count: two that read 4 both write 5. Compare-and-set can. What
//! remains is the answer that was lost: whoever adds again counts twice, whoever does not may not
//! have counted at all. So the last operations are kept beside the value, and an operation that is
//! found there is not done again.
//!
//! # How
//! The register holds `steadfast counter 1 <value> <operations so far> <id>=<value after>…
//! <checksum>`, with the last [`COUNTER_OPERATIONS_KEPT`] operations. [`Counter::add`] finds out by
//! itself what came of it. When even that is not possible (the coordinator stays away), the error
//! has the [`Operation`], which may be [applied](Counter::apply) again later: it counts once.
//!
//! # Limits
//! An operation is remembered until so many others have come after it. Repeated later, it would
//! count twice; where it can be known that this is so, it is [`Error::Forgotten`] instead. Every
//! operation is one exchange with the coordinator and gets in the way of every other one: some
//! hundreds a second at best. For a number per order, see [`super::sequence`].

use std::fmt::Write as _;
use std::ops::RangeInclusive;

use steadfast_time::Uuid;

use super::cas::{Failure, Step, change};
use super::record::{Damaged, damaged, decode, encode};
use super::watch::silent;
use crate::client::Client;
use crate::limits::COUNTER_OPERATIONS_KEPT;
use crate::port::{self, Name, Register};

const KIND: &str = "counter";

/// An addition that counts once, however often it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation {
    /// What makes it the same one.
    pub id: Uuid,
    /// What is added; less than nothing takes away.
    pub delta: i64,
    /// The lowest and the highest value that it may lead to.
    pub bounds: (i64, i64),
    /// The number of operations before it, at its last attempt of unknown outcome.
    tried_after: Option<u64>,
}

impl Operation {
    /// An addition. The identifier must be of this operation alone: an order's, for example.
    #[must_use]
    pub const fn new(id: Uuid, delta: i64) -> Self {
        Self { id, delta, bounds: (i64::MIN, i64::MAX), tried_after: None }
    }

    /// The same, only where the value stays within these bounds.
    #[must_use]
    pub const fn within(mut self, bounds: &RangeInclusive<i64>) -> Self {
        self.bounds = (*bounds.start(), *bounds.end());
        self
    }
}

/// Why nothing was added, or it is not known.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The engine refuses, or cannot be asked. Nothing was added.
    #[error(transparent)]
    Engine(#[from] port::Error),
    /// The register holds something else.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The value would leave its bounds. Nothing was added.
    #[error("{register} is {value}, and {delta:+} would leave {} to {}", bounds.0, bounds.1)]
    Bounds {
        /// Which counter.
        register: Name,
        /// What it is now.
        value: i64,
        /// What was to be added.
        delta: i64,
        /// The lowest and the highest value.
        bounds: (i64, i64),
    },
    /// Others were always faster. Nothing was added.
    #[error("{register} could not be changed in {attempts} attempts; others were always faster")]
    Contended {
        /// Which counter.
        register: Name,
        /// How often it was tried.
        attempts: u32,
    },
    /// It is not known whether it was added. Apply the operation again.
    #[error("it is not known whether {register} was changed: {cause}")]
    Unknown {
        /// Which counter.
        register: Name,
        /// The operation.
        operation: Box<Operation>,
        /// What happened.
        cause: port::Error,
    },
    /// It cannot be known any more whether it was added: too many operations have come after it.
    #[error(
        "whether the operation {id} was added to {register} is forgotten; \
         {COUNTER_OPERATIONS_KEPT} others have come since"
    )]
    Forgotten {
        /// Which counter.
        register: Name,
        /// The operation.
        id: Uuid,
    },
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

/// A counter. Clones are the same one.
#[derive(Clone, Debug)]
pub struct Counter {
    client: Client,
    register: Name,
}

impl Client {
    /// The counter of that name. It begins at zero.
    #[must_use]
    pub fn counter(&self, name: &Name) -> Counter {
        Counter { client: self.clone(), register: name.clone() }
    }
}

impl Counter {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.register
    }

    /// Its value.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Damaged`].
    pub async fn get(&self) -> Result<i64, Error> {
        let limit = self.client.options().call_limit();
        let loaded = self.client.coordinator().load(&self.register);
        let loaded = self.client.clock().timeout(limit, loaded).await;
        let loaded = loaded.unwrap_or_else(|_| Err(silent(&self.client)))?;
        Ok(Tally::read(&self.register, loaded.as_ref())?.value)
    }

    /// Adds, and answers the value after it.
    ///
    /// When this is dropped, it may have been added or not; where that matters, keep an
    /// [`Operation`] and [apply](Self::apply) it.
    ///
    /// # Errors
    /// [`Error`] says for each whether something may have been added.
    pub async fn add(&self, delta: i64) -> Result<i64, Error> {
        self.apply(&Operation::new(self.fresh(), delta)).await
    }

    /// Adds only if the value stays within bounds, and answers the value after it: at most N
    /// dispatches in a zone, and never fewer than none.
    ///
    /// # Errors
    /// [`Error::Bounds`]; otherwise as [`Counter::add`].
    pub async fn add_bounded(
        &self,
        delta: i64,
        bounds: &RangeInclusive<i64>,
    ) -> Result<i64, Error> {
        self.apply(&Operation::new(self.fresh(), delta).within(bounds)).await
    }

    /// Applies an operation, unless it has been, and answers the value after it: the same each
    /// time.
    ///
    /// # Errors
    /// As [`Counter::add`]; [`Error::Forgotten`].
    pub async fn apply(&self, operation: &Operation) -> Result<i64, Error> {
        let mut attempt = Attempt::new(*operation);
        let decide = |current: Option<&Register>, is_open| {
            attempt.plan(&self.register, current, is_open).map_err(Trouble::Refused)
        };
        let outcome = change(&self.client, &self.register, decide).await;
        outcome.map_err(|trouble| {
            let register = self.register.clone();
            let conflict = || port::Error::Conflict { register: register.clone(), version: None };
            let (error, cause) = match trouble {
                Trouble::Refused(error) => return error,
                Trouble::Failed(Failure::Unknown(cause)) => {
                    let operation = Box::new(attempt.unknown());
                    return Error::Unknown { register, operation, cause };
                }
                Trouble::Failed(Failure::Engine(cause)) => (Error::Engine(cause.clone()), cause),
                Trouble::Failed(Failure::Contended { attempts }) => {
                    (Error::Contended { register: register.clone(), attempts }, conflict())
                }
            };
            // Nothing by this call; but what is unknown of an earlier one is so still.
            match attempt.doubtful {
                None => error,
                Some(_) => {
                    let operation = Operation { tried_after: attempt.doubtful, ..*operation };
                    let operation = Box::new(operation);
                    Error::Unknown { register, operation, cause }
                }
            }
        })
    }

    fn fresh(&self) -> Uuid {
        self.client.ids().next(self.client.clock().now())
    }
}

/// An operation on its way into the register.
struct Attempt {
    operation: Operation,
    /// The number of operations before an attempt of which it is not known what came of it.
    doubtful: Option<u64>,
    /// The number of operations before the last attempt.
    last: Option<u64>,
}

impl Attempt {
    const fn new(operation: Operation) -> Self {
        Self { operation, doubtful: operation.tried_after, last: None }
    }

    /// What to write, given what the register says, and whether it is open what came of the last
    /// attempt.
    fn plan(
        &mut self,
        register: &Name,
        current: Option<&Register>,
        is_open: bool,
    ) -> Result<Step<i64>, Error> {
        let Operation { id, delta, bounds, .. } = self.operation;
        let mut tally = Tally::read(register, current)?;
        if let Some(after) = tally.outcome(id) {
            return Ok(Step::Done(after));
        }
        if is_open {
            self.doubtful = self.last;
        }
        // An attempt is the operation that follows those before it, or none. So it is known not to
        // have been one if that operation is kept, and is not it.
        if let Some(before) = self.doubtful {
            if before < tally.operations - tally.kept.len() as u64 {
                return Err(Error::Forgotten { register: register.clone(), id });
            }
            if before < tally.operations {
                self.doubtful = None;
            }
        }
        let after = tally.value.checked_add(delta);
        let Some(after) = after.filter(|after| (bounds.0..=bounds.1).contains(after)) else {
            let (register, value) = (register.clone(), tally.value);
            return Err(Error::Bounds { register, value, delta, bounds });
        };
        self.last = Some(tally.operations);
        tally.add(id, after);
        Ok(Step::Store(tally.write(), after))
    }

    /// The operation, for a later call, when it is not known what came of the last attempt.
    const fn unknown(&self) -> Operation {
        Operation { tried_after: self.last, ..self.operation }
    }
}

/// What the register holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    value: i64,
    /// How many operations there have been.
    operations: u64,
    /// The last of them, the oldest first, with the value after each.
    kept: Vec<(Uuid, i64)>,
}

impl Tally {
    fn read(register: &Name, current: Option<&Register>) -> Result<Self, Damaged> {
        let Some(current) = current else { return Ok(Self::default()) };
        let content = decode(register, KIND, &current.value)?;
        let wrong = || damaged(register, KIND, "its content is not that of a counter".to_owned());
        Self::parse(content).ok_or_else(wrong)
    }

    fn parse(content: &str) -> Option<Self> {
        let mut words = content.split(' ');
        let value = words.next()?.parse().ok()?;
        let operations = words.next()?.parse().ok()?;
        let kept = words.map(|word| {
            let (id, after) = word.split_once('=')?;
            Some((id.parse().ok()?, after.parse().ok()?))
        });
        let kept: Vec<(Uuid, i64)> = kept.collect::<Option<_>>()?;
        let is_one = kept.len() as u64 <= operations && operations < u64::MAX;
        is_one.then_some(Self { value, operations, kept })
    }

    fn write(&self) -> Vec<u8> {
        let mut content = format!("{} {}", self.value, self.operations);
        for (id, after) in &self.kept {
            // Writing to a string does not fail.
            let _ = write!(content, " {}={after}", id.simple());
        }
        encode(KIND, &content)
    }

    fn outcome(&self, id: Uuid) -> Option<i64> {
        self.kept.iter().find(|(kept, _)| *kept == id).map(|(_, after)| *after)
    }

    fn add(&mut self, id: Uuid, after: i64) {
        self.value = after;
        self.operations += 1;
        self.kept.push((id, after));
        let surplus = self.kept.len().saturating_sub(COUNTER_OPERATIONS_KEPT);
        self.kept.drain(..surplus);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::VALUE_BYTES_MAX;

    fn register() -> Name {
        Name::new("zone/7").unwrap()
    }

    fn apply(held: &mut Option<Register>, operation: &Operation) -> Result<i64, Error> {
        attempt(held, &mut Attempt::new(*operation), false)
    }

    fn attempt(
        held: &mut Option<Register>,
        attempt: &mut Attempt,
        is_open: bool,
    ) -> Result<i64, Error> {
        match attempt.plan(&register(), held.as_ref(), is_open)? {
            Step::Done(after) => Ok(after),
            Step::Store(value, after) => {
                assert!(value.len() <= VALUE_BYTES_MAX, "{}", value.len());
                *held = Some(Register { value, version: 1 });
                Ok(after)
            }
        }
    }

    fn operation(id: u128, delta: i64) -> Operation {
        Operation::new(Uuid::from_u128(id), delta)
    }

    #[test]
    fn an_operation_counts_once_and_has_the_same_outcome_each_time() {
        let mut held = None;
        assert_eq!(apply(&mut held, &operation(1, 5)).unwrap(), 5);
        assert_eq!(apply(&mut held, &operation(2, -2)).unwrap(), 3);
        assert_eq!(apply(&mut held, &operation(1, 5)).unwrap(), 5);
        assert_eq!(Tally::read(&register(), held.as_ref()).unwrap().value, 3);
    }

    #[test]
    fn what_is_forgotten_is_said_to_be() {
        let (mut held, mut lost) = (None, Attempt::new(operation(0, 1)));
        // Tried, and not known to have been written: it was not.
        assert_eq!(attempt(&mut None, &mut lost, false).unwrap(), 1);
        let lost = lost.unknown();
        let kept = COUNTER_OPERATIONS_KEPT as u128;
        for id in 1..=kept {
            // The largest numbers, so that the longest line is known to fit.
            let delta = if id == 1 { i64::MIN } else { 0 };
            apply(&mut held, &operation(id, delta)).unwrap();
        }
        // The first of them may have been it, and can still be seen not to have been.
        assert_eq!(apply(&mut held.clone(), &lost).unwrap(), i64::MIN + 1);
        apply(&mut held, &operation(kept + 1, 0)).unwrap();
        let forgotten = apply(&mut held, &lost);
        assert!(matches!(forgotten, Err(Error::Forgotten { .. })), "{forgotten:?}");
        // Who was told that another one was faster knows that it was not written.
        let mut slow = Attempt::new(operation(0, 1));
        attempt(&mut None, &mut slow, false).unwrap();
        assert_eq!(attempt(&mut held, &mut slow, false).unwrap(), i64::MIN + 1);
    }

    #[test]
    fn an_attempt_that_arrives_late_is_still_in_doubt_after_a_conflict() {
        let mut first = Attempt::new(operation(0, 1));
        let mut on_its_way = None;
        attempt(&mut on_its_way, &mut first, false).unwrap();
        // Asked again before it has arrived: it may be written, or the next attempt, not both.
        let mut again = Attempt::new(first.unknown());
        attempt(&mut None, &mut again, false).unwrap();
        assert_eq!(again.doubtful, Some(0));
        // A conflict: it has arrived, and so many others that it is forgotten.
        for id in 1..=COUNTER_OPERATIONS_KEPT as u128 {
            apply(&mut on_its_way, &operation(id, 0)).unwrap();
        }
        let outcome = attempt(&mut on_its_way, &mut again, false);
        assert!(matches!(outcome, Err(Error::Forgotten { .. })), "{outcome:?}");
    }

    #[test]
    fn the_number_of_operations_does_not_wrap() {
        let held = |operations: u64| {
            let value = encode(KIND, &format!("7 {operations}"));
            Some(Register { value, version: 1 })
        };
        assert_eq!(apply(&mut held(u64::MAX - 1), &operation(1, 1)).unwrap(), 8);
        let end = apply(&mut held(u64::MAX), &operation(1, 1));
        assert!(matches!(end, Err(Error::Damaged(_))), "{end:?}");
    }

    #[test]
    fn bounds_are_kept_and_nothing_wraps() {
        let mut held = None;
        let mut add = |id, delta| apply(&mut held, &operation(id, delta).within(&(0..=2)));
        assert!(matches!(add(1, -1), Err(Error::Bounds { value: 0, .. })));
        assert_eq!((add(2, 1).unwrap(), add(3, 1).unwrap()), (1, 2));
        let full = add(4, 1).unwrap_err().to_string();
        assert_eq!(full, "zone/7 is 2, and +1 would leave 0 to 2");
        // Refused is not done: the same operation may come back when there is room.
        assert_eq!((add(5, -1).unwrap(), add(4, 1).unwrap()), (1, 2));
        let mut full = None;
        apply(&mut full, &operation(6, i64::MAX)).unwrap();
        assert!(matches!(apply(&mut full, &operation(7, 1)), Err(Error::Bounds { .. })));
    }
}
