//! The ZooKeeper engine against a real server: the public suite, what it promises in terms of
//! ZooKeeper, and clear words about whatever else may be at the address.
//! `tests/zookeeper_faults.rs` breaks things.
#![cfg(all(feature = "zookeeper", feature = "conformance"))]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may fail anywhere")]

#[path = "support/zookeeper.rs"]
mod servers;

use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use servers::{connect, name, request, shared};
use steadfast_coordination::conformance::{Check, Subject};
use steadfast_coordination::engine::zookeeper::{Options, ZooKeeper};
use steadfast_coordination::limits::VALUE_BYTES_MAX;
use steadfast_coordination::port::{
    Capabilities, Coordinator, Error, Listing, Mode, Name, Opened, Place, Register, Request,
    SessionId,
};
use steadfast_fencing::FencingToken;
use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::timeout;
use zookeeper_client::{Acls, Client, CreateMode};

const SECOND: Duration = Duration::from_secs(1);

/// One check, with a runtime and two clients of its own.
fn run(check: Check) {
    let Some(address) = shared() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let prefix = format!("suite/{:016x}/", fastrand::u64(..));
        let (one, other) = (connect(&address).await, connect(&address).await);
        let (one, other) = (Arc::new(one), Arc::new(other));
        let pair = |own: &Arc<ZooKeeper>, other: &Arc<ZooKeeper>| {
            Arc::new(Pair { own: own.clone(), other: other.clone() })
        };
        let subject = Subject::new(pair(&one, &other), Clock::system(), prefix);
        check.run(&subject.with_other(pair(&other, &one))).await.unwrap();
    });
}

/// A client, for everything but what it asks within sessions of the other one: in ZooKeeper, a
/// session is used through the client that opened it, and the suite does not know which that is.
struct Pair {
    own: Arc<ZooKeeper>,
    other: Arc<ZooKeeper>,
}

impl Coordinator for Pair {
    fn capabilities(&self) -> Capabilities {
        self.own.capabilities()
    }

    fn open(&self, length: Duration) -> BoxFuture<'_, Result<Opened, Error>> {
        self.own.open(length)
    }

    fn renew(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match self.own.renew(session).await {
                Err(Error::SessionOver { .. }) => self.other.renew(session).await,
                answer => answer,
            }
        })
    }

    fn close(&self, session: SessionId) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.own.close(session).await?;
            self.other.close(session).await
        })
    }

    fn enter<'a>(
        &'a self,
        queue: &'a Name,
        request: Request<'a>,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        Box::pin(async move {
            match self.own.enter(queue, request).await {
                Err(Error::SessionOver { .. }) => self.other.enter(queue, request).await,
                answer => answer,
            }
        })
    }

    fn place<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<Place, Error>> {
        self.own.place(queue, token)
    }

    fn gone<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.own.gone(queue, token)
    }

    fn leave<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.own.leave(queue, token)
    }

    fn set<'a>(
        &'a self,
        queue: &'a Name,
        token: FencingToken,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.own.set(queue, token, value)
    }

    fn list<'a>(
        &'a self,
        queue: &'a Name,
        since: Option<u64>,
    ) -> BoxFuture<'a, Result<Listing, Error>> {
        self.own.list(queue, since)
    }

    fn queues<'a>(&'a self, after: Option<&'a Name>) -> BoxFuture<'a, Result<Vec<Name>, Error>> {
        self.own.queues(after)
    }

    fn load<'a>(&'a self, register: &'a Name) -> BoxFuture<'a, Result<Option<Register>, Error>> {
        self.own.load(register)
    }

    fn store<'a>(
        &'a self,
        register: &'a Name,
        expected: Option<u64>,
        value: &'a [u8],
    ) -> BoxFuture<'a, Result<u64, Error>> {
        self.own.store(register, expected, value)
    }
}

mod suite {
    use super::run;

    steadfast_coordination::conformance_tests!(run);
}

/// A client of the plain library, to see what is really there.
async fn plain(address: &str) -> Client {
    Client::connect(address).await.unwrap()
}

