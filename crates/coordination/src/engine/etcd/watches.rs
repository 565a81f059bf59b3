//! All waits of a client, on one stream.
//!
//! A task reads the stream; it is started with the first wait and ends with the client. When the
//! stream breaks it opens another one, at the next member if need be; when none can be reached,
//! or a new stream breaks before its first word, all waits end with the error, and their callers
//! decide whether to repeat them. A stream on which nothing happens may be a dead one: while
//! somebody waits, the member is asked now and then for something that needs a majority.

use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures::Stream;
use futures::future::{Either, select};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot};

use super::failure::Failure;
use super::link::Link;
use super::pool::Pool;
use super::proto::{RangeRequest, RangeResponse, WatchRequest, path};
use super::table::{Effect, End, Table, Wanted};
use crate::limits::{ETCD_HISTORY_MAX, ETCD_WATCHES_MAX};
use crate::port::Error;

type Done = oneshot::Sender<Result<(), Error>>;

/// The waits of one client.
pub(super) struct Watches {
    pool: Arc<Pool>,
    /// Read by the probe; any key within the prefix.
    probe: Vec<u8>,
    state: Mutex<State>,
    /// Something was added, or the client has gone.
    changed: Notify,
}

#[derive(Default)]
struct State {
    table: Table<Done>,
    /// Of the stream that is open; requests for another one are not sent.
    stream: u64,
    /// Wakes whoever sends.
    sender: Option<Waker>,
    driven: bool,
    closed: bool,
}

/// How a stream ended.
enum Ended {
    /// Another one is to be opened.
    Resume,
    /// It broke before its first word.
    Broken(Failure),
    /// The client has gone.
    Closed,
}

