//! A network that loses, delays and cuts, between clients and a server, for simulations.
//!
//! A client that has only met a server that answers has not been tried. [`Net`] stands for the
//! network and for the server's process: [`Link`]s are the clients' ways to it, and the
//! [`Carrier`] carries their messages. What a client has sent arrives, or is lost, whether the
//! client still waits for the answer or not: a request that was given up at its deadline may take
//! effect long after.
//!
//! Requests on one link arrive in the order in which they were sent, as over one connection;
//! answers may overtake each other. Everything that is drawn comes from one seeded generator, so a
//! simulation repeats itself.
//!
//! # Limits
//! An answer that was lost is silence, not an error, unless [`Faults::silence`] says otherwise: the
//! caller has to have a deadline.

use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::time::Duration;

use fastrand::Rng;
use futures::channel::mpsc;
use futures::future::{BoxFuture, Either, select};
use futures::stream::FuturesUnordered;
use futures::{FutureExt, StreamExt};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Monotonic};
use tokio::sync::oneshot;

use crate::port::{
    Capabilities, Coordinator, Error, Listing, Name, Opened, Place, Register, Request, SessionId,
};

/// What goes wrong on all links.
#[derive(Clone, Debug, PartialEq)]
pub struct Faults {
    /// The share of requests that are lost, 0 to 1.
    pub lost_requests: f64,
    /// The share of answers that are lost, 0 to 1: the server has done it, nobody hears of it.
    pub lost_answers: f64,
    /// How long a message is under way, each way; drawn evenly.
    pub delay: RangeInclusive<Duration>,
    /// After how long a client hears that there will be no answer; `None` for never.
    pub silence: Option<Duration>,
}

impl Default for Faults {
    /// Nothing goes wrong, and nothing takes time.
    fn default() -> Self {
        Self {
            lost_requests: 0.0,
            lost_answers: 0.0,
            delay: Duration::ZERO..=Duration::ZERO,
            silence: None,
        }
    }
}

/// What does not get through on one link. The connection stays open: nobody is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// Everything gets through.
    #[default]
    Nothing,
    /// Requests do not.
    Requests,
    /// Answers do not.
    Answers,
    /// Neither does.
    Both,
}

type Job = BoxFuture<'static, ()>;
type Server = Arc<dyn Coordinator>;

/// The network and the server at its end. Clones are the same.
#[derive(Clone)]
pub struct Net {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    capabilities: Capabilities,
    jobs: mpsc::UnboundedSender<Job>,
    state: Mutex<State>,
}

struct State {
    server: Option<Server>,
    faults: Faults,
    rng: Rng,
    frozen: bool,
    /// Those who go on when it thaws, in the order in which they came.
    thaw: Vec<oneshot::Sender<()>>,
}

/// Carries the messages. A simulation spawns [`Carrier::run`]; without it nothing arrives.
pub struct Carrier {
    jobs: mpsc::UnboundedReceiver<Job>,
}

impl Carrier {
    /// Carries messages until the network and all its links are gone.
    pub async fn run(mut self) {
        let mut under_way = FuturesUnordered::<Job>::new();
        std::future::poll_fn(|context| {
            let is_open = loop {
                match self.jobs.poll_next_unpin(context) {
                    Poll::Ready(Some(job)) => under_way.push(job),
                    Poll::Ready(None) => break false,
                    Poll::Pending => break true,
                }
            };
            loop {
                match under_way.poll_next_unpin(context) {
                    Poll::Ready(Some(())) => {}
                    Poll::Ready(None) if !is_open => return Poll::Ready(()),
                    Poll::Ready(None) | Poll::Pending => return Poll::Pending,
                }
            }
        })
        .await;
    }
}

impl Net {
    /// A network to a server, without faults.
    #[must_use]
    pub fn new(server: Arc<dyn Coordinator>, clock: Clock, seed: u64) -> (Self, Carrier) {
        let (sender, receiver) = mpsc::unbounded();
        let state = State {
            faults: Faults::default(),
            rng: Rng::with_seed(seed),
            frozen: false,
            thaw: Vec::new(),
            server: None,
        };
        let shared = Shared {
            clock,
            capabilities: server.capabilities(),
            jobs: sender,
            state: Mutex::new(State { server: Some(server), ..state }),
        };
        (Self { shared: Arc::new(shared) }, Carrier { jobs: receiver })
    }

    /// A way to the server for one client.
    #[must_use]
    pub fn link(&self) -> Arc<Link> {
        Arc::new(Link { shared: Arc::clone(&self.shared), state: Arc::default() })
    }

    /// Sets what goes wrong from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.shared.state().faults = faults;
    }

    /// Puts another server at the address, as after a restart; with `None` there is none, and
    /// requests that arrive are answered with [`Error::Unavailable`].
    pub fn set_server(&self, server: Option<Arc<dyn Coordinator>>) {
        let before = std::mem::replace(&mut self.shared.state().server, server);
        drop(before);
    }

    /// Stops the server's process as SIGSTOP does: requests wait at its door, and its clock goes on.
    pub fn freeze(&self) {
        self.shared.state().frozen = true;
    }

    /// Lets it go on.
    pub fn thaw(&self) {
        let mut state = self.shared.state();
        state.frozen = false;
        let waiting = std::mem::take(&mut state.thaw);
        drop(state);
        drop(waiting);
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn thawed(&self) {
        loop {
            let (sender, receiver) = oneshot::channel();
            {
                let mut state = self.state();
                if !state.frozen {
                    return;
                }
                state.thaw.push(sender);
            }
            drop(receiver.await);
        }
    }

    /// Draws a message's fate: whether it is lost, and how long it takes.
    fn draw(&self, share: impl Fn(&Faults) -> f64) -> (bool, Duration) {
        let mut state = self.state();
        let lost = share(&state.faults);
        let (least, most) = (*state.faults.delay.start(), *state.faults.delay.end());
        let is_lost = state.rng.f64() < lost;
        let delay = least + most.saturating_sub(least).mul_f64(state.rng.f64());
        (is_lost, delay)
    }

    fn unavailable(&self, reason: &str) -> Error {
        let engine = self.capabilities.engine;
        Error::Unavailable { engine, address: "net".into(), reason: reason.into() }
    }
}

