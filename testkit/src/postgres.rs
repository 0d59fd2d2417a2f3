//! A PostgreSQL server from Debian's binaries, in a temporary folder on a free loopback port.
//!
//! `fsync` stays on. The server runs under a small shell that reads from a pipe of this process: when this process
//! ends, however it ends, the pipe closes, and the shell stops its own server and removes the folder.

use std::fs;
use std::io::{self, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

/// When set, tests use this server (a superuser's URL) and start none.
pub const URL_VARIABLE: &str = "NOTIFY_TEST_POSTGRES_URL";

/// The role that owns the test databases: no superuser, or row-level security would not apply to it.
pub const ROLE: &str = "notify";

/// A running server; dropping it stops it.
#[derive(Debug)]
pub struct PostgresServer {
    /// URL of the superuser without a database.
    base: String,
    bin: PathBuf,
    /// Our own server's shell; `None` when somebody else started the server.
    shell: Option<Child>,
}

/// Starts a server.
///
/// # Panics
/// When there are no binaries or the server does not come up: a test that needs it cannot go on.
#[must_use]
pub fn start() -> PostgresServer {
    let bin = binaries();
    // Another process may take the port between our look and the server's bind: then try the next one.
    for _ in 0..5 {
        if let Some(server) = try_start(&bin) {
            return server;
        }
    }
    panic!("PostgreSQL from {} did not start", bin.display());
}

/// The server of this test process: the one named by [`URL_VARIABLE`], or our own, started once.
#[must_use]
pub fn shared() -> &'static PostgresServer {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    SERVER.get_or_init(|| match std::env::var(URL_VARIABLE) {
        Ok(url) => {
            let base = url.rsplit_once('/').map_or(url.as_str(), |(base, _)| base).to_owned();
            PostgresServer { base, bin: binaries(), shell: None }
        }
        Err(_) => start(),
    })
}

impl PostgresServer {
    /// URL of an empty database of this name, created when it is not there, as its owner [`ROLE`].
    ///
    /// # Panics
    /// When the database cannot be created.
    #[must_use]
    pub fn url_for(&self, database: &str) -> String {
        self.create_role();
        let exists = self.psql(&format!("SELECT 1 FROM pg_database WHERE datname = '{database}'"));
        if exists.is_ok_and(|answer| answer.trim() != "1") {
            self.psql(&format!("CREATE DATABASE \"{database}\" OWNER {ROLE}"))
                .unwrap_or_else(|error| panic!("database {database}: {error}"));
        }
        let host = self.base.rsplit_once('@').map_or(self.base.as_str(), |(_, host)| host);
        format!("postgres://{ROLE}@{host}/{database}")
    }

    /// URL of the superuser, for tests that look behind row-level security.
    #[must_use]
    pub fn superuser_url_for(&self, database: &str) -> String {
        format!("{}/{database}", self.base)
    }

    /// Two processes may do this at once: whoever comes second finds the role.
    fn create_role(&self) {
        let found = self.psql(&format!("SELECT 1 FROM pg_roles WHERE rolname = '{ROLE}'"));
        if found.is_ok_and(|answer| answer.trim() == "1") {
            return;
        }
        let _ = self.psql(&format!("CREATE ROLE {ROLE} LOGIN NOSUPERUSER NOBYPASSRLS"));
    }

    /// SIGKILL to the postmaster: no session is told, nothing is written in order. Data stays.
    ///
    /// # Panics
    /// When the server was not started here.
    pub fn crash(&mut self) {
        self.order("crash");
        self.wait_until("gone", |server| server.psql("SELECT 1").is_err());
    }

    /// Starts a crashed server again, on the same port and data; returns when it answers.
    ///
    /// # Panics
    /// When it does not come up again.
    pub fn revive(&mut self) {
        self.order("revive");
        self.wait_until("back", |server| server.psql("SELECT 1").is_ok());
    }

    fn order(&mut self, word: &str) {
        let shell = self.shell.as_mut().expect("only a server of our own is crashed");
        let stdin = shell.stdin.as_mut().expect("the shell listens until the server is dropped");
        writeln!(stdin, "{word}").expect("the shell runs");
    }

    fn wait_until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        for _ in 0..600 {
            if holds(self) {
                return;
            }
            #[allow(clippy::disallowed_methods)] // Waits for another program; there is no event to wait for.
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("after 30 s the server is not {what}");
    }

