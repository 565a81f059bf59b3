//! The table of what each engine promises, as the documentation has it.
#![cfg(all(
    feature = "embedded",
    feature = "etcd",
    feature = "postgres",
    feature = "redis",
    feature = "zookeeper"
))]
#![allow(clippy::unwrap_used, reason = "a failed test is a panic")]

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use steadfast_coordination::engine::{embedded, etcd, memory, postgres, redis, zookeeper};
use steadfast_coordination::port::{Answer, Capabilities, Notification};

const ENGINES: [Capabilities; 6] = [
    embedded::Embedded::CAPABILITIES,
    etcd::Etcd::CAPABILITIES,
    zookeeper::ZooKeeper::CAPABILITIES,
    postgres::Postgres::CAPABILITIES,
    redis::Redis::CAPABILITIES,
    memory::Memory::CAPABILITIES,
];

fn answer(answer: Answer) -> String {
    match answer {
        Answer::Yes => "yes".to_owned(),
        Answer::If(condition) => format!("if {condition}"),
        Answer::No(instead) => format!("no: {instead}"),
    }
}

fn length(length: Duration) -> String {
    match (length.as_secs(), length.subsec_millis()) {
        (0, millis) => format!("{millis} ms"),
        (seconds, _) if seconds % 3_600 == 0 => format!("{} h", seconds / 3_600),
        (seconds, _) => format!("{seconds} s"),
    }
}

fn notification(notification: Notification) -> String {
    match notification {
        Notification::Pushed => "pushed".to_owned(),
        Notification::Polled(every) => format!("polled every {}", length(every)),
    }
}

type Column = (&'static str, fn(&Capabilities) -> String);

const COLUMNS: [Column; 9] = [
    ("engine", |engine| format!("`{}`", engine.engine)),
    ("linearizable", |engine| answer(engine.linearizable)),
    ("fair", |engine| answer(engine.fair)),
    ("fenced", |engine| answer(engine.fenced)),
    ("survives a restart", |engine| answer(engine.survives_restart)),
    ("survives the loss of its leader", |engine| answer(engine.survives_leader_loss)),
    ("waiters are", |engine| notification(engine.notification)),
    ("sessions", |engine| {
        format!("{} to {}", length(engine.session_min), length(engine.session_max))
    }),
    ("note", |engine| engine.note.to_owned()),
];

fn table() -> String {
    let mut table = String::from("\n");
    let mut row = |cells: &mut dyn Iterator<Item = String>| {
        let cells: Vec<String> = cells.collect();
        writeln!(table, "| {} |", cells.join(" | ")).unwrap();
    };
    row(&mut COLUMNS.iter().map(|(title, _)| (*title).to_owned()));
    row(&mut COLUMNS.iter().map(|_| "---".to_owned()));
    for engine in &ENGINES {
        row(&mut COLUMNS.iter().map(|(_, cell)| cell(engine)));
    }
    table
}

#[test]
fn the_table_of_capabilities_is_as_committed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/coordination.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (before, rest) = page.split_once("<!-- capabilities -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- /capabilities -->\n").unwrap();
    let expected =
        format!("{before}<!-- capabilities -->\n{}\n<!-- /capabilities -->\n{after}", table());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        return std::fs::write(&path, &expected).unwrap();
    }
    assert_eq!(page, expected, "`cargo xtask golden` writes it anew");
}
