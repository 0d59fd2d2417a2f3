//! Inclusion and consistency proofs (RFC 6962 section 2.1, verification as RFC 9162 sections 2.1.3.2 and 2.1.4.2).
//!
//! Generation is two steps, so that this crate needs no store: a [`ProofPlan`] lists the complete subtrees it wants
//! as (level, index), the caller fetches their roots, and the plan combines them into the proof's hashes.

use super::tree::{Hash, NodeId, cover, fold_right, node_hash};
use std::ops::Range;

/// A question that has no proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoProof {
    #[error("leaf {index} is not in a tree of {size}")]
    OutsideTree { index: u64, size: u64 },
    #[error("a tree of {old} does not come before one of {new}")]
    Backwards { old: u64, new: u64 },
    #[error("{expected} hashes were asked for, {actual} given")]
    WrongNodes { expected: usize, actual: usize },
}

/// Which subtree roots a proof is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofPlan {
    /// One per hash of the proof, in the proof's order.
    ranges: Vec<Range<u64>>,
}

impl ProofPlan {
    /// Proof that leaf `index` is in the tree of `size` leaves.
    ///
    /// # Errors
    /// When `index ≥ size`.
    pub fn inclusion(index: u64, size: u64) -> Result<Self, NoProof> {
        if index >= size {
            return Err(NoProof::OutsideTree { index, size });
        }
        let (mut low, mut high) = (0, size);
        let mut ranges = Vec::new();
        while high - low > 1 {
            let middle = low + split(high - low);
            if index < middle {
                ranges.push(middle..high);
                high = middle;
            } else {
                ranges.push(low..middle);
                low = middle;
            }
        }
        ranges.reverse();
        Ok(Self { ranges })
    }

    /// Proof that the tree of `new` leaves extends that of `old`. Empty for `old` = 0 and `old` = `new`.
    ///
    /// # Errors
    /// When `old > new`.
    pub fn consistency(old: u64, new: u64) -> Result<Self, NoProof> {
        if old > new {
            return Err(NoProof::Backwards { old, new });
        }
        let mut ranges = Vec::new();
        if old > 0 {
            let (mut low, mut high) = (0, new);
            // SUBPROOF of RFC 6962: the old tree's own root is known to the verifier as long as nothing was cut off
            // at the left.
            let mut is_old_root = true;
            while old != high {
                let middle = low + split(high - low);
                if old <= middle {
                    ranges.push(middle..high);
                    high = middle;
                } else {
                    ranges.push(low..middle);
                    low = middle;
                    is_old_root = false;
                }
            }
            if !is_old_root {
                ranges.push(low..high);
            }
            ranges.reverse();
        }
        Ok(Self { ranges })
    }

    /// The complete subtrees wanted, for `Store::ledger_nodes`; in the order [`Self::combine`] takes their roots.
    #[must_use]
    pub fn nodes(&self) -> Vec<NodeId> {
        self.ranges.iter().flat_map(cover).collect()
    }

    /// Makes the proof of the roots of [`Self::nodes`], in that order.
    ///
    /// # Errors
    /// When their number differs.
    pub fn combine(&self, nodes: &[Hash]) -> Result<Vec<Hash>, NoProof> {
        let expected = self.ranges.iter().map(|range| (range.end - range.start).count_ones() as usize).sum();
        let wrong = NoProof::WrongNodes { expected, actual: nodes.len() };
        if nodes.len() != expected {
            return Err(wrong);
        }
        let mut rest = nodes;
        self.ranges
            .iter()
            .map(|range| {
                let count = (range.end - range.start).count_ones() as usize;
                let (these, others) = rest.split_at_checked(count).ok_or(wrong)?;
                rest = others;
                fold_right(these).ok_or(wrong)
            })
            .collect()
    }
}

/// Shorthand for [`ProofPlan::inclusion`] and [`ProofPlan::nodes`].
///
/// # Errors
/// When `index ≥ size`.
pub fn inclusion_nodes(index: u64, size: u64) -> Result<Vec<NodeId>, NoProof> {
    Ok(ProofPlan::inclusion(index, size)?.nodes())
}

/// The inclusion proof from the roots of [`inclusion_nodes`].
///
/// # Errors
/// When `index ≥ size` or the number of roots differs.
pub fn inclusion_proof(index: u64, size: u64, nodes: &[Hash]) -> Result<Vec<Hash>, NoProof> {
    ProofPlan::inclusion(index, size)?.combine(nodes)
}

/// Shorthand for [`ProofPlan::consistency`] and [`ProofPlan::nodes`].
///
/// # Errors
/// When `old > new`.
pub fn consistency_nodes(old: u64, new: u64) -> Result<Vec<NodeId>, NoProof> {
    Ok(ProofPlan::consistency(old, new)?.nodes())
}

