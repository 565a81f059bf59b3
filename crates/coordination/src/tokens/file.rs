//! Tokens in a file.
//!
//! The number is written to a new file beside the old one, which then takes its place, with every
//! step synced, so a crash leaves the old number or the new one. The file carries a checksum. One
//! that is damaged is an error, never a start from the beginning: tokens that were granted before
//! would be granted again, and a replaced owner's writes would pass for its successor's.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use super::{StoreError, TokenStore};
use crate::limits::TOKEN_FILE_BYTES_MAX;

const HEADER: &str = "steadfast-tokens 1";

/// A store in a file. One process at a time may use it; the platform's lock on its data
/// directory sees to that.
#[derive(Debug)]
pub struct FileTokens {
    path: PathBuf,
}

impl FileTokens {
    /// A store at a path whose directory exists. The file is made by the first reservation.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    fn io(&self, context: &'static str) -> impl FnOnce(std::io::Error) -> StoreError {
        let path = self.path.clone();
        move |source| StoreError::Io { path, context, source }
    }

    fn damaged(&self, what: &str) -> StoreError {
        StoreError::Damaged { path: self.path.clone(), what: what.to_owned() }
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    fn temporary(&self) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        self.path.with_file_name(name)
    }
}

impl TokenStore for FileTokens {
    fn load(&mut self) -> Result<u64, StoreError> {
        let file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(0),
            Err(error) => return Err(self.io("opening the reserved tokens")(error)),
        };
        let mut text = String::new();
        match file.take(TOKEN_FILE_BYTES_MAX).read_to_string(&mut text) {
            Ok(_) => parse(&text).map_err(|what| self.damaged(what)),
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Err(self.damaged("it is not text"))
            }
            Err(error) => Err(self.io("reading the reserved tokens")(error)),
        }
    }

    fn save(&mut self, reserved: u64) -> Result<(), StoreError> {
        let temporary = self.temporary();
        let mut options = OpenOptions::new();
        let mut file = options
            .write(true)
            .create(true)
            .truncate(true)
            .open(&temporary)
            .map_err(self.io("making a file for reserved tokens"))?;
        file.write_all(render(reserved).as_bytes())
            .and_then(|()| file.sync_all())
            .map_err(self.io("writing reserved tokens"))?;
        drop(file);
        std::fs::rename(&temporary, &self.path)
            .map_err(self.io("putting reserved tokens in place"))?;
        File::open(self.directory())
            .and_then(|directory| directory.sync_all())
            .map_err(self.io("syncing the directory of reserved tokens"))
    }
}

fn render(reserved: u64) -> String {
    let body = format!("{HEADER}\nreserved {reserved}\n");
    let check = checksum(&body);
    format!("{body}check {check:016x}\n")
}

fn parse(text: &str) -> Result<u64, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    let (body, check) = text.split_once("check ").ok_or("it ends too early")?;
    if check.strip_suffix('\n') != Some(&*format!("{:016x}", checksum(body))) {
        return Err("its checksum does not fit its content");
    }
    let number = body
        .strip_prefix(HEADER)
        .ok_or("it is not a file of reserved tokens of this version")?
        .strip_prefix("\nreserved ")
        .and_then(|rest| rest.strip_suffix('\n'))
        .ok_or("it holds no number")?;
    number.parse().map_err(|_| "its number cannot be read")
}

/// FNV-1a. It finds accidents; it does not keep out anybody who can write to the directory.
fn checksum(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_survives() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        assert_eq!(FileTokens::new(&path).load().unwrap(), 0);
        for reserved in [10_000, 20_000, u64::MAX] {
            FileTokens::new(&path).save(reserved).unwrap();
            assert_eq!(FileTokens::new(&path).load().unwrap(), reserved);
        }
        let names: Vec<_> = std::fs::read_dir(dir.path()).unwrap().collect();
        assert_eq!(names.len(), 1, "nothing is left over: {names:?}");
    }

    #[test]
    fn every_damage_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tokens");
        let good = render(10_000).into_bytes();
        for end in 0..good.len() {
            std::fs::write(&path, &good[..end]).unwrap();
            let error = FileTokens::new(&path).load().unwrap_err();
            assert!(matches!(error, StoreError::Damaged { .. }), "{end}: {error}");
        }
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 0x11;
            std::fs::write(&path, &bad).unwrap();
            let error = FileTokens::new(&path).load().unwrap_err();
            assert!(error.to_string().contains("never start again"), "{index}: {error}");
        }
    }

    #[test]
    fn a_directory_that_is_missing_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut store = FileTokens::new(dir.path().join("gone").join("tokens"));
        assert!(matches!(store.save(1), Err(StoreError::Io { .. })));
    }
}
