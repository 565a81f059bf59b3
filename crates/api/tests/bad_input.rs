//! What a client can get wrong: for each, the status and the code, and never a broken connection.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use support::{BENTO, JSON, Running, World};

const KEY: &str = "Idempotency-Key: k";
const UNKNOWN: &str = "/orders/00000000-0000-7000-8000-000000000000";

/// A request to place an order with one thing wrong in the body.
fn body(from: &str, to: &str) -> Vec<u8> {
    assert!(BENTO.contains(from), "{from}");
    let body = BENTO.replacen(from, to, 1).into_bytes();
    support::request("POST /orders", &[JSON, KEY], &body)
}

fn get(path: &str) -> Vec<u8> {
    support::request(&format!("GET {path}"), &[], b"")
}

fn put(path: &str, body: &str) -> Vec<u8> {
    support::request(&format!("PUT {path}"), &[JSON], body.as_bytes())
}

fn post(path: &str, headers: &[&str], body: &[u8]) -> Vec<u8> {
    support::request(&format!("POST {path}"), headers, body)
}

fn place(headers: &[&str], body: &[u8]) -> Vec<u8> {
    post("/orders", headers, body)
}

type Row = (&'static str, Vec<u8>, u16, &'static str, &'static str);

/// Name, request, status, code, field (empty: not checked).
fn rows() -> Vec<Row> {
    const BAD: &str = "invalid_request";
    let bento = BENTO.as_bytes();
    let bad_utf8 = {
        let mut bytes = bento.to_vec();
        bytes[BENTO.find("bento").unwrap()] = 0xFF;
        place(&[JSON, KEY], &bytes)
    };
    let (long_key, long_name) = (format!("Idempotency-Key: {}", "k".repeat(300)), "n".repeat(300));
    vec![
        ("no body", place(&[JSON, KEY], b""), 400, BAD, "body"),
        ("cut off", place(&[JSON, KEY], &bento[..80]), 400, BAD, ""),
        ("not JSON", place(&[JSON, KEY], b"hello"), 400, BAD, "body"),
        ("an array", place(&[JSON, KEY], b"[]"), 400, BAD, ""),
        ("null", place(&[JSON, KEY], b"null"), 400, BAD, ""),
        ("two documents", place(&[JSON, KEY], &[bento, bento].concat()), 400, BAD, "body"),
        ("deep nesting", place(&[JSON, KEY], "[".repeat(60_000).as_bytes()), 400, BAD, ""),
        ("bad UTF-8", bad_utf8, 400, BAD, "items[0].sku"),
        ("unknown field", body("{", r#"{"tip":1,"#), 400, BAD, "tip"),
        ("unknown nested field", body(r#""sku""#, r#""size":1,"sku""#), 400, BAD, "items[0].size"),
        ("field twice", body("{", r#"{"merchant":"r2","#), 400, BAD, "merchant"),
        ("field missing", body(r#""merchant":"r1","#, ""), 400, BAD, "merchant"),
        ("nested field missing", body(r#","minor":18000"#, ""), 400, BAD, "amount.minor"),
        ("wrong type", body(r#""r1""#, "1"), 400, BAD, "merchant"),
        ("number as text", body(":2}", r#":"2"}"#), 400, BAD, "items[0].quantity"),
        ("fraction", body(":2}", ":2.5}"), 400, BAD, "items[0].quantity"),
        ("NaN", body("22135", "NaN"), 400, BAD, ""),
        ("Infinity", body("22135", "Infinity"), 400, BAD, ""),
        ("beyond a double", body("22135", "1e999"), 400, BAD, "pickup.x"),
        ("off the map", body("22135", "1e300"), 400, BAD, "pickup"),
        ("mixed kinds in one", body(r#""x":22135"#, r#""lat":37"#), 400, BAD, "pickup"),
        (
            "mixed kinds",
            body(r#"{"x":22135,"y":16867}"#, r#"{"lat":37,"lon":127}"#),
            400,
            BAD,
            "pickup",
        ),
        ("negative amount", body("18000", "-1"), 400, BAD, "amount.minor"),
        ("no amount", body("18000", "0"), 400, BAD, "amount.minor"),
        ("huge amount", body("18000", "9223372036854775807"), 400, BAD, "amount.minor"),
        ("overflowing amount", body("18000", "9223372036854775808"), 400, BAD, "amount.minor"),
        ("unknown currency", body("KRW", "won"), 400, BAD, "amount.currency"),
        ("no items", body(r#"{"sku":"bento","quantity":2}"#, ""), 400, BAD, "items"),
        ("negative quantity", body(":2}", ":-2}"), 400, BAD, "items[0].quantity"),
        ("quantity zero", body(":2}", ":0}"), 400, BAD, "items[0].quantity"),
        ("overflowing quantity", body(":2}", ":4294967296}"), 400, BAD, "items[0].quantity"),
        ("long merchant", body("r1", &long_name), 400, BAD, "merchant"),
        ("control character", body("r1", r"r\u0007"), 400, BAD, "merchant"),
        ("bad time", body("{", r#"{"ready_at":"soon","#), 400, BAD, "ready_at"),
        ("far future", body("{", r#"{"ready_at":"2999-01-01T00:00:00Z","#), 400, BAD, "ready_at"),
        ("10 MB", place(&[JSON, KEY], &vec![b' '; 10_000_000]), 413, "body_too_large", ""),
        ("10 MB, no key", place(&[JSON], &vec![b' '; 10_000_000]), 413, "body_too_large", ""),
        (
            "64 KiB and one",
            place(&[JSON, KEY], &vec![b' '; 64 * 1024 + 1]),
            413,
            "body_too_large",
            "",
        ),
        (
            "form",
            place(&["Content-Type: text/plain", KEY], bento),
            415,
            "unsupported_media_type",
            "",
        ),
        ("no type", place(&[KEY], bento), 415, "unsupported_media_type", ""),
        (
            "compressed",
            place(&[JSON, KEY, "Content-Encoding: gzip"], bento),
            415,
            "unsupported_media_type",
            "",
        ),
        ("no key", place(&[JSON], bento), 400, "idempotency_key_missing", "Idempotency-Key"),
        ("two keys", place(&[JSON, KEY, KEY], bento), 400, "idempotency_key_repeated", ""),
        ("long key", place(&[JSON, &long_key], bento), 400, "idempotency_key_malformed", ""),
        (
            "open quote",
            place(&[JSON, "Idempotency-Key: \"k"], bento),
            400,
            "idempotency_key_malformed",
            "",
        ),
        (
            "empty key",
            place(&[JSON, "Idempotency-Key:"], bento),
            400,
            "idempotency_key_malformed",
            "",
        ),
        ("bad tenant", place(&[JSON, KEY, "X-Tenant:"], bento), 400, BAD, "X-Tenant"),
        (
            "bad deadline",
            place(&[JSON, KEY, "x-envoy-expected-rq-timeout-ms: soon"], bento),
            400,
            BAD,
            "x-envoy-expected-rq-timeout-ms",
        ),
        ("query on place", post("/orders?x=1", &[JSON, KEY], bento), 400, BAD, "x"),
        ("unknown order", get(UNKNOWN), 404, "order_not_found", ""),
        ("no UUID", get("/orders/1"), 404, "order_not_found", ""),
        ("bad UTF-8 in the path", get("/orders/%ff%fe"), 404, "order_not_found", ""),
        ("events of none", get(&format!("{UNKNOWN}/events")), 404, "order_not_found", ""),
        ("track none", get(&format!("{UNKNOWN}/track")), 404, "order_not_found", ""),
        ("cancel none", post(&format!("{UNKNOWN}/cancel"), &[], b""), 404, "order_not_found", ""),
        (
            "bad If-Match",
            post(&format!("{UNKNOWN}/cancel"), &["If-Match: 3"], b""),
            400,
            BAD,
            "If-Match",
        ),
        (
            "unknown field in cancel",
            post(&format!("{UNKNOWN}/cancel"), &[JSON], b"{\"why\":1}"),
            400,
            BAD,
            "why",
        ),
        ("bad at", get(&format!("{UNKNOWN}?at=yesterday")), 400, BAD, "at"),
        ("at zero", get(&format!("{UNKNOWN}?at=0")), 400, BAD, "at"),
        ("at twice", get(&format!("{UNKNOWN}?at=1&at=2")), 400, BAD, "at"),
        ("bad after", get(&format!("{UNKNOWN}/track?after=-1")), 400, BAD, "after"),
        ("unknown parameter", get("/orders?statuss=placed"), 400, BAD, "statuss"),
        ("unknown status", get("/orders?status=lost"), 400, BAD, "status"),
        ("huge limit", get("/orders?limit=1000000"), 400, BAD, "limit"),
        ("overflowing limit", get("/orders?limit=99999999999999999999"), 400, BAD, "limit"),
        ("limit zero", get("/orders?limit=0"), 400, BAD, "limit"),
        ("long cursor", get(&format!("/orders?cursor={}", "c".repeat(5_000))), 400, BAD, "cursor"),
        ("unknown courier", get("/couriers/nobody"), 404, "courier_not_found", ""),
        (
            "heartbeat of none",
            post("/couriers/nobody/heartbeat", &[], b""),
            404,
            "courier_not_found",
            "",
        ),
        ("offers of none", get("/couriers/nobody/offers"), 404, "courier_not_found", ""),
        ("assignments of none", get("/couriers/nobody/assignments"), 404, "courier_not_found", ""),
        ("long courier", put(&format!("/couriers/{long_name}/shift"), "{}"), 400, BAD, "id"),
        ("empty shift", put("/couriers/c1/shift", "{}"), 400, BAD, "location"),
        (
            "endless shift",
            put(
                "/couriers/c1/shift",
                r#"{"location":{"x":1,"y":1},"ends_at":"2999-01-01T00:00:00Z"}"#,
            ),
            400,
            BAD,
            "ends_at",
        ),
        ("unknown zone", get("/zones/nowhere"), 404, "not_found", ""),
        ("zone without room", put("/zones/z", r#"{"capacity":0}"#), 400, BAD, "capacity"),
        ("control in a zone", put("/zones/a%0Ab", r#"{"capacity":1}"#), 400, BAD, "id"),
        (
            "unknown offer",
            post(
                "/offers/00000000-0000-7000-8000-000000000000.1/accept",
                &[JSON],
                br#"{"courier":"c1"}"#,
            ),
            404,
            "offer_not_found",
            "",
        ),
        ("no offer's id", post("/offers/7/accept", &[JSON], b"{}"), 404, "offer_not_found", ""),
        ("unknown path", get("/order"), 404, "route_not_found", ""),
        ("unknown path with a body", post("/x", &[JSON], bento), 404, "route_not_found", ""),
        (
            "wrong method",
            support::request("DELETE /orders", &[], b""),
            405,
            "method_not_allowed",
            "",
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mistake_is_named() {
    let world = World::new();
    let server = Running::of(&world).await;
    let mut surprises = Vec::new();
    for (name, request, status, code, field) in rows() {
        let reply = support::within(20, server.exchange(&request)).await;
        let text = String::from_utf8_lossy(&reply.body).into_owned();
        let named = field.is_empty() || reply.json()["field"] == field;
        if (reply.status, reply.code().as_str()) != (status, code) || !named {
            surprises.push(format!("{name}: expected {status} {code} {field}, got {text}"));
        }
        assert!(reply.body.len() < 4_096, "{name}: an answer of {} bytes", reply.body.len());
    }
    assert!(surprises.is_empty(), "{}", surprises.join("\n"));
    let position = world.journal.store().head().map(|head| head.position.0);
    assert_eq!(position.unwrap(), 0, "something was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_path_does_not_take_is_answered_with_those_it_takes() {
    let world = World::new();
    let server = Running::of(&world).await;
    for (line, allowed) in [
        ("DELETE /orders", vec!["GET", "HEAD", "POST"]),
        ("POST /orders/x", vec!["GET", "HEAD"]),
        ("GET /offers/x/accept", vec!["POST"]),
        ("PATCH /zones/z", vec!["GET", "HEAD", "PUT"]),
    ] {
        let reply = server.send(line, &[], b"").await;
        assert_eq!((reply.status, reply.code().as_str()), (405, "method_not_allowed"), "{line}");
        let mut allow: Vec<_> = reply.header("allow").unwrap().split(',').map(str::trim).collect();
        allow.sort_unstable();
        assert_eq!(allow, allowed, "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_does_not_cost_the_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let world = World::new();
    let server = Running::of(&world).await;
    let mut stream = server.connect().await;
    // Wrong key, wrong type, wrong path, then a good one: all on one connection.
    for (line, headers, body, status) in [
        ("POST /orders", "Content-Type: application/json\r\n", BENTO, "400"),
        ("POST /orders", "Idempotency-Key: k\r\n", BENTO, "415"),
        ("POST /nowhere", "", BENTO, "404"),
        ("POST /orders", "Content-Type: application/json\r\nIdempotency-Key: k\r\n", BENTO, "201"),
    ] {
        let head = format!(
            "{line} HTTP/1.1\r\nHost: t\r\n{headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        let mut bytes = vec![0; 8_192];
        let read = support::within(5, stream.read(&mut bytes)).await.unwrap();
        let text = String::from_utf8_lossy(&bytes[..read]).into_owned();
        assert_eq!(text.get(9..12), Some(status), "{line}: {text}");
    }
}