/// One client's way to the server.
pub struct Link {
    shared: Arc<Shared>,
    state: Arc<Mutex<Way>>,
}

#[derive(Debug, Default)]
struct Way {
    cut: Cut,
    /// When the last request arrives: the next one does not overtake it.
    last: Monotonic,
}

fn way(state: &Mutex<Way>) -> MutexGuard<'_, Way> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Link {
    /// Sets what does not get through from now on; what arrives later is concerned, too.
    pub fn cut(&self, cut: Cut) {
        way(&self.state).cut = cut;
    }

    /// Lets everything through again. What was lost stays lost.
    pub fn heal(&self) {
        self.cut(Cut::Nothing);
    }

    /// Sends a request on its way and waits for the answer. A `wait` is given up at the server
    /// when the client gives it up; anything else is done there in any case.
    fn call<'a, T: Send + 'static>(
        &'a self,
        wait: bool,
        ask: impl FnOnce(Server) -> BoxFuture<'static, Result<T, Error>> + Send + 'static,
    ) -> BoxFuture<'a, Result<T, Error>> {
        Box::pin(async move {
            let (sender, receiver) = oneshot::channel();
            let (is_lost, delay) = self.shared.draw(|faults| faults.lost_requests);
            let arrival = {
                let mut way = way(&self.state);
                way.last = way.last.max(self.shared.clock.monotonic() + delay);
                way.last
            };
            let (shared, state) = (Arc::clone(&self.shared), Arc::clone(&self.state));
            let job = carry(shared, state, arrival, is_lost, wait, sender, ask);
            if self.shared.jobs.unbounded_send(job.boxed()).is_err() {
                return Err(self.shared.unavailable("nothing carries the messages"));
            }
            if let Ok(result) = receiver.await {
                return result;
            }
            let silence = self.shared.state().faults.silence;
            match silence {
                Some(silence) => self.shared.clock.sleep(silence).await,
                None => std::future::pending().await,
            }
            Err(self.shared.unavailable("no answer"))
        })
    }
}

/// A request's way to the server, and its answer's way back.
async fn carry<T: Send + 'static>(
    shared: Arc<Shared>,
    state: Arc<Mutex<Way>>,
    arrival: Monotonic,
    is_lost: bool,
    wait: bool,
    mut sender: oneshot::Sender<Result<T, Error>>,
    ask: impl FnOnce(Server) -> BoxFuture<'static, Result<T, Error>> + Send,
) {
    shared.clock.sleep_until(arrival).await;
    if is_lost || matches!(way(&state).cut, Cut::Requests | Cut::Both) {
        return;
    }
    shared.thawed().await;
    let server = shared.state().server.clone();
    let result = match server {
        None => Err(shared.unavailable("nobody listens there")),
        Some(server) if wait => match select(ask(server), Box::pin(sender.closed())).await {
            Either::Left((result, _)) => result,
            Either::Right(_) => return,
        },
        Some(server) => ask(server).await,
    };
    shared.thawed().await;
    let (is_lost, delay) = shared.draw(|faults| faults.lost_answers);
    shared.clock.sleep(delay).await;
    if is_lost || matches!(way(&state).cut, Cut::Answers | Cut::Both) {
        return;
    }
    drop(sender.send(result));
}

impl Coordinator for Link {
    fn capabilities(&self) -> Capabilities {
        self.shared.capabilities
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        self.call(false, move |server| async move { server.open(length).await }.boxed())
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.call(false, move |server| async move { server.renew(session).await }.boxed())
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        self.call(false, move |server| async move { server.close(session).await }.boxed())
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        let Request { session, id, mode, value, wait } = request;
        let (queue, value) = (queue.clone(), value.to_vec());
        self.call(false, move |server| {
            async move {
                let request = Request { session, id, mode, value: &value, wait };
                server.enter(&queue, request).await
            }
            .boxed()
        })
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        let queue = queue.clone();
        self.call(false, move |server| async move { server.place(&queue, token).await }.boxed())
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        self.call(true, move |server| async move { server.gone(&queue, token).await }.boxed())
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        let queue = queue.clone();
        self.call(false, move |server| async move { server.leave(&queue, token).await }.boxed())
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        let (queue, value) = (queue.clone(), value.to_vec());
        self.call(false, move |server| {
            async move { server.set(&queue, token, &value).await }.boxed()
        })
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        let queue = queue.clone();
        self.call(true, move |server| async move { server.list(&queue, since).await }.boxed())
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        let after = after.cloned();
        self.call(false, move |server| async move { server.queues(after.as_ref()).await }.boxed())
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        let register = register.clone();
        self.call(false, move |server| async move { server.load(&register).await }.boxed())
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        let (register, value) = (register.clone(), value.to_vec());
        self.call(false, move |server| {
            async move { server.store(&register, expected, &value).await }.boxed()
        })
    }
}
