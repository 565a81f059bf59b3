//! Who holds what, and an operator who takes it away: `steadfast leases` against the running
//! platform and against the engine itself, and what the platform does when it loses a zone.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_time::Clock;
use support::http::{Client, JSON, Reply};
use support::process::{Home, Server, steadfast};
use support::{BENTO, millis, pause};

/// The lead that every platform of an engine campaigns for.
const RELAY: &str = "relay";
const ZONE: &str = "zone/default";

/// How long a change may take to be seen on a busy machine.
const SOON: Duration = Duration::from_secs(20);

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

/// `steadfast leases …` of something that is there.
async fn leases(at: &[&str], arguments: &[&str]) -> Said {
    let mut command = steadfast();
    command.arg("leases").args(arguments).args(at);
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    Said { code: output.status.code(), stdout, stderr }
}

async fn document(at: &[&str], arguments: &[&str]) -> Value {
    let said = leases(at, &[arguments, &["--json"]].concat()).await;
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    serde_json::from_str(&said.stdout).unwrap()
}

async fn get(server: &Server, path: &str) -> Reply {
    Client::new(server.admin).get(path).await.unwrap()
}

/// Asks until the lease is as wanted.
async fn until(server: &Server, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let path = format!("/leases/{}", name.replace('/', "%2F"));
    let clock = Clock::system();
    let started = clock.monotonic();
    loop {
        let reply = get(server, &path).await;
        if reply.status == 200 && wanted(&reply.json()) {
            return reply.json();
        }
        assert!(clock.monotonic() - started < SOON, "{}", reply.text());
        pause(millis(10)).await;
    }
}

fn token(lease: &Value) -> u64 {
    lease["token"].as_u64().unwrap()
}

/// Whether an order is offered to the courier.
async fn is_dispatched(server: &Server, key: &str) {
    let mut client = server.client();
    let ends_at = Clock::system().now() + Duration::from_secs(3_600);
    let shift =
        json!({ "location": { "x": 22_000, "y": 15_000 }, "ends_at": ends_at, "capacity": 9 });
    let reply = client.json(&format!("PUT /couriers/{key}/shift"), &shift).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    let placed = client.place(key, BENTO.as_bytes()).await.unwrap();
    assert_eq!(placed.status, 201, "{}", placed.text());
    let order = format!("/orders/{}", placed.json()["id"].as_str().unwrap());
    let clock = Clock::system();
    let started = clock.monotonic();
    while client.get(&order).await.unwrap().json()["status"] != "offered" {
        let _ = client.send(&format!("POST /couriers/{key}/heartbeat"), &[], b"").await.unwrap();
        assert!(clock.monotonic() - started < SOON, "{order} is not offered");
        pause(millis(20)).await;
    }
}

