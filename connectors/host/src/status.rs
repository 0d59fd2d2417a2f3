//! What an operator sees of a plug-in.

use crate::manifest::Kind;
use crate::supervisor::{State, Supervisor};

/// What an operator sees of a plug-in.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    pub name: String,
    /// `idle`, `running`, `backing-off`, `crash-looping`, `refused` or `stopped`.
    pub state: &'static str,
    pub version: Option<String>,
    pub kind: Option<Kind>,
    pub channel_types: Vec<String>,
    pub key_id: Option<String>,
    pub sha256: Option<String>,
    pub pid: Option<u32>,
    /// Starts after the first.
    pub restarts: u64,
    pub crashes: u64,
    pub timeouts: u64,
    pub in_flight: usize,
    /// What the kernel enforces of the running process: `limits, landlock, seccomp`, or what of it is not there and why.
    pub sandbox: Option<String>,
    /// Answers that came after their call was answered or given up.
    pub late: u64,
    /// Answers to calls that never were.
    pub unknown: u64,
    /// Answers that broke the contract.
    pub garbage: u64,
    pub problem: Option<String>,
}

impl PluginStatus {
    /// One that did not verify when the studio started: nothing that it says of itself is shown.
    pub(crate) fn refused(name: &str, reason: &str) -> Self {
        Self {
            name: name.to_owned(),
            state: State::Refused.name(),
            version: None,
            kind: None,
            channel_types: Vec::new(),
            key_id: None,
            sha256: None,
            pid: None,
            restarts: 0,
            crashes: 0,
            timeouts: 0,
            in_flight: 0,
            sandbox: None,
            late: 0,
            unknown: 0,
            garbage: 0,
            problem: Some(reason.to_owned()),
        }
    }

    pub(crate) fn of(name: &str, supervisor: &Supervisor) -> Self {
        let plugin = supervisor.plugin.load_full();
        let snapshot = supervisor.snapshot();
        Self {
            name: name.to_owned(),
            state: snapshot.state.name(),
            version: Some(plugin.manifest.version.clone()),
            kind: Some(plugin.manifest.kind),
            channel_types: plugin.manifest.channel_types.clone(),
            key_id: Some(plugin.key_id.clone()),
            sha256: Some(plugin.sha256.clone()),
            pid: snapshot.pid,
            restarts: supervisor.counter(|c| &c.started).saturating_sub(1),
            crashes: supervisor.counter(|c| &c.crashes),
            timeouts: supervisor.counter(|c| &c.timeouts),
            in_flight: snapshot.in_flight,
            sandbox: snapshot.sandbox,
            late: supervisor.counter(|c| &c.late),
            unknown: supervisor.counter(|c| &c.unknown),
            garbage: supervisor.counter(|c| &c.garbage),
            problem: snapshot.last_problem,
        }
    }
}
