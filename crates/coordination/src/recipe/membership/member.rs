//! Being a member.

use std::sync::Arc;

use futures::future::{Either, select};
use steadfast_fencing::FencingToken;
use tokio::sync::watch;

use super::beat::Beat;
use super::{Membership, Options};
use crate::client::{Client, Guard, Patience};
use crate::limits::MEMBER_VALUE_BYTES_MAX;
use crate::port::{Error, Mode, Name};

/// What the member wants others to see.
#[derive(Clone, Debug)]
struct Wish {
    value: Arc<[u8]>,
    leaves: bool,
}

/// A membership. Dropping it leaves the group, without waiting.
#[must_use = "dropping it leaves the group"]
#[derive(Debug)]
pub struct Member {
    client: Client,
    name: Name,
    wish: watch::Sender<Wish>,
    life: watch::Receiver<Option<FencingToken>>,
}

/// Sends a member's heartbeats, and joins again after a loss. To be [run](Heartbeat::run) where the
/// member's work runs: a heartbeat from a healthy thread says nothing about a stuck one.
#[must_use = "a member whose heartbeat does not run is soon suspected"]
#[derive(Debug)]
pub struct Heartbeat {
    client: Client,
    group: Name,
    name: Name,
    options: Options,
    beat: u64,
    guard: Option<Guard>,
    wish: watch::Receiver<Wish>,
    life: watch::Sender<Option<FencingToken>>,
}

pub(super) fn pair(
    of: &Membership,
    name: &Name,
    value: &[u8],
    guard: Guard,
) -> (Member, Heartbeat) {
    let (wish, wishes) = watch::channel(Wish { value: value.into(), leaves: false });
    let (life, lives) = watch::channel(Some(guard.token()));
    let heartbeat = Heartbeat {
        client: of.client.clone(),
        group: of.group.clone(),
        name: name.clone(),
        options: of.options,
        beat: 0,
        guard: Some(guard),
        wish: wishes,
        life,
    };
    (Member { client: of.client.clone(), name: name.clone(), wish, life: lives }, heartbeat)
}

impl Member {
    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &Name {
        &self.name
    }

    /// The number of its present life; `None` while it is out, and on its way back, and for good
    /// when its [`Heartbeat`] has ended.
    #[must_use]
    pub fn incarnation(&self) -> Option<FencingToken> {
        if self.life.has_changed().is_err() {
            return None;
        }
        *self.life.borrow()
    }

    /// Says something else about itself, with a heartbeat that is sent at once. Of several in a
    /// row, the last one counts.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn update(&self, value: &[u8]) -> Result<(), Error> {
        let (bytes, limit) = (value.len(), MEMBER_VALUE_BYTES_MAX);
        if bytes > limit {
            return Err(Error::TooLarge { what: "the value of a member", bytes, limit });
        }
        self.wish.send_modify(|wish| wish.value = value.into());
        Ok(())
    }

    /// Leaves, and waits until that is done; for as long as a request may take and not longer, as
    /// the client's keeper goes on with it.
    pub async fn leave(mut self) {
        self.wish.send_modify(|wish| wish.leaves = true);
        let limit = self.client.options().call_limit() * 2;
        let ended = async { while self.life.changed().await.is_ok() {} };
        if self.client.clock().timeout(limit, ended).await.is_err() {
            tracing::warn!(member = %self.name, "the heartbeat of a member that leaves goes on");
        }
    }
}

/// Why a life of a member is over.
enum End {
    /// It wanted to leave.
    Left,
    /// Its entry is gone.
    Lost,
}

impl Heartbeat {
    /// Beats until the member leaves.
    ///
    /// # Errors
    /// What trying again cannot help: [`Error::Refused`], [`Error::Closed`] after the client's
    /// shutdown. The member has left then. Quarantine is waited out.
    pub async fn run(mut self) -> Result<(), Error> {
        let mut failures = 0;
        loop {
            if let Some(guard) = self.guard.take() {
                self.life.send_replace(Some(guard.token()));
                let end = self.live(&guard).await?;
                self.life.send_replace(None);
                if matches!(end, End::Left) {
                    return match guard.release().await {
                        Err(error) if !error.is_transient() && !is_over(&error) => Err(error),
                        _ => Ok(()),
                    };
                }
                // A lost guard has nothing to give back.
                drop(guard);
            }
            if self.leaves() {
                return Ok(());
            }
            match self.join_again().await {
                Ok(joined) => {
                    failures = 0;
                    self.guard = joined;
                }
                Err(error) if error.is_transient() => {
                    let pause = self.client.clock().sleep(self.client.options().backoff(failures));
                    failures += 1;
                    let left = std::pin::pin!(self.wish.changed());
                    drop(select(left, pause).await);
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn leaves(&self) -> bool {
        // A member that was dropped has left.
        self.wish.borrow().leaves || self.wish.has_changed().is_err()
    }

    /// Enters once more; `None` when the member wants something else meanwhile.
    async fn join_again(&mut self) -> Result<Option<Guard>, Error> {
        let entry = Beat::encode(&self.name, self.beat, &self.wish.borrow_and_update().value);
        let entered = self.client.enter(&self.group, Mode::Shared, &entry, Patience::Forever);
        let changed = std::pin::pin!(self.wish.changed());
        match select(std::pin::pin!(entered), changed).await {
            Either::Left((entered, _)) => entered.map(Some),
            Either::Right(_) => Ok(None),
        }
    }

    /// Beats as long as the entry is there.
    async fn live(&mut self, guard: &Guard) -> Result<End, Error> {
        let clock = self.client.clock().clone();
        let mut next = clock.monotonic() + self.options.interval;
        loop {
            if self.leaves() {
                return Ok(End::Left);
            }
            {
                let lost = std::pin::pin!(guard.lost());
                let changed = std::pin::pin!(self.wish.changed());
                let wake = select(changed, clock.sleep_until(next));
                if let Either::Left(_) = select(lost, wake).await {
                    return Ok(End::Lost);
                }
            }
            if self.leaves() {
                return Ok(End::Left);
            }
            self.beat += 1;
            let entry = Beat::encode(&self.name, self.beat, &self.wish.borrow_and_update().value);
            match guard.set(&entry).await {
                Ok(()) => {}
                Err(error) if is_over(&error) => return Ok(End::Lost),
                // A beat that is missed; the next one comes.
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error),
            }
            next = clock.monotonic() + self.options.interval;
        }
    }
}

const fn is_over(error: &Error) -> bool {
    matches!(error, Error::Over { .. } | Error::SessionOver { .. })
}
