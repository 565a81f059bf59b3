//! An order that is copied looks like the one that it was copied from.

use bytes::Bytes;
use steadfast_journal::{Journal, memory};

use super::*;

fn commit(journal: &Journal, write: Write) {
    futures::executor::block_on(journal.commit(write)).unwrap();
}

/// An order as the platform leaves it: two streams, a message per event, a key, a mark.
fn finished(name: Uuid, key: &str) -> Write {
    let mut write = Write::at(Timestamp::from_millis(1_000));
    let event = |kind: &'static str| NewEvent {
        kind: kind.into(),
        schema: 1,
        payload: Bytes::from(format!("{{\"trip\":[\"{name}\"],\"n\":\"{name}.1\"}}")),
    };
    let streams = [("order", vec!["placed", "delivered"]), ("saga", vec!["started"])];
    for (category, kinds) in streams {
        write.appends.push(Append {
            stream: StreamId::of(category, name),
            expected: Expected::Exactly(Version::NONE),
            events: kinds.into_iter().map(event).collect(),
        });
    }
    for (sequence, kind) in [(1, "placed"), (2, "delivered")] {
        write.messages.push(Message {
            id: Uuid::from_u128(u128::from(sequence)),
            topic: order::TOPIC.into(),
            aggregate_type: "order".into(),
            aggregate_id: name.to_string(),
            event_type: kind.into(),
            sequence,
            payload: event(kind).payload,
        });
    }
    write.claim = Some(Claim {
        tenant: "public".into(),
        key: key.into(),
        fingerprint: [1; 32],
        expires_at: Timestamp::from_millis(1_000_000),
        response: StoredResponse {
            status: 201,
            location: Some(format!("/orders/{name}")),
            version: Some(Version(1)),
            body: Bytes::from(format!("{{\"id\":\"{name}\"}}")),
        },
    });
    let message = MessageRef::Sequence { key: format!("{}/{name}", order::TOPIC), sequence: 2 };
    write.processed.push(Processed { consumer: saga::CONSUMER.into(), message });
    write
}

#[test]
fn a_copy_differs_from_its_pattern_in_its_name_only() {
    let clock = Clock::system();
    let engine = memory::Engine::recover(memory::Disk::new());
    let (journal, writer) = Journal::new(engine, clock);
    let _thread = writer.spawn("journal").unwrap();
    let (old, other, new) = (Uuid::from_u128(7), Uuid::from_u128(8), Uuid::from_u128(9));
    commit(&journal, finished(other, "b"));
    commit(&journal, finished(old, "a"));

    let now = Timestamp::from_millis(2_000);
    let orders = [(old, "a".to_owned())];
    let patterns = read_store(journal.store(), &orders, now).unwrap();
    let write = patterns[0].stamp(new, now, &Ids::seeded(1));
    let expected = finished(new, "a");
    assert_eq!(write.appends, expected.appends);
    assert_eq!(write.processed, expected.processed);
    let claim = write.claim.clone().unwrap();
    assert_eq!(claim.response, expected.claim.unwrap().response);
    assert_eq!(claim.key.len(), 32);
    let sent: Vec<_> = write.messages.iter().map(|m| (m.sequence, m.payload.clone())).collect();
    let wanted: Vec<_> =
        expected.messages.iter().map(|m| (m.sequence, m.payload.clone())).collect();
    assert_eq!(sent, wanted);
    // Nothing of it collides with what is there.
    commit(&journal, write);
    commit(&journal, patterns[0].stamp(Uuid::from_u128(10), now, &Ids::seeded(2)));
}
