//! Noise control (DESIGN section 6): few alerts, none lost, each silence explained.
//!
//! Every control is a pure state machine over logical time.

pub mod key;

pub use key::StateKey;
