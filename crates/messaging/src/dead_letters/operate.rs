//! Replaying and discarding.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Serialize;
use steadfast_journal::{
    Append, Expected, Journal, MessageRef, NewEvent, Processed, StreamId, Write,
};
use steadfast_time::{Clock, Timestamp};

use super::{AUDIT, Error, Letter, Letters};
use crate::Envelope;
use crate::consumer::parking::{Operating, Parking};
use crate::consumer::{Delivery, Failure, Handled, Handler, Options};
use crate::limits::REPLAY_PER_SECOND_MAX;

/// Which letters to replay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All.
    All,
    /// Those of one key, `<topic>/<aggregate_id>`.
    Key(String),
}

/// How fast to replay, in letters a second; between 1 and [`REPLAY_PER_SECOND_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace(u32);

impl Pace {
    /// So many letters a second, brought within the bounds.
    #[must_use]
    pub fn per_second(letters: u32) -> Self {
        Self(letters.clamp(1, REPLAY_PER_SECOND_MAX))
    }

    fn between(self) -> Duration {
        Duration::from_secs(1) / self.0
    }
}

/// The letter at which a replay has stopped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stopped {
    /// Its place.
    pub place: String,
    /// What went wrong this time.
    pub reason: String,
}

/// What a replay has done.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Replayed {
    /// Letters whose message has been handled.
    pub handled: u64,
    /// Letters whose message had been handled before; they are gone now too.
    pub duplicates: u64,
    /// Keys that are no longer parked.
    pub unparked: u64,
    /// Letters left because an earlier message of their key has not arrived yet.
    pub waiting: u64,
    /// Where it stopped, unless it came to the end.
    pub stopped: Option<Stopped>,
}

/// A [`Handler`] whose type has been forgotten, so that one list can hold the dead letters of
/// all consumers.
trait Replay: Send + Sync {
    fn replay<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Handled, Failure>>;
}

impl<H: Handler> Replay for H {
    fn replay<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Result<Handled, Failure>> {
        self.handle(delivery).boxed()
    }
}

/// The hand on the dead letters of a running consumer. Clones are the same.
#[derive(Clone)]
pub struct DeadLetters {
    journal: Journal,
    clock: Clock,
    consumer: Cow<'static, str>,
    attempt_limit: Duration,
    handler: Arc<dyn Replay>,
    letters: Letters,
    parking: Arc<Parking>,
}

/// What became of one letter.
enum Step {
    Handled,
    Duplicate,
    Waiting,
    Failed(String),
}

impl DeadLetters {
    pub(crate) fn new<H: Handler>(
        journal: Journal,
        clock: Clock,
        options: &Options,
        handler: Arc<H>,
        parking: Arc<Parking>,
    ) -> Self {
        let letters = Letters::new(&options.consumer);
        let (consumer, attempt_limit) = (options.consumer.clone(), options.attempt_limit);
        Self { journal, clock, consumer, attempt_limit, handler, letters, parking }
    }

    /// The consumer's name.
    #[must_use]
    pub fn consumer(&self) -> &str {
        &self.consumer
    }

    /// How many keys are parked.
    #[must_use]
    pub fn parked_keys(&self) -> usize {
        self.parking.len()
    }

    /// A page of letters; see [`Letters::list`].
    ///
    /// # Errors
    /// The journal or a letter cannot be read.
    pub fn list(&self, after: Option<&str>, limit: usize) -> Result<Vec<Letter>, Error> {
        self.letters.list(self.journal.store(), after, limit)
    }

    /// One letter, with its payload.
    ///
    /// # Errors
    /// [`Error::Unknown`], or the journal or the letter cannot be read.
    pub fn show(&self, place: &str) -> Result<(Letter, bytes::Bytes), Error> {
        self.letters.show(self.journal.store(), place)
    }

    fn operate(&self) -> Result<Operating, Error> {
        self.parking.operate().ok_or(Error::Busy)
    }

