//! The HTTP API: events in, documents, deliveries, the ledger; authentication and scopes.
//!
//! **Invariant: every route is in one table ([`routes::routes`]) that names its scope, and the router is built from
//! nothing else.** Handlers see only the tenant of the verified token.
#![forbid(unsafe_code)]

pub mod answer;
pub mod app;
pub mod auth;
mod deliveries;
pub mod documents;
pub mod engine;
mod events;
mod http_service;
mod ledger;
pub mod openapi;
mod operations;
pub mod problems_page;
mod quarantine;
mod query;
pub mod routes;
mod serve;
#[cfg(test)]
mod snapshot;

pub use app::{App, Counters, Limits};
pub use http_service::router;
pub use serve::serve;
