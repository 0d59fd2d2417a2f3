//! Noise control (DESIGN section 6): few alerts, none lost, each silence explained.
//!
//! Every control is a pure state machine over logical time. [`state`] is what they remember between events, and
//! [`crate::plan`] asks them in the order of [`Control::ALL`].

pub mod config;
pub mod control;
pub mod gcra;
pub mod inhibition;
pub mod key;
pub mod overrides;
pub mod remembered;
mod scoped;
pub mod silence;
pub mod state;
pub mod storm;
pub mod values;
pub mod window;

pub use config::NoiseConfig;
pub use control::Control;
pub use inhibition::{Inhibitions, Sides, SourceChange, Target};
pub use key::StateKey;
pub use overrides::{Bypasses, OverrideHit, Overrides};
pub use remembered::{Remembered, StateRow};
pub use silence::{Covering, Inside, SilenceHit, Silences, Windows};
pub use state::{Change, NoiseState, Undo};
pub use window::Window;

#[cfg(test)]
mod tests;
