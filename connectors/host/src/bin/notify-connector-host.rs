//! The child process in which one plug-in runs. Started by the studio only; see `notify_connector_host::child`.

fn main() -> std::process::ExitCode {
    notify_connector_host::child::run()
}
