//! Lock and unlock over the socket: how many pairs a second, and how long to acquire.
//!
//! ```sh
//! cargo run --release -p steadfast-coordination --example embedded_bench -- [clients] [seconds] [folder]
//! ```
//!
//! The server is a process of its own (this program again). Every client has a session and locks a
//! name of its own, one request at a time; all share one connection. The disk's own `fdatasync` is
//! measured before and after, in the same folder, with blocks that are overwritten as the log's are.
#![allow(clippy::print_stdout, reason = "a report")]

use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use hdrhistogram::Histogram;
use steadfast_coordination::engine::embedded::{Embedded, Options, Remote, Server};
use steadfast_coordination::port::{Coordinator, Mode, Name, Request};
use steadfast_time::{Clock, Uuid};

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let text = |at: usize| arguments.get(at).map(String::as_str);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if text(0) == Some("serve") {
        return runtime.block_on(serve(Path::new(text(1).unwrap_or("."))));
    }
    let clients = text(0).unwrap_or("64").parse()?;
    let seconds = text(1).unwrap_or("3").parse()?;
    let folder = text(2).map_or_else(
        || std::env::temp_dir().join(format!("embedded-bench-{}", std::process::id())),
        PathBuf::from,
    );
    fs::create_dir_all(&folder)?;
    let clock = Clock::system();
    let mut syncs = Histogram::<u64>::new(3)?;
    measure_disk(&folder, &clock, &mut syncs)?;
    let mut server = Serving::start(&folder)?;
    let ran =
        runtime.block_on(run(&server.address, clients, Duration::from_secs_f64(seconds), &clock));
    let stats = server.stop()?;
    measure_disk(&folder, &clock, &mut syncs)?;
    let Ran { pairs, took, acquire } = ran?;
    let micros = |histogram: &Histogram<u64>, q| histogram.value_at_quantile(q) as f64 / 1_000.0;
    println!("clients              {clients}");
    println!("lock + unlock        {:.0} pairs/s", pairs as f64 / took.as_secs_f64());
    for (name, q) in [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)] {
        println!("acquire {name}          {:.0} us", micros(&acquire, q));
    }
    print!("{stats}");
    println!("fdatasync p50, p99   {:.0}, {:.0} us", micros(&syncs, 0.5), micros(&syncs, 0.99));
    fs::remove_dir_all(&folder)?;
    Ok(())
}

struct Ran {
    pairs: u64,
    took: Duration,
    acquire: Histogram<u64>,
}

async fn run(address: &str, clients: usize, length: Duration, clock: &Clock) -> Result<Ran> {
    let remote = Arc::new(Remote::connect(address, clock.clone()).await?);
    let start = clock.monotonic();
    let end = start + length;
    let tasks: Vec<_> = (0..clients)
        .map(|number| {
            let (remote, clock) = (Arc::clone(&remote), clock.clone());
            tokio::spawn(async move {
                let name = Name::new(format!("bench/{number:04}"))?;
                let session = remote.open(Duration::from_secs(60)).await?.session;
                let mut acquire = Histogram::<u64>::new(3)?;
                while clock.monotonic() < end {
                    let (id, mode) = (Uuid::new_v4(), Mode::Exclusive);
                    let request = Request { session, id, mode, value: b"bench", wait: true };
                    let before = clock.monotonic();
                    let place = remote.enter(&name, request).await?;
                    acquire.record((clock.monotonic() - before).as_nanos() as u64)?;
                    assert_eq!(place.ahead, None, "nobody else wants this name");
                    remote.leave(&name, place.token).await?;
                }
                Result::Ok(acquire)
            })
        })
        .collect();
    let mut acquire = Histogram::<u64>::new(3)?;
    for task in tasks {
        acquire.add(task.await??)?;
    }
    Ok(Ran { pairs: acquire.len(), took: clock.monotonic() - start, acquire })
}

/// The other process.
struct Serving {
    child: Child,
    out: BufReader<ChildStdout>,
    address: String,
}

impl Serving {
    fn start(folder: &Path) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg(folder).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn()?;
        let mut out = BufReader::new(child.stdout.take().ok_or("no output")?);
        let mut address = String::new();
        out.read_line(&mut address)?;
        Ok(Self { child, out, address: address.trim().to_owned() })
    }

    /// Ends it; what it has to say.
    fn stop(&mut self) -> Result<String> {
        drop(self.child.stdin.take());
        let mut stats = String::new();
        self.out.read_to_string(&mut stats)?;
        self.child.wait()?;
        Ok(stats)
    }
}

/// Serves until the other side closes our input.
async fn serve(folder: &Path) -> Result<()> {
    let engine = Embedded::open(folder.join("data"), Clock::system(), Options::default())?;
    let server = Server::bind(&engine, folder.join("socket"), Clock::system())?;
    println!("{}", server.address());
    let (done, mut is_done) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let _ = std::io::stdin().read_to_end(&mut Vec::new());
        let _ = done.send(());
    });
    tokio::select! {
        biased;
        _ = &mut is_done => {}
        reason = server.run() => println!("ended: {reason}"),
    }
    let stats = engine.stats();
    let batches = stats.batches.max(1);
    println!("mean batch           {:.1} commands", stats.commands as f64 / batches as f64);
    println!("mean write + sync    {:.0} us", stats.writing.as_micros() as f64 / batches as f64);
    Ok(())
}

fn measure_disk(folder: &Path, clock: &Clock, syncs: &mut Histogram<u64>) -> Result<()> {
    const BLOCK: usize = 4_096;
    let path = folder.join("blocks");
    fs::write(&path, vec![0; 300 * BLOCK])?;
    let file = File::options().write(true).open(&path)?;
    file.sync_all()?;
    for at in 0..300_u64 {
        let before = clock.monotonic();
        file.write_all_at(&[1; BLOCK], at * BLOCK as u64)?;
        file.sync_data()?;
        syncs.record((clock.monotonic() - before).as_nanos() as u64)?;
    }
    fs::remove_file(&path)?;
    Ok(())
}
