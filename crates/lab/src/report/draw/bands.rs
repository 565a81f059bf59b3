//! Faults on the time axis: a shade behind the curves, and a labelled lane for each below them.

use crate::observed::Span;
use crate::run::VariantReport;

/// One fault, as often as it was at work.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Lane {
    /// What, and where.
    pub(crate) label: String,
    /// From when to when, in seconds, in order, not overlapping.
    pub(crate) spans: Vec<(f64, f64)>,
}

/// `link a <-> b` with an arrow of its own.
fn arrows(label: &str) -> String {
    label.replace("<->", "↔").replace("->", "→")
}

/// The faults of a variant by label, in order of their first appearance. Those that were applied;
/// when a system keeps no record of that, those that were planned.
pub(crate) fn lanes(variant: &VariantReport, duration: f64) -> Vec<Lane> {
    let planned: Vec<Span>;
    let spans = if variant.observed.spans.is_empty() {
        planned = variant.schedule.iter().map(|it| span(it, duration)).collect();
        &planned
    } else {
        &variant.observed.spans
    };
    let mut lanes: Vec<Lane> = Vec::new();
    for span in spans {
        let piece = (span.from.min(span.to), span.from.max(span.to));
        let label = arrows(&span.label);
        match lanes.iter_mut().find(|lane| lane.label == label) {
            Some(lane) => lane.spans.push(piece),
            None => lanes.push(Lane { label, spans: vec![piece] }),
        }
    }
    for lane in &mut lanes {
        lane.spans = union(&lane.spans);
    }
    lanes
}

fn span(planned: &crate::fault::Planned, duration: f64) -> Span {
    let from = planned.at.as_secs_f64();
    let to = planned.length.map_or(duration, |length| from + length.as_secs_f64());
    Span { label: planned.fault.to_string(), from, to: to.min(duration).max(from) }
}

/// Whether the lanes are only what was planned.
pub(crate) fn only_planned(variant: &VariantReport) -> bool {
    variant.observed.spans.is_empty() && !variant.schedule.is_empty()
}

/// At most so many lanes: when there are more, one for each kind, which is the label's first word.
pub(crate) fn at_most(lanes: &[Lane], most: usize) -> Vec<Lane> {
    if lanes.len() <= most {
        return lanes.to_vec();
    }
    let kind = |lane: &Lane| lane.label.split(' ').next().unwrap_or_default().to_owned();
    let mut kinds: Vec<Lane> = Vec::new();
    for lane in lanes {
        let label = kind(lane);
        match kinds.iter_mut().find(|known| known.label == label) {
            Some(known) => known.spans.extend(&lane.spans),
            None => kinds.push(Lane { label, spans: lane.spans.clone() }),
        }
    }
    for merged in &mut kinds {
        let of_kind = lanes.iter().filter(|lane| kind(lane) == merged.label).count();
        let one = lanes.iter().find(|lane| kind(lane) == merged.label);
        merged.spans = union(&merged.spans);
        match (of_kind, one) {
            (1, Some(one)) => merged.label.clone_from(&one.label),
            _ => merged.label = format!("{} ({of_kind} places)", merged.label),
        }
    }
    if kinds.len() > most {
        let rest = kinds.split_off(most.saturating_sub(1));
        let spans: Vec<_> = rest.iter().flat_map(|lane| lane.spans.iter().copied()).collect();
        let names: Vec<_> = rest.iter().map(kind).collect();
        kinds.push(Lane { label: names.join(", "), spans: union(&spans) });
    }
    kinds
}

/// Above this part of the time a fault is no event, but how the place is.
const ALWAYS: f64 = 0.95;

/// When anything was at work, but for what always was.
pub(crate) fn shade(lanes: &[Lane], duration: f64) -> Vec<(f64, f64)> {
    let length = |lane: &&Lane| lane.spans.iter().map(|(from, to)| to - from).sum::<f64>();
    let events = lanes.iter().filter(|lane| length(lane) < ALWAYS * duration);
    let all: Vec<_> = events.flat_map(|lane| lane.spans.iter().copied()).collect();
    union(&all)
}

fn union(spans: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut sorted: Vec<_> =
        spans.iter().copied().filter(|(from, to)| from.is_finite() && to.is_finite()).collect();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut joined: Vec<(f64, f64)> = Vec::new();
    for (from, to) in sorted {
        match joined.last_mut() {
            Some(last) if from <= last.1 => last.1 = last.1.max(to),
            _ => joined.push((from, to)),
        }
    }
    joined
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(label: &str, spans: &[(f64, f64)]) -> Lane {
        Lane { label: label.to_owned(), spans: spans.to_vec() }
    }

    #[test]
    fn many_lanes_become_one_for_each_kind() {
        let lanes = [
            lane("pause worker-1", &[(1.0, 3.0)]),
            lane("pause worker-2", &[(2.0, 4.0), (8.0, 9.0)]),
            lane("kill api", &[(5.0, 6.0)]),
        ];
        assert_eq!(at_most(&lanes, 3), lanes);
        let few = at_most(&lanes, 2);
        assert_eq!(few[0], lane("pause (2 places)", &[(1.0, 4.0), (8.0, 9.0)]));
        assert_eq!(few[1], lanes[2]);
        assert_eq!(
            at_most(&lanes, 1),
            [lane("pause, kill", &[(1.0, 4.0), (5.0, 6.0), (8.0, 9.0)])]
        );
        assert_eq!(shade(&lanes, 60.0), [(1.0, 4.0), (5.0, 6.0), (8.0, 9.0)]);
    }

    #[test]
    fn what_always_is_shades_nothing() {
        let lanes = [lane("link far", &[(0.0, 59.0)]), lane("kill api", &[(5.0, 6.0)])];
        assert_eq!(shade(&lanes, 60.0), [(5.0, 6.0)]);
    }
}
