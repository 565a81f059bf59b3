//! Does a lock keep updates from being lost when its holder stands still? The pause test, at length:
//!
//! ```sh
//! cargo run -p steadfast-coordination --all-features --example pause -- \
//!     --engine etcd --url http://127.0.0.1:2379 --seconds 60
//! ```
//!
//! See [`rig`] for what is done. `--mode handover` and `--mode election` measure how long it takes
//! until another holder, or leader, is there.
//!
//! Exit status: 0 when nothing was lost with the fence (or no fence was asked for), 1 when something
//! was or the run failed, 2 when the command line is not understood.
#![allow(clippy::print_stdout, reason = "a report")]

mod election;
mod handover;
mod options;
mod rig;
mod spread;

use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::time::Duration;

use options::{Mode, Options, USAGE};
use rig::director::Pauses;
use rig::engine::{Engine, Kind};
use rig::outcome::{Figures, Table};
use rig::role::{self, Again};
use rig::run::{Plan, Served, pause_test};
use rig::scratch::Scratch;
use rig::{Fence, Outcome};

/// The hidden argument before a role.
const ROLE: &str = "role";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [hidden, role] = arguments.as_slice()
        && hidden == ROLE
    {
        return ended(role::play(role).map(|()| true));
    }
    if arguments.iter().any(|argument| argument == "--help") {
        println!("{USAGE}");
        return ExitCode::SUCCESS;
    }
    let options = match Options::parse(&arguments) {
        Ok(options) => options,
        Err(error) => {
            eprintln!("error: {error}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    ended(runtime.map_err(Into::into).and_then(|runtime| runtime.block_on(run(&options))))
}

fn ended(outcome: Outcome<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn again() -> Outcome<Again> {
    let program = std::env::current_exe()?;
    Ok(Arc::new(move |role| {
        let mut command = Command::new(&program);
        command.args([ROLE, role]);
        command
    }))
}

/// Whether all is well.
async fn run(options: &Options) -> Outcome<bool> {
    let mut out = Scratch::new(options.out.as_deref())?;
    let again = again()?;
    let served = match (options.engine, &options.url) {
        (Kind::Embedded, None) => Some(Served::start(&again, out.path()).await?),
        _ => None,
    };
    let engine = match (&served, &options.url) {
        (Some(served), _) => served.engine.clone(),
        (None, Some(url)) => Engine::new(options.engine, url.clone()),
        (None, None) => return Err("--url is needed for this engine".into()),
    };
    let outcome = match options.mode {
        Mode::Pause => pauses(options, &engine, &again, &out).await,
        Mode::Handover => handover::measure(options, &engine, &again, &out).await,
        Mode::Election => election::measure(options, &engine, &again, &out).await,
    };
    if !matches!(outcome, Ok(true)) {
        eprintln!("histories and logs are in {}", out.keep().display());
    }
    outcome
}

async fn pauses(options: &Options, engine: &Engine, again: &Again, out: &Scratch) -> Outcome<bool> {
    let mut all: Vec<Figures> = Vec::new();
    for fence in &options.fences {
        if engine.kind == Kind::Redlock && *fence != Fence::None {
            eprintln!("redlock has no token: the {fence} run is left out");
            continue;
        }
        let pauses = Pauses::AtRandom {
            every: Duration::from_secs(5),
            run: Duration::from_secs(options.seconds),
        };
        let mut plan = Plan::new(engine, *fence, options.length, pauses);
        plan.workers = options.workers;
        plan.seed = options.seed.unwrap_or(plan.seed);
        all.push(pause_test(plan, again, out.path()).await?);
    }
    if all.is_empty() {
        return Err("nothing was run".into());
    }
    if options.json {
        println!("{}", serde_json::to_string(&all)?);
    } else {
        print!("{}", Table(&all));
    }
    Ok(all.iter().filter(|it| it.fence == Fence::Full).all(Figures::is_safe))
}
