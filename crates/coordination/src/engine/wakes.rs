//! Who in this process waits for news of a queue, for the engines whose server tells everybody.
//!
//! A server's notice names the queue and, if an entry has gone, the entry. It wakes those who wait
//! for that entry and those who list that queue, and nobody else. A notice is a hint and never an
//! answer: the woken ask the server. So a notice that is lost costs time, which polling bounds,
//! and one too many costs a question.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::{Either, select};
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::sync::Notify;

/// The longest time after which those who wait ask again. With that they also tell the server that
/// somebody waits, which it remembers for at least 30 seconds; whoever asks more seldom is not told.
pub(crate) const POLL_MAX: Duration = Duration::from_secs(20);

/// How often is asked while no notices come in.
const POLL_UNHEARD: Duration = Duration::from_millis(250);

/// No two questions of one wait come closer together, whatever is due.
const POLL_MIN: Duration = Duration::from_millis(10);

/// What somebody waits for: an entry to go, or (without a token) any change of the queue.
type Key = (Arc<str>, Option<u64>);

/// The waiting tasks of a client.
#[derive(Default)]
pub(crate) struct Wakes {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    next: u64,
    listening: bool,
    waiting: HashMap<Key, BTreeMap<u64, Arc<Notify>>>,
}

impl Wakes {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place among those who are woken. To be done before the server is asked.
    pub(crate) fn register(self: &Arc<Self>, queue: &str, token: Option<FencingToken>) -> Wake {
        let key = (Arc::from(queue), token.map(FencingToken::get));
        let notify = Arc::new(Notify::new());
        let mut inner = self.lock();
        let number = inner.next;
        inner.next += 1;
        inner.waiting.entry(key.clone()).or_default().insert(number, Arc::clone(&notify));
        Wake { wakes: Arc::clone(self), key, number, notify }
    }

    /// Takes a server's notice: `<token> <queue>`, with token 0 when no entry has gone.
    pub(crate) fn notice(&self, text: &str) {
        let Some((token, queue)) = text.split_once(' ') else { return };
        let Ok(token) = token.parse::<u64>() else { return };
        let queue: Arc<str> = queue.into();
        let inner = self.lock();
        for key in [(Arc::clone(&queue), Some(token)), (queue, None)] {
            for notify in inner.waiting.get(&key).into_iter().flat_map(BTreeMap::values) {
                notify.notify_one();
            }
        }
    }

    /// Whether notices come in at present. When they begin to, some may have been missed; when
    /// they end, all must begin to poll: everybody is woken.
    pub(crate) fn listening(&self, now: bool) {
        let mut inner = self.lock();
        inner.listening = now;
        for notify in inner.waiting.values().flat_map(BTreeMap::values) {
            notify.notify_one();
        }
    }

    /// Whether notices come in.
    fn is_listening(&self) -> bool {
        self.lock().listening
    }
}

/// One who waits. Gives its place up when dropped.
pub(crate) struct Wake {
    wakes: Arc<Wakes>,
    key: Key,
    number: u64,
    notify: Arc<Notify>,
}

impl Wake {
    /// Completes at the first notice since the last time.
    async fn woken(&self) {
        self.notify.notified().await;
    }

    /// Waits for a notice, or until it is time to ask again anyway: every `poll`, more often while
    /// nothing is heard, and just after something is due. Says whether it was a notice.
    pub(crate) async fn news(&self, clock: &Clock, poll: Duration, due: Option<Duration>) -> bool {
        let poll = if self.wakes.is_listening() { poll } else { POLL_UNHEARD.min(poll) };
        let due = due.map_or(poll, |due| (due + Duration::from_millis(1)).max(POLL_MIN).min(poll));
        let woken = std::pin::pin!(self.woken());
        matches!(select(woken, clock.sleep(due)).await, Either::Left(_))
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        let mut inner = self.wakes.lock();
        if let Some(waiting) = inner.waiting.get_mut(&self.key) {
            waiting.remove(&self.number);
            if waiting.is_empty() {
                inner.waiting.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn a_notice_wakes_those_concerned_even_if_it_comes_first_and_nothing_is_left_behind() {
        let wakes = Arc::new(Wakes::default());
        let token = FencingToken::new(7);
        let waits = wakes.register("zone 1", token);
        let other_entry = wakes.register("zone 1", FencingToken::new(8));
        let other_queue = wakes.register("zone 2", token);
        let lists = wakes.register("zone 1", None);
        wakes.notice("7 zone 1");
        assert!(waits.woken().now_or_never().is_some());
        assert!(waits.woken().now_or_never().is_none(), "once");
        assert!(lists.woken().now_or_never().is_some());
        assert!(other_entry.woken().now_or_never().is_none());
        assert!(other_queue.woken().now_or_never().is_none());

        wakes.notice("0 zone 1");
        assert!(waits.woken().now_or_never().is_none());
        assert!(lists.woken().now_or_never().is_some());
        for garbage in ["", "7", "x zone 1", "-7 zone 1"] {
            wakes.notice(garbage);
        }
        assert!(lists.woken().now_or_never().is_none());

        wakes.listening(true);
        assert!(other_queue.woken().now_or_never().is_some());
        drop((waits, other_entry, other_queue, lists));
        assert!(wakes.lock().waiting.is_empty());
    }
}
