//! Asks all servers again and again, and keeps the clock on what they agree on.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;

use super::discipline::Ntp;
use super::sample::{Refused, Sample};
use super::select::{Candidate, NoMajority, Selection, majority, select};
use crate::clock::Clock;
use crate::interval::Offset;
use crate::limits::NTP_SERVERS_MAX;
use crate::wall::Reading;

/// The answer to come of one server.
pub type Ask<'a> = Pin<Box<dyn Future<Output = Result<Sample, Error>> + Send + 'a>>;

/// Something that can ask NTP servers: [`Udp`](super::Udp), or a simulation.
///
/// An exchange is measured against `clock`, whose wall reading is its [`Clock::now`]; the poller
/// gives up by itself after [`Options::timeout`].
pub trait Servers: Send + Sync {
    /// Their names, for messages. Their number does not change.
    fn names(&self) -> &[String];

    /// Asks the server at a place in the list.
    fn ask<'a>(&'a self, server: usize, clock: &'a Clock, drift_ppm: u32) -> Ask<'a>;
}

/// Why a server gave no sample, or all of them no time.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No answer in time.
    #[error("no answer within {0:?}")]
    Silent(Duration),
    /// The network failed.
    #[error("cannot be asked: {0}")]
    Io(#[from] std::io::Error),
    /// The bytes are no NTP packet.
    #[error(transparent)]
    Malformed(#[from] super::packet::Malformed),
    /// The answer must not be used.
    #[error(transparent)]
    Refused(#[from] Refused),
    /// Too few agree: there is no time.
    #[error("{no_majority}{}", list(.details))]
    NoMajority {
        /// How many agree, and had to.
        no_majority: NoMajority,
        /// What each server that gave no sample said.
        details: Vec<(String, String)>,
    },
    /// The options make no sense.
    #[error("ntp: {0}")]
    Options(&'static str),
}

fn list(details: &[(String, String)]) -> String {
    details.iter().map(|(name, what)| format!("; {name}: {what}")).collect()
}

/// How servers are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often. Default: 64 s, NTP's shortest usual interval (RFC 5905, MINPOLL 6); public
    /// servers ask not to be asked more often.
    pub every: Duration,
    /// How long to wait for an answer. Default: 1 s. Slower ones would be useless: half of the
    /// round trip is error.
    pub timeout: Duration,
    /// How fast the bound grows between agreements, in parts per million. Default: 200, Google's
    /// assumption for its servers (6 ms in 30 s); crystals are good for 100 and worse when hot.
    pub drift_ppm: u32,
    /// How many servers must agree. Default: none, which means a majority of all that are
    /// configured, so that silence of honest ones gives liars no majority. With less, a majority
    /// of those that answer is needed all the same.
    pub quorum: Option<usize>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(64),
            timeout: Duration::from_secs(1),
            drift_ppm: 200,
            quorum: None,
        }
    }
}

/// What one round of asking came to.
#[derive(Debug)]
pub struct Round {
    /// What was agreed on, or why nothing was. The places are those of [`Servers::names`].
    pub agreed: Result<Selection, Error>,
    /// What each server said.
    pub answers: Vec<Result<Sample, Error>>,
}

/// Keeps an [`Ntp`] fresh: spawn [`Poller::run`].
pub struct Poller {
    servers: Arc<dyn Servers>,
    clock: Clock,
    options: Options,
    ntp: Ntp,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Poller").field("servers", &self.servers.names()).finish_non_exhaustive()
    }
}

