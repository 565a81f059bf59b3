//! The messages that the relay has taken and not yet marked as published.
//!
//! A pure state machine. Slots are in commit order and numbered by tickets without gaps, so a
//! receipt finds its slot by subtraction. A message that the bus refuses holds back the later
//! ones of its key which have not been published yet; after a pause all of them go out again, in
//! order. Slots that are done are marked in ranges and leave once the marks are durable.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::RangeInclusive;

use steadfast_journal::OutboxChange;
use steadfast_time::Monotonic;

use crate::bus::Parcel;
use crate::{Backoff, Envelope};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// The bus has it.
    InFlight,
    /// It, or an earlier one of its key, was refused; it goes out (again) after a pause.
    Waiting,
    /// The bus has taken responsibility.
    Done,
    /// The mark that says so is being written.
    Marking,
    /// The mark is durable.
    Marked,
}

struct Slot {
    seq: u64,
    state: State,
    refusals: u32,
    /// Kept until it is done.
    envelope: Option<Envelope>,
}

/// A key with a refused message.
struct Blocked {
    retry_at: Monotonic,
    tickets: BTreeSet<u64>,
}

/// See the module.
pub(super) struct Window {
    limit: usize,
    backoff: Backoff,
    slots: VecDeque<Slot>,
    /// The ticket of the first slot.
    first: u64,
    /// Slots that the bus has.
    in_flight: usize,
    /// Slots that are done and not being marked.
    unmarked: usize,
    /// The tickets of the marks that are being written.
    marking: Vec<RangeInclusive<u64>>,
    /// Refusals to be noted in the outbox.
    refused: Vec<u64>,
    blocked: HashMap<Box<str>, Blocked>,
    /// The same keys by the end of their pause, and a ticket to tell them apart.
    pauses: BTreeMap<(Monotonic, u64), Box<str>>,
    scratch: String,
}

impl Window {
    pub(super) fn new(limit: usize, backoff: Backoff) -> Self {
        Self {
            limit,
            backoff,
            slots: VecDeque::new(),
            first: 0,
            in_flight: 0,
            unmarked: 0,
            marking: Vec::new(),
            refused: Vec::new(),
            blocked: HashMap::new(),
            pauses: BTreeMap::new(),
            scratch: String::new(),
        }
    }

