//! What a restart finds, byte by byte.

use std::fs;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;

use super::*;

const SEGMENT: u64 = 2_048;

type Told = Vec<(u64, Vec<u8>)>;

/// Opens, and answers what was told: a snapshot has time zero here.
fn open(folder: &Path) -> Result<(Log, Told), Error> {
    let mut told = Told::new();
    let log = Log::open(folder, SEGMENT, &mut |record| {
        told.push(match record {
            Record::Snapshot(state) => (0, state.to_vec()),
            Record::Batch { time, payload } => (time, payload.to_vec()),
        });
        Ok(())
    })?;
    Ok((log, told))
}

fn batch(payload: &[u8]) -> Batch {
    let mut batch = Batch::new();
    batch.payload().extend_from_slice(payload);
    batch
}

fn append(log: &mut Log, time: u64, payload: &[u8]) {
    log.append(time, &mut batch(payload)).unwrap();
}

/// A log of some batches; those that were told, and how long the first segment is in use.
fn small(folder: &Path, batches: u64) -> (Told, usize) {
    let (mut log, _) = open(folder).unwrap();
    for time in 1..=batches {
        append(&mut log, time, format!("batch number {time}").as_bytes());
    }
    let end = log.offset;
    drop(log);
    (open(folder).unwrap().1, end)
}

fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

fn segment_1(folder: &Path) -> PathBuf {
    folder.join("segment-000000000001")
}

#[test]
fn what_was_appended_comes_back_and_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b");
    let (told, _) = small(&path, 3);
    assert_eq!(told.len(), 3);
    assert_eq!(told[2], (3, b"batch number 3".to_vec()));
    let (mut log, _) = open(&path).unwrap();
    append(&mut log, 9, b"");
    drop(log);
    assert_eq!(open(&path).unwrap().1[3], (9, vec![]));
}

#[test]
fn full_segments_are_replaced_by_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    let mut sum = 0_u64;
    for time in 1..=200 {
        if !log.has_room(300) {
            log.rotate(sum.to_le_bytes().to_vec()).unwrap();
        }
        append(&mut log, time, &vec![7; 300]);
        sum += 1;
        if time % 17 == 0 {
            drop(log);
            let (again, told) = open(folder.path()).unwrap();
            log = again;
            let snapshot = match &told[0] {
                (0, state) => u64::from_le_bytes(state.as_slice().try_into().unwrap()),
                _ => 0,
            };
            let batches = told.iter().filter(|(time, _)| *time > 0).count() as u64;
            assert_eq!(snapshot + batches, sum, "after batch {time}");
        }
    }
    drop(log);
    let Contents { segments, snapshots } =
        Folder::open(folder.path()).unwrap().0.contents().unwrap();
    assert!(segments.len() <= 3 && snapshots.len() == 1, "{segments:?} {snapshots:?}");
    assert!(segments[0] > 20);
}

/// Every answered batch, or an error that says where.
fn all_or_error(folder: &Path, told: &Told, what: &str) -> bool {
    match open(folder) {
        Ok((_, found)) => {
            assert_eq!(&found, told, "{what}");
            true
        }
        Err(error) => {
            let text = error.to_string();
            let is_clear = matches!(error, Error::Damaged { .. } | Error::Version { .. });
            assert!(is_clear && text.contains("segment-"), "{what}: {text}");
            false
        }
    }
}

#[test]
fn no_changed_byte_loses_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (told, end) = small(folder.path(), 4);
    let mut harmless = 0;
    for at in 0..end + 64 {
        for mask in [0x01, 0x80, 0xff] {
            let copy = copy(folder.path());
            let mut bytes = fs::read(segment_1(copy.path())).unwrap();
            bytes[at] ^= mask;
            fs::write(segment_1(copy.path()), bytes).unwrap();
            harmless += usize::from(all_or_error(copy.path(), &told, &format!("byte {at}")));
        }
    }
    // The room after the end, marks that later batches make superfluous, and padding.
    assert!(harmless > 0 && harmless < 3 * end, "{harmless} of {end}");
}

#[test]
fn no_truncation_loses_what_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let (told, _) = small(folder.path(), 4);
    for length in 0..SEGMENT {
        let copy = copy(folder.path());
        let file = OpenOptions::new().write(true).open(segment_1(copy.path())).unwrap();
        file.set_len(length).unwrap();
        assert!(!all_or_error(copy.path(), &told, &format!("length {length}")));
    }
}

