//! The same events in another file.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use steadfast_lab::history::{Event, Format, Writer};
use tempfile::NamedTempFile;

use crate::cli::Failure;

/// A file that is written beside its place, and put there when it is complete: nobody ever finds
/// half a history under the name that was asked for.
#[derive(Debug)]
pub struct Converted {
    path: PathBuf,
    writer: Writer<BufWriter<NamedTempFile>>,
}

impl Converted {
    /// A file that is going to be at `path`.
    ///
    /// # Errors
    /// When its name does not say its format, it is the one that is read, or it cannot be made.
    pub fn create(path: &Path, read: &Path) -> Result<Self, Failure> {
        let Some(format) = Format::of_path(path) else {
            return Err(Failure::Usage(format!(
                "--convert-to {}: must end in .edn or .jsonl",
                path.display()
            )));
        };
        let is_same = |a: &Path, b: &Path| Some(a.canonicalize().ok()? == b.canonicalize().ok()?);
        if is_same(path, read) == Some(true) {
            let what = format!("--convert-to {}: is the file that is read", path.display());
            return Err(Failure::Usage(what));
        }
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let mut builder = tempfile::Builder::new();
        // As any file that a program makes, not as a secret: what the user's mask leaves of it.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
        let file = builder
            .prefix(".steadfast-")
            .tempfile_in(folder.unwrap_or(Path::new(".")))
            .map_err(|error| unwritable(path, &error))?;
        let writer = Writer::new(BufWriter::new(file), format);
        Ok(Self { path: path.to_owned(), writer })
    }

    /// Adds an event.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn push(&mut self, event: &Event) -> Result<(), Failure> {
        self.writer.push(event).map_err(|error| unwritable(&self.path, &error))
    }

    /// All events are in it: puts it where it belongs.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(self) -> Result<(), Failure> {
        let mut out = self.writer.into_inner();
        out.flush().map_err(|error| unwritable(&self.path, &error))?;
        let file = out.into_inner().map_err(|error| unwritable(&self.path, error.error()))?;
        file.persist(&self.path).map_err(|error| unwritable(&self.path, &error.error))?;
        Ok(())
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::Usage(format!("--convert-to {}: {error}", path.display()))
}
