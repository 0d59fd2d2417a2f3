//! A system call that is not let through: named on standard error, which the studio shows, and the end of the process.
//!
//! The kernel has not run the call. The handler runs in the middle of anything, so it only formats into its own stack,
//! writes and ends. A plug-in cannot put another handler in its place: `rt_sigaction` for this signal is itself not let
//! through, and blocking the signal makes the kernel end the process.

use super::{Fatal, start};
use std::ffi::c_int;

/// How the process ends.
const EXIT: c_int = 31;

macro_rules! names {
    ($($name:ident),+ $(,)?) => {
        /// Calls that plug-ins are most likely to try.
        const NAMES: &[(libc::c_long, &str)] = &[$((libc::$name, stringify!($name))),+];
    };
}

names!(
    SYS_socket,
    SYS_socketpair,
    SYS_connect,
    SYS_bind,
    SYS_listen,
    SYS_accept,
    SYS_accept4,
    SYS_sendto,
    SYS_recvfrom,
    SYS_sendmsg,
    SYS_recvmsg,
    SYS_openat,
    SYS_openat2,
    SYS_unlinkat,
    SYS_mkdirat,
    SYS_renameat2,
    SYS_linkat,
    SYS_symlinkat,
    SYS_fchmodat,
    SYS_fchownat,
    SYS_truncate,
    SYS_ftruncate,
    SYS_faccessat,
    SYS_faccessat2,
    SYS_newfstatat,
    SYS_statx,
    SYS_readlinkat,
    SYS_getdents64,
    SYS_execve,
    SYS_execveat,
    SYS_clone,
    SYS_kill,
    SYS_tkill,
    SYS_tgkill,
    SYS_ptrace,
    SYS_process_vm_readv,
    SYS_process_vm_writev,
    SYS_prctl,
    SYS_rt_sigaction,
    SYS_mprotect,
    SYS_mmap,
    SYS_memfd_create,
    SYS_io_uring_setup,
    SYS_mount,
    SYS_unshare,
    SYS_setns,
    SYS_chroot,
    SYS_bpf,
    SYS_perf_event_open,
    SYS_keyctl,
    SYS_add_key,
    SYS_userfaultfd,
    SYS_shmget,
    SYS_ioctl,
    SYS_dup,
    SYS_dup3,
    SYS_inotify_init1,
    SYS_setuid,
    SYS_setgid,
    SYS_pidfd_open,
    SYS_pidfd_getfd,
    SYS_pidfd_send_signal,
    SYS_prlimit64,
    SYS_sched_setaffinity,
    SYS_fcntl,
    SYS_rt_sigqueueinfo,
    SYS_setpriority,
);

#[cfg(target_arch = "x86_64")]
const OLD_NAMES: &[(libc::c_long, &str)] = &[
    (libc::SYS_open, "SYS_open"),
    (libc::SYS_creat, "SYS_creat"),
    (libc::SYS_stat, "SYS_stat"),
    (libc::SYS_lstat, "SYS_lstat"),
    (libc::SYS_access, "SYS_access"),
    (libc::SYS_unlink, "SYS_unlink"),
    (libc::SYS_mkdir, "SYS_mkdir"),
    (libc::SYS_rename, "SYS_rename"),
    (libc::SYS_readlink, "SYS_readlink"),
    (libc::SYS_fork, "SYS_fork"),
    (libc::SYS_vfork, "SYS_vfork"),
];
#[cfg(not(target_arch = "x86_64"))]
const OLD_NAMES: &[(libc::c_long, &str)] = &[];

/// The number, in decimal digits at the end of the buffer.
fn digits(mut number: u64, buffer: &mut [u8; 20]) -> &[u8] {
    let mut at = buffer.len();
    loop {
        at -= 1;
        if let Some(place) = buffer.get_mut(at) {
            *place = b'0' + (number % 10) as u8;
        }
        number /= 10;
        if number == 0 || at == 0 {
            break;
        }
    }
    buffer.get(at..).unwrap_or_default()
}

fn say(bytes: &[u8]) {
    // SAFETY: write(2) of a live buffer; allowed in a handler.
    let _ = unsafe { libc::write(2, bytes.as_ptr().cast(), bytes.len()) };
}

extern "C" fn on_signal(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // The union of siginfo_t for SIGSYS: call address, number of the call, architecture (sigaction(2)). libc has no
    // accessor for it; the number stands behind the three ints of the head, padding, and one pointer.
    let number = if info.is_null() {
        -1
    } else {
        let at = size_of::<[c_int; 3]>().next_multiple_of(align_of::<usize>()) + size_of::<usize>();
        // SAFETY: the kernel filled the structure in; the offset is inside of its 128 bytes.
        unsafe { info.cast::<u8>().add(at).cast::<c_int>().read_unaligned() }
    };
    let known = NAMES.iter().chain(OLD_NAMES).find(|(known, _)| *known == libc::c_long::from(number));
    // One write, so that lines of several threads do not mix.
    let mut line = [0_u8; 160];
    let mut length = 0;
    let mut push = |bytes: &[u8]| {
        for byte in bytes {
            if let Some(place) = line.get_mut(length) {
                *place = *byte;
                length += 1;
            }
        }
    };
    push(b"sandbox: the plug-in tried ");
    match known.and_then(|(_, name)| name.strip_prefix("SYS_")) {
        Some(name) => push(name.as_bytes()),
        None => push(b"a system call"),
    }
    push(b" (number ");
    let mut buffer = [0_u8; 20];
    push(digits(u64::try_from(number).unwrap_or(0), &mut buffer));
    push(b"), which it may not, and was stopped\n");
    say(line.get(..length).unwrap_or_default());
    // SAFETY: ends the process at once.
    unsafe { libc::_exit(EXIT) };
}

/// Puts the handler in place.
pub(super) fn install() -> Result<(), Fatal> {
    // SAFETY: an all-zero sigaction is a valid one; every field that matters is set below.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: a valid action for a valid signal; the handler only does what handlers may.
    let result = unsafe { libc::sigaction(libc::SIGSYS, &raw const action, std::ptr::null_mut()) };
    if result == 0 { Ok(()) } else { Err(start("SIGSYS")(std::io::Error::last_os_error())) }
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_in_digits() {
        for number in [0, 7, 41, 257, u64::MAX] {
            assert_eq!(super::digits(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
