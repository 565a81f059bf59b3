//! What can go wrong, and when.
//!
//! One vocabulary for both backends: a simulated stage applies a fault to its hosts and links, a real
//! one sends signals and configures proxies. A system says which kinds it can be given
//! ([`System::faults`](crate::System::faults)); anything else in a scenario is refused, for a fault
//! that is silently left out would look like a system that withstands it.
//!
//! | `kind` | keys | what happens |
//! |---|---|---|
//! | `link` | `from`, `to`, `both_ways`, `delay`, `jitter`, `loss`, `duplicate`, `reorder`, `bandwidth` | messages of a link are late, lost, doubled, overtaken, slow (bytes a second) |
//! | `partition` | `from`, `to`, `one_way` | no message passes; nobody is told |
//! | `http` | `node`, `share`, `status`, `latency`, `jitter`, `lost_replies` | a share of the requests is answered with a status; all are late; a share is done and the reply is lost |
//! | `pause` | `node` | the process stands still (`SIGSTOP`) |
//! | `kill` | `node` | the process ends at once (`SIGKILL`); with `for` it is started again after that time |
//! | `clock` | `node`, `jump`, `drift_ppm`, `error` | its clock jumps (`"+30s"`, `"-5s"`), gains or loses, admits an error |
//! | `disk` | `node`, `delay`, `full`, `failed_syncs`, `lost_syncs` | its disk is slow or full, a share of its syncs fails, or is acknowledged and lost |
//! | `lie` | `node`, `share` | a replica answers with something else than it holds |
//!
//! Nodes may be named by a pattern with a star at its end: `worker-*`. One that is written out
//! (`[[fault]]`) has `at` and `for`; those that are drawn (`[[faults]]`) have `every` and `for`, and
//! may have `since` and `until`.

mod at_work;
mod http;
mod parse;
mod schedule;

use std::fmt;
use std::time::Duration;

use serde::Serialize;

pub use http::{Fate, Obstacles};
pub use schedule::schedule;

use crate::scenario::Place;

pub(crate) use at_work::AtWork;
pub(crate) use parse::{Known, drawn, planned};

/// What kind of fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Messages are late, lost, doubled, overtaken or slow.
    Link,
    /// No message passes.
    Partition,
    /// Requests fail, are late, or their replies are lost.
    Http,
    /// A process stands still.
    Pause,
    /// A process ends, and may be started again.
    Kill,
    /// A clock is wrong.
    Clock,
    /// A disk is slow, full, or loses what it has acknowledged.
    Disk,
    /// A replica lies.
    Lie,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Link,
        Self::Partition,
        Self::Http,
        Self::Pause,
        Self::Kill,
        Self::Clock,
        Self::Disk,
        Self::Lie,
    ];

    /// As it is written in a scenario.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Link => "link",
            Self::Partition => "partition",
            Self::Http => "http",
            Self::Pause => "pause",
            Self::Kill => "kill",
            Self::Clock => "clock",
            Self::Disk => "disk",
            Self::Lie => "lie",
        }
    }
}

/// What a link does to its messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Link {
    /// Added to the way of each message.
    pub delay: Duration,
    /// Added besides, between nothing and this, drawn evenly.
    pub jitter: Duration,
    /// The share of messages that are lost, 0 to 1.
    pub loss: f64,
    /// The share of messages that arrive twice.
    pub duplicate: f64,
    /// The share of messages that later ones overtake.
    pub reorder: f64,
    /// Bytes a second; as many as there are when none.
    pub bandwidth: Option<f64>,
}

/// What happens to the requests of a node, between it and those who ask.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Http {
    /// The share that is answered with [`Http::status`], and not done.
    pub share: f64,
    /// The status, 400 to 599.
    pub status: u16,
    /// Added to each answer, the failed ones included.
    pub latency: Duration,
    /// Added besides, between nothing and this, drawn evenly.
    pub jitter: Duration,
    /// The share that is done, and whose reply is lost.
    pub lost_replies: f64,
}

/// What a clock does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Clock {
    /// How far the wall clock jumps, in microseconds; back again at the end.
    pub jump_micros: i64,
    /// How much both clocks gain, in parts per million.
    pub drift_ppm: i32,
    /// The error that the clock admits.
    pub error: Option<Duration>,
}

/// What a disk does wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Disk {
    /// Added to each sync.
    pub delay: Duration,
    /// Whether there is no room for anything more.
    pub full: bool,
    /// The share of syncs that fail, and say so.
    pub failed_syncs: f64,
    /// The share of syncs that are acknowledged and lost with the next crash.
    pub lost_syncs: f64,
}

