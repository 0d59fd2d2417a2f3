//! RFC 6962 Merkle tree: hashes and the compact range that an append needs.

use crate::ids::hex;
use sha2::{Digest, Sha256};
use std::fmt;
use std::ops::Range;

/// A leaf, node or root hash.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash(pub [u8; 32]);

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex(&self.0))
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

/// `SHA-256(0x00 ‖ data)`.
#[must_use]
pub fn leaf_hash(data: &[u8]) -> Hash {
    Hash(Sha256::new().chain_update([0]).chain_update(data).finalize().into())
}

/// `SHA-256(0x01 ‖ left ‖ right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash(Sha256::new().chain_update([1]).chain_update(left.0).chain_update(right.0).finalize().into())
}

/// `SHA-256("")`: the root of the empty tree.
#[must_use]
pub fn empty_root() -> Hash {
    Hash(Sha256::digest(b"").into())
}

/// Name of a complete subtree: over the leaves `index·2^level .. (index+1)·2^level`.
pub type NodeId = (u8, u64);

/// A complete subtree and its root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    pub level: u8,
    pub index: u64,
    pub hash: Hash,
}

/// Levels whose nodes are stored besides the leaf hashes: 8, 16, 24, …, as tiles of 256 hashes.
#[must_use]
pub const fn is_stored_level(level: u8) -> bool {
    level > 0 && level.is_multiple_of(8)
}

/// Where the hashes below a node are stored: the stored level at or below its own (0 = leaf hashes) and the indexes
/// there, at most 128 of them. [`combine_subtree`] makes the node's hash of them.
#[must_use]
pub const fn stored_children((level, index): NodeId) -> (u8, Range<u64>) {
    let below = level % 8;
    (level - below, (index << below)..((index + 1) << below))
}

/// Root over 2^k hashes of one level; `None` for another count.
#[must_use]
pub fn combine_subtree(hashes: &[Hash]) -> Option<Hash> {
    if !hashes.len().is_power_of_two() {
        return None;
    }
    let mut row = hashes.to_vec();
    while row.len() > 1 {
        row = row.chunks_exact(2).map(|pair| node_hash(&pair[0], &pair[1])).collect();
    }
    row.first().copied()
}

/// The complete subtrees that cover `range`, left to right. `range.start` must be a multiple of the largest power of
/// two below the range's length, as every range of an RFC 6962 proof is.
pub(super) fn cover(range: &Range<u64>) -> Vec<NodeId> {
    let (mut at, mut left) = (range.start, range.end.saturating_sub(range.start));
    let mut nodes = Vec::new();
    while left > 0 {
        let level = left.ilog2();
        // At most 63, so it fits.
        nodes.push((u8::try_from(level).unwrap_or(u8::MAX), at >> level));
        at += 1 << level;
        left -= 1 << level;
    }
    nodes
}

/// Root over subtrees of falling size, largest (leftmost) first.
pub(super) fn fold_right(hashes: &[Hash]) -> Option<Hash> {
    hashes.iter().rev().copied().reduce(|right, left| node_hash(&left, &right))
}

/// The roots of the complete subtrees of a tree of `size` leaves, largest first: all that appending needs, at most 63
/// hashes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CompactRange {
    size: u64,
    hashes: Vec<Hash>,
}

/// Bytes or hashes that are no compact range of the size they are said to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a tree of {size} leaves has {expected} complete subtrees, not {actual} hashes")]
pub struct NotARange {
    pub size: u64,
    pub expected: usize,
    pub actual: usize,
}

impl CompactRange {
    /// The empty tree.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// # Errors
    /// When the number of hashes does not fit the size.
    pub fn from_hashes(size: u64, hashes: Vec<Hash>) -> Result<Self, NotARange> {
        let expected = size.count_ones() as usize;
        if hashes.len() == expected {
            Ok(Self { size, hashes })
        } else {
            Err(NotARange { size, expected, actual: hashes.len() })
        }
    }

    /// Reads [`Self::to_bytes`].
    ///
    /// # Errors
    /// When the bytes are not 32 per complete subtree.
    pub fn from_bytes(size: u64, bytes: &[u8]) -> Result<Self, NotARange> {
        let (chunks, rest) = bytes.as_chunks::<32>();
        if !rest.is_empty() {
            let expected = size.count_ones() as usize;
            return Err(NotARange { size, expected, actual: chunks.len() + 1 });
        }
        Self::from_hashes(size, chunks.iter().copied().map(Hash).collect())
    }

    /// The hashes one after the other, largest subtree first. The size is kept apart.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.hashes.iter().flat_map(|hash| hash.0).collect()
    }

    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Largest subtree first.
    #[must_use]
    pub fn hashes(&self) -> &[Hash] {
        &self.hashes
    }

    /// Appends a leaf and tells of every subtree that became complete, the leaf itself (level 0) first.
    pub fn push(&mut self, leaf: Hash, mut completed: impl FnMut(Node)) {
        let (mut level, mut index, mut hash) = (0_u8, self.size, leaf);
        completed(Node { level, index, hash });
        while index & 1 == 1 {
            // A set bit of the size is a subtree on the stack: `from_hashes` and this loop keep that.
            let Some(left) = self.hashes.pop() else { break };
            hash = node_hash(&left, &hash);
            level += 1;
            index >>= 1;
            completed(Node { level, index, hash });
        }
        self.hashes.push(hash);
        self.size += 1;
    }

    /// The RFC 6962 root.
    #[must_use]
    pub fn root(&self) -> Hash {
        fold_right(&self.hashes).unwrap_or_else(empty_root)
    }
}
