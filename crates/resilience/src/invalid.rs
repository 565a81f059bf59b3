//! Settings that make no sense.

use std::borrow::Cow;
use std::fmt::Display;

/// A setting that makes no sense: which one, what it says, and what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{key} = {value}: must be {allowed}")]
pub struct Invalid {
    /// The setting's dotted path, for example `breaker.failure_rate`.
    pub key: Cow<'static, str>,
    /// What it is set to.
    pub value: String,
    /// What it may be set to.
    pub allowed: Cow<'static, str>,
}

impl Invalid {
    /// A mistake in `key`.
    pub fn new(
        key: &'static str,
        value: impl Display,
        allowed: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { key: Cow::Borrowed(key), value: value.to_string(), allowed: allowed.into() }
    }

    /// The same, in a section of something larger.
    #[must_use]
    pub fn within(mut self, section: &str) -> Self {
        self.key = Cow::Owned(format!("{section}.{}", self.key));
        self
    }
}
