//! `notify serve` on disks and databases that fail.

mod disk;
mod serve;
mod server;
