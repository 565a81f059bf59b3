//! A client's connection: many requests on their way at once.
//!
//! Requests are appended to a buffer, which the connection's task writes when the tasks that are
//! about to ask something have done so; answers come back by the number of their request.

use std::collections::HashMap;
use std::io;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::future::{Either, select};
use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

use super::ask::{Ask, Reply};
use super::wire::{self, Malformed, Status};
use crate::limits::{EMBEDDED_ANSWER_BYTES_MAX, EMBEDDED_GREETING_MAX, EMBEDDED_UNSENT_BYTES_MAX};

/// What is read at once, in bytes.
const READ_BYTES: usize = 64 * 1_024;

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum Failure {
    /// It may be different later.
    Unavailable(Arc<str>),
    /// It will not.
    Refused(Arc<str>),
}

/// Why a request has no answer.
#[derive(Debug)]
pub(super) enum Unanswered {
    Broken(Arc<str>),
    /// So many bytes wait to be sent.
    Full,
}

#[derive(Debug, Default)]
struct State {
    unsent: Vec<u8>,
    waiting: HashMap<u64, oneshot::Sender<Reply>>,
    next: u64,
    broken: Option<Arc<str>>,
}

/// See the module. The connection ends when nobody has it any more.
#[derive(Debug, Default)]
pub(super) struct Link {
    state: Mutex<State>,
    /// Told when there is something to send, or the connection is to end.
    more: Notify,
}

impl Link {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Connects, and starts the connection's task on this runtime.
    pub(super) async fn connect(path: &std::path::Path, clock: &Clock) -> Result<Handle, Failure> {
        let unavailable = |error: io::Error| Failure::Unavailable(error.to_string().into());
        let greeted = clock.timeout(EMBEDDED_GREETING_MAX, async {
            let mut stream = UnixStream::connect(path).await.map_err(unavailable)?;
            greet(&mut stream).await?;
            Ok(stream)
        });
        let stream = greeted.await.unwrap_or_else(|_| {
            let reason = format!(
                "nothing was said within {EMBEDDED_GREETING_MAX:?}; the server stands still, or is \
                 of another kind"
            );
            Err(Failure::Unavailable(reason.into()))
        })?;
        let link = Arc::<Self>::default();
        let task = Arc::clone(&link);
        tokio::spawn(async move { task.drive(stream).await });
        Ok(Handle(link))
    }

    pub(super) fn is_broken(&self) -> bool {
        self.state().broken.is_some()
    }

    /// Sends a request and waits for the answer. Dropped, it leaves nothing behind.
    pub(super) async fn ask(&self, ask: &Ask) -> Result<Reply, Unanswered> {
        let (to, answer) = oneshot::channel();
        let (request, is_first) = {
            let mut state = self.state();
            if let Some(reason) = &state.broken {
                return Err(Unanswered::Broken(Arc::clone(reason)));
            }
            if state.unsent.len() >= EMBEDDED_UNSENT_BYTES_MAX {
                return Err(Unanswered::Full);
            }
            let request = state.next;
            state.next += 1;
            let is_first = state.unsent.is_empty();
            wire::append(request, ask, &mut state.unsent);
            state.waiting.insert(request, to);
            (request, is_first)
        };
        let mut forget = Forget { link: self, request, is_wait: ask.is_wait(), is_armed: true };
        if is_first {
            self.more.notify_one();
        }
        let reply = answer.await;
        forget.is_armed = false;
        reply.map_err(|_| {
            let reason = self.state().broken.clone();
            Unanswered::Broken(reason.unwrap_or_else(|| "the connection has ended".into()))
        })
    }

    /// Ends the connection: nothing is sent any more, and who waits hears why.
    fn end(&self, reason: &str) {
        let waiting = {
            let mut state = self.state();
            state.broken.get_or_insert_with(|| reason.into());
            state.unsent = Vec::new();
            std::mem::take(&mut state.waiting)
        };
        drop(waiting);
        self.more.notify_one();
    }

    async fn drive(self: Arc<Self>, stream: UnixStream) {
        /// Also when the runtime drops the task.
        struct OnDrop(Arc<Link>);
        impl Drop for OnDrop {
            fn drop(&mut self) {
                self.0.end("the client's runtime has ended");
            }
        }
        let link = OnDrop(self);
        let (read, write) = stream.into_split();
        let reading = pin!(link.0.read(read));
        let writing = pin!(link.0.write(write));
        let reason = match select(reading, writing).await {
            Either::Left((reason, _)) | Either::Right((reason, _)) => reason,
        };
        link.0.end(&reason);
    }

