//! Salted commitments: what an entry shows in place of bodies, addresses and names.
//!
//! `SHA-256(salt ‖ bytes)` with a 32-byte salt that only the opening holds. Once the opening is erased the commitment
//! is noise, also for texts short enough to be guessed.

use crate::ids::hex;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;

/// `HMAC-SHA256(entropy, id ‖ 0x00 ‖ field ‖ 0x00 ‖ decimal attempt)`, all in UTF-8.
///
/// `id` is the delivery's, or that of the event, window or act. Message and target salts use attempt 0 and the
/// planning entropy; request and response salts use fresh entropy of that attempt.
#[must_use]
pub fn salt(entropy: &[u8; 32], id: &str, field: &str, attempt: u32) -> [u8; SALT_BYTES] {
    // HMAC takes keys of any length, so the error arm cannot be reached; the hash of the key would be its value.
    let mut mac = match Hmac::<Sha256>::new_from_slice(entropy) {
        Ok(mac) => mac,
        Err(_) => return Sha256::digest(entropy).into(),
    };
    mac.update(id.as_bytes());
    mac.update(&[0]);
    mac.update(field.as_bytes());
    mac.update(&[0]);
    mac.update(attempt.to_string().as_bytes());
    mac.finalize().into_bytes().into()
}

/// SHA-256 of an opening (salt ‖ bytes). Displays as `sha256:` + 64 lower-case hex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Commitment(pub [u8; 32]);

impl Commitment {
    /// Commits to `bytes` under `salt`.
    #[must_use]
    pub fn of(salt: &[u8; SALT_BYTES], bytes: &[u8]) -> Self {
        Self(Sha256::new().chain_update(salt).chain_update(bytes).finalize().into())
    }

    /// 64 lower-case hex: the form of a `subject` digest and of an opening's file name.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads `sha256:` + 64 lower-case hex.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_hex32(text.strip_prefix("sha256:")?).map(Self)
    }
}

impl fmt::Display for Commitment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

/// A plain, unsalted SHA-256 of something that is not personal (a rule, a template, a plug-in). Same text form as a
/// [`Commitment`]; a type of its own so that neither stands in the other's field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlainDigest(pub [u8; 32]);

impl PlainDigest {
    #[must_use]
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
    /// Reads `sha256:` + 64 lower-case hex.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Commitment::parse(text).map(|same| Self(same.0))
    }
}

impl fmt::Display for PlainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

/// The bytes of an opening file: 32-byte salt ‖ exact bytes. Their SHA-256 is the commitment.
#[must_use]
pub fn opening_bytes(salt: &[u8; SALT_BYTES], bytes: &[u8]) -> Vec<u8> {
    [salt.as_slice(), bytes].concat()
}

/// Exactly 64 lower-case hexadecimal digits.
#[must_use]
pub fn parse_hex32(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut out = [0; 32];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair.iter().try_fold(0_u8, |value, digit| {
            let digit = match digit {
                b'0'..=b'9' => digit - b'0',
                b'a'..=b'f' => digit - b'a' + 10,
                _ => return None,
            };
            Some(value << 4 | digit)
        })?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python: `hmac.new(bytes(range(32)), b"dlv_1\0message\x000", "sha256").hexdigest()`.
    #[test]
    fn salt_vector() {
        let entropy = std::array::from_fn(|i| u8::try_from(i).unwrap());
        assert_eq!(hex(&salt(&entropy, "dlv_1", "message", 0)), SALT_VECTOR);
    }
    const SALT_VECTOR: &str = "86e9da62d1b942f972b756e7e3e03b2938bf119865c459bcf708ded7a7b6ff7a";

    #[test]
    fn salts_differ_by_each_part() {
        let e = [7; 32];
        let all = [
            salt(&e, "a", "b", 0),
            salt(&e, "a", "b", 1),
            salt(&e, "a", "c", 0),
            salt(&e, "d", "b", 0),
            salt(&[8; 32], "a", "b", 0),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }

    #[test]
    fn a_commitment_is_the_hash_of_its_opening_file() {
        let salt = [9; 32];
        let commitment = Commitment::of(&salt, b"hello");
        assert_eq!(commitment.0, <[u8; 32]>::from(Sha256::digest(opening_bytes(&salt, b"hello"))));
        assert_eq!(Commitment::parse(&commitment.to_string()), Some(commitment));
        let text = commitment.to_string();
        for bad in [&text[7..], &text[..70], &text.to_uppercase(), &format!("{text}0"), "sha256:", "sha256:é"]
        {
            assert_eq!(Commitment::parse(bad), None, "{bad}");
        }
    }
}
