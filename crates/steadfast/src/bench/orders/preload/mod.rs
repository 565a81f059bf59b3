//! Stores finished orders, as the platform itself would have left them.
//!
//! A million orders through the front door take minutes. So the platform carries a few orders to
//! the end, and what they left in its journals is the pattern: every stream, message, inbox mark
//! and idempotency key of an order is stored again under a new name. What is stored is therefore
//! what this version stores, whoever changes it; no format is known here.
//!
//! # Limits
//! Read models are not copied: the platform brings them up to date, which is waited for. The
//! counters of the sandbox's stock are not moved.

mod pattern;
mod stamp;

use std::time::Duration;

use indicatif::ProgressBar;
use steadfast_journal::{Engine, OutboxChange, Write, sqlite};
use steadfast_time::{Clock, Ids};
use tokio::runtime::Runtime;

use self::pattern::Pattern;
use crate::bench::progress;
use crate::cli::Failure;
use crate::config::Config;
use crate::platform::{self, Platform};

/// Orders in one commit.
const BATCH: u64 = 256;

/// How long the journal must have been quiet for the read models to be up to date.
const QUIET: Duration = Duration::from_secs(1);

/// How long bringing them up to date may take.
const SETTLING_MAX: Duration = Duration::from_secs(1_800);

/// Stores `count` finished orders in the journals of `config`.
///
/// # Errors
/// The pattern could not be made, or storage failed.
pub fn store(config: &Config, count: u64, runtime: &Runtime, clock: &Clock) -> Result<(), Failure> {
    let patterns = pattern::make(config, runtime, clock)?;
    // Events are for a data directory that has all its parts.
    let made =
        runtime.block_on(async { Platform::start(config, clock.clone()).await?.stop().await });
    made.map_err(|error| Failure::of(&error))?;
    let directories = platform::journals(config);
    let bar = progress::bar(count, "storing");
    // The parts of one order lie in several journals, under the same name.
    let ids = Ids::from_entropy();
    let names: Vec<_> = (0..count).map(|_| ids.next(clock.now())).collect();
    for (number, directory) in directories.iter().enumerate() {
        let engine = sqlite::Engine::open(directory, config.sqlite_options());
        let mut engine = engine.map_err(|error| Failure::of(&error))?;
        let here: Vec<&Pattern> = patterns.iter().filter_map(|order| order.get(number)).collect();
        let mut filler = Filler { engine: &mut engine, ids: &ids, clock, published: None };
        let shown = if number == 0 { bar.clone() } else { ProgressBar::hidden() };
        for names in names.chunks(usize::try_from(BATCH).unwrap_or(usize::MAX)) {
            filler.batch(&here, names)?;
            shown.inc(names.len() as u64);
        }
        filler.finish()?;
        engine.close().map_err(|error| Failure::of(&error))?;
    }
    bar.finish_and_clear();
    settle(config, runtime, clock)
}

/// Writes batches into one journal.
struct Filler<'a> {
    engine: &'a mut sqlite::Engine,
    ids: &'a Ids,
    clock: &'a Clock,
    /// Messages of the batch before, which the bus has taken by now.
    published: Option<std::ops::RangeInclusive<u64>>,
}

impl Filler<'_> {
    fn batch(&mut self, patterns: &[&Pattern], names: &[uuid::Uuid]) -> Result<(), Failure> {
        let at = self.clock.now();
        let mut writes: Vec<Write> = names
            .iter()
            .zip(patterns.iter().cycle())
            .map(|(name, pattern)| pattern.stamp(*name, at, self.ids))
            .collect();
        if let (Some(range), Some(first)) = (self.published.take(), writes.first_mut()) {
            first.outbox.push(OutboxChange::Published(range));
        }
        self.commit(&writes)
    }

    /// Tells the last batch's messages apart from those that are still to be published.
    fn finish(&mut self) -> Result<(), Failure> {
        let Some(range) = self.published.take() else {
            return Ok(());
        };
        let mut write = Write::at(self.clock.now());
        write.outbox.push(OutboxChange::Published(range));
        self.commit(&[write])
    }

    fn commit(&mut self, writes: &[Write]) -> Result<(), Failure> {
        let outcomes = self.engine.commit(writes).map_err(|error| Failure::of(&error))?;
        for outcome in outcomes {
            let applied = outcome.map_err(|refusal| {
                Failure::failed(format!("the journal refused a copied order: {refusal}"))
            })?;
            for row in applied.outbox {
                let first = self.published.as_ref().map_or(row.seq, |range| *range.start());
                self.published = Some(first..=row.seq);
            }
        }
        Ok(())
    }
}

/// Lets the platform bring its read models up to date.
fn settle(config: &Config, runtime: &Runtime, clock: &Clock) -> Result<(), Failure> {
    let platform = runtime
        .block_on(Platform::start(config, clock.clone()))
        .map_err(|error| Failure::of(&error))?;
    let bar = progress::bar(0, "settling");
    runtime.block_on(async {
        let journal = platform.journal();
        let end = clock.monotonic() + SETTLING_MAX;
        loop {
            let before = journal.stats().writes;
            clock.sleep(QUIET).await;
            bar.tick();
            if journal.stats().writes == before || clock.monotonic() > end {
                return;
            }
        }
    });
    bar.finish_and_clear();
    runtime.block_on(platform.stop()).map_err(|error| Failure::of(&error))
}
