//! A trial of the scenario with real processes.

use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use steadfast_time::Monotonic;

use super::super::COORDINATOR;
use super::super::journal::{Entry, What as Seen};
use super::super::observer::{self, Watched};
use super::super::settings::{Engine as Simulated, Expiry, Settings};
use super::super::storage::{Fence, Grant};
use super::run::{Plan, Working};
use super::ways::{self, Ways};
use super::wire::{Waits, What};
use crate::fault::{Fault, Planned};
use crate::history::Kind as Step;
use crate::quantity::Quantity;
use crate::real::engine::{Engine, Kind, Served};
use crate::real::schedule::{self, Log, Mark};
use crate::real::{Crew, Failure, Stage, clock};
use crate::system::{System as _, Trial};
use crate::{Error, Observed};

/// Runs a trial: workers are processes, the embedded coordinator is one, and faults are signals.
/// Dropped in the middle, it takes all of them with it.
///
/// # Errors
/// Before anything starts: [`Error::LeftOut`] when the engine has no tokens and the variant needs
/// them, [`Error::Mode`] when the engine is none or a fault cannot be had for real. Later:
/// [`Error::System`] when a process does not do its part, [`Error::Interrupted`].
pub(in crate::system::lock) fn perform<'a>(
    trial: &'a Trial<'a>,
    stage: &'a Stage,
) -> BoxFuture<'a, Result<Observed, Error>> {
    async move {
        let settings = Settings::read(trial.load, &trial.settings.reader());
        let engine = Engine::parse(stage.engine()).map_err(refused)?;
        let kind = engine.as_ref().map_or(Kind::Embedded, Engine::kind);
        fits(&settings, kind)?;
        // An embedded engine that somebody else serves is not the run's own.
        let is_own = engine.is_none();
        let can_be_had = |planned: &Planned| can_be_had(&planned.fault, is_own, &trial.nodes);
        trial.schedule.iter().try_for_each(can_be_had)?;
        run(trial, stage, &settings, engine).await
    }
    .boxed()
}

fn refused(reason: String) -> Error {
    Error::Mode { system: super::super::Lock.name(), mode: "real", reason }
}

fn broken(error: Failure) -> Error {
    Error::System { system: super::super::Lock.name(), reason: error.to_string() }
}

/// Whether the variant can be had with the engine.
fn fits(settings: &Settings, kind: Kind) -> Result<(), Error> {
    let left_out = |reason: &str| Err(Error::LeftOut { reason: reason.to_owned() });
    match settings.engine {
        Simulated::Redlock(Expiry::Monotonic) => {
            left_out("no Redis counts the life of its keys by a clock that does not jump")
        }
        Simulated::Redlock(Expiry::Wall) if kind != Kind::Redlock => {
            left_out("it is about Redlock; run it with --engine redlock://a:6379,b:6379,c:6379")
        }
        _ if settings.fence != Fence::None && !kind.has_tokens() => {
            left_out("redlock gives no token, so there is nothing that a storage could check")
        }
        _ => Ok(()),
    }
}

/// Whether a fault can be had for real.
fn can_be_had(fault: &Fault, is_own: bool, nodes: &[String]) -> Result<(), Error> {
    let node = match fault {
        Fault::Pause { node } | Fault::Kill { node } => node,
        Fault::Link { .. } | Fault::Partition { .. } => {
            return ways::can_be_had(fault, nodes).map_err(refused);
        }
        other => {
            let kind = other.kind().name();
            return Err(refused(format!(
                "there is no {kind:?} fault for processes here, only pause, kill, link and \
                 partition; run it without --real"
            )));
        }
    };
    if node == super::super::STORAGE {
        return Err(refused(
            "the storage is in the process that watches, and cannot be hit; run it without --real"
                .to_owned(),
        ));
    }
    if node.starts_with(COORDINATOR) && !(is_own && node == COORDINATOR) {
        return Err(refused(format!(
            "{node} is no process of this run, so no {} can hit it; use --engine embedded",
            fault.kind().name()
        )));
    }
    Ok(())
}

