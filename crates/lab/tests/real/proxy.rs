//! What the proxy of bytes does to them.

use std::time::Duration;

use steadfast_lab::real::tcp_proxy::{Direction, Pace, Proxy};
use steadfast_time::Clock;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What is sent through a proxy comes back from an echo behind it.
async fn echo() -> (Proxy, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    let proxy = Proxy::to(server).await.unwrap();
    let client = TcpStream::connect(proxy.address().unwrap()).await.unwrap();
    client.set_nodelay(true).unwrap();
    (proxy, client)
}

async fn there_and_back(client: &mut TcpStream, bytes: usize) -> Duration {
    let clock = Clock::system();
    let start = clock.monotonic();
    let sent = vec![7; bytes];
    let mut heard = vec![0; bytes];
    let (mut from, mut to) = client.split();
    let (sending, hearing) = (to.write_all(&sent), from.read_exact(&mut heard));
    let (sent_all, heard_all) = tokio::join!(sending, hearing);
    sent_all.unwrap();
    heard_all.unwrap();
    assert_eq!(heard, sent);
    clock.monotonic() - start
}

#[tokio::test]
async fn bytes_are_late_and_slow_as_they_are_told_to_be() {
    let (proxy, mut client) = echo().await;
    let delay = Duration::from_millis(60);
    proxy.pace(Direction::Requests, Pace { delay, bytes_per_second: None });
    proxy.pace(Direction::Answers, Pace { delay: delay / 2, bytes_per_second: None });
    let took = there_and_back(&mut client, 1).await;
    assert!(took >= delay * 3 / 2 && took < delay * 10, "{took:?}");
    proxy.pace(Direction::Answers, Pace::default());
    let pace = Pace { bytes_per_second: Some(200_000.0), ..Pace::default() };
    proxy.pace(Direction::Requests, pace);
    let took = there_and_back(&mut client, 40_000).await;
    assert!(took >= Duration::from_millis(190) && took < Duration::from_secs(2), "{took:?}");
}

#[tokio::test]
async fn what_is_held_back_arrives_after_the_release() {
    let (proxy, mut client) = echo().await;
    proxy.hold(Direction::Answers);
    client.write_all(b"x").await.unwrap();
    let mut heard = [0];
    let clock = Clock::system();
    let early = clock.timeout(Duration::from_millis(100), client.read(&mut heard)).await;
    assert!(early.is_err(), "it passed");
    proxy.release(Direction::Answers);
    assert_eq!(client.read(&mut heard).await.unwrap(), 1);
    proxy.cut();
    assert_eq!(client.read(&mut heard).await.unwrap_or(0), 0, "it was not closed");
}
