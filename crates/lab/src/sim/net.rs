//! Messages between hosts.
//!
//! A message is late, lost, doubled or overtaken as the faults on its link say. What was sent
//! arrives, or does not, whether its sender still waits or not: a request that was given up may
//! take effect long after. Messages of one link arrive in the order in which they were sent, as over
//! one connection, unless a fault reorders them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use steadfast_time::sim::SimClock;
use steadfast_time::{Clock, Monotonic};
use tokio::sync::oneshot;

use super::host::{Host, Incarnation};
use crate::fault::{Fault, Link, matches};

/// A message that a later one overtakes is late by up to so much.
const REORDER_WINDOW: Duration = Duration::from_millis(100);

/// Nobody listens at that host: it is not running. Heard after a way there and back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("connection refused")]
pub struct Refused;

type Job = BoxFuture<'static, ()>;

/// The links between all hosts. Clones are the same network.
#[derive(Clone)]
pub struct Net {
    shared: Arc<Shared>,
}

struct Shared {
    clock: Clock,
    hosts: BTreeMap<String, (SimClock, Incarnation)>,
    jobs: mpsc::UnboundedSender<Job>,
    state: Mutex<State>,
}

struct State {
    rng: Rng,
    base: Link,
    /// Faults at work, by their number in the schedule.
    faults: BTreeMap<usize, Fault>,
    /// When the last message of a link arrives, and when its wire is free again.
    last: BTreeMap<(String, String), (Monotonic, Monotonic)>,
    sent: u64,
}

/// Carries the messages.
pub(super) struct Carrier {
    jobs: mpsc::UnboundedReceiver<Job>,
}

impl Carrier {
    pub(super) async fn run(mut self) {
        let mut under_way = FuturesUnordered::<Job>::new();
        loop {
            futures::select_biased! {
                job = self.jobs.next() => match job {
                    Some(job) => under_way.push(job),
                    None => return,
                },
                _ = under_way.select_next_some() => {}
            }
        }
    }
}

impl Net {
    pub(super) fn new(
        hosts: &BTreeMap<String, Host>,
        clock: Clock,
        seed: u64,
        base: Link,
    ) -> (Self, Carrier) {
        let (sender, receiver) = mpsc::unbounded();
        let hosts = hosts
            .iter()
            .map(|(name, host)| (name.clone(), (host.sim_clock(), host.incarnation())))
            .collect();
        let state = State {
            rng: Rng::with_seed(seed ^ 0x006e_6574),
            base,
            faults: BTreeMap::new(),
            last: BTreeMap::new(),
            sent: 0,
        };
        let shared = Shared { clock, hosts, jobs: sender, state: Mutex::new(state) };
        (Self { shared: Arc::new(shared) }, Carrier { jobs: receiver })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a fault on the links that it names, or takes it away.
    pub(super) fn set(&self, number: usize, fault: Option<Fault>) {
        let mut state = self.state();
        match fault {
            Some(fault) => state.faults.insert(number, fault),
            None => state.faults.remove(&number),
        };
    }

    pub(super) fn heal(&self) {
        self.state().faults.clear();
    }

    /// Messages sent so far, lost ones included.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.state().sent
    }

    /// Sends a message, and lets `work` run at the other host each time it arrives.
    pub fn post(
        &self,
        from: &str,
        to: &str,
        bytes: usize,
        work: impl Fn() -> BoxFuture<'static, ()> + Send + Sync + 'static,
    ) {
        let arrivals = self.state().transit(from, to, bytes, self.shared.clock.monotonic());
        let (net, to, work) = (self.clone(), to.to_owned(), Arc::new(work));
        self.carry(async move {
            for at in arrivals {
                net.shared.clock.sleep_until(at).await;
                if let Some((work, _)) = net.at(&to, Arc::clone(&work)) {
                    net.carry(work.map(|_| ()));
                }
            }
        });
    }

