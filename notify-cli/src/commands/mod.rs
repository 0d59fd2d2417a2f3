//! One module per noun.

pub mod config;
pub mod deliveries;
pub mod documents;
pub mod events;
pub mod ledger;
pub mod plugins;
pub mod quarantine;
pub mod rules;
pub mod tenants;
pub mod tokens;
pub mod verify;