/// The consistency proof from the roots of [`consistency_nodes`].
///
/// # Errors
/// When `old > new` or the number of roots differs.
pub fn consistency_proof(old: u64, new: u64, nodes: &[Hash]) -> Result<Vec<Hash>, NoProof> {
    ProofPlan::consistency(old, new)?.combine(nodes)
}

/// The compact range of [0, n) as nodes to fetch, largest first: for the `prefix` of a delta export.
#[must_use]
pub fn prefix_nodes(n: u64) -> Vec<NodeId> {
    cover(&(0..n))
}

/// The largest power of two strictly below `n` (which is at least 2).
fn split(n: u64) -> u64 {
    1 << (n - 1).ilog2()
}

/// Why a proof proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProofFault {
    #[error("leaf {index} is not in a tree of {size}")]
    OutsideTree { index: u64, size: u64 },
    #[error("a tree of {old} does not come before one of {new}")]
    Backwards { old: u64, new: u64 },
    #[error("the proof has too few or too many hashes")]
    WrongLength,
    #[error("nothing can be shown about the empty tree")]
    FromEmpty,
    #[error("the proof leads to another root")]
    WrongRoot,
    #[error("the proof leads to another old root")]
    WrongOldRoot,
}

/// Checks that `leaf` is number `index` in the tree with this root.
///
/// # Errors
/// [`ProofFault`] when it is not shown.
pub fn verify_inclusion(
    leaf: &Hash,
    index: u64,
    size: u64,
    proof: &[Hash],
    root: &Hash,
) -> Result<(), ProofFault> {
    if index >= size {
        return Err(ProofFault::OutsideTree { index, size });
    }
    let (mut node, mut last, mut hash) = (index, size - 1, *leaf);
    for sibling in proof {
        if last == 0 {
            return Err(ProofFault::WrongLength);
        }
        if node & 1 == 1 || node == last {
            hash = node_hash(sibling, &hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            hash = node_hash(&hash, sibling);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(ProofFault::WrongLength)
    } else if hash != *root {
        Err(ProofFault::WrongRoot)
    } else {
        Ok(())
    }
}

/// Checks that the new tree extends the old one. From size 0 is an error here, as in RFC 9162: nothing is shown.
///
/// # Errors
/// [`ProofFault`] when it is not shown.
pub fn verify_consistency(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofFault> {
    if old > new {
        return Err(ProofFault::Backwards { old, new });
    }
    if old == 0 {
        return Err(ProofFault::FromEmpty);
    }
    if old == new {
        return match proof {
            [] if old_root == new_root => Ok(()),
            [] => Err(ProofFault::WrongRoot),
            _ => Err(ProofFault::WrongLength),
        };
    }
    // A power of two is itself a node of the new tree, so the proof leaves it out.
    let (first, rest) = if old.is_power_of_two() {
        (*old_root, proof)
    } else {
        let (first, rest) = proof.split_first().ok_or(ProofFault::WrongLength)?;
        (*first, rest)
    };
    let (mut node, mut last) = (old - 1, new - 1);
    while node & 1 == 1 {
        node >>= 1;
        last >>= 1;
    }
    let (mut old_hash, mut new_hash) = (first, first);
    for hash in rest {
        if last == 0 {
            return Err(ProofFault::WrongLength);
        }
        if node & 1 == 1 || node == last {
            old_hash = node_hash(hash, &old_hash);
            new_hash = node_hash(hash, &new_hash);
            while node & 1 == 0 && node != 0 {
                node >>= 1;
                last >>= 1;
            }
        } else {
            new_hash = node_hash(&new_hash, hash);
        }
        node >>= 1;
        last >>= 1;
    }
    if last != 0 {
        Err(ProofFault::WrongLength)
    } else if old_hash != *old_root {
        Err(ProofFault::WrongOldRoot)
    } else if new_hash != *new_root {
        Err(ProofFault::WrongRoot)
    } else {
        Ok(())
    }
}

/// The witness protocol's rule for size 0: the empty proof is required and enough; any other size as
/// [`verify_consistency`].
///
/// # Errors
/// [`ProofFault`] when it is not shown.
pub fn verify_consistency_for_witness(
    old: u64,
    new: u64,
    proof: &[Hash],
    old_root: &Hash,
    new_root: &Hash,
) -> Result<(), ProofFault> {
    if old > 0 {
        return verify_consistency(old, new, proof, old_root, new_root);
    }
    if !proof.is_empty() {
        Err(ProofFault::WrongLength)
    } else if *old_root != super::tree::empty_root() {
        Err(ProofFault::WrongOldRoot)
    } else {
        Ok(())
    }
}
