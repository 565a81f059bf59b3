//! Places that are taken, given back, and waited for, by many threads.
//!
//! The core of [`super::Bulkhead`] and of [`crate::shed::Gate`], which differ in who is next: the
//! [`Discipline`]. As long as nobody waits, taking a place and giving it back is one
//! compare-and-swap each on one [`Word`]. As soon as somebody waits, every change goes through the
//! lock, and a place that is given back goes straight to whoever is next:
//!
//! - Nobody barges in: while the word counts a waiter, nothing but the lock's holder takes a place.
//! - No wake-up is lost: a waiter is counted in the same instruction that sees that no place is
//!   free. Whoever gives a place back either comes before it, and the instruction fails, or sees
//!   the waiter and goes to the lock.
//! - A waiter that goes away after it was given a place gives it on.
//! - Nobody is woken, and no waker is dropped, under the lock: either may run a stranger's code, and
//!   that may give back a place of these very ones.

mod turn;
mod word;

use std::collections::BTreeMap;
use std::fmt;
use std::task::Waker;
use std::time::Duration;

use steadfast_time::{Clock, Monotonic};

use super::Ticket;
use crate::deadline::Deadline;
use crate::sync::{AtomicU64, Mutex, Ordering, Padded, lock};

pub(crate) use turn::Turn;
pub(crate) use word::Word;
use word::{AT_WORK, SPARE, WAITS};

/// Somebody who waits, and until when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Waiting {
    pub(crate) ticket: Ticket,
    pub(crate) until: Monotonic,
}

/// Who waits, who is next, and who has to go. A state machine, under a lock. Whoever has to go is
/// named to `gone` once, and is not in the queue any more then.
pub(crate) trait Discipline {
    /// What somebody brings who wants a place.
    type Wish;
    /// What it is told when it gets none.
    type Refused;

    fn deadline(wish: &Self::Wish) -> Option<Deadline>;

    /// Somebody comes and finds no place; so many are at work.
    fn join(
        &mut self,
        now: Monotonic,
        at_work: u32,
        wish: &Self::Wish,
        gone: &mut dyn FnMut(Ticket, Self::Refused),
    ) -> Result<Waiting, Self::Refused>;

    /// A place is free: who gets it?
    fn next(
        &mut self,
        now: Monotonic,
        gone: &mut dyn FnMut(Ticket, Self::Refused),
    ) -> Option<Ticket>;

    /// Somebody went away. Says whether it waited.
    fn leave(&mut self, ticket: Ticket, now: Monotonic) -> bool;

    /// Somebody's time is over. `None` when it does not wait any more.
    fn give_up(&mut self, ticket: Ticket, now: Monotonic) -> Option<Self::Refused>;

    /// What somebody is told whose deadline has passed although it does not wait.
    fn late(&self, wish: &Self::Wish, waited: Duration, at_work: u32) -> Self::Refused;

    /// A place was free while nobody waited.
    fn spare(&mut self) {}
}

pub(crate) struct Places<D: Discipline> {
    word: Padded<AtomicU64>,
    waiters: Mutex<Waiters<D>>,
    clock: Clock,
}

struct Waiters<D: Discipline> {
    line: D,
    /// What each waiter finds when it looks next: one for each future that waits, or has not looked
    /// since it was told.
    slots: BTreeMap<Ticket, Slot<D::Refused>>,
}

enum Slot<R> {
    Waiting(Waker),
    /// It has a place; so many are at work, itself included.
    Granted(u32),
    Refused(R),
}

/// What became of somebody who waited.
type Settled<R> = Result<u32, R>;

/// Who is to be woken once the lock is free.
#[derive(Default)]
struct Wakes {
    first: Option<Waker>,
    more: Vec<Waker>,
}

impl Wakes {
    fn push(&mut self, waker: Waker) {
        match &self.first {
            None => self.first = Some(waker),
            Some(_) => self.more.push(waker),
        }
    }

    fn wake(self) {
        self.first.into_iter().chain(self.more).for_each(Waker::wake);
    }
}

impl<D: Discipline> Waiters<D> {
    fn settle(&mut self, ticket: Ticket, slot: Slot<D::Refused>, wakes: &mut Wakes) {
        if let Some(Slot::Waiting(waker)) = self.slots.insert(ticket, slot) {
            wakes.push(waker);
        }
    }

    /// Runs a step of the discipline, tells those who have to go, and says how many they are.
    fn step<T>(
        &mut self,
        wakes: &mut Wakes,
        step: impl FnOnce(&mut D, &mut dyn FnMut(Ticket, D::Refused)) -> T,
    ) -> (T, u64) {
        let Self { line, slots } = self;
        let mut count = 0;
        let outcome = step(line, &mut |ticket, refused| {
            count += 1;
            if let Some(Slot::Waiting(waker)) = slots.insert(ticket, Slot::Refused(refused)) {
                wakes.push(waker);
            }
        });
        (outcome, count)
    }
}

