//! The child's side: one plug-in, one process, one socket.
//!
//! Standard input is the socket, standard output is the sealed library, standard error goes to the studio's log. There
//! is no runtime, no environment, no other descriptor, and little that the kernel lets it do (`sandbox`). The parent's
//! death ends it twice over: by a signal, and by the end
//! of the socket. Codecs are served on one thread; transports get two more (`transport.rs`).

mod codec;
mod plugin;
pub(crate) mod sandbox;
mod transport;

use crate::frame::{FrameFault, FromChild, Raw, ToChild, split};
use notify_connector_abi as abi;
use plugin::Plugin;
use rustix::process::Signal;
use sandbox::{Cpu, Sandbox};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::{AsRawFd as _, BorrowedFd, OwnedFd};
use std::process::ExitCode;

/// Most bytes read at once: bounds a batch, and with it the memory for its answers.
const READ: usize = 256 * 1024;

/// Why the child ends with a failure. Written to standard error, which the studio logs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fatal {
    #[error("start-up: {0}")]
    Start(String),
    #[error("socket: {0}")]
    Socket(#[from] std::io::Error),
    #[error("protocol: {0}")]
    Frame(#[from] FrameFault),
}

/// What the first frame says.
struct Begin {
    capability: u64,
    max_request: usize,
    cpu: Cpu,
    sandbox: Sandbox,
    options: Vec<u8>,
}

/// The whole life of the child.
#[must_use]
pub fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            eprintln!("notify-connector-host: {fatal}");
            ExitCode::FAILURE
        }
    }
}

fn start<E: std::fmt::Display>(what: &'static str) -> impl FnOnce(E) -> Fatal {
    move |error| Fatal::Start(format!("{what}: {error}"))
}

fn serve() -> Result<(), Fatal> {
    // Both are ours by the way we are started; `dup` gives descriptors that close by themselves on exec.
    let socket = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3).map_err(start("socket"))?;
    let library = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3).map_err(start("library"))?;
    let null = File::options().read(true).write(true).open("/dev/null").map_err(start("/dev/null"))?;
    // What a plug-in prints must neither reach the socket nor fail.
    rustix::stdio::dup2_stdin(&null).map_err(start("stdin"))?;
    rustix::stdio::dup2_stdout(&null).map_err(start("stdout"))?;
    close_others(&[socket.as_raw_fd(), library.as_raw_fd(), null.as_raw_fd()])?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL)).map_err(start("death signal"))?;

    let mut input = Input { socket: File::from(socket), buffer: Vec::with_capacity(READ / 4), done: 0 };
    let begin = loop {
        if let Some(raw) = input.frame()? {
            let ToChild::Start { capability, max_request, cpu_seconds, sandbox, options_json } =
                ToChild::read(&raw)?
            else {
                return Err(Fatal::Start("the first frame is not a start".to_owned()));
            };
            let start = Begin {
                capability,
                max_request: max_request as usize,
                cpu: Cpu { seconds: cpu_seconds },
                sandbox: Sandbox::from_number(sandbox),
                options: options_json.to_vec(),
            };
            input.done += raw_len(&raw);
            break start;
        }
        if !input.fill()? {
            return Ok(());
        }
    };
    let Begin { capability, max_request, cpu, sandbox, options } = begin;
    keep_memory();
    let in_force = sandbox::before_loading(capability, sandbox)?;
    cpu.renew();

    let output = input.socket.try_clone()?;
    let completions = transport::Completions::new();
    let mut first = Vec::new();
    match Plugin::load(&library, capability, &options, completions) {
        Ok(plugin) => {
            sandbox::once_loaded(capability, &in_force)?;
            FromChild::Ready {
                abi_minor: plugin.table.abi_minor,
                capabilities: plugin.table.capabilities,
                describe_json: &plugin.description,
                sandbox: in_force.text().as_bytes(),
            }
            .write(0, &mut first)?;
            (&output).write_all(&first)?;
            if capability == abi::CAP_CODEC {
                codec::serve(&plugin, input, output, max_request, cpu, completions)
            } else {
                transport::serve(plugin, input, output, completions)
            }
        }
        Err(reason) => {
            FromChild::Refused { reason: reason.as_bytes() }.write(0, &mut first)?;
            (&output).write_all(&first)?;
            Ok(())
        }
    }
}

/// A plug-in allocates and frees the same few hundred KiB for each batch: without this, glibc gives them back to the kernel
/// every time, and gets them again page by page.
fn keep_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: sets numbers of the allocator; there is one thread.
    unsafe {
        libc::mallopt(libc::M_TRIM_THRESHOLD, 16 << 20);
        libc::mallopt(libc::M_TOP_PAD, 1 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
    }
}

/// Closes whatever the studio may have leaked through libraries that forget `CLOEXEC`.
fn close_others(keep: &[i32]) -> Result<(), Fatal> {
    let open = std::fs::read_dir("/proc/self/fd").map_err(start("/proc/self/fd"))?;
    let numbers: Vec<i32> = open.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
    for number in numbers {
        if number <= 2 || keep.contains(&number) {
            continue;
        }
        // SAFETY: only asks whether the number is open. The descriptor that listed the folder is closed already.
        let open = rustix::io::fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) }).is_ok();
        if open {
            // SAFETY: nothing in this process owns it: everything that is owned is in `keep`.
            unsafe { rustix::io::close(number) };
        }
    }
    Ok(())
}

fn raw_len(raw: &Raw<'_>) -> usize {
    raw.consumed
}

/// The socket's incoming side: a buffer of frames that are read in place.
pub(crate) struct Input {
    socket: File,
    buffer: Vec<u8>,
    /// Bytes at the front that are done with.
    done: usize,
}

impl Input {
    /// The next complete frame, not yet taken: the caller adds its length to `done`.
    fn frame(&self) -> Result<Option<Raw<'_>>, Fatal> {
        Ok(split(self.buffer.get(self.done..).unwrap_or_default())?)
    }

    /// Waits for more bytes; `false` at the end.
    fn fill(&mut self) -> Result<bool, Fatal> {
        self.buffer.drain(..self.done);
        self.done = 0;
        if self.buffer.is_empty() && self.buffer.capacity() > READ {
            // One giant message must not keep its memory for ever.
            self.buffer = Vec::with_capacity(READ / 4);
        }
        let old = self.buffer.len();
        // Grows with the traffic: an idle plug-in keeps a small buffer.
        let room = (self.buffer.capacity() - old).clamp(READ / 8, READ);
        self.buffer.resize(old + room, 0);
        let read = loop {
            match self.socket.read(self.buffer.get_mut(old..).unwrap_or_default()) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                // A parent that died without reading everything: the end as well.
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => break 0,
                other => break other?,
            }
        };
        self.buffer.truncate(old + read);
        if read == room && self.buffer.capacity() < READ {
            self.buffer.reserve(READ - self.buffer.len());
        }
        Ok(read > 0)
    }
}

/// Standard output's old content, for the loader.
pub(crate) fn library_path(library: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", library.as_raw_fd())
}
