//! Which packages of the system hold the servers, and how they get there.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::kind::Kind;
use super::wait;

/// How long a package manager may take.
const INSTALL_LIMIT: Duration = Duration::from_secs(900);

/// Folders that hold servers although they are not in everybody's `PATH`.
const FOLDERS: &[&str] = &["/usr/sbin", "/usr/local/sbin", "/opt/homebrew/bin", "/usr/local/bin"];

/// How Debian is told not to start what it installs (policy-rc.d(8)).
const POLICY: &str = "/usr/sbin/policy-rc.d";

/// Where packages come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// Debian, Ubuntu and what is made of them.
    Debian,
    /// A Mac with Homebrew.
    Mac,
    /// Any other.
    Other,
}

impl System {
    /// The one this runs on.
    #[must_use]
    pub fn here() -> Self {
        if cfg!(target_os = "macos") {
            return Self::Mac;
        }
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        if is_debian(&release) { Self::Debian } else { Self::Other }
    }

    /// The packages for one kind of server.
    #[must_use]
    pub const fn packages(self, kind: Kind) -> &'static [&'static str] {
        match (self, kind) {
            (Self::Debian, Kind::Etcd | Kind::EtcdCluster) => &["etcd-server"],
            (Self::Debian, Kind::Redis) => &["redis-server"],
            (Self::Debian, Kind::Zookeeper) => &["zookeeper", "default-jre-headless"],
            (Self::Mac, Kind::Postgres) => &["postgresql@17"],
            (_, Kind::Postgres) => &["postgresql"],
            (_, Kind::Etcd | Kind::EtcdCluster) => &["etcd"],
            (_, Kind::Zookeeper) => &["zookeeper"],
            (_, Kind::Redis) => &["redis"],
        }
    }

    /// What to do about missing servers, in words.
    #[must_use]
    pub fn advice(self, kinds: &[Kind]) -> String {
        let packages = self.all(kinds).join(" ");
        match self {
            Self::Debian => format!("apt-get install --no-install-recommends {packages}"),
            Self::Mac => format!("brew install {packages}"),
            Self::Other => format!("install {packages}, or run a Docker engine with Compose"),
        }
    }

    /// The packages for several kinds, each once.
    fn all(self, kinds: &[Kind]) -> Vec<&'static str> {
        let mut all: Vec<&str> =
            kinds.iter().flat_map(|kind| self.packages(*kind)).copied().collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Whether `/etc/os-release` is that of Debian or of a descendant.
fn is_debian(release: &str) -> bool {
    let values = release.lines().filter_map(|line| {
        let (key, value) = line.split_once('=')?;
        matches!(key, "ID" | "ID_LIKE").then(|| value.trim_matches('"'))
    });
    values.flat_map(str::split_whitespace).any(|name| matches!(name, "debian" | "ubuntu"))
}

/// Whether this is an automatic build, where nobody is there to install anything.
#[must_use]
pub fn in_ci() -> bool {
    env::var("CI").is_ok_and(|value| value == "true" || value == "1")
}

/// Whether this user may do everything.
#[must_use]
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Looks for a program in `PATH`, in `more` folders, and where servers usually are.
#[must_use]
pub fn find(program: &str, more: &[PathBuf]) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = env::split_paths(&path)
        .chain(more.iter().cloned())
        .chain(FOLDERS.iter().map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}

/// Installs the packages for some kinds, if this is an automatic build on Debian as root.
/// Answers whether it has tried.
///
/// # Errors
/// `apt-get` failed.
pub fn install(kinds: &[Kind]) -> io::Result<bool> {
    if !(in_ci() && is_root() && System::here() == System::Debian) {
        return Ok(false);
    }
    // The servers that we want have ports of their own; those of the packages must not start.
    let policy = !Path::new(POLICY).exists();
    if policy {
        fs::write(POLICY, "#!/bin/sh\nexit 101\n")?;
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        fs::set_permissions(POLICY, executable)?;
    }
    let installed = apt_get(&["update"]).and_then(|()| {
        let options = ["install", "--yes", "--no-install-recommends"];
        apt_get(&[&options[..], &System::Debian.all(kinds)].concat())
    });
    if policy {
        fs::remove_file(POLICY)?;
    }
    installed.map(|()| true)
}

fn apt_get(arguments: &[&str]) -> io::Result<()> {
    eprintln!("apt-get {}", arguments.join(" "));
    let mut command = Command::new("apt-get");
    command.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
    let output = wait::output(&mut command, INSTALL_LIMIT)?;
    if output.status.success() {
        return Ok(());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(io::Error::other(format!("apt-get {} failed:\n{stderr}", arguments.join(" "))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_is_recognised_by_its_family() {
        assert!(is_debian("NAME=\"Debian GNU/Linux\"\nID=debian\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nNAME=\"not debian\"\n"));
        assert!(!is_debian(""));
    }

    #[test]
    fn the_advice_is_a_command_that_names_each_package_once() {
        let advice = System::Debian.advice(&[Kind::Etcd, Kind::EtcdCluster, Kind::Redis]);
        assert_eq!(advice, "apt-get install --no-install-recommends etcd-server redis-server");
        assert!(System::Mac.advice(&[Kind::Zookeeper]).starts_with("brew install zookeeper"));
        assert!(System::Other.advice(&Kind::ALL).contains("postgresql"));
    }

    #[test]
    fn a_program_is_found_where_it_is_and_nowhere_else() {
        let folder = tempfile::tempdir().unwrap();
        let name = "steadfast-no-such-server";
        assert_eq!(find(name, &[folder.path().to_owned()]), None);
        fs::write(folder.path().join(name), "").unwrap();
        assert_eq!(find(name, &[folder.path().to_owned()]), Some(folder.path().join(name)));
    }
}
