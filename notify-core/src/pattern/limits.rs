//! Bounds on one pattern, so that a hostile one costs no more than a large honest one.

/// Conjunctions after every `$or` is multiplied out.
pub const MAX_BRANCHES: usize = 64;
/// Operators and plain values, counted as written.
pub const MAX_OPERANDS: usize = 1_024;
/// Operators and plain values, counted in every branch they end up in: what matching may have to evaluate for each
/// element of an array in the event.
pub const MAX_EXPANDED_OPERANDS: usize = 2_048;
/// Objects inside each other.
pub const MAX_DEPTH: usize = 32;
/// Bytes of one text operand or field name.
pub const MAX_TEXT_BYTES: usize = 4_096;
/// Bytes of one wildcard.
pub const MAX_WILDCARD_BYTES: usize = 1_024;
/// Stars in one wildcard.
pub const MAX_WILDCARD_STARS: usize = 32;
/// Wildcards, counted in every branch they end up in. With `anything-but` they are the only operators that are tried
/// one by one; long lists of all others are searched.
pub const MAX_WILDCARDS: usize = 256;
