//! What the register needs of a node, and two of them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::FutureExt;
use futures::future::{BoxFuture, ready};
use serde::{Deserialize, Serialize};

use crate::limits::{REGISTER_RACES_MAX, VALUE_BYTES_MAX};
use crate::port::{self, Coordinator, Name};

/// The version of a value: later writes have higher ones, and no two writes have the same, because
/// each writer has its own number.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
pub struct Tag {
    /// One more than the highest that the writer had found.
    pub counter: u64,
    /// The writer. Zero is nobody.
    pub writer: u64,
}

/// A value with its version. Before the first write it is empty, with the lowest tag.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tagged {
    /// Which write this is.
    pub tag: Tag,
    /// What was written.
    pub value: Vec<u8>,
}

/// A replica gave no answer. Whether it took a write is unknown.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct ReplicaError(pub String);

/// One of the `N`.
pub trait Replica: Send + Sync + 'static {
    /// What it has.
    fn read<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Tagged, ReplicaError>>;

    /// Takes a value if its tag is higher than that of the one it has, and keeps it from then on
    /// also through a crash. A lower or equal tag is answered in the same way: the replica has
    /// something as new.
    fn write<'a>(
        &'a self,
        name: &'a Name,
        tagged: &'a Tagged,
    ) -> BoxFuture<'a, Result<(), ReplicaError>>;
}

/// A replica in memory. Clones are the same one.
#[derive(Clone, Debug, Default)]
pub struct MemoryReplica {
    values: Arc<Mutex<HashMap<Name, Tagged>>>,
}

impl MemoryReplica {
    /// A replica that has nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn values(&self) -> MutexGuard<'_, HashMap<Name, Tagged>> {
        self.values.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets everything, as a machine does that comes back with an empty disk.
    pub fn forget(&self) {
        self.values().clear();
    }
}

impl Replica for MemoryReplica {
    fn read<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Tagged, ReplicaError>> {
        ready(()).map(|()| Ok(self.values().get(name).cloned().unwrap_or_default())).boxed()
    }

    fn write<'a>(
        &'a self,
        name: &'a Name,
        tagged: &'a Tagged,
    ) -> BoxFuture<'a, Result<(), ReplicaError>> {
        let write = move |()| {
            let mut values = self.values();
            let held = values.entry(name.clone()).or_default();
            if tagged.tag > held.tag {
                held.clone_from(tagged);
            }
            Ok(())
        };
        ready(()).map(write).boxed()
    }
}

/// A replica in the registers of a coordination server. `N` of them must be *independent* servers:
/// three registers of one cluster fail together.
///
/// In a register stand the tag's two numbers, eight bytes each with the highest byte first, and then
/// the value.
pub struct CoordinatorReplica {
    server: Arc<dyn Coordinator>,
}

/// What stands before the value.
const TAG_BYTES: usize = 16;

impl CoordinatorReplica {
    /// A replica at a server.
    #[must_use]
    pub fn new(server: Arc<dyn Coordinator>) -> Self {
        Self { server }
    }

    async fn held(&self, name: &Name) -> Result<(Option<u64>, Tagged), ReplicaError> {
        match self.server.load(name).await.map_err(failed)? {
            None => Ok((None, Tagged::default())),
            Some(register) => {
                let tagged = decode(name, &register.value)?;
                Ok((Some(register.version), tagged))
            }
        }
    }

    async fn take(&self, name: &Name, tagged: &Tagged) -> Result<(), ReplicaError> {
        let content = encode(tagged)?;
        for _ in 0..REGISTER_RACES_MAX {
            let (version, held) = self.held(name).await?;
            if tagged.tag <= held.tag {
                return Ok(());
            }
            match self.server.store(name, version, &content).await {
                Ok(_) => return Ok(()),
                // Somebody was faster; what he wrote may be older than this.
                Err(port::Error::Conflict { .. }) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Err(ReplicaError(format!(
            "{name} was written by others {REGISTER_RACES_MAX} times in a row"
        )))
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is passed to map_err")]
fn failed(error: port::Error) -> ReplicaError {
    ReplicaError(error.to_string())
}

fn encode(Tagged { tag, value }: &Tagged) -> Result<Vec<u8>, ReplicaError> {
    let bytes = TAG_BYTES + value.len();
    if bytes > VALUE_BYTES_MAX {
        let room = VALUE_BYTES_MAX - TAG_BYTES;
        let what = format!("a value has {} bytes; at most {room} are allowed", value.len());
        return Err(ReplicaError(what));
    }
    let mut content = Vec::with_capacity(bytes);
    content.extend_from_slice(&tag.counter.to_be_bytes());
    content.extend_from_slice(&tag.writer.to_be_bytes());
    content.extend_from_slice(value);
    Ok(content)
}

fn decode(name: &Name, content: &[u8]) -> Result<Tagged, ReplicaError> {
    let (counter, rest) = content.split_first_chunk().unzip();
    let (writer, value) = rest.and_then(|rest| rest.split_first_chunk()).unzip();
    match (counter, writer, value) {
        (Some(counter), Some(writer), Some(value)) => {
            let counter = u64::from_be_bytes(*counter);
            let writer = u64::from_be_bytes(*writer);
            Ok(Tagged { tag: Tag { counter, writer }, value: value.to_vec() })
        }
        _ => {
            let bytes = content.len();
            let what = format!("{name} holds {bytes} bytes that no quorum register has written");
            Err(ReplicaError(what))
        }
    }
}

impl Replica for CoordinatorReplica {
    fn read<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Tagged, ReplicaError>> {
        async move { Ok(self.held(name).await?.1) }.boxed()
    }

    fn write<'a>(
        &'a self,
        name: &'a Name,
        tagged: &'a Tagged,
    ) -> BoxFuture<'a, Result<(), ReplicaError>> {
        self.take(name, tagged).boxed()
    }
}

impl std::fmt::Debug for CoordinatorReplica {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let engine = self.server.capabilities().engine;
        f.debug_struct("CoordinatorReplica").field("engine", &engine).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_and_nonsense_is_refused() {
        let name = Name::new("x").unwrap();
        let tagged = Tagged { tag: Tag { counter: 7, writer: u64::MAX }, value: vec![0, 255] };
        assert_eq!(decode(&name, &encode(&tagged).unwrap()).unwrap(), tagged);
        for bytes in 0..TAG_BYTES {
            assert!(decode(&name, &vec![1; bytes]).is_err(), "{bytes}");
        }
        let large = Tagged { value: vec![0; VALUE_BYTES_MAX], ..tagged };
        assert!(encode(&large).unwrap_err().to_string().contains("at most 4080"));
    }

    #[test]
    fn a_replica_never_goes_back() {
        let (replica, name) = (MemoryReplica::new(), Name::new("x").unwrap());
        let at = |counter| Tagged { tag: Tag { counter, writer: 1 }, value: vec![counter as u8] };
        for counter in [2, 1, 2, 3, 0] {
            replica.write(&name, &at(counter)).now_or_never().unwrap().unwrap();
        }
        assert_eq!(replica.read(&name).now_or_never().unwrap().unwrap(), at(3));
    }
}
