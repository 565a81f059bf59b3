//! What an engine promises, as data: printed by `steadfast`, written into the docs by a test.

use std::time::Duration;

/// A promise, with the condition under which it holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Always.
    Yes,
    /// Only as the text says.
    If(&'static str),
    /// Not; the text says what happens instead.
    No(&'static str),
}

/// How waiting clients hear of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notification {
    /// The server tells them.
    Pushed,
    /// They ask again, at least so often.
    Polled(Duration),
}

/// The facts about an engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The engine's name, as in configuration and features.
    pub engine: &'static str,
    /// Every answer reflects all that was answered before it.
    pub linearizable: Answer,
    /// Turns come in the order of arrival.
    pub fair: Answer,
    /// Tokens rise in the order of turns, so the storage can refuse a stale holder.
    pub fenced: Answer,
    /// Entries and tokens survive a killed and restarted server.
    pub survives_restart: Answer,
    /// They survive the loss of the server that led, without a step back.
    pub survives_leader_loss: Answer,
    /// How a waiting client hears that it is its turn.
    pub notification: Notification,
    /// The shortest session.
    pub session_min: Duration,
    /// The longest session.
    pub session_max: Duration,
    /// What else must be known, in a sentence; empty when nothing.
    pub note: &'static str,
}
