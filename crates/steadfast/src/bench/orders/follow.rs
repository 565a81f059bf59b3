//! Counts assignments, and measures the way there.
//!
//! It reads the journal's feed, so an order counts as assigned when that is durable. The times
//! are those that the events carry. Orders on their way are kept in a table of bounded size; if
//! it ever fills, further orders are counted but not timed, and the report says how many.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hdrhistogram::Histogram;
use steadfast_dispatch::order;
use steadfast_journal::{Event, Feed, StorageError};
use steadfast_time::{Clock, Monotonic, Timestamp};
use uuid::Uuid;

use crate::bench::Window;
use crate::bench::histogram;

/// Orders that are timed at once; 40 MB of memory at most.
const UNDER_WAY_MAX: usize = 1 << 20;

/// Events that are taken from the feed at once.
const EVENTS_AT_ONCE: usize = 1_024;

/// What came of the orders.
#[derive(Debug)]
pub struct Followed {
    /// Orders that became assigned within the window.
    pub assigned: u64,
    /// From `placed` to `assigned`, of those, in microseconds.
    pub latency: Histogram<u64>,
    /// Orders that ended without a courier within the window.
    pub undone: u64,
    /// Orders that were on their way when the window ended.
    pub under_way: u64,
    /// Orders that could not be timed because too many were on their way.
    pub untimed: u64,
}

/// A follower at work.
#[derive(Debug)]
pub struct Follower {
    thread: thread::JoinHandle<Result<Followed, StorageError>>,
}

impl Follower {
    /// Starts to follow; it ends with the journal.
    ///
    /// # Errors
    /// The operating system gave no thread.
    pub fn start(feed: Feed, clock: Clock, window: Arc<Window>) -> io::Result<Self> {
        let builder = thread::Builder::new().name("follower".to_owned());
        let thread = builder
            .spawn(move || futures::executor::block_on(Table::new(window).follow(feed, &clock)))?;
        Ok(Self { thread })
    }

    /// Waits for the end of the journal.
    ///
    /// # Errors
    /// The journal could not be read.
    pub fn join(self) -> Result<Followed, StorageError> {
        match self.thread.join() {
            Ok(followed) => followed,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

struct Table {
    window: Arc<Window>,
    under_way: HashMap<Uuid, Timestamp>,
    followed: Followed,
    /// Whether the window's end has been seen.
    over: bool,
}

impl Table {
    fn new(window: Arc<Window>) -> Self {
        let followed =
            Followed { assigned: 0, latency: histogram(), undone: 0, under_way: 0, untimed: 0 };
        Self { window, under_way: HashMap::new(), followed, over: false }
    }

    async fn follow(mut self, mut feed: Feed, clock: &Clock) -> Result<Followed, StorageError> {
        while let Some(events) = feed.next(EVENTS_AT_ONCE).await? {
            let now = clock.monotonic();
            for event in &events {
                self.see(event, now);
            }
        }
        self.note_end(None);
        Ok(self.followed)
    }

    /// At the end of the window, notes what was on its way.
    fn note_end(&mut self, now: Option<Monotonic>) {
        if !self.over && now.is_none_or(|now| self.window.is_over(now)) {
            self.over = true;
            self.followed.under_way = self.under_way.len() as u64 + self.followed.untimed;
        }
    }

    fn see(&mut self, event: &Event, now: Monotonic) {
        if event.stream.category() != order::CATEGORY {
            return;
        }
        self.note_end(Some(now));
        let counts = u64::from(self.window.contains(now));
        let id = || Uuid::try_parse(event.stream.key()).unwrap_or_default();
        match &*event.kind {
            "placed" if self.under_way.len() < UNDER_WAY_MAX => {
                self.under_way.insert(id(), event.at);
            }
            "placed" => self.followed.untimed += 1,
            "assigned" => {
                self.followed.assigned += counts;
                if let Some(placed) = self.under_way.remove(&id())
                    && counts > 0
                {
                    self.time(event.at.since(placed));
                }
            }
            "undo_started" => {
                self.followed.undone += counts;
                self.under_way.remove(&id());
            }
            _ => {}
        }
    }

    fn time(&mut self, length: Duration) {
        let micros = u64::try_from(length.as_micros()).unwrap_or(u64::MAX);
        self.followed.latency.saturating_record(micros.max(1));
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use steadfast_journal::{Append, Expected, Journal, NewEvent, Position, Write, memory};

    use super::*;

    #[test]
    fn it_times_what_is_assigned_within_the_window() {
        let clock = Clock::system();
        let engine = memory::Engine::recover(memory::Disk::new());
        let (journal, writer) = Journal::new(engine, clock.clone());
        let thread = writer.spawn("journal").unwrap();
        let window = Arc::new(Window::new(clock.monotonic(), Duration::from_secs(60)));
        let feed = journal.follow(Position::START);
        let follower = Follower::start(feed, clock, Arc::clone(&window)).unwrap();
        let event = |id: u128, kind: &'static str, millis: i64| {
            let event =
                NewEvent { kind: kind.into(), schema: 1, payload: Bytes::from_static(b"{}") };
            let stream = order_stream(id);
            let mut write = Write::at(Timestamp::from_millis(millis));
            write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
            futures::executor::block_on(journal.commit(write)).unwrap();
        };
        event(1, "placed", 1_000);
        event(2, "placed", 1_001);
        event(3, "placed", 1_002);
        event(1, "assigned", 1_040);
        event(2, "undo_started", 1_050);
        thread.stop().unwrap();
        let followed = follower.join().unwrap();
        assert_eq!((followed.assigned, followed.undone, followed.under_way), (1, 1, 1));
        assert_eq!(followed.latency.value_at_percentile(50.0) / 100, 400);
    }

    fn order_stream(id: u128) -> steadfast_journal::StreamId {
        steadfast_dispatch::names::OrderId(Uuid::from_u128(id)).stream()
    }
}
