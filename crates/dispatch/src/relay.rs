//! Who relays: one of all processes that serve a journal, by election.
//!
//! Two relays at once would publish everything twice, which consumers bear but nobody wants; and one
//! that has been replaced without noticing must not mark as published what its successor is still
//! to publish. So a relay runs only as the leader, and its marks carry the leader's token as a
//! fence, which the journal checks in the same transaction.
//!
//! ```text
//! campaign ─► elected with token t ─► take office: commit { fence t } ─► publish, mark { fence t }
//!     ▲                                                                        │
//!     └──── the lead is lost, or the journal has seen a token above t ◄────────┘
//! ```
//!
//! A planned hand-over ([`crate::Assembly::stop`]) finishes first and resigns then: what is under way
//! takes milliseconds and gets its marks, so the next leader repeats nothing. Where the lead goes
//! first, as when the whole process gives up its leases, the successor may repeat what is under way.

use std::time::Duration;

use futures::future::{Either, FutureExt, select};
use steadfast_coordination::port::{Error, Name};
use steadfast_coordination::{Client, Election, Leader, Patience};
use steadfast_journal::Fence;
use steadfast_messaging::relay::Ended;
use steadfast_messaging::{Bus, Relay};
use tokio::sync::watch;

use crate::TaskError;

/// The name of the election, and of the resource in the journal.
pub const RESOURCE: &str = "relay";

/// Relays as the leader, term after term, until `stopped` says so or its sender is gone. For a
/// process that does nothing else; [`crate::Assembly`] has it among its tasks.
///
/// # Errors
/// The journal is closed or has failed.
pub async fn run<B: Bus>(
    relay: Relay<B>,
    client: Client,
    stopped: watch::Receiver<bool>,
) -> Result<(), TaskError> {
    let election = client.election(&Name::new(RESOURCE)?);
    loop {
        let campaign = std::pin::pin!(campaign(&client, &election));
        let leader = match select(std::pin::pin!(until(stopped.clone())), campaign).await {
            Either::Left(_) => return Ok(()),
            Either::Right((Some(leader), _)) => leader,
            // The process has given up all its leases for good; what is left is to be told so.
            Either::Right((None, stop)) => {
                stop.await;
                return Ok(());
            }
        };
        let token = leader.token();
        tracing::info!(%token, "leads the relay");
        let fence = Fence { resource: RESOURCE.to_owned(), token };
        match relay.run_as(fence, leader.lost().map(drop), until(stopped.clone())).await? {
            Ended::Stopped => {
                resign(&client, leader).await;
                return Ok(());
            }
            Ended::Deposed => {
                let held = leader.check().is_ok();
                tracing::warn!(%token, "leads the relay no longer");
                drop(leader);
                if held {
                    // The journal knows of a later leader, the coordinator does not: it has
                    // forgotten, and its tokens have to grow past what the journal has seen.
                    client.clock().sleep(client.options().ask_every).await;
                }
            }
        }
    }
}

/// Stands until elected; nothing once the client has been shut down.
async fn campaign(client: &Client, election: &Election) -> Option<Leader> {
    loop {
        let value = client.owner().as_bytes();
        match election.campaign(value, Patience::Forever).await {
            Ok(leader) => return Some(leader),
            Err(Error::Closed) => return None,
            Err(error) => {
                tracing::warn!(%error, "no relay's lead yet; standing again");
                client.clock().sleep(client.options().ask_every).await;
            }
        }
    }
}

/// Hands the lead over. Should the server not say so, the keeper goes on telling it.
async fn resign(client: &Client, leader: Leader) {
    const PATIENCE: Duration = Duration::from_secs(1);
    match client.clock().timeout(PATIENCE, leader.resign()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "the relay's lead was not given back at once"),
        Err(late) => tracing::debug!(%late, "the relay's lead was not given back at once"),
    }
}

/// Completes when told to stop, or when nobody is left who could.
async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stop| *stop).await;
}
