//! Standard Webhooks 1.0: symmetric `v1` (HMAC-SHA256) and asymmetric `v1a` (Ed25519) signatures.
//!
//! Source: <https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md>. What is
//! signed is `{webhook-id}.{webhook-timestamp}.{body}`; keys are base64 behind a prefix: `whsec_` (24 to 64 bytes),
//! `whsk_` (Ed25519 seed of 32 bytes, or seed and public key, 64 bytes), `whpk_` (public key).
#![forbid(unsafe_code)]

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ed25519_dalek::{Signature, Signer as _, Verifier as _};
use hmac::{Hmac, KeyInit as _, Mac as _};
use notify_core::time::Timestamp;
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// Header with the delivery id; the same on every attempt, so receivers deduplicate on it.
pub const ID_HEADER: &str = "webhook-id";
/// Header with the time of the attempt, in seconds since 1970.
pub const TIMESTAMP_HEADER: &str = "webhook-timestamp";
/// Header with the signatures, separated by spaces.
pub const SIGNATURE_HEADER: &str = "webhook-signature";
/// How far the timestamp of a request may be from the receiver's clock, either way.
pub const TOLERANCE_SECONDS: i64 = 300;

/// Signatures looked at in one request; each costs a computation, and senders have a few keys at most.
const MAX_SIGNATURES: usize = 16;

/// Published keys come with and without `=`; both are accepted, written ones are padded.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Why a text is no signing key. Never holds the text itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKey {
    #[error("a signing secret begins with `whsec_` (HMAC) or `whsk_` (Ed25519)")]
    UnknownSecret,
    #[error("a verification key begins with `whsec_` (HMAC) or `whpk_` (Ed25519)")]
    UnknownPublic,
    #[error("what follows the key's prefix is not base64")]
    NotBase64,
    #[error("a `whsec_` secret has 24 to 64 bytes")]
    HmacLength,
    #[error("a `whsk_` key has 32 bytes (seed) or 64 bytes (seed and public key)")]
    SeedLength,
    #[error("the two halves of the `whsk_` key do not belong together")]
    Keypair,
    #[error("a `whpk_` key is an Ed25519 public key of 32 bytes")]
    PublicKey,
}

/// A key that signs. `Debug` shows the scheme only; the bytes are wiped when it is dropped.
pub enum SigningKey {
    Hmac(Zeroizing<Vec<u8>>),
    Ed25519(Box<ed25519_dalek::SigningKey>),
}

/// A key that verifies.
pub enum VerifyingKey {
    Hmac(Zeroizing<Vec<u8>>),
    Ed25519(ed25519_dalek::VerifyingKey),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "SigningKey(v1)",
            Self::Ed25519(_) => "SigningKey(v1a)",
        })
    }
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hmac(_) => "VerifyingKey(v1)",
            Self::Ed25519(_) => "VerifyingKey(v1a)",
        })
    }
}

impl SigningKey {
    /// Reads `whsec_…` or `whsk_…`.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return hmac_key(encoded).map(Self::Hmac);
        }
        let encoded = text.strip_prefix("whsk_").ok_or(InvalidKey::UnknownSecret)?;
        let bytes = decode(encoded)?;
        let key = if let Ok(seed) = <&[u8; 32]>::try_from(bytes.as_slice()) {
            ed25519_dalek::SigningKey::from_bytes(seed)
        } else if let Ok(pair) = <&[u8; 64]>::try_from(bytes.as_slice()) {
            ed25519_dalek::SigningKey::from_keypair_bytes(pair).map_err(|_| InvalidKey::Keypair)?
        } else {
            return Err(InvalidKey::SeedLength);
        };
        Ok(Self::Ed25519(Box::new(key)))
    }

    /// One element of `webhook-signature`: `v1,…` or `v1a,…`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        match self {
            Self::Hmac(key) => {
                let tag = hmac(key, id, timestamp, body).finalize().into_bytes();
                format!("v1,{}", STANDARD.encode(tag))
            }
            Self::Ed25519(key) => {
                let signature = key.sign(&signed_content(id, timestamp, body));
                format!("v1a,{}", STANDARD.encode(signature.to_bytes()))
            }
        }
    }

    /// What a receiver needs to verify: the same secret for `v1`, the public key for `v1a`.
    #[must_use]
    pub fn verifying_key(&self) -> VerifyingKey {
        match self {
            Self::Hmac(key) => VerifyingKey::Hmac(key.clone()),
            Self::Ed25519(key) => VerifyingKey::Ed25519(key.verifying_key()),
        }
    }

    /// `whpk_…` for receivers; `None` for symmetric keys, which have no public half.
    #[must_use]
    pub fn public_text(&self) -> Option<String> {
        match self {
            Self::Hmac(_) => None,
            Self::Ed25519(key) => Some(format!("whpk_{}", STANDARD.encode(key.verifying_key().as_bytes()))),
        }
    }
}

