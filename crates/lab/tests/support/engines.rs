//! The servers that tests find by their variables.
#![allow(dead_code, reason = "each program uses a part of it")]

use steadfast_lab::real::engine::{Engine, Kind};

/// The variable that says where servers of a kind are, and the scheme of their addresses.
fn place(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::Embedded => ("STEADFAST_EMBEDDED", "unix"),
        Kind::Postgres => ("STEADFAST_POSTGRES", "postgres"),
        Kind::Etcd => ("STEADFAST_ETCD", "etcd"),
        Kind::Zookeeper => ("STEADFAST_ZOOKEEPER", "zookeeper"),
        Kind::Redis => ("STEADFAST_REDIS", "redis"),
        Kind::Redlock => ("STEADFAST_REDLOCK", "redlock"),
    }
}

/// An engine at what a variable of the tests holds: with or without a scheme, several with commas.
pub fn at(kind: Kind, address: &str) -> Engine {
    let bare: Vec<_> =
        address.split(',').map(|one| one.split_once("://").map_or(one, |(_, rest)| rest)).collect();
    let url = format!("{}://{}", place(kind).1, bare.join(","));
    Engine::parse(&url).unwrap().unwrap()
}

/// The engine of a kind, where there is one; says what is left out where there is none.
pub fn of(kind: Kind) -> Option<Engine> {
    let variable = place(kind).0;
    let Ok(address) = std::env::var(variable) else {
        eprintln!("left out: {variable} is not set");
        return None;
    };
    Some(at(kind, &address))
}
