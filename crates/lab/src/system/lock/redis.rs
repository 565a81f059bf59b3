//! Simulated Redis servers for Redlock.
//!
//! Of Redis there is what the algorithm uses: keys that are set unless they are there, expire, and
//! are deleted by whoever knows their value. A key's end is a date of the server's own wall clock, as
//! in Redis, which reads `gettimeofday` for it and finds a key expired when the date is past its end.
//! So a clock that jumps forward ends it early. [`Expiry::Monotonic`] is a Redis that does not exist,
//! to show what depends on the clock and what does not.
//!
//! # Limits
//! Nothing is on disk: a server that is killed has forgotten its keys, as one that runs without an
//! append-only file.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use steadfast_coordination::redlock::Node;
use steadfast_time::{Clock, Monotonic, Timestamp};

use super::MESSAGE_BYTES;
use super::settings::Expiry;
use crate::sim::{Host, Net};

/// Until when a key is there.
#[derive(Clone, Copy, Debug)]
enum End {
    Wall(Timestamp),
    Monotonic(Monotonic),
}

impl End {
    fn has_passed(self, clock: &Clock) -> bool {
        match self {
            Self::Wall(end) => clock.now() > end,
            Self::Monotonic(end) => clock.monotonic() > end,
        }
    }
}

/// A server.
#[derive(Clone, Debug)]
pub(super) struct Redis {
    host: String,
    clock: Clock,
    expiry: Expiry,
    keys: Arc<Mutex<BTreeMap<String, (String, End)>>>,
}

impl Redis {
    /// Runs a server on a host, now and after each restart.
    pub fn serve(host: &Host, expiry: Expiry) -> Self {
        let keys = Arc::default();
        let redis = Self { host: host.name().to_owned(), clock: host.clock(), expiry, keys };
        let keys = Arc::clone(&redis.keys);
        host.boot(move || {
            let keys = Arc::clone(&keys);
            async move { keys.lock().unwrap_or_else(PoisonError::into_inner).clear() }.boxed_local()
        });
        redis
    }

    fn set_if_absent(&self, key: &str, value: &str, ttl: Duration) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        if keys.get(key).is_some_and(|(_, end)| !end.has_passed(&self.clock)) {
            return false;
        }
        let end = match self.expiry {
            Expiry::Wall => End::Wall(self.clock.now() + ttl),
            Expiry::Monotonic => End::Monotonic(self.clock.monotonic() + ttl),
        };
        keys.insert(key.to_owned(), (value.to_owned(), end));
        true
    }

    fn delete_if_equal(&self, key: &str, value: &str) -> bool {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let is_ours =
            keys.get(key).is_some_and(|(held, end)| held == value && !end.has_passed(&self.clock));
        if is_ours {
            keys.remove(key);
        }
        is_ours
    }
}

/// A worker's way to a server.
pub(super) struct Way {
    net: Net,
    from: String,
    redis: Redis,
}

impl Way {
    pub fn new(net: Net, worker: u32, redis: Redis) -> Self {
        Self { net, from: super::settings::worker(worker), redis }
    }

    async fn ask(&self, work: impl Fn(&Redis) -> bool + Send + Sync + 'static) -> bool {
        let (redis, work) = (self.redis.clone(), Arc::new(work));
        let served = move || {
            let (redis, work) = (redis.clone(), Arc::clone(&work));
            async move { work(&redis) }.boxed()
        };
        // A server that is not there has no vote; for one that is silent the algorithm does not wait.
        self.net.call(&self.from, &self.redis.host, MESSAGE_BYTES, served).await.unwrap_or(false)
    }
}

impl Node for Way {
    fn address(&self) -> String {
        self.redis.host.clone()
    }

    fn set_if_absent<'a>(
        &'a self,
        key: &'a str,
        value: &'a str,
        ttl: Duration,
    ) -> BoxFuture<'a, bool> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.ask(move |redis| redis.set_if_absent(&key, &value, ttl)).boxed()
    }

    fn delete_if_equal<'a>(&'a self, key: &'a str, value: &'a str) -> BoxFuture<'a, bool> {
        let (key, value) = (key.to_owned(), value.to_owned());
        self.ask(move |redis| redis.delete_if_equal(&key, &value)).boxed()
    }
}

#[cfg(test)]
mod tests {
    use steadfast_time::sim::Simulation;

    use super::*;

    fn server(sim: &Simulation, expiry: Expiry) -> Redis {
        Redis { host: "redis".into(), clock: sim.clock(), expiry, keys: Arc::default() }
    }

    #[test]
    fn a_key_is_there_for_its_time_and_goes_to_its_holder_only() {
        let sim = Simulation::new(1);
        for expiry in [Expiry::Wall, Expiry::Monotonic] {
            let redis = server(&sim, expiry);
            let second = Duration::from_secs(1);
            assert!(redis.set_if_absent("k", "a", second));
            assert!(!redis.set_if_absent("k", "b", second));
            assert!(!redis.delete_if_equal("k", "b"), "it is not b's");
            sim.sim_clock().advance(second);
            assert!(!redis.set_if_absent("k", "b", second), "not before the time is over");
            sim.sim_clock().advance(Duration::from_millis(1));
            assert!(redis.set_if_absent("k", "b", second));
            assert!(!redis.delete_if_equal("k", "a"), "a's has expired");
            assert!(redis.delete_if_equal("k", "b"));
        }
    }

    #[test]
    fn a_jump_ends_a_key_that_lives_by_the_date_and_no_other() {
        for (expiry, is_free) in [(Expiry::Wall, true), (Expiry::Monotonic, false)] {
            let sim = Simulation::new(1);
            let redis = server(&sim, expiry);
            assert!(redis.set_if_absent("k", "a", Duration::from_secs(10)));
            sim.sim_clock().jump_wall(11_000_000);
            assert_eq!(
                redis.set_if_absent("k", "b", Duration::from_secs(10)),
                is_free,
                "{expiry:?}"
            );
        }
    }
}
