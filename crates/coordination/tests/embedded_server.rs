//! The embedded engine's server as a process: killed, stopped, spoken to by strangers.
#![cfg(feature = "embedded")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test is a panic")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::future::Future;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use steadfast_coordination::engine::embedded::{BindError, Embedded, Options, Remote, Server};
use steadfast_coordination::port::{Coordinator, Error, Mode, Name, Place, Request, SessionId};
use steadfast_fencing::FencingToken;
use steadfast_time::{Clock, Uuid};

const LONG: Duration = Duration::from_secs(60);
const FOLDER: &str = "EMBEDDED_SERVER_FOLDER";

fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

async fn enter(at: &dyn Coordinator, queue: &str, session: SessionId) -> Result<Place, Error> {
    let (id, mode) = (Uuid::new_v4(), Mode::Exclusive);
    at.enter(&name(queue), Request { session, id, mode, value: b"me", wait: true }).await
}

async fn place(at: &dyn Coordinator, queue: &str, token: FencingToken) -> Result<Place, Error> {
    at.place(&name(queue), token).await
}

/// Asks until the server is found again.
async fn again<T, F: Future<Output = Result<T, Error>>>(mut ask: impl FnMut() -> F) -> F::Output {
    loop {
        match ask().await {
            Err(Error::Unavailable { .. }) => Clock::system().sleep(Duration::from_millis(5)).await,
            answer => return answer,
        }
    }
}

/// A server in a process of its own: this test binary again.
struct Process(Child);

impl Process {
    fn start(folder: &Path) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "serve_in_a_process", "--nocapture"]).env(FOLDER, folder);
        command.stdout(Stdio::piped()).stderr(Stdio::inherit());
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap().contains("serving")), "the server did not start");
        // Somebody has to read what the harness prints.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.0.id().to_string()]).status();
        assert!(sent.unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Not a test but the server of the others, when they ask for it.
#[test]
fn serve_in_a_process() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let folder = Path::new(&folder);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = Options { segment_bytes: 128 * 1_024 };
        let engine = Embedded::open(folder.join("data"), Clock::system(), options).unwrap();
        let server = Server::bind(&engine, folder.join("socket"), Clock::system()).unwrap();
        println!("serving");
        server.run().await;
    });
}

fn address(folder: &Path) -> String {
    format!("unix://{}", folder.join("socket").display())
}

/// What the clients were answered.
#[derive(Default)]
struct Answered {
    /// Entries that nobody has asked to leave.
    held: BTreeMap<FencingToken, String>,
    tokens: BTreeSet<FencingToken>,
    pairs: u64,
    interrupted: u64,
}

/// One client: enters, leaves most of what it entered, and starts again after errors.
async fn client(number: usize, remote: Arc<Remote>, session: SessionId, log: Arc<Mutex<Answered>>) {
    let clock = Clock::system();
    for round in 0_u64.. {
        let queue = format!("load/{number}/{round}");
        // What was answered before it was sent has lower tokens.
        let before = log.lock().unwrap().tokens.last().copied();
        let place = match enter(&*remote, &queue, session).await {
            Ok(place) => place,
            Err(Error::Unavailable { .. }) => {
                log.lock().unwrap().interrupted += 1;
                clock.sleep(Duration::from_millis(5)).await;
                continue;
            }
            Err(error) => panic!("client {number}: {error}"),
        };
        {
            let mut log = log.lock().unwrap();
            assert!(Some(place.token) > before, "{} after {before:?}", place.token);
            assert!(log.tokens.insert(place.token), "token {} was given twice", place.token);
            if round % 32 == 0 {
                log.held.insert(place.token, queue.clone());
            }
        }
        if round % 32 != 0 && remote.leave(&name(&queue), place.token).await.is_ok() {
            log.lock().unwrap().pairs += 1;
        }
    }
}

