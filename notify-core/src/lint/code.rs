//! What lint can find: one enum, stable codes. `docs/lint.md` is generated from this table.

use serde::{Deserialize, Serialize};
use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// The rule cannot do what it is for.
    Error,
    /// Probably a mistake, or costly.
    Warning,
    /// Worth knowing.
    Info,
}

impl Level {
    pub const ALL: [Self; 3] = [Self::Error, Self::Warning, Self::Info];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! codes {
    ($($variant:ident = $code:literal, $level:ident, $title:literal, $about:literal;)*) => {
        /// A stable, public code. Renaming one breaks those who ignore or count it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Code { $($variant,)* }

        impl Code {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
            #[must_use]
            pub const fn as_str(self) -> &'static str { match self { $(Self::$variant => $code,)* } }
            #[must_use]
            pub const fn level(self) -> Level { match self { $(Self::$variant => Level::$level,)* } }
            #[must_use]
            pub const fn title(self) -> &'static str { match self { $(Self::$variant => $title,)* } }
            /// When it is reported, and what is not.
            #[must_use]
            pub const fn about(self) -> &'static str { match self { $(Self::$variant => $about,)* } }
        }
    };
}

codes! {
    InvalidRule = "invalid-rule", Error, "The rule is not valid",
        "The service would refuse it. The reason carries the problem's own code, see `problems.md`.";
    NeverMatches = "never-matches", Error, "No event can match",
        "Every way through the pattern asks for something that no CloudEvent has: two clauses that exclude each other, \
         an attribute of another type, a field inside an attribute, the absence of an attribute that every event has. \
         Only what is certain is reported.";
    DeadBranch = "dead-branch", Warning, "A branch can never match",
        "As `never-matches`, for some of the ways through `$or` or `any`; the others can match.";
    NeedsArray = "needs-array", Warning, "Only an array can match",
        "Two lists at one field of `data` exclude each other for a single value. They can both hold only where the field \
         is an array with different elements.";
    DeadEntry = "dead-entry", Warning, "An entry of a list can never hold",
        "Another entry of the same list can: a number among the accepted values of `type`, absence of `id`.";
    EmptyClause = "empty-clause", Warning, "A clause holds for every event",
        "It asks for what every CloudEvent has, or accepts presence and absence.";
    MatchesEverything = "matches-everything", Warning, "The rule matches every event",
        "Some way through the pattern has only clauses that hold for every event.";
    RedundantEntry = "redundant-entry", Info, "An entry of a list is covered by another",
        "What it accepts, another entry of the same list accepts too.";
    IdenticalBranches = "identical-branches", Warning, "Two branches say the same",
        "Of one `$or`, or of one `any` or `all`.";
    UnknownSeverity = "unknown-severity", Warning, "A text is no severity",
        "`severity` is compared with a text that is none of `none`, `info`, `low`, `medium`, `high`, `critical`, \
         `blocker`. Events may carry such texts, but `at-least` and `at-most` never hold for them.";
    NotIndexable = "not-indexable", Warning, "Nothing to look the rule up by",
        "Every clause of some way through the pattern accepts absence or is `anything-but`. Such a rule is evaluated for \
         every event of the tenant.";
    UnknownField = "unknown-field", Warning, "The event type's schema does not know the field",
        "The pattern names its types letter by letter, each has a registered schema, and none of these describes the \
         field. Not reported where a schema leaves its fields open (no `properties`, `patternProperties`, or \
         `additionalProperties` that is said to be allowed).";
    RuleDuplicated = "rule-duplicated", Warning, "Another rule does the same",
        "Every event that this enabled rule matches is matched by another enabled rule with the same actions: each alert \
         goes out twice.";
    RuleCovered = "rule-covered", Info, "Another rule matches all its events",
        "Every event that this enabled rule matches is matched by another enabled rule, whose actions differ.";
    RepeatedAction = "repeated-action", Warning, "Two actions send the same",
        "Same channel, template and locale: each alert goes out twice.";
    RepeatedChannel = "repeated-channel", Info, "Two actions use one channel",
        "With another template or locale.";
    Disabled = "disabled", Info, "The rule is off",
        "It matches nothing until it is enabled. It is not compared with other rules.";
    ComparisonLimit = "comparison-limit", Info, "Not all rules were compared",
        "Rules are compared that share a field and a value. Where the work would take more than a few seconds, the rest is \
         left out.";
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}
