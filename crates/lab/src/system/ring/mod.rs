//! Caches that share keys out among nodes: by the remainder, by a ring, by a ring with bounded loads.
//!
//! A placement rule shows what it is worth when the nodes change. Each node caches what it was asked
//! for; when a node is killed or comes back, keys move, and a key that has moved is a miss that goes
//! to the origin. `hash % n` moves nearly all keys for one node in a hundred: the origin, sized for
//! misses of a few per cent, gets everything at once.
//!
//! # How
//! Requests for keys, drawn evenly, come at the load's rate. At each change of the nodes the new
//! placement is compared with the old one: how many keys moved, and how many *had to*, because their
//! node is gone, or to give a node that comes its fair share.
//!
//! # Limits
//! Requests are counted, not sent: there is no latency in it. Keys are equally popular; the load of
//! a node is the number of its keys.

mod placement;

use std::time::Duration;

use steadfast_coordination::ring::{Bound, Options};

use self::placement::{Keys, Rule};
use super::{Indicator, System, Trial};
use crate::check::Model;
use crate::fault::{self, Fault};
use crate::observed::{Series, Span};
use crate::scenario::{Load, Reader};
use crate::{Error, Observed, Quantity, Unit};

/// Keys over nodes.
#[derive(Clone, Copy, Debug)]
pub struct Placement;

const NAME: &str = "placement";
/// Requests a second, unless the scenario says otherwise.
const RATE: f64 = 5_000.0;

const INDICATORS: &[Indicator] = &[
    Indicator {
        name: "moved_over_needed",
        unit: Unit::Times,
        about: "keys that moved over keys that had to, at the worst change of the nodes",
    },
    Indicator {
        name: "moved_share.max",
        unit: Unit::Share,
        about: "keys that moved over all keys, at the worst change of the nodes",
    },
    Indicator {
        name: "max_load",
        unit: Unit::Times,
        about: "keys of the most loaded node over the mean, at the worst time",
    },
    Indicator {
        name: "origin.share.max",
        unit: Unit::Share,
        about: "requests that missed and went to the origin, in the worst second once the caches \
                are warm",
    },
    Indicator { name: "changes", unit: Unit::Count, about: "how often a node went or came" },
];

struct Settings {
    nodes: usize,
    keys: usize,
    warm_up: Duration,
    rule: Rule,
}

impl Settings {
    fn read(reader: &Reader<'_>) -> Self {
        let nodes = reader.count("nodes", 2..=1_000, 100);
        let keys = reader.count("keys", 1..=1_000_000, 20_000);
        let warm_up = reader.duration("warm_up", Duration::from_secs(30));
        let standard = Options::default();
        let virtual_nodes =
            reader.count("virtual_nodes", 1..=1_024, u64::from(standard.virtual_nodes));
        let probes = reader.count("probes", 1..=16, u64::from(standard.probes));
        let percent = reader.count("bound_percent", 101..=1_000, 125);
        let ring = Rule::Ring {
            virtual_nodes: u32::try_from(virtual_nodes).unwrap_or(u32::MAX),
            probes: u32::try_from(probes).unwrap_or(u32::MAX),
        };
        let rule = match reader.choice("placement", &["modulo", "ring", "bounded"], "ring") {
            "modulo" => Rule::Modulo,
            "bounded" => {
                let bound = u32::try_from(percent).ok().map(Bound::percent);
                match bound {
                    Some(Ok(bound)) => Rule::Bounded(bound),
                    Some(Err(error)) => {
                        reader.problem("bound_percent", error);
                        ring
                    }
                    None => ring,
                }
            }
            _ => ring,
        };
        let count = |number| usize::try_from(number).unwrap_or(usize::MAX);
        Self { nodes: count(nodes), keys: count(keys), warm_up, rule }
    }

    fn names(&self) -> Vec<String> {
        (1..=self.nodes).map(|number| format!("node-{number}")).collect()
    }
}

