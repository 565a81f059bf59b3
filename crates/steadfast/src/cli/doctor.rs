//! `doctor`
//!
//! Leases and timeouts rest on what a machine does at its worst: how far its clock may be off, how
//! long a process stands still, how long the disk takes. Here all three are measured, and what
//! follows from them is said.

use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use steadfast_journal::sqlite::disk::SyncLatency;
use steadfast_time::ntp::{self, Candidate, Selection, Servers as _, Udp};
use steadfast_time::stall::{self, Detector};
use steadfast_time::wall::DEFAULT_ERROR;
use steadfast_time::wall::kernel::Discipline;
use steadfast_time::{Clock, Offset};

use super::{Failure, Out};
use crate::bench::probe;
use crate::config::value::Servers;

/// How long stalls are watched for. Most of it is spent on the disk anyway.
const WATCH: Duration = Duration::from_secs(1);

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  steadfast doctor --data /var/lib/steadfast
  steadfast doctor --ntp a.example --ntp b.example --ntp c.example --ntp d.example")]
pub struct Args {
    /// A directory on the disk to measure.
    #[arg(long, value_name = "DIR", default_value = ".")]
    data: PathBuf,
    /// An NTP server to compare the clock with; four survive a liar and a loss.
    #[arg(long, value_name = "HOST[:PORT]")]
    ntp: Vec<String>,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let clock = Clock::system();
        let servers = Servers::new(self.ntp)
            .map_err(|problem| Failure::Usage(format!("--ntp: {problem}")))?;
        let runtime = crate::runtime::build()
            .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
        let started = clock.monotonic();
        let detector = Detector::start(clock.clone(), stall::Options::default())
            .map_err(|error| Failure::failed(format!("cannot watch for stalls: {error}")))?;
        let sync = probe::disk(&self.data, &clock).map_err(|error| {
            Failure::failed(format!("cannot measure the disk at {}: {error}", self.data.display()))
        })?;
        let ntp = runtime.block_on(async {
            let ntp = Ntp::ask(servers, &clock).await;
            clock.sleep_until(started + WATCH).await;
            ntp
        });
        let stalls = detector.stalls();
        let report = Report {
            kernel: Discipline::read().map_err(|error| error.to_string()),
            ntp,
            watched: clock.monotonic() - started,
            stalls: stalls.count(),
            stall_p99: stalls.p99(),
            stall_max: stalls.max(),
            sync,
        };
        if out.json() { out.document(&report.document()) } else { report.print(out) }
    }
}

/// What the servers say.
struct Ntp {
    answers: Vec<(String, Result<Candidate, String>)>,
    agreed: Result<Selection, String>,
}

impl Ntp {
    /// Asks each server once; nothing when there are none.
    async fn ask(servers: Servers, clock: &Clock) -> Option<Self> {
        if servers.get().is_empty() {
            return None;
        }
        let options = ntp::Options::default();
        let (udp, names) = (Udp::new(servers.get()), servers.get());
        let asks = (0..names.len()).map(|place| {
            let answer = clock.timeout(options.timeout, udp.ask(place, clock, options.drift_ppm));
            async move {
                match answer.await {
                    Ok(Ok(sample)) => Ok(sample.candidate(clock.monotonic(), options.drift_ppm)),
                    Ok(Err(error)) => Err(error.to_string()),
                    Err(late) => Err(late.to_string()),
                }
            }
        });
        let answers = futures::future::join_all(asks).await;
        let candidates: Vec<Candidate> =
            answers.iter().filter_map(|answer| answer.as_ref().ok().copied()).collect();
        let agreed = ntp::select(&candidates, ntp::majority(names.len()));
        let agreed = agreed.map_err(|error| error.to_string());
        Some(Self { answers: names.iter().cloned().zip(answers).collect(), agreed })
    }
}

/// Everything that was found.
struct Report {
    kernel: Result<Discipline, String>,
    ntp: Option<Ntp>,
    watched: Duration,
    stalls: u64,
    stall_p99: Duration,
    stall_max: Duration,
    sync: SyncLatency,
}

/// What follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Advice {
    /// For `dispatch.lease`.
    lease: Duration,
    /// For `limits.database`, at least.
    database: Duration,
}

/// Two clocks are apart by both their errors. A lease is renewed after each third of it, and within
/// a third there has to be room for that, an exchange with the coordinator (which waits for a sync of
/// the disk, and perhaps for the one under way), and the longest stall. A commit waits for two syncs
/// likewise, and has to live with bad days: ten times that.
fn advise(error: Duration, sync_p99: Duration, stall_max: Duration) -> Advice {
    const LEASE_LEAST: Duration = Duration::from_secs(1);
    const DATABASE_LEAST: Duration = Duration::from_millis(50);
    let commit = sync_p99.saturating_mul(2);
    let bad = error.saturating_mul(2) + commit + stall_max;
    let seconds = bad.saturating_mul(3).as_secs_f64().ceil();
    Advice {
        lease: LEASE_LEAST.max(Duration::from_secs_f64(seconds)),
        database: DATABASE_LEAST.max(commit.saturating_mul(10)),
    }
}