impl VerifyingKey {
    /// Reads `whsec_…` or `whpk_…`.
    ///
    /// # Errors
    /// [`InvalidKey`].
    pub fn parse(text: &str) -> Result<Self, InvalidKey> {
        if let Some(encoded) = text.strip_prefix("whsec_") {
            return hmac_key(encoded).map(Self::Hmac);
        }
        let encoded = text.strip_prefix("whpk_").ok_or(InvalidKey::UnknownPublic)?;
        let bytes = decode(encoded)?;
        let bytes: &[u8; 32] = bytes.as_slice().try_into().map_err(|_| InvalidKey::PublicKey)?;
        ed25519_dalek::VerifyingKey::from_bytes(bytes).map(Self::Ed25519).map_err(|_| InvalidKey::PublicKey)
    }

    /// Whether one of the signatures is by this key. The body is hashed once, however many signatures there are.
    fn accepts(&self, signatures: &[(&str, Vec<u8>)], id: &str, timestamp: i64, body: &[u8]) -> bool {
        let of = |version: &'static str, length: usize| {
            signatures.iter().filter(move |(of, bytes)| *of == version && bytes.len() == length)
        };
        match self {
            Self::Hmac(key) => {
                if of("v1", 32).next().is_none() {
                    return false;
                }
                let mac = hmac(key, id, timestamp, body);
                of("v1", 32).any(|(_, bytes)| mac.clone().verify_slice(bytes).is_ok())
            }
            Self::Ed25519(key) => {
                if of("v1a", 64).next().is_none() {
                    return false;
                }
                let content = signed_content(id, timestamp, body);
                of("v1a", 64).any(|(_, bytes)| {
                    Signature::from_slice(bytes)
                        .is_ok_and(|signature| key.verify(&content, &signature).is_ok())
                })
            }
        }
    }
}

/// The value of `webhook-signature`: one signature for each key, in the order given (newest first), so that during a
/// rotation receivers with the old and with the new key both verify.
#[must_use]
pub fn signature_header(keys: &[SigningKey], id: &str, attempt_time: Timestamp, body: &[u8]) -> String {
    let mut header = String::new();
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str(&key.sign(id, attempt_time.as_second(), body));
    }
    header
}

/// Values of the three headers, as received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WebhookHeaders<'a> {
    pub id: &'a str,
    pub timestamp: &'a str,
    pub signature: &'a str,
}

/// Why a request is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VerifyFault {
    #[error("webhook-id is empty or contains `.`")]
    Id,
    #[error("webhook-timestamp is not a number of seconds")]
    Timestamp,
    #[error("webhook-timestamp is more than {TOLERANCE_SECONDS} seconds in the past")]
    TooOld,
    #[error("webhook-timestamp is more than {TOLERANCE_SECONDS} seconds in the future")]
    TooNew,
    #[error("no signature in webhook-signature fits any of the keys")]
    NoMatch,
}

/// Verifies a received request at the time `now`. One fitting signature for one of the keys is enough.
///
/// # Errors
/// [`VerifyFault`], checked in the order of its variants.
pub fn verify(
    keys: &[VerifyingKey],
    headers: WebhookHeaders<'_>,
    body: &[u8],
    now: Timestamp,
) -> Result<(), VerifyFault> {
    if !is_webhook_id(headers.id) {
        return Err(VerifyFault::Id);
    }
    // `parse` would take `+1`; the signed text is the digits, so a second spelling of the same number is refused.
    let digits = headers.timestamp;
    if digits.is_empty()
        || !digits.bytes().all(|b| b.is_ascii_digit())
        || (digits.len() > 1 && digits.starts_with('0'))
    {
        return Err(VerifyFault::Timestamp);
    }
    let timestamp: i64 = digits.parse().map_err(|_| VerifyFault::Timestamp)?;
    let age = now.as_second().saturating_sub(timestamp);
    if age > TOLERANCE_SECONDS {
        return Err(VerifyFault::TooOld);
    }
    if age < -TOLERANCE_SECONDS {
        return Err(VerifyFault::TooNew);
    }
    let signatures: Vec<(&str, Vec<u8>)> = headers
        .signature
        .split(' ')
        .take(MAX_SIGNATURES)
        .filter_map(|signature| {
            let (version, encoded) = signature.split_once(',')?;
            Some((version, BASE64.decode(encoded).ok()?))
        })
        .collect();
    let fits = keys.iter().any(|key| key.accepts(&signatures, headers.id, timestamp, body));
    if fits { Ok(()) } else { Err(VerifyFault::NoMatch) }
}

/// May this text be a `webhook-id`? Visible ASCII without `.`: the dot separates the parts of what is signed, so an id
/// that holds one could move the border between id, timestamp and body.
#[must_use]
pub fn is_webhook_id(id: &str) -> bool {
    (1..=256).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic() && b != b'.')
}

fn decode(encoded: &str) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
    BASE64.decode(encoded).map(Zeroizing::new).map_err(|_| InvalidKey::NotBase64)
}

fn hmac_key(encoded: &str) -> Result<Zeroizing<Vec<u8>>, InvalidKey> {
    let key = decode(encoded)?;
    if (24..=64).contains(&key.len()) { Ok(key) } else { Err(InvalidKey::HmacLength) }
}

fn hmac(key: &[u8], id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
    let mut mac = match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mac) => mac,
        Err(_) => unreachable!("HMAC takes keys of any length"),
    };
    mac.update(id.as_bytes());
    mac.update(format!(".{timestamp}.").as_bytes());
    mac.update(body);
    mac
}

fn signed_content(id: &str, timestamp: i64, body: &[u8]) -> Vec<u8> {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    content
}
