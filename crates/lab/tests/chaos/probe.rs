//! A client that asks for the lock with little patience, over and over: does each wait end when it
//! was to?

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use steadfast_coordination::{Client, Error, Name, Patience};
use steadfast_time::Monotonic;
use tokio::task::JoinHandle;

/// How long it waits.
const PATIENCE: Duration = Duration::from_millis(300);
const BETWEEN: Duration = Duration::from_millis(20);

/// A wait that ended without the lock.
#[derive(Clone, Debug)]
pub struct Wait {
    /// When it was to end.
    pub end: Monotonic,
    /// By how much it was late.
    pub late: Duration,
    pub error: Error,
}

pub struct Probe {
    pub client: Client,
    pub name: Name,
    waits: Arc<Mutex<Vec<Wait>>>,
    asking: JoinHandle<()>,
}

impl Probe {
    pub fn start(client: Client, lock: &str) -> Self {
        let (name, waits) = (Name::new(lock).unwrap(), Arc::<Mutex<Vec<Wait>>>::default());
        let (lock, seen) = (client.lock(&name), Arc::clone(&waits));
        let clock = client.clock().clone();
        let asking = tokio::spawn(async move {
            loop {
                let end = clock.monotonic() + PATIENCE;
                if let Err(error) = lock.acquire(Patience::Until(end)).await {
                    let late = clock.monotonic() - end;
                    let wait = Wait { end, late, error };
                    seen.lock().unwrap_or_else(PoisonError::into_inner).push(wait);
                }
                clock.sleep(BETWEEN).await;
            }
        });
        Self { client, name, waits, asking }
    }

    /// The waits that were to end between two moments.
    pub fn between(&self, from: Monotonic, to: Monotonic) -> Vec<Wait> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.iter().filter(|wait| from < wait.end && wait.end <= to).cloned().collect()
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        self.asking.abort();
    }
}
