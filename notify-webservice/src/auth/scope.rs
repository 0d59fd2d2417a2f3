//! What a token may do. Deny by default: a scope includes only what is listed here.

use std::fmt;
use std::str::FromStr;

/// `viewer < operator < admin`; `auditor` (ledger and audit) and `publish` (events) stand apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    /// Reads documents, events and deliveries.
    Viewer,
    /// Also writes rules and templates, previews, publishes and replays.
    Operator,
    /// Everything in the tenant.
    Admin,
    /// Reads and exports the ledger; sees nothing else.
    Auditor,
    /// Sends events; sees nothing.
    Publish,
}

impl Scope {
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Operator, Self::Admin, Self::Auditor, Self::Publish];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "notify.viewer",
            Self::Operator => "notify.operator",
            Self::Admin => "notify.admin",
            Self::Auditor => "notify.auditor",
            Self::Publish => "notify.publish",
        }
    }

    /// Whether who holds `self` may do what needs `needed`.
    #[must_use]
    pub const fn includes(self, needed: Self) -> bool {
        match self {
            Self::Admin => true,
            Self::Operator => matches!(needed, Self::Operator | Self::Viewer | Self::Publish),
            Self::Viewer => matches!(needed, Self::Viewer),
            Self::Auditor => matches!(needed, Self::Auditor),
            Self::Publish => matches!(needed, Self::Publish),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not a scope; there are notify.viewer, notify.operator, notify.admin, notify.auditor, notify.publish"
)]
pub struct UnknownScope(String);

impl FromStr for Scope {
    type Err = UnknownScope;
    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text)
            .ok_or_else(|| UnknownScope(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::Scope::{self, *};

    #[test]
    fn who_includes_whom() {
        let check = |held: Scope, expected: &[Scope]| {
            let included: Vec<_> = Scope::ALL.into_iter().filter(|needed| held.includes(*needed)).collect();
            assert_eq!(included, expected, "{held}");
        };
        check(Viewer, &[Viewer]);
        check(Operator, &[Viewer, Operator, Publish]);
        check(Admin, &Scope::ALL);
        check(Auditor, &[Auditor]);
        check(Publish, &[Publish]);
    }

    #[test]
    fn names_round_trip() {
        for scope in Scope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
        }
        assert!("notify.Admin".parse::<Scope>().is_err());
    }
}
