//! The directory that a journal lives in.
//!
//! | file | holds |
//! |---|---|
//! | `journal.db` | the database |
//! | `journal.db-wal`, `journal.db-shm` | SQLite's log and its index, while the journal is open |
//! | `lock` | nothing; whoever has the journal open holds a lock on it |
//!
//! The operating system releases the lock when the process ends, however it ends. A directory
//! that holds anything else is left alone.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::StorageError;

const DATABASE: &str = "journal.db";
const LOCK: &str = "lock";

/// What may stand beside a journal that is yet to be made: the root of a file system has this.
const HARMLESS: [&str; 2] = [LOCK, "lost+found"];

/// How every SQLite database begins.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// A directory whose lock is held.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    _lock: File,
}

impl Directory {
    /// Takes a directory, which is made if need be.
    pub(super) fn create(path: &Path) -> Result<Self, StorageError> {
        let failed = |context| move |source| io_error(path, context, source);
        if !path.exists() {
            private_directory(path).map_err(failed("making the journal's directory"))?;
            if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                sync_directory(parent)
                    .map_err(failed("syncing the directory above the journal"))?;
            }
        }
        let directory = Self::lock(path)?;
        if !directory.database().exists() {
            private_file(&directory.database()).map_err(failed("making the journal's file"))?;
            sync_directory(path).map_err(failed("syncing the journal's directory"))?;
        }
        Ok(directory)
    }

    /// Takes a directory that must hold a journal.
    pub(super) fn existing(path: &Path) -> Result<Self, StorageError> {
        if path.join(DATABASE).is_file() {
            Self::lock(path)
        } else {
            Err(foreign(path, format!("it has no file {DATABASE}")))
        }
    }

    fn lock(path: &Path) -> Result<Self, StorageError> {
        let failed = |context| move |source| io_error(path, context, source);
        if !path.is_dir() {
            return Err(foreign(path, "it is a file; name a directory"));
        }
        if !path.join(DATABASE).exists() {
            refuse_strangers(path)?;
        }
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        let lock = open_private(&mut options, &path.join(LOCK))
            .map_err(failed("opening the journal's lock file"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StorageError::InUse { path: path.to_owned() });
            }
            Err(TryLockError::Error(source)) => {
                return Err(io_error(path, "locking the journal", source));
            }
        }
        let directory = Self { path: path.to_owned(), _lock: lock };
        directory.check_magic()?;
        Ok(directory)
    }

    /// A file that does not begin like a database is damaged. An empty one is new.
    fn check_magic(&self) -> Result<(), StorageError> {
        let mut start = Vec::new();
        let opened = match File::open(self.database()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            opened => opened,
        };
        opened
            .and_then(|file| file.take(MAGIC.len() as u64).read_to_end(&mut start))
            .map_err(|source| io_error(&self.path, "reading the journal's header", source))?;
        if start.is_empty() || start == MAGIC {
            return Ok(());
        }
        let what = format!("{DATABASE} does not begin like a database");
        Err(StorageError::Damaged { path: self.path.clone(), what })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

/// Shorthand for [`StorageError::Foreign`].
pub(super) fn foreign(path: &Path, what: impl Into<String>) -> StorageError {
    StorageError::Foreign { path: path.to_owned(), what: what.into() }
}

/// What the operating system reports.
pub(super) fn io_error(path: &Path, context: &'static str, source: io::Error) -> StorageError {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            StorageError::DiskFull { path: path.to_owned() }
        }
        kind => {
            let source = io::Error::new(kind, format!("{}: {source}", path.display()));
            StorageError::Other { context, source: Box::new(source) }
        }
    }
}

fn refuse_strangers(path: &Path) -> Result<(), StorageError> {
    let entries = fs::read_dir(path)
        .and_then(Iterator::collect::<io::Result<Vec<_>>>)
        .map_err(|source| io_error(path, "looking into the journal's directory", source))?;
    for entry in entries {
        let name = entry.file_name();
        if !HARMLESS.iter().any(|harmless| name == *harmless) {
            let name = name.to_string_lossy();
            return Err(foreign(path, format!("it holds {name:?}; name an empty directory")));
        }
    }
    Ok(())
}

fn open_private(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options.open(path)
}

/// Makes an empty file that only its owner can read. SQLite gives its log the same permissions.
fn private_file(path: &Path) -> io::Result<()> {
    open_private(OpenOptions::new().create_new(true).write(true), path)?.sync_all()
}

fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Makes the names in a directory durable.
fn sync_directory(path: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(path)?.sync_all() } else { Ok(()) }
}
