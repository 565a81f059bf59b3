//! Where a server is found: `unix:///run/steadfast/coordination.sock`.

use std::path::{Path, PathBuf};

/// What a socket's path may have, in bytes: the kernel's `sun_path` has 108 with a zero at the end.
pub(super) const PATH_BYTES_MAX: usize = 107;
const SCHEME: &str = "unix://";

/// Why an address cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AddressError {
    /// Another kind of address.
    #[error("{0:?} is not an address of this engine; one looks like unix:///run/steadfast.sock")]
    Scheme(String),
    /// The kernel has no room for it.
    #[error(
        "the path {} has {bytes} bytes; a socket's path may have {PATH_BYTES_MAX}",
        path.display()
    )]
    TooLong {
        /// The path.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
}

pub(super) fn parse(address: &str) -> Result<PathBuf, AddressError> {
    match address.strip_prefix(SCHEME).map(Path::new) {
        Some(path) if path.is_absolute() => check(path).map(|()| path.to_owned()),
        _ => Err(AddressError::Scheme(address.to_owned())),
    }
}

pub(super) fn check(path: &Path) -> Result<(), AddressError> {
    let bytes = path.as_os_str().len();
    if bytes <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(AddressError::TooLong { path: path.to_owned(), bytes })
}

pub(super) fn format(path: &Path) -> String {
    format!("{SCHEME}{}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_absolute_paths_that_a_socket_can_have() {
        assert_eq!(parse("unix:///run/a b.sock").unwrap(), Path::new("/run/a b.sock"));
        for wrong in ["", "unix://", "unix://run/x", "http://127.0.0.1:1", "/run/x"] {
            assert!(matches!(parse(wrong), Err(AddressError::Scheme(_))), "{wrong}");
        }
        let long = format!("unix:///{}", "n".repeat(107));
        let error = parse(&long).unwrap_err().to_string();
        assert!(error.contains("108 bytes"), "{error}");
        assert!(parse(&long[..long.len() - 1]).is_ok());
    }
}
