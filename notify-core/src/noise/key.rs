//! What a control remembers something under.

use crate::ids::{HeldId, hex};
use sha2::{Digest, Sha256};
use std::fmt;

/// The first 16 bytes of SHA-256 over length-prefixed parts: which control, which rule, which values of the event.
///
/// A hash, because values of events are long and may be personal: neither memory nor the table of states holds them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateKey(pub [u8; 16]);

impl StateKey {
    /// Each part is preceded by its length, so that no two lists of parts collide.
    #[must_use]
    pub fn derive<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Self::cut(hash.finalize().into())
    }

    /// Of parts that have their lengths before them already.
    pub(super) fn of_parts(bytes: &[u8]) -> Self {
        Self::cut(Sha256::digest(bytes).into())
    }

    fn cut(digest: [u8; 32]) -> Self {
        let mut key = [0; 16];
        key.copy_from_slice(&digest[..16]);
        Self(key)
    }

    /// Where the timer of a held alert stands: the digits of its id.
    #[must_use]
    pub fn of_held(id: &HeldId) -> Self {
        let digits = id.as_str().split_once('_').map_or("", |(_, digits)| digits);
        // An id always has 32 digits.
        Self::parse(digits).unwrap_or(Self([0; 16]))
    }

    /// The held alert whose timer this is.
    #[must_use]
    pub fn to_held(self) -> Option<HeldId> {
        format!("{}_{}", HeldId::PREFIX, self.hex()).parse().ok()
    }

    /// 32 lower-case hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        hex(&self.0)
    }

    /// Reads [`Self::hex`].
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = text.as_bytes();
        if bytes.len() != 32 {
            return None;
        }
        let mut key = [0; 16];
        for (at, pair) in bytes.chunks_exact(2).enumerate() {
            let digit = |byte: u8| match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            };
            *key.get_mut(at)? = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(key))
    }
}

impl fmt::Debug for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together_and_the_text_is_read_again() {
        let key = StateKey::derive([b"ab".as_slice(), b"c"]);
        assert_ne!(key, StateKey::derive([b"a".as_slice(), b"bc"]));
        assert_eq!(StateKey::parse(&key.hex()), Some(key));
        for bad in ["", "0", "zz", &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(StateKey::parse(bad), None, "{bad}");
        }
    }
}
