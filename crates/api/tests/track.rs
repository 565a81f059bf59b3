//! Following an order over server-sent events.
#![allow(clippy::unwrap_used, reason = "helpers of tests may panic")]

mod support;

use std::time::Duration;

use steadfast_api::Options;
use steadfast_dispatch::order::{Cancelled, StockReserved, Undo, UndoStarted};
use support::{BENTO, Running, World, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn placed(server: &Running) -> String {
    let reply = server.place("k", BENTO).await.ok();
    reply.json()["id"].as_str().unwrap().to_owned()
}

fn undo() -> UndoStarted {
    let (code, reason) = ("out_of_stock".to_owned(), "no bento".to_owned());
    UndoStarted { outcome: Undo::Cancelled, code, reason }
}

/// Reads a stream until a text has come.
async fn until(stream: &mut TcpStream, heard: &mut String, text: &str) {
    let read = async {
        let mut buffer = [0; 4_096];
        while !heard.contains(text) {
            let read = stream.read(&mut buffer).await.unwrap();
            assert_ne!(read, 0, "ended before {text:?}: {heard}");
            heard.push_str(std::str::from_utf8(&buffer[..read]).unwrap());
        }
    };
    within(10, read).await;
}

async fn follow(server: &Running, path: &str, headers: &[&str]) -> TcpStream {
    let mut stream = server.connect().await;
    stream.write_all(&support::request(&format!("GET {path}"), headers, b"")).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn the_past_is_told_and_the_end_ends_it() {
    let world = World::new();
    let server = Running::of(&world).await;
    let order = placed(&server).await;
    world.happen(&order, StockReserved { reservation: "r-1".to_owned() }).await;
    world.happen(&order, undo()).await;
    world.happen(&order, Cancelled {}).await;
    let path = format!("/orders/{order}/track");

    let whole = server.get(&path).await.ok();
    assert_eq!(whole.header("content-type"), Some("text/event-stream"));
    let text = String::from_utf8(whole.body).unwrap();
    assert!(text.contains("retry: 2000\n\n"));
    let kinds: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds, ["placed", "stock_reserved", "undo_started", "cancelled"]);
    let ids: Vec<_> = text.lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["1", "2", "3", "4"]);
    let data = text.lines().filter_map(|line| line.strip_prefix("data: ")).next_back().unwrap();
    let event: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!((event["version"].as_u64(), event["type"].as_str()), (Some(4), Some("cancelled")));

    // The header of a browser that comes back wins over the address that it first asked for.
    let rest = server.send(&format!("GET {path}?after=1"), &["Last-Event-ID: 3"], b"").await.ok();
    let text = String::from_utf8(rest.body).unwrap();
    assert!(text.contains("id: 4\n") && !text.contains("id: 3\n"), "{text}");
    let done = server.send(&format!("GET {path}"), &["Last-Event-ID: 4"], b"").await;
    assert_eq!((done.status, done.body.len()), (204, 0));
    let bad = server.send(&format!("GET {path}"), &["Last-Event-ID: x"], b"").await;
    assert_eq!((bad.status, bad.code().as_str()), (400, "invalid_request"));
}

#[tokio::test(flavor = "multi_thread")]
async fn silence_is_filled_and_draining_ends_it() {
    let world = World::new();
    let options = Options { track_keep_alive: Duration::from_millis(20), ..Options::default() };
    let server = Running::over(world.router_with(options), |_| ()).await;
    let order = placed(&server).await;
    let mut stream = follow(&server, &format!("/orders/{order}/track"), &[]).await;
    let mut heard = String::new();
    until(&mut stream, &mut heard, "event: placed\n").await;
    until(&mut stream, &mut heard, ": alive\n\n").await;
    world.lifecycle.drain();
    within(10, async {
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).await.unwrap();
    })
    .await;
    assert_eq!(within(10, server.drain()).await.cut, 0);
}
