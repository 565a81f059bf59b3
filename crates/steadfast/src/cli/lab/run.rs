//! `lab run`

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use steadfast_lab::limits::DURATION_MAX;
use steadfast_lab::run::{self, Options, Report};
use steadfast_lab::system::Real;
use steadfast_lab::{Error, Scenario, Verdict, experiment, real, report};

use super::watch::Screen;
use super::{process, scenario, tell};
use crate::cli::failure::INTERRUPTED;
use crate::cli::{Failure, Out};
use crate::config::value::Length;

pub(super) const EXAMPLES: &str = "\
Examples:
  steadfast lab run fencing                        simulated: seconds for a minute
  steadfast lab run fencing --seeds 10             under ten seeds, one after the other
  steadfast lab run fencing --real                 as processes, with real signals
  steadfast lab run fencing --real --engine etcd://127.0.0.1:2379
  steadfast lab run mine.toml --report out         one's own scenario, with pages to look at
  steadfast lab run all --report out               every built-in experiment, and a gallery

Exit codes: 0 every protected variant holds and every broken twin is caught, 1 not so, 2 used wrongly
(a scenario with a mistake), 3 not found out, 130 interrupted. Ctrl-C ends a run and leaves nothing
running; a second one does not wait for a check that searches.";

/// Arguments of `lab run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Built-in experiments by name, scenario files, or `all`.
    #[arg(required = true, value_name = "NAME|FILE")]
    names: Vec<String>,
    /// Everything random comes from it.
    #[arg(long, value_name = "N", default_value_t = 1, env = "STEADFAST_SEED")]
    seed: u64,
    /// Run under so many seeds, from --seed on.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=100_000), conflicts_with = "real")]
    seeds: u64,
    /// Run it as processes of this machine instead of simulating it.
    #[arg(long)]
    real: bool,
    /// The coordination engine of a real run, as the configuration has it; may be given several
    /// times [default: embedded].
    #[arg(long, value_name = "URL", requires = "real")]
    engine: Vec<String>,
    /// How long a trial takes, in the system's time, instead of what the scenario says.
    #[arg(long, value_name = "TIME")]
    duration: Option<Length>,
    /// Only these variants; the verdict is then open at best.
    #[arg(long, value_name = "NAME")]
    variant: Vec<String>,
    /// How long each check of a history may search.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    check_time: Length,
    /// Write pages, figures and histories here.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let scenarios = self.scenarios()?;
        self.room(&scenarios)?;
        let again = process::again()?;
        let runtime = crate::runtime::build().map_err(Failure::failed)?;
        let interrupted = Arc::new(AtomicBool::new(false));
        runtime.spawn(listen(Arc::clone(&interrupted)));
        let runs: Vec<_> = scenarios.iter().flat_map(|it| self.engines(it)).collect();
        let mut reports = Vec::new();
        for &(scenario, engine) in &runs {
            let screen = Screen::new(Arc::clone(&interrupted));
            let result = if self.real {
                runtime.block_on(self.perform(scenario, engine, &again, &screen))
            } else {
                run::campaign(scenario, &self.options(), self.seeds, &screen)
            };
            screen.clear();
            let found = result.map_err(failure)?;
            let told = self.tell(&found, out);
            reports.push(found);
            match told {
                // A reader that has left ends it; but what was not run does not hold.
                Err(Failure::Stdout(error)) if error.kind() == ErrorKind::BrokenPipe => {
                    let rest = runs.len() > reports.len();
                    let rest = if rest { Verdict::Unknown } else { Verdict::Holds };
                    return Err(Failure::Verdict(all(&reports).and(rest)));
                }
                told => told?,
            }
        }
        if out.json() {
            match reports.as_slice() {
                [one] => out.document(one)?,
                several => out.document(&serde_json::json!({ "runs": several }))?,
            }
        }
        match all(&reports) {
            Verdict::Holds => Ok(()),
            verdict => out.finish().and(Err(Failure::Verdict(verdict))),
        }
    }

    /// A scenario on each engine that was named; on its own choice when none was.
    fn engines<'a>(&'a self, scenario: &'a Scenario) -> Vec<(&'a Scenario, Option<&'a str>)> {
        if self.engine.is_empty() {
            return vec![(scenario, None)];
        }
        self.engine.iter().map(|engine| (scenario, Some(engine.as_str()))).collect()
    }

    fn scenarios(&self) -> Result<Vec<Scenario>, Failure> {
        let mut scenarios = Vec::new();
        for name in &self.names {
            if name == "all" {
                let all = experiment::ALL.iter().filter_map(|(name, _)| experiment::find(name));
                // Of some there is nothing real; whoever names one hears so.
                scenarios.extend(all.filter(|it| !self.real || it.system.real() != Real::Never));
            } else {
                scenarios.push(scenario(name)?);
            }
        }
        if self.duration.is_some_and(|it| it.get().is_zero() || it.get() > DURATION_MAX) {
            let what = "--duration: must be longer than nothing, and at most 24h";
            return Err(Failure::Usage(what.to_owned()));
        }
        for scenario in &scenarios {
            if !self.engine.is_empty() && scenario.system.real() != Real::Coordinated {
                let what = format!("--engine: nothing is coordinated in {}", scenario.name);
                return Err(Failure::Usage(what));
            }
            for name in &self.variant {
                if !scenario.variants.iter().any(|variant| variant.name == *name) {
                    let known: Vec<_> =
                        scenario.variants.iter().map(|it| it.name.as_str()).collect();
                    let (of, known) = (&scenario.name, known.join(", "));
                    return Err(Failure::Usage(format!(
                        "--variant: {of} has no variant {name:?}; it has {known}"
                    )));
                }
            }
        }
        Ok(scenarios)
    }

    /// Refuses what could not be written down at the end, before anything runs.
    fn room(&self, scenarios: &[Scenario]) -> Result<(), Failure> {
        let mut names = BTreeSet::new();
        let twice = scenarios.iter().find(|scenario| !names.insert(&scenario.name));
        if let Some(twice) = twice
            && self.report.is_some()
        {
            let name = &twice.name;
            let what =
                format!("two runs are called {name:?}: one would replace the other's report");
            return Err(Failure::Usage(what));
        }
        if let Some(folder) = &self.report {
            let made = std::fs::create_dir_all(folder);
            made.and_then(|()| tempfile::tempfile_in(folder))
                .map_err(|error| Failure::failed(format!("{}: {error}", folder.display())))?;
        }
        Ok(())
    }

    fn options(&self) -> Options {
        Options {
            check_time: self.check_time.get(),
            duration: self.duration.map(Length::get),
            only: self.variant.clone(),
            ..Options::seeded(self.seed)
        }
    }

    /// Runs as processes; an interruption drops the run, and everything that it started with it.
    async fn perform(
        &self,
        scenario: &Scenario,
        engine: Option<&str>,
        again: &real::Again,
        screen: &Screen,
    ) -> Result<Report, Error> {
        let stage = real::Stage::new(Arc::clone(again))?;
        let stage = match engine {
            Some(engine) => stage.with_engine(engine),
            None => stage,
        };
        let options = self.options();
        let work = run::perform(scenario, &options, &stage, screen);
        let interrupted = async {
            while !steadfast_lab::run::Watch::is_interrupted(screen) {
                options.clock.sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            result = work => result,
            () = interrupted => Err(Error::Interrupted),
        }
    }

    fn tell(&self, found: &Report, out: &mut Out) -> Result<(), Failure> {
        let saved = match &self.report {
            Some(dir) => Some(report::save(found, dir).map_err(failure)?),
            None => None,
        };
        if !out.json() {
            tell::tell(found, out)?;
            if let Some(saved) = &saved {
                out.line(format!("page: {}", saved.html.display()))?;
            }
            out.finish()?;
        }
        Ok(())
    }
}

/// Ctrl-C ends the run in order; once more ends the program as it stands. Processes of a real run end
/// with it then, for the kernel sees to that.
async fn listen(interrupted: Arc<AtomicBool>) {
    if tokio::signal::ctrl_c().await.is_err() {
        return;
    }
    interrupted.store(true, Ordering::Relaxed);
    if tokio::signal::ctrl_c().await.is_ok() {
        std::process::exit(INTERRUPTED.into());
    }
}

fn all(reports: &[Report]) -> Verdict {
    Verdict::all(reports.iter().map(|report| report.verdict))
}

fn failure(error: Error) -> Failure {
    match error {
        Error::Interrupted => Failure::Interrupted(error.to_string()),
        Error::Scenario(_) | Error::Mode { .. } => Failure::Usage(error.to_string()),
        other => Failure::of(&other),
    }
}
