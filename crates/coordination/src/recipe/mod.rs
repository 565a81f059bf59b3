//! Arrangements of entries and registers, written once for all engines.

mod cas;
pub mod counter;
pub mod election;
mod lock;
pub mod membership;
mod record;
mod rwlock;
mod semaphore;
pub mod sequence;
mod watch;

pub use counter::Counter;
pub use election::{Election, Leader};
pub use lock::Lock;
pub use membership::Membership;
pub use record::Damaged;
pub use rwlock::{ReadGuard, RwLock};
pub use semaphore::{Permit, Semaphore};
pub use sequence::Sequence;
