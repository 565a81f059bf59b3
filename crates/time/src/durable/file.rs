//! A mark in a file.
//!
//! A new file is written beside the old one and synced, takes the old one's place, and then the
//! directory is synced: a crash at any point leaves the old mark or the new one. A checksum covers
//! every byte; a file that is damaged, empty, or of another kind is an error and never a start
//! from zero.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{Error, Store};
use crate::limits::MARK_FILE_BYTES_MAX;

const HEADER: &str = "steadfast-high-mark 1";

/// A mark in a file of its own, readable as text. Costs two syncs a save.
#[derive(Debug)]
pub struct FileMark {
    path: PathBuf,
}

impl FileMark {
    /// A mark at a path whose directory exists. The file is made by the first save.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn io(&self, what: &'static str) -> impl FnOnce(io::Error) -> Error {
        let path = self.path.clone();
        move |source| Error::Io { what, path, source }
    }

    fn damaged(&self, what: &'static str) -> Error {
        Error::Damaged { path: self.path.clone(), what }
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        self.path.with_file_name(name)
    }
}

impl Store for FileMark {
    fn load(&mut self) -> Result<u64, Error> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(self.io("cannot open the mark in")(error)),
        };
        let mut bytes = Vec::new();
        file.take(MARK_FILE_BYTES_MAX)
            .read_to_end(&mut bytes)
            .map_err(self.io("cannot read the mark in"))?;
        parse(&bytes).map_err(|what| self.damaged(what))
    }

    fn save(&mut self, mark: u64) -> Result<(), Error> {
        let beside = self.beside();
        let write = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).open(&beside)?;
            file.write_all(render(mark).as_bytes())?;
            file.sync_all()
        };
        write().map_err(self.io("cannot write a new mark beside"))?;
        std::fs::rename(&beside, &self.path).map_err(self.io("cannot put the new mark at"))?;
        File::open(self.directory())
            .and_then(|directory| directory.sync_all())
            .map_err(self.io("cannot sync the directory of"))
    }
}

fn render(mark: u64) -> String {
    let body = format!("{HEADER}\nmark {mark}\n");
    let check = crc32c::crc32c(body.as_bytes());
    format!("{body}crc32c {check:08x}\n")
}

fn parse(bytes: &[u8]) -> Result<u64, &'static str> {
    let text = std::str::from_utf8(bytes).map_err(|_| "it is not text")?;
    if text.is_empty() {
        return Err("it is empty");
    }
    let number = text
        .strip_prefix(HEADER)
        .ok_or("it is not a high mark of this version")?
        .strip_prefix("\nmark ")
        .and_then(|rest| rest.split_once('\n'))
        .and_then(|(number, _)| number.parse().ok())
        .ok_or("it holds no number")?;
    // The one way to write this number; anything else is damage.
    if text == render(number) { Ok(number) } else { Err("its checksum does not fit its content") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_survives_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        assert_eq!(FileMark::new(&path).load().unwrap(), 0);
        for mark in [1, 20_000, u64::MAX] {
            FileMark::new(&path).save(mark).unwrap();
            assert_eq!(FileMark::new(&path).load().unwrap(), mark);
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        assert!(render(u64::MAX).len() as u64 <= MARK_FILE_BYTES_MAX);
    }

    #[test]
    fn every_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let good = render(10_000).into_bytes();
        let check = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            let error = FileMark::new(&path).load().unwrap_err();
            assert!(matches!(error, Error::Damaged { .. }), "{bytes:?}: {error}");
        };
        (0..good.len()).for_each(|end| check(&good[..end]));
        for index in 0..good.len() {
            for bit in 0..8 {
                let mut bad = good.clone();
                bad[index] ^= 1 << bit;
                check(&bad);
            }
        }
        check(&[&good[..], b"\n"].concat());
    }

    #[test]
    fn a_crash_before_the_new_mark_is_in_place_leaves_the_old_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mark");
        let mut mark = FileMark::new(&path);
        mark.save(5).unwrap();
        std::fs::write(mark.beside(), "half a").unwrap();
        assert_eq!(mark.load().unwrap(), 5);
        mark.save(6).unwrap();
        assert_eq!(mark.load().unwrap(), 6);
    }

    #[test]
    fn a_directory_that_is_missing_is_an_error_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let error = FileMark::new(dir.path().join("gone").join("mark")).save(1).unwrap_err();
        assert!(error.to_string().contains("gone"), "{error}");
    }
}
