//! Two dispatchers want the same zone; the first stalls, the second takes over, and the first
//! one's late write is refused.
//!
//! `cargo run -p steadfast-coordination --example zone`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use steadfast_coordination::{Embedded, Leases, MemoryTokens, Options};
use steadfast_fencing::memory::Fenced;
use steadfast_time::Clock;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let clock = Clock::system();
    let coordinator = Arc::new(Embedded::open(MemoryTokens::new(), clock.clone())?);
    let options = Options { length: Duration::from_millis(300), ..Options::default() };
    let leases = Leases::new(coordinator, clock.clone(), options)?;
    let assignments = Fenced::new(Vec::new());

    let first = leases.acquire("zone/7").await?;
    assignments.write(first.token(), |list| list.push("o-1 to c-1"))?;
    println!("first holder, token {}: {:?}", first.token(), assignments.read(Clone::clone));

    // It stalls here, and renews nothing.
    let second = leases.wait("zone/7").await?;
    assignments.write(second.token(), |list| list.push("o-2 to c-1"))?;
    println!("second holder, token {}: {:?}", second.token(), assignments.read(Clone::clone));

    println!("the first looks at its lease: {:?}", first.check());
    match assignments.write(first.token(), |list| list.push("o-3 to c-1")) {
        Err(stale) => println!("and if it does not look: {stale}"),
        Ok(()) => return Err("a stale write got in".into()),
    }
    Ok(())
}