impl Report {
    /// Who knows the clock best, how far it is off, and how far it may be.
    fn best(&self) -> (&'static str, Option<Offset>, Duration) {
        if let Some(Ok(agreed)) = self.ntp.as_ref().map(|ntp| &ntp.agreed) {
            let (offset, error) = (agreed.offset(), agreed.error());
            return ("ntp", Some(offset), error.saturating_add(offset.abs()));
        }
        match &self.kernel {
            Ok(kernel) if kernel.synchronized => ("kernel", Some(kernel.pending), kernel.bound()),
            _ => ("assumed", None, DEFAULT_ERROR),
        }
    }

    fn document(&self) -> Value {
        let SyncLatency { samples, min, p50, p99, max } = self.sync;
        let micros = |length: Duration| length.as_micros();
        let (source, offset, error) = self.best();
        let advice = advise(error, p99, self.stall_max);
        json!({
            "fdatasync_us": {
                "min": micros(min), "p50": micros(p50), "p99": micros(p99), "max": micros(max),
                "samples": samples,
            },
            "clock_error_ms": error.as_millis(),
            "clock": {
                "source": source,
                "error_ms": millis(error),
                "offset_ms": offset.map(signed_millis),
                "kernel": kernel(&self.kernel),
                "ntp": self.ntp.as_ref().map(servers),
            },
            "stalls": {
                "watched_s": self.watched.as_secs_f64(),
                "count": self.stalls,
                "p99_ms": millis(self.stall_p99),
                "max_ms": millis(self.stall_max),
            },
            "recommended": {
                "dispatch.lease_ms": advice.lease.as_millis(),
                "limits.database_ms": advice.database.as_millis(),
            },
        })
    }

    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        let SyncLatency { samples, p50, p99, max, .. } = self.sync;
        let micros = |length: Duration| length.as_micros();
        out.line(format!(
            "disk    fdatasync of 4 KiB: p50 {} µs, p99 {} µs, max {} µs ({samples} samples)",
            micros(p50),
            micros(p99),
            micros(max),
        ))?;
        out.line(format!(
            "        one commit after another: at most {:.0}/s; group commit shares a sync",
            1.0 / p50.as_secs_f64().max(1e-9),
        ))?;
        let (source, offset, error) = self.best();
        let basis = match (source, offset) {
            ("ntp", Some(offset)) => format!("the servers' time is at {offset} from it"),
            ("kernel", _) => "by the kernel's own account".to_owned(),
            _ => "an assumption: nobody synchronises it, or nobody says so".to_owned(),
        };
        out.line(format!("clock   the date is within ±{:.1} ms; {basis}", millis(error)))?;
        match &self.kernel {
            Ok(kernel) if !kernel.synchronized => {
                out.line("        the kernel knows of no time service (chronyd, ntpd)")?;
            }
            Ok(_) => {}
            Err(error) => out.line(format!("        {error}"))?,
        }
        if let Some(ntp) = &self.ntp {
            for (name, answer) in &ntp.answers {
                match answer {
                    Ok(Candidate { offset, error }) => {
                        out.line(format!("        {name}: {offset}, ±{:.1} ms", millis(*error)))?;
                    }
                    Err(error) => out.line(format!("        {name}: {error}"))?,
                }
            }
            if let Err(error) = &ntp.agreed {
                out.line(format!("        {error}"))?;
            }
        }
        out.line(format!(
            "stalls  {} in {:.1} s; the longest {:.1} ms, p99 {:.1} ms",
            self.stalls,
            self.watched.as_secs_f64(),
            millis(self.stall_max),
            millis(self.stall_p99),
        ))?;
        let advice = advise(error, p99, self.stall_max);
        out.line(format!(
            "advice  dispatch.lease at least {} s, limits.database at least {} ms",
            advice.lease.as_secs(),
            advice.database.as_millis(),
        ))
    }
}

fn millis(length: Duration) -> f64 {
    length.as_secs_f64() * 1e3
}

fn signed_millis(offset: Offset) -> f64 {
    offset.as_nanos() as f64 / 1e6
}

fn kernel(read: &Result<Discipline, String>) -> Value {
    match read {
        Ok(kernel) => json!({
            "synchronized": kernel.synchronized,
            "max_error_ms": millis(kernel.max_error),
            "estimated_error_ms": millis(kernel.estimated_error),
            "pending_ms": signed_millis(kernel.pending),
            "frequency_ppm": kernel.frequency_ppm,
        }),
        Err(error) => json!({ "error": error }),
    }
}

fn servers(ntp: &Ntp) -> Value {
    let answers: Vec<Value> = ntp
        .answers
        .iter()
        .map(|(name, answer)| match answer {
            Ok(Candidate { offset, error }) => json!({
                "server": name, "offset_ms": signed_millis(*offset), "error_ms": millis(*error),
            }),
            Err(error) => json!({ "server": name, "error": error }),
        })
        .collect();
    match &ntp.agreed {
        Ok(agreed) => json!({
            "servers": answers,
            "offset_ms": signed_millis(agreed.offset()),
            "error_ms": millis(agreed.error()),
            "disagreeing": agreed.falsetickers.len(),
        }),
        Err(error) => json!({ "servers": answers, "error": error }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_third_of_a_lease_has_room_for_what_was_measured() {
        let ms = Duration::from_millis;
        let good = advise(ms(5), ms(1), ms(0));
        assert_eq!(good, Advice { lease: ms(1_000), database: ms(50) });
        let bad = advise(ms(100), ms(40), ms(900));
        assert_eq!(bad.database, ms(800));
        assert!(bad.lease / 3 >= ms(2 * 100 + 2 * 40 + 900) && bad.lease <= ms(4_000), "{bad:?}");
    }
}
