//! Simulated clocks: one true time, and any number of hosts that read it wrongly.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use crate::clock::{Clock, Monotonic, Sleep, Source};
use crate::interval::Interval;
use crate::timestamp::Timestamp;
use crate::wall::Status;

/// The true time, and who waits for it.
#[derive(Debug)]
struct Truth {
    elapsed: Duration,
    start: Timestamp,
    /// Waiting tasks by (end of the wait in true time, order of arrival).
    sleepers: BTreeMap<(Duration, u64), Waker>,
    next_sleeper: u64,
}

/// A reading that runs at its own rate from a point on: `there + (true - here) · rate`.
#[derive(Clone, Copy, Debug)]
struct Rate {
    /// True nanoseconds since the start.
    here: i128,
    /// The reading at that point, in nanoseconds since its own start.
    there: i128,
    ppm: i32,
}

const MILLION: i128 = 1_000_000;

impl Rate {
    const EXACT: Self = Self { here: 0, there: 0, ppm: 0 };

    fn per_million(self) -> i128 {
        MILLION + i128::from(self.ppm)
    }

    fn read(self, elapsed: Duration) -> i128 {
        let since = signed(elapsed) - self.here;
        self.there + (since * self.per_million()).div_euclid(MILLION)
    }

    /// The first true time at which the reading is at least `reading`.
    fn reached(self, reading: i128) -> Duration {
        let ahead = (reading - self.there) * MILLION;
        let since = -(-ahead).div_euclid(self.per_million());
        unsigned(self.here + since)
    }

    fn change(&mut self, elapsed: Duration, ppm: i32) {
        *self = Self { here: signed(elapsed), there: self.read(elapsed), ppm };
    }
}

fn signed(length: Duration) -> i128 {
    i128::try_from(length.as_nanos()).unwrap_or(i128::MAX)
}

fn unsigned(nanos: i128) -> Duration {
    let nanos = u128::try_from(nanos).unwrap_or(0);
    let seconds = u64::try_from(nanos / 1_000_000_000).unwrap_or(u64::MAX);
    Duration::new(seconds, (nanos % 1_000_000_000) as u32)
}

/// How one host reads the true time.
#[derive(Debug)]
struct Local {
    monotonic: Rate,
    wall: Rate,
    /// How far this host's wall clock was set off, in microseconds.
    skew_micros: i64,
    error: Duration,
    status: Status,
    paused: bool,
    /// Who waits for the end of a pause.
    stopped: Vec<Waker>,
}

/// A clock for simulations. Clones are the same clock; [`SimClock::host`] makes another clock
/// over the same true time.
///
/// True time is what [`SimClock::advance`] moves. A clock reads it exactly until it is told to
/// drift, jump or stand off; its error bound is what it is told to admit, true or not.
#[derive(Clone, Debug)]
pub struct SimClock {
    truth: Arc<Mutex<Truth>>,
    local: Arc<Mutex<Local>>,
}

impl SimClock {
    /// A clock that stands at `start`.
    #[must_use]
    pub fn starting_at(start: Timestamp) -> Self {
        let truth =
            Truth { elapsed: Duration::ZERO, start, sleepers: BTreeMap::new(), next_sleeper: 0 };
        Self { truth: Arc::new(Mutex::new(truth)), local: Self::local_at(Duration::ZERO) }
    }

    fn local_at(elapsed: Duration) -> Arc<Mutex<Local>> {
        // A host that joins later has a monotonic clock that starts there.
        let monotonic = Rate { here: signed(elapsed), ..Rate::EXACT };
        Arc::new(Mutex::new(Local {
            monotonic,
            wall: Rate::EXACT,
            skew_micros: 0,
            error: Duration::ZERO,
            status: Status::Synchronized,
            paused: false,
            stopped: Vec::new(),
        }))
    }

    fn truth(&self) -> MutexGuard<'_, Truth> {
        self.truth.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn local(&self) -> MutexGuard<'_, Local> {
        self.local.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Another host's clock over the same true time: exact until it is told otherwise, its
    /// monotonic clock starting now.
    #[must_use]
    pub fn host(&self) -> Self {
        let elapsed = self.truth().elapsed;
        Self { truth: Arc::clone(&self.truth), local: Self::local_at(elapsed) }
    }

