//! The host side of connectors: verified loading, isolation in child processes, outbound HTTP and signing.

pub mod request;
