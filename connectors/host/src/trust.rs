//! Who may sign plug-ins: a folder of Ed25519 public keys, and the detached signature of a manifest.
//!
//! Trust store: every `*.pem` file in the folder holds one public key (SPKI, `-----BEGIN PUBLIC KEY-----`). A key's id is
//! the first 16 hexadecimal digits of the SHA-256 of its 32 bytes, so a file cannot claim another key's id. Removing the
//! file revokes the key at the next start.
//!
//! `notify-plugin.json.sig`: `{"signatures":[{"keyId":"…","signature":"<base64>"}]}`. What is signed is
//! `notify-plugin@1\n` and the manifest's bytes as they are in the file: no canonical form that two parsers could see
//! differently, and a signature that means nothing in any other protocol. Several signatures serve key rotation; one by
//! a trusted key is needed, and a wrong one under a trusted key's id refuses the plug-in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ed25519_dalek::pkcs8::DecodePublicKey as _;
use ed25519_dalek::{Signature, Signer as _, SigningKey, VerifyingKey};
use notify_core::ids::hex;
use notify_core::json::{self, Limits};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::path::Path;

const DOMAIN: &[u8] = b"notify-plugin@1\n";
/// Longest signature file, in bytes.
pub const MAX_SIGNATURE: usize = 16 * 1024;

/// Why a signature or the trust store is refused. For the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    #[error("the trust store cannot be read: {0}")]
    Store(String),
    #[error("the trust store's `{file}` is not an Ed25519 public key in PEM form")]
    Key { file: String },
    #[error("the signature file is not valid: {0}")]
    Malformed(String),
    #[error("no trusted key has signed the manifest (signed by: {0})")]
    UnknownKey(String),
    #[error("the signature under the trusted key {0} does not fit the manifest")]
    Wrong(String),
}

/// The id of a key: its fingerprint, shortened.
#[must_use]
pub fn key_id(key: &VerifyingKey) -> String {
    hex(&Sha256::digest(key.as_bytes())[..8])
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureFile {
    signatures: Vec<SignatureEntry>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct SignatureEntry {
    key_id: String,
    signature: String,
}

fn signed_bytes(manifest: &[u8]) -> Vec<u8> {
    [DOMAIN, manifest].concat()
}

/// Makes the content of `notify-plugin.json.sig`.
#[must_use]
pub fn sign(manifest: &[u8], key: &SigningKey) -> String {
    let entry = SignatureEntry {
        key_id: key_id(&key.verifying_key()),
        signature: BASE64.encode(key.sign(&signed_bytes(manifest)).to_bytes()),
    };
    serde_json::json!({ "signatures": [entry] }).to_string() + "\n"
}

/// The keys that may sign plug-ins.
#[derive(Debug, Clone, Default)]
pub struct TrustStore {
    keys: BTreeMap<String, VerifyingKey>,
}

impl TrustStore {
    #[must_use]
    pub fn from_keys(keys: impl IntoIterator<Item = VerifyingKey>) -> Self {
        Self { keys: keys.into_iter().map(|key| (key_id(&key), key)).collect() }
    }

    /// Reads every `*.pem` in the folder. An unreadable key refuses the store: a typing error must not quietly remove a
    /// signer, nor a broken file hide.
    ///
    /// # Errors
    /// [`TrustFault::Store`] or [`TrustFault::Key`].
    pub fn read(folder: &Path) -> Result<Self, TrustFault> {
        let store = |error: std::io::Error| TrustFault::Store(error.to_string());
        crate::load::check_owner(folder).map_err(|fault| TrustFault::Store(fault.to_string()))?;
        let mut keys = BTreeMap::new();
        for entry in std::fs::read_dir(folder).map_err(store)? {
            let path = entry.map_err(store)?.path();
            if path.extension().is_none_or(|extension| extension != "pem") {
                continue;
            }
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).map_err(store)?;
            let key = VerifyingKey::from_public_key_pem(&text).ok().filter(|key| !key.is_weak());
            let key = key.ok_or(TrustFault::Key { file })?;
            keys.insert(key_id(&key), key);
        }
        Ok(Self { keys })
    }

    /// Checks a detached signature and says whose it is.
    ///
    /// # Errors
    /// [`TrustFault`]; nothing about the manifest may be believed then.
    pub fn verify(&self, manifest: &[u8], signature_file: &[u8]) -> Result<String, TrustFault> {
        let malformed = |error: &dyn std::fmt::Display| TrustFault::Malformed(error.to_string());
        let value = json::parse(signature_file, Limits { max_bytes: MAX_SIGNATURE, max_depth: 4 })
            .map_err(|error| malformed(&error))?;
        let file: SignatureFile = serde_json::from_value(value).map_err(|error| malformed(&error))?;
        let message = signed_bytes(manifest);
        let mut signer = None;
        for entry in &file.signatures {
            let Some(key) = self.keys.get(&entry.key_id) else { continue };
            let bytes = BASE64.decode(&entry.signature).map_err(|error| malformed(&error))?;
            let signature = Signature::from_slice(&bytes).map_err(|error| malformed(&error))?;
            // Strict: refuses signatures that other implementations would judge differently.
            key.verify_strict(&message, &signature).map_err(|_| TrustFault::Wrong(entry.key_id.clone()))?;
            signer.get_or_insert_with(|| entry.key_id.clone());
        }
        signer.ok_or_else(|| {
            let ids: Vec<&str> = file.signatures.iter().map(|entry| entry.key_id.as_str()).collect();
            TrustFault::UnknownKey(if ids.is_empty() { "nobody".to_owned() } else { ids.join(", ") })
        })
    }
}
