//! `check`

mod convert;
mod input;
mod output;

use std::collections::BTreeSet;
use std::io::{self, BufRead};
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use steadfast_lab::check::{self, Model, Stream};
use steadfast_lab::history::{self, Event, Format, Kind, LineError};
use steadfast_lab::{Verdict, limits};
use steadfast_time::Clock;

use self::convert::Converted;
use self::input::{Input, Progress};
use self::output::Found;
use super::{Failure, Out};
use crate::config::value::Length;

/// Arguments of `check`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  steadfast check history.jsonl --model register
  steadfast check store/latest/history.edn --model cas-register --independent
  zcat history.jsonl.gz | steadfast check - --model queue --time-limit 10m

Models and their operations:
  register, sequential, causal   read, write
  cas-register                   read, write, cas [from, to]
  mutex, at-most-one-holder      acquire, release
  fenced-lock                    acquire (answers a token), release, write [token, value], read
  queue                          enqueue, dequeue
  total-order                    deliver
  bank                           transfer {from, to, amount}, read {account: balance}
  no-lost-update                 update, read [value, …]

Exit codes: 0 holds, 1 violated, 2 used wrongly or no such history, 3 not found out in time.")]
pub struct Args {
    /// The history, as JSON lines or Jepsen's EDN; `-` is stdin.
    file: PathBuf,
    /// What it is checked against.
    #[arg(long, value_name = "MODEL", hide_possible_values = true, value_parser = model())]
    model: Model,
    /// How the history is written down.
    #[arg(
        long,
        value_name = "auto|jsonl|edn",
        default_value = "auto",
        hide_possible_values = true
    )]
    format: Written,
    /// Each value is a tuple of a key and a value (jepsen.independent).
    #[arg(long)]
    independent: bool,
    /// How long to search, once the history is read.
    #[arg(long, value_name = "TIME", default_value = "60s")]
    time_limit: Length,
    /// How many operations to hold in memory at most, at some 200 bytes each.
    #[arg(long, value_name = "N", default_value_t = limits::HISTORY_OPERATIONS_MAX)]
    max_operations: u64,
    /// Write the events to this file as well, which ends in .edn or .jsonl.
    #[arg(long, value_name = "FILE")]
    convert_to: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Written {
    Auto,
    Jsonl,
    Edn,
}

fn model() -> impl TypedValueParser<Value = Model> {
    PossibleValuesParser::new(Model::ALL.map(Model::name)).try_map(|name| {
        let model = Model::ALL.into_iter().find(|model| model.name() == name);
        model.ok_or_else(|| format!("there is no model {name:?}"))
    })
}

