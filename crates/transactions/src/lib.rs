//! Sagas: transactions over several services, where nothing can be rolled back but everything can
//! be undone.
//!
//! A payment provider, a stock system and a courier cannot be locked together. What can be done
//! is to ask one after the other and to undo what was done when one of them refuses. That sounds
//! simple, and nearly every hand-written version gets one of four things wrong: it takes a
//! timeout for a no, it forgets where it was when the process stops, it gives up when undoing
//! fails, or it hides all of this in logs. Here each of them is a state that can be looked at:
//!
//! - A call without an answer is *unknown*, and is asked again under the same idempotency key
//!   until somebody knows.
//! - Every step is one commit of the journal: what happened, the message that brought it, the
//!   timer, and the domain's own events and messages.
//! - A compensation is tried until it succeeds; one that keeps failing is *stuck*, listed, and
//!   can be retried, skipped or resolved by an operator, whose name is recorded.
//! - Past the *pivot* there is no way back, and the remaining steps are tried until they succeed.
//!
//! # The parts
//! - [`Definition`]: the steps, checked at construction.
//! - [`State`]: the protocol, as a state machine without clock or I/O.
//! - [`Participant`]: the domain's side, to be implemented.
//! - [`Orchestrator`]: gives inputs to the state machine, makes its calls, commits its events.
//! - [`timers`]: delivers what is due, also after a restart.
//! - [`Attention`], [`Report`]: what an operator sees.
#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

mod attention;
mod cache;
mod definition;
mod error;
mod event;
mod id;
mod input;
mod json;
pub mod limits;
mod operator;
mod orchestrator;
mod participant;
mod retry;
mod state;
pub mod timers;
mod turns;

pub use attention::{Attention, Listed, Page, list};
pub use definition::{Definition, DefinitionError, Kind, Step};
pub use error::Error;
pub use event::{Event, HistoryError, StepName};
pub use id::{Id, IdError};
pub use input::{Finding, Input, Operator, Outcome, Signal};
pub use json::{Json, JsonError};
pub use operator::{Entry, Report};
pub use orchestrator::{Handled, Orchestrator};
pub use participant::{Call, Change, EffectError, Follow, Participant};
pub use retry::{Retry, RetryError};
pub use state::{Fault, Next, Progress, State, Status, Task};
