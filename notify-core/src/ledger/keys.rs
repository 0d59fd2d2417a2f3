//! Keys of the ledger: one log key per origin, derived from the site's seed, and the export key.

use super::checkpoint::Checkpoint;
use super::dsse::{Envelope, PAYLOAD_TYPE, pae};
use super::note::{self, KeyType, Note, NoteKey, NoteSignature};
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{
    DecodePrivateKey, DecodePublicKey, EncodePrivateKey, EncodePublicKey, KeypairBytes,
};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use std::fmt;
use zeroize::Zeroizing;

/// Why a name cannot be part of an origin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OriginFault {
    #[error("the site `{0}` is not a lower-case host name")]
    Site(String),
    #[error("the log id `{0}` is not 1 to 64 characters from a-z, 0-9 and `-`")]
    Opaque(String),
    #[error("`{0}` is not `<site>/tenant/<id>` or `<site>/site`")]
    Origin(String),
}

/// A lower-case host name: labels of letters, digits and inner `-`, at most 253 characters.
#[must_use]
pub fn is_site(site: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let alphanumeric = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        bytes.len() <= 63
            && bytes.iter().all(|b| alphanumeric(b) || *b == b'-')
            && bytes.first().is_some_and(alphanumeric)
            && bytes.last().is_some_and(alphanumeric)
    };
    site.len() <= 253 && site.split('.').all(label)
}

/// `[a-z0-9-]{1,64}`.
#[must_use]
pub fn is_opaque(id: &str) -> bool {
    (1..=64).contains(&id.len())
        && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// Whose log it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin<'a> {
    Tenant { site: &'a str, id: &'a str },
    Site { site: &'a str },
}

impl<'a> Origin<'a> {
    /// Reads `<site>/tenant/<id>` or `<site>/site`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(origin: &'a str) -> Result<Self, OriginFault> {
        let parts: Vec<&str> = origin.split('/').collect();
        match parts.as_slice() {
            [site, "tenant", id] if is_site(site) && is_opaque(id) => Ok(Self::Tenant { site, id }),
            [site, "site"] if is_site(site) => Ok(Self::Site { site }),
            _ => Err(OriginFault::Origin(origin.to_owned())),
        }
    }
    #[must_use]
    pub const fn site(&self) -> &'a str {
        match self {
            Self::Tenant { site, .. } | Self::Site { site } => site,
        }
    }
}

/// All log keys of a site: `Ed25519 seed = HKDF-SHA256(ikm = site seed, no salt, info = origin)`, 32 bytes.
#[derive(Clone)]
pub struct LogKeys {
    site: String,
    seed: Zeroizing<[u8; 32]>,
}

impl fmt::Debug for LogKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKeys").field("site", &self.site).finish_non_exhaustive()
    }
}

impl LogKeys {
    /// # Errors
    /// When `site` is not a lower-case host name.
    pub fn new(site: impl Into<String>, seed: [u8; 32]) -> Result<Self, OriginFault> {
        let site = site.into();
        if is_site(&site) {
            Ok(Self { site, seed: Zeroizing::new(seed) })
        } else {
            Err(OriginFault::Site(site))
        }
    }

    #[must_use]
    pub fn site(&self) -> &str {
        &self.site
    }

    /// `<site>/tenant/<opaque>`.
    ///
    /// # Errors
    /// When `opaque` is not `[a-z0-9-]{1,64}`.
    pub fn tenant_origin(&self, opaque: &str) -> Result<String, OriginFault> {
        if is_opaque(opaque) {
            Ok(format!("{}/tenant/{opaque}", self.site))
        } else {
            Err(OriginFault::Opaque(opaque.to_owned()))
        }
    }

    /// `<site>/site`.
    #[must_use]
    pub fn site_origin(&self) -> String {
        format!("{}/site", self.site)
    }

    /// The key of one log. Deriving costs two HMACs and a point multiplication: keep it if it is used often.
    ///
    /// # Errors
    /// When `origin` is not one of this site.
    pub fn log_key(&self, origin: &str) -> Result<LogKey, OriginFault> {
        if Origin::parse(origin)?.site() != self.site {
            return Err(OriginFault::Origin(origin.to_owned()));
        }
        let mut seed = Zeroizing::new([0; 32]);
        // 32 bytes are within what HKDF can give, so this cannot fail.
        Hkdf::<Sha256>::new(None, self.seed.as_slice())
            .expand(origin.as_bytes(), seed.as_mut_slice())
            .map_err(|_| OriginFault::Origin(origin.to_owned()))?;
        Ok(LogKey { origin: origin.to_owned(), key: SigningKey::from_bytes(&seed) })
    }
}

/// The key that signs one log's heads. dalek wipes it when it is dropped.
#[derive(Clone)]
pub struct LogKey {
    origin: String,
    key: SigningKey,
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogKey").field("origin", &self.origin).finish_non_exhaustive()
    }
}

