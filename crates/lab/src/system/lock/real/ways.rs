//! Each worker's way to the coordinator, where faults of links are to hit it: a proxy of bytes.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::{COORDINATOR, settings};
use crate::fault::{Fault, Link, matches};
use crate::real::Failure;
use crate::real::engine::Engine;
use crate::real::tcp_proxy::{Direction, Pace, Proxy};

/// What a proxy of bytes can do to a link, in words that say what it cannot.
pub(super) fn can_be_had(fault: &Fault, nodes: &[String]) -> Result<(), String> {
    let (from, to) = match fault {
        Fault::Link { from, to, link, .. } => {
            let Link { delay: _, bandwidth: _, jitter, loss, duplicate, reorder } = *link;
            if !jitter.is_zero() || loss > 0.0 || duplicate > 0.0 || reorder > 0.0 {
                return Err("between processes a link can be late (delay) and slow (bandwidth); \
                            jitter, loss, duplicate and reorder are simulated only"
                    .to_owned());
            }
            (from, to)
        }
        Fault::Partition { from, to, .. } => (from, to),
        _ => return Ok(()),
    };
    let all = |pattern: &str, is_one: fn(&str) -> bool| {
        nodes.iter().filter(|node| matches(pattern, node)).all(|node| is_one(node))
    };
    let ends = |one: &str, other: &str| all(one, is_worker) && all(other, |it| it == COORDINATOR);
    if ends(from, to) || ends(to, from) {
        return Ok(());
    }
    Err(format!(
        "{fault}: between processes only the links of workers to the coordinator can be hit"
    ))
}

fn is_worker(node: &str) -> bool {
    node.starts_with("worker-")
}

/// One proxy for each worker, and the faults at work.
#[derive(Debug)]
pub(super) struct Ways {
    proxies: Vec<(String, Proxy)>,
    faults: BTreeMap<usize, Fault>,
}

impl Ways {
    /// A way for each worker, and the engine as that one finds it. Without faults of links there are
    /// none, and all go straight to the engine.
    pub async fn new(
        workers: u32,
        are_needed: bool,
        engine: &Engine,
        folder: &Path,
    ) -> Result<(Self, Vec<Engine>), Failure> {
        let (mut proxies, mut engines) = (Vec::new(), Vec::new());
        for number in 1..=workers {
            if !are_needed {
                engines.push(engine.clone());
                continue;
            }
            let name = settings::worker(number);
            let (proxy, through) = engine.through(&folder.join(&name)).await?;
            proxies.push((name, proxy));
            engines.push(through);
        }
        Ok((Self { proxies, faults: BTreeMap::new() }, engines))
    }

    /// A fault of the schedule begins or ends.
    pub fn apply(&mut self, number: usize, fault: &Fault, begins: bool) {
        if begins {
            self.faults.insert(number, fault.clone());
        } else {
            self.faults.remove(&number);
        }
        for (worker, proxy) in &self.proxies {
            for (direction, from, to) in [
                (Direction::Requests, worker.as_str(), COORDINATOR),
                (Direction::Answers, COORDINATOR, worker.as_str()),
            ] {
                let (is_held, pace) = self.state(from, to);
                proxy.pace(direction, pace);
                if is_held { proxy.hold(direction) } else { proxy.release(direction) }
            }
        }
    }

    /// Ends all faults.
    pub fn heal(&mut self) {
        for number in self.faults.keys().copied().collect::<Vec<_>>() {
            let Some(fault) = self.faults.get(&number).cloned() else { continue };
            self.apply(number, &fault, false);
        }
    }

    /// What all faults at work do to a direction.
    fn state(&self, from: &str, to: &str) -> (bool, Pace) {
        let concerns = |a: &str, b: &str, both: bool| {
            (matches(a, from) && matches(b, to)) || (both && matches(a, to) && matches(b, from))
        };
        let (mut is_held, mut delay, mut rate) = (false, Duration::ZERO, None::<f64>);
        for fault in self.faults.values() {
            match fault {
                Fault::Partition { from: a, to: b, one_way } if concerns(a, b, !one_way) => {
                    is_held = true;
                }
                Fault::Link { from: a, to: b, both_ways, link } if concerns(a, b, *both_ways) => {
                    delay += link.delay;
                    rate = match (rate, link.bandwidth) {
                        (Some(one), Some(other)) => Some(one.min(other)),
                        (one, other) => one.or(other),
                    };
                }
                _ => {}
            }
        }
        (is_held, Pace { delay, bytes_per_second: rate })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(from: &str, to: &str, link: Link) -> Fault {
        Fault::Link { from: from.to_owned(), to: to.to_owned(), both_ways: false, link }
    }

    #[test]
    fn only_what_a_proxy_of_bytes_can_do_is_taken() {
        let nodes = ["worker-1", "worker-2", "coordinator", "storage"].map(str::to_owned);
        let late = Link { delay: Duration::from_millis(5), ..Link::default() };
        let lossy = Link { loss: 0.1, ..late };
        let refusal = |fault| can_be_had(&fault, &nodes).unwrap_err();
        assert_eq!(can_be_had(&link("worker-*", "coordinator", late), &nodes), Ok(()));
        assert_eq!(can_be_had(&link("coordinator", "worker-2", late), &nodes), Ok(()));
        assert!(refusal(link("worker-1", "coordinator", lossy)).contains("simulated only"));
        assert!(refusal(link("worker-1", "storage", late)).contains("worker-1 -> storage"));
        assert!(refusal(link("worker-1", "*", late)).contains("only the links"));
    }

    #[test]
    fn faults_of_one_link_add_up_in_their_direction_only() {
        let of = |millis, bandwidth| Link {
            delay: Duration::from_millis(millis),
            bandwidth,
            ..Link::default()
        };
        let cut =
            Fault::Partition { from: "coordinator".into(), to: "worker-2".into(), one_way: true };
        let faults = [
            link("worker-*", "coordinator", of(5, Some(100.0))),
            link("worker-1", "coordinator", of(7, Some(50.0))),
            cut,
        ];
        let faults = faults.into_iter().enumerate().collect();
        let ways = Ways { proxies: Vec::new(), faults };
        let pace =
            |millis, rate| Pace { delay: Duration::from_millis(millis), bytes_per_second: rate };
        assert_eq!(ways.state("worker-1", COORDINATOR), (false, pace(12, Some(50.0))));
        assert_eq!(ways.state("worker-2", COORDINATOR), (false, pace(5, Some(100.0))));
        assert_eq!(ways.state(COORDINATOR, "worker-2"), (true, Pace::default()));
        assert_eq!(ways.state(COORDINATOR, "worker-1"), (false, Pace::default()));
    }
}
