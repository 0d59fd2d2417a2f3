//! One studio: its home, its process, its API. Killed and started again as a test demands.

use crate::clock;
use crate::http::{Answer, Connection};
use anyhow::{Context, bail};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;
use tokio::process::{Child, Command};

/// The tenant of demo, benchmarks and kill tests.
pub const TENANT: &str = "demo";

/// A home folder and the programs to run on it.
pub struct Studio {
    stage: PathBuf,
    pub home: PathBuf,
    pub address: SocketAddr,
    child: Option<Child>,
    token: Option<String>,
}

impl Studio {
    /// Makes a fresh home whose operator allows the connectors to reach loopback, and a tenant in it.
    pub async fn create(stage: &Path, home: &Path, address: SocketAddr) -> anyhow::Result<Self> {
        Self::with_plugins(stage, home, address, stage, "").await
    }

    /// The same with plug-ins and their trust store from another folder, and more configuration.
    pub async fn with_plugins(
        stage: &Path,
        home: &Path,
        address: SocketAddr,
        installed: &Path,
        more: &str,
    ) -> anyhow::Result<Self> {
        std::fs::create_dir_all(home)?;
        let plugins = installed.join("plugins");
        let trust = installed.join("trust");
        let host = stage.join("bin/notify-connector-host");
        let config = format!(
            "# Written for a demonstration on this machine: connectors may reach loopback here, and only here.\n\
             [egress]\nallow = [\"127.0.0.1/32\"]\nallow_http = true\n\n\
             [connectors]\nplugin_dir = {plugins:?}\ntrust_dir = {trust:?}\nhost_program = {host:?}\n{more}"
        );
        std::fs::write(home.join("notify.toml"), config)?;
        let studio =
            Self { stage: stage.to_owned(), home: home.to_owned(), address, child: None, token: None };
        studio.notify(&["tenant", "create", TENANT, "--name", "Demo tenant"]).await?;
        // What auditors trust is handed over once, apart from any export, before the service takes the home.
        let trust = studio.trust();
        studio.notify(&["ledger", "trust", "--tenant", TENANT, "--out", &trust.to_string_lossy()]).await?;
        Ok(studio)
    }

    /// Policy and keys for auditors.
    #[must_use]
    pub fn trust(&self) -> PathBuf {
        self.home.with_file_name("trust")
    }

