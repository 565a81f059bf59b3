//! What the real program does when its clock or its processor cannot be relied on.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use serde_json::Value;
use steadfast_time::ntp::packet::Mode;
use steadfast_time::ntp::packet::{NtpTime, Packet};
use steadfast_time::{Clock, Offset};
use support::http::Client;
use support::process::{Home, Server, steadfast};
use support::{BENTO, millis, pause};

/// How long something may take that should take a moment, on a busy machine in a debug build.
const PATIENCE: Duration = Duration::from_secs(40);

/// An NTP server whose time is as far ahead as it is told, in milliseconds.
struct TimeServer {
    address: SocketAddr,
    ahead: Arc<AtomicI64>,
}

impl TimeServer {
    fn start(ahead_ms: i64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let ahead = Arc::new(AtomicI64::new(ahead_ms));
        let told = Arc::clone(&ahead);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let clock = Clock::system();
            let mut buffer = [0; 100];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let ahead = Offset::from_millis(told.load(Ordering::Relaxed));
                let now = || NtpTime::from_timestamp(clock.now() + ahead);
                let Ok(question) = Packet::decode(&buffer[..length]) else { continue };
                let answer = Packet {
                    mode: Mode::Server,
                    stratum: 2,
                    precision: -20,
                    root_delay: Duration::from_millis(2),
                    root_dispersion: Duration::from_millis(1),
                    reference: [127, 0, 0, 1],
                    originate: question.transmit,
                    receive: now(),
                    transmit: now(),
                    ..Packet::question(0)
                };
                let _ = socket.send_to(&answer.encode(), from);
            }
        });
        Self { address, ahead }
    }

    fn set(&self, ahead_ms: i64) {
        self.ahead.store(ahead_ms, Ordering::Relaxed);
    }
}

/// Waits until a look shows something.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let clock = Clock::system();
    let started = clock.monotonic();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(clock.monotonic() - started < PATIENCE, "not within {PATIENCE:?}: {what}");
        pause(millis(50)).await;
    }
}

/// The token of the zone's lease, if it is held.
async fn token(client: &mut Client) -> Option<u64> {
    client.get("/zones/default").await.ok()?.json()["token"].as_u64()
}

async fn readiness(server: &Server) -> Value {
    Client::new(server.admin).get("/readyz").await.unwrap().json()
}

async fn metric(server: &Server, name: &str) -> f64 {
    let text = Client::new(server.admin).get("/metrics").await.unwrap().text();
    let line = text.lines().find(|line| line.starts_with(&format!("{name} ")));
    line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok())
        .unwrap_or_else(|| panic!("no {name} in {text}"))
}

async fn indicator(server: &Server, name: &str) -> Value {
    let slo = Client::new(server.admin).get("/slo").await.unwrap().json();
    let rows = slo["indicators"].as_array().unwrap();
    rows.iter().find(|row| row["indicator"] == name).unwrap_or_else(|| panic!("{slo}")).clone()
}

#[tokio::test]
async fn a_process_that_stood_still_for_longer_than_its_lease_has_lost_it() {
    let home = Home::with("dispatch.lease = \"1s\"\n");
    let server = home.start().await;
    let mut client = server.client();
    let before = until("the first lease", async || token(&mut client).await).await;
    assert_eq!(readiness(&server).await["ready"], true);

    server.process.signal("STOP");
    pause(millis(3_000)).await;
    server.process.signal("CONT");
    // Whatever it answers from now on, it does not work under the old lease.
    let mut client = server.client();
    let after =
        until("another lease", async || token(&mut client).await.filter(|token| *token != before));
    let after = after.await;
    assert!(after > before, "{after} after {before}");
    let told = until("the log tells", async || {
        let log = home.log();
        log.contains("the process stood still").then_some(log)
    });
    let log = told.await;
    assert!(log.contains("cause=Stall"), "{log}");
    assert!(metric(&server, "steadfast_process_stalls_total").await >= 1.0);
    assert!(metric(&server, "steadfast_process_stall_max_seconds").await >= 2.5);
    let pauses = indicator(&server, "gc_pause_p99").await;
    assert!(pauses["max_s"].as_f64().unwrap() >= 2.5, "{pauses}");
    // And it takes orders as before.
    assert_eq!(client.place("after", BENTO.as_bytes()).await.unwrap().status, 201);
    assert_eq!(server.stop(PATIENCE).await.and_then(|status| status.code()), Some(0));
}