async fn run(
    trial: &Trial<'_>,
    stage: &Stage,
    settings: &Settings,
    engine: Option<Engine>,
) -> Result<Observed, Error> {
    let clock = clock::machine();
    // While processes start, nothing of the trial is done.
    let links = trial
        .schedule
        .iter()
        .any(|it| matches!(it.fault, Fault::Link { .. } | Fault::Partition { .. }));
    let starting = start(stage, settings, engine, trial.seed, links);
    let (mut working, mut ways, length) = tokio::select! {
        biased;
        started = starting => started.map_err(broken)?,
        error = schedule::watch(trial, clock.monotonic() + trial.duration, &clock) => {
            return Err(error);
        }
    };
    let (log, faults) = (Log::default(), stretched(&trial.schedule, length, settings.lease));
    working.begin();
    let playing = async {
        let apply = |number, fault: &Fault, begins| ways.apply(number, fault, begins);
        let directing = schedule::direct(&working.crew, &faults, working.started, &log, apply);
        let all = clock.sleep_until(working.started + trial.duration);
        // Faults may be planned beyond the end.
        tokio::select! {
            biased;
            () = all => Ok(()),
            Err(error) = directing => Err(error),
        }?;
        let gone = working.crew.gone();
        if let Some(name) = gone.first() {
            return Err(format!("{name} has ended by itself{}", stage.complaint(name)).into());
        }
        ways.heal();
        working.crew.heal()?;
        working.crew.start_again(COORDINATOR)?;
        Ok::<_, Failure>(working.end().await)
    };
    let stuck = tokio::select! {
        biased;
        stuck = playing => stuck.map_err(broken)?,
        error = schedule::watch(trial, working.started, &clock) => return Err(error),
    };
    Ok(observe(trial, settings, &working, &log, length, &stuck))
}

/// Starts everything; besides, how long a session really lives.
async fn start<'a>(
    stage: &'a Stage,
    settings: &Settings,
    engine: Option<Engine>,
    seed: u64,
    links: bool,
) -> Result<(Working<'a>, Ways, Duration), Failure> {
    let (crew, folder) = (Crew::new(stage), stage.folder()?);
    let engine = match engine {
        Some(engine) => engine,
        None => {
            let place = folder.path().to_owned();
            let engine = Served::engine_in(&place);
            crew.add(COORDINATOR, move |_| Served::role(&place))?;
            engine.up(stage).await?;
            engine
        }
    };
    let asked = engine.length_above(settings.lease).await?;
    let length = engine.session_length(asked).await?;
    let (ways, engines) = Ways::new(settings.workers, links, &engine, folder.path()).await?;
    let plan = Plan {
        ways: engines,
        workers: settings.workers,
        waits: Waits { min: settings.work.0, max: settings.work.1 },
        seed,
        ..Plan::new(&engine, settings.fence, asked)
    };
    Ok((Working::gather(plan, crew, folder, stage).await?, ways, length))
}

/// A pause is meant to outlast a lease. Where the engine's sessions live longer than was asked for,
/// pauses are longer by as much.
fn stretched(schedule: &[Planned], length: Duration, lease: Duration) -> Vec<Planned> {
    let more = length.saturating_sub(lease);
    let stretch = |planned: &Planned| match planned.fault {
        Fault::Pause { .. } => {
            Planned { length: planned.length.map(|length| length + more), ..planned.clone() }
        }
        _ => planned.clone(),
    };
    schedule.iter().map(stretch).collect()
}

fn observe(
    trial: &Trial<'_>,
    settings: &Settings,
    working: &Working<'_>,
    log: &Log,
    length: Duration,
    stuck: &[String],
) -> Observed {
    let known = working.hub.known();
    let mut history = known.history();
    for event in &mut history {
        event.time = event.time.saturating_sub(working.started.as_nanos());
    }
    let marks = log.marks();
    let journal = journal(working, &known, &marks);
    let mut observed = observer::observe(Watched {
        settings,
        duration: trial.duration,
        history,
        journal: &journal,
        value: &known.storage.value(),
        refused: known.storage.refused_reads() + known.storage.refused_writes(),
        stale: known.storage.stale_writes(),
        spans: log.spans(trial.duration),
    });
    // The servers' renewals are not seen from here; what is, is when a holder fell silent.
    observed.indicators.remove(ELECTION);
    let mut takeovers = takeovers(&journal, &marks);
    takeovers.sort_unstable();
    if let Some(time) = crate::real::quantile(&takeovers, 99) {
        observed.indicator(ELECTION, Quantity::time(time));
        observed
            .note("Here, a holder's last word is the moment at which it was stopped or killed.");
    }
    if length > settings.lease {
        observed.note(format!(
            "The engine's sessions live {:.1} s instead of {:.1} s; pauses were longer by as much.",
            length.as_secs_f64(),
            settings.lease.as_secs_f64()
        ));
    }
    if !stuck.is_empty() {
        observed
            .note(format!("Did not end when they were to, and were killed: {}.", stuck.join(", ")));
    }
    if known.dropped > 0 {
        observed.note(format!("{} reports were too many, and were not kept.", known.dropped));
    }
    observed
}

const ELECTION: &str = "consensus.leader_election_ms";

