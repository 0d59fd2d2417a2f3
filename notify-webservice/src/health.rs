//! What `/readyz` says: one check per thing that serving needs, each with what to do when it does not hold.

use serde::Serialize;

/// `/readyz`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Readiness {
    pub ready: bool,
    /// `ready`, `not-ready` or `draining`.
    pub status: &'static str,
    pub checks: Vec<Check>,
}

/// How one check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    Ok,
    /// An operator should look; traffic may come.
    Warn,
    /// No traffic should come here.
    Fail,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    /// False only where `state` is `fail`.
    pub ok: bool,
    pub state: State,
    /// What was found. Never a secret, a path or a text of the database: anyone may ask.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "str::is_empty")]
    pub fix: &'static str,
}

impl Check {
    #[must_use]
    pub fn ok(name: &'static str, detail: impl Into<String>) -> Self {
        Self { name, ok: true, state: State::Ok, detail: detail.into(), fix: "" }
    }

    #[must_use]
    pub fn warn(name: &'static str, detail: impl Into<String>, fix: &'static str) -> Self {
        Self { name, ok: true, state: State::Warn, detail: detail.into(), fix }
    }

    #[must_use]
    pub fn fail(name: &'static str, detail: impl Into<String>, fix: &'static str) -> Self {
        Self { name, ok: false, state: State::Fail, detail: detail.into(), fix }
    }
}

impl Readiness {
    /// Ready when no check failed.
    #[must_use]
    pub fn of(checks: Vec<Check>) -> Self {
        let ready = checks.iter().all(|check| check.ok);
        Self { ready, status: if ready { "ready" } else { "not-ready" }, checks }
    }

    /// The process ends: whatever the checks say, traffic should go elsewhere.
    #[must_use]
    pub fn draining(mut self) -> Self {
        self.ready = false;
        self.status = "draining";
        let fix = "send traffic to another process; this one finishes what it has and ends";
        self.checks.insert(0, Check::fail("lifecycle", "the process was told to stop", fix));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_failure_is_enough_and_draining_always_is() {
        let check = |states: &[State], ready: bool, status: &str| {
            let checks = states
                .iter()
                .map(|state| match state {
                    State::Ok => Check::ok("x", ""),
                    State::Warn => Check::warn("x", "odd", "look"),
                    State::Fail => Check::fail("x", "gone", "mend"),
                })
                .collect();
            let readiness = Readiness::of(checks);
            assert_eq!((readiness.ready, readiness.status), (ready, status), "{states:?}");
            let draining = readiness.draining();
            assert_eq!((draining.ready, draining.status), (false, "draining"));
        };
        check(&[], true, "ready");
        check(&[State::Ok, State::Warn], true, "ready");
        check(&[State::Ok, State::Fail], false, "not-ready");
    }
}
