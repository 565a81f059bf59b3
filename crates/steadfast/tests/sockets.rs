//! What comes in over sockets that should not: requests that are wrong, clients that are slow,
//! and far too many of them. Each hears what is wrong, by its code; the server takes an order
//! afterwards as if nothing had been.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_time::Clock;
use support::http::{Client, JSON, Reply, reply, request};
use support::process::{Home, Server};
use support::{BENTO, millis, pause};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// A name that no order has.
const UNKNOWN: &str = "00000000-0000-7000-8000-000000000000";

/// How long placing an order may take on a busy machine in a debug build.
const NORMAL: Duration = Duration::from_secs(2);

const SOON: Duration = Duration::from_secs(20);

/// Memory that a server in a debug build stays below, whatever its clients do.
const RESIDENT_BYTES_MAX: u64 = 400 << 20;

/// Places a new order on a new connection, in normal time.
async fn is_well(server: &Server) {
    let clock = Clock::system();
    let started = clock.monotonic();
    let key = format!("well-{}", fastrand::u64(..));
    let placed = timeout(SOON, server.client().place(&key, BENTO.as_bytes())).await;
    let placed = placed.unwrap().unwrap();
    assert_eq!(placed.status, 201, "{}", placed.text());
    let took = clock.monotonic() - started;
    assert!(took < NORMAL, "an order took {took:?}");
}

async fn ends_well(server: Server, home: &Home) {
    let status = server.stop(SOON).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", home.log());
    assert!(!home.log().contains("panic"), "{}", home.log());
    let (sound, said) = home.verify();
    assert!(sound, "{said}");
}

/// An order with one thing wrong in it.
fn with(from: &str, to: &str) -> Vec<u8> {
    assert!(BENTO.contains(from), "{from}");
    let body = BENTO.replacen(from, to, 1);
    request("POST /orders", &[JSON, "Idempotency-Key: k"], body.as_bytes())
}

fn place(headers: &[&str], body: &[u8]) -> Vec<u8> {
    request("POST /orders", &[&[JSON], headers].concat(), body)
}

fn answer(path: &str, courier: &str) -> Vec<u8> {
    let body = json!({ "courier": courier }).to_string();
    request(&format!("POST {path}"), &[JSON], body.as_bytes())
}

