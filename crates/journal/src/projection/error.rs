//! What can go wrong with a projection.

use std::borrow::Cow;

use super::ApplyError;
use crate::{Position, StorageError, StreamId, Version};

/// Why a projection stopped, or a view could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name is not one.
    #[error("{name:?} is not a projection's name: 1 to 100 of a-z, 0-9 and '-'")]
    Name {
        /// The name.
        name: String,
    },
    /// An event could not be applied. Everything before it has been; correct the projection and
    /// start it again, and it goes on with this event.
    #[error(
        "projection {projection} stopped at event {position} ({kind:?}, {stream}, version \
         {version}): {source}"
    )]
    Apply {
        /// The projection.
        projection: String,
        /// Where the event stands.
        position: Position,
        /// Its stream.
        stream: StreamId,
        /// Its version.
        version: Version,
        /// What happened.
        kind: Cow<'static, str>,
        /// What went wrong.
        #[source]
        source: ApplyError,
    },
    /// Another runner has moved this projection's checkpoint; only one may run.
    #[error("projection {projection} is run by somebody else, too; this runner has stopped")]
    Superseded {
        /// The projection.
        projection: String,
    },
    /// The view of this version is being built for the first time.
    #[error("projection {projection} is being built and cannot be read yet")]
    Building {
        /// The projection.
        projection: String,
    },
    /// The view did not reach the position in the time that was allowed.
    #[error("projection {projection} has not reached event {wanted} in time; it is at {position}")]
    Behind {
        /// The projection.
        projection: String,
        /// What was waited for.
        wanted: Position,
        /// How far it is.
        position: Position,
    },
    /// The runner has stopped; [`super::View::progress`] says why.
    #[error("projection {projection} is not running")]
    Stopped {
        /// The projection.
        projection: String,
    },
    /// The record about the projection itself is not readable.
    #[error("what is stored about projection {projection} is damaged: {source}")]
    Control {
        /// The projection.
        projection: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// A record of the view has another shape than asked for.
    #[error("record {key:?} of projection {projection} has another shape: {source}")]
    Shape {
        /// The projection.
        projection: String,
        /// The record's key.
        key: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
    /// The journal did not take what the projection had to write.
    #[error("projection {projection} could not commit: {source}")]
    Journal {
        /// The projection.
        projection: String,
        /// Why.
        #[source]
        source: crate::Error,
    },
    /// The storage failed.
    #[error("projection {projection} could not read: {source}")]
    Storage {
        /// The projection.
        projection: String,
        /// What failed.
        #[source]
        source: StorageError,
    },
}