#[tokio::test]
async fn a_token_is_the_transaction_and_not_the_sequence() {
    let Some(address) = shared() else { return };
    let zookeeper = connect(&address).await;
    let queue = Name::new(format!("plain-{:016x}", fastrand::u64(..))).unwrap();
    let session = zookeeper.open(2 * SECOND).await.unwrap().session;
    let place = zookeeper.enter(&queue, request(session, Mode::Exclusive, b"me")).await.unwrap();
    let client = plain(&address).await;
    let path = format!("/steadfast/q/{queue}");
    let nodes = client.list_children(&path).await.unwrap();
    let (value, stat) = client.get_data(&format!("{path}/{}", nodes[0])).await.unwrap();
    assert_eq!(value, b"me");
    assert_eq!(place.token.get(), stat.czxid.cast_unsigned());
    assert_eq!(session.0, stat.ephemeral_owner.cast_unsigned());
    zookeeper.close(session).await.unwrap();
    assert!(client.list_children(&path).await.unwrap().is_empty(), "it went with its session");
}

#[tokio::test]
async fn a_queue_whose_node_is_removed_is_made_again_and_tokens_still_rise() {
    let Some(address) = shared() else { return };
    let zookeeper = connect(&address).await;
    let client = plain(&address).await;
    let queue = Name::new(format!("reaped-{:016x}", fastrand::u64(..))).unwrap();
    let session = zookeeper.open(2 * SECOND).await.unwrap().session;
    let mut last = None;
    for _ in 0..5 {
        let entry = request(session, Mode::Exclusive, b"");
        let place = zookeeper.enter(&queue, entry).await.unwrap();
        assert!(Some(place.token) > last, "the sequence has begun anew, the token has not");
        last = Some(place.token);
        zookeeper.leave(&queue, place.token).await.unwrap();
        // What the server does with an empty container once a minute.
        client.delete(&format!("/steadfast/q/{queue}"), None).await.unwrap();
    }
    // Many at once, while it is removed whenever it is empty.
    let reaper = async {
        for _ in 0..200 {
            let _ = client.delete(&format!("/steadfast/q/{queue}"), None).await;
        }
    };
    let users = futures::future::join_all((0..20).map(|_| async {
        let entry = request(session, Mode::Shared, b"");
        let place = zookeeper.enter(&queue, entry).await.unwrap();
        zookeeper.leave(&queue, place.token).await.unwrap();
    }));
    futures::join!(reaper, users);
    zookeeper.close(session).await.unwrap();
}

#[tokio::test]
async fn a_register_that_was_made_anew_is_not_taken_for_the_old_one() {
    let Some(address) = shared() else { return };
    let zookeeper = connect(&address).await;
    let client = plain(&address).await;
    let register = Name::new(format!("anew-{:016x}", fastrand::u64(..))).unwrap();
    let path = format!("/steadfast/r/{register}");
    let old = zookeeper.store(&register, None, b"1").await.unwrap();
    client.delete(&path, None).await.unwrap();
    let options = CreateMode::Persistent.with_acls(Acls::anyone_all());
    // The broken twin: by its data version, the new node is what the old one was.
    let (stat, _) = client.create(&path, b"2", &options).await.unwrap();
    assert_eq!(stat.version, 0);
    let error = zookeeper.store(&register, Some(old), b"3").await.unwrap_err();
    let Error::Conflict { version: Some(new), .. } = error else { panic!("{error}") };
    assert!(new > old);
    assert_eq!(zookeeper.load(&register).await.unwrap().unwrap().value, b"2");
}

#[tokio::test]
async fn a_client_that_has_seen_nothing_finds_entries_by_their_tokens() {
    let Some(address) = shared() else { return };
    let (one, other) = (connect(&address).await, connect(&address).await);
    let queue = name("unseen");
    let session = one.open(2 * SECOND).await.unwrap().session;
    let mut tokens = Vec::new();
    for _ in 0..200 {
        let entry = request(session, Mode::Exclusive, b"");
        tokens.push(one.enter(&queue, entry).await.unwrap().token);
    }
    let place = other.place(&queue, tokens[150]).await.unwrap();
    assert_eq!((place.ahead, place.depth), (Some(tokens[149]), 150));
    other.set(&queue, tokens[150], b"seen").await.unwrap();
    other.leave(&queue, tokens[149]).await.unwrap();
    assert_eq!(one.place(&queue, tokens[150]).await.unwrap().ahead, Some(tokens[148]));
    assert_eq!(one.list(&queue, None).await.unwrap().entries[149].value, b"seen");
    one.close(session).await.unwrap();
}

