//! What tenant admins author: rules, channels, templates and text bundles, as YAML or JSON documents.
//!
//! A document is immutable per version. Its digest is SHA-256 over the RFC 8785 form of its JSON, so that the same
//! content written as YAML or JSON has one digest.

pub mod behaviour;
pub mod calendar;
pub mod channel;
pub mod contact;
pub mod difference;
pub mod event_type;
pub mod inhibition;
mod json_schema;
pub mod noise;
pub mod noise_fields;
pub mod overrides;
pub mod parse;
pub mod policy;
mod reader;
pub mod rule;
pub mod rule_file;
mod rule_test;
pub mod scope;
pub mod silence;
pub mod template;

pub use calendar::{Calendar, parse_calendar};
pub use channel::Channel;
pub use contact::{Contact, parse_contact};
pub use event_type::{EventType, parse_event_type};
pub use inhibition::{Inhibition, parse_inhibition};
pub use overrides::{Override, parse_override};
pub use parse::{parse_any, parse_bundle, parse_channel, parse_rule, parse_template};
pub use policy::{Policy, parse_policy};
pub use rule::{Rule, RuleTest};
pub use rule_test::{MAX_TESTS, MAX_TESTS_BYTES};
pub use silence::{Silence, parse_silence};
pub use template::{Bundle, Template};

use serde::{Deserialize, Serialize};

/// The kinds of document. `as_str` is the name in the store and in ledger entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    Rule,
    Channel,
    Template,
    Bundle,
    #[serde(rename = "event-type")]
    EventType,
    Calendar,
    Contact,
    Silence,
    Inhibition,
    Override,
    Policy,
}

impl Kind {
    pub const ALL: [Self; 11] = [
        Self::Rule,
        Self::Channel,
        Self::Template,
        Self::Bundle,
        Self::EventType,
        Self::Calendar,
        Self::Contact,
        Self::Silence,
        Self::Inhibition,
        Self::Override,
        Self::Policy,
    ];
    /// What noise control is made of. The current ones are used together, so a change of one brings them all.
    pub const NOISE: [Self; 6] =
        [Self::Calendar, Self::Contact, Self::Silence, Self::Inhibition, Self::Override, Self::Policy];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Rule => "rule",
            Self::Channel => "channel",
            Self::Template => "template",
            Self::Bundle => "bundle",
            Self::EventType => "event-type",
            Self::Calendar => "calendar",
            Self::Contact => "contact",
            Self::Silence => "silence",
            Self::Inhibition => "inhibition",
            Self::Override => "override",
            Self::Policy => "policy",
        }
    }
}

/// One immutable version of a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version<T> {
    /// Counted by the server from 1, per tenant, kind and id; it goes on counting over a delete.
    pub version: u64,
    /// `sha256:` and 64 hexadecimal digits over the RFC 8785 form of the document.
    pub digest: String,
    pub document: T,
}

#[cfg(test)]
mod tests;
