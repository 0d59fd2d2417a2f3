//! The host side of connectors: verified loading, isolation in child processes, outbound HTTP and signing.

pub mod outbound;
pub mod request;
pub mod secrets;
pub mod signing;
