//! The thread that makes and clears away files, so that no request waits for it.
//!
//! It writes snapshots and prepares the next segment before it is needed: renamed from one that
//! has become superfluous where possible, because overwriting blocks that are there is cheaper
//! than to have new ones.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use steadfast_time::Uuid;

use super::error::Error;
use super::folder::{Contents, Folder};
use super::layout::{HEADER, Header};
use super::snapshot::Snapshot;

/// Written at once while a segment is filled with zeros, in bytes.
const CHUNK: usize = 1 << 20;

/// A segment that nothing is in yet.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) header: Header,
    pub(crate) path: PathBuf,
    pub(crate) file: File,
}

/// Have a segment ready, after a snapshot if there is one.
pub(crate) struct Job {
    pub(crate) segment: u64,
    pub(crate) snapshot: Option<Snapshot>,
}

/// The thread, and what it has made.
pub(crate) struct Keeper {
    jobs: Option<SyncSender<Job>>,
    prepared: Receiver<Result<Prepared, Error>>,
    thread: Option<JoinHandle<()>>,
}

impl Keeper {
    pub(crate) fn start(folder: Arc<Folder>, segment_bytes: u64) -> Result<Self, Error> {
        let (jobs, inbox) = sync_channel::<Job>(1);
        let (outbox, prepared) = sync_channel(1);
        let path = folder.path().to_owned();
        let work = move || {
            for job in inbox {
                let made = work(&folder, job, segment_bytes);
                let failed = made.is_err();
                if outbox.send(made).is_err() || failed {
                    return;
                }
            }
        };
        let thread = std::thread::Builder::new().name("coordination-files".to_owned());
        let thread = thread.spawn(work).map_err(Error::io("start a thread for", &path))?;
        Ok(Self { jobs: Some(jobs), prepared, thread: Some(thread) })
    }

    /// Asks for something. There is never more than one thing asked for.
    pub(crate) fn ask(&self, job: Job) -> Result<(), Error> {
        let sent = self.jobs.as_ref().is_some_and(|jobs| jobs.send(job).is_ok());
        if sent { Ok(()) } else { Err(gone()) }
    }

    /// What was asked for; waits until it is there.
    pub(crate) fn take(&self) -> Result<Prepared, Error> {
        self.prepared.recv().map_err(|_| gone())?
    }
}

impl Drop for Keeper {
    /// Finishes what it was asked for, so that the folder can be opened again at once.
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn gone() -> Error {
    Error::Stopped("the thread that makes segments has ended".to_owned())
}

fn work(folder: &Folder, job: Job, length: u64) -> Result<Prepared, Error> {
    let mut reuse = None;
    if let Some(snapshot) = job.snapshot {
        let first = snapshot.segment;
        folder.write_whole(&Folder::snapshot_name(first), &snapshot.encode())?;
        reuse = clear(folder, first)?;
    }
    prepare(folder, job.segment, length, reuse)
}

/// Removes what the snapshot before segment `first` has made superfluous, apart from one segment
/// that can be used again.
pub(crate) fn clear(folder: &Folder, first: u64) -> Result<Option<PathBuf>, Error> {
    let Contents { segments, snapshots } = folder.contents()?;
    for number in snapshots.into_iter().filter(|number| *number < first) {
        folder.remove(&folder.snapshot(number))?;
    }
    let mut old: Vec<u64> = segments.into_iter().filter(|number| *number < first).collect();
    let reuse = old.pop().map(|number| folder.segment(number));
    // From the oldest on: what is left after a crash is a log without a gap.
    for number in old {
        folder.remove(&folder.segment(number))?;
    }
    Ok(reuse)
}

/// Makes a segment. Every byte of it is written once before it is used: then a batch changes
/// nothing but data, and `fdatasync` need not wait for the file system's own journal.
pub(crate) fn prepare(
    folder: &Folder,
    number: u64,
    length: u64,
    reuse: Option<PathBuf>,
) -> Result<Prepared, Error> {
    let path = folder.segment(number);
    let temporary = folder.path().join("segment.tmp");
    let header = Header { number, salt: Uuid::new_v4().as_u64_pair().0, length };
    let file = match reuse {
        Some(old) => {
            folder.rename(&old, &temporary)?;
            open(&temporary, false)
        }
        None => open(&temporary, true),
    };
    let file = file.and_then(|file| {
        if file.metadata()?.len() != length {
            file.set_len(0)?;
            fill(&file, length)?;
        }
        file.write_all_at(&header.encode(), 0)?;
        file.sync_all()?;
        Ok(file)
    });
    let file = file.map_err(Error::io("prepare", &temporary))?;
    folder.rename(&temporary, &path)?;
    Ok(Prepared { header, path, file })
}

fn open(path: &std::path::Path, fresh: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(fresh).mode(0o600).open(path)
}

fn fill(file: &File, length: u64) -> io::Result<()> {
    let zeros = vec![0; CHUNK];
    let mut at = 0;
    while at < length {
        let part = usize::try_from(length - at).unwrap_or(CHUNK).min(CHUNK);
        file.write_all_at(&zeros[..part], at)?;
        at += part as u64;
    }
    debug_assert!(length > HEADER as u64, "a segment has room for batches");
    Ok(())
}
