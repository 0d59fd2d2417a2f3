//! C2SP tlog-proof: index, inclusion path and checkpoint of one entry as a text.

use super::checkpoint::{hash_text, parse_decimal, parse_hash};
use super::note::MAX_NOTE_BYTES;
use super::tree::Hash;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

const HEADER: &str = "c2sp.org/tlog-proof@v1";
/// An inclusion path in a tree of less than 2^63 leaves.
const MAX_PATH: usize = 63;

/// A `.tlog-proof` file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlogProof {
    /// Opaque and not authenticated; this ledger writes none.
    pub extra: Option<Vec<u8>>,
    pub index: u64,
    /// The leaf's sibling first.
    pub path: Vec<Hash>,
    /// The signed note, verbatim.
    pub checkpoint: String,
}

/// Why bytes are not a tlog-proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TlogProofFault {
    #[error("not a text of at most {MAX_NOTE_BYTES} bytes")]
    NotText,
    #[error("the first line is not `{HEADER}`")]
    Header,
    #[error("the `extra` line is not canonical base64")]
    Extra,
    #[error("the `index` line is missing or not an unpadded decimal number")]
    Index,
    #[error("a path line is not the canonical base64 of 32 bytes, or there are more than {MAX_PATH}")]
    Path,
    #[error("the checkpoint is missing")]
    Checkpoint,
}

impl TlogProof {
    /// # Errors
    /// [`TlogProofFault`]. The checkpoint is not parsed.
    pub fn parse(bytes: &[u8]) -> Result<Self, TlogProofFault> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.len() <= MAX_NOTE_BYTES);
        let text = text.ok_or(TlogProofFault::NotText)?;
        let (head, checkpoint) = text.split_once("\n\n").ok_or(TlogProofFault::Checkpoint)?;
        if checkpoint.is_empty() {
            return Err(TlogProofFault::Checkpoint);
        }
        let mut lines = head.split('\n').peekable();
        if lines.next() != Some(HEADER) {
            return Err(TlogProofFault::Header);
        }
        let extra =
            lines.next_if(|line| line.starts_with("extra ")).and_then(|line| line.strip_prefix("extra "));
        let extra = extra.map(|e| STANDARD.decode(e)).transpose().map_err(|_| TlogProofFault::Extra)?;
        let index = lines.next().and_then(|line| line.strip_prefix("index ")).and_then(parse_decimal);
        let index = index.ok_or(TlogProofFault::Index)?;
        let path = lines.map(parse_hash).collect::<Option<Vec<_>>>().filter(|path| path.len() <= MAX_PATH);
        let path = path.ok_or(TlogProofFault::Path)?;
        Ok(Self { extra, index, path, checkpoint: checkpoint.to_owned() })
    }
}

impl fmt::Display for TlogProof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{HEADER}")?;
        if let Some(extra) = &self.extra {
            writeln!(f, "extra {}", STANDARD.encode(extra))?;
        }
        writeln!(f, "index {}", self.index)?;
        self.path.iter().try_for_each(|hash| writeln!(f, "{}", hash_text(hash)))?;
        write!(f, "\n{}", self.checkpoint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_trip() {
        let h = [Hash([1; 32]), Hash([2; 32])];
        let (one, two) = (hash_text(&h[0]), hash_text(&h[1]));
        for (proof, text) in [
            (
                TlogProof { extra: None, index: 5, path: h.to_vec(), checkpoint: "test checkpoint\n".into() },
                format!("{HEADER}\nindex 5\n{one}\n{two}\n\ntest checkpoint\n"),
            ),
            (
                TlogProof {
                    extra: Some(b"hi".to_vec()),
                    index: 0,
                    path: vec![],
                    checkpoint: "c\n\n— x\n".into(),
                },
                format!("{HEADER}\nextra aGk=\nindex 0\n\nc\n\n— x\n"),
            ),
        ] {
            assert_eq!(proof.to_string(), text);
            assert_eq!(TlogProof::parse(text.as_bytes()), Ok(proof));
        }
    }

    #[test]
    fn faults() {
        let check =
            |text: &str, expected| assert_eq!(TlogProof::parse(text.as_bytes()), Err(expected), "{text}");
        check("index 5\n\nc\n", TlogProofFault::Header);
        check(&format!("{HEADER}\nindex 5\n"), TlogProofFault::Checkpoint);
        check(&format!("{HEADER}\nindex 5\n\n"), TlogProofFault::Checkpoint);
        for index in ["05", "-1", "x", "", "9007199254740992"] {
            check(&format!("{HEADER}\nindex {index}\n\nc\n"), TlogProofFault::Index);
        }
        check(&format!("{HEADER}\n\nc\n"), TlogProofFault::Index);
        check(&format!("{HEADER}\nextra !\nindex 5\n\nc\n"), TlogProofFault::Extra);
        check(&format!("{HEADER}\nindex 5\nAAAA\n\nc\n"), TlogProofFault::Path);
        let long = format!("{}\n", hash_text(&Hash([0; 32]))).repeat(64);
        check(&format!("{HEADER}\nindex 5\n{long}\nc\n"), TlogProofFault::Path);
        assert_eq!(TlogProof::parse(b"\xff"), Err(TlogProofFault::NotText));
    }
}