    /// Puts a secret where channels of the tenant can refer to it as `secret://file/NAME`.
    pub fn write_secret(&self, name: &str, value: &str) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        let folder = self.home.join("secrets").join(TENANT);
        std::fs::create_dir_all(&folder)?;
        let file = folder.join(name);
        std::fs::write(&file, value)?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600))?;
        Ok(())
    }

    /// Runs `notify ARGUMENTS --home HOME` and gives its standard output.
    pub async fn notify(&self, arguments: &[&str]) -> anyhow::Result<String> {
        let output = Command::new(self.stage.join("bin/notify"))
            .args(arguments)
            .arg("--home")
            .arg(&self.home)
            .stdin(Stdio::null())
            .output()
            .await
            .context("`notify` could not be started")?;
        if !output.status.success() {
            bail!("`notify {}` failed: {}", arguments.join(" "), String::from_utf8_lossy(&output.stderr));
        }
        Ok(String::from_utf8(output.stdout)?)
    }

    /// Starts `notify serve` and waits until it is ready.
    pub async fn start(&mut self) -> anyhow::Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.home.join("serve.log"))?;
        let child = Command::new(self.stage.join("bin/notify"))
            .args(["serve", "--listen", &self.address.to_string(), "--home"])
            .arg(&self.home)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.child = Some(child);
        let mut connection = Connection::new(self.address);
        for _ in 0..600 {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().ok()).flatten() {
                bail!("the studio ended at once ({status}); see {}", self.home.join("serve.log").display());
            }
            if let Ok(answer) = connection.send("GET", "/readyz", &[], b"").await
                && answer.status == 200
            {
                return Ok(());
            }
            clock::wait(Duration::from_millis(20)).await;
        }
        bail!("the studio was not ready after 12 s; see {}", self.home.join("serve.log").display())
    }

    /// SIGKILL: the process gets no chance to do anything.
    pub async fn kill(&mut self) -> anyhow::Result<()> {
        if let Some(mut child) = self.child.take() {
            child.start_kill()?;
            child.wait().await?;
        }
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    pub async fn terminate(&mut self) -> anyhow::Result<()> {
        let Some(mut child) = self.child.take() else { return Ok(()) };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw);
        rustix::process::kill_process(pid.context("the studio has no pid")?, rustix::process::Signal::TERM)?;
        let status = child.wait().await?;
        if !status.success() {
            bail!(
                "the studio ended with {status} after SIGTERM; see {}",
                self.home.join("serve.log").display()
            );
        }
        Ok(())
    }

    /// A bearer token with all scopes that the rig needs.
    pub async fn token(&mut self) -> anyhow::Result<String> {
        if let Some(token) = &self.token {
            return Ok(token.clone());
        }
        let scopes = ["--scope", "notify.admin", "--scope", "notify.publish", "--scope", "notify.auditor"];
        let mut arguments = vec!["token", "issue", "--tenant", TENANT, "--ttl", "12h"];
        arguments.extend(scopes);
        let token = self.notify(&arguments).await?.trim().to_owned();
        self.token = Some(token.clone());
        Ok(token)
    }

    /// One API call; anything but 2xx is an error with the problem's text.
    pub async fn call(
        &mut self,
        method: &str,
        path: &str,
        content_type: &str,
        body: &[u8],
    ) -> anyhow::Result<Answer> {
        let bearer = format!("Bearer {}", self.token().await?);
        let headers = [("authorization", bearer.as_str()), ("content-type", content_type)];
        let answer = Connection::new(self.address).send(method, path, &headers, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("{method} {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(answer)
    }

    /// Replaces a document, whatever its version.
    pub async fn replace(&mut self, path: &str, body: &[u8]) -> anyhow::Result<()> {
        let bearer = format!("Bearer {}", self.token().await?);
        let headers =
            [("authorization", bearer.as_str()), ("content-type", "application/json"), ("if-match", "*")];
        let answer = Connection::new(self.address).send("PUT", path, &headers, body).await?;
        if !(200..300).contains(&answer.status) {
            bail!("PUT {path}: {} {}", answer.status, String::from_utf8_lossy(&answer.body));
        }
        Ok(())
    }

    /// Proportional memory (PSS, KiB) of the studio and its connector hosts.
    pub fn memory_kib(&self) -> anyhow::Result<u64> {
        let root = self.child.as_ref().and_then(Child::id).context("the studio does not run")?;
        let mut total = 0;
        for pid in family(root) {
            let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let line = text.lines().find(|line| line.starts_with("Pss:")).unwrap_or_default();
            total += line.split_whitespace().nth(1).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
        }
        Ok(total)
    }

    /// CPU seconds used so far by the studio and its connector hosts.
    pub fn cpu_seconds(&self) -> anyhow::Result<f64> {
        let root = self.child.as_ref().and_then(Child::id).context("the studio does not run")?;
        let ticks: u64 = family(root).into_iter().map(ticks).sum();
        Ok(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Exports the tenant's ledger over HTTP into a tar file and verifies it with the CLI. Gives the verifier's words.
    pub async fn export_and_verify(&mut self, tar: &Path) -> anyhow::Result<String> {
        let answer = self.call("POST", "/api/v1/notify/ledger:export", "application/json", b"{}").await?;
        std::fs::write(tar, &answer.body)?;
        verify(&self.stage, tar, &self.trust()).await
    }

    /// Waits for the studio to end by itself.
    pub async fn wait(&mut self) -> anyhow::Result<()> {
        if let Some(child) = self.child.as_mut() {
            child.wait().await?;
        }
        Ok(())
    }
}

/// `notify ledger verify`: offline, with the trust folder only.
pub async fn verify(stage: &Path, export: &Path, trust: &Path) -> anyhow::Result<String> {
    let output = Command::new(stage.join("bin/notify"))
        .args(["ledger", "verify"])
        .arg(export)
        .arg("--trust")
        .arg(trust)
        .stdin(Stdio::null())
        .output()
        .await?;
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    if !output.status.success() {
        bail!("the ledger does not verify: {words}{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(words)
}

/// A process and its descendants.
fn family(root: u32) -> Vec<u32> {
    let mut members = vec![root];
    let mut next = 0;
    while let Some(pid) = members.get(next).copied() {
        next += 1;
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            members.extend(children.split_whitespace().filter_map(|id| id.parse::<u32>().ok()));
        }
    }
    members
}

/// User and system time of one process, in clock ticks.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The command name may hold spaces; fields are counted after its closing bracket: utime is the 12th, stime next.
    let tail = stat.rsplit(')').next().unwrap_or_default();
    tail.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}