impl System for Placement {
    fn name(&self) -> &'static str {
        NAME
    }

    fn about(&self) -> &'static str {
        "keys shared out among caching nodes, by the remainder or by a consistent-hash ring"
    }

    fn faults(&self) -> &'static [fault::Kind] {
        &[fault::Kind::Kill]
    }

    fn indicators(&self) -> &'static [Indicator] {
        INDICATORS
    }

    fn models(&self) -> &'static [Model] {
        &[]
    }

    fn prepare(&self, _: Load, reader: &Reader<'_>) -> Vec<String> {
        Settings::read(reader).names()
    }

    fn simulate(&self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let settings = Settings::read(&trial.settings.reader());
        Caches::new(trial, &settings)?.run(trial)
    }
}

/// The nodes with their caches, and what was seen of them.
struct Caches<'a> {
    settings: &'a Settings,
    names: Vec<String>,
    keys: Keys,
    /// By node: whether it is there, and which keys it has cached.
    up: Vec<bool>,
    cached: Vec<Vec<bool>>,
    /// The node of each key.
    placed: Vec<usize>,
    worst_moved: f64,
    worst_share: f64,
    worst_load: f64,
    worst_origin: f64,
    changes: u64,
    moved: Series,
    load: Series,
    origin: Series,
}

impl<'a> Caches<'a> {
    fn new(trial: &Trial<'_>, settings: &'a Settings) -> Result<Self, Error> {
        let names = settings.names();
        let keys = Keys::new(settings.keys, trial.seed);
        let up = vec![true; names.len()];
        let mut caches = Self {
            settings,
            cached: vec![vec![false; keys.len()]; names.len()],
            placed: Vec::new(),
            up,
            names,
            keys,
            worst_moved: 0.0,
            worst_share: 0.0,
            worst_load: 0.0,
            worst_origin: 0.0,
            changes: 0,
            moved: Series::new("movement", "keys moved", Unit::Share),
            load: Series::new("load", "most loaded node over the mean", Unit::Times),
            origin: Series::new("origin", "requests that miss", Unit::Share),
        };
        caches.placed = caches.place()?;
        caches.weigh(Duration::ZERO);
        Ok(caches)
    }

    /// The nodes that are there, in order of names, with their numbers.
    fn alive(&self) -> Vec<usize> {
        let mut alive: Vec<usize> = (0..self.names.len()).filter(|&node| self.up[node]).collect();
        alive.sort_by(|&a, &b| self.names[a].cmp(&self.names[b]));
        alive
    }

    fn place(&self) -> Result<Vec<usize>, Error> {
        let alive = self.alive();
        let names: Vec<&str> = alive.iter().map(|&node| self.names[node].as_str()).collect();
        let placed = self.settings.rule.place(&self.keys, &names);
        let placed =
            placed.map_err(|error| Error::System { system: NAME, reason: error.to_string() })?;
        Ok(placed.into_iter().map(|number| alive[number]).collect())
    }

    /// How uneven it is now.
    fn weigh(&mut self, at: Duration) {
        let mut loads = vec![0_u64; self.names.len()];
        for &node in &self.placed {
            loads[node] += 1;
        }
        let alive = self.up.iter().filter(|&&up| up).count();
        let mean = self.keys.len() as f64 / alive as f64;
        let most = loads.iter().copied().max().unwrap_or(0) as f64;
        self.worst_load = self.worst_load.max(most / mean);
        self.load.push(at, most / mean);
    }

