//! Names of messages and recipients: stable across attempts, and readable back from a bounce.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;

/// Six bytes of a hash: enough to tell 50 recipients apart, and small enough for the reference.
#[must_use]
pub fn recipient_mark(key: &str) -> String {
    let digest = Sha256::digest(key.as_bytes());
    URL_SAFE_NO_PAD.encode(digest.get(..6).unwrap_or_default())
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A delivery's id as the studio makes them; anything else is hashed, so that an id can never carry header syntax.
#[must_use]
pub fn safe_id(delivery_id: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'_' || b == b'-';
    if !delivery_id.is_empty() && delivery_id.len() <= 64 && delivery_id.bytes().all(plain) {
        return delivery_id.to_owned();
    }
    let digest = Sha256::digest(delivery_id.as_bytes());
    hex(digest.get(..16).unwrap_or_default())
}

/// `<delivery.recipient@domain>`: the same on every attempt, another for every recipient.
#[must_use]
pub fn message_id(delivery_id: &str, recipient_key: &str, domain: &str) -> String {
    let digest = Sha256::digest(recipient_key.as_bytes());
    format!("<{}.{}@{domain}>", safe_id(delivery_id), hex(digest.get(..6).unwrap_or_default()))
}

/// The delivery's id in a Message-ID that [`message_id`] made.
#[must_use]
pub fn delivery_of(message_id: &str) -> Option<&str> {
    let inner = message_id.trim().strip_prefix('<')?.strip_suffix('>')?;
    let (local, _) = inner.rsplit_once('@')?;
    let (delivery, mark) = local.split_once('.')?;
    let hexadecimal = |text: &str| text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let id = delivery.strip_prefix("dlv_")?;
    (id.len() == 32 && hexadecimal(id) && mark.len() == 12 && hexadecimal(mark)).then_some(delivery)
}

/// `studio-unsubscribe`.
#[derive(Debug, Clone, Deserialize)]
pub struct Unsubscribe {
    prefix: String,
    key: String,
}

impl Unsubscribe {
    /// The recipient's own link; `None` when the studio's value cannot be used.
    #[must_use]
    pub fn link(&self, recipient_key: &str) -> Option<String> {
        let bytes: Option<Vec<u8>> = self
            .key
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok())
            .collect();
        let mut mac = Hmac::<Sha256>::new_from_slice(&bytes?).ok()?;
        mac.update(recipient_key.as_bytes());
        let tag = mac.finalize().into_bytes();
        let link = format!("{}{}", self.prefix, URL_SAFE_NO_PAD.encode(tag.get(..16)?));
        let safe = |b: u8| b.is_ascii_alphanumeric() || b"._~:/?#&=%-".contains(&b);
        (link.len() <= 900 && link.bytes().all(safe) && notify_markup::is_link(&link)).then_some(link)
    }
}

/// What one attempt leaves for the next, and one message of an incident for the next: `provider_reference`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// The delivery that `done` and `refused` are about.
    #[serde(rename = "d", default)]
    pub delivery: String,
    /// The delivery whose messages the thread begins with.
    #[serde(rename = "t", default, skip_serializing_if = "String::is_empty")]
    pub thread: String,
    /// Marks of recipients whose message the server took.
    #[serde(rename = "ok", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub done: BTreeSet<String>,
    /// Marks of recipients that were refused for good.
    #[serde(rename = "no", default, skip_serializing_if = "BTreeSet::is_empty")]
    pub refused: BTreeSet<String>,
    /// One of them for another reason than a rule of the server.
    #[serde(rename = "h", default, skip_serializing_if = "std::ops::Not::not")]
    pub hard: bool,
}

impl Reference {
    /// What an earlier attempt or message left. Another delivery's progress does not count for this one.
    #[must_use]
    pub fn read(text: Option<&str>, delivery_id: &str) -> Self {
        let known: Self = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        let thread = if known.thread.is_empty() { known.delivery.clone() } else { known.thread.clone() };
        if known.delivery == delivery_id {
            return Self { thread, ..known };
        }
        Self { delivery: delivery_id.to_owned(), thread, ..Self::default() }
    }

    /// As short as it can be: at most 50 marks of 11 bytes and two ids stay below 1 KiB.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Without progress, once nothing is left to do.
    #[must_use]
    pub fn finished(self) -> Self {
        Self { done: BTreeSet::new(), refused: BTreeSet::new(), hard: false, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_ids_lead_back() {
        let delivery = "dlv_0123456789abcdef0123456789abcdef";
        let id = message_id(delivery, "ops@example.com", "example.com");
        assert_eq!(delivery_of(&id), Some(delivery), "{id}");
        assert_ne!(id, message_id(delivery, "dev@example.com", "example.com"));
        for foreign in
            ["<a@b>", "<dlv_1.0@x>", "dlv_0123456789abcdef0123456789abcdef.000000000000@x", "", "<>"]
        {
            assert_eq!(delivery_of(foreign), None, "{foreign}");
        }
        let hostile = message_id("x>\r\nBcc: a@b", "k", "example.com");
        assert!(!hostile.contains(['\r', '\n', ' ']) && hostile.matches('>').count() == 1, "{hostile}");
    }

    #[test]
    fn references_fit_and_belong_to_one_delivery() {
        let delivery = "dlv_0123456789abcdef0123456789abcdef";
        let mut reference = Reference::read(None, delivery);
        assert_eq!(reference.thread, "");
        for n in 0..25 {
            reference.done.insert(recipient_mark(&format!("{n}@example.com")));
            reference.refused.insert(recipient_mark(&format!("x{n}@example.com")));
        }
        reference.thread = delivery.to_owned();
        reference.hard = true;
        assert!(reference.text().len() <= 1024, "{}", reference.text().len());
        assert_eq!(Reference::read(Some(&reference.text()), delivery), reference);
        let other = Reference::read(Some(&reference.text()), "dlv_ffffffffffffffffffffffffffffffff");
        assert_eq!((other.thread.as_str(), other.done.len(), other.refused.len()), (delivery, 0, 0));
        for broken in ["", "{", "[]", "plain text", "{\"d\":1}"] {
            assert_eq!(Reference::read(Some(broken), delivery).done.len(), 0, "{broken}");
        }
    }

    #[test]
    fn unsubscribe_links() {
        let check = |prefix: &str, key: &str, expected: Option<&str>| {
            let value = Unsubscribe { prefix: prefix.into(), key: key.into() };
            assert_eq!(value.link("ops@example.com").as_deref(), expected, "{prefix} {key}");
        };
        let key = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
        // hmac.new(bytes(range(32)), b"ops@example.com", "sha256").digest()[:16], base64url
        check("https://n.example/u/abc.", key, Some("https://n.example/u/abc.7kW-3aS71Q-nrclz7OdkIQ"));
        check("https://n.example/u/abc.", "zz", None);
        check("javascript:x", key, None);
        check("https://n.example/\r\nX: ", key, None);
    }
}
