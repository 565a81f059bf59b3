//! The life of a client's session, as a pure state machine.
//!
//! It answers one question, "what is to be done now?" ([`Machine::next`]), and is told what came of
//! it. It reads no clock and asks no server: [`Keeper`](super::Keeper) does both.
//!
//! # When a session is lost
//!
//! The holder counts from the moment at which it *sent* the request that was answered, and stops
//! [`Options::margin`] before the length is over. The server counts from the moment at which it
//! took the request, which is later, so it stops later. From this follow the rules:
//!
//! - An answer that comes after the deadline opens or renews nothing.
//! - What is lost stays lost, whatever is still answered.
//! - A server that has longer sessions than were asked for changes nothing: the asked length counts.
//!
//! # How it is renewed
//!
//! After [`Options::renew_after`]; each try may take half of what is left, so that a connection
//! that hangs leaves time for another try, and one that is only slow is not cut short.

use std::sync::Arc;
use std::time::Duration;

use steadfast_time::Monotonic;

use crate::event::LossCause;
use crate::limits::{BACKOFF_MIN, CALL_MAX};
use crate::options::Options;
use crate::port::{Opened, SessionId};

/// A session that can be relied on until its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Live {
    pub(super) session: SessionId,
    /// When the last request was sent that was answered in time.
    pub(super) sent: Monotonic,
    /// Until when it may be relied on.
    pub(super) deadline: Monotonic,
    /// How long the server keeps it without a renewal.
    pub(super) length: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Due(Monotonic),
    Sent(Monotonic),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// There is none, and none may be asked for before that moment.
    None { not_before: Monotonic },
    /// One was asked for; before a quarantine, if it is stale.
    Opening { sent: Monotonic, stale: bool },
    /// There is one.
    Live(Live, Renewal),
    /// There will be none any more.
    Closed,
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Ask for a session, and report to [`Machine::opened`] by then.
    Open { limit: Duration },
    /// Renew this one, and report to [`Machine::renewed`] by then.
    Renew { session: SessionId, limit: Duration },
    /// Nothing before that moment, or before something is wanted.
    Wait(Option<Monotonic>),
    /// Nothing ever again.
    Done,
}

/// What has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// There is a session.
    Opened(Live),
    /// It lasts longer.
    Renewed(Live),
    /// It is lost; no cause when it was given back.
    Lost(Live, Option<LossCause>),
    /// The server has opened one that is of no use: it is to be closed.
    Useless(Opened),
}

/// See the module.
#[derive(Debug)]
pub(super) struct Machine {
    options: Options,
    phase: Phase,
    /// Whether anybody has asked for a session.
    wanted: bool,
    quarantined: Option<Arc<str>>,
    /// Attempts in a row that gave no session that could be renewed.
    failures: u32,
}

impl Machine {
    pub(super) fn new(options: Options) -> Self {
        let phase = Phase::None { not_before: Monotonic::default() };
        Self { options, phase, wanted: false, quarantined: None, failures: 0 }
    }

