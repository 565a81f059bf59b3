//! `lab list|show|run|report`

mod process;
mod report;
mod run;
mod tell;
mod watch;

use std::path::Path;

use clap::Subcommand;
use steadfast_lab::{Scenario, experiment, system};

use super::table::Table;
use super::{Failure, Out};

#[derive(Debug, Subcommand)]
pub enum Command {
    /// The built-in experiments.
    #[command(after_help = "\
Examples:
  steadfast lab list               name, system and claim of each
  steadfast lab list --systems     what a scenario of one's own can put under test")]
    List {
        /// The systems instead: their faults, indicators and models.
        #[arg(long)]
        systems: bool,
    },
    /// Print an experiment's scenario file, to be read or changed.
    #[command(after_help = "\
Example:
  steadfast lab show fencing > mine.toml && steadfast lab run mine.toml")]
    Show {
        /// Which.
        name: String,
    },
    /// Run experiments, and see whether the guarantee holds and its broken twin is caught.
    #[command(after_help = run::EXAMPLES)]
    Run(run::Args),
    /// Make the gallery of a folder of reports anew, or write their figures into documents.
    #[command(after_help = report::EXAMPLES)]
    Report(report::Args),
    /// This program as a process of a real experiment.
    #[command(hide = true)]
    Role {
        /// Its orders.
        role: String,
    },
}

impl Command {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        match self {
            Self::List { systems: false } => list(out),
            Self::List { systems: true } => systems(out),
            Self::Show { name } => match experiment::text(&name) {
                Some(text) => out.raw(text.as_bytes()),
                None => Err(unknown(&name)),
            },
            Self::Run(args) => args.run(out),
            Self::Report(args) => args.run(out),
            Self::Role { role } => process::play(&role),
        }
    }
}

fn unknown(name: &str) -> Failure {
    let hint = experiment::suggestion(name);
    Failure::Usage(format!("there is no experiment {name:?}, and no file{hint}"))
}

/// A built-in scenario by its name, or a file.
fn scenario(name: &str) -> Result<Scenario, Failure> {
    if let Some(scenario) = experiment::find(name) {
        return Ok(scenario);
    }
    let path = Path::new(name);
    if !path.exists() {
        return Err(unknown(name));
    }
    Scenario::load(path).map_err(|error| Failure::Usage(error.to_string()))
}

fn list(out: &mut Out) -> Result<(), Failure> {
    let names = experiment::ALL.iter().map(|(name, _)| *name);
    let scenarios: Vec<_> = names.filter_map(experiment::find).collect();
    if out.json() {
        let entry = |it: &Scenario| {
            let variant = |variant: &steadfast_lab::scenario::Variant| {
                serde_json::json!({
                    "name": variant.name, "protected": variant.protected, "about": variant.about,
                })
            };
            serde_json::json!({
                "name": it.name, "title": it.title, "claim": it.claim, "source": it.source,
                "system": it.system.name(), "real": it.system.real(), "duration_s": it.duration.as_secs_f64(),
                "variants": it.variants.iter().map(variant).collect::<Vec<_>>(),
            })
        };
        let entries: Vec<_> = scenarios.iter().map(entry).collect();
        return out.document(&serde_json::json!({ "experiments": entries }));
    }
    let mut table = Table::new(&["NAME", "SYSTEM", "WITH, and without", "TITLE"]);
    for it in &scenarios {
        let names = |protected: bool| {
            let chosen = it.variants.iter().filter(|variant| variant.protected == protected);
            chosen.map(|variant| variant.name.as_str()).collect::<Vec<_>>().join(", ")
        };
        table.row([
            it.name.clone(),
            it.system.name().to_owned(),
            format!("{}; {}", names(true), names(false)),
            it.title.clone(),
        ]);
    }
    out.table(&table)
}

fn systems(out: &mut Out) -> Result<(), Failure> {
    if out.json() {
        let entry = |it: &&dyn system::System| {
            let indicator = |it: &system::Indicator| serde_json::json!({ "name": it.name, "unit": it.unit, "about": it.about });
            serde_json::json!({
                "name": it.name(), "about": it.about(), "real": it.real(), "faults": it.faults(),
                "models": it.models(),
                "indicators": it.indicators().iter().map(indicator).collect::<Vec<_>>(),
            })
        };
        let entries: Vec<_> = system::ALL.iter().map(entry).collect();
        return out.document(&serde_json::json!({ "systems": entries }));
    }
    for (number, it) in system::ALL.iter().enumerate() {
        if number > 0 {
            out.line("")?;
        }
        let faults: Vec<_> = it.faults().iter().map(|kind| kind.name()).collect();
        let models: Vec<_> = it.models().iter().map(|model| model.name()).collect();
        let none = |list: Vec<&str>| {
            if list.is_empty() { "none".to_owned() } else { list.join(", ") }
        };
        out.line(format!("{}: {}", it.name(), it.about()))?;
        let real = match it.real() {
            system::Real::Never => "simulated only",
            system::Real::Processes => "simulated, or as processes",
            system::Real::Coordinated => "simulated, or as processes on any coordination engine",
        };
        out.line(format!("  runs        {real}"))?;
        out.line(format!("  faults      {}", none(faults)))?;
        out.line(format!("  models      {}", none(models)))?;
        let width = it.indicators().iter().map(|it| it.name.len()).max().unwrap_or(0);
        for (number, indicator) in it.indicators().iter().enumerate() {
            let head = if number == 0 { "  indicators  " } else { "              " };
            let (name, unit) = (indicator.name, indicator.unit.name());
            out.line(format!("{head}{name:width$}  {unit}: {}", indicator.about))?;
        }
    }
    Ok(())
}