impl Watches {
    pub(super) fn new(pool: Arc<Pool>, probe: Vec<u8>) -> Self {
        Self { pool, probe, state: Mutex::default(), changed: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for an event, or for something that may have been one.
    pub(super) async fn wait(self: &Arc<Self>, wanted: Wanted) -> Result<(), Error> {
        let (done, answer) = oneshot::channel();
        let _waiting = {
            let mut state = self.state();
            if state.table.len() >= ETCD_WATCHES_MAX {
                return Err(Error::Full { what: "waits at etcd", limit: ETCD_WATCHES_MAX });
            }
            if !state.driven {
                let Ok(runtime) = Handle::try_current() else {
                    return Err(self.pool.unavailable("waiting needs a tokio runtime"));
                };
                state.driven = true;
                runtime.spawn(drive(Arc::clone(self)));
            }
            let id = state.table.add(wanted, done);
            if let Some(sender) = state.sender.take() {
                sender.wake();
            }
            Waiting { watches: Arc::downgrade(self), id }
        };
        self.changed.notify_one();
        answer.await.unwrap_or_else(|_| Err(self.pool.unavailable("the wait was cut short")))
    }

    /// The client has gone.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.changed.notify_one();
    }

    /// Forgets a wait whose caller has gone.
    fn forget(&self, id: i64) {
        let mut state = self.state();
        // What is dropped here is the other end of a channel that nobody reads.
        drop(state.table.remove(id));
        if let Some(sender) = state.sender.take() {
            sender.wake();
        }
    }

    /// Ends all waits.
    fn fail(&self, error: &Error) {
        let all = self.state().table.drain();
        for done in all {
            // Whoever waited may have gone.
            let _ = done.send(Err(error.clone()));
        }
    }

    /// Waits until somebody waits; false when the client has gone.
    async fn wanted(&self) -> bool {
        loop {
            {
                let state = self.state();
                if state.closed {
                    return false;
                }
                if state.table.len() > 0 {
                    return true;
                }
            }
            self.changed.notified().await;
        }
    }

    async fn closed(&self) {
        while !self.state().closed {
            self.changed.notified().await;
        }
    }

    /// Uses one stream until it ends.
    async fn stream(self: &Arc<Self>, link: &Arc<Link>) -> Ended {
        let (number, expired) = {
            let mut state = self.state();
            state.table.restart();
            state.stream += 1;
            (state.stream, state.table.expire(self.pool.revision() - ETCD_HISTORY_MAX))
        };
        for done in expired {
            // Whoever waited may have gone.
            let _ = done.send(Ok(()));
        }
        let requests = Requests { watches: Arc::clone(self), stream: number };
        let reading = pin!(self.read(link, requests));
        let aside = pin!(async {
            let probing = pin!(self.probe(link));
            let retired = pin!(link.retired());
            let closed = pin!(self.closed());
            match select(select(probing, retired), closed).await {
                Either::Left(_) => Ended::Resume,
                Either::Right(_) => Ended::Closed,
            }
        });
        let ended = match select(reading, aside).await {
            Either::Left((ended, _)) | Either::Right((ended, _)) => ended,
        };
        let mut state = self.state();
        state.stream += 1;
        state.table.restart();
        if let Some(sender) = state.sender.take() {
            sender.wake();
        }
        ended
    }

    /// Reads what the server says.
    async fn read(&self, link: &Arc<Link>, requests: Requests) -> Ended {
        let mut answers = match link.watch(requests).await {
            Ok(answers) => answers,
            Err(failure) => return self.broken(link, failure, false),
        };
        let mut spoken = false;
        loop {
            let answer = match answers.message().await {
                Ok(Some(answer)) => answer,
                Ok(None) => {
                    let failure = Failure::Connection("the stream has ended".to_owned());
                    return self.broken(link, failure, spoken);
                }
                Err(status) => return self.broken(link, link.sort(&status), spoken),
            };
            spoken = true;
            let effect = self.state().table.receive(&answer);
            match effect {
                Effect::None => {}
                Effect::End(done, end) => {
                    let told = match end {
                        End::Happened => Ok(()),
                        End::Refused(words) => Err(self.pool.error(Failure::of_words(&words))),
                    };
                    // Whoever waited may have gone.
                    let _ = done.send(told);
                    self.wake_sender();
                }
                Effect::Renew => {
                    self.pool.retire(link, "a watch was refused");
                    return Ended::Resume;
                }
            }
        }
    }

    fn wake_sender(&self) {
        if let Some(sender) = self.state().sender.take() {
            sender.wake();
        }
    }

    fn broken(&self, link: &Arc<Link>, failure: Failure, spoken: bool) -> Ended {
        self.pool.retire(link, "its stream of watches broke");
        if spoken { Ended::Resume } else { Ended::Broken(failure) }
    }

    /// Ends when the member cannot be relied on any more.
    async fn probe(&self, link: &Arc<Link>) {
        let clock = &self.pool.clock;
        let every: Duration = self.pool.options.request_timeout;
        let mut due = link.heard() + every;
        loop {
            clock.sleep_until(due).await;
            due = link.heard() + every;
            if due > clock.monotonic() {
                continue;
            }
            if self.state().table.len() == 0 {
                due = clock.monotonic() + every;
                continue;
            }
            let key = self.probe.clone();
            let request = RangeRequest { key, count_only: true, ..RangeRequest::default() };
            let answer: Result<RangeResponse, Failure> =
                self.pool.call_on(link, path::RANGE, request).await;
            if matches!(answer, Err(Failure::Silence)) {
                self.pool.retire(link, "silence");
                return;
            }
            // Whatever else went wrong has been dealt with; it is not asked for more often.
            due = clock.monotonic() + every;
        }
    }
}

/// Keeps streams going while the client lives.
async fn drive(watches: Arc<Watches>) {
    /// If the runtime ends before the client, the next wait starts another task on its own.
    struct Driver(Arc<Watches>);
    impl Drop for Driver {
        fn drop(&mut self) {
            self.0.state().driven = false;
            let cut = self.0.pool.unavailable("the runtime that watched has ended");
            self.0.fail(&cut);
        }
    }
    let driver = Driver(watches);
    let watches = &driver.0;
    while watches.wanted().await {
        let link = match watches.pool.link().await {
            Ok(link) => link,
            Err(error) => {
                watches.fail(&error);
                continue;
            }
        };
        match watches.stream(&link).await {
            Ended::Resume => {}
            Ended::Broken(failure) => {
                let error = watches.pool.error(failure);
                watches.fail(&error);
            }
            Ended::Closed => return,
        }
    }
}

/// Somebody waits.
struct Waiting {
    watches: Weak<Watches>,
    id: i64,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if let Some(watches) = self.watches.upgrade() {
            watches.forget(self.id);
        }
    }
}

/// The client's half of a stream.
struct Requests {
    watches: Arc<Watches>,
    stream: u64,
}

impl Stream for Requests {
    type Item = WatchRequest;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<WatchRequest>> {
        let mut state = self.watches.state();
        if state.stream != self.stream || state.closed {
            return Poll::Ready(None);
        }
        match state.table.next() {
            Some(request) => Poll::Ready(Some(request)),
            None => {
                state.sender = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}
