//! What a message costs on one core, from the outbox to its mark: `cargo run --release -p
//! steadfast-messaging --example throughput`.
//!
//! Everything runs on one thread with the memory engine; what is measured is that thread's CPU
//! time where Linux tells it, else the time that passed. Three lines: only the commits of the
//! producer; with relay, bus, and a consumer that ignores everything (marks in batches); with a
//! consumer that commits an effect per message.

use std::error::Error;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use steadfast_journal::memory::Engine;
use steadfast_journal::{Journal, Message, Write};
use steadfast_messaging::consumer::Options;
use steadfast_messaging::{Consumer, Delivery, Embedded, Failure, Handled, Handler, Relay, relay};
use steadfast_time::{Clock, Uuid};

const MESSAGES: u64 = 200_000;
const KEYS: u64 = 5_000;
const PER_WRITE: u64 = 4;

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    CommitsOnly,
    Ignore,
    Effect,
}

struct Work {
    journal: Journal,
    mode: Mode,
}

impl Handler for Work {
    async fn handle(&self, delivery: &Delivery) -> Result<Handled, Failure> {
        match self.mode {
            Mode::Effect => delivery.commit(&self.journal, Write::default()).await,
            _ => Ok(Handled::Ignored),
        }
    }
}

fn message(number: u64) -> Message {
    Message {
        id: Uuid::from_u128(u128::from(number)),
        topic: "orders".into(),
        aggregate_type: "order".into(),
        aggregate_id: format!("0199c1a2-7e5b-7abc-8def-{:012}", number % KEYS),
        event_type: "placed".into(),
        sequence: number / KEYS + 1,
        payload: bytes::Bytes::from_static(b"{\"zone\":\"7\"}"),
    }
}

/// The time that this thread has spent on a processor.
fn cpu_time(clock: &Clock) -> Duration {
    let on_cpu = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse().ok());
    on_cpu.map_or(clock.monotonic().since_start(), Duration::from_nanos)
}

async fn run(mode: Mode) -> Result<f64, Box<dyn Error>> {
    let clock = Clock::system();
    let (journal, mut writer) = Journal::new(Engine::new(), clock.clone());
    let mut tasks = tokio::task::JoinSet::new();
    let handler = Work { journal: journal.clone(), mode };
    let consumer = Consumer::open(journal.clone(), clock.clone(), handler, Options::new("bench"))?;
    if mode != Mode::CommitsOnly {
        let bus = Arc::new(Embedded::default());
        for worker in consumer.subscribe(&*bus, &["orders"], 2)? {
            tasks.spawn(async move { drop(worker.run().await) });
        }
        bus.open();
        let relay = Relay::new(journal.clone(), bus, clock.clone(), relay::Options::default());
        tasks.spawn(async move { drop(relay.run(pending()).await) });
    }
    let producer = journal.clone();
    let begin = cpu_time(&clock);
    tasks.spawn(async move {
        let mut next = 0;
        while next < MESSAGES {
            // As many writers at once as a busy gateway has.
            let writes: Vec<_> = (0..64)
                .map(|write| {
                    let from = next + write * PER_WRITE;
                    let messages = (from..from + PER_WRITE).map(message).collect();
                    producer.commit(Write { messages, ..Write::default() })
                })
                .collect();
            next += 64 * PER_WRITE;
            futures::future::join_all(writes).await;
        }
    });
    let total = MESSAGES.div_ceil(64 * PER_WRITE) * 64 * PER_WRITE;
    loop {
        writer.run_once()?;
        tokio::task::yield_now().await;
        let stats = consumer.stats();
        let done = match mode {
            Mode::CommitsOnly => journal.stats().writes * PER_WRITE,
            Mode::Ignore => stats.ignored,
            Mode::Effect => stats.committed,
        };
        if done >= total {
            break;
        }
    }
    let took = cpu_time(&clock).saturating_sub(begin);
    tasks.abort_all();
    Ok(took.as_secs_f64() * 1e9 / total as f64)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let commits = run(Mode::CommitsOnly).await?;
    let ignored = run(Mode::Ignore).await?;
    let effects = run(Mode::Effect).await?;
    println!("commit only         {commits:6.0} ns/message");
    println!("… and delivered     {ignored:6.0} ns/message  (way: {:.0} ns)", ignored - commits);
    println!("… with an effect    {effects:6.0} ns/message  (way: {:.0} ns)", effects - commits);
    Ok(())
}
