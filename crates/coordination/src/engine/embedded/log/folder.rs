//! A folder: which files are in it, whose it is, and how files appear in it whole.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::error::Error;
use super::layout::FORMAT;

/// Says what the folder is. Written last when it is made.
const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "LOCK";
const TITLE: &str = "steadfast coordination log\n";

/// A folder that this process has to itself.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// Locked as long as it is open.
    _lock: File,
}

/// What is in it.
#[derive(Debug, Default)]
pub(crate) struct Contents {
    pub(crate) segments: Vec<u64>,
    pub(crate) snapshots: Vec<u64>,
}

impl Folder {
    /// Opens a folder, or makes it. `true` when it is new and holds nothing yet.
    pub(crate) fn open(path: &Path) -> Result<(Self, bool), Error> {
        let missing = !path.exists();
        if missing {
            let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
            made.map_err(Error::io("make the folder", path))?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            sync_folder(parent.unwrap_or(Path::new(".")))?;
        }
        let format = path.join(FORMAT_FILE);
        let lock = path.join(LOCK_FILE);
        if !format.exists() && !lock.exists() {
            let mut entries = fs::read_dir(path).map_err(Error::io("list", path))?;
            if entries.next().is_some() {
                return Err(Error::Foreign { folder: path.to_owned() });
            }
        }
        let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&lock);
        let file = file.map_err(Error::io("open", &lock))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::InUse { folder: path.to_owned() }),
            Err(TryLockError::Error(error)) => return Err(Error::io("lock", &lock)(error)),
        }
        let folder = Self { path: path.to_owned(), _lock: file };
        let is_new = folder.check_format(&format)?;
        Ok((folder, is_new))
    }

    /// Whether there is no format yet.
    fn check_format(&self, format: &Path) -> Result<bool, Error> {
        let text = match fs::read(format) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // It is written after the first segment, so without it nothing was ever answered.
                let Contents { segments, snapshots } = self.contents()?;
                if !snapshots.is_empty() || segments.iter().any(|number| *number > 1) {
                    return Err(Error::damaged(format, 0, "it is missing"));
                }
                return Ok(true);
            }
            Err(error) => return Err(Error::io("read", format)(error)),
        };
        if text == format_text().as_bytes() {
            return Ok(false);
        }
        let text = String::from_utf8_lossy(&text);
        match text.strip_prefix(TITLE).and_then(|rest| rest.strip_prefix("format ")) {
            Some(version) => Err(Error::Version {
                file: format.to_owned(),
                found: version.trim().chars().take(32).collect(),
                known: FORMAT,
            }),
            None => Err(Error::damaged(format, 0, "it is not the title of a coordination log")),
        }
    }

    /// Says that the folder is complete.
    pub(crate) fn set_format(&self) -> Result<(), Error> {
        self.write_whole(FORMAT_FILE, format_text().as_bytes())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn segment(&self, number: u64) -> PathBuf {
        self.path.join(format!("segment-{number:012}"))
    }

    /// The state before that segment.
    pub(crate) fn snapshot(&self, number: u64) -> PathBuf {
        self.path.join(Self::snapshot_name(number))
    }

    pub(crate) fn snapshot_name(number: u64) -> String {
        format!("snapshot-{number:012}")
    }

    /// Lists it. Files of other names are left alone.
    pub(crate) fn contents(&self) -> Result<Contents, Error> {
        let failed = || Error::io("list", &self.path);
        let mut contents = Contents::default();
        for entry in fs::read_dir(&self.path).map_err(failed())? {
            let name = entry.map_err(failed())?.file_name();
            let Some((kind, number)) = name.to_str().and_then(|name| name.split_once('-')) else {
                continue;
            };
            let Ok(number) = number.parse() else { continue };
            match kind {
                "segment" => contents.segments.push(number),
                "snapshot" => contents.snapshots.push(number),
                _ => {}
            }
        }
        contents.segments.sort_unstable();
        contents.snapshots.sort_unstable();
        Ok(contents)
    }

    /// Writes a file that is there either not at all or whole.
    pub(crate) fn write_whole(&self, name: &str, bytes: &[u8]) -> Result<(), Error> {
        let temporary = self.path.join(format!("{name}.tmp"));
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true).mode(0o600);
        let written = options.open(&temporary).and_then(|mut file| {
            file.write_all(bytes)?;
            file.sync_all()
        });
        written.map_err(Error::io("write", &temporary))?;
        self.rename(&temporary, &self.path.join(name))
    }

    /// Renames, durably.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), Error> {
        fs::rename(from, to).map_err(Error::io("rename", from))?;
        sync_folder(&self.path)
    }

    /// Removes a file that is not needed any more; that it is gone already is fine.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Error> {
        match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(Error::io("remove", path)(error))
            }
            _ => Ok(()),
        }
    }
}

fn format_text() -> String {
    format!("{TITLE}format {FORMAT}\n")
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", path))
}