#[test]
fn a_torn_last_batch_goes_and_its_place_is_used_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut told, end) = small(folder.path(), 3);
    let whole = fs::read(segment_1(folder.path())).unwrap();
    let header = Header::decode(&whole).unwrap();
    let mut torn = batch(b"never answered, and longer than eight bytes").0;
    layout::seal(&mut torn, header.salt, 4, 4);
    for keep in 0..torn.len() {
        let copy = copy(folder.path());
        let mut bytes = whole.clone();
        bytes[end..end + keep].copy_from_slice(&torn[..keep]);
        fs::write(segment_1(copy.path()), bytes).unwrap();
        let (mut log, found) = open(copy.path()).unwrap();
        let padding = torn.len() - keep < 8;
        if found.len() == 4 && padding {
            continue; // Whole but for zeros: it may as well count.
        }
        assert_eq!(found, told, "{keep} bytes");
        append(&mut log, 5, b"next");
        drop(log);
        assert_eq!(open(copy.path()).unwrap().1[3], (5, b"next".to_vec()), "{keep} bytes");
    }
    // The twin: without the marks a damaged last batch passes for a torn one.
    let copy = copy(folder.path());
    let mut bytes = whole;
    let third = end - layout::footprint(b"batch number 3".len());
    bytes[third + BATCH_HEADER] ^= 1;
    bytes[end - MARK..end].fill(0);
    fs::write(segment_1(copy.path()), bytes).unwrap();
    told.pop();
    assert_eq!(open(copy.path()).unwrap().1, told, "without its mark nobody can tell");
}

#[test]
fn a_missing_file_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    for time in 1..=30 {
        if !log.has_room(300) {
            log.rotate(b"state".to_vec()).unwrap();
        }
        append(&mut log, time, &vec![7; 300]);
    }
    let in_use = log.path.clone();
    drop(log);
    let snapshot = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let snapshot =
        snapshot.filter(|path| path.to_string_lossy().contains("snapshot")).max().unwrap();
    let format = folder.path().join("FORMAT");
    for missing in [in_use, snapshot, format] {
        let copy = copy(folder.path());
        fs::remove_file(copy.path().join(missing.file_name().unwrap())).unwrap();
        let error = open(copy.path()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("missing"), "{}: {error}", missing.display());
    }
    let early = tempfile::tempdir().unwrap();
    small(early.path(), 1);
    for missing in ["FORMAT", "segment-000000000002"] {
        fs::remove_file(early.path().join(missing)).unwrap();
    }
    let error = open(early.path()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("no FORMAT"), "{error}");
}

#[test]
fn no_changed_byte_of_a_snapshot_goes_unnoticed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut log, _) = open(folder.path()).unwrap();
    append(&mut log, 1, b"one");
    log.rotate(b"the state after one".to_vec()).unwrap();
    append(&mut log, 2, b"two");
    drop(log);
    let snapshot = folder.path().join("snapshot-000000000002");
    let good = fs::read(&snapshot).unwrap();
    for at in 0..good.len() {
        let copy = copy(folder.path());
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        fs::write(copy.path().join("snapshot-000000000002"), bytes).unwrap();
        assert!(open(copy.path()).is_err(), "byte {at}");
    }
}

#[test]
fn foreign_newer_and_used_folders_are_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("holiday.jpg"), b"x").unwrap();
    assert!(matches!(open(folder.path()).map(|_| ()), Err(Error::Foreign { .. })));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);

    let folder = tempfile::tempdir().unwrap();
    let (log, _) = open(folder.path()).unwrap();
    assert!(matches!(open(folder.path()).map(|_| ()), Err(Error::InUse { .. })));
    drop(log);
    let newer = "steadfast coordination log\nformat 2\n";
    fs::write(folder.path().join("FORMAT"), newer).unwrap();
    let before = fs::read(segment_1(folder.path())).unwrap();
    let error = open(folder.path()).map(|_| ()).unwrap_err();
    assert!(matches!(&error, Error::Version { found, known: 1, .. } if found == "2"), "{error}");
    assert_eq!(fs::read(segment_1(folder.path())).unwrap(), before);
}

/// Fails from the nth operation on.
struct Failing {
    disk: Box<dyn Disk>,
    left: AtomicUsize,
}

impl Failing {
    fn check(&self) -> io::Result<()> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(1), Ordering::Relaxed);
        if left == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl Disk for Failing {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.check()?;
        self.disk.write_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.check()?;
        self.disk.sync()
    }
}

#[test]
fn after_an_error_nothing_is_written_and_a_restart_tells_what_is_true() {
    for left in 0..7 {
        let folder = tempfile::tempdir().unwrap();
        let (mut log, _) = open(folder.path()).unwrap();
        log.wrap_disk(|disk| Box::new(Failing { disk, left: AtomicUsize::new(left) }));
        let mut answered = 0;
        while log.append(answered + 1, &mut batch(b"payload")).is_ok() {
            answered += 1;
        }
        assert_eq!(answered, left as u64 / 3, "a batch is three operations");
        log.wrap_disk(|disk| Box::new(Failing { disk, left: AtomicUsize::new(usize::MAX) }));
        let again = log.append(9, &mut batch(b"later")).unwrap_err();
        assert!(again.to_string().contains("stopped"), "{again}");
        assert!(log.rotate(vec![]).is_err());
        drop(log);
        let found = open(folder.path()).unwrap().1.len() as u64;
        assert!((answered..=answered + 1).contains(&found), "{found} of {answered}");
    }
}
