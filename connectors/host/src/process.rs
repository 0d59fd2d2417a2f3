//! Starting a child process, and the thread that waits for it.

use rustix::process::{Pid, PidfdFlags};
use std::os::fd::OwnedFd;
use std::process::Command;
use tokio::sync::oneshot;

/// The process itself, as the thread that waits for it sees it.
pub(crate) struct Started {
    pub pidfd: OwnedFd,
    pub pid: u32,
    pub stderr: Option<std::process::ChildStderr>,
}

/// Starts the process on a thread of its own, which then waits for it. The thread must live as long as the child: the
/// child asks the kernel to be killed with its parent, and to the kernel that is the *thread* that started it. A thread of
/// tokio's pool that goes idle would take the child along.
pub(crate) async fn spawn(mut command: Command) -> std::io::Result<(Started, oneshot::Receiver<String>)> {
    let (started_sender, started) = oneshot::channel();
    let (exit_sender, exited) = oneshot::channel();
    std::thread::Builder::new().name("connector-child".to_owned()).stack_size(128 * 1024).spawn(
        move || {
            let spawned = command.spawn();
            // Closes our copies of the child's descriptors: its socket must end when it does.
            drop(command);
            let mut child = match spawned {
                Ok(child) => child,
                Err(error) => {
                    drop(started_sender.send(Err(error)));
                    return;
                }
            };
            let stderr = child.stderr.take();
            let pid = child.id();
            // Taken before anyone waits for it, so that the number cannot have passed to another process.
            let pidfd = Pid::from_raw(i32::try_from(pid).unwrap_or(0))
                .ok_or(rustix::io::Errno::SRCH)
                .and_then(|pid| rustix::process::pidfd_open(pid, PidfdFlags::empty()));
            match pidfd {
                Ok(pidfd) => {
                    if started_sender.send(Ok(Started { pidfd, pid, stderr })).is_err() {
                        drop(child.kill());
                    }
                }
                Err(error) => {
                    drop(child.kill());
                    drop(started_sender.send(Err(error.into())));
                }
            }
            let status = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            drop(exit_sender.send(status));
        },
    )?;
    let started = started.await.map_err(|_| std::io::Error::other("the starting thread ended"))??;
    Ok((started, exited))
}
