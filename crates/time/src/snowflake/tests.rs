//! Numbers under clocks that misbehave.

use super::*;
use crate::durable::MemoryMark;
use crate::sim::{DEFAULT_START, SimClock, Simulation};
use crate::timestamp::Timestamp;

fn generator(clock: &SimClock, store: &MemoryMark, options: Options) -> Snowflake {
    Snowflake::new(clock.clock(), NodeId::new(17), options, Box::new(store.clone())).unwrap()
}

#[test]
fn numbers_say_when_and_where_and_sort() {
    let clock = SimClock::starting_at(DEFAULT_START);
    let numbers = generator(&clock, &MemoryMark::default(), Options::default());
    let first = numbers.try_next().unwrap();
    let second = numbers.try_next().unwrap();
    clock.advance(Duration::from_millis(1));
    let third = numbers.try_next().unwrap();
    assert!(first < second && second < third);
    let parts = Layout::default().parts(second);
    assert_eq!(parts, Parts { time: DEFAULT_START, node: NodeId::new(17), sequence: 1 });
    assert_eq!(Layout::default().parts(third).sequence, 0);
}

#[test]
fn a_full_millisecond_is_waited_for_or_refused() {
    let mut sim = Simulation::new(1);
    let options = Options { overflow: Overflow::Refuse, ..Options::default() };
    let numbers = generator(&sim.sim_clock(), &MemoryMark::default(), options);
    for _ in 0..4_096 {
        numbers.try_next().unwrap();
    }
    assert!(matches!(numbers.try_next(), Err(Error::Overflow(4_096))));
    let refused = sim.block_on(async move { numbers.next().await });
    assert!(matches!(refused, Err(Error::Overflow(_))));
    let numbers = generator(&sim.sim_clock(), &MemoryMark::default(), Options::default());
    let clock = sim.clock();
    let took = sim.block_on(async move {
        let began = clock.monotonic();
        for _ in 0..4_097 {
            numbers.next().await.unwrap();
        }
        clock.monotonic() - began
    });
    assert_eq!(took, Duration::from_millis(1));
}

#[test]
fn a_small_step_back_is_waited_for_and_a_large_one_refused() {
    let mut sim = Simulation::new(1);
    let clock = sim.sim_clock();
    let numbers = generator(&clock, &MemoryMark::default(), Options::default());
    let before = numbers.try_next().unwrap();
    clock.jump_wall(-800_000);
    assert!(matches!(numbers.try_next(), Err(Error::Backwards { .. })));
    let (after, numbers) = sim.block_on(async move { (numbers.next().await.unwrap(), numbers) });
    assert!(after > before);
    assert_eq!(clock.true_elapsed().since_start(), Duration::from_millis(800));
    clock.jump_wall(-3_600_000_000);
    let (refused, numbers) = sim.block_on(async move { (numbers.next().await, numbers) });
    let hour = Duration::from_secs(3_600);
    assert!(matches!(refused, Err(Error::Backwards { by }) if by == hour), "at once");
    sim.run_for(hour);
    assert!(numbers.try_next().unwrap() > after, "it has caught up");
}

/// What a generator that trusts the clock would do.
fn naive(clock: &SimClock, sequence: u64) -> Number {
    let layout = Layout::default();
    let time = layout.time_of(clock.clock().now()).unwrap();
    layout.compose(time, NodeId::new(17), sequence)
}

#[test]
fn a_crash_and_a_clock_set_back_repeat_nothing() {
    let mut sim = Simulation::new(1);
    let clock = sim.sim_clock();
    let store = MemoryMark::default();
    let before = generator(&clock, &store, Options::default()).try_next().unwrap();
    let naive_before = naive(&clock, 0);
    // The process is gone, and the clock is set back by 400 ms.
    clock.jump_wall(-400_000);
    let numbers = generator(&clock, &store, Options::default());
    assert!(matches!(numbers.try_next(), Err(Error::Backwards { .. })));
    let after = sim.block_on(async move { numbers.next().await.unwrap() });
    assert!(after > before);
    assert_eq!(Layout::default().parts(after).sequence, 0);
    let again = SimClock::starting_at(DEFAULT_START);
    assert_eq!(naive(&again, 0), naive_before, "the broken twin repeats itself");
}

#[test]
fn a_clean_end_leaves_nothing_to_wait_for() {
    let clock = SimClock::starting_at(DEFAULT_START);
    let store = MemoryMark::default();
    let numbers = generator(&clock, &store, Options::default());
    let last = numbers.try_next().unwrap();
    numbers.close().unwrap();
    clock.advance(Duration::from_millis(1));
    assert!(generator(&clock, &store, Options::default()).try_next().unwrap() > last);
}

#[test]
fn threads_get_different_numbers_in_order() {
    let clock = Clock::system();
    let options = Options { reserve: Duration::from_secs(1), ..Options::default() };
    let store = Box::new(MemoryMark::default());
    let numbers = Snowflake::new(clock, NodeId::new(1), options, store).unwrap();
    let mut all: Vec<Number> = std::thread::scope(|scope| {
        let work = || {
            let mut mine = Vec::new();
            while mine.len() < 5_000 {
                match numbers.try_next() {
                    Ok(number) => mine.push(number),
                    Err(Error::Overflow(_)) => std::thread::yield_now(),
                    Err(error) => panic!("{error}"),
                }
            }
            assert!(mine.is_sorted());
            mine
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 20_000);
}

#[test]
fn what_cannot_be_is_refused() {
    let store = || Box::new(MemoryMark::default());
    let clock = SimClock::starting_at(Timestamp::EPOCH);
    let options = Options::default();
    let before = Snowflake::new(clock.clock(), NodeId::new(1), options, store()).unwrap();
    assert!(matches!(before.try_next(), Err(Error::Outside)));
    let node = Snowflake::new(clock.clock(), NodeId::new(1_024), options, store());
    assert!(matches!(node, Err(Error::Layout(_))));
    let hasty = Options { patience: Duration::ZERO, ..options };
    let hasty = Snowflake::new(clock.clock(), NodeId::new(1), hasty, store());
    assert!(matches!(hasty, Err(Error::Options { .. })));
}
