//! The program in which the tests of this crate run a real plug-in: cargo builds it with them, and another crate's
//! binary it would not. The same code as `notify-connector-host`.

fn main() -> std::process::ExitCode {
    notify_connector_host::child::run()
}