    /// Writes what there is to write, until the connection is broken.
    async fn write(&self, mut stream: OwnedWriteHalf) -> String {
        let mut sending = Vec::new();
        loop {
            self.more.notified().await;
            // Whoever is about to ask something does so first.
            tokio::task::yield_now().await;
            {
                let mut state = self.state();
                if let Some(reason) = &state.broken {
                    return reason.to_string();
                }
                std::mem::swap(&mut state.unsent, &mut sending);
            }
            if let Err(error) = stream.write_all(&sending).await {
                return format!("the connection broke: {error}");
            }
            sending.clear();
            sending.shrink_to(READ_BYTES);
        }
    }

    /// Hands out answers, until the connection is broken.
    async fn read(&self, mut stream: OwnedReadHalf) -> String {
        let mut buffer = vec![0; READ_BYTES];
        let mut filled = 0;
        let mut answers = Vec::new();
        loop {
            if filled == buffer.len() {
                buffer.resize(buffer.len() * 2, 0);
            }
            match stream.read(&mut buffer[filled..]).await {
                Ok(0) => return "the server has closed the connection".to_owned(),
                Ok(read) => filled += read,
                Err(error) => return format!("the connection broke: {error}"),
            }
            let mut rest = &buffer[..filled];
            let read = take_answers(&mut rest, &mut answers);
            let left = rest.len();
            buffer.copy_within(filled - left..filled, 0);
            filled = left;
            if filled < READ_BYTES {
                buffer.truncate(READ_BYTES);
            }
            self.hand_out(&mut answers);
            if let Err(error) = read {
                return format!("the server's answer cannot be read: {error}");
            }
        }
    }

    fn hand_out(&self, answers: &mut Vec<(u64, Reply)>) {
        let mut ready = Vec::with_capacity(answers.len());
        {
            let mut state = self.state();
            for (request, reply) in answers.drain(..) {
                // Whoever does not wait any more has removed itself.
                if let Some(to) = state.waiting.remove(&request) {
                    ready.push((to, reply));
                }
            }
        }
        for (to, reply) in ready {
            let _ = to.send(reply);
        }
    }
}

/// Reads all whole frames.
fn take_answers(rest: &mut &[u8], answers: &mut Vec<(u64, Reply)>) -> Result<(), Malformed> {
    while let Some((frame, taken)) = wire::split(rest, EMBEDDED_ANSWER_BYTES_MAX)? {
        answers.push(wire::decode(frame)?);
        *rest = &rest[taken..];
    }
    Ok(())
}

/// A request that is forgotten when nobody waits for its answer.
struct Forget<'a> {
    link: &'a Link,
    request: u64,
    is_wait: bool,
    is_armed: bool,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let mut state = self.link.state();
        let is_known = state.waiting.remove(&self.request).is_some();
        if is_known && self.is_wait && state.broken.is_none() {
            let is_first = state.unsent.is_empty();
            let request = state.next;
            state.next += 1;
            wire::append(request, &Ask::Cancel(self.request), &mut state.unsent);
            drop(state);
            if is_first {
                self.link.more.notify_one();
            }
        }
    }
}

/// A connection that ends when it is dropped.
#[derive(Debug)]
pub(super) struct Handle(Arc<Link>);

impl std::ops::Deref for Handle {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.0.end("the client has closed the connection");
    }
}

async fn greet(stream: &mut UnixStream) -> Result<(), Failure> {
    let unavailable = |error: io::Error| Failure::Unavailable(error.to_string().into());
    stream.write_all(&wire::greeting()).await.map_err(unavailable)?;
    let mut bytes = [0; wire::GREETING];
    let mut filled = 0;
    loop {
        let read = stream.read(&mut bytes[filled..]).await.map_err(unavailable)?;
        if read == 0 {
            let reason = "the connection was closed without a word; the server is stopping, or is \
                          of another kind";
            return Err(Failure::Unavailable(reason.into()));
        }
        filled += read;
        match wire::read_welcome(&bytes[..filled]) {
            Ok(None) => {}
            Ok(Some(Status::Welcome)) => return Ok(()),
            Ok(Some(_)) => {
                let reason = "it has all the connections that it may have";
                return Err(Failure::Unavailable(reason.into()));
            }
            Err(error) => {
                let start = &bytes[..filled];
                return Err(Failure::Refused(describe(stream, start, &error).into()));
            }
        }
    }
}

/// What is wrong with a server, with as much of its own words as are there.
fn describe(stream: &UnixStream, start: &[u8], error: &Malformed) -> String {
    let Malformed::Greeting(_) = error else { return error.to_string() };
    let mut words = start.to_vec();
    let mut more = [0; 64];
    if let Ok(read) = stream.try_read(&mut more) {
        words.extend_from_slice(&more[..read]);
    }
    let words = String::from_utf8_lossy(&words);
    let words = words.trim_end();
    format!("no coordination server is at this address, but one that says {words:?}")
}
