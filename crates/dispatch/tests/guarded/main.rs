//! Providers behind their policies, in simulated time: a service that is in trouble is left
//! alone, nobody's trouble is anybody else's, and what a policy withholds comes later, not twice.
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

mod double;
mod shop;

use std::time::Duration;

use double::{Asked, Mood};
use shop::Shop;
use steadfast_dispatch::order::Status;
use steadfast_dispatch::policies::{Options, provider};
use steadfast_resilience::breaker::{Forced, State, Transition};
use steadfast_resilience::event::Decision;
use steadfast_resilience::policy;
use steadfast_resilience::{Refusal, budget, bulkhead};
use steadfast_time::Monotonic;

const fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

const SECOND: Duration = seconds(1);

const fn changed(decision: &Decision) -> Option<Transition> {
    match decision {
        Decision::Breaker(transition) => Some(*transition),
        _ => None,
    }
}

/// How long whoever came to an open circuit was sent away for.
fn sent_away(decision: &Decision) -> Option<Duration> {
    match decision {
        Decision::Refused(Refusal::Breaker(refused)) => refused.retry_after,
        _ => None,
    }
}

fn between(asked: &[Asked], from: Monotonic, until: Monotonic) -> usize {
    asked.iter().filter(|asked| asked.at > from && asked.at < until).count()
}

#[test]
fn while_the_circuit_is_open_nobody_calls_and_nobody_comes_back_too_early() {
    let mut shop = Shop::new(Options::default());
    shop.stock.is(Mood::Away);
    // Two seconds of orders open the circuit; the rest comes while it is open.
    shop.order_every(millis(50), 40);
    let (opened, transition) = shop.decided("stock", changed)[0];
    assert_eq!(transition.to, State::Open);
    assert!(transition.to_string().contains("of the last 20 failed, next probe in 60 s"));
    let probed = opened + seconds(60);
    shop.order_every(seconds(1), 40);
    let left = probed - shop.now();
    shop.run(left.saturating_sub(millis(1)));

    assert_eq!(between(&shop.stock.asked(), opened, probed), 0);
    assert_eq!(shop.payment.asked(), []);
    assert_eq!(shop.statuses(), [("placed", 80)].into());
    // All but those whose next attempt was due after the circuit opened were sent away, and each
    // of them once: who is told when to come back does not come before.
    let away = shop.decided("stock", sent_away);
    assert!((40..=80).contains(&away.len()), "{}", away.len());
    for (at, after) in &away {
        assert_eq!(*at + *after, probed);
    }

    // Well again: the probes find out, and those who were held up go on.
    shop.stock.is(Mood::Well);
    shop.run(seconds(5));
    let states: Vec<State> = shop.decided("stock", changed).iter().map(|(_, t)| t.to).collect();
    assert_eq!(states, [State::Open, State::HalfOpen, State::Closed]);
    assert!(shop.statuses()["awaiting_courier"] >= 10, "{:?}", shop.statuses());
    shop.run(seconds(600));
    shop.audit();
}

#[test]
fn a_circuit_that_is_open_for_one_is_closed_for_the_other() {
    let mut shop = Shop::new(Options::default());
    shop.payment.is(Mood::Late(seconds(10)));
    shop.order_every(millis(100), 100);
    let payment = shop.decided("payment", changed);
    assert_eq!(payment[0].1.to, State::Open);
    assert_eq!(shop.decided("stock", changed), []);
    let stock = shop.stock.asked();
    assert_eq!(stock.len(), 100);
    assert!(stock.iter().all(|asked| asked.what == "reserve" && asked.attempt == 1));
    assert_eq!(shop.policies.stock.counters().failures, 0);
    assert!(shop.statuses().keys().all(|status| ["stock_reserved", "placed"].contains(status)));
    // A service that does not answer is given up on in time, one call after the other.
    for asked in shop.payment.asked() {
        assert!(asked.left <= millis(100), "{asked:?}");
    }
}

/// Without a breaker, so that the budget alone has to do.
fn with_budget(budget: Option<budget::Options>) -> Options {
    let stock = policy::Options { breaker: None, budget, ..provider(millis(100)) };
    Options { stock, ..Options::default() }
}

/// Five orders a second for three minutes to a stock service that is away; how often it is asked.
fn stormed(budget: Option<budget::Options>) -> Vec<Asked> {
    let mut shop = Shop::new(with_budget(budget));
    shop.stock.is(Mood::Away);
    shop.order_every(millis(200), 5 * 180);
    let asked = shop.stock.asked();
    shop.run(seconds(7_200));
    assert_eq!(shop.statuses(), [("rejected", 900)].into());
    shop.audit();
    asked
}

