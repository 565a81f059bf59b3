//! The PostgreSQL engine against a real server: the suite of all engines, and what is its own.
//! `tests/postgres_faults.rs` breaks things.
#![cfg(all(feature = "postgres", feature = "conformance"))]
#![allow(clippy::unwrap_used, reason = "a failed check is a panic")]

#[path = "support/postgres.rs"]
mod servers;

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use servers::{VARIABLE, name, options, request, shared, sql};
use steadfast_coordination::conformance::{Check, Subject};
use steadfast_coordination::engine::postgres::{Options, Postgres};
use steadfast_coordination::port::{Coordinator, Error};
use steadfast_time::Clock;

const SECOND: Duration = Duration::from_secs(1);

fn run(check: Check) {
    let Some(url) = shared(VARIABLE) else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let one = Arc::new(Postgres::connect(&url).await.unwrap());
        let other = Arc::new(Postgres::connect(&url).await.unwrap());
        let prefix = format!("{:016x}/", fastrand::u64(..));
        let subject = Subject::new(one, Clock::system(), prefix).with_other(other);
        check.run(&subject).await.unwrap();
    });
}

steadfast_coordination::conformance_tests!(run);

#[tokio::test]
async fn many_make_the_schema_at_once_and_one_does() {
    let Some(url) = shared(VARIABLE) else { return };
    for round in 0..3 {
        let options = options(&url);
        if round == 1 {
            // A schema that an administrator has made is used.
            sql(&url, &format!("CREATE SCHEMA {}", options.schema)).await;
        }
        let clients = join_all((0..8).map(|_| Postgres::connect_with(options.clone()))).await;
        for client in clients {
            client.unwrap().open(SECOND).await.unwrap();
        }
        sql(&url, &format!("DROP SCHEMA {} CASCADE", options.schema)).await;
    }
}

#[tokio::test]
async fn tables_of_another_version_or_of_others_are_refused_and_left_alone() {
    let Some(url) = shared(VARIABLE) else { return };
    let ours = options(&url);
    let schema = ours.schema.clone();
    Postgres::connect_with(ours.clone()).await.unwrap();
    for (change, says) in [
        (format!("UPDATE {schema}.meta SET format = 7"), "has format 7"),
        (format!("INSERT INTO {schema}.meta VALUES (1)"), "has 2 format numbers"),
        (format!("DROP TABLE {schema}.meta"), "holds tables of something else"),
        (format!("CREATE TABLE {schema}.meta (key text)"), "not Steadfast's"),
    ] {
        sql(&url, &change).await;
        let error = Postgres::connect_with(ours.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
        assert!(!error.is_transient());
    }
    sql(&url, &format!("SELECT id FROM {schema}.sessions; DROP SCHEMA {schema} CASCADE")).await;
}

#[tokio::test]
async fn who_cannot_be_served_is_told_why() {
    let Some(url) = shared(VARIABLE) else { return };
    let at = url.rsplit_once('@').unwrap().1;
    let (at, _) = at.split_once('/').unwrap();
    let user = format!("u{:016x}", fastrand::u64(..));
    sql(&url, &format!("CREATE ROLE {user} LOGIN")).await;
    for (wrong, says) in [
        (format!("postgres://nobody-{user}@{at}/postgres"), "nobody-"),
        (format!("postgres://{user}@{at}/none-{user}"), "none-"),
        (format!("postgres://{user}@{at}/postgres?sslmode=require"), "TLS"),
    ] {
        let error = Postgres::connect(&wrong).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let url_of_user = format!("postgres://{user}@{at}/postgres");
    let error = Postgres::connect_with(options(&url_of_user)).await.unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    assert!(matches!(error, Error::Refused { .. }));
    sql(&url, &format!("DROP ROLE {user}")).await;

    let error = Postgres::connect("postgres://a@127.0.0.1:1/b").await.unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error:?}");
}

#[tokio::test]
async fn a_password_is_checked_by_the_server_and_never_shown() {
    let Some(url) = shared("STEADFAST_POSTGRES_GUARDED") else { return };
    let (user, rest) = url.strip_prefix("postgres://").unwrap().split_once(':').unwrap();
    let (password, at) = rest.split_once('@').unwrap();
    for wrong in [format!("{user}:not-{password}"), user.to_owned()] {
        let error = Postgres::connect(&format!("postgres://{wrong}@{at}")).await.unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error:?}");
        assert!(error.to_string().contains("password"), "{error}");
        assert!(!format!("{error} {error:?}").contains(password), "{error:?}");
    }
    // The user may not make a schema, so it is made for him.
    let Some(owner) = shared(VARIABLE) else { return };
    let options = options(&url);
    let refused = Postgres::connect_with(options.clone()).await.unwrap_err();
    assert!(refused.to_string().contains("permission denied"), "{refused}");
    sql(&owner, &format!("CREATE SCHEMA {} AUTHORIZATION {user}", options.schema)).await;
    let postgres = Postgres::connect_with(options.clone()).await.unwrap();
    assert!(!format!("{refused:?} {postgres:?}").contains(password), "{refused:?} {postgres:?}");
    postgres.open(SECOND).await.unwrap();
    sql(&owner, &format!("DROP SCHEMA {} CASCADE", options.schema)).await;
}

