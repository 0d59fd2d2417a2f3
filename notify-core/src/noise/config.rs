//! The documents of noise control, compiled together.

use crate::document::Policy;
use crate::document::noise::{Setting, Storm};

/// What a tenant's noise control is made of.
#[derive(Debug, Clone, Default)]
pub struct NoiseConfig {
    pub policy: Policy,
}

impl NoiseConfig {
    /// When bursts become storms; `None`: never.
    #[must_use]
    pub fn storm(&self) -> Option<Storm> {
        match &self.policy.storm {
            None => Some(Storm::default()),
            Some(Setting::On(storm)) => Some(storm.clone()),
            Some(Setting::Off(_)) => None,
        }
    }
}
