//! Noise control (DESIGN section 6): few alerts, none lost, each silence explained.
//!
//! Every control is a pure state machine over logical time.

pub mod inhibition;
pub mod key;
pub mod overrides;
mod scoped;
pub mod silence;

pub use inhibition::{Inhibitions, Sides, SourceChange, Target};
pub use key::StateKey;
pub use overrides::{Bypasses, OverrideHit, Overrides};
pub use silence::{Covering, Inside, SilenceHit, Silences, Windows};

#[cfg(test)]
mod tests;
