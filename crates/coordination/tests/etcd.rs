//! The etcd engine against a real server: what the port promises in terms of etcd, and clear words
//! about whatever else may be at the address. `tests/etcd_faults.rs` breaks things.
#![cfg(feature = "etcd")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

#[path = "support/etcd.rs"]
mod servers;

use std::time::Duration;

use futures::FutureExt;
use servers::{Cluster, Shared, name, request};
use steadfast_coordination::engine::etcd::{Credentials, Etcd, Options};
use steadfast_coordination::port::{Coordinator, Error, Mode, Name, Request};
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;

const SECOND: Duration = Duration::from_secs(1);
const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_repeated_request_is_the_same_entry_and_a_refused_one_leaves_nothing() {
    let Some(server) = Shared::one().await else { return };
    let (etcd, queue) = (server.connect().await, name("repeat"));
    let session = etcd.open(10 * SECOND).await.unwrap().session;
    let first = request(session, Mode::Exclusive, b"one");
    let place = etcd.enter(&queue, first).await.unwrap();
    assert_eq!((place.ahead, place.depth), (None, 0));
    assert_eq!(etcd.enter(&queue, first).await.unwrap(), place);

    let second = request(session, Mode::Exclusive, b"two");
    let busy = etcd.enter(&queue, Request { wait: false, ..second }).await.unwrap_err();
    assert!(matches!(busy, Error::Busy { holder, .. } if holder == place.token), "{busy}");
    assert_eq!(etcd.list(&queue, None).await.unwrap().entries.len(), 1);

    let behind = etcd.enter(&queue, second).await.unwrap();
    assert_eq!((behind.ahead, behind.depth), (Some(place.token), 1));
    assert!(behind.token > place.token);
    assert_eq!(etcd.enter(&queue, second).await.unwrap(), behind);

    // A client that has seen none of it knows as much.
    let other = server.connect().await;
    assert_eq!(other.place(&queue, behind.token).await.unwrap(), behind);
    other.leave(&queue, place.token).await.unwrap();
    other.leave(&queue, place.token).await.unwrap();
    assert_eq!(etcd.place(&queue, behind.token).await.unwrap().ahead, None);
    let over = etcd.place(&queue, place.token).await.unwrap_err();
    assert!(matches!(over, Error::Over { token, .. } if token == place.token), "{over}");
    let free = name("repeat");
    let tried = Request { wait: false, ..request(session, Mode::Shared, b"") };
    let token = etcd.enter(&free, tried).await.unwrap().token;
    assert_eq!(etcd.enter(&free, tried).await.unwrap().token, token);
    etcd.close(session).await.unwrap();
    etcd.close(session).await.unwrap();
}

#[tokio::test]
async fn those_who_share_wait_for_exclusive_ones_only() {
    let Some(server) = Shared::one().await else { return };
    let (etcd, queue) = (server.connect().await, name("share"));
    let session = etcd.open(10 * SECOND).await.unwrap().session;
    let mut places = Vec::new();
    let (s, x) = (Mode::Shared, Mode::Exclusive);
    for mode in [s, s, x, s, x, s] {
        places.push(etcd.enter(&queue, request(session, mode, b"")).await.unwrap());
    }
    let found: Vec<_> = places
        .iter()
        .map(|place| (place.ahead.map(|t| places.iter().position(|p| p.token == t)), place.depth))
        .collect();
    let expected = [
        (None, 0),
        (None, 0),
        (Some(Some(1)), 2),
        (Some(Some(2)), 1),
        (Some(Some(3)), 4),
        (Some(Some(4)), 2),
    ];
    assert_eq!(found, expected);
    for place in &places {
        assert_eq!(etcd.place(&queue, place.token).await.unwrap(), *place);
    }
    let tried = Request { wait: false, ..request(session, s, b"") };
    assert!(matches!(etcd.enter(&queue, tried).await, Err(Error::Busy { .. })));
    etcd.close(session).await.unwrap();
    let all = etcd.list(&queue, None).await.unwrap();
    assert!(all.entries.is_empty());
}

#[tokio::test]
async fn the_next_is_told_and_nobody_else() {
    let Some(server) = Shared::one().await else { return };
    let (etcd, queue) = (server.connect().await, name("next"));
    let session = etcd.open(10 * SECOND).await.unwrap().session;
    let mut tokens: Vec<FencingToken> = Vec::new();
    for _ in 0..3 {
        let entry = request(session, Mode::Exclusive, b"");
        tokens.push(etcd.enter(&queue, entry).await.unwrap().token);
    }
    let mut first = etcd.gone(&queue, tokens[0]);
    let mut second = etcd.gone(&queue, tokens[1]);
    assert!(timeout(SECOND / 5, &mut first).await.is_err());
    assert!((&mut second).now_or_never().is_none());
    // A change of the value is no end.
    etcd.set(&queue, tokens[0], b"still here").await.unwrap();
    assert!(timeout(SECOND / 5, &mut first).await.is_err());
    etcd.leave(&queue, tokens[0]).await.unwrap();
    timeout(LONG, first).await.unwrap().unwrap();
    assert!(timeout(SECOND / 5, &mut second).await.is_err());
    // The session's end is one.
    etcd.close(session).await.unwrap();
    timeout(LONG, second).await.unwrap().unwrap();
    timeout(LONG, etcd.gone(&queue, tokens[2])).await.unwrap().unwrap();
    assert!(matches!(etcd.set(&queue, tokens[2], b"").await, Err(Error::Over { .. })));
}

