//! Registers: nodes that stay, written by compare-and-set.
//!
//! The port's version is the node's `mzxid`, the transaction that wrote it last. ZooKeeper compares
//! its own data version, which would begin anew if somebody removed and made the node again; so
//! the node's state is read first, and the write names the data version that went with the
//! `mzxid` that was expected.

use futures::future::join;
use zookeeper_client::{Client, CreateMode, Error as Fault, Stat};

use super::ZooKeeper;
use super::names::escape;
use crate::port::{Error, Name, Register, check_value};

impl ZooKeeper {
    fn register(&self, register: &Name) -> String {
        format!("{}/r/{}", self.link.root(), escape(register))
    }

    pub(super) async fn do_load(&self, register: &Name) -> Result<Option<Register>, Error> {
        let client = self.link.shared().await?;
        let path = self.register(register);
        // Without the `sync`, the answer may be as old as the server that gives it.
        let syncing = client.sync(&path);
        match join(syncing, client.get_data(&path)).await {
            (Ok(()), Ok((value, stat))) => Ok(Some(Register { value, version: version(&stat) })),
            (Ok(()), Err(Fault::NoNode)) => Ok(None),
            (Err(fault), _) | (_, Err(fault)) => Err(self.link.fault(&fault)),
        }
    }

    pub(super) async fn do_store(
        &self,
        register: &Name,
        expected: Option<u64>,
        value: &[u8],
    ) -> Result<u64, Error> {
        check_value("the value of a register", value)?;
        let client = self.link.shared().await?;
        let path = self.register(register);
        let conflict = |version| Error::Conflict { register: register.clone(), version };
        let fault = |fault: Fault| self.link.fault(&fault);
        let Some(expected) = expected else {
            return match self.make_register(&client, &path, value).await {
                Ok(stat) => Ok(version(&stat)),
                Err(Fault::NodeExists) => {
                    let stat = read_state(&client, &path).await.map_err(fault)?;
                    Err(conflict(stat.as_ref().map(version)))
                }
                Err(other) => Err(fault(other)),
            };
        };
        let stat = read_state(&client, &path).await.map_err(fault)?;
        let stat = match stat {
            Some(stat) if version(&stat) == expected => stat,
            other => return Err(conflict(other.as_ref().map(version))),
        };
        match client.set_data(&path, value, Some(stat.version)).await {
            Ok(stat) => Ok(version(&stat)),
            Err(Fault::BadVersion | Fault::NoNode) => {
                let stat = read_state(&client, &path).await.map_err(fault)?;
                Err(conflict(stat.as_ref().map(version)))
            }
            Err(other) => Err(fault(other)),
        }
    }

    async fn make_register(
        &self,
        client: &Client,
        path: &str,
        value: &[u8],
    ) -> Result<Stat, Fault> {
        let options = self.link.making(CreateMode::Persistent);
        match client.create(path, value, &options).await {
            Err(Fault::NoNode) => {
                self.link.make_roots(client).await?;
                client.create(path, value, &options).await.map(|(stat, _)| stat)
            }
            made => made.map(|(stat, _)| stat),
        }
    }
}

/// The state of a node as of now.
async fn read_state(client: &Client, path: &str) -> Result<Option<Stat>, Fault> {
    let syncing = client.sync(path);
    let (synced, stat) = join(syncing, client.check_stat(path)).await;
    synced?;
    stat
}

/// The transaction that wrote a node last; the first has number 1.
fn version(stat: &Stat) -> u64 {
    stat.mzxid.cast_unsigned()
}
