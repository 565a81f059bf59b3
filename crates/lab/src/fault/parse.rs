//! Faults out of a scenario.

use std::time::Duration;

use super::{Clock, Disk, Drawn, Fault, Http, Kind, Link, Planned, matches};
use crate::limits::FAULTS_MAX;
use crate::scenario::Problem;
use crate::scenario::problem::suggestion;
use crate::scenario::read::{Reader, Section};

/// The latest beginning, and the longest length.
const LONGEST: Duration = crate::limits::DURATION_MAX;

/// What a system understands.
pub(crate) struct Known<'a> {
    pub system: &'a str,
    pub nodes: &'a [String],
    pub kinds: &'a [Kind],
    /// How long a trial takes; none when that is wrong.
    pub length: Option<Duration>,
    /// How long a real one takes, when it is shorter and faults keep their times all the same.
    pub real: Option<Duration>,
}

impl Known<'_> {
    /// Notes it when a fault would begin after the end.
    fn within(&self, reader: &Reader<'_>, key: &str, at: Duration) {
        let over = |length: Duration| crate::Quantity::time(length);
        match (self.length, self.real) {
            (Some(length), _) if at >= length => {
                reader.problem(key, format!("the trial is over after {}", over(length)));
            }
            (Some(_), Some(real)) if at >= real => reader.problem(
                key,
                format!(
                    "a real trial is over after {}; set scale_faults, or a longer real_duration",
                    over(real)
                ),
            ),
            _ => {}
        }
    }
}