/// A value is changed without its lease, so the entry still ends with its session.
#[tokio::test]
async fn a_changed_entry_still_ends_with_its_session() {
    let Some(server) = Shared::one().await else { return };
    let (etcd, queue) = (server.connect().await, name("value"));
    let session = etcd.open(10 * SECOND).await.unwrap().session;
    let entry = request(session, Mode::Shared, b"before");
    let token = etcd.enter(&queue, entry).await.unwrap().token;
    let before = etcd.list(&queue, None).await.unwrap();
    assert_eq!(before.entries[0].value, b"before");
    let mut changed = etcd.list(&queue, Some(before.version));
    assert!(timeout(SECOND / 5, &mut changed).await.is_err());
    etcd.set(&queue, token, b"after").await.unwrap();
    let after = timeout(LONG, changed).await.unwrap().unwrap();
    assert_ne!(after.version, before.version);
    let entry = &after.entries[0];
    assert_eq!(
        (entry.value.as_slice(), entry.session, entry.token),
        (&b"after"[..], session, token)
    );
    assert_eq!(entry.mode, Mode::Shared);
    let emptied = etcd.list(&queue, Some(after.version));
    etcd.close(session).await.unwrap();
    assert!(timeout(LONG, emptied).await.unwrap().unwrap().entries.is_empty());
    let long = vec![0; 4_097];
    assert!(matches!(etcd.set(&queue, token, &long).await, Err(Error::TooLarge { .. })));
}

#[tokio::test]
async fn sessions_are_rounded_up_and_end() {
    let Some(server) = Shared::one().await else { return };
    let etcd = server.connect().await;
    let opened = etcd.open(Duration::from_millis(2_100)).await.unwrap();
    assert_eq!(opened.length, 3 * SECOND);
    etcd.renew(opened.session).await.unwrap();
    etcd.close(opened.session).await.unwrap();
    let over = etcd.renew(opened.session).await.unwrap_err();
    assert!(matches!(over, Error::SessionOver { session } if session == opened.session), "{over}");
    let queue = name("over");
    let late = etcd.enter(&queue, request(opened.session, Mode::Exclusive, b"")).await;
    assert!(matches!(late, Err(Error::SessionOver { .. })), "{late:?}");
    for odd in [Duration::ZERO, Duration::from_secs(365 * 86_400)] {
        assert!(matches!(etcd.open(odd).await, Err(Error::Length { .. })));
    }
    // Too short for the server, and without a renewal.
    let opened = etcd.open(Duration::from_millis(100)).await.unwrap();
    assert!(opened.length >= SECOND && opened.length <= 5 * SECOND, "{:?}", opened.length);
    let token =
        etcd.enter(&queue, request(opened.session, Mode::Exclusive, b"")).await.unwrap().token;
    timeout(LONG, etcd.gone(&queue, token)).await.unwrap().unwrap();
}

