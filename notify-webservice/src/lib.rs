//! The HTTP API: events in, documents, deliveries, the ledger; authentication and scopes.
//!
//! **Invariant: every route is in one table ([`routes::routes`]) that names its scope, and the router is built from
//! nothing else.** Handlers see only the tenant of the verified token.
#![forbid(unsafe_code)]

pub mod answer;
pub mod app;
pub mod auth;
mod channels;
mod deliveries;
mod docs_ui;
pub mod documents;
pub mod engine;
mod events;
pub mod health;
mod http_service;
mod ledger;
pub mod lint_page;
pub mod metrics;
pub mod muting;
pub mod openapi;
mod operations;
mod paging;
pub mod problems_page;
mod quarantine;
mod query;
mod redrive_request;
pub mod routes;
pub mod scopes_page;
mod serve;
#[cfg(test)]
mod snapshot;
pub mod turns;
mod why;

pub use app::{App, Limits};
pub use http_service::{operations_router, router};
pub use metrics::Counters;
pub use serve::serve;
