//! Clocks that jump, drift and lie, in simulation: what must hold, and what breaks without.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use steadfast_time::durable::MemoryMark;
use steadfast_time::health::{self, Measured, Monitor, Reason, Sensors, Transition};
use steadfast_time::logical::hybrid::{self, Hybrid};
use steadfast_time::ntp::packet::{Mode, NtpTime, Packet};
use steadfast_time::ntp::{self, Ask, Poller, Sample, Servers};
use steadfast_time::sim::{SimClock, Simulation};
use steadfast_time::snowflake::{self, NodeId, Snowflake};
use steadfast_time::wall::Status;
use steadfast_time::{Clock, Offset, Timestamp, assign, commit_wait, commit_wait_within};

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

// --- Commit-wait -------------------------------------------------------------------------------

/// Commits one after the other, each on another host, and answers how many dates are inverted.
fn inversions(seed: u64, waits: bool, admitted: Duration) -> usize {
    let mut sim = Simulation::new(seed);
    let mut rng = sim.fork_rng();
    let truth = sim.sim_clock();
    let hosts: Vec<SimClock> = (0..4)
        .map(|_| {
            let host = truth.host();
            host.jump_wall(rng.i64(-7_000..=7_000));
            host.set_error(admitted);
            host
        })
        .collect();
    sim.block_on(async move {
        let (mut last, mut inverted) = (Timestamp::EPOCH, 0);
        for _ in 0..200 {
            let clock = hosts[rng.usize(..hosts.len())].clock();
            let stamp = if waits { commit_wait(&clock).await } else { assign(&clock) };
            inverted += usize::from(stamp <= last);
            last = stamp;
            // The next one begins after this one's answer, and a network is in between.
            clock.sleep(Duration::from_micros(rng.u64(100..1_000))).await;
        }
        inverted
    })
}

#[test]
fn commit_wait_keeps_dates_in_the_order_of_commits() {
    for seed in 0..20 {
        assert_eq!(inversions(seed, true, ms(7)), 0, "seed {seed}");
    }
    assert!(inversions(1, false, ms(7)) > 20, "the broken twin: no wait");
    assert!(inversions(1, true, ms(1)) > 0, "the broken twin: a clock that lies about its error");
}

#[test]
fn commit_wait_takes_twice_the_error_and_can_be_refused() {
    let mut sim = Simulation::new(1);
    sim.sim_clock().set_error(ms(7));
    let clock = sim.clock();
    let (stamp, took) = sim.block_on(async move {
        let began = clock.monotonic();
        (commit_wait(&clock).await, clock.monotonic() - began)
    });
    assert_eq!(took, ms(14) + Duration::from_micros(1));
    assert!(sim.clock().interval().earliest > stamp);
    sim.sim_clock().set_error(ms(300));
    let clock = sim.clock();
    let refused = sim.block_on(async move { commit_wait_within(&clock, ms(100)).await });
    assert_eq!(refused.unwrap_err().error, ms(300));
    // A clock that is set back while a commit waits: it is given up, not waited for.
    sim.sim_clock().set_error(ms(7));
    let (clock, wall) = (sim.clock(), sim.sim_clock());
    let base = sim.clock();
    sim.spawn(async move {
        base.sleep(ms(3)).await;
        wall.jump_wall(-3_600_000_000);
    });
    let began = sim.clock().monotonic();
    assert!(sim.block_on(async move { commit_wait_within(&clock, ms(100)).await }).is_err());
    assert!(sim.clock().monotonic() - began < ms(101));
}

// --- NTP ---------------------------------------------------------------------------------------

/// What one simulated server does.
#[derive(Clone, Copy)]
enum Server {
    /// Tells the truth, this long away there and back.
    Honest(u64, u64),
    /// Is this far ahead, and says it is sure.
    Lies(i64),
    /// Never answers.
    Silent,
}

struct Network {
    truth: SimClock,
    names: Vec<String>,
    servers: Arc<Mutex<Vec<Server>>>,
}

