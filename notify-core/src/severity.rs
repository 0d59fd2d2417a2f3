//! The ordered severity scale of DESIGN section 5.

use serde::{Deserialize, Serialize};
use std::fmt;

/// `none < info < low < medium < high < critical < blocker`, lower case on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    #[default]
    None,
    Info,
    Low,
    Medium,
    High,
    Critical,
    Blocker,
}

impl Severity {
    pub const ALL: [Self; 7] =
        [Self::None, Self::Info, Self::Low, Self::Medium, Self::High, Self::Critical, Self::Blocker];

    /// Exactly the lower-case names; any other text is no severity.
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == text)
    }

    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Info => "info",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::Critical => "critical",
            Self::Blocker => "blocker",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
