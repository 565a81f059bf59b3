//! The real program, killed again and again while people order and couriers deliver.
//!
//! Customers repeat themselves, at once and after a kill; couriers answer, decline or say
//! nothing; stock and payment fail before the work and after it; the process is stopped for a
//! moment, or killed at any instruction, also while it starts. Then the faults end, everything
//! must come to its end, and the three journals, read offline, must agree with each other and
//! with every answer that anybody was given.
//!
//! `STEADFAST_KILLS=n` sets how often it is killed. `STEADFAST_SEED=s` repeats the plan of a run:
//! who orders what, who declines, when it is killed. What the machine does meanwhile it cannot
//! repeat, so a failure that a seed has shown once may need some runs to show again.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod audit;
mod city;
mod courier;
mod customer;
#[path = "../support/mod.rs"]
mod support;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use fastrand::Rng;
use serde_json::json;
use steadfast_time::Clock;
use support::http::Client;
use support::process::Home;
use support::{millis, pause};
use tokio::task::JoinSet;

use city::{City, ZONE_CAPACITY, ZONES};

/// Kills in an ordinary run.
const KILLS: u64 = 30;

const CUSTOMERS: usize = 6;
const COURIERS: usize = 12;

/// How long it may take until everything has ended once the faults have. A step that has failed
/// six times rests for a minute.
const HEALING: Duration = Duration::from_secs(150);

/// How long the end may take after SIGTERM.
const STOP_MAX: Duration = Duration::from_secs(20);

const CALM: &str = r#"
[dispatch]
offer_timeout = "2s"
search_timeout = "60s"
heartbeat_timeout = "3s"
[log]
filter = "warn"
"#;

/// Refusals are for the steps that may be refused; what comes after the pivot may only fail.
fn trouble(seed: u64) -> String {
    let mut config = format!("{CALM}[providers.sandbox]\nseed = {seed}\n");
    for operation in ["reserve", "release", "authorize", "capture", "void"] {
        let refuse = if matches!(operation, "reserve" | "authorize") { 0.03 } else { 0.0 };
        config.push_str(&format!(
            "[providers.sandbox.{operation}]\nunavailable = 0.06\nlose_reply = 0.08\n\
             refuse = {refuse}\ndelay = \"1ms\"\ndelay_extra = \"8ms\"\ndelay_max = \"150ms\"\n"
        ));
    }
    config
}

/// A city after its troubles, and what it took.
struct Lived {
    home: Home,
    city: Arc<City>,
    story: String,
}

/// Lives through some kills, heals, and ends.
async fn live(kills: u64, seed: u64) -> Lived {
    let clock = Clock::system();
    let started = clock.monotonic();
    let mut rng = Rng::with_seed(seed);
    let home = Home::with(&trouble(seed));
    let city = Arc::new(City::new(COURIERS));
    prepare(&home).await;

    let mut customers = JoinSet::new();
    for number in 0..CUSTOMERS {
        customers.spawn(customer::order(Arc::clone(&city), number, rng.fork()));
    }
    let mut couriers = JoinSet::new();
    for number in 0..COURIERS {
        couriers.spawn(courier::work(Arc::clone(&city), number, rng.fork()));
    }
    let (mut pauses, mut at_start) = (0, 0);
    for _ in 0..kills {
        let server = home.start().await;
        city.opens(server.public);
        pause(millis(rng.u64(200..2_000))).await;
        if rng.u8(..4) == 0 {
            pauses += 1;
            server.process.signal("STOP");
            pause(millis(rng.u64(100..500))).await;
            server.process.signal("CONT");
            pause(millis(rng.u64(..300))).await;
        }
        server.process.kill();
        city.closes();
        // Whoever is killed may be killed again before it stands.
        if rng.u8(..4) == 0 {
            at_start += 1;
            let starting = home.spawn();
            pause(millis(rng.u64(..150))).await;
            starting.child.kill();
        }
    }

    home.configure(CALM);
    let server = home.start().await;
    city.opens(server.public);
    city.end_trouble();
    let healing = clock.monotonic();
    while customers.join_next().await.transpose().unwrap().is_some() {}
    loop {
        let open = city.unfinished(server.public).await;
        if open.is_empty() {
            break;
        }
        let waited = clock.monotonic() - healing;
        assert!(waited < HEALING, "not ended after {waited:?}: {open:#?}\n{}", home.log());
        pause(millis(300)).await;
    }
    let healed = clock.monotonic() - healing;
    couriers.shutdown().await;
    let stopping = clock.monotonic();
    let status = server.stop(STOP_MAX).await;
    let stopped = clock.monotonic() - stopping;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "SIGTERM\n{}", home.log());
    let (sound, said) = home.verify();
    assert!(sound, "journal verify: {said}");
    let story = format!(
        "{kills} kills, {at_start} more while starting, {pauses} pauses; {} replays, {} reused \
         keys refused, {} broken requests; healed in {healed:.1?}, stopped in {stopped:.1?}, \
         {:.1?} in all",
        city.replays.load(Relaxed),
        city.reuses.load(Relaxed),
        city.broken.load(Relaxed),
        clock.monotonic() - started,
    );
    Lived { home, city, story }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answered_order_exists_once_and_every_order_ends() {
    let kills = support::number("STEADFAST_KILLS").unwrap_or(KILLS);
    let seed = support::number("STEADFAST_SEED").unwrap_or_else(|| fastrand::u64(..1_000_000));
    println!(
        "seed {seed}; repeat with: STEADFAST_SEED={seed} STEADFAST_KILLS={kills} \
         cargo test -p steadfast --test kill -- --nocapture"
    );
    let Lived { home, city, story } = live(kills, seed).await;
    let problems = city.problems();
    assert!(problems.is_empty(), "seed {seed}: {problems:#?}\n{}", home.log());
    let summary = match audit::check(&home.data(), &city) {
        Ok(summary) => summary,
        Err(problem) => panic!("seed {seed}: {problem}\n{}", home.log()),
    };
    println!("{summary}; {story}");
    // A run in which nothing happened would prove nothing.
    assert!(summary.delivered > 0 && summary.undone > 0, "{summary}");
    assert!(kills == 0 || city.broken.load(Relaxed) > 0, "no kill has hit anybody");
}

