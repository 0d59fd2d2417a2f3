//! What can go wrong in a command, how it is printed, and the exit code.

use crate::style;
use notify_core::problem::Problem;
use std::fmt::Write;
use std::process::ExitCode;

/// The end of a command that did not succeed.
#[derive(Debug)]
pub enum Failure {
    /// One or more problems of the domain, each with the file it is about.
    Problems(Vec<(Option<String>, Problem)>),
    /// Anything else: reason and what to do.
    Other { reason: String, fix: String },
    /// Wrong use of the command line that clap cannot see.
    Usage { reason: String, fix: String },
    /// The evidence does not hold. Already printed.
    NotVerified,
    /// What was looked at is not in order. Already printed.
    Said,
}

impl Failure {
    pub fn other(reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Other { reason: reason.into(), fix: fix.into() }
    }

    pub fn usage(reason: impl Into<String>, fix: impl Into<String>) -> Self {
        Self::Usage { reason: reason.into(), fix: fix.into() }
    }

    /// DESIGN section 10: 1 failed, 2 usage, 3 verification failed.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Problems(_) | Self::Other { .. } | Self::Said => 1,
            Self::Usage { .. } => 2,
            Self::NotVerified => 3,
        })
    }

    /// For standard error.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = String::new();
        match self {
            Self::Problems(problems) => {
                for (file, problem) in problems {
                    let place = match (file, problem.path.as_str()) {
                        (Some(file), "") => format!("{file}: "),
                        (Some(file), path) => format!("{file} at {path}: "),
                        (None, "") => String::new(),
                        (None, path) => format!("{path}: "),
                    };
                    let _ = writeln!(
                        out,
                        "{}: {place}{}",
                        style::err(&format!("error[{}]", problem.code), style::Tone::Bad),
                        printable(&problem.reason),
                        place = printable(&place),
                    );
                    if !problem.fix.is_empty() {
                        let _ = writeln!(out, "  fix: {}", printable(&problem.fix));
                    }
                }
            }
            Self::Other { reason, fix } | Self::Usage { reason, fix } => {
                let _ = writeln!(out, "{}: {}", style::err("error", style::Tone::Bad), printable(reason));
                if !fix.is_empty() {
                    let _ = writeln!(out, "  fix: {}", printable(fix));
                }
            }
            Self::NotVerified | Self::Said => {}
        }
        out
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        Self::Problems(vec![(None, problem)])
    }
}

/// Text from elsewhere must not move the cursor or recolour the terminal.
#[must_use]
pub fn printable(text: &str) -> String {
    let safe = |c: char| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c };
    text.chars().map(safe).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_core::problem::Code;

    #[test]
    fn nothing_from_elsewhere_reaches_the_terminal_as_it_is() {
        let evil = "a\u{1b}[2J\u{9b}31m\rb";
        let problem = || Problem::new(Code::InvalidRule, format!("/{evil}"), evil, evil);
        for failure in [
            Failure::Problems(vec![(Some(evil.to_owned()), problem()), (None, problem())]),
            Failure::other(evil, evil),
            Failure::usage(evil, evil),
        ] {
            let text = failure.text();
            assert!(text.contains("\u{fffd}[2J"), "{text:?}");
            assert!(!text.contains(|c: char| c.is_control() && c != '\n'), "{text:?}");
        }
    }
}
