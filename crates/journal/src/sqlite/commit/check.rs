//! What can refuse a write.

use rusqlite::OptionalExtension;
use steadfast_fencing::{FencingToken, HighWater};

use super::{Batch, Stop};
use crate::sqlite::claims;
use crate::sqlite::fault::Result;
use crate::sqlite::names::{Key, Name};
use crate::sqlite::rows;
use crate::sqlite::state::StreamEnd;
use crate::sqlite::statements::Sql;
use crate::{
    Append, Claim, Expected, Fence, Guard, MessageRef, Processed, Refusal, Version, Write,
};

/// What the checks have found out and storing the write needs again.
pub(super) struct Checked {
    /// The claim's digest.
    pub(super) digest: i64,
    /// The row of an expired claim that is in the way.
    pub(super) expired: Option<i64>,
    /// For each append, the stream's key and its end before.
    pub(super) streams: Vec<(Key, StreamEnd)>,
    /// For each mark by identifier, its consumer.
    pub(super) consumers: Vec<Name>,
}

impl Batch<'_> {
    /// Checks a write, and stages the values that it moves.
    pub(super) fn check(&mut self, write: &Write) -> std::result::Result<Checked, Stop> {
        let (digest, expired) = match &write.claim {
            Some(claim) => self.check_claim(write, claim)?,
            None => (0, None),
        };
        let mut consumers = Vec::new();
        for (index, processed) in write.processed.iter().enumerate() {
            self.check_processed(write, index, processed, &mut consumers)?;
        }
        if let Some(fence) = &write.fence {
            self.check_fence(fence)?;
        }
        let mut streams = Vec::with_capacity(write.appends.len());
        let mut last = self.state.head.position.0;
        for append in &write.appends {
            streams.push(self.check_append(append, &mut last)?);
        }
        for guard in &write.guards {
            self.check_guard(guard)?;
        }
        Ok(Checked { digest, expired, streams, consumers })
    }

    fn check_claim(
        &mut self,
        write: &Write,
        claim: &Claim,
    ) -> std::result::Result<(i64, Option<i64>), Stop> {
        let Claim { tenant, key, fingerprint, .. } = claim;
        let digest = claims::digest(tenant, key);
        let mut rows = self.sql.get(Sql::FindClaim)?.query([digest])?;
        while let Some(row) = rows.next()? {
            if claims::is_for(row, tenant, key)? {
                let (id, held) = claims::read(row)?;
                if held.expires_at <= write.at {
                    return Ok((digest, Some(id)));
                }
                let same = held.fingerprint == *fingerprint;
                let duplicate = || Refusal::Duplicate(Box::new(held));
                return Err(if same { duplicate() } else { Refusal::KeyReused }.into());
            }
        }
        Ok((digest, None))
    }

    fn check_processed(
        &mut self,
        write: &Write,
        index: usize,
        processed: &Processed,
        consumers: &mut Vec<Name>,
    ) -> std::result::Result<(), Stop> {
        let consumer = self.name(&processed.consumer)?;
        let seen = match &processed.message {
            MessageRef::Sequence { key, sequence } | MessageRef::UpTo { key, sequence } => {
                let mark = (consumer, self.key(key)?);
                let highest = self.highest(&mark)?;
                let seen = *sequence <= highest;
                if !seen {
                    self.state.sequences.set(mark, (*sequence, write.at));
                }
                seen && matches!(processed.message, MessageRef::Sequence { .. })
            }
            MessageRef::Id(id) => {
                let twice = || write.processed.iter().take(index).any(|other| other == processed);
                let find = self.sql.get(Sql::HasId)?;
                let seen = find.exists((id.as_bytes(), &consumer))? || twice();
                consumers.push(consumer);
                seen
            }
        };
        if seen {
            let (consumer, message) = (processed.consumer.to_string(), processed.message.clone());
            return Err(Refusal::AlreadyProcessed { consumer, message }.into());
        }
        Ok(())
    }

    fn highest(&mut self, mark: &(Name, Key)) -> Result<u64> {
        if let Some((highest, _)) = self.state.sequences.get(mark) {
            return Ok(highest);
        }
        let found: Option<i64> = self
            .sql
            .get(Sql::GetSequence)?
            .query_row((&mark.0, &mark.1), |row| row.get(0))
            .optional()?;
        Ok(found.map_or(0, i64::cast_unsigned))
    }

    fn check_fence(&mut self, fence: &Fence) -> std::result::Result<(), Stop> {
        let Fence { resource, token } = fence;
        let highest = match self.state.fences.get(resource) {
            Some(highest) => highest,
            None => {
                let find = self.sql.get(Sql::GetFence)?;
                let found: Option<i64> = find.query_row([resource], |row| row.get(0)).optional()?;
                let highest = found.map_or(0, i64::cast_unsigned);
                self.state.fences.learn(resource.clone(), highest);
                highest
            }
        };
        let mut mark = FencingToken::new(highest).map_or_else(HighWater::default, HighWater::at);
        match mark.admit(*token) {
            Ok(true) => self.state.fences.set(resource.clone(), token.get()),
            Ok(false) => {}
            Err(stale) => {
                return Err(Refusal::Stale { resource: resource.clone(), stale }.into());
            }
        }
        Ok(())
    }

    /// Checks an append, which will begin right after position `last`.
    fn check_append(
        &mut self,
        append: &Append,
        last: &mut u64,
    ) -> std::result::Result<(Key, StreamEnd), Stop> {
        let key = self.key(append.stream.as_str())?;
        let known = self.state.streams.get(&key);
        let end = match known {
            Some(end) => end,
            None => {
                let find = self.sql.get(Sql::GetStream)?;
                let found = find.query_row([&key], |row| {
                    let (version, position) = (rows::unsigned(row, 0)?, rows::unsigned(row, 1)?);
                    Ok(StreamEnd { version, position, stored: version })
                });
                found.optional()?.unwrap_or_default()
            }
        };
        if let Expected::Exactly(expected) = append.expected
            && expected.0 != end.version
        {
            if known.is_none() {
                // Whoever tries again should not cost another look-up.
                self.state.streams.learn(key, end);
            }
            return Err(Refusal::Conflict {
                stream: append.stream.clone(),
                expected: append.expected,
                actual: Version(end.version),
            }
            .into());
        }
        if !append.events.is_empty() {
            let count = append.events.len() as u64;
            *last += count;
            let moved = StreamEnd { version: end.version + count, position: *last, ..end };
            self.state.streams.set(key.clone(), moved);
        }
        Ok((key, end))
    }

    fn check_guard(&mut self, guard: &Guard) -> std::result::Result<(), Stop> {
        let Guard { counter, delta, bounds } = guard;
        let value = match self.state.counters.get(counter) {
            Some(value) => value,
            None => {
                let find = self.sql.get(Sql::GetCounter)?;
                let found: Option<i64> = find.query_row([counter], |row| row.get(0)).optional()?;
                self.state.counters.learn(counter.clone(), found.unwrap_or(0));
                found.unwrap_or(0)
            }
        };
        match value.checked_add(*delta) {
            Some(moved) if bounds.contains(&moved) => {
                if moved != value {
                    self.state.counters.set(counter.clone(), moved);
                }
                Ok(())
            }
            _ => Err(Refusal::OutOfBounds {
                counter: counter.clone(),
                value,
                delta: *delta,
                min: *bounds.start(),
                max: *bounds.end(),
            }
            .into()),
        }
    }
}
