//! A small world for clients: a server on a disk, a network, and nodes that can be stopped.
#![allow(dead_code, reason = "each test uses a part of it")]

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use steadfast_coordination::Options;
use steadfast_coordination::client::{Client, Stalls};
use steadfast_coordination::engine::memory::{Disk, Link, Memory, Net};
use steadfast_coordination::event::Event;
use steadfast_coordination::port::{Coordinator, Entry, Name};
use steadfast_time::sim::Simulation;
use steadfast_time::{Clock, Ids, Interval, Monotonic, Sleep, Source};

pub fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Two seconds, of which 1.95 can be used, renewed after 0.67; asks five times a second.
pub fn options() -> Options {
    Options { length: ms(2_000), round_trip: ms(48), ask_every: ms(200), ..Options::default() }
}

/// What stops a process, and remembers that it did.
#[derive(Default)]
pub struct Process {
    state: Mutex<ProcessState>,
}

#[derive(Default)]
struct ProcessState {
    stopped: Option<Monotonic>,
    wakers: Vec<Waker>,
    stalls: Vec<(Monotonic, Monotonic)>,
    /// Whether its clock stands still with it.
    suspended: bool,
}

impl Process {
    pub fn stop(&self, now: Monotonic) {
        self.state.lock().unwrap().stopped.get_or_insert(now);
    }

    pub fn resume(&self, now: Monotonic) {
        let mut state = self.state.lock().unwrap();
        if let Some(stopped) = state.stopped.take() {
            state.stalls.push((stopped, now));
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl Stalls for Process {
    fn since(&self, since: Monotonic, _now: Monotonic) -> Duration {
        let state = self.state.lock().unwrap();
        // By the process' own clock, if that stood still as well.
        let mut away = Duration::ZERO;
        let mut longest = Duration::ZERO;
        for (start, end) in &state.stalls {
            let length = *end - *start;
            away += if state.suspended { length } else { Duration::ZERO };
            if end.since_start() - away >= since.since_start() {
                longest = longest.max(length);
            }
        }
        longest
    }
}

/// A task of a process: it stands still when the process does.
pub struct Task<F> {
    process: Arc<Process>,
    work: Pin<Box<F>>,
}

impl<F: Future> Future for Task<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let mut state = self.process.state.lock().unwrap();
        if state.stopped.is_some() {
            state.wakers.push(context.waker().clone());
            return Poll::Pending;
        }
        drop(state);
        self.work.as_mut().poll(context)
    }
}

/// A clock that stands still with its process, as the monotonic clock of a suspended machine.
pub struct SuspendedClock {
    pub clock: Clock,
    pub process: Arc<Process>,
}

impl SuspendedClock {
    fn away(&self) -> Duration {
        let state = self.process.state.lock().unwrap();
        let now = self.clock.monotonic();
        let current = state.stopped.map_or(Duration::ZERO, |since| now - since);
        state.stalls.iter().map(|(start, end)| *end - *start).sum::<Duration>() + current
    }
}

impl Source for SuspendedClock {
    fn monotonic(&self) -> Monotonic {
        let now = self.clock.monotonic().since_start();
        Monotonic::from_start(now - self.away())
    }

    fn interval(&self) -> Interval {
        self.clock.interval()
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        let clock = self.clock.clone();
        let own = Self { clock: clock.clone(), process: Arc::clone(&self.process) };
        Box::pin(async move {
            while own.monotonic() < deadline {
                clock.sleep(deadline - own.monotonic()).await;
            }
        })
    }
}

/// A process with a client in it.
#[derive(Clone)]
pub struct Node {
    pub client: Client,
    pub link: Arc<Link>,
    pub process: Arc<Process>,
    pub events: Arc<Mutex<Vec<Event>>>,
    /// Whether the keeper has ended.
    pub ended: Rc<RefCell<bool>>,
    clock: Clock,
}

impl Node {
    pub fn stop(&self) {
        self.process.stop(self.clock.monotonic());
    }

    pub fn resume(&self) {
        self.process.resume(self.clock.monotonic());
    }

    /// What happens in this process.
    pub fn task<F: Future>(&self, work: F) -> Task<F> {
        Task { process: Arc::clone(&self.process), work: Box::pin(work) }
    }

    pub fn count(&self, which: impl Fn(&Event) -> bool) -> usize {
        self.events.lock().unwrap().iter().filter(|event| which(event)).count()
    }

    pub fn lost_sessions(&self) -> usize {
        self.count(|event| matches!(event, Event::SessionLost { .. }))
    }
}

pub struct World {
    pub sim: Simulation,
    pub disk: Disk,
    pub net: Net,
    pub server: Rc<RefCell<Memory>>,
    nodes: u64,
}

impl World {
    pub fn new(seed: u64) -> Self {
        let sim = Simulation::new(seed);
        let (disk, clock) = (Disk::new(), sim.clock());
        let memory = Memory::open(&disk, clock.clone());
        let (net, carrier) = Net::new(Arc::new(memory.clone()), clock, seed);
        sim.spawn(carrier.run());
        Self { sim, disk, net, server: Rc::new(RefCell::new(memory)), nodes: 0 }
    }

    pub fn clock(&self) -> Clock {
        self.sim.clock()
    }

    pub fn node(&mut self) -> Node {
        self.node_with(options(), false, |link| link)
    }

    /// A node with a client whose way to the server is wrapped into something.
    pub fn node_with(
        &mut self,
        options: Options,
        suspended: bool,
        wrap: impl FnOnce(Arc<dyn Coordinator>) -> Arc<dyn Coordinator>,
    ) -> Node {
        self.nodes += 1;
        let (link, process) = (self.net.link(), Arc::<Process>::default());
        process.state.lock().unwrap().suspended = suspended;
        let clock = if suspended {
            let (clock, process) = (self.clock(), Arc::clone(&process));
            Clock::new(Arc::new(SuspendedClock { clock, process }))
        } else {
            self.clock()
        };
        let (client, keeper) = Client::new(wrap(link.clone()), clock, options).unwrap();
        let client = client
            .with_ids(Arc::new(Ids::seeded(self.nodes)))
            .with_owner(&format!("node {}", self.nodes));
        let events = Arc::<Mutex<Vec<Event>>>::default();
        let log = Arc::clone(&events);
        client.listen(Arc::new(move |event: &Event| log.lock().unwrap().push(event.clone())));
        let ended = Rc::<RefCell<bool>>::default();
        let node = Node { client, link, process, events, ended, clock: self.clock() };
        let end = Rc::clone(&node.ended);
        self.sim.spawn(node.task(async move {
            keeper.run().await;
            *end.borrow_mut() = true;
        }));
        node
    }

    pub fn spawn(&self, node: &Node, work: impl Future<Output = ()> + 'static) {
        self.sim.spawn(node.task(work));
    }

    /// What the server itself has in a queue.
    pub fn entries(&mut self, queue: &Name) -> Vec<Entry> {
        let (server, queue) = (self.server.borrow().clone(), queue.clone());
        self.sim.block_on(async move { server.list(&queue, None).await.unwrap().entries })
    }

    /// The queues that have entries.
    pub fn queues(&mut self) -> Vec<Name> {
        let server = self.server.borrow().clone();
        self.sim.block_on(async move { server.queues(None).await.unwrap() })
    }

    /// Kills the server and starts it again after a while.
    pub fn restart(&mut self, after: Duration) {
        self.net.set_server(None);
        self.sim.run_for(after);
        let memory = Memory::open(&self.disk, self.clock());
        self.net.set_server(Some(Arc::new(memory.clone())));
        *self.server.borrow_mut() = memory;
    }
}