/// What is asked, the request, and the answer that it must get.
type Row = (String, Vec<u8>, u16, &'static str);

fn rows(stale: &Offers) -> Vec<Row> {
    const BAD: &str = "invalid_request";
    let key = "Idempotency-Key: k";
    let bento = BENTO.as_bytes();
    let mut not_utf8 = bento.to_vec();
    not_utf8[BENTO.find("bento").unwrap()] = 0xFF;
    let long_key = format!("Idempotency-Key: {}", "k".repeat(300));
    let Offers { open, declined, expired } = stale;
    let mut rows: Vec<(&str, Vec<u8>, u16, &'static str)> = vec![
        ("malformed JSON", place(&[key], b"{\"merchant\":"), 400, BAD),
        ("an unknown field", with("{", r#"{"tip":1,"#), 400, BAD),
        ("a wrong type", with(r#""r1""#, "1"), 400, BAD),
        ("NaN", with("22135", "NaN"), 400, BAD),
        ("an infinite place", with("22135", "1e999"), 400, BAD),
        ("mixed kinds of places", with(r#""x":22135"#, r#""lat":37.5"#), 400, BAD),
        ("a negative amount", with("18000", "-1"), 400, BAD),
        ("an overflowing amount", with("18000", "9223372036854775808"), 400, BAD),
        ("no items", with(r#"{"sku":"bento","quantity":2}"#, ""), 400, BAD),
        ("bad UTF-8", place(&[key], &not_utf8), 400, BAD),
        ("10 MB", place(&[key], &vec![b' '; 10_000_000]), 413, "body_too_large"),
        ("no key", place(&[], bento), 400, "idempotency_key_missing"),
        ("a key of 300 characters", place(&[&long_key], bento), 400, "idempotency_key_malformed"),
        ("two keys", place(&[key, "Idempotency-Key: j"], bento), 400, "idempotency_key_repeated"),
        ("no such path", request("GET /order", &[], b""), 404, "route_not_found"),
        ("no such method", request("DELETE /orders", &[], b""), 405, "method_not_allowed"),
        ("no such zone", request("GET /zones/nowhere", &[], b""), 404, "not_found"),
        ("no such courier", request("GET /couriers/nobody", &[], b""), 404, "courier_not_found"),
    ];
    let order = format!("/orders/{UNKNOWN}");
    for path in [order.clone(), format!("{order}/events"), format!("{order}/track")] {
        rows.push((
            "no such order",
            request(&format!("GET {path}"), &[], b""),
            404,
            "order_not_found",
        ));
    }
    let cancel = request(&format!("POST {order}/cancel"), &[], b"");
    rows.push(("cancelling no order", cancel, 404, "order_not_found"));
    let offer = |id: &str, verb: &str, who| answer(&format!("/offers/{id}/{verb}"), who);
    let step = |id: &str, verb: &str, who| answer(&format!("/assignments/{id}/{verb}"), who);
    rows.extend([
        ("no such offer", offer(&format!("{UNKNOWN}.1"), "accept", "c1"), 404, "offer_not_found"),
        ("an offer yet to come", offer(&next(open), "accept", "c1"), 404, "offer_not_found"),
        ("no offer's name", offer("7", "accept", "c1"), 404, "offer_not_found"),
        ("the wrong courier accepts", offer(open, "accept", "c2"), 403, "wrong_courier"),
        ("the wrong courier declines", offer(open, "decline", "c2"), 403, "wrong_courier"),
        ("the wrong courier arrives", step(open, "arrived", "c2"), 403, "wrong_courier"),
        ("delivered before accepted", step(open, "delivered", "c1"), 409, "order_state"),
        ("accepted after declined", offer(declined, "accept", "c1"), 410, "offer_closed"),
        ("declined again", offer(declined, "decline", "c1"), 410, "offer_closed"),
        ("picked up after declined", step(declined, "picked-up", "c1"), 410, "offer_closed"),
        ("accepted too late", offer(expired, "accept", "c1"), 410, "offer_closed"),
    ]);
    rows.into_iter()
        .map(|(name, bytes, status, code)| (name.to_owned(), bytes, status, code))
        .collect()
}

/// Offers to the courier `c1` in each state that an offer can be in.
struct Offers {
    open: String,
    declined: String,
    expired: String,
}

/// The offer after this one, which nobody has made.
fn next(offer: &str) -> String {
    let (order, number) = offer.split_once('.').unwrap();
    format!("{order}.{}", number.parse::<u32>().unwrap() + 1)
}

/// Waits for an offer to `c1` that is not among these.
async fn offer(client: &mut Client, known: &[&str]) -> String {
    for _ in 0..400 {
        let _ = client.send("POST /couriers/c1/heartbeat", &[], b"").await.unwrap();
        let offers = client.get("/couriers/c1/offers").await.unwrap().json();
        let offers = offers["offers"].as_array().cloned().unwrap_or_default();
        let mut names = offers.iter().filter_map(|offer| offer["id"].as_str());
        if let Some(name) = names.find(|name| !known.contains(name)) {
            return name.to_owned();
        }
        pause(millis(25)).await;
    }
    panic!("no offer");
}

async fn offers(client: &mut Client) -> Offers {
    for courier in ["c1", "c2"] {
        // Only the first one can be found.
        let over = courier == "c2";
        let ends_at = Clock::system().now() + Duration::from_secs(if over { 0 } else { 3_600 });
        let shift =
            json!({ "location": { "x": 22_000, "y": 15_000 }, "ends_at": ends_at, "capacity": 9 });
        let reply = client.json(&format!("PUT /couriers/{courier}/shift"), &shift).await.unwrap();
        assert_eq!(reply.status, 200, "{}", reply.text());
    }
    let mut names: Vec<String> = Vec::new();
    for key in ["expires", "declines", "stays"] {
        let placed = client.place(key, BENTO.as_bytes()).await.unwrap();
        assert_eq!(placed.status, 201, "{}", placed.text());
        let known: Vec<&str> = names.iter().map(String::as_str).collect();
        let name = offer(client, &known).await;
        match key {
            // The offer timeout, and some time to close it.
            "expires" => pause(millis(4_000)).await,
            "declines" => {
                let reply =
                    client.exchange(&answer(&format!("/offers/{name}/decline"), "c1")).await;
                assert_eq!(reply.unwrap().status, 204);
            }
            _ => {}
        }
        names.push(name);
    }
    let [expired, declined, open] = names.try_into().unwrap();
    Offers { open, declined, expired }
}

fn check(name: &str, reply: &Reply, status: u16, code: &str) -> Option<String> {
    let problem = reply.json();
    let is_problem = reply.header("content-type") == Some("application/problem+json")
        && problem["status"] == reply.status
        && problem["title"].is_string();
    if (reply.status, problem["code"].as_str()) == (status, Some(code)) && is_problem {
        return None;
    }
    Some(format!("{name}: expected {status} {code}, got {} {}", reply.status, reply.text()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_mistake_is_named_and_none_does_harm() {
    let home = Home::with("[dispatch]\noffer_timeout = \"3s\"\n");
    let server = home.start().await;
    let mut client = server.client();
    let offers = offers(&mut client).await;
    let mut surprises = Vec::new();
    for (name, bytes, status, code) in rows(&offers) {
        match timeout(SOON, server.client().exchange(&bytes)).await {
            Ok(Ok(reply)) => surprises.extend(check(&name, &reply, status, code)),
            Ok(Err(error)) => surprises.push(format!("{name}: {error}")),
            Err(_) => surprises.push(format!("{name}: no answer")),
        }
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    is_well(&server).await;
    ends_well(server, &home).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn text_comes_back_as_it_was_given() {
    let home = Home::new();
    let server = home.start().await;
    let mut client = server.client();
    let texts = [
        "Robert'); DROP TABLE events;--",
        "<script>alert(1)</script>&amp;\"",
        "%00 ../../etc/passwd ${HOME} {{7*7}} \\u0000",
        "\u{202e}right to left\u{200b}, \u{1F35C}, a\u{0301}, \t tab",
    ];
    for (number, text) in texts.iter().enumerate() {
        let mut order: Value = serde_json::from_str(BENTO).unwrap();
        order["note"] = json!(text);
        order["items"][0]["sku"] = json!(text);
        let placed = client.place(&format!("k{number}"), order.to_string().as_bytes()).await;
        let placed = placed.unwrap();
        assert_eq!(placed.status, 201, "{}", placed.text());
        let id = placed.json()["id"].as_str().unwrap().to_owned();
        let shown = client.get(&format!("/orders/{id}")).await.unwrap();
        assert_eq!(shown.header("content-type"), Some("application/json"));
        assert_eq!(shown.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(shown.json()["note"], *text);
        assert_eq!(shown.json()["items"][0]["sku"], *text);
    }
    is_well(&server).await;
    ends_well(server, &home).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_clients_cost_only_themselves() {
    let home = Home::new();
    let server = home.start().await;
    let mut trickles = tokio::task::JoinSet::new();
    // Heads that come a byte at a time.
    for _ in 0..150 {
        let address = server.public;
        trickles.spawn(async move {
            let mut stream = TcpStream::connect(address).await.unwrap();
            for byte in b"POST /orders HTTP/1.1\r\nHost: t\r\nX-Slow: ".iter().chain(&[b'x'; 400]) {
                if stream.write_all(&[*byte]).await.is_err() {
                    return;
                }
                pause(millis(150)).await;
            }
        });
    }
    // Bodies that never come.
    let mut bodies = Vec::new();
    for _ in 0..150 {
        let mut stream = TcpStream::connect(server.public).await.unwrap();
        let head = "POST /orders HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
                    Idempotency-Key: k\r\nContent-Length: 500\r\n\r\n{";
        stream.write_all(head.as_bytes()).await.unwrap();
        bodies.push(stream);
    }
    for _ in 0..20 {
        is_well(&server).await;
    }
    // Each of them is told when its time is over.
    for mut stream in bodies {
        let reply = timeout(SOON, reply(&mut stream)).await.unwrap().unwrap();
        assert_eq!(check("a slow body", &reply, 408, "request_timeout"), None);
    }
    is_well(&server).await;
    trickles.shutdown().await;
    ends_well(server, &home).await;
}

/// Connections in the largest test, and the descriptors that it needs besides.
const CONNECTIONS: usize = 10_000;
const SPARE: usize = 500;

/// What is set when the test has started itself again with more descriptors.
const NESTED: &str = "MORE_DESCRIPTORS";

/// How many files a process may open: the soft limit and the hard one.
fn descriptors() -> (usize, usize) {
    let output = Command::new("sh").args(["-c", "ulimit -Sn; ulimit -Hn"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let mut limits = text.lines().map(|line| line.trim().parse().unwrap_or(usize::MAX));
    (limits.next().unwrap(), limits.next().unwrap())
}

/// What became of a connection that has been open for a while and has said nothing.
#[derive(Default, Debug)]
struct Fates {
    open: Vec<TcpStream>,
    told: usize,
    closed: usize,
}

fn fates(streams: Vec<TcpStream>) -> Fates {
    let mut fates = Fates::default();
    for stream in streams {
        let mut buffer = [0; 1_024];
        match stream.try_read(&mut buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => fates.open.push(stream),
            Ok(0) | Err(_) => fates.closed += 1,
            Ok(read) => {
                let text = String::from_utf8_lossy(&buffer[..read]).into_owned();
                assert!(text.starts_with("HTTP/1.1 503 "), "{text}");
                assert!(text.contains("\"code\":\"overloaded\""), "{text}");
                fates.told += 1;
            }
        }
    }
    fates
}

#[test]
fn ten_thousand_connections_are_bounded() {
    let (soft, hard) = descriptors();
    if soft < CONNECTIONS + SPARE && hard > soft && std::env::var_os(NESTED).is_none() {
        // The limit can be raised only for what is started from here on.
        let script = "ulimit -n $(ulimit -Hn) 2>/dev/null || ulimit -n 10500; exec \"$0\" \"$@\"";
        let test = std::env::current_exe().unwrap();
        let status = Command::new("sh")
            .args(["-c", script])
            .arg(test)
            .args(["--exact", "ten_thousand_connections_are_bounded", "--nocapture"])
            .env(NESTED, "1")
            .status()
            .unwrap();
        assert!(status.success(), "with more descriptors: {status}");
        return;
    }
    let count = CONNECTIONS.min(soft.saturating_sub(SPARE));
    if count < CONNECTIONS {
        println!("this environment allows {count} connections, not {CONNECTIONS}");
    }
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(bounded(count));
}

async fn bounded(count: usize) {
    // The default, unless that is more than there will be.
    let limit = 8_192.min(count * 9 / 10);
    let home = Home::with(&format!("[http]\nconnections_max = {limit}\n"));
    let server = home.start().await;
    is_well(&server).await;
    let streams = connect(server.public, count).await;
    pause(millis(1_500)).await;
    let resident = server.resident_bytes().unwrap_or(0);
    let Fates { mut open, told, closed } = fates(streams);
    println!(
        "{count} connections: {} open, {told} were told 503, {closed} were closed; {} MB resident",
        open.len(),
        resident >> 20
    );
    assert!(open.len() <= limit, "{} are open, over the limit of {limit}", open.len());
    assert!(open.len() >= limit - limit / 100, "only {} of {limit} were let in", open.len());
    assert!(told > 0 && told + closed + open.len() == count);
    assert!(resident < RESIDENT_BYTES_MAX, "{resident} bytes are resident");

    // One more is told so; who is in goes on; and the operator gets in by the other door.
    let mut one_more = TcpStream::connect(server.public).await.unwrap();
    let reply = timeout(SOON, reply(&mut one_more)).await.unwrap().unwrap();
    assert_eq!(check("one more", &reply, 503, "overloaded"), None);
    assert!(reply.header("retry-after").is_some());
    let clock = Clock::system();
    let started = clock.monotonic();
    let inside = open.pop().unwrap();
    let placed = Client::over(inside, server.public).place("inside", BENTO.as_bytes()).await;
    let placed = placed.unwrap();
    assert_eq!(placed.status, 201, "{}", placed.text());
    assert!(clock.monotonic() - started < NORMAL);
    for path in ["/healthz", "/readyz"] {
        assert_eq!(Client::new(server.admin).get(path).await.unwrap().status, 200, "{path}");
    }

    drop(open);
    for _ in 0..200 {
        if Client::new(server.public).get("/zones").await.is_ok_and(|reply| reply.status == 200) {
            break;
        }
        pause(millis(25)).await;
    }
    is_well(&server).await;
    ends_well(server, &home).await;
}

/// Opens connections, some hundred at a time, which is what a listener's backlog holds.
async fn connect(address: SocketAddr, count: usize) -> Vec<TcpStream> {
    let mut streams = Vec::with_capacity(count);
    while streams.len() < count {
        let some = (count - streams.len()).min(100);
        let opened = futures::future::join_all((0..some).map(|_| TcpStream::connect(address)));
        streams.extend(opened.await.into_iter().map(Result::unwrap));
    }
    streams
}