impl Network {
    fn new(truth: &SimClock, servers: &[Server]) -> (Arc<Self>, Arc<Mutex<Vec<Server>>>) {
        let names = (0..servers.len()).map(|server| format!("ntp{server}")).collect();
        let servers = Arc::new(Mutex::new(servers.to_vec()));
        let network = Self { truth: truth.clone(), names, servers: Arc::clone(&servers) };
        (Arc::new(network), servers)
    }
}

impl Servers for Network {
    fn names(&self) -> &[String] {
        &self.names
    }

    fn ask<'a>(&'a self, server: usize, clock: &'a Clock, drift_ppm: u32) -> Ask<'a> {
        Box::pin(async move {
            let (there, back, ahead) = match self.servers.lock().unwrap()[server] {
                Server::Honest(there, back) => (there, back, 0),
                Server::Lies(ahead) => (5, 5, ahead),
                Server::Silent => (1_000_000, 0, 0),
            };
            let (sent, sent_at) = (clock.now(), clock.monotonic());
            clock.sleep(ms(there)).await;
            let date = self.truth.true_now() + Offset::from_millis(ahead);
            let answer = Packet {
                mode: Mode::Server,
                stratum: 1,
                precision: -20,
                originate: NtpTime(7),
                receive: NtpTime::from_timestamp(date),
                transmit: NtpTime::from_timestamp(date),
                ..Packet::question(0)
            };
            clock.sleep(ms(back)).await;
            let times = (sent_at, clock.monotonic());
            Ok(Sample::from_answer(&answer, 7, sent, times, drift_ppm)?)
        })
    }
}

/// A host whose wall clock is 1.5 s off, and a network of servers.
fn host(sim: &Simulation) -> SimClock {
    let host = sim.sim_clock().host();
    host.jump_wall(1_500_000);
    host
}

const FOUR: [Server; 4] =
    [Server::Honest(10, 12), Server::Honest(3, 40), Server::Lies(90_000), Server::Honest(8, 8)];

#[test]
fn a_lying_server_among_four_does_not_move_the_clock() {
    let mut sim = Simulation::new(1);
    let host = host(&sim);
    let (network, _) = Network::new(&sim.sim_clock(), &FOUR);
    let clock = host.clock();
    let (ntp, poller) = sim
        .block_on(async move { Poller::start(clock, network, ntp::Options::default()).await })
        .unwrap();
    let bad = Arc::new(Mutex::new(0));
    let seen = Arc::clone(&bad);
    sim.spawn(poller.run(move |round| {
        let agreed = round.agreed.as_ref().unwrap();
        *seen.lock().unwrap() += usize::from(agreed.falsetickers != [2]);
    }));
    let clock = host.clock().disciplined(Arc::new(ntp));
    let truth = sim.sim_clock();
    for _ in 0..600 {
        let interval = clock.interval();
        assert!(interval.contains(truth.true_now()), "{interval}, and it is {}", truth.true_now());
        assert!(interval.error() < ms(60), "{interval}");
        assert!(!host.clock().interval().contains(truth.true_now()), "the broken twin: unchecked");
        sim.run_for(ms(1_000));
    }
    assert_eq!((*bad.lock().unwrap(), clock.status()), (0, Status::Synchronized));
}

#[test]
fn two_liars_and_a_silent_one_are_no_time() {
    let mut sim = Simulation::new(1);
    let try_with = |sim: &mut Simulation, servers: &[Server]| {
        let (network, _) = Network::new(&sim.sim_clock(), servers);
        let clock = host(sim).clock();
        sim.block_on(async move { Poller::start(clock, network, ntp::Options::default()).await })
            .map(|(ntp, _)| ntp)
    };
    use Server::{Honest, Lies, Silent};
    let good = Honest(5, 9);
    assert!(try_with(&mut sim, &[good, good, Lies(900), Lies(900)]).is_err());
    assert!(try_with(&mut sim, &[good, good, Silent, Lies(900)]).is_err());
    assert!(try_with(&mut sim, &[good, good, Silent, good]).is_ok());
    // Two liars that agree would be a majority of the three that answer.
    assert!(try_with(&mut sim, &[good, Lies(900), Lies(900), Silent]).is_err());
}

