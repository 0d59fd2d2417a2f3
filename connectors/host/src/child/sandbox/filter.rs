//! Which system calls a plug-in may make: seccomp.

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen as Len, SeccompCmpOp as Op, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch,
};
use std::collections::BTreeMap;

type Rules = BTreeMap<i64, Vec<SeccompRule>>;

/// What no plug-in needs, and most break-ins do.
const NEVER: &[libc::c_long] = &[
    // Other programs and processes.
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_open,
    libc::SYS_pidfd_getfd,
    libc::SYS_pidfd_send_signal,
    libc::SYS_kcmp,
    // Another view of the system, or another user.
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
    libc::SYS_personality,
    // The kernel itself. `io_uring` would do what is filtered here without being filtered.
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_sethostname,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_setpriority,
    libc::SYS_ioprio_set,
    // What servers do.
    libc::SYS_listen,
    libc::SYS_accept,
    libc::SYS_accept4,
];

#[cfg(target_arch = "x86_64")]
const NEVER_OLD: &[libc::c_long] = &[libc::SYS_fork, libc::SYS_vfork, libc::SYS_iopl, libc::SYS_ioperm];
#[cfg(not(target_arch = "x86_64"))]
const NEVER_OLD: &[libc::c_long] = &[];

/// Besides, for codecs, from the beginning.
const NETWORK: &[libc::c_long] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_sendto,
    libc::SYS_sendmsg,
    libc::SYS_sendmmsg,
    libc::SYS_recvfrom,
    libc::SYS_recvmsg,
    libc::SYS_recvmmsg,
];