    /// The session that can be relied on, if there is one. [`Machine::tick`] first.
    pub(super) fn live(&self) -> Option<Live> {
        match self.phase {
            Phase::Live(live, _) => Some(live),
            _ => None,
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    pub(super) fn quarantined(&self) -> Option<&Arc<str>> {
        self.quarantined.as_ref()
    }

    /// Somebody wants a session. Says whether that is news.
    pub(super) fn want(&mut self) -> bool {
        !std::mem::replace(&mut self.wanted, true)
    }

    /// Nobody does, as far as is known: asking again would be in vain.
    pub(super) fn unwant(&mut self) {
        self.wanted = false;
    }

    /// What is to be done now. Call [`Machine::tick`] first.
    pub(super) fn next(&mut self, now: Monotonic) -> Next {
        match &mut self.phase {
            Phase::Closed => Next::Done,
            Phase::None { .. } if !self.wanted || self.quarantined.is_some() => Next::Wait(None),
            Phase::None { not_before } if now < *not_before => Next::Wait(Some(*not_before)),
            Phase::None { .. } => {
                self.phase = Phase::Opening { sent: now, stale: false };
                Next::Open { limit: self.options.call_limit() }
            }
            Phase::Opening { .. } => Next::Wait(None),
            Phase::Live(live, renewal) => match *renewal {
                Renewal::Due(due) if now >= due => {
                    *renewal = Renewal::Sent(now);
                    let left = live.deadline - now;
                    let limit = (left / 2).min(CALL_MAX).max(self.options.round_trip).min(left);
                    Next::Renew { session: live.session, limit }
                }
                Renewal::Due(due) => Next::Wait(Some(due.min(live.deadline))),
                Renewal::Sent(_) => Next::Wait(Some(live.deadline)),
            },
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Monotonic) -> Option<Change> {
        match self.phase {
            Phase::Live(live, _) if now >= live.deadline => {
                self.lose(live.session, now, Some(LossCause::Deadline))
            }
            _ => None,
        }
    }

    /// The answer to [`Next::Open`], now.
    pub(super) fn opened(&mut self, now: Monotonic, answer: Option<Opened>) -> Option<Change> {
        let Phase::Opening { sent, stale } = self.phase else {
            return answer.map(Change::Useless);
        };
        let deadline = sent + self.options.usable();
        match answer {
            Some(Opened { session, length }) if now < deadline && !stale => {
                let live = Live { session, sent, deadline, length };
                let due = sent + self.options.renew_after();
                self.phase = Phase::Live(live, Renewal::Due(due));
                Some(Change::Opened(live))
            }
            _ => {
                self.fail(now);
                answer.map(Change::Useless)
            }
        }
    }

    /// The answer to [`Next::Renew`], now: whether the server has renewed it.
    pub(super) fn renewed(
        &mut self,
        now: Monotonic,
        session: SessionId,
        answered: bool,
    ) -> Option<Change> {
        if let Some(lost) = self.tick(now) {
            return Some(lost);
        }
        let Phase::Live(live, renewal) = &mut self.phase else { return None };
        let Renewal::Sent(sent) = *renewal else { return None };
        if live.session != session {
            return None;
        }
        if answered {
            *live = Live { sent, deadline: sent + self.options.usable(), ..*live };
            *renewal = Renewal::Due(sent + self.options.renew_after());
            self.failures = 0;
            Some(Change::Renewed(*live))
        } else {
            let left = live.deadline - now;
            let pause = (self.options.renew_after() / 4).min(left / 4).max(BACKOFF_MIN);
            *renewal = Renewal::Due(now + pause);
            None
        }
    }

    /// It should be renewed at once: there is a doubt whether the server still has it.
    pub(super) fn doubt(&mut self, now: Monotonic, session: SessionId) {
        if let Phase::Live(live, renewal @ Renewal::Due(_)) = &mut self.phase
            && live.session == session
        {
            *renewal = Renewal::Due(now);
        }
    }

    /// A session is lost, if it is still the one there is. Another is opened when one is wanted.
    pub(super) fn lose(
        &mut self,
        session: SessionId,
        now: Monotonic,
        cause: Option<LossCause>,
    ) -> Option<Change> {
        let live = self.live().filter(|live| live.session == session)?;
        self.fail(now);
        Some(Change::Lost(live, cause))
    }

    fn fail(&mut self, now: Monotonic) {
        let pause = self.options.backoff(self.failures);
        self.failures = self.failures.saturating_add(1);
        self.phase = Phase::None { not_before: now + pause };
    }

    /// Gives up what there is, and takes nothing until [`Machine::readmit`].
    pub(super) fn quarantine(&mut self, now: Monotonic, reason: Arc<str>) -> Option<Change> {
        self.quarantined = Some(reason);
        match &mut self.phase {
            Phase::Live(live, _) => {
                let session = live.session;
                self.lose(session, now, Some(LossCause::Quarantine))
            }
            // Its deadline would be counted on the clock that cannot be relied on.
            Phase::Opening { stale, .. } => {
                *stale = true;
                None
            }
            Phase::None { .. } | Phase::Closed => None,
        }
    }

    /// Says whether it was quarantined.
    pub(super) fn readmit(&mut self) -> bool {
        self.quarantined.take().is_some()
    }

    /// Gives back what there is, for good.
    pub(super) fn close(&mut self) -> Option<Change> {
        let live = self.live();
        self.phase = Phase::Closed;
        live.map(|live| Change::Lost(live, None))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Monotonic {
        Monotonic::from_start(Duration::from_millis(ms))
    }

    /// Three seconds, of which 2.9 can be used; renewed after one.
    fn machine() -> Machine {
        let ms = Duration::from_millis;
        let options = Options {
            length: ms(3_000),
            round_trip: ms(97),
            drift_ppm: 1_000,
            ..Options::default()
        };
        Machine::new(options)
    }

    fn opened(session: u64) -> Option<Opened> {
        // The server rounds up: that changes nothing.
        Some(Opened { session: SessionId(session), length: Duration::from_secs(10) })
    }

    fn open(machine: &mut Machine, now: Monotonic, session: u64) -> Live {
        machine.want();
        assert!(matches!(machine.next(now), Next::Open { .. }));
        match machine.opened(now, opened(session)) {
            Some(Change::Opened(live)) => live,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn nothing_is_opened_before_it_is_wanted() {
        let mut machine = machine();
        assert_eq!(machine.next(at(0)), Next::Wait(None));
        assert!(machine.want());
        assert!(!machine.want());
        assert!(matches!(machine.next(at(5)), Next::Open { .. }));
        assert_eq!(machine.next(at(6)), Next::Wait(None), "one at a time");
    }

    #[test]
    fn a_session_counts_from_the_sending_of_the_request_and_of_the_asked_length() {
        let mut machine = machine();
        machine.want();
        machine.next(at(100));
        let change = machine.opened(at(900), opened(1));
        assert!(matches!(change, Some(Change::Opened(live)) if live.deadline == at(3_000)));
        assert_eq!(machine.next(at(900)), Next::Wait(Some(at(1_100))));
        assert!(matches!(machine.next(at(1_100)), Next::Renew { .. }));
        let change = machine.renewed(at(2_000), SessionId(1), true);
        assert!(matches!(change, Some(Change::Renewed(live)) if live.deadline == at(4_000)));
    }

    #[test]
    fn an_answer_after_the_deadline_opens_and_renews_nothing() {
        let mut machine = machine();
        machine.want();
        machine.next(at(0));
        assert_eq!(machine.opened(at(2_900), opened(1)), opened(1).map(Change::Useless));
        assert!(matches!(machine.next(at(4_000)), Next::Open { .. }));
        let Some(Change::Opened(_)) = machine.opened(at(4_000), opened(2)) else { panic!() };
        machine.next(at(5_000));
        let lost = machine.renewed(at(6_900), SessionId(2), true);
        assert!(matches!(lost, Some(Change::Lost(_, Some(LossCause::Deadline)))));
        assert_eq!(machine.renewed(at(6_901), SessionId(2), true), None, "lost is lost");
        assert_eq!(machine.live(), None);
    }

    #[test]
    fn a_hanging_renewal_leaves_time_for_more_and_none_goes_past_the_deadline() {
        let mut machine = machine();
        open(&mut machine, at(0), 1);
        let (mut now, mut tries) = (at(1_000), 0);
        while machine.tick(now).is_none() {
            now = match machine.next(now) {
                Next::Renew { limit, session } => {
                    tries += 1;
                    assert!(now + limit <= at(2_900), "{now:?} {limit:?}");
                    assert_eq!(
                        machine.renewed(now + limit, session, false).is_some(),
                        now + limit == at(2_900)
                    );
                    now + limit
                }
                Next::Wait(Some(until)) => until,
                Next::Open { .. } => break,
                other => panic!("{other:?}"),
            };
        }
        assert!(tries >= 4, "{tries}");
        assert_eq!(machine.live(), None);
    }

    #[test]
    fn a_renewal_may_take_a_round_trip_however_long_that_is() {
        let round_trip = Duration::from_secs(30);
        let length = Duration::from_secs(120);
        let mut machine = Machine::new(Options { length, round_trip, ..Options::default() });
        open(&mut machine, at(0), 1);
        let next = machine.next(at(40_000));
        assert!(matches!(next, Next::Renew { limit, .. } if limit >= round_trip), "{next:?}");
    }

    #[test]
    fn failures_are_followed_by_growing_pauses_with_a_bound() {
        let mut machine = machine();
        machine.want();
        let (mut now, mut pauses) = (at(0), Vec::new());
        for _ in 0..12 {
            assert!(matches!(machine.next(now), Next::Open { .. }));
            machine.opened(now, None);
            let Next::Wait(Some(until)) = machine.next(now) else { panic!() };
            pauses.push(until - now);
            now = until;
        }
        assert!(pauses.is_sorted());
        assert!(pauses[0] > Duration::ZERO && pauses[11] == Options::default().ask_every);
    }

    #[test]
    fn quarantine_gives_up_and_opens_nothing_until_it_ends() {
        let mut machine = machine();
        open(&mut machine, at(0), 1);
        let lost = machine.quarantine(at(10), "clock".into());
        assert!(matches!(lost, Some(Change::Lost(_, Some(LossCause::Quarantine)))));
        assert_eq!(machine.next(at(9_000)), Next::Wait(None));
        assert!(machine.readmit() && !machine.readmit());
        assert!(matches!(machine.next(at(9_000)), Next::Open { .. }));
        // One that is opened while the quarantine begins is not used.
        machine.quarantine(at(9_001), "clock".into());
        assert_eq!(machine.opened(at(9_002), opened(2)), opened(2).map(Change::Useless));
        // Nor when it has ended by then: it was timed by a clock that could not be relied on.
        assert!(machine.readmit());
        assert!(matches!(machine.next(at(9_500)), Next::Open { .. }));
        machine.quarantine(at(9_501), "clock".into());
        assert!(machine.readmit());
        assert_eq!(machine.next(at(9_502)), Next::Wait(None), "one at a time");
        assert_eq!(machine.opened(at(9_503), opened(3)), opened(3).map(Change::Useless));
        assert!(matches!(machine.next(at(9_999)), Next::Open { .. }));
        assert!(matches!(machine.opened(at(9_999), opened(4)), Some(Change::Opened(_))));
    }

    #[test]
    fn a_closed_one_stays_closed() {
        let mut machine = machine();
        let live = open(&mut machine, at(0), 1);
        assert_eq!(machine.close(), Some(Change::Lost(live, None)));
        machine.want();
        assert_eq!(machine.next(at(9_000)), Next::Done);
        assert_eq!(machine.opened(at(9_000), opened(2)), opened(2).map(Change::Useless));
        assert!(machine.is_closed());
    }

    #[test]
    fn only_the_session_that_is_meant_is_lost() {
        let mut machine = machine();
        open(&mut machine, at(0), 1);
        assert_eq!(machine.lose(SessionId(9), at(1), Some(LossCause::Server)), None);
        machine.doubt(at(1), SessionId(9));
        assert_eq!(machine.next(at(1)), Next::Wait(Some(at(1_000))));
        machine.doubt(at(1), SessionId(1));
        assert!(matches!(machine.next(at(1)), Next::Renew { .. }));
    }
}
