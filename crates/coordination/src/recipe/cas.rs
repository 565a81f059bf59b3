//! Compare-and-set, again and again, within bounds.

use std::time::Duration;

use super::watch::silent;
use crate::client::Client;
use crate::limits::{CAS_ATTEMPTS_MAX, CAS_PAUSE_MAX, CAS_PAUSE_MIN};
use crate::port::{Error, Name, Register};

/// What is to be done with what was read.
pub(super) enum Step<T> {
    /// Write this; if that succeeds, it is the outcome.
    Store(Vec<u8>, T),
    /// Nothing: this is the outcome.
    Done(T),
}

/// Why there is no outcome.
#[derive(Clone, Debug)]
pub(super) enum Failure {
    /// The engine refuses, or could not be asked; nothing was written.
    Engine(Error),
    /// Others were always faster; nothing was written.
    Contended { attempts: u32 },
    /// The last attempt may have been written, now or later.
    Unknown(Error),
}

/// Reads a register, lets `decide` say what to write, and writes it if nobody else has meanwhile;
/// from the start, otherwise.
///
/// An attempt whose answer was lost may have been written, or may be later, as long as the version
/// that it expects is the present one. The next reading shows it to `decide`, who has to recognise
/// it where that matters, and is told whether there is such an attempt.
pub(super) async fn change<T, E: From<Failure>>(
    client: &Client,
    register: &Name,
    mut decide: impl FnMut(Option<&Register>, bool) -> Result<Step<T>, E>,
) -> Result<T, E> {
    let (clock, options) = (client.clock(), client.options());
    let limit = options.call_limit();
    let (mut conflicts, mut failures) = (0_u32, 0_u32);
    // The version that an attempt expected of which nobody has said what came of it.
    let mut open: Option<(Option<u64>, Error)> = None;
    let mut last = Failure::Contended { attempts: CAS_ATTEMPTS_MAX };
    for _ in 0..CAS_ATTEMPTS_MAX {
        let loaded = client.coordinator().load(register);
        let loaded = match clock.timeout(limit, loaded).await {
            Ok(Ok(loaded)) => loaded,
            failed => {
                let error = failed.ok().and_then(Result::err).unwrap_or_else(|| silent(client));
                let is_final = !error.is_transient();
                last = Failure::Engine(error);
                if is_final {
                    break;
                }
                clock.sleep(options.backoff(failures)).await;
                failures += 1;
                continue;
            }
        };
        let version = loaded.as_ref().map(|register| register.version);
        let (value, outcome) = match decide(loaded.as_ref(), open.is_some())? {
            Step::Done(outcome) => return Ok(outcome),
            Step::Store(value, outcome) => (value, outcome),
        };
        if open.as_ref().is_some_and(|(expected, _)| *expected != version) {
            open = None;
        }
        let stored = client.coordinator().store(register, version, &value);
        let error = match clock.timeout(limit, stored).await {
            Ok(Ok(_)) => return Ok(outcome),
            Ok(Err(error)) => error,
            Err(_) => silent(client),
        };
        match error {
            Error::Conflict { .. } => {
                last = Failure::Contended { attempts: CAS_ATTEMPTS_MAX };
                clock.sleep(pause(client, conflicts)).await;
                conflicts += 1;
            }
            Error::Unavailable { .. } => {
                open = Some((version, error));
                clock.sleep(options.backoff(failures)).await;
                failures += 1;
            }
            error => {
                last = Failure::Engine(error);
                break;
            }
        }
    }
    Err(open.map_or(last, |(_, error)| Failure::Unknown(error)).into())
}

/// How long to stand back after so many conflicts: at random, so that those who met do not meet
/// again ("full jitter"), and at most twice as long each time.
fn pause(client: &Client, conflicts: u32) -> Duration {
    let factor = 1_u32.checked_shl(conflicts.min(31)).unwrap_or(u32::MAX);
    let most = CAS_PAUSE_MIN.saturating_mul(factor).min(CAS_PAUSE_MAX);
    let random = client.ids().next(client.clock().now()).as_u64_pair().1 & 0xFFFF;
    most * u32::try_from(random).unwrap_or(0) / 0x1_0000
}
