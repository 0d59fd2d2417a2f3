//! Identifiers as types, so that a channel id can never stand where a rule id is meant.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;

/// Why a text is not an identifier.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{value}` is not a valid {kind}: use {rule}")]
pub struct InvalidId {
    pub kind: &'static str,
    pub value: String,
    pub rule: &'static str,
}

/// What [`is_slug`] accepts, in words for error messages.
pub const SLUG_RULE: &str =
    "1 to 64 characters from a-z, 0-9 and `-`, beginning and ending with a letter or digit";

/// `[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?`: names that users choose and that appear in URLs and files.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    let bytes = text.as_bytes();
    let edge = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    (1..=64).contains(&bytes.len())
        && bytes.iter().all(|b| edge(b) || *b == b'-')
        && bytes.first().is_some_and(edge)
        && bytes.last().is_some_and(edge)
}

macro_rules! slug_id {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// # Errors
            /// When the text is not a slug (see [`is_slug`]).
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
                let text = text.into();
                if is_slug(&text) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId { kind: $kind, value: text, rule: SLUG_RULE })
                }
            }
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::new(text)
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

slug_id!(/// One customer or team; the unit of isolation.
    TenantId, "tenant id");
slug_id!(/// A rule, unique per tenant.
    RuleId, "rule id");
slug_id!(/// An action inside a rule, unique per rule.
    ActionId, "action id");
slug_id!(/// A channel, unique per tenant.
    ChannelId, "channel id");
slug_id!(/// A template, unique per tenant.
    TemplateId, "template id");

slug_id!(/// A calendar, unique per tenant.
    CalendarId, "calendar id");
slug_id!(/// A person or a group, unique per tenant.
    ContactId, "contact id");
slug_id!(/// A silence, unique per tenant.
    SilenceId, "silence id");
slug_id!(/// An inhibition, unique per tenant.
    InhibitionId, "inhibition id");
slug_id!(/// An override of noise control, unique per tenant.
    OverrideId, "override id");

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub const PREFIX: &'static str = $prefix;

            /// Hashes the parts, each preceded by its length, so that no two lists of parts collide.
            #[must_use]
            pub fn derive<'a>(parts: impl IntoIterator<Item = &'a str>) -> Self {
                let mut hash = Sha256::new();
                hash.update($prefix.as_bytes());
                for part in parts {
                    hash.update((part.len() as u64).to_be_bytes());
                    hash.update(part.as_bytes());
                }
                let digest = hash.finalize();
                Self(format!("{}_{}", $prefix, hex(&digest[..16])))
            }
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl TryFrom<String> for $name {
            type Error = InvalidId;
            fn try_from(text: String) -> Result<Self, InvalidId> {
                let tail = text.strip_prefix(concat!($prefix, "_"));
                if tail.is_some_and(|t| {
                    t.len() == 32 && t.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
                }) {
                    Ok(Self(text))
                } else {
                    Err(InvalidId {
                        kind: concat!($prefix, " id"),
                        value: text,
                        rule: concat!("`", $prefix, "_` and 32 lower-case hexadecimal digits"),
                    })
                }
            }
        }
        impl std::str::FromStr for $name {
            type Err = InvalidId;
            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Self::try_from(text.to_owned())
            }
        }
        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

hash_id!(/// An accepted event: hash of tenant, source and the producer's id. The same identity is the same event.
    EventKey, "evt");
hash_id!(/// One delivery: hash of tenant, cause, rule, action, channel and target (DESIGN invariant 4). Receivers see
    /// it unchanged on every attempt, as `webhook-id`. It contains no `.`, as Standard Webhooks demands.
    DeliveryId, "dlv");

hash_id!(/// An alert that is held back for now: hash of tenant, event, rule and action. Its first 16 bytes are its key in the
    /// state of noise control.
    HeldId, "hld");
hash_id!(/// One window of a digest: hash of tenant, what it collects and the event that opened it.
    DigestId, "dig");

/// Lower-case hexadecimal. Ids, commitments and digests are made for every event, so it avoids the formatter.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs() {
        for good in ["a", "sec-slack", "0", &"x".repeat(64)] {
            assert!(RuleId::new(good).is_ok(), "{good}");
        }
        for bad in ["", "-a", "a-", "A", "a_b", "a.b", "ä", &"x".repeat(65)] {
            assert!(RuleId::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn derived_ids_do_not_collide_by_concatenation() {
        assert_ne!(EventKey::derive(["ab", "c"]), EventKey::derive(["a", "bc"]));
        let id = DeliveryId::derive(["t", "x"]);
        assert_eq!(id.to_string().parse::<DeliveryId>(), Ok(id));
    }
}