    /// Sends a request, lets `work` run at the other host each time it arrives, and waits for the
    /// first answer to come back. A lost message is silence: the future does not end, and its
    /// caller needs a deadline. What has arrived is done whether the caller still waits or not.
    ///
    /// # Errors
    /// [`Refused`] when the host is not running.
    pub async fn call<T: Send + 'static>(
        &self,
        from: &str,
        to: &str,
        bytes: usize,
        work: impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static,
    ) -> Result<T, Refused> {
        let arrivals = self.state().transit(from, to, bytes, self.shared.clock.monotonic());
        let (sender, receiver) = oneshot::channel();
        let sender = Arc::new(Mutex::new(Some(sender)));
        let (net, from, to) = (self.clone(), from.to_owned(), to.to_owned());
        let work = Arc::new(work);
        self.carry(async move {
            for at in arrivals {
                net.shared.clock.sleep_until(at).await;
                let (reply, sender) = (net.clone(), Arc::clone(&sender));
                let (from, to) = (from.clone(), to.clone());
                let work = net.at(&to, Arc::clone(&work));
                net.carry(async move {
                    let answer = match work {
                        // A host that is killed in the middle says nothing more.
                        Some((work, incarnation)) => match work.await {
                            Some(answer) if reply.is_same(&to, incarnation) => Ok(answer),
                            _ => return,
                        },
                        None => Err(Refused),
                    };
                    let now = reply.shared.clock.monotonic();
                    let back = reply.state().transit(&to, &from, bytes, now);
                    let Some(&at) = back.first() else { return };
                    reply.shared.clock.sleep_until(at).await;
                    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).take();
                    if let Some(sender) = sender {
                        // Its caller may have given up.
                        let _ = sender.send(answer);
                    }
                });
            }
        });
        match receiver.await {
            Ok(answer) => answer,
            Err(_) => std::future::pending().await,
        }
    }

    fn carry(&self, job: impl Future<Output = ()> + Send + 'static) {
        // The carrier lives as long as the stage.
        let _ = self.shared.jobs.unbounded_send(job.boxed());
    }

    fn is_same(&self, host: &str, incarnation: u64) -> bool {
        self.shared.hosts.get(host).is_none_or(|(_, now)| now.get() == incarnation)
    }

    /// Work on a host, under its clock, until the host is killed; none when it is not running.
    fn at<T: Send + 'static>(
        &self,
        host: &str,
        work: Arc<impl Fn() -> BoxFuture<'static, T> + Send + Sync + 'static>,
    ) -> Option<(BoxFuture<'static, Option<T>>, u64)> {
        // Nothing of it happens before the host takes it up.
        let work = async move { work().await };
        // A client that is no host is always there.
        let Some((clock, incarnation)) = self.shared.hosts.get(host) else {
            return Some((work.map(Some).boxed(), 0));
        };
        let born = incarnation.get();
        if !Incarnation::is_up(born) {
            return None;
        }
        let incarnation = incarnation.clone();
        let mut work = Box::pin(work);
        let living = std::future::poll_fn(move |context| {
            if incarnation.get() != born {
                return std::task::Poll::Ready(None);
            }
            work.as_mut().poll(context).map(Some)
        });
        Some((clock.run(living).boxed(), born))
    }
}

impl State {
    /// When the copies of a message arrive; none when it is lost.
    fn transit(&mut self, from: &str, to: &str, bytes: usize, now: Monotonic) -> Vec<Monotonic> {
        self.sent += 1;
        if from == to {
            return vec![now];
        }
        let mut link = self.base;
        for fault in self.faults.values() {
            match fault {
                Fault::Partition { from: a, to: b, one_way }
                    if concerns(a, b, !one_way, from, to) =>
                {
                    return Vec::new();
                }
                Fault::Link { from: a, to: b, both_ways, link: fault }
                    if concerns(a, b, *both_ways, from, to) =>
                {
                    link = both(link, *fault);
                }
                _ => {}
            }
        }
        if self.rng.f64() < link.loss {
            return Vec::new();
        }
        let copies = 1 + usize::from(self.rng.f64() < link.duplicate);
        let wire = link.bandwidth.map_or(Duration::ZERO, |rate| {
            Duration::try_from_secs_f64(bytes as f64 / rate).unwrap_or(Duration::MAX)
        });
        let key = (from.to_owned(), to.to_owned());
        let (last, free) = self.last.get(&key).copied().unwrap_or((now, now));
        let free = free.max(now) + wire;
        let mut arrivals = Vec::with_capacity(copies);
        let mut latest = last;
        for _ in 0..copies {
            let delay = link.delay + link.jitter.mul_f64(self.rng.f64());
            if self.rng.f64() < link.reorder {
                // It does not hold the others up.
                let late = REORDER_WINDOW.mul_f64(self.rng.f64());
                arrivals.push(free + delay + late);
            } else {
                latest = latest.max(free + delay);
                arrivals.push(latest);
            }
        }
        self.last.insert(key, (latest, free));
        arrivals.sort_unstable();
        arrivals
    }
}

fn concerns(a: &str, b: &str, both_ways: bool, from: &str, to: &str) -> bool {
    (matches(a, from) && matches(b, to)) || (both_ways && matches(a, to) && matches(b, from))
}

/// Two faults on one link.
fn both(first: Link, second: Link) -> Link {
    let either = |a: f64, b: f64| 1.0 - (1.0 - a) * (1.0 - b);
    Link {
        delay: first.delay + second.delay,
        jitter: first.jitter + second.jitter,
        loss: either(first.loss, second.loss),
        duplicate: either(first.duplicate, second.duplicate),
        reorder: either(first.reorder, second.reorder),
        bandwidth: match (first.bandwidth, second.bandwidth) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        },
    }
}
