//! The same rows through the journal.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use futures::future::try_join_all;
use steadfast_journal::{
    Append, Claim, Expected, Journal, Message, NewEvent, RecordChange, StoredResponse, StreamId,
    Version, Write, sqlite,
};
use steadfast_time::Clock;

use super::{ANSWER, Error, PLACED, RECORD, RESERVED, Sample, Samples, rate};
use crate::bench::as_f64;

/// Orders per second and the mean size of a batch, with `writers` callers at once.
pub(super) fn run(
    path: &Path,
    length: Duration,
    writers: usize,
    clock: &Clock,
) -> Result<(f64, f64), Error> {
    let engine = sqlite::Engine::open(path, sqlite::Options::default())?;
    let (journal, writer) = Journal::new(engine, clock.clone());
    let thread = writer.spawn("journal")?;
    let samples = Samples::new(clock);
    let started = clock.monotonic();
    let one = async || -> Result<u64, steadfast_journal::Error> {
        let mut orders = 0;
        while clock.monotonic() - started < length {
            journal.commit(write(&samples.next())).await?;
            orders += 1;
        }
        Ok(orders)
    };
    let callers = (0..writers).map(|_| one());
    let orders: u64 = futures::executor::block_on(try_join_all(callers))?.iter().sum();
    let took = clock.monotonic() - started;
    let stats = journal.stats();
    thread.stop()?;
    Ok((rate(orders, took), as_f64(stats.writes) / as_f64(stats.batches.max(1))))
}

fn write(sample: &Sample) -> Write {
    let Sample { id, key, at } = sample;
    let event = |kind, payload: &'static [u8]| NewEvent {
        kind: std::borrow::Cow::Borrowed(kind),
        schema: 1,
        payload: Bytes::from_static(payload),
    };
    let mut write = Write::at(*at);
    write.claim = Some(Claim {
        tenant: "public".to_owned(),
        key: key.clone(),
        fingerprint: [0x5A; 32],
        expires_at: *at + Duration::from_secs(86_400),
        response: StoredResponse {
            status: 201,
            location: None,
            version: Some(Version(1)),
            body: Bytes::from_static(ANSWER),
        },
    });
    write.appends.push(Append {
        stream: StreamId::of("order", *id),
        expected: Expected::Exactly(Version::NONE),
        events: vec![event("placed", PLACED), event("stock_reserved", RESERVED)],
    });
    write.messages.push(Message {
        id: *id,
        topic: "orders".into(),
        aggregate_type: "order".into(),
        aggregate_id: id.to_string(),
        event_type: "placed".into(),
        sequence: 1,
        payload: Bytes::from_static(PLACED),
    });
    write.records.push(RecordChange {
        space: "orders".into(),
        key: id.to_string(),
        value: Some(Bytes::from_static(RECORD)),
    });
    write
}