/// The most calls after the first of their order in any window of this length, and the first
/// ones in the same window.
fn busiest(asked: &[Asked], window: Duration) -> (usize, usize) {
    let ends = asked.iter().map(|asked| asked.at);
    let counts = ends.map(|end| {
        let start = Monotonic::default() + end.since_start().saturating_sub(window);
        let within = asked.iter().filter(|asked| asked.at > start && asked.at <= end);
        let (again, first): (Vec<_>, Vec<_>) = within.partition(|asked| asked.attempt > 1);
        (again.len(), first.len())
    });
    counts.max().unwrap()
}

#[test]
fn retries_stay_within_their_budget_while_everything_fails() {
    let options = budget::Options::default();
    let asked = stormed(Some(options));
    let first = asked.iter().filter(|asked| asked.attempt == 1).count();
    let again = asked.len() - first;
    assert_eq!(first, 900, "each order is asked for once, whatever the budget");
    // 5 % of them and one a second over three minutes, and the window's ten to begin with.
    assert!(again <= 45 + 180 + 10, "{again}");
    assert!(again >= 150, "{again}: a budget that gives nothing is none");
    // The window slides in hundredths of its length, and forgets what is as old as that.
    let (most, beside) = busiest(&asked, options.window.mul_f64(0.99));
    // 10 s at 5 a second: 2.5, and 10.
    assert!(most <= 12, "{most} beside {beside} within {:?}", options.window);
}

#[test]
fn twin_without_a_budget_a_failing_service_is_asked_many_times_as_often() {
    let with = stormed(Some(budget::Options::default())).len() - 900;
    let without = stormed(None).len() - 900;
    assert!(without > 10 * with, "{without} retries without, {with} with a budget");
    // Seven attempts for each order, which is what the saga would do by itself.
    assert!(without > 5_000, "{without}");
}

#[test]
fn an_answer_that_comes_too_late_leaves_it_unknown_and_is_asked_for_again() {
    let mut shop = Shop::new(Options::default());
    shop.payment.is(Mood::Late(millis(250)));
    shop.order_every(millis(400), 10);
    // The work has been done each time, and nobody knows.
    for &order in &shop.orders {
        assert_eq!((shop.payment.holds(order), shop.status(order)), (1, Status::StockReserved));
    }
    assert!(shop.policies.payment.counters().failures >= 10);
    shop.payment.is(Mood::Well);
    shop.run(seconds(120));
    assert_eq!(shop.statuses(), [("awaiting_courier", 10)].into());
    let asked = shop.payment.asked();
    for &order in &shop.orders {
        let mine: Vec<&Asked> = asked.iter().filter(|asked| asked.order == order).collect();
        assert!(mine.len() >= 2, "{mine:?}");
        assert!(mine.iter().all(|asked| asked.key == mine[0].key), "{mine:?}");
        assert!(mine.is_sorted_by_key(|asked| asked.attempt), "{mine:?}");
    }
    shop.audit();
}

#[test]
fn a_service_that_asks_to_be_left_alone_is() {
    let mut shop = Shop::new(Options::default());
    shop.stock.is(Mood::Busy(seconds(20)));
    shop.order_every(millis(100), 10);
    shop.stock.is(Mood::Well);
    shop.run(seconds(60));
    assert_eq!(shop.statuses(), [("awaiting_courier", 10)].into());
    for order in shop.orders.clone() {
        let mine: Vec<Asked> =
            shop.stock.asked().into_iter().filter(|asked| asked.order == order).collect();
        let [first, second] = &mine[..] else { panic!("{mine:?}") };
        let pause = second.at - first.at;
        assert!((seconds(20)..seconds(25)).contains(&pause), "{pause:?}");
    }
    shop.audit();
}

#[test]
fn a_short_outage_costs_nobody_the_order() {
    for outage in [SECOND, seconds(10), seconds(60)] {
        let mut shop = Shop::new(Options::default());
        shop.stock.is(Mood::Away);
        // What the outage does not let in waits, whoever was asked for before and whoever was not.
        shop.order_every(outage / 200, 200);
        shop.stock.is(Mood::Well);
        shop.run(seconds(1_200));
        assert_eq!(shop.statuses(), [("awaiting_courier", 200)].into(), "{outage:?}");
        shop.audit();
    }
}

