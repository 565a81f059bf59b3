//! A client of an engine: one session that is kept, entries that wait for their turn, and nothing
//! left behind.
//!
//! Locks, elections and the rest are arrangements of entries (see [`crate::port`]); what is hard
//! about all of them is the same, and is here:
//!
//! - **One session**, opened when it is first wanted, renewed by the [`Keeper`] from then on, given
//!   up *before* the server would, and replaced by another after a loss.
//! - **A turn that is one**: [`Client::enter`] waits in a fair queue and looks at its session once
//!   more before it gives a [`Guard`].
//! - **Release that is guaranteed**: whatever is dropped, at any point, also with an answer
//!   outstanding, is taken out of its queue by the keeper, which tries until the server has
//!   confirmed it or the session is over. It never ends anybody else's entry.
//! - **Losses that are noticed**: by a deadline on the monotonic clock, by the server's word, by a
//!   stall of the process ([`Stalls`]), by quarantine, by an operator who takes an entry away.
//!
//! A client's opinion of its session is never the safety argument: it keeps two holders from
//! working at the same time nearly always, and the token keeps the second one's data safe when it
//! fails to.
//!
//! ```text
//!   None ──wanted──► Opening ──answered before its deadline──► Live ──► renewed: Live
//!    ▲                  │ late, failed                          │ deadline, server, stall,
//!    └──── backoff ─────┴───────────────────────────────────────┘ quarantine, too many debts
//! ```

mod call;
mod debts;
mod entry;
mod guard;
mod keeper;
mod lease;
mod machine;
mod patience;
mod session;
mod shared;
mod stall;
#[cfg(test)]
mod tests;
#[cfg(feature = "thread")]
pub mod thread;
mod turn;

use std::sync::Arc;
use std::time::Duration;

use steadfast_time::{Clock, Ids};

pub use guard::{Guard, Lost};
pub use keeper::Keeper;
pub use patience::Patience;
pub use session::{Session, SessionLost};
pub use stall::Stalls;

use crate::event::{Event, Listener};
use crate::options::{Invalid, Options};
use crate::port::{self, Coordinator, Error, Mode, Name};
use shared::{NoSession, Shared};
use turn::Attempt;

/// A client of an engine. Clones are the same client: one session, one keeper.
///
/// When the last clone, guard and recipe of it is dropped, the keeper gives back what is left and
/// ends.
#[derive(Clone)]
pub struct Client {
    handle: Arc<Handle>,
    ids: Arc<Ids>,
    owner: Arc<str>,
}

/// What keeps a client in use.
struct Handle {
    shared: Arc<Shared>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle").finish_non_exhaustive()
    }
}

impl Client {
    /// A client of an engine, and its keeper, which is to be [run](Keeper::run). Nothing is asked of
    /// the engine yet.
    ///
    /// # Errors
    /// [`Invalid`] when the length of the session does not outlast clock skew and round trip.
    pub fn new(
        coordinator: Arc<dyn Coordinator>,
        clock: Clock,
        options: Options,
    ) -> Result<(Self, Keeper), Invalid> {
        options.check()?;
        let shared = Arc::new(Shared::new(coordinator, clock, options));
        let keeper = Keeper::new(Arc::clone(&shared));
        let handle = Arc::new(Handle { shared });
        let owner = format!("process {}", std::process::id()).into();
        Ok((Self { handle, ids: Arc::new(Ids::from_entropy()), owner }, keeper))
    }

    /// Takes the identifiers of entries from another source, as a simulation does.
    #[must_use]
    pub fn with_ids(self, ids: Arc<Ids>) -> Self {
        Self { ids, ..self }
    }

    /// Says who this is: what others read in the entries of this handle that have no value of their
    /// own. Without, it is the number of the process.
    #[must_use]
    pub fn with_owner(self, owner: &str) -> Self {
        Self { owner: owner.into(), ..self }
    }

    /// Gives up the session after a stall of the process that is longer than
    /// [`Options::stall_max`]. For all clones; the first source stays.
    #[must_use]
    pub fn with_stalls(self, stalls: Arc<dyn Stalls>) -> Self {
        self.handle.shared.watch_stalls(stalls);
        self
    }

    /// Tells `listener` of everything that happens from now on, to all clones.
    pub fn listen(&self, listener: Arc<dyn Listener>) {
        self.handle.shared.listen(listener);
    }

    /// The engine.
    #[must_use]
    pub fn coordinator(&self) -> &Arc<dyn Coordinator> {
        &self.handle.shared.coordinator
    }