impl LogKey {
    /// The key's name in notes, equal to the log's origin.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// # Errors
    /// Only for a weak key, which derivation cannot produce in practice.
    pub fn note_key(&self) -> Result<NoteKey, note::KeyFault> {
        NoteKey::new(&self.origin, KeyType::Ed25519, self.key.verifying_key())
    }

    /// The vkey text for `policy` and `keys.json`.
    ///
    /// # Errors
    /// As [`Self::note_key`].
    pub fn vkey(&self) -> Result<String, note::KeyFault> {
        Ok(self.note_key()?.to_string())
    }

    /// The signed checkpoint note. Ed25519 is deterministic: signing the same head again gives the same bytes.
    #[must_use]
    pub fn sign(&self, checkpoint: &Checkpoint) -> String {
        let text = checkpoint.to_string();
        let id = note::key_id(&self.origin, KeyType::Ed25519, self.key.verifying_key().as_bytes());
        let signature = self.key.sign(text.as_bytes()).to_bytes().to_vec();
        let line = NoteSignature { name: self.origin.clone(), id, signature };
        Note { text, signatures: vec![line] }.to_string()
    }
}

/// Why a key file is not usable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PemFault {
    #[error("not a PKCS#8 PEM file with an Ed25519 private key")]
    Private,
    #[error("not an SPKI PEM file with an Ed25519 public key")]
    Public,
    #[error("the public key is of small order")]
    Weak,
}

/// The key that signs envelopes when statements leave the system: it attests who exported, not when.
#[derive(Clone)]
pub struct ExportKey {
    key: SigningKey,
    public: ExportPublicKey,
}

impl fmt::Debug for ExportKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportKey").field("keyid", &self.public.keyid()).finish_non_exhaustive()
    }
}

impl ExportKey {
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_bytes(seed);
        let public = ExportPublicKey::new(key.verifying_key());
        Self { key, public }
    }

    /// # Errors
    /// When the text is not an unencrypted PKCS#8 Ed25519 key.
    pub fn from_pem(pem: &str) -> Result<Self, PemFault> {
        let key = SigningKey::from_pkcs8_pem(pem).map_err(|_| PemFault::Private)?;
        let public = ExportPublicKey::new(key.verifying_key());
        Ok(Self { key, public })
    }

    /// PKCS#8 version 1, which every OpenSSL reads.
    ///
    /// # Errors
    /// Never for a key that exists; the encoder is fallible.
    pub fn to_pem(&self) -> Result<Zeroizing<String>, PemFault> {
        let pair = KeypairBytes { secret_key: self.key.to_bytes(), public_key: None };
        pair.to_pkcs8_pem(LineEnding::LF).map_err(|_| PemFault::Private)
    }

    #[must_use]
    pub const fn public(&self) -> &ExportPublicKey {
        &self.public
    }

    /// Wraps a payload.
    #[must_use]
    pub fn seal(&self, payload: Vec<u8>) -> Envelope {
        let signature = self.key.sign(&pae(PAYLOAD_TYPE, &payload)).to_bytes();
        Envelope { payload, payload_type: PAYLOAD_TYPE.to_owned(), keyid: self.public.id, signature }
    }
}

/// The public half of an [`ExportKey`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPublicKey {
    pub(super) key: VerifyingKey,
    pub(super) id: [u8; 32],
}

/// DER of an Ed25519 `SubjectPublicKeyInfo` up to the key's 32 bytes (RFC 8410).
const SPKI_HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl ExportPublicKey {
    fn new(key: VerifyingKey) -> Self {
        let id = Sha256::new().chain_update(SPKI_HEAD).chain_update(key.as_bytes()).finalize().into();
        Self { key, id }
    }

    /// # Errors
    /// When the text is not an Ed25519 `PUBLIC KEY`, or one of small order.
    pub fn from_pem(pem: &str) -> Result<Self, PemFault> {
        let key = VerifyingKey::from_public_key_pem(pem).map_err(|_| PemFault::Public)?;
        if key.is_weak() {
            return Err(PemFault::Weak);
        }
        Ok(Self::new(key))
    }

    /// # Errors
    /// Never for a key that exists; the encoder is fallible.
    pub fn to_pem(&self) -> Result<String, PemFault> {
        self.key.to_public_key_pem(LineEnding::LF).map_err(|_| PemFault::Public)
    }

    /// Hex SHA-256 of the SPKI DER: `openssl pkey -pubin -outform DER | sha256sum`.
    #[must_use]
    pub fn keyid(&self) -> String {
        crate::ids::hex(&self.id)
    }

    #[must_use]
    pub fn bytes(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether the envelope's signature is this key's, by the strict rules (no malleable or small-order parts).
    #[must_use]
    pub fn signed(&self, envelope: &Envelope) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(&envelope.signature);
        self.key.verify_strict(&pae(&envelope.payload_type, &envelope.payload), &signature).is_ok()
    }
}
