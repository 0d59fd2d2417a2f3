//! Noise control (DESIGN section 6): few alerts, none lost, each silence explained.
//!
//! Every control is a pure state machine over logical time. [`state`] is what they remember between events, and
//! [`crate::plan`] asks them in the order of [`Control::ALL`].

pub mod config;
pub mod control;
pub mod gcra;
pub mod key;
pub mod remembered;
pub mod state;
pub mod storm;
pub mod values;
pub mod window;

pub use config::NoiseConfig;
pub use control::Control;
pub use key::StateKey;
pub use remembered::{Remembered, StateRow};
pub use state::{Change, NoiseState, Undo};
pub use window::Window;