    /// The clock by which it counts.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.handle.shared.clock
    }

    /// The length of its session and what goes with it.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.handle.shared.options
    }

    /// Who this is.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Where its identifiers come from.
    #[must_use]
    pub fn ids(&self) -> &Arc<Ids> {
        &self.ids
    }

    /// The session, once it can be relied on. With [`Patience::Try`], one attempt to open it is
    /// waited for.
    ///
    /// # Errors
    /// [`Error::Quarantined`] and [`Error::Closed`] at once; what the engine refuses for good, such
    /// as [`Error::Refused`] and [`Error::Length`], once it has said so; [`Error::Unavailable`] when
    /// patience ends.
    pub async fn session(&self, patience: Patience) -> Result<Session, Error> {
        let shared = &self.handle.shared;
        let started = shared.clock.monotonic();
        let end = match patience {
            Patience::Try => Some(started + shared.options.call_limit()),
            Patience::Until(end) => Some(end),
            Patience::Forever => None,
        };
        match shared.lease(patience, end).await {
            Ok(lease) => Ok(Session::new(Arc::clone(&self.handle), lease)),
            Err(NoSession::Never(error) | NoSession::Late(Some(error))) => Err(error),
            Err(NoSession::Late(None)) => {
                let waited = shared.clock.monotonic() - started;
                Err(self.silent(waited))
            }
        }
    }

    /// Enters a queue and waits for its turn. Turns come in the order of arrival, as far as the
    /// engine is [fair](crate::port::Capabilities::fair).
    ///
    /// May be dropped at any point; the keeper sees to what it leaves behind. But it must be polled:
    /// one that is kept without that gets its turn all the same, does not hear of it, and holds up
    /// everybody behind it. A request that was not
    /// answered is sent again while patience lasts. When the session is lost while this waits, it
    /// queues again under the next one, at the end of the line.
    ///
    /// # Errors
    /// [`Error::Busy`] when it is not its turn and it was not to wait; [`Error::Timeout`] when
    /// patience ended; [`Error::Over`] when somebody else took its entry out of the queue;
    /// [`Error::Quarantined`], [`Error::Closed`], and what the engine refuses, at once. With
    /// [`Patience::Try`], [`Error::Unavailable`].
    pub async fn enter(
        &self,
        name: &Name,
        mode: Mode,
        value: &[u8],
        patience: Patience,
    ) -> Result<Guard, Error> {
        check_value(value)?;
        Attempt::new(self, name, mode, value, patience).run().await
    }

    /// As [`Client::enter`], for a part of a recipe that reports for itself.
    pub(crate) async fn enter_quietly(
        &self,
        name: &Name,
        value: &[u8],
        patience: Patience,
    ) -> Result<Guard, Error> {
        check_value(value)?;
        Attempt::new(self, name, Mode::Exclusive, value, patience).quietly().hidden().run().await
    }

    /// As [`Client::enter`], for a recipe that reports the attempt for itself, but not what becomes
    /// of the guard.
    pub(crate) async fn try_enter_quietly(
        &self,
        name: &Name,
        value: &[u8],
    ) -> Result<Guard, Error> {
        check_value(value)?;
        Attempt::new(self, name, Mode::Exclusive, value, Patience::Try).quietly().run().await
    }

    /// Why nothing can be held at present, for recipes that ask the engine by themselves.
    pub(crate) fn refusal(&self) -> Option<Error> {
        self.handle.shared.refusal()
    }

    /// Tells the listeners.
    pub(crate) fn emit(&self, event: &Event) {
        self.handle.shared.emit(event);
    }

    /// Gives up the session and all that is held, at once, and refuses everything that needs a
    /// session with [`Error::Quarantined`] until [`Client::readmit`]: the node's clock cannot be
    /// relied on. What needs none (sequences, counters, observers) goes by no clock, and goes on.
    pub fn quarantine(&self, reason: &str) {
        self.handle.shared.quarantine(reason);
    }

    /// Ends a quarantine.
    pub fn readmit(&self) {
        self.handle.shared.readmit();
    }

    /// Gives everything back and closes the session; the keeper ends then. Everything that needs a
    /// session is [`Error::Closed`] afterwards, for all clones.
    ///
    /// Completes when the server has confirmed it, or has ended the session by itself.
    pub async fn shutdown(&self) {
        let shared = &self.handle.shared;
        shared.close();
        let left = shared.closed_by() - shared.clock.monotonic();
        let limit = left + shared.options.call_limit() * 2;
        if shared.clock.timeout(limit, shared.finished()).await.is_err() {
            tracing::warn!("a client was shut down, but its keeper did not end");
        }
    }

    /// What to say of a server that does not answer.
    pub(crate) fn silent(&self, waited: Duration) -> Error {
        self.handle.shared.silent(waited)
    }
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("owner", &self.owner).finish_non_exhaustive()
    }
}

fn check_value(value: &[u8]) -> Result<(), Error> {
    port::check_value("the value of an entry", value)
}