/// What was reported, as the observer wants it.
fn journal(working: &Working<'_>, known: &super::Known, marks: &[Mark]) -> Vec<Entry> {
    let since = |at: u64| Monotonic::from_nanos(at) - working.started;
    let mut entries = Vec::new();
    let mut turns: Grant = 0;
    for told in &known.told {
        let Some(worker) = working.node_of(told.worker) else { continue };
        let at = since(told.at);
        let mut note = |at, what| entries.push(Entry { at, worker, what });
        match &told.what {
            What::Held { token, waited } => {
                turns += 1;
                note(at.saturating_sub(*waited), Seen::Asks);
                note(at, Seen::Holds(token.map_or(turns, |token| token.get())));
            }
            What::LetsGo => note(at, Seen::LetsGo),
            What::History(event) if event.f == "cas" && event.kind == Step::Ok => {
                let operation = event.value.get(1).and_then(serde_json::Value::as_u64);
                operation.into_iter().for_each(|it| note(at, Seen::Acknowledged(it)));
            }
            _ => {}
        }
    }
    entries.extend(known.storage.late().iter().filter_map(|late| {
        let what = if late.is_let_in { Seen::WritesStale } else { Seen::Refused };
        Some(Entry { at: since(late.at), worker: working.node_of(late.worker)?, what })
    }));
    for mark in marks.iter().filter(|mark| mark.begins) {
        if let (Fault::Kill { .. }, Some(worker)) = (&mark.fault, worker_of(&mark.fault)) {
            entries.push(Entry { at: mark.at, worker, what: Seen::Gone });
        }
    }
    entries.sort_by_key(|entry| entry.at);
    entries
}

/// The worker that a fault hits, if it hits one.
fn worker_of(fault: &Fault) -> Option<u32> {
    match fault {
        Fault::Pause { node } | Fault::Kill { node } => node.strip_prefix("worker-")?.parse().ok(),
        _ => None,
    }
}

/// From the moment at which a holder was stopped or killed to the next one's having the lock, each
/// time that one got it before the holder let go.
fn takeovers(journal: &[Entry], marks: &[Mark]) -> Vec<Duration> {
    let takeover = |mark: &Mark| {
        let silent = worker_of(&mark.fault).filter(|_| mark.begins)?;
        let before = journal.iter().take_while(|entry| entry.at < mark.at);
        let last = before
            .filter(|entry| entry.worker == silent)
            .filter(|entry| matches!(entry.what, Seen::Holds(_) | Seen::LetsGo | Seen::Gone));
        last.last().filter(|entry| matches!(entry.what, Seen::Holds(_)))?;
        let after = journal.iter().skip_while(|entry| entry.at <= mark.at);
        let next = after.filter(|entry| match entry.what {
            Seen::Holds(_) => true,
            Seen::LetsGo => entry.worker == silent,
            _ => false,
        });
        let next = next.into_iter().next().filter(|entry| entry.worker != silent)?;
        Some(next.at - mark.at)
    };
    marks.iter().filter_map(takeover).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(millis: u64, worker: u32, what: Seen) -> Entry {
        Entry { at: Duration::from_millis(millis), worker, what }
    }

    fn pause(millis: u64, worker: u32) -> Mark {
        let fault = Fault::Pause { node: format!("worker-{worker}") };
        Mark { at: Duration::from_millis(millis), number: 0, fault, begins: true }
    }

    #[test]
    fn a_takeover_counts_from_the_silence_of_the_one_that_had_it() {
        let journal = [
            entry(10, 1, Seen::Holds(1)),
            entry(500, 2, Seen::Holds(2)),
            entry(600, 2, Seen::LetsGo),
            entry(610, 1, Seen::LetsGo),
            entry(620, 1, Seen::Holds(3)),
            entry(700, 1, Seen::LetsGo),
            entry(710, 2, Seen::Holds(4)),
        ];
        let ms = Duration::from_millis;
        assert_eq!(takeovers(&journal, &[pause(100, 1)]), [ms(400)]);
        // It had nothing, or let go by itself before anybody else had it.
        assert_eq!(takeovers(&journal, &[pause(100, 2), pause(650, 1)]), []);
    }

    #[test]
    fn what_cannot_be_had_for_real_is_refused_with_what_can() {
        let nodes = ["worker-1", "coordinator", "storage"].map(str::to_owned);
        let refusal =
            |fault: &Fault, is_own| can_be_had(fault, is_own, &nodes).unwrap_err().to_string();
        let kill = |node: &str| Fault::Kill { node: node.to_owned() };
        assert!(can_be_had(&kill("worker-1"), false, &nodes).is_ok());
        assert!(can_be_had(&kill("coordinator"), true, &nodes).is_ok());
        assert!(refusal(&kill("coordinator"), false).contains("--engine embedded"));
        assert!(refusal(&kill("coordinator-2"), true).contains("no process of this run"));
        assert!(refusal(&kill("storage"), true).contains("without --real"));
        let clock = crate::fault::Clock::default();
        let fault = Fault::Clock { node: "worker-1".to_owned(), clock };
        assert!(refusal(&fault, true).contains("no \"clock\" fault"));
    }
}
