//! `up`

use std::io::{ErrorKind, IsTerminal};
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use super::args::ServerArgs;
use super::{Failure, Out};
use crate::config::settings::Log;
use crate::config::value::LogFormat;
use crate::demo;
use crate::platform::{Platform, Timekeeper};

/// How long stopping may take beyond the time that requests get to end.
const STOP_MARGIN: Duration = Duration::from_secs(10);

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  steadfast up                            on 127.0.0.1:7070, with data in ./steadfast-data
  steadfast up --demo                     with a small city that orders and delivers
  steadfast up --config steadfast.toml    `steadfast config print` shows what can be set

Ctrl-C or SIGTERM finishes what is at work and ends; a second one ends at once. What was answered
is stored in any case.")]
pub struct Args {
    /// Add a small city whose people order and whose couriers deliver.
    #[arg(long)]
    demo: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let config = self.server.load()?.config;
        start_log(&config.log)?;
        let runtime = crate::runtime::build()
            .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
        let result = runtime.block_on(async {
            let stop = Stop::new()?;
            let timekeeper = Timekeeper::start(&config.clock).await;
            let timekeeper = timekeeper.map_err(|error| Failure::of(&error))?;
            let clock = timekeeper.clock().clone();
            let platform =
                Platform::start(&config, timekeeper).await.map_err(|error| Failure::of(&error))?;
            match announce(out, &platform, self.demo) {
                // Nobody has to listen; orders come in another way.
                Err(Failure::Stdout(error)) if error.kind() == ErrorKind::BrokenPipe => {}
                announced => announced?,
            }
            let demo = self.demo.then(|| demo::start(&platform, clock.clone()));
            let ended = stop.or(platform.ended()).await;
            if let Some(demo) = demo {
                demo.stop().await;
            }
            let limit = config.http.drain_timeout.get() + STOP_MARGIN;
            let stopping = clock.timeout(limit, platform.stop());
            match Stop::new()?.or(stopping).await {
                // A second signal: what was answered is durable, so this loses nothing.
                None => Err(Failure::failed("ended at once, as told; what was answered is stored")),
                Some(Err(_)) => {
                    let seconds = limit.as_secs();
                    Err(Failure::failed(format!("did not end within {seconds} s; ended anyway")))
                }
                Some(Ok(Err(error))) => Err(Failure::of(&error)),
                Some(Ok(Ok(()))) => match ended {
                    None | Some(Ok(())) => Ok(()),
                    Some(Err(error)) => Err(Failure::of(&error)),
                },
            }
        });
        // Whatever still runs has had its time.
        runtime.shutdown_background();
        if result.is_ok() {
            anstream::eprintln!(
                "stopped; everything that was answered is in {}",
                config.data.display()
            );
        }
        result
    }
}

/// Ctrl-C and SIGTERM.
pub(super) struct Stop {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

impl Stop {
    pub(super) fn new() -> Result<Self, Failure> {
        let listen = |kind| signal(kind).map_err(|e| Failure::failed(format!("signals: {e}")));
        let (interrupt, terminate) = (SignalKind::interrupt(), SignalKind::terminate());
        Ok(Self { interrupt: listen(interrupt)?, terminate: listen(terminate)? })
    }

    /// Waits for `work`; nothing when a signal comes first.
    pub(super) async fn or<T>(mut self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
            result = work => Some(result),
        }
    }
}

/// Says where everything is, on stdout: this is what a script waits for.
fn announce(out: &mut Out, platform: &Platform, demo: bool) -> Result<(), Failure> {
    let (public, admin) = (platform.public(), platform.admin());
    if out.json() {
        out.document(&json!({
            "listen": public.to_string(),
            "admin": admin.to_string(),
            "pid": std::process::id(),
        }))?;
    } else {
        out.line(format!("orders  http://{public}"))?;
        out.line(format!("admin   http://{admin}"))?;
        if demo {
            out.line("A small city is ordering; see `steadfast orders list`. Ctrl-C ends it.")?;
        }
    }
    out.finish()
}

pub(super) fn start_log(log: &Log) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(&log.filter)
        .map_err(|error| Failure::Usage(format!("log.filter: {:?}: {error}", log.filter)))?;
    let colour = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour);
    let started = match log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
    started.map_err(|error| Failure::failed(format!("the log cannot be started: {error}")))
}
