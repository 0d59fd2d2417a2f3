//! The host side of connectors: verified loading, isolation in child processes, outbound HTTP and signing.

pub mod child;
mod connection;
pub mod frame;
pub mod load;
pub mod manifest;
mod pending;
mod registry;
pub mod request;
pub mod stage;
mod supervisor;
pub mod trust;

pub use registry::{ConnectorHost, HostConfig, InterpretInput, OpenFault, Phase, PluginStatus, PrepareInput};
pub use supervisor::{HostFault, RestartPolicy, State};
