//! Short ways to make the parts of a write.

use bytes::Bytes;
use steadfast_fencing::FencingToken;
use steadfast_time::{Timestamp, Uuid};

use crate::{
    Append, Claim, Expected, Fence, Guard, Message, MessageRef, NewEvent, Processed, RecordChange,
    StoredResponse, StreamId, Timer, TimerChange, Version, Write,
};

/// A time, in milliseconds.
pub(super) fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(1_767_225_600_000 + ms)
}

/// An empty write, decided at a time in milliseconds.
pub(super) fn write(ms: i64) -> Write {
    Write::at(at(ms))
}

pub(super) fn stream(key: &str) -> StreamId {
    StreamId::new("order", key).expect("a stream's name")
}

pub(super) fn event(kind: &'static str) -> NewEvent {
    NewEvent { kind: kind.into(), schema: 1, payload: Bytes::from(format!("{{\"k\":\"{kind}\"}}")) }
}

pub(super) fn append(key: &str, expected: Expected, kinds: &[&'static str]) -> Append {
    let events = kinds.iter().map(|kind| event(kind)).collect();
    Append { stream: stream(key), expected, events }
}

/// A write of one event to one stream.
pub(super) fn placed(ms: i64, key: &str) -> Write {
    let mut write = write(ms);
    write.appends.push(append(key, Expected::Any, &["placed"]));
    write
}

pub(super) fn exactly(version: u64) -> Expected {
    Expected::Exactly(Version(version))
}

pub(super) fn response(body: &'static str) -> StoredResponse {
    StoredResponse {
        status: 201,
        location: Some("/orders/1".to_owned()),
        version: Some(Version(1)),
        body: Bytes::from_static(body.as_bytes()),
    }
}

pub(super) fn claim(tenant: &str, key: &str, fingerprint: u8, expires_ms: i64) -> Claim {
    Claim {
        tenant: tenant.to_owned(),
        key: key.to_owned(),
        fingerprint: [fingerprint; 32],
        expires_at: at(expires_ms),
        response: response("{\"ok\":true}"),
    }
}

pub(super) fn sequence(consumer: &'static str, key: &str, sequence: u64) -> Processed {
    let message = MessageRef::Sequence { key: key.to_owned(), sequence };
    Processed { consumer: consumer.into(), message }
}

pub(super) fn up_to(consumer: &'static str, key: &str, sequence: u64) -> Processed {
    let message = MessageRef::UpTo { key: key.to_owned(), sequence };
    Processed { consumer: consumer.into(), message }
}

pub(super) fn id(consumer: &'static str, number: u128) -> Processed {
    Processed { consumer: consumer.into(), message: MessageRef::Id(Uuid::from_u128(number)) }
}

pub(super) fn fence(resource: &str, token: u64) -> Fence {
    let token = FencingToken::new(token).expect("a token is not zero");
    Fence { resource: resource.to_owned(), token }
}

pub(super) fn guard(counter: &str, delta: i64, bounds: std::ops::RangeInclusive<i64>) -> Guard {
    Guard { counter: counter.to_owned(), delta, bounds }
}

pub(super) fn message(aggregate: &str, number: u64) -> Message {
    Message {
        id: Uuid::from_u128(u128::from(number)),
        topic: "orders".into(),
        aggregate_type: "order".into(),
        aggregate_id: aggregate.to_owned(),
        event_type: "placed".into(),
        sequence: number,
        payload: Bytes::from(format!("{{\"n\":{number}}}")),
    }
}

pub(super) fn set(name: &str, due_ms: i64, payload: &'static str) -> TimerChange {
    TimerChange::Set(timer(name, due_ms, payload))
}

pub(super) fn timer(name: &str, due_ms: i64, payload: &'static str) -> Timer {
    Timer { id: name.to_owned(), due: at(due_ms), payload: Bytes::from_static(payload.as_bytes()) }
}

pub(super) fn clear(name: &str) -> TimerChange {
    TimerChange::Clear { id: name.to_owned() }
}

pub(super) fn put(space: &'static str, key: &str, value: &'static str) -> RecordChange {
    let value = Some(Bytes::from_static(value.as_bytes()));
    RecordChange { space: space.into(), key: key.to_owned(), value }
}

pub(super) fn delete(space: &'static str, key: &str) -> RecordChange {
    RecordChange { space: space.into(), key: key.to_owned(), value: None }
}
