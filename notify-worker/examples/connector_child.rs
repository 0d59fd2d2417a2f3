//! The connector process for this crate's tests: the same as the program `notify-connector-host`, which cargo builds for
//! its own crate's tests only.

fn main() -> std::process::ExitCode {
    notify_connector_host::child::run()
}
