//! Writing the rows of an accepted write.

use steadfast_time::Timestamp;

use super::Batch;
use super::check::Checked;
use crate::sqlite::fault::{Fault, Result, damaged};
use crate::sqlite::names::{Id, Key};
use crate::sqlite::state::{MARK_EVERY, StreamEnd};
use crate::sqlite::statements::Sql;
use crate::{
    Applied, Claim, Committed, Event, Hash, Head, Message, MessageRef, MessageStatus, OutboxChange,
    OutboxRow, Processed, RecordChange, Recorded, TimerChange, Version, Write,
};

/// Events that are compared with a message, to see whether it repeats one of them.
const LOOK_AHEAD: usize = 16;

impl Batch<'_> {
    /// Writes the rows of a write that has passed its checks.
    pub(super) fn store(&mut self, write: &Write, checked: Checked) -> Result<Applied> {
        if let Some(claim) = &write.claim {
            self.put_claim(claim, checked.digest, checked.expired)?;
        }
        let ids = write.processed.iter().filter_map(|processed| match processed {
            Processed { message: MessageRef::Id(id), .. } => Some(id),
            Processed {
                message: MessageRef::Sequence { .. } | MessageRef::UpTo { .. }, ..
            } => None,
        });
        for (id, consumer) in ids.zip(&checked.consumers) {
            let put = self.sql.get(Sql::PutId)?;
            put.execute((consumer, id.as_bytes(), write.at.as_micros()))?;
        }
        let count = write.appends.iter().map(|append| append.events.len()).sum();
        let mut events = Vec::with_capacity(count);
        let mut versions = Vec::with_capacity(write.appends.len());
        for (append, (key, before)) in write.appends.iter().zip(&checked.streams) {
            let (mut version, mut previous) = (Version(before.version), before.position);
            for new in &append.events {
                version = version.next();
                let recorded = Recorded {
                    position: self.state.head.position.next(),
                    stream: append.stream.clone(),
                    version,
                    kind: new.kind.clone(),
                    schema: new.schema,
                    at: write.at,
                    payload: new.payload.clone(),
                    hash: Hash::default(),
                };
                let event = self.put_event(key, recorded, previous)?;
                previous = event.position.0;
                events.push(event);
            }
            versions.push(version);
        }
        let mut outbox = Vec::with_capacity(write.messages.len());
        // Messages mostly come in the order of their events.
        let mut next = 0;
        for message in &write.messages {
            let mut ahead = events.iter().enumerate().skip(next).take(LOOK_AHEAD);
            let same = ahead.find(|(_, event)| says_the_same(message, event));
            if let Some((index, _)) = same {
                next = index + 1;
            }
            outbox.push(self.put_message(message, write.at, same.map(|(_, event)| event))?);
        }
        for change in &write.timers {
            match change {
                TimerChange::Set(timer) => {
                    let due = timer.due.as_micros();
                    self.sql.get(Sql::SetTimer)?.execute((&timer.id, due, &timer.payload[..]))?
                }
                TimerChange::Clear { id } => self.sql.get(Sql::ClearTimer)?.execute([id])?,
            };
        }
        for change in &write.records {
            self.put_record(change)?;
        }
        for change in &write.outbox {
            self.report(change, write.at)?;
        }
        let committed = Committed { head: self.state.head.position, versions };
        Ok(Applied { committed, events, outbox })
    }

    fn put_claim(&mut self, claim: &Claim, digest: i64, expired: Option<i64>) -> Result<()> {
        if let Some(row) = expired {
            self.sql.get(Sql::DropClaim)?.execute([row])?;
        }
        let response = &claim.response;
        self.sql.get(Sql::PutClaim)?.execute((
            digest,
            &claim.tenant,
            &claim.key,
            claim.fingerprint,
            claim.expires_at.as_micros(),
            response.status,
            &response.location,
            response.version.map(|version| version.0.cast_signed()),
            &response.body[..],
        ))?;
        Ok(())
    }

    fn put_event(&mut self, key: &Key, mut recorded: Recorded, previous: u64) -> Result<Event> {
        recorded.hash = Hash::of(self.state.head.hash, &recorded);
        self.sql.get(Sql::PutEvent)?.execute((
            recorded.position.0.cast_signed(),
            key,
            recorded.version.0.cast_signed(),
            &recorded.kind[..],
            recorded.schema,
            recorded.at.as_micros(),
            &recorded.payload[..],
            recorded.hash.0,
            previous.cast_signed(),
        ))?;
        if recorded.version.0.is_multiple_of(MARK_EVERY) {
            let (version, position) = (recorded.version.0, recorded.position.0);
            let put = self.sql.get(Sql::PutMark)?;
            put.execute((key, version.cast_signed(), position.cast_signed()))?;
        }
        self.state.head = Head { position: recorded.position, hash: recorded.hash };
        self.state.moved = true;
        Ok(Event::new(recorded))
    }

    fn put_message(
        &mut self,
        message: &Message,
        at: Timestamp,
        same: Option<&Event>,
    ) -> Result<OutboxRow> {
        let seq = self.state.outbox_seq + 1;
        let id = message.id.as_bytes();
        match same {
            Some(event) => {
                let position = event.position.0.cast_signed();
                let put = self.sql.get(Sql::PutReference)?;
                put.execute((seq.cast_signed(), id, &message.topic[..], position))?;
            }
            None => {
                self.sql.get(Sql::PutMessage)?.execute((
                    seq.cast_signed(),
                    id,
                    &message.topic[..],
                    at.as_micros(),
                    &message.aggregate_type[..],
                    Id(&message.aggregate_id),
                    &message.event_type[..],
                    message.sequence.cast_signed(),
                    &message.payload[..],
                ))?;
            }
        }
        self.state.outbox_seq = seq;
        self.state.moved = true;
        Ok(OutboxRow {
            seq,
            message: message.clone(),
            status: MessageStatus::Pending,
            retry_count: 0,
            created_at: at,
            published_at: None,
        })
    }

    fn put_record(&mut self, change: &RecordChange) -> Result<()> {
        let space = self.name(&change.space)?;
        match &change.value {
            Some(value) => {
                self.sql.get(Sql::PutRecord)?.execute((space, &change.key, &value[..]))?
            }
            None => self.sql.get(Sql::DropRecord)?.execute((space, &change.key))?,
        };
        Ok(())
    }

    /// What a write says of the outbox is about the rows that exist by then.
    fn report(&mut self, change: &OutboxChange, at: Timestamp) -> Result<()> {
        let last = self.state.outbox_seq;
        match change {
            OutboxChange::Published(rows) => {
                let rows = *rows.start()..=last.min(*rows.end());
                for new in self.state.published.add(rows) {
                    let (first, last) = (new.start().cast_signed(), new.end().cast_signed());
                    let put = self.sql.get(Sql::PutPublished)?;
                    put.execute((first, last, at.as_micros()))?;
                    self.state.moved = true;
                }
            }
            OutboxChange::Failed(row) if !self.state.published.contains(*row) => {
                let row = row.cast_signed();
                if self.sql.get(Sql::HasMessage)?.exists([row])? {
                    self.sql.get(Sql::Refuse)?.execute([row])?;
                }
            }
            OutboxChange::Failed(_) => {}
        }
        Ok(())
    }

    /// Writes what the batch has moved, once each.
    pub(super) fn settle(&mut self) -> Result<()> {
        let Self { sql, state } = self;
        state.streams.settle(|key, end| {
            let (version, position) = (end.version.cast_signed(), end.position.cast_signed());
            let stored = end.stored.cast_signed();
            // The last safety: a stream is where it was thought to be, or nothing is committed.
            let moved = if stored == 0 {
                sql.get(Sql::AddStream)?.execute((key, version, position))?
            } else {
                sql.get(Sql::MoveStream)?.execute((key, version, position, stored))?
            };
            if moved == 1 {
                Ok(StreamEnd { stored: end.version, ..end })
            } else {
                damaged(format!("the stream {key:?} is not at version {stored}, as it was"))
            }
        })?;
        state.fences.settle(|resource, token| {
            sql.get(Sql::PutFence)?.execute((resource, token.cast_signed()))?;
            Ok::<_, Fault>(token)
        })?;
        state.counters.settle(|counter, value| {
            sql.get(Sql::PutCounter)?.execute((counter, value))?;
            Ok::<_, Fault>(value)
        })?;
        state.sequences.settle(|(consumer, key), (sequence, at)| {
            let row = (consumer, key, sequence.cast_signed(), at.as_micros());
            sql.get(Sql::PutSequence)?.execute(row)?;
            Ok::<_, Fault>((sequence, at))
        })?;
        if std::mem::take(&mut state.moved) {
            self.put_head()?;
        }
        Ok(())
    }

    fn put_head(&mut self) -> Result<()> {
        let Head { position, hash } = self.state.head;
        let row = (
            position.0.cast_signed(),
            hash.0,
            self.state.outbox_seq.cast_signed(),
            self.state.published.low_water().cast_signed(),
        );
        self.sql.get(Sql::PutHead)?.execute(row)?;
        Ok(())
    }
}

/// Whether a message repeats an event, so that its row need only refer to it.
fn says_the_same(message: &Message, event: &Event) -> bool {
    message.sequence == event.version.0
        && message.aggregate_id == event.stream.key()
        && message.aggregate_type == event.stream.category()
        && message.event_type == event.kind
        && message.payload == event.payload
}
