//! `coordinator`

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::json;
use steadfast_coordination::engine::embedded::{self, BindError, Embedded, Server};
use steadfast_time::Clock;
use tokio::sync::oneshot;

use super::args::ConfigArgs;
use super::up::{Stop, start_log};
use super::{Failure, Out};
use crate::platform::coordination_paths;

/// Arguments of `coordinator`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  steadfast coordinator --data /var/lib/steadfast
  STEADFAST_COORDINATION=unix:///var/lib/steadfast/coordination.sock steadfast up --data ELSEWHERE

Whatever was answered is on disk. Ctrl-C or SIGTERM ends it; leases live on, and are kept if their
holders find it again in time.")]
pub struct Args {
    #[command(flatten)]
    config: ConfigArgs,
    /// Where it is served [default: coordination.sock in the data directory].
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// End when stdin does: when whoever has started this process is gone.
    #[arg(long, hide = true)]
    until_stdin_ends: bool,
    /// Where to write, as JSON, what was done, when it ends.
    #[arg(long, value_name = "FILE", hide = true)]
    stats: Option<PathBuf>,
}

impl Args {
    pub fn run(self, out: &mut Out) -> Result<(), Failure> {
        let config = self.config.load()?.config;
        start_log(&config.log)?;
        let [folder, socket] = coordination_paths(&config.data);
        let socket = self.socket.unwrap_or(socket);
        // One thread: what takes time has threads of its own.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::failed(format!("cannot start a runtime: {error}")))?;
        let clock = Clock::system();
        let options = embedded::Options::default();
        let engine =
            Embedded::open(&folder, clock.clone(), options).map_err(|e| Failure::of(&e))?;
        let until = self.until_stdin_ends;
        let ended = runtime.block_on(async {
            let stop = Stop::new()?;
            let server = Server::bind(&engine, &socket, clock).map_err(unbound)?;
            match announce(out, &server, &folder) {
                Err(Failure::Stdout(error)) if error.kind() == ErrorKind::BrokenPipe => {}
                announced => announced?,
            }
            let serving = async {
                tokio::select! {
                    biased;
                    () = stdin_ends(until) => None,
                    reason = server.run() => Some(reason),
                }
            };
            Ok::<_, Failure>(stop.or(serving).await.flatten())
        });
        // Waits for the disk; nobody else is left to be served.
        engine.close();
        let stats = engine.stats();
        drop(runtime);
        if let Some(reason) = ended? {
            return Err(Failure::failed(reason));
        }
        if let Some(file) = &self.stats {
            let done = json!({
                "commands": stats.commands,
                "batches": stats.batches,
                "writing_us": u64::try_from(stats.writing.as_micros()).unwrap_or(u64::MAX),
            });
            std::fs::write(file, done.to_string()).map_err(|error| {
                Failure::failed(format!("cannot write {}: {error}", file.display()))
            })?;
        }
        if !until {
            anstream::eprintln!("stopped; everything that was answered is in {}", folder.display());
        }
        Ok(())
    }
}

/// Why it cannot be served there. A path that can be no socket's is the user's to choose.
fn unbound(error: BindError) -> Failure {
    match error {
        BindError::Address(_) => Failure::Usage(format!("--socket: {error}")),
        error => Failure::of(&error),
    }
}

/// Completes when stdin ends; never, unless that is wanted.
async fn stdin_ends(wanted: bool) {
    if !wanted {
        return std::future::pending().await;
    }
    let (sender, ended) = oneshot::channel();
    // Not the runtime's own: that would wait for it.
    std::thread::spawn(move || {
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let _ = sender.send(());
    });
    let _ = ended.await;
}

/// Says where it is, on stdout: this is what a script waits for.
fn announce(out: &mut Out, server: &Server, folder: &Path) -> Result<(), Failure> {
    let address = server.address();
    if out.json() {
        let pid = std::process::id();
        out.document(&json!({ "coordination": address, "data": folder, "pid": pid }))?;
    } else {
        out.line(format!("coordination  {address}"))?;
    }
    out.finish()
}