    /// This clock as the handle that everything takes.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock::new(Arc::new(self.clone()))
    }

    /// The true time since the start. The same as the monotonic reading of a clock that does not
    /// drift and was there from the start.
    #[must_use]
    pub fn true_elapsed(&self) -> Monotonic {
        Monotonic::from_start(self.truth().elapsed)
    }

    /// The true date.
    #[must_use]
    pub fn true_now(&self) -> Timestamp {
        let truth = self.truth();
        truth.start + truth.elapsed
    }

    /// Makes the wall clock jump by `micros` (either way) without moving the monotonic one.
    pub fn jump_wall(&self, micros: i64) {
        let mut local = self.local();
        local.skew_micros = local.skew_micros.saturating_add(micros);
    }

    /// From now on the wall clock gains `ppm` microseconds a second (loses, when negative).
    ///
    /// # Panics
    /// When the clock would stand still or run backwards, at minus a million and below.
    pub fn drift_wall(&self, ppm: i32) {
        assert!(i128::from(ppm) > -MILLION, "a clock that loses {ppm} ppm does not go forward");
        let elapsed = self.truth().elapsed;
        self.local().wall.change(elapsed, ppm);
    }

    /// From now on the monotonic clock gains `ppm` microseconds a second (loses, when negative).
    ///
    /// # Panics
    /// When the clock would stand still or run backwards, at minus a million and below.
    pub fn drift_monotonic(&self, ppm: i32) {
        assert!(i128::from(ppm) > -MILLION, "a clock that loses {ppm} ppm does not go forward");
        let mut truth = self.truth();
        self.local().monotonic.change(truth.elapsed, ppm);
        // Waits end elsewhere now; they find out where when they are woken.
        let sleepers = std::mem::take(&mut truth.sleepers);
        drop(truth);
        for waker in sleepers.into_values() {
            waker.wake();
        }
    }

    /// Both of [`SimClock::drift_wall`] and [`SimClock::drift_monotonic`]: a bad oscillator.
    pub fn drift(&self, ppm: i32) {
        self.drift_wall(ppm);
        self.drift_monotonic(ppm);
    }

    /// Sets the error bound that [`Clock::interval`] admits.
    pub fn set_error(&self, error: Duration) {
        self.local().error = error;
    }

    /// Sets what [`Clock::status`] says: [`Status::Synchronized`] until it is told otherwise.
    pub fn set_status(&self, status: Status) {
        self.local().status = status;
    }

    /// Stops this host: its clocks go on, its waits end no more, and what runs inside
    /// [`SimClock::run`] does nothing until [`SimClock::resume`]. A SIGSTOP, a frozen machine.
    pub fn pause(&self) {
        self.local().paused = true;
    }

    /// Lets a paused host go on.
    pub fn resume(&self) {
        let mut local = self.local();
        local.paused = false;
        let stopped = std::mem::take(&mut local.stopped);
        drop(local);
        for waker in stopped {
            waker.wake();
        }
    }

    /// Runs `work` on this host: while the host is paused, no step of it is taken, whatever wakes
    /// it.
    pub fn run<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let local = Arc::clone(&self.local);
        let mut work = Box::pin(work);
        std::future::poll_fn(move |context| {
            let mut host = local.lock().unwrap_or_else(PoisonError::into_inner);
            if host.paused {
                host.stopped.push(context.waker().clone());
                return Poll::Pending;
            }
            drop(host);
            work.as_mut().poll(context)
        })
    }

    /// Moves true time forward and wakes what has waited long enough.
    pub fn advance(&self, length: Duration) {
        let to = self.truth().elapsed.saturating_add(length);
        self.advance_to(Monotonic::from_start(to));
    }

    /// Moves true time forward to `moment`; does nothing when it has passed.
    pub fn advance_to(&self, moment: Monotonic) {
        let mut truth = self.truth();
        truth.elapsed = truth.elapsed.max(moment.since_start());
        let after = (truth.elapsed, u64::MAX);
        let later = truth.sleepers.split_off(&after);
        let due = std::mem::replace(&mut truth.sleepers, later);
        drop(truth);
        for waker in due.into_values() {
            waker.wake();
        }
    }

    /// The true time at which the next wait of any host ends.
    #[must_use]
    pub fn next_wake(&self) -> Option<Monotonic> {
        let truth = self.truth();
        truth.sleepers.keys().next().map(|(end, _)| Monotonic::from_start(*end))
    }
}

impl Source for SimClock {
    fn monotonic(&self) -> Monotonic {
        let elapsed = self.truth().elapsed;
        Monotonic::from_start(unsigned(self.local().monotonic.read(elapsed)))
    }

