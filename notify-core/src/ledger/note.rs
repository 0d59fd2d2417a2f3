//! C2SP signed note: a text with Ed25519 signature lines, and the keys that make and check them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use sha2::{Digest, Sha256};
use std::fmt;

/// Signature lines that a note may have; the specification asks for at least 16 and for a cap.
pub const MAX_SIGNATURES: usize = 64;
/// Bytes of a note.
pub const MAX_NOTE_BYTES: usize = 64 * 1024;

/// Signature type bytes of the specification that this ledger uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyType {
    /// `01`: Ed25519 over the note text.
    Ed25519,
    /// `04`: timestamped Ed25519 cosignature.
    Cosignature,
}

impl KeyType {
    #[must_use]
    pub const fn byte(self) -> u8 {
        match self {
            Self::Ed25519 => 1,
            Self::Cosignature => 4,
        }
    }
}

/// Key ID: the first four bytes of `SHA-256(name ‖ 0x0A ‖ type ‖ public key)`.
#[must_use]
pub fn key_id(name: &str, key_type: KeyType, public: &[u8; 32]) -> [u8; 4] {
    let digest: [u8; 32] = Sha256::new()
        .chain_update(name)
        .chain_update([b'\n', key_type.byte()])
        .chain_update(public)
        .finalize()
        .into();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Non-empty, no Unicode space, no `+`, and no control character (a note could not carry it).
#[must_use]
pub fn is_key_name(name: &str) -> bool {
    !name.is_empty() && !name.chars().any(|c| c.is_whitespace() || c.is_control() || c == '+')
}

/// Why a text is not a usable verifier key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KeyFault {
    #[error("the key is not `name+8 hex digits+base64`")]
    Form,
    #[error("the key name is not valid")]
    Name,
    #[error("the key ID does not belong to this name and key")]
    KeyId,
    #[error("signature type {0:#04x} is not supported")]
    Type(u8),
    #[error("the public key is not a sound Ed25519 point")]
    Point,
}

/// A verifier key (vkey).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteKey {
    name: String,
    key_type: KeyType,
    id: [u8; 4],
    key: VerifyingKey,
}

impl NoteKey {
    /// # Errors
    /// When the name is not valid or the key is of small order (it would accept forged signatures).
    pub fn new(name: &str, key_type: KeyType, key: VerifyingKey) -> Result<Self, KeyFault> {
        if !is_key_name(name) {
            return Err(KeyFault::Name);
        }
        if key.is_weak() {
            return Err(KeyFault::Point);
        }
        Ok(Self { name: name.to_owned(), key_type, id: key_id(name, key_type, key.as_bytes()), key })
    }

    /// Reads `name+hex(key ID)+base64(type ‖ public key)`.
    ///
    /// # Errors
    /// [`KeyFault`].
    pub fn parse(vkey: &str) -> Result<Self, KeyFault> {
        let mut fields = vkey.splitn(3, '+');
        let (Some(name), Some(id), Some(key)) = (fields.next(), fields.next(), fields.next()) else {
            return Err(KeyFault::Form);
        };
        let key = STANDARD.decode(key).map_err(|_| KeyFault::Form)?;
        let (key_type, key) = key.split_first().ok_or(KeyFault::Form)?;
        let key_type = match key_type {
            1 => KeyType::Ed25519,
            4 => KeyType::Cosignature,
            other => return Err(KeyFault::Type(*other)),
        };
        let key = VerifyingKey::from_bytes(key.try_into().map_err(|_| KeyFault::Form)?)
            .map_err(|_| KeyFault::Point)?;
        let key = Self::new(name, key_type, key)?;
        if crate::ids::hex(&key.id) == id { Ok(key) } else { Err(KeyFault::KeyId) }
    }

    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
    #[must_use]
    pub const fn key_type(&self) -> KeyType {
        self.key_type
    }
    #[must_use]
    pub const fn id(&self) -> [u8; 4] {
        self.id
    }
    /// The key itself: two vkeys with the same one are duplicates, whatever their names.
    #[must_use]
    pub fn public(&self) -> &[u8; 32] {
        self.key.as_bytes()
    }

    /// Whether `signature` (without the key ID) is this key's over `text`; for cosignatures the time they carry.
    ///
    /// # Errors
    /// When it is not.
    pub fn verify(&self, text: &str, signature: &[u8]) -> Result<Option<u64>, BadSignature> {
        match self.key_type {
            KeyType::Ed25519 => {
                let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
                self.key.verify_strict(text.as_bytes(), &signature).map_err(|_| BadSignature)?;
                Ok(None)
            }
            KeyType::Cosignature => {
                let (time, signature) = signature.split_first_chunk::<8>().ok_or(BadSignature)?;
                let time = u64::from_be_bytes(*time);
                let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
                let message = cosigned_message(time, text);
                self.key.verify_strict(message.as_bytes(), &signature).map_err(|_| BadSignature)?;
                Ok(Some(time))
            }
        }
    }
}

