//! Hashing with a fixed seed: the same rules give the same tables on every machine and in every run. No order in a
//! table is ever shown, results are ordered by key.

use crate::pattern::number::Num;
use crate::pattern::operator::Scalar;
use std::hash::BuildHasher;

/// Builds the hashers of every table here.
#[derive(Debug, Clone)]
pub(in crate::pattern) struct Fixed(foldhash::fast::FixedState);

impl Default for Fixed {
    fn default() -> Self {
        Self(foldhash::fast::FixedState::with_seed(0x6e6f_7469_6679))
    }
}

impl BuildHasher for Fixed {
    type Hasher = foldhash::fast::FoldHasher<'static>;

    fn build_hasher(&self) -> Self::Hasher {
        self.0.build_hasher()
    }
}

/// A set of value hashes on the way to one number. The order of [`Self::and`] counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Composite(u64);

impl Composite {
    pub(super) const EMPTY: Self = Self(0x9e37_79b9_7f4a_7c15);

    pub(super) const fn and(self, value: u64) -> Self {
        Self((self.0.rotate_left(23) ^ value).wrapping_mul(0xd6e8_feb8_6659_fd93))
    }

    pub(super) const fn get(self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}

/// The hash of one value; equal values have equal hashes, whatever their spelling.
pub(super) fn of(value: Scalar<'_>) -> u64 {
    match value {
        Scalar::Null => 0x51,
        Scalar::Bool(b) => 0x61 + u64::from(b),
        Scalar::Number(Num::Int(i)) => Fixed::default().hash_one(i),
        Scalar::Number(Num::Real(f)) => Fixed::default().hash_one(f.to_bits()),
        Scalar::Text(text) => of_text(text),
    }
}

pub(super) fn of_text(text: &str) -> u64 {
    Fixed::default().hash_one(text.as_bytes())
}
