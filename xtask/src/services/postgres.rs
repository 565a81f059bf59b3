//! PostgreSQL: one server, with a database and two users.
//!
//! `steadfast` is let in without a password, from this machine only; `guarded` needs one, so that
//! wrong credentials can be tried. Every commit is synced, as it is by default. There is no socket
//! in the file system: its path may be at most 107 bytes long, which a scratch folder's is not
//! always.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use super::launch::Node;
use super::{packages, wait};

/// The user who needs a password, and the password.
pub const GUARDED: (&str, &str) = ("guarded", "open-sesame");

/// How long the making of an empty database may take.
const INIT_LIMIT: Duration = Duration::from_secs(120);

/// Who may come in, from where and how (`pg_hba.conf`).
const ACCESS: &str = "\
host all guarded 127.0.0.1/32 scram-sha-256
host all all     127.0.0.1/32 trust
";

/// The server's programs, and who may run them.
pub struct Programs {
    folder: PathBuf,
    /// PostgreSQL refuses to run as root; then it runs as its own user.
    user: Option<(u32, u32)>,
}

/// The programs, if they are installed: the newest version of several.
#[must_use]
pub fn find() -> Option<Programs> {
    let mut folders: Vec<PathBuf> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .collect();
    folders.sort_by_key(|folder| std::cmp::Reverse(version(folder)));
    let postgres = packages::find("postgres", &folders)?;
    let folder = postgres.parent()?.to_owned();
    let user = if packages::is_root() { Some(user("postgres")?) } else { None };
    folder.join("initdb").is_file().then_some(Programs { folder, user })
}

/// The version in a path such as `/usr/lib/postgresql/15/bin`.
fn version(folder: &Path) -> u32 {
    let version = folder.parent().and_then(Path::file_name);
    version.and_then(|version| version.to_str()?.parse().ok()).unwrap_or(0)
}

/// The numbers of a user and its group.
fn user(name: &str) -> Option<(u32, u32)> {
    in_passwd(&fs::read_to_string("/etc/passwd").ok()?, name)
}

fn in_passwd(passwd: &str, name: &str) -> Option<(u32, u32)> {
    let mut lines = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let line = lines.find(|line| line.first() == Some(&name))?;
    Some((line.get(2)?.parse().ok()?, line.get(3)?.parse().ok()?))
}

impl Programs {
    /// Where the data go: below `scratch`, unless the server's user may not get there.
    #[must_use]
    pub fn folder(&self, scratch: &Path, name: &str) -> PathBuf {
        let open = |folder: &Path| fs::metadata(folder).is_ok_and(|data| data.mode() & 1 == 1);
        if self.user.is_none() || scratch.ancestors().all(open) {
            return scratch.join(name);
        }
        std::env::temp_dir().join(format!("steadfast-{name}-{}", std::process::id()))
    }

    /// Makes an empty database, and says how the server is started.
    ///
    /// # Errors
    /// The database cannot be made.
    pub fn command(&self, node: &Node) -> io::Result<Command> {
        if let Some((user, group)) = self.user {
            chown(&node.folder, Some(user), Some(group))?;
        }
        let data = node.folder.join("data");
        let mut init = self.program("initdb", &node.folder);
        init.arg("-D").arg(&data).args(["-U", "steadfast", "-E", "UTF8", "--locale=C"]);
        // What is made here is not worth a sync; what the server writes later is.
        init.args(["--auth=trust", "--no-sync"]);
        let made = wait::output(&mut init, INIT_LIMIT)?;
        if !made.status.success() {
            let problem = String::from_utf8_lossy(&made.stderr).into_owned();
            return Err(io::Error::other(format!("initdb failed:\n{problem}")));
        }
        let access = data.join("pg_hba.conf");
        fs::write(&access, ACCESS)?;
        self.single(&data, &node.folder)?;
        let mut server = self.program("postgres", &node.folder);
        server.arg("-D").arg(&data);
        for setting in [
            "listen_addresses=127.0.0.1".to_owned(),
            format!("port={}", node.port),
            "unix_socket_directories=".to_owned(),
            "fsync=on".to_owned(),
            "synchronous_commit=on".to_owned(),
            "full_page_writes=on".to_owned(),
            "wal_level=logical".to_owned(),
            "max_prepared_transactions=64".to_owned(),
            "max_connections=200".to_owned(),
        ] {
            server.args(["-c", &setting]);
        }
        Ok(server)
    }

    /// Makes users and database before anybody can connect.
    fn single(&self, data: &Path, folder: &Path) -> io::Result<()> {
        let mut single = self.program("postgres", folder);
        // One statement a line; any that fails ends it.
        single.args(["--single", "-j", "-c", "exit_on_error=on", "-D"]).arg(data).arg("postgres");
        let (name, password) = GUARDED;
        let statements = [
            "CREATE DATABASE steadfast;\n\n".to_owned(),
            format!("CREATE ROLE {name} LOGIN PASSWORD '{password}';\n\n"),
        ];
        let log = fs::File::create(folder.join("single"))?;
        let mut child =
            single.stdin(Stdio::piped()).stdout(log.try_clone()?).stderr(log).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(statements.concat().as_bytes())?;
        }
        let status = wait::until(INIT_LIMIT, || child.try_wait().transpose());
        if status.is_none() {
            child.kill()?;
            child.wait()?;
        }
        if status.transpose()?.is_some_and(|status| status.success()) {
            return Ok(());
        }
        let said = fs::read_to_string(folder.join("single")).unwrap_or_default();
        Err(io::Error::other(format!("postgres --single failed:\n{said}")))
    }

    /// One of the programs, as the user who may run it, in a folder where it may be.
    fn program(&self, name: &str, folder: &Path) -> Command {
        let mut command = Command::new(self.folder.join(name));
        command.current_dir(folder).env("LC_ALL", "C");
        if let Some((user, group)) = self.user {
            command.uid(user).gid(group);
        }
        command
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_in_the_list_of_users() {
        let passwd = "root:x:0:0::/x:/bin/sh\npostgres:x:101:104:P:/v:/bin/sh\nbroken:x\n";
        assert_eq!(in_passwd(passwd, "postgres"), Some((101, 104)));
        assert_eq!(in_passwd(passwd, "post"), None);
        assert_eq!(in_passwd(passwd, "broken"), None);
    }

    #[test]
    fn the_newest_version_is_told_from_the_path() {
        assert_eq!(version(Path::new("/usr/lib/postgresql/15/bin")), 15);
        assert_eq!(version(Path::new("/usr/bin")), 0);
    }
}