#[test]
fn without_servers_the_bound_grows_by_drift_and_a_step_is_no_secret() {
    let mut sim = Simulation::new(1);
    let host = host(&sim);
    let (network, servers) = Network::new(&sim.sim_clock(), &FOUR);
    let clock = host.clock();
    let (ntp, poller) = sim
        .block_on(async move { Poller::start(clock, network, ntp::Options::default()).await })
        .unwrap();
    sim.spawn(poller.run(|_| {}));
    let clock = host.clock().disciplined(Arc::new(ntp));
    *servers.lock().unwrap() = vec![Server::Silent; 4];
    let before = clock.interval().error();
    host.drift(150);
    sim.run_for(ms(1_000_000));
    let grown = clock.interval().error() - before;
    assert!(grown.abs_diff(ms(200)) <= ms(1), "200 ppm of 1,000 s: {grown:?}");
    assert!(clock.interval().contains(sim.sim_clock().true_now()), "150 ppm are within");
    assert_eq!(clock.status(), Status::FreeRunning);
    // Somebody sets the machine's clock: the date goes on, and the bound covers both.
    host.jump_wall(-5_000_000);
    assert_eq!(clock.status(), Status::Disrupted);
    assert!(clock.interval().contains(sim.sim_clock().true_now()));
    assert!(clock.interval().error() > ms(5_000));
    *servers.lock().unwrap() = FOUR.to_vec();
    sim.run_for(ms(70_000));
    assert_eq!(clock.status(), Status::Synchronized);
    assert!(clock.interval().error() < ms(60));
    assert!(clock.interval().contains(sim.sim_clock().true_now()));
}

#[test]
fn a_clock_that_is_stepped_during_a_round_is_measured_right() {
    let mut sim = Simulation::new(1);
    let host = host(&sim);
    let slow = [Server::Honest(200, 200), Server::Honest(300, 100), Server::Honest(10, 400)];
    let (network, _) = Network::new(&sim.sim_clock(), &slow);
    let (base, stepped, clock) = (sim.clock(), host.clone(), host.clock());
    sim.spawn(async move {
        base.sleep(ms(250)).await;
        stepped.jump_wall(40_000_000);
    });
    let (ntp, _poller) = sim
        .block_on(async move { Poller::start(clock, network, ntp::Options::default()).await })
        .unwrap();
    let interval = host.clock().disciplined(Arc::new(ntp)).interval();
    assert!(interval.contains(sim.sim_clock().true_now()), "{interval}");
}

// --- Quarantine --------------------------------------------------------------------------------

/// Measures other hosts' clocks as messages would: with an error.
struct Peers {
    own: Clock,
    others: Vec<Clock>,
}

impl Sensors for Peers {
    fn peers(&mut self) -> Vec<Measured> {
        let own = self.own.now();
        let measure =
            |other: &Clock| Measured { offset: Offset::between(other.now(), own), error: ms(5) };
        self.others.iter().map(measure).collect()
    }
}