    /// Handles letters again, each key's in order, at most at this pace. Stops at the first that
    /// fails again, which stays with its new reason. A key whose last letter is gone is no longer
    /// parked.
    ///
    /// Dropping the future stops it between two letters, or in the middle of one, which then may
    /// have been handled and is recognised the next time.
    ///
    /// # Errors
    /// [`Error::Busy`], or the journal cannot be read or written.
    pub async fn replay(&self, scope: &Scope, pace: Pace) -> Result<Replayed, Error> {
        let _operating = self.operate()?;
        let mut report = Replayed::default();
        let mut after: Option<String> = None;
        loop {
            // Read one at a time: more of the key may have come since the last one.
            let next = match scope {
                Scope::Key(key) => self.first_after(key, after.as_deref())?,
                Scope::All => self.list(after.as_deref(), 1)?.pop(),
            };
            let Some(letter) = next else { break };
            let step = self.step(&letter).await?;
            match step {
                Step::Handled => report.handled += 1,
                Step::Duplicate => report.duplicates += 1,
                Step::Waiting => report.waiting += 1,
                Step::Failed(reason) => {
                    report.stopped = Some(Stopped { place: letter.place, reason });
                    return Ok(report);
                }
            }
            if !matches!(step, Step::Waiting) && self.unpark(&letter.key()).await? {
                report.unparked += 1;
            }
            after = Some(letter.place);
            self.clock.sleep(pace.between()).await;
        }
        Ok(report)
    }

    fn first_after(&self, key: &str, after: Option<&str>) -> Result<Option<Letter>, Error> {
        let prefix = super::letter::prefix(key);
        let mut after = after.map(str::to_owned);
        loop {
            let mut page =
                self.letters.page(self.journal.store(), &prefix, after.as_deref(), 16)?;
            if let Some(first) = page.iter().position(|letter| letter.is_of(key)) {
                return Ok(Some(page.swap_remove(first)));
            }
            let Some(last) = page.pop() else {
                return Ok(None);
            };
            after = Some(last.place);
        }
    }

    /// Handles one letter again.
    async fn step(&self, letter: &Letter) -> Result<Step, Error> {
        let key = letter.key();
        match self.standing(letter, &key)? {
            Standing::Done => {
                self.remove(letter, None).await?;
                return Ok(Step::Duplicate);
            }
            Standing::Gap(_) => return Ok(Step::Waiting),
            Standing::Next => {}
        }
        let (_, payload) = self.show(&letter.place)?;
        let envelope = Envelope::foreign(letter.message(payload));
        let delivery = Delivery {
            envelope,
            consumer: self.consumer.clone(),
            key: key.into(),
            attempt: letter.attempts,
        };
        let attempt = self.clock.timeout(self.attempt_limit, self.handler.replay(&delivery)).await;
        match attempt.unwrap_or_else(|late| Err(Failure::Transient(late.to_string()))) {
            Ok(Handled::Committed) => {
                self.remove(letter, None).await?;
                Ok(Step::Handled)
            }
            Ok(Handled::Duplicate) => {
                self.remove(letter, None).await?;
                Ok(Step::Duplicate)
            }
            Ok(Handled::Ignored) => {
                self.remove(letter, Some(delivery.mark())).await?;
                Ok(Step::Handled)
            }
            // Nothing is wrong with the message, so nothing is noted with it.
            Err(Failure::Unavailable(reason)) => Ok(Step::Failed(reason)),
            Err(Failure::Transient(reason) | Failure::Poison(reason)) => {
                self.note(letter, &reason).await?;
                Ok(Step::Failed(reason))
            }
        }
    }

    /// Whether a letter may be handled now.
    fn standing(&self, letter: &Letter, key: &str) -> Result<Standing, Error> {
        let store = self.journal.store();
        if letter.sequence == 0 {
            let message = MessageRef::Id(letter.id);
            let mark = Processed { consumer: self.consumer.clone(), message };
            let done = store.processed(&mark)?;
            return Ok(if done { Standing::Done } else { Standing::Next });
        }
        let done = store.processed_up_to(&self.consumer, key)?;
        Ok(match letter.sequence {
            sequence if sequence <= done => Standing::Done,
            sequence if sequence == done + 1 => Standing::Next,
            _ => Standing::Gap(done + 1),
        })
    }

