//! The controls, in the order in which they are asked.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One control of noise. The first that applies decides (DESIGN section 6b).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    Dedupe,
    Silence,
    Maintenance,
    Inhibition,
    Storm,
    Throttle,
    QuietHours,
    Digest,
    Budget,
}

impl Control {
    /// In the order in which they are asked.
    pub const ALL: [Self; 9] = [
        Self::Dedupe,
        Self::Silence,
        Self::Maintenance,
        Self::Inhibition,
        Self::Storm,
        Self::Throttle,
        Self::QuietHours,
        Self::Digest,
        Self::Budget,
    ];

    /// The name in ledger entries, metrics and documents.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dedupe => "dedupe",
            Self::Silence => "silence",
            Self::Maintenance => "maintenance",
            Self::Inhibition => "inhibition",
            Self::Storm => "storm",
            Self::Throttle => "throttle",
            Self::QuietHours => "quiet-hours",
            Self::Digest => "digest",
            Self::Budget => "budget",
        }
    }

    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|control| control.as_str() == text)
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
