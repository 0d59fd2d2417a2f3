//! The worker with the real webhook plug-in, and faults on every line: to receivers, and to PostgreSQL.

#[path = "../it/account.rs"]
mod account;
mod database;
mod noise;
mod receiver;
mod sending;
mod site;
#[path = "../it/studio.rs"]
mod studio;
#[path = "../it/told.rs"]
mod told;
