//! How long it takes until another leads when the leader is killed.

use serde::Serialize;

use super::handover;
use super::options::Options;
use super::rig::Outcome;
use super::rig::engine::{Engine, Kind};
use super::rig::role::Again;
use super::rig::scratch::Scratch;
use super::rig::wire::Task;
use super::spread::Spread;

#[derive(Serialize)]
struct Election {
    engine: Kind,
    ttl_ms: u128,
    leader_election: Spread,
}

/// Measures and reports.
pub async fn measure(
    options: &Options,
    engine: &Engine,
    again: &Again,
    out: &Scratch,
) -> Outcome<bool> {
    let took = handover::killed(options, engine, Task::Lead, again, out).await?;
    let report = Election {
        engine: engine.kind,
        ttl_ms: options.length.as_millis(),
        leader_election: Spread::of(took),
    };
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        println!("engine           {}, sessions of {:?}", report.engine, options.length);
        println!("leader election  {}", report.leader_election);
    }
    Ok(true)
}
