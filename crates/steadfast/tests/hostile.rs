//! What an operator's day brings: data that is damaged, foreign, newer or in use, a disk that is
//! full, ports that are taken, signals at the wrong time, a stdout that nobody reads.
//!
//! Each ends with a message that names what is wrong and where, with the right exit code, and
//! with every byte that was there before still there.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use steadfast_time::Clock;
use support::process::{Home, steadfast};
use support::{BENTO, contents, millis, pause};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// How long an end may take that has nothing to wait for.
const SOON: Duration = Duration::from_secs(15);

/// A data directory that has been used and properly closed.
async fn used() -> Home {
    let home = Home::new();
    let server = home.start().await;
    let mut client = server.client();
    for number in 0..5 {
        let reply = client.place(&format!("k{number}"), BENTO.as_bytes()).await.unwrap();
        assert_eq!(reply.status, 201, "{}", reply.text());
    }
    // Somebody takes them, so that every part has something to lose.
    let shift = json!({
        "location": { "x": 22_000, "y": 15_000 },
        "ends_at": Clock::system().now() + Duration::from_secs(3_600),
        "capacity": 100,
        "auto_accept": true,
    });
    let reply = client.json("PUT /couriers/c1/shift", &shift).await.unwrap();
    assert_eq!(reply.status, 200, "{}", reply.text());
    for _ in 0..400 {
        let held = client.get("/couriers/c1/assignments").await.unwrap().json();
        if held["assignments"].as_array().is_some_and(|held| held.len() == 5) {
            let status = server.stop(SOON).await.unwrap();
            assert_eq!(status.code(), Some(0), "{}", home.log());
            return home;
        }
        pause(millis(25)).await;
    }
    panic!("nobody takes the orders\n{}", home.log());
}

/// Starts on what is there: it must fail with words, and leave everything as it was.
async fn is_refused(home: &Home, words: &[&str]) {
    let before = contents(home.path("data").parent().unwrap());
    let (code, said) = home.refused().await;
    assert_eq!(code, Some(1), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    assert!(said.contains("error:") && !said.contains("panicked"), "{said}");
    assert!(said.lines().count() <= 3, "more than a message: {said}");
    for (path, bytes) in before {
        if path.ends_with("log") || path.ends_with("announcement") {
            continue;
        }
        let now = fs::read(&path).unwrap();
        assert!(now == bytes, "{} has been changed", path.display());
    }
}

fn overwrite(path: &Path, at: usize, with: &[u8]) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at..at + with.len()].copy_from_slice(with);
    fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn damage_is_named_and_nothing_is_overwritten() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm, &[&str]); 7] = [
        (
            "no database any more",
            |data| overwrite(&data.join("orders/journal.db"), 0, b"Hello, I am no database"),
            &["orders", "is damaged"],
        ),
        (
            "the same in a ledger",
            |data| overwrite(&data.join("payment/journal.db"), 0, b"Hello, I am no database"),
            &["payment", "is damaged"],
        ),
        (
            "half of it is missing",
            |data| {
                let path = data.join("stock/journal.db");
                let bytes = fs::read(&path).unwrap();
                fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
            },
            &["stock", "is damaged"],
        ),
        (
            "the coordination log is unreadable",
            |data| {
                for file in fs::read_dir(data.join("coordination")).unwrap() {
                    let path = file.unwrap().path();
                    if fs::metadata(&path).unwrap().len() > 8 {
                        overwrite(&path, 0, b"no log");
                    }
                }
            },
            &["coordination"],
        ),
        (
            "a newer version was here",
            |data| {
                let database = Connection::open(data.join("orders/journal.db")).unwrap();
                database.pragma_update(None, "user_version", 99).unwrap();
            },
            &["orders", "format 99", "newer"],
        ),
        (
            "another program's database",
            |data| {
                let path = data.join("orders/journal.db");
                fs::remove_file(&path).unwrap();
                let database = Connection::open(path).unwrap();
                database.execute_batch("CREATE TABLE photos (x); VACUUM;").unwrap();
            },
            &["orders", "is not a Steadfast journal"],
        ),
        (
            "a directory of somebody else",
            |data| {
                fs::remove_dir_all(data.join("stock")).unwrap();
                fs::create_dir(data.join("stock")).unwrap();
                fs::write(data.join("stock/prices.csv"), "bento,18000\n").unwrap();
            },
            &["stock/journal.db is missing"],
        ),
    ];
    for (name, harm, words) in harms {
        println!("{name}");
        let home = used().await;
        harm(&home.data());
        is_refused(&home, words).await;
    }
}

