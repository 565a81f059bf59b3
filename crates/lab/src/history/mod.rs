//! What clients did and heard.
//!
//! A history is a list of events: a client *invokes* an operation, and later hears how it ended.
//! Nothing else is needed to find out whether a system kept its promise, and nothing that the
//! system says about itself counts. The format is Jepsen's, as JSON lines ([`jsonl`]) or as EDN
//! ([`edn`]): whatever writes either can be checked here, and what is written here can be checked
//! elsewhere.
//!
//! A line is `{"process":0,"type":"invoke","f":"write","key":"x","value":1,"time":123}`:
//!
//! | field | |
//! |---|---|
//! | `process` | who; one operation at a time. After an `info` a process may not be used again |
//! | `type` | `invoke`, then `ok`, `fail` (it had **no** effect) or `info` (it may have had one, now or later) |
//! | `f` | what: `read`, `write`, `cas`, `acquire`, … as the model has it |
//! | `key` | which object, if there are several; each is checked by itself |
//! | `value` | the argument, or the answer |
//! | `time` | nanoseconds since some beginning, the same for all |
//! | `error` | why it failed, in words; no check looks at it |
//!
//! [`read()`] finds out which of the two a file is, and reads it event by event.
//!
//! # Limits
//! Events stand in the order in which they happened; `time` may repeat, not decrease.

pub mod edn;
mod event;
pub mod jsonl;
mod line;
mod pairs;
mod read;
mod recorder;
mod word;

pub use event::{Event, Kind};
pub use line::LineError;
pub use pairs::{Malformed, Operation, Outcome, pairs};
pub use read::{Format, Options, Reader, Writer, read};
pub use recorder::{Pending, Recorder};
