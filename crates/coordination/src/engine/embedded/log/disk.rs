//! The two things that are done to a segment while requests wait, so that a test can fail them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// An open segment.
pub(crate) trait Disk: Send {
    /// Writes at an offset that is within the file.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Returns when all that was written will survive a loss of power.
    fn sync(&self) -> io::Result<()>;
}

impl Disk for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    /// `fdatasync`: the length of a segment never changes, so the data are all there is.
    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