/// All that a loaded codec may do: compute, on threads of its own if its language needs them, and talk to its socket.
const CODEC: &[libc::c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_brk,
    libc::SYS_madvise,
    libc::SYS_mincore,
    libc::SYS_membarrier,
    libc::SYS_futex,
    libc::SYS_set_robust_list,
    libc::SYS_get_robust_list,
    libc::SYS_rseq,
    libc::SYS_set_tid_address,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_setaffinity,
    libc::SYS_sched_getparam,
    libc::SYS_sched_getscheduler,
    libc::SYS_clock_gettime,
    libc::SYS_clock_getres,
    libc::SYS_clock_nanosleep,
    libc::SYS_gettimeofday,
    libc::SYS_nanosleep,
    libc::SYS_getrandom,
    libc::SYS_getpid,
    libc::SYS_gettid,
    libc::SYS_getppid,
    libc::SYS_getuid,
    libc::SYS_geteuid,
    libc::SYS_getgid,
    libc::SYS_getegid,
    libc::SYS_getcpu,
    libc::SYS_getrusage,
    libc::SYS_getrlimit,
    libc::SYS_setrlimit,
    libc::SYS_prlimit64,
    libc::SYS_uname,
    libc::SYS_sysinfo,
    libc::SYS_fcntl,
    libc::SYS_fstat,
    libc::SYS_lseek,
    libc::SYS_ppoll,
    libc::SYS_pselect6,
    libc::SYS_epoll_create1,
    libc::SYS_epoll_ctl,
    libc::SYS_epoll_pwait,
    libc::SYS_eventfd2,
    libc::SYS_pipe2,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigtimedwait,
    libc::SYS_rt_sigsuspend,
    libc::SYS_sigaltstack,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

#[cfg(target_arch = "x86_64")]
const CODEC_OLD: &[libc::c_long] = &[
    libc::SYS_poll,
    libc::SYS_pause,
    libc::SYS_epoll_wait,
    libc::SYS_time,
    libc::SYS_arch_prctl,
    libc::SYS_alarm,
    libc::SYS_select,
];
#[cfg(not(target_arch = "x86_64"))]
const CODEC_OLD: &[libc::c_long] = &[];

fn arch() -> Result<TargetArch, String> {
    TargetArch::try_from(std::env::consts::ARCH).map_err(|_| format!("none for {}", std::env::consts::ARCH))
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn when(conditions: Vec<SeccompCondition>) -> Result<SeccompRule, String> {
    SeccompRule::new(conditions).map_err(text)
}

fn argument(number: u8, operator: Op, value: u64) -> Result<SeccompCondition, String> {
    SeccompCondition::new(number, Len::Qword, operator, value).map_err(text)
}

/// As the kernel reads an `int`: its upper half is not looked at.
fn int(number: u8, operator: Op, value: i32) -> Result<SeccompCondition, String> {
    SeccompCondition::new(number, Len::Dword, operator, u64::from(value.cast_unsigned())).map_err(text)
}

/// `linux/fcntl.h` and `linux/sockios.h`; libc has no names for them on all platforms.
const F_SETSIG: i32 = 10;
const F_SETOWN_EX: i32 = 15;
const FIOSETOWN: i32 = 0x8901;
const SIOCSPGRP: i32 = 0x8902;

/// Threads, but no processes.
const THREAD: u64 = libc::CLONE_THREAD as u64;

fn program(rules: Rules, others: SeccompAction, these: SeccompAction) -> Result<BpfProgram, String> {
    let filter = SeccompFilter::new(rules, others, these, arch()?).map_err(text)?;
    BpfProgram::try_from(filter).map_err(text)
}

/// Lets everything through but what stands here.
fn deny(codec: bool) -> Result<BpfProgram, String> {
    let mut rules: Rules = BTreeMap::new();
    let network: &[libc::c_long] = if codec { NETWORK } else { &[] };
    for call in NEVER.iter().chain(NEVER_OLD).chain(network) {
        rules.insert(*call, vec![]);
    }
    rules.insert(libc::SYS_clone, vec![when(vec![argument(0, Op::MaskedEq(THREAD), 0)?])?]);
    // Of its own process only: signals, and what could starve or slow another.
    let own = rustix::process::getpid().as_raw_nonzero().get();
    for call in [libc::SYS_kill, libc::SYS_tgkill] {
        rules.insert(call, vec![when(vec![int(0, Op::Ne, own)?])?]);
    }
    for call in [
        libc::SYS_prlimit64,
        libc::SYS_sched_setaffinity,
        libc::SYS_sched_setparam,
        libc::SYS_sched_setscheduler,
        libc::SYS_sched_setattr,
    ] {
        rules.insert(call, vec![when(vec![int(0, Op::Ne, 0)?, int(0, Op::Ne, own)?])?]);
    }
    // By number of the thread only: cannot be told apart from another process.
    rules.insert(libc::SYS_tkill, vec![]);
    // A descriptor whose news the kernel would send as a signal, to whomever.
    let command = |command| when(vec![int(1, Op::Eq, command)?]);
    let owners = [libc::F_SETOWN, F_SETOWN_EX, F_SETSIG];
    rules.insert(libc::SYS_fcntl, owners.into_iter().map(command).collect::<Result<_, _>>()?);
    rules.insert(libc::SYS_ioctl, [FIOSETOWN, SIOCSPGRP].into_iter().map(command).collect::<Result<_, _>>()?);
    // The end of its parent is its end, and nobody may follow it.
    let switches = [libc::PR_SET_PDEATHSIG, libc::PR_SET_PTRACER, libc::PR_SET_MM];
    let rule = |switch| when(vec![int(0, Op::Eq, switch)?]);
    rules.insert(libc::SYS_prctl, switches.into_iter().map(rule).collect::<Result<_, _>>()?);
    if !codec {
        // The internet, this machine's services, and asking the kernel for addresses (a raw netlink socket of protocol 0).
        let families = [libc::AF_UNIX, libc::AF_INET, libc::AF_INET6, libc::AF_NETLINK];
        let others = families.iter().map(|known| int(0, Op::Ne, *known)).collect::<Result<_, _>>()?;
        let raw = argument(1, Op::MaskedEq(0xf), u64::from(libc::SOCK_RAW.cast_unsigned()))?;
        let raw = when(vec![raw, int(0, Op::Ne, libc::AF_NETLINK)?])?;
        let netlink = when(vec![int(0, Op::Eq, libc::AF_NETLINK)?, int(2, Op::Ne, 0)?])?;
        rules.insert(libc::SYS_socket, vec![when(others)?, raw, netlink]);
    }
    let reports = when(vec![int(0, Op::Eq, libc::SIGSYS)?, argument(1, Op::Ne, 0)?])?;
    rules.insert(libc::SYS_rt_sigaction, vec![reports]);
    program(rules, SeccompAction::Allow, SeccompAction::Trap)
}

/// `clone3` hides its flags in memory, where no filter looks; without it, libraries use `clone`.
fn without_clone3() -> Result<BpfProgram, String> {
    let rules: Rules = [(libc::SYS_clone3, vec![])].into();
    program(rules, SeccompAction::Allow, SeccompAction::Errno(libc::ENOSYS.cast_unsigned()))
}

/// On x86-64 each call has a second number, of the x32 interface, which the filters by number do not know.
#[cfg(target_arch = "x86_64")]
fn without_x32() -> BpfProgram {
    use seccompiler::sock_filter;
    const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS, at 0: the number of the call
    const AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
    const RETURN: u16 = 0x06;
    vec![
        sock_filter { code: LOAD, jt: 0, jf: 0, k: 0 },
        sock_filter { code: AT_LEAST, jt: 0, jf: 1, k: 0x4000_0000 },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_KILL_PROCESS },
        sock_filter { code: RETURN, jt: 0, jf: 0, k: libc::SECCOMP_RET_ALLOW },
    ]
}

/// Before the library is loaded. Threads that begin later inherit it.
pub(super) fn before_loading(codec: bool) -> Result<(), String> {
    #[cfg(target_arch = "x86_64")]
    seccompiler::apply_filter(&without_x32()).map_err(text)?;
    seccompiler::apply_filter(&without_clone3()?).map_err(text)?;
    seccompiler::apply_filter(&deny(codec)?).map_err(text)
}

/// Once a codec is loaded, for all of its threads.
pub(super) fn once_loaded() -> Result<(), String> {
    let mut rules: Rules = BTreeMap::new();
    for call in CODEC.iter().chain(CODEC_OLD) {
        rules.insert(*call, vec![]);
    }
    // Memory, but none that can be run.
    let data = || when(vec![argument(2, Op::MaskedEq(libc::PROT_EXEC.cast_unsigned().into()), 0)?]);
    rules.insert(libc::SYS_mprotect, vec![data()?]);
    // And none of files.
    let anonymous = argument(
        3,
        Op::MaskedEq(libc::MAP_ANONYMOUS.cast_unsigned().into()),
        libc::MAP_ANONYMOUS.cast_unsigned().into(),
    )?;
    let data_only = argument(2, Op::MaskedEq(libc::PROT_EXEC.cast_unsigned().into()), 0)?;
    rules.insert(libc::SYS_mmap, vec![when(vec![anonymous, data_only])?]);
    // The first filter narrows these further; both must agree.
    for call in [libc::SYS_clone, libc::SYS_clone3, libc::SYS_tgkill, libc::SYS_rt_sigaction] {
        rules.insert(call, vec![]);
    }
    // Naming a thread or its memory.
    const PR_SET_VMA: i32 = 0x5356_4d41;
    let name = |switch| when(vec![int(0, Op::Eq, switch)?]);
    rules
        .insert(libc::SYS_prctl, vec![name(libc::PR_SET_NAME)?, name(libc::PR_GET_NAME)?, name(PR_SET_VMA)?]);
    // Whether a descriptor is a terminal.
    rules.insert(
        libc::SYS_ioctl,
        vec![when(vec![int(1, Op::Eq, i32::try_from(libc::TCGETS).map_err(text)?)?])?],
    );
    let program = program(rules, SeccompAction::Trap, SeccompAction::Allow)?;
    seccompiler::apply_filter_all_threads(&program).map_err(text)
}