impl Poller {
    /// Asks all servers once, over `clock` as the machine has it (such as [`Clock::system`]).
    /// Give the [`Ntp`] to [`Clock::disciplined`], and run the poller beside.
    ///
    /// # Errors
    /// [`Error`] when too few servers agree, or the options make no sense.
    pub async fn start(
        clock: Clock,
        servers: Arc<dyn Servers>,
        options: Options,
    ) -> Result<(Ntp, Self), Error> {
        let count = servers.names().len();
        if count == 0 || count > NTP_SERVERS_MAX {
            return Err(Error::Options(
                "1 to 16 servers are needed, 4 to survive a liar and a loss",
            ));
        }
        if options.every.is_zero() || options.timeout.is_zero() {
            return Err(Error::Options("the interval and the timeout must not be zero"));
        }
        let quorum = options.quorum.unwrap_or(majority(count));
        if quorum == 0 || quorum > count {
            return Err(Error::Options("a quorum is at least 1 and at most the number of servers"));
        }
        let (round, reading) = ask_all(&clock, &*servers, &options).await;
        let ntp = Ntp::new(reading, &round.agreed?, &options);
        Ok((ntp.clone(), Self { servers, clock, options, ntp }))
    }

    /// Asks again at each interval and tells `listen` what came of it. Without agreement the
    /// clock runs on, and its bound grows. Ends when it is dropped.
    pub async fn run(self, mut listen: impl FnMut(&Round)) {
        loop {
            self.clock.sleep(self.options.every).await;
            let (round, reading) = ask_all(&self.clock, &*self.servers, &self.options).await;
            if let Ok(selection) = &round.agreed {
                self.ntp.synchronize(reading, selection);
            }
            listen(&round);
        }
    }
}

/// One round, and the reading of our clock that its offsets are about.
async fn ask_all(clock: &Clock, servers: &dyn Servers, options: &Options) -> (Round, Reading) {
    // A clock that is counted from here: if the wall clock is stepped during the round, the
    // samples would otherwise be about different clocks.
    let start = Reading { monotonic: clock.monotonic(), wall: clock.now() };
    let steady = clock.disciplined(Arc::new(Steady(start)));
    let count = servers.names().len();
    let asks = (0..count).map(|server| {
        let ask = servers.ask(server, &steady, options.drift_ppm);
        let answer = steady.timeout(options.timeout, ask);
        async move { answer.await.unwrap_or(Err(Error::Silent(options.timeout))) }
    });
    let answers = join_all(asks).await;
    let now = clock.monotonic();
    let mut places = Vec::new();
    let mut candidates: Vec<Candidate> = Vec::new();
    for (place, answer) in answers.iter().enumerate() {
        if let Ok(sample) = answer {
            places.push(place);
            candidates.push(sample.candidate(now, options.drift_ppm));
        }
    }
    let quorum = options.quorum.unwrap_or(majority(count));
    let reading = Reading { monotonic: now, wall: clock.now() };
    let agreed = select(&candidates, quorum)
        .map(|selection| about(reading, start, placed(selection, &places)))
        .map_err(|no_majority| Error::NoMajority {
            no_majority,
            details: answers
                .iter()
                .zip(servers.names())
                .filter_map(|(answer, name)| {
                    Some((name.clone(), answer.as_ref().err()?.to_string()))
                })
                .collect(),
        });
    (Round { agreed, answers }, reading)
}

/// The selection with places in the list of servers instead of those that answered.
fn placed(mut selection: Selection, places: &[usize]) -> Selection {
    for index in selection.truechimers.iter_mut().chain(&mut selection.falsetickers) {
        *index = places[*index];
    }
    selection
}

/// The samples are about the clock counted from `start`; this makes the selection about the wall
/// clock as it is at `reading`.
fn about(reading: Reading, start: Reading, selection: Selection) -> Selection {
    let counted = start.wall + (reading.monotonic - start.monotonic);
    let stepped = Offset::between(counted, reading.wall);
    Selection {
        lowest: selection.lowest + stepped,
        highest: selection.highest + stepped,
        ..selection
    }
}

/// Counts dates on the monotonic clock from one reading on.
struct Steady(Reading);

impl crate::wall::Uncertainty for Steady {
    fn estimate(&self, reading: Reading) -> crate::wall::Estimate {
        let now = self.0.wall + (reading.monotonic - self.0.monotonic);
        let interval = crate::Interval { earliest: now, latest: now };
        crate::wall::Estimate { interval, status: crate::wall::Status::Assumed }
    }
}
