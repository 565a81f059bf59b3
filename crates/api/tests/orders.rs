//! Placing, showing and cancelling orders over HTTP, on real services.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use serde_json::json;
use steadfast_dispatch::order::StockReserved;
use support::{BENTO, JSON, Running, World, within};

fn id(reply: &support::Reply) -> String {
    reply.json()["id"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retry_gets_the_identical_body() {
    let world = World::new();
    let server = Running::of(&world).await;
    let first = server.place("\"8e03\"", BENTO).await;
    assert_eq!(first.status, 201);
    let location = format!("/orders/{}", id(&first));
    assert_eq!(first.header("location"), Some(location.as_str()));
    assert_eq!(first.header("etag"), Some("\"1\""));
    assert_eq!(first.header("content-type"), Some("application/json"));
    assert_eq!(first.header("idempotency-replayed"), None);

    // The order goes on; the answer to the request that placed it does not.
    world.happen(&id(&first), StockReserved { reservation: "r-1".to_owned() }).await;
    let spelled = BENTO.replace(',', " ,\n ");
    for (key, body) in [("\"8e03\"", BENTO), ("8e03", &spelled)] {
        let again = server.place(key, body).await;
        assert_eq!(again.status, 200);
        assert_eq!(again.body, first.body);
        assert_eq!(again.header("idempotency-replayed"), Some("true"));
        assert_eq!(again.header("location"), Some(location.as_str()));
        assert_eq!(again.header("etag"), Some("\"1\""));
    }
    let order = server.get(&location).await.ok();
    assert_eq!(order.json()["status"], "stock_reserved");
    assert_eq!(order.header("etag"), Some("\"2\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_belongs_to_one_content_and_one_tenant() {
    let world = World::new();
    let server = Running::of(&world).await;
    let first = server.place("k", BENTO).await.ok();
    let other = server.place("k", &BENTO.replace("18000", "18001")).await;
    assert_eq!((other.status, other.code().as_str()), (422, "idempotency_key_reused"));
    let tenant = [JSON, "Idempotency-Key: k", "X-Tenant: kim"];
    let theirs = server.send("POST /orders", &tenant, BENTO.as_bytes()).await;
    assert_eq!(theirs.status, 201);
    assert_ne!(id(&theirs), id(&first));
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_at_once_place_one_order() {
    let world = World::new();
    let server = Running::of(&world).await;
    let requests = (0..50).map(|_| server.place("storm", BENTO));
    let replies = within(20, futures::future::join_all(requests)).await;
    let created = replies.iter().filter(|reply| reply.status == 201).count();
    assert_eq!(created, 1);
    for reply in &replies {
        assert_eq!(reply.body, replies[0].body);
        assert_eq!(reply.header("idempotency-replayed").is_some(), reply.status == 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_may_come_in_pieces() {
    use tokio::io::AsyncWriteExt;

    let world = World::new();
    let server = Running::of(&world).await;
    let mut chunked = support::request(
        "POST /orders",
        &[JSON, "Idempotency-Key: pieces", "Transfer-Encoding: chunked"],
        b"",
    );
    let (head, tail) = BENTO.split_at(40);
    for piece in [head, tail] {
        chunked.extend_from_slice(format!("{:x}\r\n{piece}\r\n", piece.len()).as_bytes());
    }
    chunked.extend_from_slice(b"0\r\n\r\n");
    let mut stream = server.connect().await;
    for piece in chunked.chunks(37) {
        stream.write_all(piece).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(support::Reply::read_to_end(&mut stream).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_can_be_seen_as_it_was() {
    let world = World::new();
    let server = Running::of(&world).await;
    let placed = server.place("k", BENTO).await.ok();
    let path = format!("/orders/{}", id(&placed));
    let placed_at = placed.json()["placed_at"].as_str().unwrap().to_owned();
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    world.happen(&id(&placed), StockReserved { reservation: "r-1".to_owned() }).await;

    for at in ["1".to_owned(), placed_at.replace(":", "%3A")] {
        let then = server.get(&format!("{path}?at={at}")).await.ok();
        assert_eq!(
            (then.json()["status"].as_str(), then.header("etag")),
            (Some("placed"), Some("\"1\""))
        );
    }
    let before = server.get(&format!("{path}?at=2020-01-01T00:00:00Z")).await;
    assert_eq!((before.status, before.code().as_str()), (404, "order_not_found"));

    let same = server.send(&format!("GET {path}"), &["If-None-Match: \"2\""], b"").await;
    assert_eq!((same.status, same.body.len(), same.header("etag")), (304, 0, Some("\"2\"")));
    let changed = server.send(&format!("GET {path}"), &["If-None-Match: \"1\""], b"").await;
    assert_eq!(changed.status, 200);

    let events = server.get(&format!("{path}/events?limit=1")).await.ok().json();
    assert_eq!(events["events"][0]["type"], "placed");
    assert_eq!(events["next_after"], 1);
    let events = server.get(&format!("{path}/events?after=1")).await.ok().json();
    assert_eq!(events["events"][0]["type"], "stock_reserved");
    assert_eq!(events["next_after"], json!(null));
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelling_minds_the_version() {
    let world = World::new();
    let server = Running::of(&world).await;
    let order = id(&server.place("k", BENTO).await.ok());
    let cancel = format!("POST /orders/{order}/cancel");
    let stale = server.send(&cancel, &["If-Match: \"7\""], b"").await;
    assert_eq!((stale.status, stale.code().as_str()), (412, "version_mismatch"));
    let reason = br#"{"reason":"changed my mind"}"#;
    let gone = server.send(&cancel, &[JSON, "If-Match: \"1\""], reason).await.ok();
    assert_eq!(gone.json()["status"], "compensating");
    assert_eq!(gone.json()["reason"], "changed my mind");
    assert_eq!(gone.header("etag"), Some("\"2\""));
    let again = server.send(&cancel, &[], b"").await.ok();
    assert_eq!(again.header("etag"), Some("\"2\""));
}

#[tokio::test(flavor = "multi_thread")]
async fn text_is_kept_as_it_came() {
    let world = World::new();
    let server = Running::of(&world).await;
    let note = r#"'); DROP TABLE orders;-- <script>alert("1")</script> {{7*7}} \u0000? ✓ 김"#;
    let note = note.replace(r"\u0000", "");
    let mut body: serde_json::Value = serde_json::from_str(BENTO).unwrap();
    body["note"] = json!(note);
    body["customer"] = json!("<b>kim</b>");
    let placed = server.place("k", &body.to_string()).await.ok();
    let order = server.get(placed.header("location").unwrap()).await.ok();
    assert_eq!(order.header("content-type"), Some("application/json"));
    assert_eq!(order.json()["note"], json!(note));
    assert_eq!(order.json()["customer"], "<b>kim</b>");
}

#[tokio::test(flavor = "multi_thread")]
async fn zones_and_couriers_are_made_and_shown() {
    let world = World::new();
    let server = Running::of(&world).await;
    let zone = br#"{"capacity":5,"area":{"min":{"x":0,"y":0},"max":{"x":9,"y":9}}}"#;
    let made = server.send("PUT /zones/gang%20nam", &[JSON], zone).await.ok();
    assert_eq!(
        (made.json()["id"].as_str(), made.json()["capacity"].as_u64()),
        (Some("gang nam"), Some(5))
    );
    assert_eq!(server.get("/zones/gang%20nam").await.ok().json(), made.json());
    assert!(
        server.get("/zones").await.ok().json()["zones"].as_array().unwrap().contains(&made.json())
    );
    let missing = server.get("/zones/nowhere").await;
    assert_eq!((missing.status, missing.code().as_str()), (404, "not_found"));

    let ends_at = (world.clock.now() + std::time::Duration::from_secs(3_600)).to_string();
    let shift =
        json!({"location": {"x": 1, "y": 2}, "ends_at": ends_at, "capacity": 2}).to_string();
    let courier = server.send("PUT /couriers/c1/shift", &[JSON], shift.as_bytes()).await.ok();
    assert_eq!(courier.json()["zone"], "gang nam");
    assert_eq!(server.get("/couriers/c1").await.ok().json(), courier.json());
    server.send("POST /couriers/c1/heartbeat", &[], b"").await.ok();
    let moved = br#"{"location":{"x":3,"y":4}}"#;
    let moved = server.send("POST /couriers/c1/heartbeat", &[JSON], moved).await.ok();
    assert_eq!(moved.json()["location"], json!({"x": 3.0, "y": 4.0}));
    assert_eq!(server.get("/couriers/c1/offers").await.ok().json(), json!({"offers": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_is_kept() {
    // One place to prepare an order in, and nobody who prepares: the second one waits for it.
    let options = steadfast_dispatch::service::Options { preparing_max: 1, ..Default::default() };
    let world = World::with(options);
    let server = Running::of(&world).await;
    let send = async |key: &str, ms: u32| {
        let headers = [
            JSON.to_owned(),
            format!("Idempotency-Key: {key}"),
            format!("x-envoy-expected-rq-timeout-ms: {ms}"),
        ];
        let headers: Vec<&str> = headers.iter().map(String::as_str).collect();
        within(5, server.send("POST /orders", &headers, BENTO.as_bytes())).await
    };
    assert_eq!(send("k1", 1_000).await.status, 201);
    let started = world.clock.monotonic();
    let late = send("k2", 50).await;
    assert_eq!((late.status, late.code().as_str()), (504, "deadline_exceeded"));
    assert!(world.clock.monotonic() - started >= std::time::Duration::from_millis(50));
    // With more time it is told whose policy says no, why, and when to come back.
    let full = send("k3", 5_000).await;
    assert_eq!((full.status, full.code().as_str()), (503, "overloaded"));
    let detail = full.json()["detail"].as_str().unwrap().to_owned();
    assert!(detail.starts_with("bulkhead preparing: 1 of 1 at work"), "{detail}");
    assert!(full.header("retry-after").is_some());
}