/// Something that goes wrong, and where. Nodes are names, or patterns until they are drawn.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub enum Fault {
    /// See [`Kind::Link`].
    Link {
        /// Who sends.
        from: String,
        /// Who receives.
        to: String,
        /// Whether the way back is concerned, too.
        both_ways: bool,
        /// What happens.
        link: Link,
    },
    /// See [`Kind::Partition`].
    Partition {
        /// Who sends.
        from: String,
        /// Who does not receive.
        to: String,
        /// Whether the way back is open.
        one_way: bool,
    },
    /// See [`Kind::Http`].
    Http {
        /// Who is asked.
        node: String,
        /// What happens.
        http: Http,
    },
    /// See [`Kind::Pause`].
    Pause {
        /// Who.
        node: String,
    },
    /// See [`Kind::Kill`].
    Kill {
        /// Who.
        node: String,
    },
    /// See [`Kind::Clock`].
    Clock {
        /// Whose.
        node: String,
        /// What happens.
        clock: Clock,
    },
    /// See [`Kind::Disk`].
    Disk {
        /// Whose.
        node: String,
        /// What happens.
        disk: Disk,
    },
    /// See [`Kind::Lie`].
    Lie {
        /// Who.
        node: String,
        /// The share of answers that are not true.
        share: f64,
    },
}

/// A fault with its time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Planned {
    /// When it begins, since the beginning of the trial.
    pub at: Duration,
    /// How long it lasts; to the end when none.
    pub length: Option<Duration>,
    /// What.
    pub fault: Fault,
    /// Where it stands in the scenario.
    #[serde(skip)]
    pub place: Place,
}

/// Faults that are drawn from the seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The shortest and the longest time from the beginning of one to that of the next.
    pub every: (Duration, Duration),
    /// The shortest and the longest length.
    pub length: (Duration, Duration),
    /// When the first may come.
    pub from: Duration,
    /// When the last may come; to the end when none.
    pub until: Option<Duration>,
    /// What; nodes are patterns, of which one match is drawn each time.
    pub fault: Fault,
    /// Where it stands in the scenario.
    pub place: Place,
}

impl Fault {
    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Link { .. } => Kind::Link,
            Self::Partition { .. } => Kind::Partition,
            Self::Http { .. } => Kind::Http,
            Self::Pause { .. } => Kind::Pause,
            Self::Kill { .. } => Kind::Kill,
            Self::Clock { .. } => Kind::Clock,
            Self::Disk { .. } => Kind::Disk,
            Self::Lie { .. } => Kind::Lie,
        }
    }

    /// What happens to requests, if it is that.
    #[must_use]
    pub fn http(&self) -> Option<Http> {
        if let Self::Http { http, .. } = self { Some(*http) } else { None }
    }

    /// What happens to a disk, if it is that.
    #[must_use]
    pub fn disk(&self) -> Option<Disk> {
        if let Self::Disk { disk, .. } = self { Some(*disk) } else { None }
    }

    /// The nodes that it names.
    pub fn nodes(&self) -> impl Iterator<Item = &str> {
        let (first, second) = match self {
            Self::Link { from, to, .. } | Self::Partition { from, to, .. } => (from, Some(to)),
            Self::Http { node, .. }
            | Self::Pause { node }
            | Self::Kill { node }
            | Self::Clock { node, .. }
            | Self::Disk { node, .. }
            | Self::Lie { node, .. } => (node, None),
        };
        std::iter::once(first.as_str()).chain(second.map(String::as_str))
    }

    /// The same with other nodes.
    #[must_use]
    pub fn with_nodes(&self, mut rename: impl FnMut(&str) -> String) -> Self {
        let mut fault = self.clone();
        match &mut fault {
            Self::Link { from, to, .. } | Self::Partition { from, to, .. } => {
                *from = rename(from);
                *to = rename(to);
            }
            Self::Http { node, .. }
            | Self::Pause { node }
            | Self::Kill { node }
            | Self::Clock { node, .. }
            | Self::Disk { node, .. }
            | Self::Lie { node, .. } => *node = rename(node),
        }
        fault
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link { from, to, both_ways, .. } => {
                write!(f, "link {from} {} {to}", if *both_ways { "<->" } else { "->" })
            }
            Self::Partition { from, to, one_way } => {
                write!(f, "partition {from} {} {to}", if *one_way { "->" } else { "<->" })
            }
            Self::Http { node, .. } => write!(f, "http {node}"),
            Self::Pause { node } => write!(f, "pause {node}"),
            Self::Kill { node } => write!(f, "kill {node}"),
            Self::Clock { node, .. } => write!(f, "clock {node}"),
            Self::Disk { node, .. } => write!(f, "disk {node}"),
            Self::Lie { node, .. } => write!(f, "lie {node}"),
        }
    }
}

/// Whether a node's name fits a pattern: the name itself, or its beginning and a star.
#[must_use]
pub fn matches(pattern: &str, node: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => node.starts_with(beginning),
        None => pattern == node,
    }
}