impl fmt::Display for NoteKey {
    /// The vkey text.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut typed = [0; 33];
        typed[0] = self.key_type.byte();
        typed[1..].copy_from_slice(self.key.as_bytes());
        write!(f, "{}+{}+{}", self.name, crate::ids::hex(&self.id), STANDARD.encode(typed))
    }
}

/// A signature that is not the named key's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the signature does not verify")]
pub struct BadSignature;

/// What a witness signs: `cosignature/v1`, the POSIX time, then the whole note text.
fn cosigned_message(time: u64, text: &str) -> String {
    format!("cosignature/v1\ntime {time}\n{text}")
}

/// One signature line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoteSignature {
    pub name: String,
    pub id: [u8; 4],
    pub signature: Vec<u8>,
}

impl fmt::Display for NoteSignature {
    /// The line, without its LF.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "— {} {}", self.name, STANDARD.encode([self.id.as_slice(), &self.signature].concat()))
    }
}

/// Signs a note text as `name`, type `01`.
///
/// # Errors
/// When the name is not a key name.
pub fn sign(name: &str, key: &SigningKey, text: &str) -> Result<NoteSignature, KeyFault> {
    let public = NoteKey::new(name, KeyType::Ed25519, key.verifying_key())?;
    let signature = key.sign(text.as_bytes()).to_bytes().to_vec();
    Ok(NoteSignature { name: public.name, id: public.id, signature })
}

/// Cosigns a note text as the witness `name`, type `04`, at `time` (POSIX seconds).
///
/// # Errors
/// When the name is not a key name.
pub fn cosign(name: &str, key: &SigningKey, time: u64, text: &str) -> Result<NoteSignature, KeyFault> {
    let public = NoteKey::new(name, KeyType::Cosignature, key.verifying_key())?;
    let mut signature = time.to_be_bytes().to_vec();
    signature.extend(key.sign(cosigned_message(time, text).as_bytes()).to_bytes());
    Ok(NoteSignature { name: public.name, id: public.id, signature })
}

/// A signed note. Its signatures are not verified by reading it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// Ends in LF.
    pub text: String,
    pub signatures: Vec<NoteSignature>,
}

/// Why bytes are not a signed note.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoteFault {
    #[error("the note is too long")]
    TooLong,
    #[error("the note is not UTF-8 text without control characters")]
    NotText,
    #[error("the note has no text followed by an empty line and signatures")]
    NoSignatures,
    #[error("a signature line is malformed")]
    SignatureLine,
    #[error("the note has more than {MAX_SIGNATURES} signatures")]
    TooMany,
}

impl Note {
    /// Reads a note; the split is at the last empty line.
    ///
    /// # Errors
    /// [`NoteFault`].
    pub fn parse(bytes: &[u8]) -> Result<Self, NoteFault> {
        if bytes.len() > MAX_NOTE_BYTES {
            return Err(NoteFault::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NoteFault::NotText)?;
        if note.chars().any(|c| c != '\n' && u32::from(c) < 0x20) {
            return Err(NoteFault::NotText);
        }
        let split = note.rfind("\n\n").ok_or(NoteFault::NoSignatures)?;
        let (text, lines) = note.split_at_checked(split + 1).ok_or(NoteFault::NoSignatures)?;
        let lines = lines.strip_prefix('\n').and_then(|lines| lines.strip_suffix('\n'));
        let lines = lines.filter(|lines| !lines.is_empty()).ok_or(NoteFault::NoSignatures)?;
        let signatures = lines.split('\n').map(parse_line).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteFault::SignatureLine)?;
        if signatures.len() > MAX_SIGNATURES {
            return Err(NoteFault::TooMany);
        }
        Ok(Self { text: text.to_owned(), signatures })
    }

    /// The signature of `key`, if the note has one. Where a key has several lines, all must verify.
    ///
    /// # Errors
    /// When a line names the key (name and ID) and does not verify: the note is to be rejected then.
    pub fn signature_of(&self, key: &NoteKey) -> Result<Option<SignedBy>, BadSignature> {
        let mut found = None;
        for line in self.signatures.iter().filter(|line| line.name == key.name && line.id == key.id) {
            found = Some(SignedBy { time: key.verify(&self.text, &line.signature)? });
        }
        Ok(found)
    }
}

/// A signature that verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedBy {
    /// POSIX seconds, for cosignatures.
    pub time: Option<u64>,
}

fn parse_line(line: &str) -> Option<NoteSignature> {
    let (name, blob) = line.strip_prefix("— ")?.split_once(' ')?;
    let blob = STANDARD.decode(blob).ok()?;
    let (id, signature) = blob.split_first_chunk::<4>()?;
    (is_key_name(name) && !signature.is_empty()).then(|| NoteSignature {
        name: name.to_owned(),
        id: *id,
        signature: signature.to_vec(),
    })
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        self.signatures.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