#[test]
fn a_node_that_drifts_by_a_thousand_ppm_goes_alone_and_comes_back_when_set_right() {
    let mut sim = Simulation::new(1);
    let hosts: Vec<SimClock> = (0..4).map(|_| sim.sim_clock().host()).collect();
    hosts[2].drift_wall(1_000);
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut watches = Vec::new();
    for (node, host) in hosts.iter().enumerate() {
        let others = hosts.iter().enumerate().filter(|(other, _)| *other != node);
        let others = others.map(|(_, host)| host.clock()).collect();
        let peers = Peers { own: host.clock(), others };
        // The jump that sets it right is on top of what its drift had made.
        let (monitor, watch) =
            Monitor::new(host.clock(), ms(1_000), health::Options::default(), peers).unwrap();
        let (log, truth) = (Arc::clone(&log), sim.sim_clock());
        sim.spawn(monitor.run(move |change| {
            log.lock().unwrap().push((node, truth.true_elapsed().since_start().as_secs(), change));
        }));
        watches.push(watch);
    }
    sim.run_for(ms(600_000));
    {
        // 1,000 ppm make 400 ms in 400 s, and the measurement's error is let pass.
        let log = log.lock().unwrap();
        assert_eq!(log.len(), 1, "{log:?}");
        let (node, second, change) = log[0];
        assert_eq!((node, second), (2, 406));
        let reason = Reason::Peers { apart: 3, of: 3 };
        assert_eq!(change, Transition::Quarantine { reason });
    }
    assert!(watches[2].clock_skew_p99().unwrap() > ms(590));
    assert!(watches[0].is_healthy() && watches[0].clock_skew_p99().unwrap() < ms(100));
    hosts[2].drift_wall(0);
    hosts[2].jump_wall(-600_000);
    sim.run_for(ms(60_000));
    let log = log.lock().unwrap();
    assert!(matches!(log[1..], [(2, 611, Transition::Readmit { .. })]), "{log:?}");
    assert!(watches.iter().all(health::Watch::is_healthy));
}

#[test]
fn every_kind_of_misbehaviour_comes_and_goes() {
    type Misbehave = fn(&SimClock, bool);
    type Expected = fn(&Reason) -> bool;
    let ways: [(&str, Misbehave, Expected); 4] = [
        (
            "back",
            |clock, bad| clock.jump_wall(if bad { -2_000_000 } else { 0 }),
            |reason| matches!(reason, Reason::Jumped { by } if *by < Offset::ZERO),
        ),
        (
            "forward",
            |clock, bad| clock.jump_wall(if bad { 2_000_000 } else { 0 }),
            |reason| matches!(reason, Reason::Jumped { by } if *by > Offset::ZERO),
        ),
        (
            "error",
            |clock, bad| clock.set_error(ms(if bad { 900 } else { 1 })),
            |reason| matches!(reason, Reason::Uncertain { .. }),
        ),
        (
            "sync",
            |clock, bad| {
                clock.set_status(if bad { Status::FreeRunning } else { Status::Synchronized });
            },
            |reason| matches!(reason, Reason::Unsynchronized),
        ),
    ];
    for (name, misbehave, expected) in ways {
        let mut sim = Simulation::new(1);
        let clock = sim.sim_clock();
        let options = health::Options { synchronized_only: true, ..health::Options::default() };
        let (monitor, watch) = Monitor::new(sim.clock(), ms(1_000), options, ()).unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let changes = Arc::clone(&log);
        sim.spawn(monitor.run(move |change| changes.lock().unwrap().push(change)));
        sim.run_for(ms(5_500));
        misbehave(&clock, true);
        sim.run_for(ms(5_000));
        assert!(!watch.is_healthy(), "{name}");
        misbehave(&clock, false);
        sim.run_for(ms(20_000));
        assert!(watch.is_healthy(), "{name}");
        match log.lock().unwrap()[..] {
            [Transition::Quarantine { reason }, Transition::Readmit { .. }] => {
                assert!(expected(&reason), "{name}: {reason}");
            }
            ref other => panic!("{name}: {other:?}"),
        }
    }
}

#[test]
fn slewing_is_no_jump() {
    let mut sim = Simulation::new(1);
    let (monitor, watch) =
        Monitor::new(sim.clock(), ms(1_000), health::Options::default(), ()).unwrap();
    sim.spawn(monitor.run(|change| panic!("{change:?}")));
    sim.sim_clock().drift_wall(500);
    sim.run_for(ms(3_600_000));
    assert!(watch.is_healthy());
}

// --- Stamps and numbers ------------------------------------------------------------------------

