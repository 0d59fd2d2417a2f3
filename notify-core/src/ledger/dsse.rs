//! DSSE 1.0.2: the pre-authentication encoding, and envelopes in the one form that an export allows.

use super::commitment::parse_hex32;
use super::tree::Hash;
use crate::ids::hex;
use crate::json::{self, Limits};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// `payloadType` of every entry.
pub const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What `PAE(type, body)` puts before the body.
fn pae_head(payload_type: &str, body_bytes: usize) -> String {
    format!("DSSEv1 {} {payload_type} {body_bytes} ", payload_type.len())
}

/// The signed bytes: `DSSEv1`, length and bytes of the type, length and bytes of the body, single spaces between.
/// Lengths count bytes.
#[must_use]
pub fn pae(payload_type: &str, body: &[u8]) -> Vec<u8> {
    let head = pae_head(payload_type, body.len());
    [head.as_bytes(), body].concat()
}

/// Hash of the leaf whose payload this is: `SHA-256(0x00 ‖ PAE(PAYLOAD_TYPE, payload))`.
#[must_use]
pub fn entry_leaf_hash(payload: &[u8]) -> Hash {
    let head = pae_head(PAYLOAD_TYPE, payload.len());
    Hash(Sha256::new().chain_update([0]).chain_update(head).chain_update(payload).finalize().into())
}

/// An envelope with its one signature. Whether that is good is for whoever holds the key to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    pub payload: Vec<u8>,
    pub payload_type: String,
    /// SHA-256 of the signer's SPKI DER.
    pub keyid: [u8; 32],
    pub signature: [u8; 64],
}

/// Why a text is not an envelope of the export profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeFault {
    #[error("{0}")]
    Json(#[from] json::JsonFault),
    #[error("the envelope must have exactly `payload`, `payloadType` and `signatures`")]
    Keys,
    #[error("`{0}` is not canonical standard base64")]
    Base64(&'static str),
    #[error("the envelope must have exactly one signature, not {0}")]
    SignatureCount(usize),
    #[error("a signature must have exactly `keyid` and `sig`")]
    SignatureKeys,
    #[error("`keyid` is not the lower-case hex SHA-256 of a key")]
    KeyId,
    #[error("`sig` is not 64 bytes")]
    SignatureLength,
    #[error("the envelope is not in RFC 8785 form")]
    NotCanonical,
}

impl Envelope {
    /// RFC 8785 bytes, without a line end.
    #[must_use]
    pub fn to_json(&self) -> Vec<u8> {
        let payload_type = Value::from(self.payload_type.as_str()).to_string();
        let mut line = String::with_capacity(self.payload.len() / 3 * 4 + payload_type.len() + 256);
        line.push_str(r#"{"payload":""#);
        STANDARD.encode_string(&self.payload, &mut line);
        line.push_str(r#"","payloadType":"#);
        line.push_str(&payload_type);
        line.push_str(r#","signatures":[{"keyid":""#);
        line.push_str(&hex(&self.keyid));
        line.push_str(r#"","sig":""#);
        STANDARD.encode_string(self.signature, &mut line);
        line.push_str(r#""}]}"#);
        line.into_bytes()
    }

    /// Reads exactly what [`Self::to_json`] writes.
    ///
    /// # Errors
    /// What is not as the profile wants it.
    pub fn parse(text: &[u8]) -> Result<Self, EnvelopeFault> {
        // The ordinary line has one possible shape; a JSON parser is only needed to say what is wrong with another.
        match Self::parse_ordinary(text) {
            Some(envelope) => Ok(envelope),
            None => Self::parse_any(text),
        }
    }

    fn parse_ordinary(text: &[u8]) -> Option<Self> {
        let rest = text.strip_prefix(br#"{"payload":""#)?;
        let end = rest.iter().position(|byte| *byte == b'"')?;
        let (payload, rest) = rest.split_at_checked(end)?;
        let rest =
            rest.strip_prefix(br#"","payloadType":"application/vnd.in-toto+json","signatures":[{"keyid":""#)?;
        let (keyid, rest) = rest.split_at_checked(64)?;
        let rest = rest.strip_prefix(br#"","sig":""#)?;
        let signature = rest.strip_suffix(br#""}]}"#)?;
        Some(Self {
            payload: STANDARD.decode(payload).ok()?,
            payload_type: PAYLOAD_TYPE.to_owned(),
            keyid: parse_hex32(std::str::from_utf8(keyid).ok()?)?,
            signature: STANDARD.decode(signature).ok()?.try_into().ok()?,
        })
    }

    fn parse_any(text: &[u8]) -> Result<Self, EnvelopeFault> {
        let value = json::parse(text, Limits { max_bytes: text.len(), max_depth: 4 })?;
        let object = value.as_object().ok_or(EnvelopeFault::Keys)?;
        let (
            Some(Value::String(payload)),
            Some(Value::String(payload_type)),
            Some(Value::Array(signatures)),
            3,
        ) = (object.get("payload"), object.get("payloadType"), object.get("signatures"), object.len())
        else {
            return Err(EnvelopeFault::Keys);
        };
        let [signature] = signatures.as_slice() else {
            return Err(EnvelopeFault::SignatureCount(signatures.len()));
        };
        let object = signature.as_object().ok_or(EnvelopeFault::SignatureKeys)?;
        let (Some(Value::String(keyid)), Some(Value::String(sig)), 2) =
            (object.get("keyid"), object.get("sig"), object.len())
        else {
            return Err(EnvelopeFault::SignatureKeys);
        };
        let envelope = Self {
            payload: STANDARD.decode(payload).map_err(|_| EnvelopeFault::Base64("payload"))?,
            payload_type: payload_type.clone(),
            keyid: parse_hex32(keyid).ok_or(EnvelopeFault::KeyId)?,
            signature: STANDARD
                .decode(sig)
                .map_err(|_| EnvelopeFault::Base64("sig"))?
                .try_into()
                .map_err(|_| EnvelopeFault::SignatureLength)?,
        };
        if envelope.to_json() == text { Ok(envelope) } else { Err(EnvelopeFault::NotCanonical) }
    }
}
