//! The same rows as one write, through the journal and its writer thread.

use std::cell::RefCell;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::executor::block_on;
use futures::future::join_all;
use steadfast_journal::{
    Append, Claim, Expected, Journal, Message, NewEvent, RecordChange, StoredResponse, StreamId,
    Version, Write, sqlite,
};
use steadfast_time::{Clock, Ids};

use crate::Outcome;

/// What is left of a row of 220 bytes for the payload, beside the identifiers.
const PAYLOAD_BYTES: usize = 180;

pub(crate) fn run(directory: &Path, callers: usize, length: Duration, clock: &Clock) -> Outcome {
    let path = directory.join(format!("journal-{callers}"));
    let engine = sqlite::Engine::open(&path, sqlite::Options::default()).unwrap();
    let (journal, writer) = Journal::new(engine, clock.clone());
    let thread = writer.spawn("journal").unwrap();
    let ids = Ids::seeded(1);
    let random = RefCell::new(fastrand::Rng::with_seed(2));
    let payload = Bytes::from(vec![b'x'; PAYLOAD_BYTES]);
    let latencies = RefCell::new(Vec::new());
    let start = clock.monotonic();
    let caller = || async {
        while clock.monotonic() - start < length {
            let write = order(&ids, &mut random.borrow_mut(), &payload, clock);
            let began = clock.monotonic();
            journal.commit(write).await.unwrap();
            latencies.borrow_mut().push(clock.monotonic() - began);
        }
    };
    block_on(join_all((0..callers).map(|_| caller())));
    let elapsed = clock.monotonic() - start;
    let stats = journal.stats();
    thread.stop().unwrap();
    Outcome {
        orders: stats.writes,
        elapsed,
        latencies: latencies.into_inner(),
        batch_mean: stats.writes as f64 / stats.batches as f64,
    }
}

fn order(ids: &Ids, random: &mut fastrand::Rng, payload: &Bytes, clock: &Clock) -> Write {
    let now = clock.now();
    let id = ids.next(now);
    let event =
        |kind: &'static str| NewEvent { kind: kind.into(), schema: 1, payload: payload.clone() };
    let mut write = Write::at(now);
    write.claim = Some(Claim {
        tenant: "t".into(),
        key: format!("{:032x}", random.u128(..)),
        fingerprint: [7; 32],
        expires_at: now + Duration::from_secs(86_400),
        response: StoredResponse {
            status: 201,
            location: None,
            version: Some(Version(2)),
            body: payload.clone(),
        },
    });
    write.appends.push(Append {
        stream: StreamId::of("order", id),
        expected: Expected::Exactly(Version::NONE),
        events: vec![event("placed"), event("accepted")],
    });
    write.messages.push(Message {
        id: ids.next(now),
        topic: "orders".into(),
        aggregate_type: "order".into(),
        aggregate_id: id.to_string(),
        event_type: "order-placed".into(),
        sequence: 1,
        payload: payload.clone(),
    });
    write.records.push(RecordChange {
        space: "orders".into(),
        key: id.to_string(),
        value: Some(payload.clone()),
    });
    write
}