/// Nodes that send each other stamps while their clocks jump and drift and they restart.
fn stamps_under_misbehaviour(seed: u64, durable: bool) -> Result<(), String> {
    let mut sim = Simulation::new(seed);
    let mut rng = sim.fork_rng();
    let hosts: Vec<SimClock> = (0..3).map(|_| sim.sim_clock().host()).collect();
    let stores: Vec<MemoryMark> = (0..3).map(|_| MemoryMark::default()).collect();
    let options = hybrid::Options::default();
    let open = |node: usize| {
        let clock = hosts[node].clock();
        if durable {
            Hybrid::durable(clock, options, Box::new(stores[node].clone())).unwrap()
        } else {
            Hybrid::volatile(clock, options)
        }
    };
    let mut nodes: Vec<Hybrid> = (0..3).map(open).collect();
    // The last stamp that each node knows of, across restarts.
    let mut known = [hybrid::Stamp::default(); 3];
    for step in 0..2_000 {
        let node = rng.usize(..3);
        match rng.u8(..20) {
            0 => hosts[node].jump_wall(rng.i64(-2_000_000..300_000)),
            1 => hosts[node].drift(rng.i32(-1_000..=1_000)),
            2 => nodes[node] = open(node),
            3..=8 => sim.sim_clock().advance(ms(rng.u64(..50))),
            9..=13 => {
                let stamp = nodes[node].now().map_err(|error| error.to_string())?;
                if stamp <= known[node] {
                    return Err(format!("step {step}: {stamp} after {}", known[node]));
                }
                known[node] = stamp;
            }
            _ => {
                let seen = known[rng.usize(..3)];
                // One that is too far ahead is refused; that is not an event.
                if let Ok(stamp) = nodes[node].observe(seen) {
                    if stamp <= known[node] || stamp <= seen {
                        return Err(format!("step {step}: {stamp} after {seen}"));
                    }
                    known[node] = stamp;
                }
            }
        }
    }
    Ok(())
}

#[test]
fn hybrid_stamps_never_step_back() {
    for seed in 0..100 {
        stamps_under_misbehaviour(seed, true).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    }
    let broken = (0..100).filter(|seed| stamps_under_misbehaviour(*seed, false).is_err()).count();
    assert!(broken > 50, "the broken twin keeps nothing across a restart: {broken}");
}

/// One node's numbers while its clock jumps and drifts and it restarts; how many there were.
fn numbers_under_misbehaviour(seed: u64, durable: bool) -> Result<usize, String> {
    let mut sim = Simulation::new(seed);
    let mut rng = sim.fork_rng();
    let host = sim.sim_clock().host();
    let kept = MemoryMark::default();
    let open = || {
        let options = snowflake::Options::default();
        let store = if durable { kept.clone() } else { MemoryMark::default() };
        Snowflake::new(host.clock(), NodeId::new(3), options, Box::new(store)).unwrap()
    };
    let (mut numbers, mut last, mut made) = (open(), None, 0);
    for step in 0..2_000 {
        match rng.u8(..20) {
            0 => host.jump_wall(rng.i64(-3_000..=3_000)),
            1 => host.jump_wall(rng.i64(-900_000..900_000)),
            2 => host.drift_wall(rng.i32(-1_000..=1_000)),
            // A crash, and a clean end.
            3 => numbers = open(),
            4 => {
                numbers.close().unwrap();
                numbers = open();
            }
            5..=9 => sim.sim_clock().advance(ms(rng.u64(..400))),
            _ => {
                if let Ok(number) = numbers.try_next() {
                    if Some(number) <= last {
                        return Err(format!("step {step}: {number} after {last:?}"));
                    }
                    (last, made) = (Some(number), made + 1);
                }
            }
        }
    }
    Ok(made)
}

#[test]
fn numbers_never_step_back_nor_repeat() {
    for seed in 0..100 {
        let made = numbers_under_misbehaviour(seed, true);
        let made = made.unwrap_or_else(|what| panic!("seed {seed}: {what}"));
        assert!(made > 100, "seed {seed}: {made}");
    }
    let broken = (0..100).filter(|seed| numbers_under_misbehaviour(*seed, false).is_err()).count();
    assert!(broken > 50, "the broken twin keeps nothing across a restart: {broken}");
}
