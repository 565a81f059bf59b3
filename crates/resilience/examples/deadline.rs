//! One deadline through three services, in simulated time.
//!
//! A browser gives a request 450 ms. The gateway spends some of it, the order service some more,
//! and what is left decides what is still worth doing. Then the same with a slow gateway.
//!
//! ```sh
//! cargo run -p steadfast-resilience --example deadline --features http
//! ```

use std::time::Duration;

use http::HeaderMap;
use steadfast_resilience::deadline::{Context, Deadline, Hop, wire};
use steadfast_time::Clock;
use steadfast_time::sim::Simulation;

const MAX: Duration = Duration::from_secs(30);

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn say(clock: &Clock, who: &str, what: &str) {
    println!("  {:>4} ms  {who:<8} {what}", clock.monotonic().since_start().as_millis());
}

/// Works for a while, with whatever the task that it runs in has left.
async fn work(clock: &Clock, who: &str, what: &str, needs: Duration) -> bool {
    let deadline = Context::current().deadline.unwrap_or(Deadline::within(clock.monotonic(), MAX));
    match deadline.check(clock.monotonic(), needs) {
        Ok(()) => {
            let left = deadline.left(clock.monotonic()).as_millis();
            say(clock, who, &format!("{what}: {left} ms left, {} needed", needs.as_millis()));
            clock.sleep(needs).await;
            true
        }
        Err(refused) => {
            say(clock, who, &format!("{what}: not begun, {refused}"));
            false
        }
    }
}

/// What travels between two processes: how long the caller waits, as a header.
fn header(clock: &Clock) -> HeaderMap {
    let mut headers = HeaderMap::new();
    if let Some(deadline) = Context::current().deadline {
        wire::write(&mut headers, deadline.left(clock.monotonic()));
    }
    headers
}

/// The order service: two calls at once, then the database.
async fn orders(clock: Clock, headers: HeaderMap) -> Result<(), wire::Malformed> {
    let now = clock.monotonic();
    let said = headers.get(&wire::TIMEOUT_MS).and_then(|it| it.to_str().ok()).unwrap_or("nothing");
    say(&clock, "orders", &format!("{}: {said}", wire::TIMEOUT_MS));
    // No more than its own budget, however long the caller would wait.
    let deadline = wire::read(&headers, now, MAX)?.unwrap_or(Deadline::within(now, MAX));
    let context = Context::until(deadline.hop(now, ms(350)));
    context
        .scope(async {
            let stock = work(&clock, "orders", "reserve stock", ms(80));
            let payment = work(&clock, "orders", "authorise payment", ms(95));
            let (stock, payment) = futures::join!(stock, payment);
            if stock && payment && work(&clock, "orders", "write the order", ms(120)).await {
                say(&clock, "orders", "201 Created");
            } else {
                say(&clock, "orders", "504: nothing that is begun in vain");
            }
        })
        .await;
    Ok(())
}

fn request(gateway_takes: Duration) -> Result<(), wire::Malformed> {
    println!(
        "\na request with 450 ms, {} ms of which the gateway takes:",
        gateway_takes.as_millis()
    );
    let mut sim = Simulation::new(1);
    let clock = sim.clock();
    sim.block_on(async move {
        let deadline = Deadline::within(clock.monotonic(), ms(450));
        let gateway = async {
            work(&clock, "gateway", "who is it, may he", gateway_takes).await;
            orders(clock.clone(), header(&clock)).await
        };
        Context::until(deadline).scope(gateway).await
    })
}

fn main() -> Result<(), wire::Malformed> {
    let calls = [Hop::new("stock", ms(100)), Hop::new("payment", ms(100))];
    let tree = Hop::new("request", ms(450)).in_turn([
        Hop::new("gateway", ms(100)),
        Hop::new("order service", ms(350)).in_turn([
            Hop::new("calls, in parallel", ms(100)).in_parallel(calls),
            Hop::new("database", ms(250)),
        ]),
    ]);
    println!("what each hop may spend:\n\n{}", tree.render());
    match tree.check().as_slice() {
        [] => println!("it adds up."),
        problems => problems.iter().for_each(|problem| println!("{problem}")),
    }
    request(ms(60))?;
    request(ms(250))?;
    request(ms(360))
}
