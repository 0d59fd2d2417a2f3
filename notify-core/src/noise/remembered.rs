//! What controls remember between events, and how it is stored.

use super::key::StateKey;
use super::storm::Storm;
use super::window::Window;
use serde::{Deserialize, Serialize};

/// One remembered thing. Times are microseconds since 1970. Small, because there may be millions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Remembered {
    /// An alert was let through; its repeats until then are not.
    Dedupe(Seen),
    /// When the bucket of a throttle or budget is full again.
    Bucket(i64),
    /// The last alert of a look-back digest, and until when it counts.
    LookBack(i64),
    /// An inhibition's source fires until then.
    Firing(Firing),
    /// Alerts of one action that wait one by one for the same end.
    Waiting(Waiting),
    /// An open digest.
    Window(Box<Window>),
    /// A held alert that is to be judged again then.
    Held(i64),
    Storm(Box<Storm>),
}

/// See [`Remembered::Dedupe`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    pub first: i64,
    pub until: i64,
    /// Repeats that were not sent.
    pub repeats: u32,
}

/// See [`Remembered::Firing`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firing {
    pub since: i64,
    pub until: i64,
}

/// See [`Remembered::Waiting`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    pub until: i64,
    pub count: u32,
}

impl Remembered {
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Dedupe(_) => "dedupe",
            Self::Bucket(_) => "bucket",
            Self::LookBack(_) => "look-back",
            Self::Firing(_) => "firing",
            Self::Waiting(_) => "waiting",
            Self::Window(_) => "window",
            Self::Held(_) => "held",
            Self::Storm(_) => "storm",
        }
    }

    /// When the owner has to do something about it: a timer.
    #[must_use]
    pub fn due_at(&self) -> Option<i64> {
        match self {
            Self::Window(window) => Some(window.closes_at),
            Self::Held(release_at) => Some(*release_at),
            _ => None,
        }
    }

    /// From when on it says nothing any more. A timer never expires, and neither does a storm: there is one.
    #[must_use]
    pub const fn expires_at(&self) -> Option<i64> {
        match self {
            Self::Dedupe(Seen { until, .. })
            | Self::LookBack(until)
            | Self::Bucket(until)
            | Self::Firing(Firing { until, .. })
            | Self::Waiting(Waiting { until, .. }) => Some(*until),
            Self::Window(_) | Self::Held(_) | Self::Storm(_) => None,
        }
    }
}

/// One row of the table of states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateRow {
    pub key: StateKey,
    pub kind: &'static str,
    /// JSON.
    pub value: String,
    pub due_at: Option<i64>,
    pub expires_at: Option<i64>,
}

impl StateRow {
    #[must_use]
    pub fn of(key: StateKey, remembered: &Remembered) -> Self {
        Self {
            key,
            kind: remembered.kind(),
            // Plain data with text keys: writing it has no error of its own.
            value: serde_json::to_string(remembered).unwrap_or_default(),
            due_at: remembered.due_at(),
            expires_at: remembered.expires_at(),
        }
    }

    /// Reads [`Self::value`].
    ///
    /// # Errors
    /// When this build does not know what is stored.
    pub fn read(value: &str) -> Result<Remembered, serde_json::Error> {
        serde_json::from_str(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_small() {
        assert!(size_of::<Remembered>() <= 32, "{}", size_of::<Remembered>());
    }
}
