//! `notify-connector-conformance PATH_TO_.so [--config JSON] [--secret NAME]… [--secrets JSON]`: exit code 0 when every
//! rule holds, 1 when one does not, 2 on wrong usage.

use notify_connector_conformance::{Options, run_library};
use std::process::ExitCode;

const USAGE: &str =
    "usage: notify-connector-conformance PATH_TO_.so [--config JSON] [--secret NAME]... [--secrets JSON]";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let (mut path, mut options) = (None, Options::default());
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next();
        let understood = match argument.as_str() {
            "--config" => value().map(|json| options.config_json = json.into_bytes()),
            "--secret" => value().map(|name| options.secret_names.push(name)),
            "--secrets" => value().map(|json| options.secrets_json = json.into_bytes()),
            flag if flag.starts_with("--") => None,
            file => path.replace(file.to_owned()).is_none().then_some(()),
        };
        if understood.is_none() {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    }
    let Some(path) = path else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let report = match run_library(path.as_ref(), &options) {
        Ok(report) => report,
        Err(reason) => {
            println!("FAIL load: {reason}");
            return ExitCode::FAILURE;
        }
    };
    for check in &report.checks {
        println!("{} {}", if check.faults.is_empty() { "ok  " } else { "FAIL" }, check.name);
        for fault in &check.faults {
            println!("       {fault}");
        }
    }
    if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