/// A fault that is written out, `[[fault]]`.
pub(crate) fn planned(
    section: &Section,
    known: &Known<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Planned> {
    let reader = section.reader();
    let fault = fault(&reader, known);
    let at = reader.duration("at", Duration::ZERO);
    known.within(&reader, "at", at);
    let length = reader.optional_duration("for").map(|length| length.min(LONGEST));
    if length.is_some_and(|length| length.is_zero()) {
        reader.problem("for", "must be longer than nothing");
    }
    problems.extend(reader.end());
    Some(Planned { at, length, fault: fault?, place: section.place })
}

/// Faults that are drawn, `[[faults]]`.
pub(crate) fn drawn(
    section: &Section,
    known: &Known<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Drawn> {
    let reader = section.reader();
    let fault = fault(&reader, known);
    if !section.has("every") {
        reader.problem(
            "every",
            "is missing: the time from one to the next, \"5s\" or [\"2s\", \"8s\"]",
        );
    }
    if !section.has("for") {
        reader.problem("for", "is missing: how long each lasts, \"2s\" or [\"1s\", \"4s\"]");
    }
    let second = Duration::from_secs(1);
    let every = reader.durations("every", (second, second));
    if every.1.is_zero() {
        reader.problem("every", "must be longer than nothing");
    }
    let length = reader.durations("for", (second, second));
    if length.1.is_zero() {
        reader.problem("for", "must be longer than nothing");
    }
    // Not `from`: that is who sends, where the fault is one of a link.
    let from = reader.duration("since", Duration::ZERO);
    let until = reader.optional_duration("until");
    known.within(&reader, "since", from);
    if until.is_some_and(|until| until <= from) {
        reader.problem("since", "none would begin: it is not before until");
    }
    if let Some(end) = known.length {
        let room = until.unwrap_or(end).min(end).saturating_sub(from);
        // The mean of even draws; a draw of nothing counts as a millisecond.
        let mean = ((every.0 + every.1) / 2).max(Duration::from_millis(1));
        let faults = room.as_secs_f64() / mean.as_secs_f64();
        if faults > FAULTS_MAX as f64 && !every.1.is_zero() {
            reader.problem("every", format!("some {faults:.0} faults; at most {FAULTS_MAX}"));
        }
    }
    problems.extend(reader.end());
    // What is longer than any trial is no different; these are added up.
    let every = (every.0.min(LONGEST), every.1.min(LONGEST));
    let length = (length.0.min(LONGEST), length.1.min(LONGEST));
    Some(Drawn { every, length, from, until, fault: fault?, place: section.place })
}

fn fault(reader: &Reader<'_>, known: &Known<'_>) -> Option<Fault> {
    let word = reader.required("kind");
    let all = Kind::ALL.map(Kind::name);
    let Some(kind) = Kind::ALL.into_iter().find(|kind| kind.name() == word) else {
        reader.ignore_rest();
        if !word.is_empty() {
            reader.problem("kind", format!("unknown fault {word:?}{}", suggestion(word, &all)));
        }
        return None;
    };
    if !known.kinds.contains(&kind) {
        reader.ignore_rest();
        let can: Vec<_> = known.kinds.iter().map(|kind| kind.name()).collect();
        let can = if can.is_empty() { "no faults".to_owned() } else { can.join(", ") };
        let system = known.system;
        reader.problem("kind", format!("{system} cannot be given {word:?}; it can be given {can}"));
        return None;
    }
    let node = |key| node(reader, key, known);
    let length = |key| {
        let length = reader.duration(key, Duration::ZERO);
        if length > LONGEST {
            reader.problem(key, "must be at most 24h");
        }
        length
    };
    let fault = match kind {
        Kind::Link => Fault::Link {
            from: node("from"),
            to: node("to"),
            both_ways: reader.flag("both_ways", true),
            link: Link {
                delay: length("delay"),
                jitter: length("jitter"),
                loss: reader.share("loss", 0.0),
                duplicate: reader.share("duplicate", 0.0),
                reorder: reader.share("reorder", 0.0),
                bandwidth: bandwidth(reader),
            },
        },
        Kind::Partition => Fault::Partition {
            from: node("from"),
            to: node("to"),
            one_way: reader.flag("one_way", false),
        },
        Kind::Http => Fault::Http {
            node: node("node"),
            http: Http {
                share: reader.share("share", 0.0),
                status: u16::try_from(reader.count("status", 400..=599, 503)).unwrap_or(503),
                latency: length("latency"),
                jitter: length("jitter"),
                lost_replies: reader.share("lost_replies", 0.0),
            },
        },
        Kind::Pause => Fault::Pause { node: node("node") },
        Kind::Kill => Fault::Kill { node: node("node") },
        Kind::Clock => Fault::Clock {
            node: node("node"),
            clock: Clock {
                jump_micros: jump(reader),
                drift_ppm: drift(reader),
                error: reader.has("error").then(|| length("error")),
            },
        },
        Kind::Disk => Fault::Disk {
            node: node("node"),
            disk: Disk {
                delay: length("delay"),
                full: reader.flag("full", false),
                failed_syncs: reader.share("failed_syncs", 0.0),
                lost_syncs: reader.share("lost_syncs", 0.0),
            },
        },
        Kind::Lie => Fault::Lie { node: node("node"), share: reader.share("share", 1.0) },
    };
    with_an_effect(reader, &fault);
    Some(fault)
}

/// Notes it when a fault would leave everything as it is: it would look as if somebody withstood it.
fn with_an_effect(reader: &Reader<'_>, fault: &Fault) {
    let keys = match fault {
        Fault::Link { link, .. } if *link == Link::default() => {
            "delay, jitter, loss, duplicate, reorder or bandwidth"
        }
        Fault::Http { http, .. } if *http == (Http { status: http.status, ..Http::default() }) => {
            "share, latency, jitter or lost_replies"
        }
        Fault::Clock { clock, .. } if *clock == Clock::default() => "jump, drift_ppm or error",
        Fault::Disk { disk, .. } if *disk == Disk::default() => {
            "delay, full, failed_syncs or lost_syncs"
        }
        Fault::Lie { share, .. } if *share == 0.0 => "share",
        _ => "",
    };
    // What was refused is read as nothing; that is one problem, not two.
    if !keys.is_empty() && !reader.has_problems() {
        reader.problem("kind", format!("it changes nothing; give it {keys}"));
    }
    let mut nodes = fault.nodes();
    if let (Some(from), Some(to)) = (nodes.next(), nodes.next())
        && from == to
        && !from.is_empty()
        && !from.ends_with('*')
    {
        reader.problem("to", "it is the same node: there is no link between");
    }
}

/// A node's name or a pattern that matches at least one.
fn node(reader: &Reader<'_>, key: &'static str, known: &Known<'_>) -> String {
    let name = reader.required(key);
    let exists = known.nodes.iter().any(|node| matches(name, node));
    if !name.is_empty() && !exists {
        let nodes: Vec<_> = known.nodes.iter().map(String::as_str).collect();
        reader.problem(key, format!("there is no node {name:?}{}", suggestion(name, &nodes)));
    }
    name.to_owned()
}

fn bandwidth(reader: &Reader<'_>) -> Option<f64> {
    let bandwidth = reader.rate("bandwidth")?;
    if bandwidth < 1.0 {
        reader.problem("bandwidth", "must be at least 1/s; a link without any is a partition");
        return None;
    }
    Some(bandwidth)
}

/// `"+30s"` or `"-5s"`, in microseconds.
fn jump(reader: &Reader<'_>) -> i64 {
    let Some(text) = reader.text("jump") else { return 0 };
    let (sign, length) = match text.strip_prefix('-') {
        Some(length) => (-1, length),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    match crate::Quantity::parse(length) {
        Ok(crate::Quantity { value, unit: crate::Unit::Time }) if value <= 1e9 => {
            // At most 1e15 microseconds: exact.
            sign * (value * 1e6).round() as i64
        }
        _ => {
            reader.problem("jump", format!("{text:?} is no jump; write \"+30s\" or \"-500ms\""));
            0
        }
    }
}

/// Parts per million, of either sign, short of standing still.
fn drift(reader: &Reader<'_>) -> i32 {
    let drift = reader.integer("drift_ppm", -900_000..=900_000, 0);
    i32::try_from(drift).unwrap_or(0)
}
