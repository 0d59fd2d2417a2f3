//! Tokens whose signature was verified, by their SHA-256: at 10,000 requests a second an Ed25519 check for each would
//! cost half a core.

use super::Caller;
use notify_core::time::Timestamp;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, RwLock};

/// SHA-256 of a token.
pub type TokenDigest = [u8; 32];

/// More live tokens than this and some are verified again.
const CAPACITY: usize = 10_000;

pub struct VerifiedTokens {
    tokens: RwLock<HashMap<TokenDigest, Arc<Caller>>>,
}

impl VerifiedTokens {
    pub fn new() -> Self {
        Self { tokens: RwLock::default() }
    }

    pub fn digest(token: &str) -> TokenDigest {
        Sha256::digest(token.as_bytes()).into()
    }

    pub fn get(&self, digest: &TokenDigest) -> Option<Arc<Caller>> {
        self.tokens.read().unwrap_or_else(|poisoned| poisoned.into_inner()).get(digest).cloned()
    }

    /// Only verified tokens get here, so nobody without a key can fill it.
    pub fn put(&self, digest: TokenDigest, caller: Arc<Caller>, now: Timestamp) {
        let mut tokens = self.tokens.write().unwrap_or_else(|poisoned| poisoned.into_inner());
        if tokens.len() >= CAPACITY {
            let now = now.as_second();
            tokens.retain(|_, caller| caller.expires_at > now);
        }
        if tokens.len() >= CAPACITY {
            tokens.clear();
        }
        tokens.insert(digest, caller);
    }
}