impl<D: Discipline> Places<D> {
    pub(crate) fn new(limit: u32, line: D, clock: Clock) -> Self {
        let waiters = Mutex::new(Waiters { line, slots: BTreeMap::new() });
        Self { word: Padded(AtomicU64::new(Word::idle(limit).0)), waiters, clock }
    }

    pub(crate) const fn clock(&self) -> &Clock {
        &self.clock
    }

    pub(crate) fn word(&self) -> Word {
        Word(self.word.0.load(Ordering::Acquire))
    }

    /// Takes a place if one is free and nobody waits for it, and says how many are at work then.
    /// Otherwise what was seen.
    #[inline]
    pub(crate) fn try_take(&self) -> Result<u32, Word> {
        let mut seen = Word(self.word.0.load(Ordering::Relaxed));
        while seen.is_free() {
            match self.swap(seen, seen.0 + AT_WORK) {
                Ok(()) => return Ok(seen.at_work() + 1),
                Err(now) => seen = now,
            }
        }
        Err(seen)
    }

    /// Gives a place back.
    #[inline]
    pub(crate) fn give_back(&self) {
        let mut seen = Word(self.word.0.load(Ordering::Relaxed));
        while seen.waiting() == 0 {
            match self.swap(seen, spare_after(seen) | (seen.0 - AT_WORK)) {
                Ok(()) => return,
                Err(now) => seen = now,
            }
        }
        self.locked(|places, waiters, now, wakes| places.hand_over(waiters, now, wakes));
    }

    #[inline]
    fn swap(&self, from: Word, to: u64) -> Result<(), Word> {
        self.word
            .0
            .compare_exchange_weak(from.0, to, Ordering::AcqRel, Ordering::Relaxed)
            .map_or_else(|seen| Err(Word(seen)), |_| Ok(()))
    }

    /// Under the lock, at this moment; whoever was told something is woken after it.
    #[cold]
    fn locked<T>(
        &self,
        work: impl FnOnce(&Self, &mut Waiters<D>, Monotonic, &mut Wakes) -> T,
    ) -> T {
        let now = self.clock.monotonic();
        let mut wakes = Wakes::default();
        let mut waiters = lock(&self.waiters);
        let outcome = work(self, &mut waiters, now, &mut wakes);
        drop(waiters);
        wakes.wake();
        outcome
    }

    /// A place is given back, under the lock.
    fn hand_over(&self, waiters: &mut Waiters<D>, now: Monotonic, wakes: &mut Wakes) {
        // Nobody can barge in here: if somebody waits, only the lock's holder takes places.
        let before = Word(self.word.0.fetch_sub(AT_WORK, Ordering::AcqRel));
        if before.waiting() == 0 {
            self.word.0.fetch_or(spare_after(before), Ordering::Relaxed);
        } else {
            self.admit(waiters, now, wakes);
        }
    }

    /// Lets in whoever is next, as long as somebody waits and a place is free.
    fn admit(&self, waiters: &mut Waiters<D>, now: Monotonic, wakes: &mut Wakes) {
        loop {
            let word = self.word();
            if word.waiting() == 0 || word.at_work() >= word.limit() {
                return;
            }
            let (next, gone) = waiters.step(wakes, |line, gone| line.next(now, gone));
            let Some(ticket) = next else {
                self.word.0.fetch_sub(gone * WAITS, Ordering::AcqRel);
                return;
            };
            // In one step, so that the last waiter's place is not free for an instant.
            self.word.0.fetch_sub((gone + 1) * WAITS - AT_WORK, Ordering::AcqRel);
            waiters.settle(ticket, Slot::Granted(word.at_work() + 1), wakes);
        }
    }

    /// Waits, unless a place is free after all or there is no place to wait.
    fn join(&self, now: Monotonic, wish: &D::Wish, waker: &Waker) -> Result<Joined, D::Refused> {
        self.locked(|places, waiters, _, wakes| {
            let mut seen = Word(places.word.0.load(Ordering::Relaxed));
            loop {
                let free = seen.is_free();
                let to = if free { seen.0 + AT_WORK } else { (seen.0 + WAITS) & !SPARE };
                match places.swap(seen, to) {
                    Ok(()) if free => return Ok(Joined::Took(seen.at_work() + 1)),
                    Ok(()) => break,
                    Err(other) => seen = other,
                }
            }
            if seen.had_spare() {
                waiters.line.spare();
            }
            let (joined, gone) =
                waiters.step(wakes, |line, gone| line.join(now, seen.at_work(), wish, gone));
            let gone = gone + u64::from(joined.is_err());
            places.word.0.fetch_sub(gone * WAITS, Ordering::AcqRel);
            let waiting = joined?;
            waiters.slots.insert(waiting.ticket, Slot::Waiting(waker.clone()));
            Ok(Joined::Waits(waiting))
        })
    }