#[tokio::test]
async fn queues_are_named_in_order_and_keep_apart() {
    let Some(server) = Shared::one().await else { return };
    let mut options = server.options();
    options.prefix = format!("steadfast-{:x}/", fastrand::u64(..));
    let etcd = Etcd::connect(options, Clock::system()).await.unwrap();
    let session = etcd.open(20 * SECOND).await.unwrap().session;
    let mut names: Vec<Name> =
        ["a", "a/b", "a b", "a!", "a!0", "é", "%", "a.b"].map(|n| Name::new(n).unwrap()).into();
    names.sort();
    for queue in &names {
        for _ in 0..if queue.as_str() == "a" { 600 } else { 2 } {
            etcd.enter(queue, request(session, Mode::Shared, b"")).await.unwrap();
        }
    }
    assert_eq!(etcd.queues(None).await.unwrap(), names);
    assert_eq!(etcd.queues(Some(&names[2])).await.unwrap(), names[3..]);
    for queue in &names {
        let expected = if queue.as_str() == "a" { 600 } else { 2 };
        assert_eq!(etcd.list(queue, None).await.unwrap().entries.len(), expected, "{queue}");
    }
    // A token of one queue means nothing in another.
    let token = etcd.list(&names[0], None).await.unwrap().entries[0].token;
    assert!(matches!(etcd.place(&names[1], token).await, Err(Error::Over { .. })));
    etcd.leave(&names[1], token).await.unwrap();
    assert_eq!(etcd.list(&names[0], None).await.unwrap().entries.len(), 2);
    etcd.close(session).await.unwrap();
    assert!(etcd.queues(None).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_register_is_written_by_who_knows_it() {
    let Some(server) = Shared::one().await else { return };
    let (etcd, register) = (server.connect().await, name("register"));
    assert_eq!(etcd.load(&register).await.unwrap(), None);
    let none = etcd.store(&register, Some(0), b"x").await.unwrap_err();
    assert!(matches!(none, Error::Conflict { version: None, .. }), "{none}");
    let one = etcd.store(&register, None, b"one").await.unwrap();
    let again = etcd.store(&register, None, b"x").await.unwrap_err();
    assert!(matches!(again, Error::Conflict { version: Some(at), .. } if at == one), "{again}");
    let two = etcd.store(&register, Some(one), b"two").await.unwrap();
    assert!(etcd.store(&register, Some(one), b"x").await.is_err());
    assert!(etcd.store(&register, Some(u64::MAX), b"x").await.is_err());
    let found = etcd.load(&register).await.unwrap().unwrap();
    assert_eq!((found.value.as_slice(), found.version), (&b"two"[..], two));
    assert_eq!(etcd.queues(None).await.unwrap().iter().filter(|n| **n == register).count(), 0);
}

/// Far more waits than anything else, all on one stream; dropped ones leave nothing behind.
#[tokio::test]
async fn hundreds_of_waits_share_a_stream() {
    let Some(server) = Shared::one().await else { return };
    let (etcd, queue) = (server.connect().await, name("herd"));
    let session = etcd.open(20 * SECOND).await.unwrap().session;
    let mut tokens = Vec::new();
    for _ in 0..300 {
        let entry = request(session, Mode::Shared, b"");
        tokens.push(etcd.enter(&queue, entry).await.unwrap().token);
    }
    let waits: Vec<_> = tokens.iter().map(|token| etcd.gone(&queue, *token)).collect();
    let mut all = futures::future::join_all(waits);
    assert!(timeout(SECOND / 2, &mut all).await.is_err());
    drop(all);
    let all = futures::future::join_all(tokens.iter().map(|token| etcd.gone(&queue, *token)));
    let (waited, closed) =
        timeout(LONG, futures::future::join(all, etcd.close(session))).await.unwrap();
    closed.unwrap();
    assert!(waited.into_iter().all(|waited| waited.is_ok()));
}

/// A server of one connection that says something and closes, or says nothing.
async fn stranger(says: Option<&'static [u8]>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut buffer = [0; 256];
                let _ = stream.read(&mut buffer).await;
                match says {
                    Some(words) => {
                        let _ = stream.write_all(words).await;
                        let _ = stream.shutdown().await;
                    }
                    None => while stream.read(&mut buffer).await.is_ok_and(|read| read > 0) {},
                }
            });
        }
    });
    address.to_string()
}

async fn refusal(options: Options) -> Error {
    let options = Options { connect_timeout: SECOND, ..options };
    timeout(5 * SECOND, Etcd::connect(options, Clock::system())).await.unwrap().unwrap_err()
}

#[tokio::test]
async fn another_kind_of_server_is_named() {
    let http = b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n";
    for (says, word) in [
        (&http[..], "plain HTTP"),
        (b"-ERR unknown command 'PRI'\r\n", "Redis"),
        (&[21, 3, 1, 0, 2, 2, 22], "TLS"),
    ] {
        let error = refusal(Options::new([stranger(Some(says)).await])).await;
        let Error::Refused { reason, .. } = &error else { panic!("{error}") };
        assert!(reason.contains(word), "{error}");
    }
    let error = refusal(Options::new([stranger(Some(b"")).await])).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    let error = refusal(Options::new([stranger(None).await])).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().contains("did not become ready within 1s"), "{error}");
    let error = refusal(Options::new(["127.0.0.1:1"])).await;
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
    assert!(error.to_string().to_lowercase().contains("refused"), "{error}");
}

/// A member that is none of etcd does not hinder the others.
#[tokio::test]
async fn one_wrong_address_among_right_ones_is_passed_over() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    let wrong = [stranger(Some(b"-ERR")).await, "127.0.0.1:1".to_owned()];
    let right = server.members[0].client.to_string();
    let options = Options::new(wrong.into_iter().chain([right]));
    let etcd = Etcd::connect(options, Clock::system()).await.unwrap();
    etcd.open(SECOND).await.unwrap();
}

