//! The worker with the real webhook plug-in, and faults on every line: to receivers, and to PostgreSQL.

mod database;
mod receiver;
mod sending;
mod site;
#[path = "../it/studio.rs"]
mod studio;