    /// What became of a waiter; `None` when it still waits.
    fn settled(&self, ticket: Ticket, waker: &Waker) -> Option<Settled<D::Refused>> {
        let mut waiters = lock(&self.waiters);
        if let Some(Slot::Waiting(known)) = waiters.slots.get_mut(&ticket) {
            if !known.will_wake(waker) {
                let before = std::mem::replace(known, waker.clone());
                drop(waiters);
                drop(before);
            }
            return None;
        }
        match waiters.slots.remove(&ticket) {
            Some(Slot::Granted(at_work)) => Some(Ok(at_work)),
            Some(Slot::Refused(refused)) => Some(Err(refused)),
            Some(Slot::Waiting(_)) | None => unreachable!("a waiter is settled once"),
        }
    }

    /// A waiter's time is over, unless it has just been given a place.
    fn give_up(&self, ticket: Ticket) -> Settled<D::Refused> {
        let (settled, _waker) = self.locked(|places, waiters, now, _| {
            match (waiters.slots.remove(&ticket), waiters.line.give_up(ticket, now)) {
                (Some(Slot::Waiting(waker)), Some(refused)) => {
                    places.word.0.fetch_sub(WAITS, Ordering::AcqRel);
                    (Err(refused), Some(waker))
                }
                (Some(Slot::Granted(at_work)), None) => (Ok(at_work), None),
                (Some(Slot::Refused(refused)), None) => (Err(refused), None),
                _ => unreachable!("who waits is in the line, and nobody else is"),
            }
        });
        settled
    }

    /// A waiter went away.
    fn abandon(&self, ticket: Ticket) {
        let _slot = self.locked(|places, waiters, now, wakes| {
            let slot = waiters.slots.remove(&ticket);
            match slot {
                Some(Slot::Waiting(_)) => {
                    waiters.line.leave(ticket, now);
                    places.word.0.fetch_sub(WAITS, Ordering::AcqRel);
                }
                Some(Slot::Granted(_)) => places.hand_over(waiters, now, wakes),
                Some(Slot::Refused(_)) | None => {}
            }
            slot
        });
    }

    /// What somebody is told whose deadline has passed although it does not wait.
    fn late(&self, wish: &D::Wish, waited: Duration) -> D::Refused {
        let at_work = self.word().at_work();
        lock(&self.waiters).line.late(wish, waited, at_work)
    }

    /// From now on so many may be at work. Lets in who waits if they are more than before; takes
    /// nobody's place away if they are fewer. Asked under the lock, so that of two who set it at
    /// the same time the second does not set what was true before the first.
    pub(crate) fn set_limit(&self, limit: impl FnOnce() -> u32) {
        self.locked(|places, waiters, now, wakes| {
            places.change_limit(limit());
            places.admit(waiters, now, wakes);
        });
    }

    /// From now on nobody gets a place. `empty` sends everybody away who waits.
    pub(crate) fn shut(
        &self,
        empty: impl FnOnce(&mut D, Monotonic, &mut dyn FnMut(Ticket, D::Refused)),
    ) {
        self.locked(|places, waiters, now, wakes| {
            places.change_limit(0);
            let ((), gone) = waiters.step(wakes, |line, gone| empty(line, now, gone));
            places.word.0.fetch_sub(gone * WAITS, Ordering::AcqRel);
        });
    }

    fn change_limit(&self, limit: u32) {
        let mut seen = self.word();
        while let Err(now) = self.swap(seen, seen.with_limit(limit).0) {
            seen = now;
        }
    }

    /// Asks the discipline something.
    pub(crate) fn ask<T>(&self, question: impl FnOnce(&mut D) -> T) -> T {
        question(&mut lock(&self.waiters).line)
    }
}

/// The mark to set when somebody leaves and nobody waits: a place is free then, unless there are
/// more at work than may be.
const fn spare_after(before: Word) -> u64 {
    if before.at_work() <= before.limit() { SPARE } else { 0 }
}

enum Joined {
    Took(u32),
    Waits(Waiting),
}

impl<D: Discipline> fmt::Debug for Places<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = self.word();
        f.debug_struct("Places")
            .field("at_work", &word.at_work())
            .field("waiting", &word.waiting())
            .field("limit", &word.limit())
            .finish_non_exhaustive()
    }
}