#[tokio::test]
async fn a_server_of_another_kind_is_named() {
    let Some(redis) = shared("STEADFAST_REDIS") else { return };
    let at = redis.trim_start_matches("redis://").trim_end_matches('/');
    let mut options = Options::new(&format!("postgres://a@{at}/b")).unwrap();
    options.connect_timeout = SECOND;
    let error = Postgres::connect_with(options).await.unwrap_err();
    assert!(error.to_string().contains("not PostgreSQL but a Redis server"), "{error}");
    assert!(matches!(error, Error::Refused { .. }));
}

/// A session that was seen as over stays over when the clock is set back. The clock is the
/// server's, so its step is made by moving the deadline instead.
#[tokio::test]
async fn a_session_that_was_seen_as_over_stays_over() {
    let Some(url) = shared(VARIABLE) else { return };
    let options = options(&url);
    let schema = options.schema.clone();
    let postgres = Postgres::connect_with(options).await.unwrap();
    let (queue, unseen) = (name("seen"), name("unseen"));
    let ended = postgres.open(10 * SECOND).await.unwrap().session;
    let held = postgres.enter(&queue, request(ended, true)).await.unwrap();
    postgres.enter(&unseen, request(ended, true)).await.unwrap();
    let next = postgres.open(10 * SECOND).await.unwrap().session;
    let waits = postgres.enter(&queue, request(next, true)).await.unwrap();
    assert_eq!(waits.ahead, Some(held.token));

    let step = |by: &str| {
        format!(
            "UPDATE {schema}.sessions SET deadline = deadline + interval '{by}' WHERE id = {}",
            ended.0
        )
    };
    sql(&url, &step("-1 hour")).await;
    assert_eq!(postgres.place(&queue, waits.token).await.unwrap().ahead, None);
    sql(&url, &step("1 hour")).await;
    let renewed = postgres.renew(ended).await;
    assert!(matches!(renewed, Err(Error::SessionOver { .. })), "{renewed:?}");
    // And it has left no entry anywhere.
    assert!(postgres.list(&unseen, None).await.unwrap().entries.is_empty());
    assert_eq!(postgres.place(&queue, waits.token).await.unwrap().ahead, None);
    sql(&url, &format!("DROP SCHEMA {schema} CASCADE")).await;
}

#[tokio::test]
async fn what_is_over_or_empty_is_swept_away() {
    let Some(url) = shared(VARIABLE) else { return };
    let options = options(&url);
    let schema = options.schema.clone();
    let postgres = Postgres::connect_with(options).await.unwrap();
    for _ in 0..40 {
        let session = postgres.open(SECOND).await.unwrap().session;
        postgres.enter(&name("swept"), request(session, true)).await.unwrap();
    }
    sql(
        &url,
        &format!(
            "UPDATE {schema}.sessions SET deadline = '-infinity';
             UPDATE {schema}.queues SET touched = touched - interval '2 hours'"
        ),
    )
    .await;
    for _ in 0..8 {
        postgres.open(SECOND).await.unwrap();
    }
    let left = format!(
        "DO $$ BEGIN
             ASSERT (SELECT count(*) FROM {schema}.sessions) = 8;
             ASSERT NOT EXISTS (SELECT FROM {schema}.entries);
             ASSERT NOT EXISTS (SELECT FROM {schema}.queues);
         END $$; DROP SCHEMA {schema} CASCADE"
    );
    sql(&url, &left).await;
}

