//! The API in one process: the real router on a real SQLite store. Only the engine is the tests' own: it accepts
//! events into the store as a worker does, and sends nothing.

mod access;
mod apply;
mod calendars;
mod channels;
mod cloudevents_sdk;
mod connections;
mod deliveries;
mod documents;
mod event_types;
mod events;
mod harness;
mod isolation;
mod ledger;
mod limits;
mod prometheus;
mod quarantine;
mod requests;
mod rules;
mod signed;
mod silences;
mod turns;
mod verifiable;
mod why;