#[tokio::test]
async fn killed_at_random_it_keeps_what_it_answered_and_its_clients_find_it_again() {
    const CLIENTS: usize = 16;
    let rounds = std::env::var("STEADFAST_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(12);
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let mut random = fastrand::Rng::new();
    let mut server = Process::start(folder.path());
    let remote = Arc::new(Remote::connect(&address(folder.path()), clock.clone()).await.unwrap());
    let session = remote.open(LONG).await.unwrap().session;
    let log = Arc::<Mutex<Answered>>::default();
    let mut version = None;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| tokio::spawn(client(number, remote.clone(), session, log.clone())))
        .collect();
    for round in 0..rounds {
        clock.sleep(Duration::from_millis(random.u64(20..250))).await;
        server.kill();
        server = Process::start(folder.path());
        let held = log.lock().unwrap().held.clone();
        let places = held.iter().map(|(token, queue)| {
            let remote = &remote;
            async move { (*token, again(|| place(&**remote, queue, *token)).await) }
        });
        for (token, place) in join_all(places).await {
            assert_eq!(place.unwrap().token, token, "after kill {round}");
        }
        assert!(clients.iter().all(|client| !client.is_finished()), "a client has failed");
        again(|| remote.renew(session)).await.unwrap();
        version = Some(remote.store(&name("kills"), version, b"one more").await.unwrap());
    }
    for client in &clients {
        client.abort();
    }
    let log = log.lock().unwrap();
    assert!(log.pairs > 100 && log.interrupted > 0, "{} {}", log.pairs, log.interrupted);
    eprintln!("{rounds} kills, {} tokens, {} held", log.tokens.len(), log.held.len());
}

#[tokio::test]
async fn a_session_has_its_whole_length_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let server = Process::start(folder.path());
    let remote = Remote::connect(&address(folder.path()), clock.clone()).await.unwrap();
    let length = Duration::from_millis(800);
    let session = remote.open(length).await.unwrap().session;
    let entry = enter(&remote, "q", session).await.unwrap();
    clock.sleep(length * 3 / 4).await;
    // So that the log knows how late it is.
    remote.store(&name("late"), None, b"").await.unwrap();
    server.kill();
    let _server = Process::start(folder.path());
    let back = clock.monotonic();
    again(|| place(&remote, "q", entry.token)).await.unwrap();
    remote.gone(&name("q"), entry.token).await.unwrap();
    let lived = clock.monotonic() - back;
    assert!(lived > length / 2, "it ended {lived:?} after the restart");
    assert!(matches!(remote.renew(session).await, Err(Error::SessionOver { .. })));
}

#[tokio::test]
async fn while_it_is_stopped_calls_wait_and_then_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let server = Process::start(folder.path());
    let remote = Arc::new(Remote::connect(&address(folder.path()), clock.clone()).await.unwrap());
    let length = Duration::from_millis(400);
    let session = remote.open(length).await.unwrap().session;
    let held = enter(&*remote, "q", session).await.unwrap();
    server.signal("-STOP");
    let given_up = clock.timeout(Duration::from_millis(100), enter(&*remote, "p", session)).await;
    assert!(given_up.is_err(), "a stopped server answers nothing");
    let renewing = Arc::clone(&remote);
    let renewing = tokio::spawn(async move { renewing.renew(session).await });
    clock.sleep(length * 3).await;
    assert!(!renewing.is_finished());
    server.signal("-CONT");
    renewing.await.unwrap().expect("the renewal was sent in time; the server was late");
    assert_eq!(remote.place(&name("q"), held.token).await.unwrap().ahead, None);
}

/// Whatever another kind of server may say.
fn stranger(path: &Path, says: &'static [u8]) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 16]);
            let _ = stream.write_all(says);
        }
    });
}

#[tokio::test]
async fn strangers_at_the_address_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::system();
    let nothing = Remote::connect(&address(folder.path()), clock.clone()).await.unwrap_err();
    assert!(matches!(nothing, Error::Unavailable { .. }), "{nothing}");
    let wrong = Remote::connect("http://127.0.0.1:1", clock.clone()).await.unwrap_err();
    assert!(matches!(wrong, Error::Refused { .. }), "{wrong}");
    let long = format!("unix:///{}", "n".repeat(200));
    let long = Remote::connect(&long, clock.clone()).await.unwrap_err();
    assert!(long.to_string().contains("201 bytes"), "{long}");
    for (number, says, expected) in [
        (0, &b"-ERR unknown command 'SFCOORD'\r\n"[..], "-ERR unknown command"),
        (1, b"HTTP/1.1 400 Bad Request\r\n\r\n", "HTTP/1.1 400"),
        (2, b"SFCOORD\n\x07\0\0\0\0\0\0\0", "version 7"),
    ] {
        let path = folder.path().join(format!("stranger-{number}"));
        stranger(&path, says);
        let address = format!("unix://{}", path.display());
        let error = Remote::connect(&address, clock.clone()).await.unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, Error::Refused { .. }) && text.contains(expected), "{text}");
    }
    let silent = folder.path().join("silent");
    let _silent = UnixListener::bind(&silent).unwrap();
    let silent = format!("unix://{}", silent.display());
    let error = Remote::connect(&silent, clock).await.unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(error, Error::Unavailable { .. }) && text.contains("nothing was said"),
        "{text}"
    );
}

fn engine(folder: &Path) -> Embedded {
    Embedded::open(folder.join("data"), Clock::system(), Options::default()).unwrap()
}

