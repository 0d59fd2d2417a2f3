//! Real servers for tests. No mocks: what is tested is what runs.
#![forbid(unsafe_code)]

pub mod disk;
pub mod mail;
pub mod postgres;
pub mod proxy;
