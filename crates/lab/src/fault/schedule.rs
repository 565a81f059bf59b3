//! The faults of one trial: those that are written out, and those that its seed draws.

use std::time::Duration;

use fastrand::Rng;

use super::{Drawn, Fault, Planned, matches};
use crate::limits::FAULTS_MAX;

/// All faults of a trial, in order of their beginning. The same seed gives the same.
#[must_use]
pub fn schedule(
    planned: &[Planned],
    drawn: &[Drawn],
    nodes: &[String],
    duration: Duration,
    seed: u64,
) -> Vec<Planned> {
    let mut all = Vec::new();
    for fault in planned.iter().filter(|fault| fault.at < duration) {
        expand(fault, nodes, &mut all);
    }
    for (number, drawn) in drawn.iter().enumerate() {
        // Each has its own sequence: adding one does not change the others.
        let mut rng =
            Rng::with_seed(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let until = drawn.until.unwrap_or(duration).min(duration);
        let mut at = drawn.from + between(&mut rng, drawn.every);
        while at < until && all.len() < FAULTS_MAX {
            let fault = pick(&drawn.fault, nodes, &mut rng);
            let length = Some(between(&mut rng, drawn.length));
            all.push(Planned { at, length, fault, place: drawn.place });
            // A draw of nothing must not stand still.
            at += between(&mut rng, drawn.every).max(Duration::from_millis(1));
        }
    }
    // Variants may have different nodes. What would hit nobody is no fault of this one.
    let exists = |name: &str| nodes.iter().any(|node| matches(name, node));
    all.retain(|planned| planned.fault.nodes().all(exists));
    all.sort_by_key(|fault| fault.at);
    all.truncate(FAULTS_MAX);
    all
}

/// A fault that is written for a pattern hits all that match. Links and partitions keep their
/// patterns: they are looked up by message.
fn expand(planned: &Planned, nodes: &[String], all: &mut Vec<Planned>) {
    let pattern = match &planned.fault {
        Fault::Link { .. } | Fault::Partition { .. } => None,
        fault => fault.nodes().next().filter(|node| node.ends_with('*')).map(str::to_owned),
    };
    let Some(pattern) = pattern else {
        all.push(planned.clone());
        return;
    };
    for node in nodes.iter().filter(|node| matches(&pattern, node)) {
        let fault = planned.fault.with_nodes(|_| node.clone());
        all.push(Planned { fault, ..planned.clone() });
    }
}

fn between(rng: &mut Rng, (least, most): (Duration, Duration)) -> Duration {
    least + most.saturating_sub(least).mul_f64(rng.f64())
}

/// One match of each pattern; of two patterns two different ones where there are.
fn pick(fault: &Fault, nodes: &[String], rng: &mut Rng) -> Fault {
    let mut taken: Option<String> = None;
    fault.with_nodes(|pattern| {
        let matching: Vec<&String> = nodes.iter().filter(|node| matches(pattern, node)).collect();
        let others: Vec<&String> =
            matching.iter().copied().filter(|&node| Some(node) != taken.as_ref()).collect();
        let from = if others.is_empty() { &matching } else { &others };
        let node = rng.choice(from).map_or_else(|| pattern.to_owned(), |node| (*node).clone());
        taken = Some(node.clone());
        node
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scenario::Place;

    fn nodes() -> Vec<String> {
        (1..=3).map(|n| format!("worker-{n}")).collect()
    }

    fn pause(node: &str) -> Fault {
        Fault::Pause { node: node.to_owned() }
    }

    fn drawn(fault: Fault) -> Drawn {
        let second = Duration::from_secs(1);
        Drawn {
            every: (second, 3 * second),
            length: (second, 2 * second),
            from: 5 * second,
            until: Some(50 * second),
            fault,
            place: Place::default(),
        }
    }

    #[test]
    fn a_seed_draws_the_same_and_another_one_others() {
        let minute = Duration::from_secs(60);
        let with = |seed| schedule(&[], &[drawn(pause("worker-*"))], &nodes(), minute, seed);
        assert_eq!(with(1), with(1));
        assert_ne!(with(1), with(2));
        for fault in with(1) {
            assert!(fault.at >= Duration::from_secs(6) && fault.at < Duration::from_secs(50));
            assert!(fault.fault.nodes().all(|node| !node.contains('*')), "{fault:?}");
        }
    }

    #[test]
    fn a_pattern_that_is_written_out_hits_all() {
        let planned = Planned {
            at: Duration::ZERO,
            length: None,
            fault: pause("worker-*"),
            place: Place::default(),
        };
        let all = schedule(&[planned], &[], &nodes(), Duration::from_secs(1), 0);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn what_a_variant_does_not_have_is_not_hit_there() {
        let (second, minute) = (Duration::from_secs(1), Duration::from_secs(60));
        let planned = |fault| Planned { at: second, length: None, fault, place: Place::default() };
        let apart =
            |to: &str| Fault::Partition { from: "worker-*".into(), to: to.into(), one_way: false };
        let written = [pause("server"), pause("worker-2"), apart("server-*"), apart("worker-*")];
        let all = schedule(&written.map(planned), &[], &nodes(), minute, 1);
        assert_eq!(all.len(), 2, "{all:?}");
        assert_eq!(schedule(&[], &[drawn(apart("server-*"))], &nodes(), minute, 1), []);
    }

    #[test]
    fn nobody_is_parted_from_himself() {
        let apart =
            Fault::Partition { from: "worker-*".into(), to: "worker-*".into(), one_way: false };
        for fault in schedule(&[], &[drawn(apart)], &nodes(), Duration::from_secs(600), 3) {
            let nodes: Vec<_> = fault.fault.nodes().collect();
            assert_ne!(nodes[0], nodes[1]);
        }
    }
}