/// What was noticed while the history was read.
#[derive(Debug)]
struct Seen {
    events: u64,
    operations: u64,
    names: BTreeSet<String>,
    /// Whether each value that is one at all is a pair, as those of jepsen.independent are.
    only_pairs: bool,
    skipped: u64,
    raised: u64,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let clock = Clock::system();
        let started = clock.monotonic();
        let input = Input::open(&self.file).map_err(Failure::Usage)?;
        let mut converted = self
            .convert_to
            .as_deref()
            .map(|path| Converted::create(path, &self.file))
            .transpose()?;
        let mut progress = Progress::new(&clock, input.length());
        let options = check::Options { time: self.time_limit.get(), clock: clock.clone() };
        let mut stream = Stream::new(self.model, options);
        let seen = self.read(input, &mut stream, converted.as_mut(), &mut progress)?;
        if seen.events == 0 {
            return Err(self.usage(nothing(&seen)));
        }
        let report = progress.while_checking(|| stream.finish());
        let report = report.map_err(|error| self.usage(words(&error)))?;
        if let Some(converted) = converted {
            converted.keep()?;
        }
        let seconds = (clock.monotonic() - started).as_secs_f64();
        let verdict = report.verdict;
        let found = Found { model: self.model, report, seconds, limit: self.time_limit, seen };
        found.notes(self.independent);
        match found.print(out).and_then(|()| out.finish()) {
            // Whoever has left early, as `head` does, may still look at the exit code.
            Err(Failure::Stdout(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            // 1 would say that the history is violated.
            Err(Failure::Stdout(error)) => {
                return Err(Failure::Usage(format!("cannot write to stdout: {error}")));
            }
            other => other?,
        }
        match verdict {
            Verdict::Holds => Ok(()),
            other => Err(Failure::Verdict(other)),
        }
    }

    fn read(
        &self,
        input: Input,
        stream: &mut Stream,
        mut converted: Option<&mut Converted>,
        progress: &mut Progress,
    ) -> Result<Seen, Failure> {
        let format = match self.format {
            Written::Auto => None,
            Written::Jsonl => Some(Format::JsonLines),
            Written::Edn => Some(Format::Edn),
        };
        let position = input.position();
        let options = history::Options { format, independent: self.independent };
        let mut reader =
            history::read(input.into_reader(), options).map_err(|error| self.malformed(&error))?;
        let mut seen = Seen::new();
        while let Some(event) = reader.next() {
            let event = event.map_err(|error| self.malformed(&error))?;
            seen.event(&event);
            if seen.operations > self.max_operations {
                return Err(self.too_many(reader.line()));
            }
            if let Some(converted) = &mut converted {
                converted.push(&event)?;
            }
            if let Err(error) = stream.push(event) {
                return Err(self.unfit(&error, &mut reader, &mut seen));
            }
            if seen.events.is_multiple_of(4_096) {
                progress.reading(position.get());
            }
        }
        seen.skipped = reader.skipped();
        seen.raised = reader.raised();
        Ok(seen)
    }

    fn name(&self) -> String {
        input::name(&self.file)
    }

    fn usage(&self, what: impl std::fmt::Display) -> Failure {
        Failure::Usage(format!("{}: {what}", self.name()))
    }

    fn malformed(&self, error: &LineError) -> Failure {
        self.usage(error)
    }

    fn too_many(&self, line: u64) -> Failure {
        self.usage(format!(
            "line {line}: more than {} operations; check the keys of the file one by one, or a \
             part of it, or raise the limit with --max-operations",
            output::thousands(self.max_operations)
        ))
    }

    /// An event that is none of the model's, or cannot follow those before it.
    fn unfit<R: BufRead>(
        &self,
        error: &check::Error,
        reader: &mut history::Reader<R>,
        seen: &mut Seen,
    ) -> Failure {
        /// Of the rest, how much is looked at to say which models would fit.
        const LOOKED_AT: usize = 100_000;
        let mut what = format!("line {}: {}", reader.line(), words(error));
        if matches!(error, check::Error::Operation { .. }) {
            reader.by_ref().take(LOOKED_AT).flatten().for_each(|event| seen.event(&event));
            what.push('\n');
            what.push_str(&self.fitting(seen));
        }
        self.usage(what)
    }

    /// Which models have all operations that were seen.
    fn fitting(&self, seen: &Seen) -> String {
        let names: Vec<&str> = seen.names.iter().map(String::as_str).collect();
        let fits = |model: &Model| names.iter().all(|name| model.operations().contains(name));
        let fitting: Vec<&str> = Model::ALL.into_iter().filter(fits).map(Model::name).collect();
        let has = format!("the file has the operations {}", names.join(", "));
        if fitting.contains(&self.model.name()) {
            return match (self.independent, seen.only_pairs) {
                (false, true) => format!(
                    "{has}, and every value is a pair: if they are keys and values, add \
                     --independent"
                ),
                _ => format!("{has}, which fit {}; its values do not", fitting.join(", ")),
            };
        }
        match &*fitting {
            [] => format!("{has}: no model has them all; see `steadfast check --help`"),
            fitting => format!("{has}: these fit {}", fitting.join(", ")),
        }
    }
}

impl Seen {
    fn new() -> Self {
        Self {
            events: 0,
            operations: 0,
            names: BTreeSet::new(),
            only_pairs: true,
            skipped: 0,
            raised: 0,
        }
    }

    fn event(&mut self, event: &Event) {
        /// A file with more is of no model, and need not be remembered whole.
        const NAMES_MAX: usize = 16;
        self.events += 1;
        self.operations += u64::from(event.kind == Kind::Invoke);
        if self.names.len() < NAMES_MAX && !self.names.contains(&*event.f) {
            self.names.insert(event.f.clone().into_owned());
        }
        if self.only_pairs && !event.value.is_null() {
            self.only_pairs = event.value.as_array().is_some_and(|parts| parts.len() == 2);
        }
    }
}

/// An error without the place that it gives: the line is known here.
fn words(error: &check::Error) -> String {
    match error {
        check::Error::Malformed(malformed) => malformed.what.clone(),
        check::Error::Operation { what, .. } => what.clone(),
    }
}

fn nothing(seen: &Seen) -> String {
    match seen.skipped {
        0 => "holds no events, so there is nothing to check".to_owned(),
        1 => "holds one event, and it is no client's: there is nothing to check".to_owned(),
        skipped => {
            let skipped = output::thousands(skipped);
            format!("holds {skipped} events, none of them a client's: there is nothing to check")
        }
    }
}
