//! What comes back from a dependency, over whichever transport.

use http::{HeaderMap, StatusCode};
use steadfast_resilience::retry::status;
use steadfast_resilience::{Class, Classified};
use steadfast_time::Timestamp;

/// It was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// How many requests waited there when this one came.
    pub waiting: u32,
}

/// It was not done, or nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// An answer, but not the one that was wanted.
    #[error("{0}")]
    Status(StatusCode),
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// The connection ended without an answer: it may have been done.
    #[error("connection lost")]
    #[cfg_attr(not(feature = "real"), allow(dead_code, reason = "only sockets are cut off"))]
    Lost,
}

impl Failed {
    /// Whether it is certain that nothing was done.
    #[must_use]
    pub fn is_definite(self) -> bool {
        match self {
            // What a gateway says when its server does not answer.
            Self::Status(status) => {
                !matches!(status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT)
            }
            Self::Refused => true,
            Self::Lost => false,
        }
    }
}

impl Classified for Failed {
    fn class(&self) -> Class {
        match self {
            // None of the answers here carries a date, so any wall clock will do.
            Self::Status(status) => {
                status::class(*status, &HeaderMap::new(), Timestamp::from_millis(0))
            }
            Self::Refused | Self::Lost => Class::TRANSIENT,
        }
    }
}
