//! The one call into C of this crate.
//!
//! The kernel tells its clock's error through `ntp_adjtime(2)` only, and neither `rustix` nor
//! `nix` wraps it; `clock-steering` wraps the setting of the error, not its reading. With `modes`
//! at zero the call changes nothing and needs no privilege (some container profiles refuse it all
//! the same, which is an error like any other).
#![allow(unsafe_code, reason = "no safe wrapper of ntp_adjtime(2) gives the maximum error")]

use std::io;
#[cfg(target_os = "linux")]
use std::time::Duration;

use super::Discipline;
#[cfg(target_os = "linux")]
use crate::interval::Offset;

/// Reads the kernel's clock discipline.
#[cfg(target_os = "linux")]
pub(super) fn read() -> io::Result<Discipline> {
    // SAFETY: `timex` is a plain C struct of integers, for which all zeros is a value.
    let mut timex: libc::timex = unsafe { std::mem::zeroed() };
    timex.modes = 0;
    // SAFETY: the pointer is to a live `timex` that nobody else has; the call writes only there.
    let state = unsafe { libc::ntp_adjtime(&raw mut timex) };
    if state == -1 {
        return Err(io::Error::last_os_error());
    }
    let micros = |value: libc::c_long| Duration::from_micros(u64::try_from(value).unwrap_or(0));
    let unit = if timex.status & libc::STA_NANO == 0 { 1_000 } else { 1 };
    Ok(Discipline {
        max_error: micros(timex.maxerror),
        pending: Offset::from_nanos((timex.offset as i64).saturating_mul(unit)),
        estimated_error: micros(timex.esterror),
        synchronized: state != libc::TIME_ERROR && timex.status & libc::STA_UNSYNC == 0,
        // Scaled parts per million, with 16 fractional bits.
        frequency_ppm: timex.freq as f64 / 65_536.0,
    })
}

/// Reads the kernel's clock discipline.
#[cfg(not(target_os = "linux"))]
pub(super) fn read() -> io::Result<Discipline> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "only Linux is known to tell"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_and_its_figures_are_possible() {
        let discipline = match read() {
            Ok(discipline) => discipline,
            // A container's profile may refuse; then it must be this and nothing else.
            Err(error) => {
                assert!(
                    matches!(error.raw_os_error(), Some(libc::EPERM | libc::ENOSYS)),
                    "{error}"
                );
                return;
            }
        };
        // NTP_PHASE_LIMIT is 16 s; the kernel lets the error grow to a little more.
        assert!(discipline.max_error <= Duration::from_secs(17), "{discipline:?}");
        // MAXPHASE is half a second.
        assert!(discipline.pending.abs() <= Duration::from_millis(500), "{discipline:?}");
        assert!(discipline.frequency_ppm.abs() <= 500.0, "{discipline:?}");
    }
}
