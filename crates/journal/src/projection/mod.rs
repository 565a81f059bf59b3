//! Read models: records that follow the events.
//!
//! A list of open orders cannot be folded from a hundred thousand streams for each request. So a
//! [`Projection`] turns events into records as they come, and readers look at the records. What
//! makes this safe is that records and checkpoint move in one write: after a crash the view is
//! exactly what its checkpoint says, and going on from there repeats nothing and skips nothing.
//!
//! - [`Runner::run`] follows the feed and commits many events at a time.
//! - [`View`] reads, and waits for one's own write with [`View::catch_up_to`].
//! - [`View::rebuild`] starts again from the first event in a *generation* of its own and
//!   switches over in one write, once the new one has caught up. Readers see the old view until
//!   then and the new one from then on, never half of either. Raising
//!   [`Projection::version`] does the same at the next start.
//! - An event that cannot be applied stops the runner and is named; it is never skipped. What
//!   came before it is kept.
//!
//! ```
//! use std::time::Duration;
//!
//! use steadfast_journal::projection::{ApplyError, Changes, Options, Projection, Runner};
//! use steadfast_journal::{
//!     Append, Event, Expected, Journal, NewEvent, StreamId, Write, memory,
//! };
//! use steadfast_time::sim::Simulation;
//!
//! /// How many orders each merchant has.
//! struct Orders;
//!
//! impl Projection for Orders {
//!     fn name(&self) -> &str {
//!         "orders-by-merchant"
//!     }
//!
//!     fn version(&self) -> u32 {
//!         1
//!     }
//!
//!     fn apply(&self, changes: &mut Changes<'_>, event: &Event) -> Result<(), ApplyError> {
//!         if event.kind == "placed" {
//!             let merchant: String = serde_json::from_slice(&event.payload)?;
//!             let orders = changes.get_json::<u64>(&merchant)?.unwrap_or_default();
//!             changes.put_json(merchant, &(orders + 1))?;
//!         }
//!         Ok(())
//!     }
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut sim = Simulation::new(1);
//! let (journal, mut writer) = Journal::new(memory::Engine::new(), sim.clock());
//! sim.on_idle(move || writer.run_once().is_ok_and(|committed| committed > 0));
//! let (runner, view) = Runner::new(journal.clone(), sim.clock(), Orders, Options::default())?;
//! sim.spawn(async move { drop(runner.run().await) });
//!
//! let mut write = Write::default();
//! let placed = NewEvent { kind: "placed".into(), schema: 1, payload: "\"bento-house\"".into() };
//! let (stream, expected) = (StreamId::new("order", "1")?, Expected::Any);
//! write.appends.push(Append { stream, expected, events: vec![placed] });
//! let orders = sim.block_on(async move {
//!     let written = journal.commit(write).await?.head;
//!     view.catch_up_to(written, Duration::from_secs(1)).await?;
//!     let orders = view.get_json::<u64>("bento-house")?;
//!     Ok::<_, Box<dyn std::error::Error>>(orders)
//! })?;
//! assert_eq!(orders, Some(1));
//! # Ok(())
//! # }
//! ```
//!
//! # What is stored
//! - The record `<name>` of the space `projection`: which generation is live, which one is being
//!   built, and which ones are to be cleared away.
//! - The records of the space `view/<name>/<generation>`: the view.
//! - The counter `projection/<name>/<generation>`: the checkpoint. A guard moves it from exactly
//!   where the runner thinks it is, so two runners cannot both apply an event.
//!
//! # Limits
//! A projection has no memory of its own between events but its records. One event changes at
//! most [`EVENT_CHANGES_MAX`](crate::limits::EVENT_CHANGES_MAX) records. A view lags behind the
//! journal, usually by a few milliseconds.

mod changes;
mod control;
mod error;
mod runner;
mod view;

use std::time::Duration;

pub use self::changes::Changes;
pub use self::error::Error;
pub use self::runner::Runner;
pub use self::view::{Condition, Progress, View};
use crate::Event;
use crate::limits::PROJECTION_BATCH_EVENTS;

/// What a step of a projection may fail with.
pub type ApplyError = Box<dyn std::error::Error + Send + Sync>;

/// How events become records.
pub trait Projection: Send + Sync + 'static {
    /// Its name, of `a-z`, `0-9` and `-`, at most 100 bytes. It never changes.
    fn name(&self) -> &str;

    /// The shape of its records. Raise it when the shape or the rules change: the view is then
    /// built anew, and readers are told to wait until it is there.
    fn version(&self) -> u32;

    /// Applies one event. It must depend on nothing but the event and the records, so that
    /// applying the same events again gives the same records.
    ///
    /// # Errors
    /// The event cannot be applied. None of its changes are kept, and the runner stops.
    fn apply(&self, changes: &mut Changes<'_>, event: &Event) -> Result<(), ApplyError>;
}

/// How a [`Runner`] works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Events in one commit, at most.
    pub batch_events: usize,
    /// How long to wait for more events before committing few. A waiting reader ends the wait.
    pub batch_delay: Duration,
}

impl Default for Options {
    /// 500 events or 5 ms: no more than 200 commits a second, and a lag that nobody notices.
    fn default() -> Self {
        Self { batch_events: PROJECTION_BATCH_EVENTS, batch_delay: Duration::from_millis(5) }
    }
}