#[tokio::test]
async fn a_directory_that_is_not_ours_is_left_alone() {
    let home = Home::new();
    fs::write(home.data(), "a file").unwrap();
    is_refused(&home, &["data", "directory"]).await;

    let home = Home::new();
    fs::create_dir(home.data()).unwrap();
    fs::write(home.data().join("thesis.tex"), "\\begin{document}").unwrap();
    is_refused(&home, &["data", "thesis.tex"]).await;
    let names: Vec<_> = fs::read_dir(home.data()).unwrap().collect();
    assert_eq!(names.len(), 1, "something was made: {names:?}");

    // One journal of a data directory is not a data directory.
    let used = used().await;
    let home = Home::new();
    fs::rename(used.data().join("orders"), home.data()).unwrap();
    is_refused(&home, &["data", "journal.db"]).await;
}

#[tokio::test]
async fn a_part_that_is_missing_is_not_made_anew() {
    for part in ["stock", "payment", "orders", "coordination"] {
        println!("without {part}");
        let home = used().await;
        let path = home.data().join(part);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        is_refused(&home, &[part, "missing"]).await;
        assert!(!path.exists(), "{part} was made anew");
    }
}

#[tokio::test]
async fn an_altered_event_is_found_and_named() {
    let home = used().await;
    let (sound, said) = home.verify();
    assert!(sound, "{said}");
    let path = home.data().join("orders/journal.db");
    let mut bytes = fs::read(&path).unwrap();
    let found = bytes.windows(7).enumerate().filter(|(_, window)| *window == b"\"bento\"");
    let places: Vec<usize> = found.map(|(at, _)| at).collect();
    // In the events, and in what was made from them.
    for at in places {
        bytes[at + 2] = b'E';
    }
    fs::write(&path, bytes).unwrap();
    let before = contents(&home.data());
    let (sound, said) = home.verify();
    assert!(!sound && said.contains("event ") && said.contains("orders"), "{said}");
    for (path, bytes) in before {
        assert!(fs::read(&path).unwrap() == bytes, "{} has been changed", path.display());
    }
}

#[tokio::test]
async fn data_that_is_in_use_stays_with_the_first() {
    let home = Home::new();
    let server = home.start().await;
    let mut client = server.client();
    let first = client.place("before", BENTO.as_bytes()).await.unwrap();
    assert_eq!(first.status, 201, "{}", first.text());
    let (code, said) = home.refused().await;
    assert_eq!(code, Some(1), "{said}");
    let path = home.data().display().to_string();
    assert!(said.contains(&path) && said.contains("in use by another process"), "{said}");
    let (sound, said) = home.verify();
    assert!(!sound && said.contains("in use by another process"), "{said}");

    let again = client.place("before", BENTO.as_bytes()).await.unwrap();
    assert_eq!((again.status, again.body), (200, first.body));
    let more = client.place("after", BENTO.as_bytes()).await.unwrap();
    assert_eq!(more.status, 201, "{}", more.text());
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    let (sound, said) = home.verify();
    assert!(sound, "{said}");
}

