//! The host side of connectors: verified loading, isolation in child processes, outbound HTTP and signing.

pub mod child;
mod config_schema;
mod connection;
mod deliver;
pub mod frame;
pub mod load;
pub mod manifest;
pub mod outbound;
mod pending;
mod process;
mod refused_secrets;
mod registry;
pub mod request;
pub mod secrets;
pub mod signing;
pub mod stage;
mod status;
mod supervisor;
pub mod trust;

pub use child::sandbox::Sandbox;
pub use deliver::{AttemptInput, AttemptResult, secret_names};
pub use registry::{ConnectorHost, HostConfig, InterpretInput, OpenFault, Phase, PrepareInput};
pub use status::PluginStatus;
pub use supervisor::{HostFault, RestartPolicy, State};