/// A check that was never seen failing is no check: each of these wrongs must be noticed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_audit_notices_what_is_wrong() {
    let Lived { home, city, .. } = live(3, 7).await;
    let data = home.data();
    audit::check(&data, &city).unwrap();
    let notices = |what: &str| {
        let problem = audit::check(&data, &city).unwrap_err();
        assert!(problem.contains(what), "{what:?} is missing in: {problem}");
    };
    let key = city.told().placed.keys().next().unwrap().clone();
    let right = city.told().placed[&key].clone();

    // An order that was answered is not there; is another one; is there without an answer.
    let mut wrong = right.clone();
    wrong.id = "00000000-0000-7000-8000-000000000000".to_owned();
    city.told().placed.insert(key.clone(), wrong);
    notices("was told");
    let mut wrong = right.clone();
    wrong.request["amount"]["minor"] = json!(1);
    city.told().placed.insert(key.clone(), wrong);
    notices("is not what");
    city.told().placed.remove(&key);
    notices("orders are stored");
    city.told().placed.insert(key, right.clone());
    // A courier was told to have an order that somebody else has.
    let nobody = (right.id, "nobody".to_owned());
    city.told().accepted.insert(nobody.clone());
    notices("was given to nobody");
    city.told().accepted.remove(&nobody);
    audit::check(&data, &city).unwrap();

    // A ledger that knows of nothing.
    for (ledger, what) in [("stock", "and its stock None"), ("payment", "and its payment None")] {
        let (there, aside) = (data.join(ledger), home.path("aside"));
        std::fs::rename(&there, &aside).unwrap();
        notices(what);
        std::fs::remove_dir_all(&there).unwrap();
        std::fs::rename(&aside, &there).unwrap();
    }
    audit::check(&data, &city).unwrap();

    // An event without its message, an event that was altered.
    let change = |journal: &str, sql: &str| {
        let database = rusqlite::Connection::open(data.join(journal).join("journal.db")).unwrap();
        assert!(database.execute(sql, ()).unwrap() > 0, "{sql}");
    };
    change(
        "orders",
        "DELETE FROM outbox_messages WHERE seq = (SELECT max(seq) FROM outbox_messages)",
    );
    notices("has no message");
    change("orders", "UPDATE events SET payload = x'7b7d' WHERE position = 5");
    notices("chain is broken");
}

/// Sets the zones' limits, before anything goes wrong.
async fn prepare(home: &Home) {
    let server = home.start().await;
    let mut client = Client::new(server.public);
    for (name, west, east) in ZONES {
        let body = json!({
            "capacity": ZONE_CAPACITY,
            "area": { "min": { "x": west, "y": 0 }, "max": { "x": east, "y": city::SIDE } },
        });
        let reply = client.json(&format!("PUT /zones/{name}"), &body).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    server.process.kill();
}