fn unix(socket: &Path) -> String {
    format!("unix://{}", socket.display())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_zone_that_is_taken_away_is_taken_again_under_a_higher_token() {
    let home = Home::new();
    let server = home.start().await;
    let admin = format!("http://{}", server.admin);
    let at = ["--admin", admin.as_str()];
    let held = until(&server, ZONE, |lease| lease["holder"].is_string()).await;
    assert!(held["holder"].as_str().unwrap().starts_with("steadfast "), "{held}");
    assert_eq!((&held["mode"], &held["waiting"]), (&json!("exclusive"), &json!(0)));
    is_dispatched(&server, "before").await;

    let page = document(&at, &["list", "--prefix", "zone/"]).await;
    assert_eq!((&page["leases"][0]["name"], &page["next_cursor"]), (&json!(ZONE), &Value::Null));
    assert_eq!(page["leases"].as_array().unwrap().len(), 1, "{page}");
    assert_eq!(document(&at, &["show", ZONE]).await, held);
    let listed = leases(&at, &["list"]).await;
    assert!(listed.stdout.starts_with("NAME") && listed.stdout.contains(ZONE), "{}", listed.stdout);

    // Not by mistake, not from somebody else, and not without being sure.
    let first = token(&held);
    let unsure = leases(&at, &["release", ZONE]).await;
    assert_eq!(unsure.code, Some(2), "{}", unsure.stderr);
    assert!(unsure.stderr.contains("--yes"), "{}", unsure.stderr);
    let other = (first + 1).to_string();
    let stale = leases(&at, &["release", ZONE, "--yes", "--token", &other]).await;
    assert_eq!(stale.code, Some(1), "{}", stale.stderr);
    assert!(stale.stderr.contains("(lease_state)"), "{}", stale.stderr);
    let nobody = leases(&at, &["release", "zone/nowhere", "--yes"]).await;
    assert_eq!(nobody.code, Some(1), "{}", nobody.stderr);
    assert!(nobody.stderr.contains("(lease_not_found)"), "{}", nobody.stderr);
    assert_eq!(token(&until(&server, ZONE, |_| true).await), first);

    let done = leases(&at, &["release", ZONE, "--yes", "--by", "ana"]).await;
    assert_eq!(done.code, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("was taken from steadfast "), "{}", done.stdout);
    assert!(done.stdout.contains(&format!("(token {first})")), "{}", done.stdout);
    let again = until(&server, ZONE, |lease| token(lease) > first).await;
    assert!(again["holder"].as_str().unwrap().starts_with("steadfast "), "{again}");
    is_dispatched(&server, "after").await;

    let metrics = get(&server, "/metrics").await.text();
    for line in [
        "steadfast_lock_hold_seconds_count{end=\"lost\"} 1",
        "steadfast_sessions_lost_total{cause=\"server\"} 0",
        "steadfast_stale_leader_writes_total{journal=\"orders\"} 0",
        "steadfast_quarantined 0",
    ] {
        assert!(metrics.lines().any(|shown| shown == line), "{line} is not in\n{metrics}");
    }
    let slo = get(&server, "/slo").await.json();
    let indicators = slo["indicators"].as_array().unwrap();
    for name in [
        "lock.acquire_time_ms.p95",
        "lock.contention_rate",
        "consensus.leader_election_ms",
        "stale_leader_write.count",
    ] {
        assert!(indicators.iter().any(|row| row["indicator"] == name), "{name} is not in {slo}");
    }
    assert!(home.log().contains("by=\"ana\""), "{}", home.log());
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_in_line_has_it_at_once_and_the_queue_is_shown_in_order() {
    let homes = [Home::new(), Home::new()];
    let mut command = steadfast();
    command.args(["--json", "coordinator", "--data"]).arg(homes[0].path("engine"));
    let mut coordinator = homes[0].spawn_apart("coordinator", command);
    let address = coordinator.document().await.unwrap()["coordination"].clone();
    let address = address.as_str().unwrap();
    for home in &homes {
        home.configure(&format!("coordination = {address:?}\n"));
    }
    let first = homes[0].start().await;
    let held = until(&first, RELAY, |lease| lease["holder"].is_string()).await;
    let second = homes[1].start().await;
    let queue = until(&second, RELAY, |lease| lease["waiting"] == 1).await;
    assert_eq!(token(&queue), token(&held));
    let at = ["--url", address];
    assert_eq!(document(&at, &["show", RELAY]).await, queue);
    let shown = leases(&at, &["show", RELAY]).await.stdout;
    let turns: Vec<&str> =
        shown.lines().skip(2).filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(turns, ["holds", "waits"], "{shown}");
    let next = &queue["queue"][1];
    assert_ne!(next["value"], queue["queue"][0]["value"]);

    // Somebody who waits has nothing to give back.
    let waits = next["token"].to_string();
    let refused = leases(&at, &["release", RELAY, "--yes", "--token", &waits]).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let holds = held["token"].to_string();
    let done = document(&at, &["release", RELAY, "--yes", "--token", &holds]).await;
    assert_eq!(
        (&done["released"]["token"], &done["now"]["token"]),
        (&held["token"], &next["token"])
    );
    // The one who lost it stands in line again.
    let queue = until(&first, RELAY, |lease| lease["waiting"] == 1).await;
    assert_eq!(queue["token"], next["token"]);
    for (server, home) in [first, second].into_iter().zip(&homes) {
        assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    }
    let page = document(&at, &["list"]).await;
    assert_eq!(page["leases"], json!([]), "everything was given back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_embedded_engine_of_a_platform_can_be_asked_past_it_and_stays_its_own() {
    let home = Home::new();
    let server = home.start().await;
    until(&server, ZONE, |lease| lease["holder"].is_string()).await;
    let url = unix(&home.data().join("coordination.sock"));
    let past = document(&["--url", &url], &["show", ZONE]).await;
    assert_eq!(past, get(&server, "/leases/zone%2Fdefault").await.json());

    let mut command = steadfast();
    command.args(["coordinator", "--data"]).arg(home.data());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("in use by another server"), "{stderr}");
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_are_wrong_are_named() {
    let home = Home::new();
    let server = home.start().await;
    until(&server, ZONE, |lease| lease["holder"].is_string()).await;
    let mut client = Client::new(server.admin);
    let release = "POST /leases/zone%2Fdefault/release";
    for (line, body, status, code) in [
        ("GET /leases/zone%2Fnowhere", "", 404, "lease_not_found"),
        ("GET /leases/%00", "", 404, "lease_not_found"),
        ("GET /leases/zone%2Fdefault?deep=1", "", 400, "invalid_request"),
        ("GET /leases?prefix=%01", "", 400, "invalid_request"),
        ("GET /leases?limit=0", "", 400, "invalid_request"),
        ("GET /leases?cursor=%01", "", 400, "invalid_request"),
        ("DELETE /leases/zone%2Fdefault", "", 405, "method_not_allowed"),
        (release, r#"{"token":"7"}"#, 400, "invalid_request"),
        (release, r#"{"token":-1}"#, 400, "invalid_request"),
        (release, r#"{"tokne":7}"#, 400, "invalid_request"),
        (release, r#"{"token":0}"#, 409, "lease_state"),
        ("POST /leases/zone%2Fnowhere/release", "", 404, "lease_not_found"),
    ] {
        let headers: &[&str] = if body.is_empty() { &[] } else { &[JSON] };
        let reply = client.send(line, headers, body.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{line} {body}");
    }
    let at = ["--url", "consul://me:secret@nowhere"];
    for (at, arguments, code, words) in [
        (&at[..], &["list"][..], 2, "--url"),
        (&["--url", "embedded"], &["list"], 2, "unix:///"),
        (&["--url", "unix:///nowhere/c.sock"], &["list"], 1, "not available"),
        (&[], &["list", "--limit", "501"], 2, "from 1 to 500"),
        (&[], &["release", "x", "--token", "high"], 2, "--token"),
    ] {
        let said = leases(at, arguments).await;
        assert_eq!(said.code, Some(code), "{at:?} {arguments:?}: {}", said.stderr);
        assert!(said.stderr.contains(words) && !said.stderr.contains("secret"), "{}", said.stderr);
    }
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
}
