//! The `notify` program as users run it, against the real API on a socket.

mod doctor;
mod offline;
mod online;
mod readme;
mod rules;
mod silences;
mod webhook;
mod webhook_tls;
mod why;

// The API's own harness: the same service, here behind a listener.
#[allow(dead_code)]
#[path = "../../../notify-webservice/tests/api/harness.rs"]
mod harness;

use std::path::Path;
use std::process::{Command, Output};

/// One run of the program.
pub struct Run {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs `notify` with a clean environment.
pub fn notify(arguments: &[&str], environment: &[(&str, &str)], folder: &Path) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_notify"));
    command.args(arguments).current_dir(folder).env_clear().envs(environment.iter().copied());
    let Output { status, stdout, stderr } = command.output().unwrap();
    Run {
        code: status.code().unwrap_or(-1),
        out: String::from_utf8(stdout).unwrap(),
        err: String::from_utf8(stderr).unwrap(),
    }
}

impl Run {
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }

    /// Ended with this code and said this.
    #[track_caller]
    pub fn fails(self, code: i32, said: &str) {
        assert_eq!(self.code, code, "{}\n{}", self.out, self.err);
        assert!(
            self.err.contains(said) || self.out.contains(said),
            "{}\n{}\nexpected: {said}",
            self.out,
            self.err
        );
    }
}