#[tokio::test]
async fn nodes_of_others_in_a_queue_do_not_count() {
    let Some(address) = shared() else { return };
    let zookeeper = connect(&address).await;
    let queue = Name::new(format!("foreign-{:016x}", fastrand::u64(..))).unwrap();
    let session = zookeeper.open(2 * SECOND).await.unwrap().session;
    zookeeper.enter(&queue, request(session, Mode::Exclusive, b"")).await.unwrap();
    let client = plain(&address).await;
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    client.create(&format!("/steadfast/q/{queue}/note"), b"?", &options).await.unwrap();
    client.create("/steadfast/q/not%2", b"?", &options).await.unwrap();
    assert_eq!(zookeeper.list(&queue, None).await.unwrap().entries.len(), 1);
    assert!(zookeeper.queues(None).await.unwrap().contains(&queue));
    zookeeper.close(session).await.unwrap();
}

#[tokio::test]
async fn a_session_of_another_client_or_none_cannot_be_used() {
    let Some(address) = shared() else { return };
    let (one, other) = (connect(&address).await, connect(&address).await);
    let session = one.open(SECOND).await.unwrap().session;
    let error = other.renew(session).await.unwrap_err();
    assert!(matches!(error, Error::SessionOver { session: s } if s == session), "{error}");
    one.close(session).await.unwrap();
    one.close(session).await.unwrap();
    let entry = request(session, Mode::Exclusive, b"");
    let error = one.enter(&name("closed"), entry).await.unwrap_err();
    assert!(matches!(error, Error::SessionOver { .. }), "{error}");
}

#[tokio::test]
async fn lengths_and_values_that_cannot_be_are_refused() {
    let Some(address) = shared() else { return };
    let zookeeper = connect(&address).await;
    for length in [Duration::ZERO, Duration::from_millis(999), 365 * 24 * 3_600 * SECOND] {
        let error = zookeeper.open(length).await.unwrap_err();
        assert!(matches!(error, Error::Length { .. }), "{error}");
    }
    let session = zookeeper.open(SECOND).await.unwrap().session;
    let value = vec![7; VALUE_BYTES_MAX + 1];
    let queue = name("large");
    let entry = request(session, Mode::Exclusive, &value);
    let error = zookeeper.enter(&queue, entry).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let entry = Request { value: &value[1..], ..entry };
    let token = zookeeper.enter(&queue, entry).await.unwrap().token;
    assert!(matches!(zookeeper.set(&queue, token, &value).await, Err(Error::TooLarge { .. })));
    zookeeper.close(session).await.unwrap();
}

#[tokio::test]
async fn who_has_other_credentials_is_refused_and_no_password_is_shown() {
    let Some(address) = shared() else { return };
    let root = format!("steadfast-{:016x}", fastrand::u64(..));
    let url = |user: &str| format!("zookeeper://{user}@{address}/{root}");
    let connect = async |user: &str| {
        ZooKeeper::connect(Options::from_url(&url(user)).unwrap(), Clock::system()).await
    };
    let ann = connect("ann:hunter2").await.unwrap();
    let queue = name("mine");
    let session = ann.open(SECOND).await.unwrap().session;
    let token = ann.enter(&queue, request(session, Mode::Exclusive, b"")).await.unwrap().token;
    for other in ["ann:hunter3", "bob:hunter2"] {
        let bob = connect(other).await;
        let error = match bob {
            Err(error) => error,
            Ok(bob) => bob.leave(&queue, FencingToken::new(1).unwrap()).await.unwrap_err(),
        };
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(!format!("{error} {error:?} {ann:?}").contains("hunter"), "{error}");
    }
    assert_eq!(ann.place(&queue, token).await.unwrap().ahead, None);
    ann.close(session).await.unwrap();
}

#[tokio::test]
async fn another_server_at_the_address_is_named() {
    if shared().is_none() {
        return;
    }
    for (greeting, named) in [
        (&b"-ERR unknown command\r\n"[..], "Redis"),
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP"),
        (b"N", "PostgreSQL"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = async {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut asked = [0; 64];
                let _ = stream.read(&mut asked).await;
                let _ = stream.write_all(greeting).await;
            }
        };
        let connecting = ZooKeeper::connect(Options::new([address]), Clock::system());
        let answer = timeout(15 * SECOND, async {
            tokio::select! { answer = connecting => answer, () = server => unreachable!() }
        });
        let error = answer.await.expect("an end").unwrap_err();
        assert!(matches!(error, Error::Refused { .. }), "{error}");
        assert!(error.to_string().contains(named), "{error}");
    }
}

#[tokio::test]
async fn nobody_at_the_address_is_said_at_once() {
    let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let connecting = ZooKeeper::connect(Options::new([address.to_string()]), Clock::system());
    let error = timeout(5 * SECOND, connecting).await.expect("an end").unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}
