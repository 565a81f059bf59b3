//! Whether the process can take work, and why not.
//!
//! A load balancer asks `/readyz`; it must be told before connections start to fail. So the
//! phases come in this order: starting (recovering what is stored), ready, draining (finishing
//! what is at work, taking nothing new). Apart from that a part can be cut off: the journal's
//! disk failed, the coordinator is out of reach. And the whole node can be quarantined: its clock
//! cannot be relied on, so it holds no leases, until the clock is well again.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;

/// Where the process stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Recovering what is stored.
    #[default]
    Starting,
    /// At work.
    Ready,
    /// Finishing what is at work. There is no way back.
    Draining,
}

/// Whether work can be taken, as `/readyz` shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// Whether it can.
    pub ready: bool,
    /// Where the process stands.
    pub phase: Phase,
    /// Why it cannot, in words; empty when it can.
    pub reasons: Vec<String>,
}

#[derive(Debug, Default)]
struct State {
    phase: Phase,
    cut_off: BTreeMap<&'static str, String>,
    quarantined: Option<String>,
}

/// The one place where the process says how it is. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Lifecycle {
    state: Arc<watch::Sender<State>>,
}

impl Lifecycle {
    /// Everything is recovered: work can be taken. Does nothing while draining.
    pub fn ready(&self) {
        self.advance(Phase::Ready);
    }

    /// No more work is to be taken.
    pub fn drain(&self) {
        self.advance(Phase::Draining);
    }

    /// A part of the process cannot work.
    pub fn cut_off(&self, part: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::warn!(part, %reason, "cut off");
        self.state.send_modify(|state| {
            state.cut_off.insert(part, reason);
        });
    }

    /// The part works again.
    pub fn restored(&self, part: &'static str) {
        self.state.send_if_modified(|state| state.cut_off.remove(part).is_some());
    }

    /// The node may hold no leases: its clock cannot be relied on. Again, with another reason: that
    /// one counts.
    pub fn quarantined(&self, reason: impl Into<String>) {
        let reason = reason.into();
        tracing::warn!(%reason, "quarantined");
        self.state.send_modify(|state| state.quarantined = Some(reason));
    }

    /// The node may hold leases again.
    pub fn readmitted(&self) {
        let ended = self.state.send_if_modified(|state| state.quarantined.take().is_some());
        if ended {
            tracing::info!("readmitted");
        }
    }

    /// How it is now.
    #[must_use]
    pub fn readiness(&self) -> Readiness {
        let state = self.state.borrow();
        let mut reasons = Vec::new();
        match state.phase {
            Phase::Starting => reasons.push("starting: recovering what is stored".to_owned()),
            Phase::Ready => {}
            Phase::Draining => reasons.push("draining: no new work is taken".to_owned()),
        }
        let cut_off = state.cut_off.iter();
        reasons.extend(cut_off.map(|(part, reason)| format!("cut off: {part}: {reason}")));
        reasons.extend(state.quarantined.iter().map(|reason| format!("quarantined: {reason}")));
        Readiness { ready: reasons.is_empty(), phase: state.phase, reasons }
    }

    /// Completes once no more work is to be taken.
    pub fn draining(&self) -> impl Future<Output = ()> + Send + 'static {
        // Holding the sender keeps the channel open for as long as somebody waits.
        let (state, mut changes) = (Arc::clone(&self.state), self.state.subscribe());
        async move {
            let _ = changes.wait_for(|state| state.phase == Phase::Draining).await;
            drop(state);
        }
    }

    fn advance(&self, phase: Phase) {
        let moved = self.state.send_if_modified(|state| {
            let moved = phase > state.phase;
            state.phase = state.phase.max(phase);
            moved
        });
        if moved {
            tracing::info!(?phase, "entered");
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[test]
    fn it_says_why_it_is_not_ready() {
        let lifecycle = Lifecycle::default();
        assert!(!lifecycle.readiness().ready);
        lifecycle.ready();
        assert_eq!(lifecycle.readiness().reasons, Vec::<String>::new());
        lifecycle.cut_off("journal", "no room is left");
        let readiness = lifecycle.readiness();
        assert_eq!((readiness.ready, readiness.phase), (false, Phase::Ready));
        assert_eq!(readiness.reasons, ["cut off: journal: no room is left"]);
        lifecycle.restored("journal");
        assert!(lifecycle.readiness().ready);
    }

    #[test]
    fn a_quarantine_goes_away_again() {
        let lifecycle = Lifecycle::default();
        lifecycle.ready();
        lifecycle.quarantined("the wall clock jumped");
        lifecycle.quarantined("the clock is only sure to ±1s");
        let readiness = lifecycle.readiness();
        assert_eq!((readiness.ready, readiness.phase), (false, Phase::Ready));
        assert_eq!(readiness.reasons, ["quarantined: the clock is only sure to ±1s"]);
        lifecycle.readmitted();
        assert!(lifecycle.readiness().ready);
    }

    #[test]
    fn draining_is_final_and_heard() {
        let lifecycle = Lifecycle::default();
        let mut early = Box::pin(lifecycle.draining());
        assert_eq!((&mut early).now_or_never(), None);
        lifecycle.drain();
        lifecycle.ready();
        assert_eq!(lifecycle.readiness().phase, Phase::Draining);
        assert_eq!(early.now_or_never(), Some(()));
        assert_eq!(lifecycle.draining().now_or_never(), Some(()));
    }
}