#[tokio::test]
async fn a_full_disk_ends_it_with_words_and_keeps_what_was_answered() {
    let home = Home::with("[sqlite]\nsize_max = \"600KiB\"\n");
    let server = home.start().await;
    let mut client = server.client();
    let mut answered = BTreeMap::new();
    let mut refused = None;
    for number in 0..20_000 {
        let key = format!("k{number}");
        match client.place(&key, BENTO.as_bytes()).await {
            Ok(reply) if reply.status == 201 => {
                answered.insert(key, reply.body);
            }
            Ok(reply) => {
                refused = Some(reply);
                break;
            }
            Err(_) => break,
        }
    }
    assert!(answered.len() > 10, "only {} orders fit", answered.len());
    if let Some(reply) = refused {
        assert!([503, 504].contains(&reply.status), "{} {}", reply.status, reply.text());
    }
    let mut process = server.process;
    let status = process.ended_within(Duration::from_secs(30)).await;
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", home.log());
    let said = home.log();
    let path = home.data().display().to_string();
    assert!(said.contains("no room is left") && said.contains(&path), "{said}");

    let (sound, said) = home.verify();
    assert!(sound, "{said}");
    // Still full: it ends again as soon as it has something to write.
    let mut again = home.spawn().child;
    let status = again.ended_within(Duration::from_secs(30)).await;
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", home.log());
    let (sound, said) = home.verify();
    assert!(sound, "{said}");
    home.configure("");
    let server = home.start().await;
    let mut client = server.client();
    for (key, body) in answered {
        let reply = client.place(&key, BENTO.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.body), (200, body), "{key}");
    }
    let reply = client.place("there is room", BENTO.as_bytes()).await.unwrap();
    assert_eq!(reply.status, 201, "{}", reply.text());
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
}

#[tokio::test]
async fn an_address_that_is_taken_is_named_before_anything_is_made() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for flag in ["--listen", "--admin"] {
        let home = Home::new();
        let other = if flag == "--listen" { "--admin" } else { "--listen" };
        let mut command = steadfast();
        command.arg("up").arg("--data").arg(home.data());
        let output = command.args([flag, &address, other, "127.0.0.1:0"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains(&address) && said.contains("listen"), "{said}");
        assert!(output.stdout.is_empty() && !home.data().exists(), "{said}");
    }
}

#[tokio::test]
async fn what_is_asked_for_wrongly_is_code_2_and_makes_nothing() {
    let home = Home::with("[dispatch]\nofer_timeout = \"3s\"\n");
    let output = home.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    for word in ["steadfast.toml:2", "ofer_timeout", "did you mean \"dispatch.offer_timeout\"?"] {
        assert!(said.contains(word), "{word:?} is missing in: {said}");
    }
    let wrong: [&[&str]; 4] = [
        &["--lisen", "127.0.0.1:0"],
        &["--listen", "127.0.0.1:99999"],
        &["--listen", "0.0.0.0:0"],
        &["surplus"],
    ];
    for arguments in wrong {
        let output = steadfast().arg("up").arg("--data").arg(home.data()).args(arguments).output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{output:?}");
    }
    assert!(!home.data().exists());
}

/// A request whose body never comes.
async fn unfinished_request(address: std::net::SocketAddr) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = b"POST /orders HTTP/1.1\r\nHost: t\r\nContent-Type: application/json\r\n\
                 Idempotency-Key: k\r\nContent-Length: 500\r\n\r\n{";
    stream.write_all(head).await.unwrap();
    pause(millis(300)).await;
    stream
}

#[tokio::test]
async fn a_second_signal_ends_it_at_once() {
    let clock = Clock::system();
    let home = Home::with("[http]\ndrain_timeout = \"60s\"\n");
    let server = home.start().await;
    let placed = server.client().place("k1", BENTO.as_bytes()).await.unwrap();
    let _busy = unfinished_request(server.public).await;
    let mut process = server.process;
    process.signal("TERM");
    assert_eq!(process.ended_within(millis(1_000)).await, None, "{}", home.log());
    let second = clock.monotonic();
    process.signal("INT");
    let status = process.ended_within(SOON).await;
    let took = clock.monotonic() - second;
    assert_eq!(status.and_then(|status| status.code()), Some(1), "{}", home.log());
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert!(home.log().contains("ended at once, as told"), "{}", home.log());
    let server = home.start().await;
    let again = server.client().place("k1", BENTO.as_bytes()).await.unwrap();
    assert_eq!((again.status, again.body), (200, placed.body));
}