#[tokio::test]
async fn a_node_whose_clock_is_off_holds_no_leases_until_it_is_well() {
    let time = TimeServer::start(0);
    let home = Home::with(&format!(
        "[clock]\nservers = [\"{}\"]\nask_every = \"1s\"\nhold = \"1s\"\n",
        time.address
    ));
    let server = home.start().await;
    let mut client = server.client();
    let before = until("the first lease", async || token(&mut client).await).await;
    assert_eq!(readiness(&server).await["ready"], true);

    time.set(2_000);
    let reasons = until("quarantine", async || {
        let readiness = readiness(&server).await;
        (readiness["ready"] == false).then(|| readiness["reasons"].to_string())
    });
    let reasons = reasons.await;
    assert!(reasons.contains("quarantined: the reference clock is at +"), "{reasons}");
    until("the lease is given up", async || {
        let zone = client.get("/zones/default").await.unwrap().json();
        zone["token"].is_null().then_some(())
    })
    .await;
    assert_eq!(metric(&server, "steadfast_clock_quarantined").await, 1.0);
    let skew = indicator(&server, "clock_skew_p99").await;
    assert!(skew["p99_s"].as_f64().unwrap() > 1.9, "{skew}");
    // It still takes orders; they wait for somebody who may dispatch.
    assert_eq!(client.place("meanwhile", BENTO.as_bytes()).await.unwrap().status, 201);

    time.set(0);
    until("readmission", async || (readiness(&server).await["ready"] == true).then_some(())).await;
    let after = until("a lease again", async || token(&mut client).await).await;
    assert!(after > before, "{after} after {before}");
    let log = home.log();
    assert!(log.contains("quarantined") && log.contains("readmitted"), "{log}");
}

#[tokio::test]
async fn a_clock_that_nobody_agrees_on_is_no_clock() {
    // One is right, one is an hour ahead: there is no majority.
    let (right, wrong) = (TimeServer::start(0), TimeServer::start(3_600_000));
    let settings = |servers: &str| format!("[clock]\nsource = \"ntp\"\nservers = [{servers}]\n");
    let home = Home::with(&settings(&format!("\"{}\", \"{}\"", right.address, wrong.address)));
    let (code, said) = home.refused().await;
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("clock.source = \"ntp\""), "{said}");

    // Three that agree outvote it, and the clock follows them.
    let others = [TimeServer::start(700), TimeServer::start(700), TimeServer::start(700)];
    let [a, b, c] = others.each_ref().map(|server| server.address);
    home.configure(&settings(&format!("\"{a}\", \"{b}\", \"{c}\", \"{}\"", wrong.address)));
    let server = home.start().await;
    assert!(metric(&server, "steadfast_clock_error_seconds").await < 0.2);
    let placed = server.client().place("dated", BENTO.as_bytes()).await.unwrap();
    let at: steadfast_time::Timestamp =
        serde_json::from_value(placed.json()["placed_at"].clone()).unwrap();
    let ahead = Offset::between(at, Clock::system().now());
    assert!(ahead > Offset::ZERO && ahead < Offset::from_millis(701), "{ahead}");
}

#[tokio::test]
async fn every_order_has_a_number_of_its_own_across_crashes() {
    let home = Home::new();
    let mut numbers = Vec::new();
    for life in 0..3 {
        let server = home.start().await;
        let mut client = server.client();
        for order in 0..5 {
            let key = format!("{life}-{order}");
            let placed = client.place(&key, BENTO.as_bytes()).await.unwrap();
            assert_eq!(placed.status, 201);
            let again = client.place(&key, BENTO.as_bytes()).await.unwrap();
            assert_eq!((again.status, &again.body), (200, &placed.body), "byte for byte");
            let order = placed.json();
            let path = format!("/orders/{}", order["id"].as_str().unwrap());
            assert_eq!(client.get(&path).await.unwrap().json()["number"], order["number"]);
            numbers.push(order["number"].as_u64().unwrap());
        }
        let list = client.get("/orders?limit=1").await.unwrap().json();
        assert_eq!(list["orders"][0]["number"].as_u64(), numbers.last().copied());
        server.process.kill();
    }
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
}

#[test]
fn doctor_measures_clock_stalls_and_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let time = TimeServer::start(300);
    let run = |more: &[&str]| {
        let mut command = steadfast();
        command.args(["--json", "doctor", "--data"]).arg(scratch.path()).args(more);
        let output = command.output().unwrap();
        (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap_or_default())
    };
    let (code, report) = run(&["--ntp", &time.address.to_string()]);
    assert_eq!(code, Some(0));
    assert_eq!(report["clock"]["source"], "ntp");
    let offset = report["clock"]["offset_ms"].as_f64().unwrap();
    assert!((290.0..310.0).contains(&offset), "{report}");
    assert!(report["clock_error_ms"].as_u64().unwrap() >= 290, "{report}");
    assert!(report["fdatasync_us"]["p99"].as_u64().is_some());
    assert!(report["stalls"]["watched_s"].as_f64().unwrap() >= 1.0);
    assert!(report["recommended"]["dispatch.lease_ms"].as_u64().unwrap() >= 1_000);
    let (code, _) = run(&["--ntp", "not a host"]);
    assert_eq!(code, Some(2));
}