    /// Runs one statement as the superuser.
    ///
    /// # Errors
    /// What `psql` printed.
    pub fn psql(&self, sql: &str) -> Result<String, String> {
        let url = format!("{}/postgres", self.base);
        let done = Command::new(self.bin.join("psql"))
            .args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-d", &url, "-c", sql])
            .output()
            .map_err(|error| error.to_string())?;
        if done.status.success() {
            Ok(String::from_utf8_lossy(&done.stdout).into_owned())
        } else {
            Err(String::from_utf8_lossy(&done.stderr).into_owned())
        }
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        if let Some(shell) = &mut self.shell {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
    }
}

/// The newest `/usr/lib/postgresql/*/bin`.
fn binaries() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok())
        .max()
        .expect("PostgreSQL is not installed (Debian package `postgresql`)");
    PathBuf::from(format!("/usr/lib/postgresql/{newest}/bin"))
}

/// PostgreSQL refuses to run as root: user and group id of `postgres`, or of `nobody`, when we are root.
fn lesser_user() -> Option<(u32, u32)> {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let uid = status.lines().find_map(|line| line.strip_prefix("Uid:"))?.split_whitespace().next()?;
    if uid != "0" {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    ["postgres", "nobody"].into_iter().find_map(|name| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut ids = line.split(':').skip(2);
        Some((ids.next()?.parse().ok()?, ids.next()?.parse().ok()?))
    })
}

const SCRIPT: &str = r#"
# Nothing of the data is kept, so the server is told to stop at once (QUIT).
cd "$DIR" || exit 1
"$BIN/initdb" -D data -U postgres -A trust -E UTF8 --locale=C.UTF-8 --no-sync >initdb.log 2>&1 || exit 1
start() {
    "$BIN/postgres" -D data -p "$PORT" -k "$DIR" -c listen_addresses=127.0.0.1 -c max_connections=100 \
        -c shared_buffers=64MB -c log_min_messages=warning </dev/null >>server.log 2>&1 &
    pid=$!
}
start
while read -r order; do
    case "$order" in
    crash)
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
        ;;
    revive)
        # A new server refuses to start until the last child of the killed one has noticed.
        for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
            start
            sleep 0.3
            kill -0 "$pid" 2>/dev/null && break
        done
        ;;
    esac
done
kill -QUIT "$pid" 2>/dev/null
wait "$pid"
cd / && rm -rf "$DIR"
"#;

fn try_start(bin: &Path) -> Option<PostgresServer> {
    let user = lesser_user();
    let dir = temporary_folder(user).expect("a temporary folder");
    let port = TcpListener::bind("127.0.0.1:0").ok()?.local_addr().ok()?.port();
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", SCRIPT])
        .env_clear()
        .envs([("DIR", dir.as_os_str()), ("BIN", bin.as_os_str())])
        .env("PORT", port.to_string())
        .env("PATH", "/usr/bin:/bin")
        .env("LC_ALL", "C.UTF-8")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // Its own group: a signal to the tests' group must not kill the one who cleans up.
        .process_group(0);
    if let Some((uid, gid)) = user {
        shell.uid(uid).gid(gid);
    }
    let mut server = PostgresServer {
        base: format!("postgres://postgres@127.0.0.1:{port}"),
        bin: bin.to_owned(),
        shell: Some(shell.spawn().ok()?),
    };
    // A slow machine may need long for initdb; a dead shell ends the wait at once.
    for _ in 0..1200 {
        if server.shell.as_mut().is_some_and(|shell| !matches!(shell.try_wait(), Ok(None))) {
            return None;
        }
        if TcpStream::connect(("127.0.0.1", port)).is_ok() && server.psql("SELECT 1").is_ok() {
            return Some(server);
        }
        #[allow(clippy::disallowed_methods)] // Waits for another program; there is no event to wait for.
        std::thread::sleep(Duration::from_millis(50));
    }
    None
}

fn temporary_folder(owner: Option<(u32, u32)>) -> io::Result<PathBuf> {
    for attempt in 0..1000 {
        let dir = std::env::temp_dir().join(format!("notify-pg-{}-{attempt}", std::process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => {
                if let Some((uid, gid)) = owner {
                    std::os::unix::fs::chown(&dir, Some(uid), Some(gid))?;
                }
                return Ok(dir);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("no free name for a temporary folder"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_serves_and_leaves_nothing() {
        let mut server = start();
        let url = server.url_for("kit");
        assert_eq!(url, server.url_for("kit"), "asking twice is fine");
        let owner = "SELECT rolname FROM pg_database JOIN pg_roles r ON r.oid = datdba WHERE datname = 'kit'";
        assert_eq!(server.psql(owner).unwrap().trim(), ROLE);
        assert_eq!(server.psql("SHOW fsync").unwrap().trim(), "on");
        server.psql("CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)").unwrap();
        server.crash();
        assert!(server.psql("SELECT 1").is_err());
        server.revive();
        assert_eq!(server.psql("SELECT n FROM kept").unwrap().trim(), "7");
        let folder = server.psql("SHOW data_directory").unwrap();
        drop(server);
        assert!(!Path::new(folder.trim()).exists());
    }
}