    /// A node goes or comes.
    fn change(&mut self, node: usize, comes: bool, at: Duration) -> Result<(), Error> {
        if self.up[node] == comes || (!comes && self.alive().len() == 1) {
            return Ok(());
        }
        let had = self.placed.iter().filter(|&&owner| owner == node).count();
        self.up[node] = comes;
        if !comes {
            self.cached[node].fill(false);
        }
        let before = std::mem::take(&mut self.placed);
        self.placed = self.place()?;
        let moved = before.iter().zip(&self.placed).filter(|(a, b)| a != b).count();
        let fair = self.keys.len() as f64 / self.alive().len() as f64;
        let needed = if comes { fair } else { had as f64 };
        self.changes += 1;
        self.worst_moved = self.worst_moved.max(moved as f64 / needed.max(1.0));
        let share = moved as f64 / self.keys.len() as f64;
        self.worst_share = self.worst_share.max(share);
        self.moved.push(at, share);
        self.weigh(at);
        Ok(())
    }

    /// A second of requests; the share that misses.
    fn ask(&mut self, requests: u64, rng: &mut fastrand::Rng) -> f64 {
        let mut missed = 0;
        for _ in 0..requests {
            let key = rng.usize(..self.keys.len());
            let cached = &mut self.cached[self.placed[key]][key];
            missed += u64::from(!std::mem::replace(cached, true));
        }
        missed as f64 / requests.max(1) as f64
    }

    fn run(mut self, trial: &Trial<'_>) -> Result<Observed, Error> {
        let mut changes: Vec<(Duration, bool, usize)> = Vec::new();
        let mut spans = Vec::new();
        for planned in &trial.schedule {
            let Fault::Kill { node: name } = &planned.fault else { continue };
            let Some(node) = self.names.iter().position(|known| known == name) else { continue };
            let ends = planned.length.map(|length| planned.at + length);
            changes.push((planned.at, false, node));
            changes.extend(ends.map(|at| (at, true, node)));
            spans.push(Span {
                label: planned.fault.to_string(),
                from: planned.at.as_secs_f64(),
                to: ends.unwrap_or(trial.duration).min(trial.duration).as_secs_f64(),
            });
        }
        changes.sort_unstable();
        let mut changes = changes.into_iter().peekable();
        let mut rng = trial.rng("requests");
        let second = Duration::from_secs(1);
        let mut now = Duration::ZERO;
        // A rate is at most a million a second.
        let requests = trial.load.rate.unwrap_or(RATE).round() as u64;
        while now < trial.duration {
            while let Some((at, comes, node)) = changes.next_if(|change| change.0 <= now) {
                self.change(node, comes, at)?;
            }
            let missed = self.ask(requests, &mut rng);
            if now >= self.settings.warm_up {
                self.worst_origin = self.worst_origin.max(missed);
            }
            self.origin.push(now, missed);
            now += second;
            trial.progress(now)?;
        }
        let mut observed = Observed { spans, ..Observed::default() };
        observed.indicator("moved_over_needed", Quantity::times(self.worst_moved));
        observed.indicator("moved_share.max", Quantity::share(self.worst_share));
        observed.indicator("max_load", Quantity::times(self.worst_load));
        observed.indicator("origin.share.max", Quantity::share(self.worst_origin));
        observed.indicator("changes", Quantity::count(self.changes));
        observed.series = vec![self.origin, self.moved, self.load];
        Ok(observed)
    }
}

#[cfg(test)]
mod tests {
    use crate::run::{self, Options, Silent};
    use crate::{Verdict, experiment};

    #[test]
    fn the_remainder_and_the_single_point_are_caught_under_every_seed() {
        let scenario = experiment::find("hash-ring").unwrap();
        for seed in crate::system::SEEDS {
            let report = run::simulate(&scenario, &Options::seeded(seed), &Silent).unwrap();
            assert_eq!(report.verdict, Verdict::Holds, "seed {seed}: {}", report.because);
        }
    }

    #[test]
    fn the_same_seed_is_the_same_run() {
        let scenario = experiment::find("hash-ring").unwrap();
        let run = |seed| {
            let report = run::simulate(&scenario, &Options::seeded(seed), &Silent).unwrap();
            report.variants.into_iter().map(|variant| variant.observed).collect::<Vec<_>>()
        };
        assert_eq!(run(3), run(3));
        assert_ne!(run(3), run(4));
    }
}