#[tokio::test]
async fn hostile_bytes_end_only_their_own_connection() {
    let folder = tempfile::tempdir().unwrap();
    let server =
        Server::bind(&engine(folder.path()), folder.path().join("socket"), Clock::system());
    let server = server.unwrap();
    let at = server.address();
    tokio::spawn(server.run());
    let remote = Remote::connect(&at, Clock::system()).await.unwrap();
    let session = remote.open(LONG).await.unwrap().session;
    let path = folder.path().join("socket");
    let attack = tokio::task::spawn_blocking(move || {
        let greeting = b"SFCOORD\r\n\r\n\0\x01\0\0\0";
        let restart = [&4_u32.to_le_bytes()[..], &[1, 0, 7, 0]].concat();
        let attacks: [&[u8]; 6] = [
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
            &[greeting, &b"\xff\xff\xff\xff"[..]].concat(),
            &[greeting, &b"\x03\0\0\0\xff\xff\xff"[..]].concat(),
            &[greeting, &b"\x00\0\0\0"[..]].concat(),
            &[greeting, &restart[..]].concat(),
            &[greeting, &b"\x09\0\0\0\x01\0\x03\xff\xff\xff\xff\xff\x0f"[..]].concat(),
        ];
        for (number, attack) in attacks.iter().enumerate() {
            let mut stream = UnixStream::connect(&path).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            stream.write_all(attack).unwrap();
            let mut answer = Vec::new();
            // A connection that ends with bytes unread may end with an error.
            match stream.read_to_end(&mut answer) {
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
                Err(error) => panic!("attack {number} was not cut off: {error}"),
            }
        }
    });
    attack.await.unwrap();
    remote.renew(session).await.unwrap();
    enter(&remote, "q", session).await.unwrap();
}

#[tokio::test]
async fn sockets_of_the_dead_are_replaced_and_nothing_else_is() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let bind = |name: &str| Server::bind(&engine, folder.path().join(name), Clock::system());
    let first = bind("socket").unwrap();
    let mode = fs::metadata(folder.path().join("socket")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(bind("socket"), Err(BindError::InUse { .. })));
    drop(first);
    assert!(!folder.path().join("socket").exists(), "it takes its socket along");
    drop(UnixListener::bind(folder.path().join("socket")).unwrap());
    drop(bind("socket").expect("nobody listens there any more"));
    let _other = UnixListener::bind(folder.path().join("other")).unwrap();
    assert!(matches!(bind("other"), Err(BindError::InUse { .. })));
    fs::write(folder.path().join("file"), "precious").unwrap();
    assert!(matches!(bind("file"), Err(BindError::NotASocket { .. })));
    assert_eq!(fs::read(folder.path().join("file")).unwrap(), b"precious");
    assert!(matches!(bind(&"n".repeat(200)), Err(BindError::Address(_))));
}

#[tokio::test]
async fn a_client_that_is_gone_leaves_no_waits_and_keeps_its_session() {
    let folder = tempfile::tempdir().unwrap();
    let engine = engine(folder.path());
    let server = Server::bind(&engine, folder.path().join("socket"), Clock::system()).unwrap();
    let at = server.address();
    tokio::spawn(server.run());
    let clock = Clock::system();
    let remote = Arc::new(Remote::connect(&at, clock.clone()).await.unwrap());
    let session = remote.open(LONG).await.unwrap().session;
    let held = enter(&*remote, "q", session).await.unwrap();
    let waits = |expected: u64| {
        let (engine, clock) = (engine.clone(), clock.clone());
        async move {
            for _ in 0..500 {
                if engine.stats().waits == expected {
                    return;
                }
                clock.sleep(Duration::from_millis(10)).await;
            }
            panic!("{} waits instead of {expected}", engine.stats().waits);
        }
    };
    let wait = |remote: &Arc<Remote>| {
        let remote = Arc::clone(remote);
        tokio::spawn(async move { remote.gone(&name("q"), held.token).await })
    };
    let tasks = [wait(&remote), wait(&remote), wait(&remote)];
    waits(3).await;
    tasks[0].abort();
    waits(2).await;
    for task in &tasks {
        task.abort();
    }
    waits(0).await;
    let other = Arc::new(Remote::connect(&at, clock.clone()).await.unwrap());
    let task = wait(&other);
    waits(1).await;
    task.abort();
    drop((task, other, remote));
    waits(0).await;
    let again = Remote::connect(&at, clock.clone()).await.unwrap();
    again.renew(session).await.unwrap();
    assert_eq!(again.place(&name("q"), held.token).await.unwrap().ahead, None);
}