    /// How many more messages fit.
    pub(super) fn room(&self) -> usize {
        self.limit.saturating_sub(self.slots.len())
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    /// How many messages the bus has not answered for.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many messages are done and wait for their marks to be written.
    pub(super) fn unmarked(&self) -> usize {
        self.unmarked
    }

    /// Whether the outbox is to be told something.
    pub(super) fn has_news(&self) -> bool {
        self.unmarked > 0 || !self.refused.is_empty()
    }

    /// Takes the next message in commit order; gives it back as a parcel unless its key waits.
    pub(super) fn take(&mut self, envelope: Envelope) -> Option<Parcel> {
        let ticket = self.first + self.slots.len() as u64;
        let mut state = State::InFlight;
        if !self.blocked.is_empty() {
            envelope.key_into(&mut self.scratch);
            if let Some(blocked) = self.blocked.get_mut(self.scratch.as_str()) {
                blocked.tickets.insert(ticket);
                state = State::Waiting;
            }
        }
        let goes = state == State::InFlight;
        self.in_flight += usize::from(goes);
        let parcel = goes.then(|| Parcel { ticket, envelope: envelope.clone() });
        let seq = envelope.row().seq;
        self.slots.push_back(Slot { seq, state, refusals: 0, envelope: Some(envelope) });
        parcel
    }

    fn slot(&mut self, ticket: u64) -> Option<&mut Slot> {
        let index = usize::try_from(ticket.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(index)
    }

    /// The bus has answered. Says whether the answer was awaited.
    pub(super) fn settle(&mut self, now: Monotonic, ticket: u64, taken: bool) -> bool {
        let backoff = self.backoff;
        let Some(slot) = self.slot(ticket).filter(|slot| slot.state == State::InFlight) else {
            return false;
        };
        if taken {
            slot.state = State::Done;
            slot.envelope = None;
            self.in_flight -= 1;
            self.unmarked += 1;
            return true;
        }
        slot.state = State::Waiting;
        slot.refusals = slot.refusals.saturating_add(1);
        let (seq, pause) = (slot.seq, backoff.after(slot.refusals));
        let envelope = slot.envelope.clone();
        self.in_flight -= 1;
        let Some(envelope) = envelope else {
            return true;
        };
        self.refused.push(seq);
        envelope.key_into(&mut self.scratch);
        if let Some(blocked) = self.blocked.get_mut(self.scratch.as_str()) {
            blocked.tickets.insert(ticket);
            return true;
        }
        let (retry_at, key) = (now + pause, Box::<str>::from(self.scratch.as_str()));
        self.pauses.insert((retry_at, ticket), key.clone());
        self.blocked.insert(key, Blocked { retry_at, tickets: BTreeSet::from([ticket]) });
        true
    }

    /// When the first pause ends.
    pub(super) fn next_retry(&self) -> Option<Monotonic> {
        self.pauses.keys().next().map(|(at, _)| *at)
    }

    /// Adds to `out` the messages of all keys whose pause is over, each key's in order.
    pub(super) fn retry(&mut self, now: Monotonic, out: &mut Vec<Parcel>) {
        while let Some(pause) = self.pauses.first_entry().filter(|pause| pause.key().0 <= now) {
            let key = pause.remove();
            let Some(blocked) = self.blocked.remove(&key) else {
                continue;
            };
            debug_assert!(blocked.retry_at <= now);
            for ticket in blocked.tickets {
                let Some(slot) = self.slot(ticket) else {
                    continue;
                };
                slot.state = State::InFlight;
                out.extend(slot.envelope.clone().map(|envelope| Parcel { ticket, envelope }));
                self.in_flight += 1;
            }
        }
    }

    /// The next marks to write, at most `limit`. [`Window::marked`] must follow.
    pub(super) fn marks(&mut self, limit: usize) -> Vec<OutboxChange> {
        debug_assert!(self.marking.is_empty(), "one write of marks at a time");
        let count = self.refused.len().min(limit / 2);
        let mut changes: Vec<_> = self.refused.drain(..count).map(OutboxChange::Failed).collect();
        let mut run: Option<(RangeInclusive<u64>, u64, u64)> = None;
        for (ticket, slot) in (self.first..).zip(&mut self.slots) {
            if slot.state == State::Done {
                if run.is_none() && changes.len() >= limit {
                    break;
                }
                slot.state = State::Marking;
                self.unmarked -= 1;
                // Rows between two neighbours had been published before; no later commit can
                // put one there.
                let (tickets, from, _) = run.unwrap_or((ticket..=ticket, slot.seq, slot.seq));
                run = Some((*tickets.start()..=ticket, from, slot.seq));
            } else if let Some((tickets, from, to)) = run.take() {
                self.marking.push(tickets);
                changes.push(OutboxChange::Published(from..=to));
            }
            if self.unmarked == 0 {
                break;
            }
        }
        if let Some((tickets, from, to)) = run {
            self.marking.push(tickets);
            changes.push(OutboxChange::Published(from..=to));
        }
        changes
    }

    /// The marks are durable, or were not written and will be with the next ones.
    pub(super) fn marked(&mut self, durable: bool) {
        for ticket in std::mem::take(&mut self.marking).into_iter().flatten() {
            let Some(slot) = self.slot(ticket) else {
                continue;
            };
            if durable {
                slot.state = State::Marked;
            } else {
                slot.state = State::Done;
                self.unmarked += 1;
            }
        }
        while self.slots.front().is_some_and(|slot| slot.state == State::Marked) {
            self.slots.pop_front();
            self.first += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use steadfast_journal::{Batch, Message, MessageStatus, OutboxRow};
    use steadfast_time::Timestamp;

    use super::*;

    const BACKOFF: Backoff =
        Backoff { first: Duration::from_millis(10), most: Duration::from_secs(1) };

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    /// One row per letter: its key. Outbox places are 10, 20, 30 …
    fn envelopes(keys: &str) -> Vec<Envelope> {
        let row = |(index, key): (usize, char)| OutboxRow {
            seq: 10 * (index as u64 + 1),
            message: Message {
                id: steadfast_time::Uuid::from_u128(index as u128),
                topic: "t".into(),
                aggregate_type: "a".into(),
                aggregate_id: key.to_string(),
                event_type: "e".into(),
                sequence: 0,
                payload: "{}".into(),
            },
            status: MessageStatus::Pending,
            retry_count: 0,
            created_at: Timestamp::EPOCH,
            published_at: None,
        };
        let outbox: Vec<_> = keys.chars().enumerate().map(row).collect();
        let batch = Arc::new(Batch { events: Vec::new(), outbox });
        (0..keys.len()).filter_map(|index| Envelope::of(&batch, index)).collect()
    }

    fn filled(keys: &str) -> Window {
        let mut window = Window::new(100, BACKOFF);
        for envelope in envelopes(keys) {
            assert!(window.take(envelope).is_some());
        }
        window
    }

    fn retried(window: &mut Window, now: Monotonic) -> Vec<u64> {
        let mut out = Vec::new();
        window.retry(now, &mut out);
        out.into_iter().map(|parcel| parcel.ticket).collect()
    }

    #[test]
    fn neighbours_share_a_mark_and_leave_when_it_is_durable() {
        let mut window = filled("abcde");
        for ticket in [0, 1, 3, 4] {
            assert!(window.settle(at(0), ticket, true));
        }
        use OutboxChange::Published;
        assert_eq!(window.marks(9), [Published(10..=20), Published(40..=50)]);
        window.marked(false);
        assert_eq!(window.len(), 5, "a mark that was not written is written again");
        assert_eq!(window.marks(1), [Published(10..=20)]);
        window.marked(true);
        assert_eq!(window.len(), 3);
        assert!(window.settle(at(0), 2, true));
        assert_eq!(window.marks(9), [Published(30..=50)]);
        window.marked(true);
        assert_eq!((window.len(), window.has_news()), (0, false));
    }

    #[test]
    fn a_refused_message_holds_back_its_key_only_and_keeps_its_order() {
        let mut window = filled("aba");
        assert!(window.settle(at(0), 0, false));
        let late = envelopes("xxxab").split_off(3);
        let parcels: Vec<_> = late.into_iter().map(|envelope| window.take(envelope)).collect();
        assert!(parcels[0].is_none(), "a later one of the refused key waits");
        assert!(parcels[1].is_some(), "another key goes on");
        assert!(window.settle(at(1), 2, false));
        assert!(retried(&mut window, at(9)).is_empty());
        assert_eq!(window.next_retry(), Some(at(10)));
        assert_eq!(retried(&mut window, at(10)), [0, 2, 3]);
        // The next pause is longer.
        assert!(window.settle(at(10), 0, false));
        assert_eq!(window.next_retry(), Some(at(30)));
        assert_eq!(window.marks(9).len(), 3, "every refusal is noted");
    }

    #[test]
    fn an_answer_that_comes_twice_counts_once() {
        let mut window = filled("a");
        assert!(window.settle(at(0), 0, true));
        assert!(!window.settle(at(0), 0, false));
        assert!(!window.settle(at(0), 7, true));
        assert_eq!(window.unmarked(), 1);
    }
}