    fn interval(&self) -> Interval {
        let (elapsed, start) = {
            let truth = self.truth();
            (truth.elapsed, truth.start)
        };
        let local = self.local();
        let micros = (start + unsigned(local.wall.read(elapsed))).as_micros();
        let now = Timestamp::from_micros(micros.saturating_add(local.skew_micros));
        Interval::around(now, local.error)
    }

    fn sleep_until(&self, deadline: Monotonic) -> Sleep {
        Box::pin(SimSleep { clock: self.clone(), deadline, key: None })
    }

    fn status(&self) -> Status {
        self.local().status
    }
}

struct SimSleep {
    clock: SimClock,
    deadline: Monotonic,
    key: Option<(Duration, u64)>,
}

impl Future for SimSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let clock = self.clock.clone();
        let mut truth = clock.truth();
        let before = self.key.take().and_then(|key| truth.sleepers.remove(&key));
        let mut local = clock.local();
        let end = local.monotonic.reached(signed(self.deadline.since_start()));
        let is_over = truth.elapsed >= end;
        let goes_on = is_over && !local.paused;
        if is_over && local.paused {
            local.stopped.push(context.waker().clone());
        } else if !is_over {
            let key = (end, truth.next_sleeper);
            truth.next_sleeper += 1;
            truth.sleepers.insert(key, context.waker().clone());
            self.key = Some(key);
        }
        // Not under the locks: a waker may be a task's last handle, and what that drops may ask
        // for the time.
        drop(local);
        drop(truth);
        drop(before);
        if goes_on { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for SimSleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            let before = self.clock.truth().sleepers.remove(&key);
            drop(before);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sim::Simulation;

    #[test]
    fn a_thousand_ppm_are_a_millisecond_a_second() {
        let sim = Simulation::new(1);
        let (exact, fast) = (sim.sim_clock(), sim.sim_clock().host());
        fast.drift_wall(1_000);
        fast.drift_monotonic(-1_000);
        exact.advance(Duration::from_secs(10));
        let ahead = fast.clock().now().since(exact.clock().now());
        assert_eq!(ahead, Duration::from_millis(10));
        assert_eq!(fast.monotonic().since_start(), Duration::from_millis(9_990));
        fast.drift(0);
        exact.advance(Duration::from_secs(10));
        assert_eq!(fast.clock().now().since(exact.clock().now()), ahead, "it keeps what it has");
    }

    #[test]
    fn a_wait_is_as_long_as_its_host_reads_it() {
        let mut sim = Simulation::new(1);
        let truth = sim.sim_clock();
        let slow = truth.host();
        slow.drift_monotonic(-500_000);
        let clock = slow.clock();
        let woken = sim.block_on(async move {
            clock.sleep(Duration::from_nanos(333)).await;
            clock.monotonic()
        });
        assert_eq!(truth.true_elapsed().since_start(), Duration::from_nanos(666));
        assert!(woken.since_start() >= Duration::from_nanos(333));
    }

    #[test]
    fn a_wait_follows_a_clock_whose_rate_changes() {
        let mut sim = Simulation::new(1);
        let host = sim.sim_clock().host();
        let clock = host.clock();
        let other = host.clone();
        let base = sim.clock();
        sim.spawn(async move {
            base.sleep(Duration::from_secs(1)).await;
            other.drift_monotonic(1_000_000);
        });
        sim.block_on(async move { clock.sleep(Duration::from_secs(3)).await });
        // One second at the true rate, then two at twice that.
        assert_eq!(host.true_elapsed().since_start(), Duration::from_secs(2));
    }

    #[test]
    fn a_paused_host_takes_no_step_and_then_sees_the_time() {
        let mut sim = Simulation::new(1);
        let host = sim.sim_clock().host();
        let (sender, receiver) = futures::channel::oneshot::channel::<()>();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (clock, log) = (host.clock(), Arc::clone(&seen));
        sim.spawn(host.run(async move {
            receiver.await.ok();
            log.lock().unwrap().push(clock.monotonic().since_start());
            clock.sleep(Duration::from_secs(1)).await;
            log.lock().unwrap().push(clock.monotonic().since_start());
        }));
        sim.settle();
        host.pause();
        sender.send(()).unwrap();
        sim.run_for(Duration::from_secs(5));
        assert_eq!(*seen.lock().unwrap(), [], "woken, but stopped");
        host.resume();
        sim.run_for(Duration::from_millis(500));
        host.pause();
        sim.run_for(Duration::from_secs(3));
        host.resume();
        sim.settle();
        assert_eq!(*seen.lock().unwrap(), [5_000, 8_500].map(Duration::from_millis));
    }
}