    async fn remove(&self, letter: &Letter, mark: Option<Processed>) -> Result<(), Error> {
        let mut write = Write::at(self.clock.now());
        write.records = letter.remove(&self.consumer);
        write.processed.extend(mark);
        self.journal.commit(write).await?;
        Ok(())
    }

    /// Keeps the new reason with a letter that failed again.
    async fn note(&self, letter: &Letter, reason: &str) -> Result<(), Error> {
        let trouble = super::Trouble {
            attempts: letter.attempts.saturating_add(1),
            reason: reason.to_owned(),
            first: letter.first_failure,
            last: self.clock.now(),
        };
        let noted = letter.again(trouble);
        let mut write = Write::at(self.clock.now());
        write.records.push(noted.put(&self.consumer)?);
        self.journal.commit(write).await?;
        Ok(())
    }

    /// Lets a key go on if it has no letters any more. Says whether it does.
    async fn unpark(&self, key: &str) -> Result<bool, Error> {
        loop {
            let Some(begun) = self.parking.begun(key) else {
                if !self.parking.has(key) {
                    return Ok(false);
                }
                // A lane is just writing another letter, which must be seen before one can say
                // that there is none.
                self.clock.sleep(Duration::from_millis(1)).await;
                continue;
            };
            if self.letters.first(self.journal.store(), key)?.is_some() {
                return Ok(false);
            }
            if self.parking.unpark(key, begun) {
                tracing::info!(consumer = %self.consumer, key, "no longer parked");
                return Ok(true);
            }
        }
    }

    /// Gives up one message for good: writes its inbox mark without its effect, so that its key
    /// can go on, and records who gave which reason in the stream `dead-letter-audit/<consumer>`.
    /// Only the first letter of a key can be discarded.
    ///
    /// # Errors
    /// [`Error::Unknown`], [`Error::NotFirst`], [`Error::Gap`], [`Error::Busy`], or the journal
    /// cannot be read or written.
    pub async fn discard(&self, place: &str, reason: &str) -> Result<Letter, Error> {
        let _operating = self.operate()?;
        let (letter, _) = self.show(place)?;
        let key = letter.key();
        let first = self.letters.first(self.journal.store(), &key)?;
        if let Some(first) = first.filter(|first| first.place != place) {
            return Err(Error::NotFirst { place: place.to_owned(), first: first.place });
        }
        let mut write = Write::at(self.clock.now());
        match self.standing(&letter, &key)? {
            // It has had its effect; only the letter is left.
            Standing::Done => {}
            Standing::Gap(missing) => {
                return Err(Error::Gap { place: place.to_owned(), missing });
            }
            Standing::Next => {
                let message = match letter.sequence {
                    0 => MessageRef::Id(letter.id),
                    sequence => MessageRef::Sequence { key: key.clone(), sequence },
                };
                write.processed.push(Processed { consumer: self.consumer.clone(), message });
            }
        }
        write.records = letter.remove(&self.consumer);
        write.appends.push(self.audit(&letter, reason, write.at)?);
        self.journal.commit(write).await?;
        self.unpark(&key).await?;
        Ok(letter)
    }

    fn audit(&self, letter: &Letter, reason: &str, at: Timestamp) -> Result<Append, Error> {
        #[derive(Serialize)]
        struct Discarded<'a> {
            reason: &'a str,
            discarded_at: Timestamp,
            letter: &'a Letter,
        }
        let damaged = |what: String| Error::Damaged { place: letter.place.clone(), what };
        let discarded = Discarded { reason, discarded_at: at, letter };
        let payload = serde_json::to_vec(&discarded).map_err(|error| damaged(error.to_string()))?;
        let stream =
            StreamId::new(AUDIT, &self.consumer).map_err(|error| damaged(error.to_string()))?;
        let event = NewEvent { kind: "discarded".into(), schema: 1, payload: payload.into() };
        Ok(Append { stream, expected: Expected::Any, events: vec![event] })
    }
}

impl std::fmt::Debug for DeadLetters {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeadLetters").field("consumer", &self.consumer).finish_non_exhaustive()
    }
}

/// Whether a letter may be handled now.
enum Standing {
    /// Its message has been handled.
    Done,
    /// Its message comes next.
    Next,
    /// An earlier message has not arrived yet.
    Gap(u64),
}
