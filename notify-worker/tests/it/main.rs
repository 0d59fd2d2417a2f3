//! The worker on a real store. No connector is installed, so every attempt ends as the host's own "no plug-in" verdict:
//! what is tested here is acceptance, planning, retries and the record, not sending.

mod acceptance;
mod brokers;
mod configuration;
mod deliveries;
mod intake;
mod studio;
