//! A replica behind a bad network.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fastrand::Rng;
use futures::FutureExt;
use futures::future::{BoxFuture, pending};
use steadfast_coordination::port::Name;
use steadfast_coordination::quorum::{MemoryReplica, Replica, ReplicaError, Tagged};
use steadfast_time::Clock;

/// What happens to requests, each as a share of them.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    pub lost_requests: f64,
    pub lost_answers: f64,
    /// The replica comes back with an empty disk.
    pub amnesia: f64,
    pub delay_max: Duration,
}

impl Default for Attack {
    fn default() -> Self {
        let delay_max = Duration::from_millis(15);
        Self { lost_requests: 0.1, lost_answers: 0.1, amnesia: 0.0, delay_max }
    }
}

impl Attack {
    pub fn none() -> Self {
        Self { lost_requests: 0.0, lost_answers: 0.0, amnesia: 0.0, delay_max: Duration::ZERO }
    }
}

pub struct Attacked {
    disk: MemoryReplica,
    clock: Clock,
    rng: Mutex<Rng>,
    attack: Attack,
}

impl Attacked {
    pub fn new(disk: MemoryReplica, clock: Clock, rng: Rng, attack: Attack) -> Self {
        Self { disk, clock, rng: Mutex::new(rng), attack }
    }

    fn hits(&self, share: f64) -> bool {
        self.rng.lock().unwrap_or_else(PoisonError::into_inner).f64() < share
    }

    async fn travel(&self, lost: f64) {
        if self.hits(lost) {
            pending::<()>().await;
        }
        let limit = u64::try_from(self.attack.delay_max.as_micros()).unwrap();
        let delay = self.rng.lock().unwrap_or_else(PoisonError::into_inner).u64(0..=limit);
        if delay > 0 {
            self.clock.sleep(Duration::from_micros(delay)).await;
        }
    }

    async fn through<T>(
        &self,
        call: BoxFuture<'_, Result<T, ReplicaError>>,
    ) -> Result<T, ReplicaError> {
        self.travel(self.attack.lost_requests).await;
        if self.hits(self.attack.amnesia) {
            self.disk.forget();
        }
        let answer = call.await;
        self.travel(self.attack.lost_answers).await;
        answer
    }
}

impl Replica for Attacked {
    fn read<'a>(&'a self, name: &'a Name) -> BoxFuture<'a, Result<Tagged, ReplicaError>> {
        self.through(self.disk.read(name)).boxed()
    }

    fn write<'a>(
        &'a self,
        name: &'a Name,
        tagged: &'a Tagged,
    ) -> BoxFuture<'a, Result<(), ReplicaError>> {
        self.through(self.disk.write(name, tagged)).boxed()
    }
}
