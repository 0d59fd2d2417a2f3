//! One module per noun.

pub mod calendars;
pub mod channels;
pub mod config;
pub mod deliveries;
pub mod doctor;
pub mod documents;
pub mod enabling;
pub mod events;
pub mod ledger;
pub mod lint;
pub mod man;
pub mod muting;
pub mod plugins;
pub mod quarantine;
pub mod rule_eval;
pub mod rule_explain;
pub mod rule_set;
pub mod rule_test;
pub mod rules;
pub mod service;
pub mod tenants;
pub mod tokens;
pub mod verify;
pub mod webhook;
pub mod why;
