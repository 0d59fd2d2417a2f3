//! One module per noun.

pub mod config;
pub mod deliveries;
pub mod doctor;
pub mod documents;
pub mod enabling;
pub mod events;
pub mod ledger;
pub mod man;
pub mod plugins;
pub mod quarantine;
pub mod rule_set;
pub mod rules;
pub mod service;
pub mod tenants;
pub mod tokens;
pub mod verify;
pub mod webhook;