#[test]
fn whoever_was_never_asked_for_is_asked_for_at_once_when_the_circuit_closes() {
    let mut shop = Shop::new(Options::default());
    shop.stock.is(Mood::Away);
    shop.order_every(millis(10), 20);
    let (opened, _) = shop.decided("stock", changed)[0];
    let late: Vec<_> = (0..200).map(|_| shop.order()).collect();
    shop.stock.is(Mood::Well);
    let left = opened + seconds(60) - shop.now();
    shop.run(left + seconds(5));
    // None of them is a repetition, so none of them waits for the budget.
    for order in late {
        assert_eq!(shop.status(order), Status::AwaitingCourier);
    }
    assert_eq!(shop.stock.asked().iter().filter(|asked| asked.attempt == 1).count(), 220);
}

#[test]
fn a_circuit_that_stays_open_gives_an_order_up_in_the_end() {
    let mut shop = Shop::new(Options::default());
    shop.policies.stock.force_breaker(Forced::Open);
    shop.order_every(SECOND, 10);
    shop.run(seconds(240));
    assert_eq!(shop.statuses(), [("placed", 10)].into());
    shop.run(seconds(360));
    assert_eq!(shop.statuses(), [("rejected", 10)].into());
    assert_eq!(shop.stock.asked(), []);
    shop.audit();
}

#[test]
fn whoever_gives_up_in_time_is_counted_as_a_timeout_all_the_same() {
    let mut shop = Shop::new(Options::default());
    shop.payment.is(Mood::Punctual);
    shop.order_every(millis(200), 10);
    let counters = shop.policies.payment.counters();
    assert!(counters.timeouts >= 10, "{counters:?}");
    assert_eq!(counters.timeouts, counters.failures);
    shop.payment.is(Mood::Well);
    shop.run(seconds(300));
    shop.audit();
}

#[test]
fn waiting_for_a_place_is_not_taken_for_slowness_of_the_service() {
    let bulkhead = bulkhead::Options { limit: 1, queue: 10, wait: millis(100) };
    let stock = policy::Options { bulkhead: Some(bulkhead), ..provider(millis(100)) };
    let mut shop = Shop::new(Options { stock, ..Options::default() });
    // Two at once: the second one waits, and then has all of its time.
    shop.stock.is(Mood::Late(millis(80)));
    for _ in 0..20 {
        shop.order();
        shop.order();
        shop.run(SECOND);
    }
    let counters = shop.policies.stock.counters();
    assert_eq!((counters.failures, counters.attempts), (0, 40), "{counters:?}");
    shop.audit();
}

/// Whatever the two services do, and whatever the policies make of it.
#[test]
fn no_order_is_lost_or_done_twice() {
    let mut ended = (0, 0);
    for seed in 0..12 {
        let mut shop = Shop::seeded(seed, Options::default());
        let mut rng = fastrand::Rng::with_seed(seed);
        for _ in 0..20 {
            for service in [&shop.stock, &shop.payment] {
                service.is(match rng.u8(..6) {
                    0 => Mood::Away,
                    1 => Mood::Late(millis(rng.u64(1..300))),
                    2 => Mood::Mute,
                    3 => Mood::Well,
                    _ => Mood::Fickle,
                });
            }
            let count = rng.usize(..8);
            shop.order_every(millis(rng.u64(1..400)), count);
            shop.run(millis(rng.u64(..20_000)));
        }
        shop.stock.is(Mood::Well);
        shop.payment.is(Mood::Well);
        shop.run(seconds(3_600));
        shop.audit();
        let statuses = shop.statuses();
        let count = |status| statuses.get(status).copied().unwrap_or_default();
        ended.0 += count("awaiting_courier");
        ended.1 += count("rejected");
    }
    // Otherwise it shows nothing.
    assert!(ended.0 > 100 && ended.1 > 0, "{ended:?}");
    println!("{} prepared, {} rejected", ended.0, ended.1);
    // The policies' own doing: hardly anybody's patience is spent on them.
    assert!(ended.1 < ended.0 / 20, "{ended:?}");
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = || {
        let mut shop = Shop::seeded(7, Options::default());
        shop.stock.is(Mood::Fickle);
        shop.payment.is(Mood::Fickle);
        shop.order_every(SECOND, 50);
        shop.run(seconds(300));
        (shop.stock.asked(), shop.payment.asked())
    };
    assert_eq!(run(), run());
}
