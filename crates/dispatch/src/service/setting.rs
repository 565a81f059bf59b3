//! Something that is set as a whole: a courier's shift, a zone's settings.

use std::borrow::Cow;

use bytes::Bytes;
use serde::Serialize;
use steadfast_journal::{Append, Expected, NewEvent, RecordChange, StreamId, Write};
use steadfast_time::Timestamp;

use super::Core;
use crate::Error;
use crate::order::Problem;

/// What kind of thing is set, and where it is kept.
pub(super) struct Setting {
    /// The category of its streams.
    pub(super) category: &'static str,
    /// The kind of its one event.
    pub(super) kind: &'static str,
    /// The records that hold the latest of each, for whoever starts later.
    pub(super) space: &'static str,
}

impl Setting {
    /// Commits the value as an event and as the record of `key`, in one write.
    pub(super) async fn put(
        &self,
        core: &Core,
        at: Timestamp,
        key: &str,
        value: &impl Serialize,
    ) -> Result<(), Error> {
        let json = serde_json::to_vec(value);
        let payload = json.map_err(|error| Problem::new("body", error.to_string()))?;
        let payload = Bytes::from(payload);
        let stream = StreamId::new(self.category, key)
            .map_err(|error| Problem::new("id", error.to_string()))?;
        let kind = Cow::Borrowed(self.kind);
        let event = NewEvent { kind, schema: 1, payload: payload.clone() };
        let mut write = Write::at(at);
        write.appends.push(Append { stream, expected: Expected::Any, events: vec![event] });
        write.records.push(RecordChange {
            space: Cow::Borrowed(self.space),
            key: key.to_owned(),
            value: Some(payload),
        });
        core.commit(write).await?;
        Ok(())
    }
}