#[tokio::test]
async fn a_client_that_never_finishes_does_not_hold_up_the_end() {
    let home = Home::with("[http]\ndrain_timeout = \"1s\"\n");
    let server = home.start().await;
    let _busy = unfinished_request(server.public).await;
    let status = server.stop(Duration::from_secs(8)).await;
    assert_eq!(status.and_then(|status| status.code()), Some(0), "{}", home.log());
}

#[tokio::test]
async fn ctrl_c_while_starting_leaves_nothing_half_made() {
    use std::os::unix::process::ExitStatusExt;

    let home = Home::new();
    let mut early = 0;
    for delay in (0..300).step_by(20) {
        let mut starting = home.spawn();
        pause(millis(delay)).await;
        starting.child.signal("INT");
        let status = starting.child.ended_within(SOON).await;
        let status = status.unwrap_or_else(|| panic!("{delay} ms: no end\n{}", home.log()));
        // Before the program can listen to it, the signal is the system's.
        let by_signal = status.signal() == Some(2);
        assert!(by_signal || status.code() == Some(0), "{delay} ms: {status}\n{}", home.log());
        early += u32::from(by_signal);
    }
    println!("{early} of 15 ended before the program had begun to listen");
    let server = home.start().await;
    let placed = server.client().place("k", BENTO.as_bytes()).await.unwrap();
    assert_eq!(placed.status, 201, "{}", placed.text());
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    let (sound, said) = home.verify();
    assert!(sound, "{said}");
}

/// A port that is free now.
fn free_port() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn nobody_has_to_read_what_it_says() {
    // Closed, a pipe whose reader has left, and a device that is full.
    let ways: [(&str, bool); 3] = [
        ("exec \"$0\" \"$@\" >&-", true),
        ("exec \"$0\" \"$@\" > >(exec true)", true),
        ("exec \"$0\" \"$@\" >/dev/full", false),
    ];
    for (script, serves) in ways {
        let home = Home::new();
        let address = free_port();
        let mut command = std::process::Command::new("bash");
        command.args(["-c", &format!("sleep 0.1; {script}"), support::process::STEADFAST]);
        command.args(["up", "--admin", "127.0.0.1:0", "--listen", &address]);
        command.arg("--data").arg(home.data()).env("NO_COLOR", "1").stdin(Stdio::null());
        let mut starting = home.spawn_as(command);
        let address: std::net::SocketAddr = address.parse().unwrap();
        if serves {
            let mut client = support::http::Client::new(address);
            let mut reply = client.place("k", BENTO.as_bytes()).await;
            for _ in 0..200 {
                if reply.is_ok() {
                    break;
                }
                pause(millis(50)).await;
                reply = client.place("k", BENTO.as_bytes()).await;
            }
            let reply = reply.unwrap_or_else(|e| panic!("{script}: {e}\n{}", home.log()));
            assert_eq!(reply.status, 201, "{script}: {}", reply.text());
            starting.child.signal("TERM");
        }
        let status = starting.child.ended_within(SOON).await.unwrap();
        let expected = if serves { 0 } else { 1 };
        assert_eq!(status.code(), Some(expected), "{script}\n{}", home.log());
        let words = if serves { "stopped; " } else { "cannot write to stdout" };
        assert!(home.log().contains(words), "{script}\n{}", home.log());
    }
}

#[tokio::test]
async fn a_relative_and_a_deep_directory_are_made_where_they_are_meant() {
    let home = Home::new();
    let mut command = steadfast();
    command.args(["--json", "up", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
    command.args(["--data", "a/b/../c"]).current_dir(home.path(""));
    fs::create_dir_all(home.path("a/b")).unwrap();
    let server = home.spawn_as(command).ready().await.unwrap();
    assert_eq!(server.stop(SOON).await.unwrap().code(), Some(0), "{}", home.log());
    let made: PathBuf = home.path("a/c/orders/journal.db");
    assert!(made.is_file(), "{}", home.log());
}
