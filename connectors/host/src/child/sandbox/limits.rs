//! Resource limits.

use super::{Fatal, start};
use rustix::process::{Resource, Rlimit};

/// A codec computes; it has no reason to open files, to write one, or to take much memory. A transport writes to sockets.
pub(super) fn set(codec: bool) -> Result<(), Fatal> {
    const GIB: u64 = 1024 * 1024 * 1024;
    let set = |resource, most: u64| {
        // What we were started with may be less, and cannot be raised.
        let most = rustix::process::getrlimit(resource).maximum.map_or(most, |limit| limit.min(most));
        rustix::process::setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })
            .map_err(start("resource limit"))
    };
    set(Resource::Core, 0)?;
    set(Resource::Fsize, 0)?;
    let (descriptors, memory) = if codec { (32, GIB) } else { (1024, 4 * GIB) };
    set(Resource::Nofile, descriptors)?;
    set(Resource::As, memory)
}

/// The processor's time that a codec has for one batch. The host's patience is shorter for calls that somebody waits for;
/// this ends a codec that nobody looks at any more.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cpu {
    pub seconds: u32,
}

impl Cpu {
    /// Begins a batch: the limit is that far from what was used so far.
    pub fn renew(self) {
        if self.seconds == 0 {
            return;
        }
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime).tv_sec;
        let most = u64::try_from(used).unwrap_or(0) + 1 + u64::from(self.seconds);
        let maximum = rustix::process::getrlimit(Resource::Cpu).maximum;
        let current = Some(maximum.map_or(most, |limit| limit.min(most)));
        // A batch without this second line of defence is better than none.
        let _ = rustix::process::setrlimit(Resource::Cpu, Rlimit { current, maximum });
    }
}
