//! What a plug-in's process may do, enforced by the kernel: a mistake or a break-in inside of one costs that process and
//! gains nothing.
//!
//! | | codec | transport |
//! |---|---|---|
//! | network | none | dials: sockets of the internet and of this machine, no listening |
//! | files | none once it is loaded | read-only: libraries, certificates, what resolving names needs |
//! | programs, processes | none | none; threads of its own |
//! | memory, descriptors, file size | 1 GiB, 32, 0 | 4 GiB, 1024, 0 |
//! | time of the processor | so many seconds without an answer | – |
//!
//! It is put on in two steps. Before the library is loaded: Landlock (read the library folders, nothing else) and a filter
//! that stops what no plug-in needs, for codecs also every socket: constructors run under these. Once it is loaded, codecs
//! lose files altogether: a second Landlock layer without any path, and a filter that lets only a short list of system
//! calls through. A call that is not let through raises a signal; its handler names the call on standard error and ends
//! the process, so the status of the plug-in says what it tried (`report.rs`).
//!
//! A kernel without Landlock or seccomp runs plug-ins without that part, and the status says so, unless the operator asks
//! for all of it (`connectors.sandbox = "required"`).

mod files;
mod filter;
mod limits;
mod report;

use super::{Fatal, start};
pub(super) use limits::Cpu;
use notify_connector_abi as abi;

/// How much of it must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Sandbox {
    /// What the kernel has.
    #[default]
    Available,
    /// All of it, or the plug-in does not start.
    Required,
    /// Limits only. For tests and debuggers.
    Off,
}

impl Sandbox {
    pub(crate) const fn number(self) -> u8 {
        match self {
            Self::Available => 0,
            Self::Required => 1,
            Self::Off => 2,
        }
    }
    /// What is not known is the strictest.
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Available,
            2 => Self::Off,
            _ => Self::Required,
        }
    }
}

/// Parts that are in force, for the operator.
#[derive(Debug, Default)]
pub(super) struct InForce {
    parts: Vec<String>,
    landlock: bool,
    seccomp: bool,
}

impl InForce {
    pub fn text(&self) -> String {
        self.parts.join(", ")
    }
}

/// Before the library is loaded.
pub(super) fn before_loading(capability: u64, wanted: Sandbox) -> Result<InForce, Fatal> {
    let codec = capability == abi::CAP_CODEC;
    limits::set(codec)?;
    let mut in_force = InForce { parts: vec!["limits".to_owned()], ..InForce::default() };
    if wanted == Sandbox::Off {
        in_force.parts.push("no landlock (off), no seccomp (off)".to_owned());
        return Ok(in_force);
    }
    let must = wanted == Sandbox::Required;
    report::install()?;
    match files::restrict(codec, must) {
        Ok(version) => {
            in_force.parts.push(version);
            in_force.landlock = true;
        }
        Err(reason) if must => return Err(Fatal::Start(format!("landlock: {reason}"))),
        Err(reason) => in_force.parts.push(format!("no landlock ({reason})")),
    }
    match filter::before_loading(codec) {
        Ok(()) => {
            in_force.parts.push("seccomp".to_owned());
            in_force.seccomp = true;
        }
        Err(reason) if must => return Err(Fatal::Start(format!("seccomp: {reason}"))),
        Err(reason) => in_force.parts.push(format!("no seccomp ({reason})")),
    }
    Ok(in_force)
}

/// Once it is loaded: a codec needs no file any more.
pub(super) fn once_loaded(capability: u64, in_force: &InForce) -> Result<(), Fatal> {
    // Its memory cannot be read by others of the same user; before, it could not have opened its own library.
    rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable)
        .map_err(start("dumpable"))?;
    if capability != abi::CAP_CODEC {
        return Ok(());
    }
    // What held before must hold now, or the status would say more than is true: a constructor may have been up to
    // something (a filter of its own in one of its threads makes ours fail).
    if in_force.landlock {
        files::none().map_err(start("landlock, second step"))?;
    }
    if in_force.seccomp {
        filter::once_loaded().map_err(start("seccomp, second step"))?;
    }
    Ok(())
}
