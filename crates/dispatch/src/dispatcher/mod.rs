//! The dispatcher: asks couriers to carry orders, zone by zone.
//!
//! ```text
//! journal feed ─► board ─► snapshot ─► policy ─► plan ─► Write { fence, guards, Offered … } ─► journal
//!                   ▲                                                                            │
//!                   └────────────────────────── the events come back ◄──────────────────────────┘
//! ```
//!
//! Safety does not depend on anything kept here. The zone's fencing token keeps a replaced
//! dispatcher out, the guards keep the zone and each courier within their capacity, and each
//! order's expected version keeps it with one courier at a time; all three are checked by the
//! journal in the transaction that makes the offers. What is kept here only makes it likely
//! that they pass.
//!
//! Dispatchers share the zones: each asks for the leases of those that the consistent-hash ring of
//! the live ones assigns to it, and hands over those that it assigns to others. Again that is only who
//! asks; a zone's lease and its fence decide.
//!
//! One write per zone is under way at a time. Orders that come in meanwhile are offered in the
//! next, so that under load one write carries many offers.

mod follow;
mod leases;
mod offer;
mod planner;
mod presence;
mod run;
mod territory;

pub use planner::{Inline, Planner};
pub use run::{Dispatcher, Ticker};