/// Sixty-four tasks of eight clients fight for three queues; the order of the tokens must be the
/// order of the turns. Its broken twin draws tokens without the queue's lock: `drawn_early` makes
/// such tables of ours, and the same fight finds tokens that come in ahead of one that is in.
async fn fight(drawn_early: bool) -> Result<(), String> {
    let Some(url) = shared(VARIABLE) else { return Err("left out".to_owned()) };
    let mut options = options(&url);
    options.connections = 4;
    let schema = options.schema.clone();
    Postgres::connect_with(options.clone()).await.unwrap();
    if drawn_early {
        // The token is drawn at once; between it and the lock lies a moment.
        sql(
            &url,
            &format!(
                "DO $do$ DECLARE body text; BEGIN
                   SELECT pg_get_functiondef('{schema}.enter'::regproc) INTO body;
                   body := replace(body, E'BEGIN\\n', E'BEGIN\\n o_token := nextval(''{schema}.tokens''); \
                     PERFORM pg_sleep(random() * 0.01);\\n');
                   body := replace(body, E'o_token := nextval(''\"{schema}\".tokens'');\\n    INSERT', 'INSERT');
                   EXECUTE body;
                 END $do$"
            ),
        )
        .await;
    }
    let patience = if drawn_early { SECOND } else { 30 * SECOND };
    let queues = Arc::new([name("a"), name("b"), name("c")]);
    let clients = join_all((0..4).map(|_| Postgres::connect_with(options.clone()))).await;
    let clients: Vec<_> = clients.into_iter().map(Result::unwrap).collect();
    let tasks = (0..32).map(|task| {
        let (client, queues) = (clients[task % 4].clone(), Arc::clone(&queues));
        tokio::spawn(async move {
            let (clock, session) =
                (Clock::system(), client.open(60 * SECOND).await.unwrap().session);
            for turn in 0..6 {
                let queue = &queues[(task + turn) % 3];
                let failed = |error: Error| error.to_string();
                let entering = client.enter(queue, request(session, true));
                let mut place = entering.await.map_err(failed)?;
                let token = place.token;
                while let Some(ahead) = place.ahead {
                    let waiting = clock.timeout(patience, client.gone(queue, ahead)).await;
                    let Ok(gone) = waiting else {
                        client.close(session).await.map_err(failed)?;
                        return Err(format!("{token} waits for {ahead} for ever"));
                    };
                    gone.map_err(failed)?;
                    place = client.place(queue, token).await.map_err(failed)?;
                }
                // It is our turn: nobody may be in ahead of us, now or later.
                for _ in 0..2 {
                    let listing = client.list(queue, None).await.unwrap();
                    let first = listing.entries.first().map(|entry| entry.token);
                    if first != Some(token) {
                        client.close(session).await.unwrap();
                        return Err(format!("{token} has the turn, but {first:?} is first"));
                    }
                }
                client.leave(queue, token).await.unwrap();
            }
            Ok(())
        })
    });
    let outcome = join_all(tasks).await.into_iter().try_for_each(Result::unwrap);
    sql(&url, &format!("DROP SCHEMA {schema} CASCADE")).await;
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn turns_come_in_the_order_of_tokens_under_a_crowd() {
    if shared(VARIABLE).is_some() {
        fight(false).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_twin_tokens_that_are_drawn_before_the_lock_come_in_ahead() {
    if shared(VARIABLE).is_some() {
        let found = fight(true).await.unwrap_err();
        // Somebody has the turn without being first, or two wait for each other.
        assert!(found.contains("has the turn") || found.contains("for ever"), "{found}");
    }
}

/// Not a benchmark: shows the figures of this machine when asked to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "prints figures; run it by name"]
async fn pairs_per_second() {
    let Some(url) = shared(VARIABLE) else { return };
    let clock = Clock::system();
    for (tasks, connections) in [(1, 1), (64, 4), (64, 8), (64, 16), (64, 32)] {
        let mut options = options(&url);
        options.connections = connections;
        let schema = options.schema.clone();
        let postgres = Postgres::connect_with(options).await.unwrap();
        let until = clock.monotonic() + 2 * SECOND;
        let running = (0..tasks).map(|_| {
            let (postgres, clock, queue) = (postgres.clone(), clock.clone(), name("pair"));
            tokio::spawn(async move {
                let session = postgres.open(60 * SECOND).await.unwrap().session;
                let mut pairs = 0_u32;
                while clock.monotonic() < until {
                    let place = postgres.enter(&queue, request(session, true)).await.unwrap();
                    postgres.leave(&queue, place.token).await.unwrap();
                    pairs += 1;
                }
                pairs
            })
        });
        let pairs: u32 = join_all(running).await.into_iter().map(Result::unwrap).sum();
        eprintln!("{tasks} tasks, {connections} connections: {} pairs/s", pairs / 2);
        sql(&url, &format!("DROP SCHEMA {schema} CASCADE")).await;
    }
}

#[tokio::test]
async fn a_waiter_hears_of_a_release_from_another_client_at_once() {
    let Some(url) = shared(VARIABLE) else { return };
    let mut options = options(&url);
    options.poll = 20 * SECOND;
    let schema = options.schema.clone();
    let one = Postgres::connect_with(options.clone()).await.unwrap();
    let other = Postgres::connect_with(options).await.unwrap();
    let queue = name("heard");
    let session = one.open(60 * SECOND).await.unwrap().session;
    let clock = Clock::system();
    // The first waits may begin before the listener listens; then they poll.
    for _ in 0..10 {
        let held = one.enter(&queue, request(session, true)).await.unwrap();
        let waiting = other.gone(&queue, held.token);
        let leaving = async {
            clock.sleep(SECOND / 20).await;
            one.leave(&queue, held.token).await.unwrap();
        };
        let both = async { futures::join!(waiting, leaving) };
        clock.timeout(2 * SECOND, both).await.unwrap().0.unwrap();
    }
    sql(&url, &format!("DROP SCHEMA {schema} CASCADE")).await;
}