#[tokio::test]
async fn credentials_are_checked_and_never_shown() {
    let Some(mut server) = Cluster::start(1, &[]).await else { return };
    for command in [
        &["user", "add", "root:rootpw"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "me:s3cret"],
        &["role", "add", "ours"],
        &["role", "grant-permission", "ours", "--prefix=true", "readwrite", "ours/"],
        &["user", "grant-role", "me", "ours"],
        &["auth", "enable"],
    ] {
        server.etcdctl(command);
    }
    let options = |password: &str, prefix: &str| Options {
        credentials: Some(Credentials::new("me", password)),
        prefix: prefix.to_owned(),
        ..server.options()
    };
    for (options, word) in [
        (server.options(), "none are configured"),
        (options("wr0ng", "ours/"), "password is wrong"),
        (options("s3cret", "theirs/"), "grant-permission"),
    ] {
        let error = refusal(options).await;
        let text = format!("{error} {error:?}");
        assert!(matches!(error, Error::Refused { .. }), "{text}");
        assert!(text.contains(word), "{text}");
        assert!(!text.contains("wr0ng") && !text.contains("s3cret"), "{text}");
    }
    let etcd = Etcd::connect(options("s3cret", "ours/"), Clock::system()).await.unwrap();
    assert!(!format!("{etcd:?}").contains("s3cret"));
    let queue = name("auth");
    let session = etcd.open(20 * SECOND).await.unwrap().session;
    let token = etcd.enter(&queue, request(session, Mode::Exclusive, b"")).await.unwrap().token;
    // A restarted server knows none of its old tokens: the engine introduces itself anew, also for
    // a wait that is under way.
    let mut gone = etcd.gone(&queue, token);
    assert!(timeout(SECOND / 2, &mut gone).await.is_err());
    server.members[0].kill();
    server.members[0].restart();
    let renewed = async {
        while let Err(error) = etcd.renew(session).await {
            assert!(matches!(error, Error::Unavailable { .. }), "{error}");
            tokio::time::sleep(SECOND / 20).await;
        }
    };
    timeout(LONG, renewed).await.unwrap();
    etcd.leave(&queue, token).await.unwrap();
    // It may have been told that the server was gone meanwhile.
    if timeout(LONG, gone).await.unwrap().is_err() {
        timeout(LONG, etcd.gone(&queue, token)).await.unwrap().unwrap();
    }
    // The tokens end while the connection stays.
    let fresh = etcd.open(20 * SECOND).await.unwrap().session;
    end_tokens(&server, "another");
    let token = etcd.enter(&queue, request(fresh, Mode::Exclusive, b"")).await.unwrap().token;
    etcd.leave(&queue, token).await.unwrap();
}

/// Ends all tokens of the user `me`, as an operator does who deletes one of that user's roles.
fn end_tokens(server: &Cluster, role: &str) {
    for command in
        [&["role", "add", role][..], &["user", "grant-role", "me", role], &["role", "delete", role]]
    {
        server.etcdctl(&[&["--user", "root:rootpw"], command].concat());
    }
}

/// All tokens of a user end at once while many ask: nobody may be told to go away for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_that_end_under_many_calls_refuse_nobody() {
    let Some(server) = Cluster::start(1, &[]).await else { return };
    for command in [
        &["user", "add", "root:rootpw"][..],
        &["user", "grant-role", "root", "root"],
        &["user", "add", "me:s3cret"],
        &["role", "add", "ours"],
        &["role", "grant-permission", "ours", "--prefix=true", "readwrite", "ours/"],
        &["user", "grant-role", "me", "ours"],
        &["auth", "enable"],
    ] {
        server.etcdctl(command);
    }
    let options = Options {
        credentials: Some(Credentials::new("me", "s3cret")),
        prefix: "ours/".to_owned(),
        ..server.options()
    };
    let etcd = Etcd::connect(options, Clock::system()).await.unwrap();
    let queue = name("tokens");
    let session = etcd.open(60 * SECOND).await.unwrap().session;
    let token = etcd.enter(&queue, request(session, Mode::Exclusive, b"")).await.unwrap().token;
    let done = std::sync::atomic::AtomicBool::new(false);
    let asking = futures::future::join_all((0..40).map(|_| async {
        let mut answers = 0;
        while !done.load(std::sync::atomic::Ordering::Relaxed) {
            assert_eq!(etcd.place(&queue, token).await.unwrap().ahead, None);
            answers += 1;
            // So that some begin while others are being refused.
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..20))).await;
        }
        answers
    }));
    let changing = async {
        for round in 0..5 {
            tokio::task::block_in_place(|| end_tokens(&server, &format!("other{round}")));
            tokio::time::sleep(SECOND / 2).await;
        }
        done.store(true, std::sync::atomic::Ordering::Relaxed);
    };
    let (answers, ()) = timeout(LONG, futures::future::join(asking, changing)).await.unwrap();
    assert!(answers.iter().all(|answers| *answers > 0), "{answers:?}");
}
