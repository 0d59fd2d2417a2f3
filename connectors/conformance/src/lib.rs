//! The suite that any connector must pass: it drives the C ABI as a host does, with ordinary and with hostile input, and
//! reports what breaks the contract (`notify_connector.h`).
//!
//! The plug-in is loaded into this process: run it only on code that you would run anyway. A plug-in that crashes takes
//! the suite with it, which is a finding too.

mod codec;
mod common;
mod sinks;
mod transport;

use notify_connector_abi as abi;
use std::path::Path;

/// What the suite feeds to the plug-in besides its own hostile inputs.
#[derive(Debug, Clone)]
pub struct Options {
    /// A valid channel configuration. For a transport it must point to something that can be sent to.
    pub config_json: Vec<u8>,
    /// Names of secrets that the channel has.
    pub secret_names: Vec<String>,
    /// Transports: object of name to values.
    pub secrets_json: Vec<u8>,
}

impl Default for Options {
    fn default() -> Self {
        Self { config_json: b"{}".to_vec(), secret_names: Vec::new(), secrets_json: Vec::new() }
    }
}

/// One rule of the contract and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    pub name: &'static str,
    /// Empty when it holds.
    pub faults: Vec<String>,
}

/// All rules that were checked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    pub checks: Vec<Check>,
}

impl Report {
    #[must_use]
    pub fn passed(&self) -> bool {
        !self.checks.is_empty() && self.checks.iter().all(|check| check.faults.is_empty())
    }

    /// Names of the rules that do not hold.
    #[must_use]
    pub fn failed(&self) -> Vec<&'static str> {
        self.checks.iter().filter(|check| !check.faults.is_empty()).map(|check| check.name).collect()
    }

    pub(crate) fn check(&mut self, name: &'static str, faults: Vec<String>) {
        self.checks.push(Check { name, faults });
    }
}

/// Loads a library and runs the suite on it. The library stays loaded.
///
/// # Errors
/// Text when it cannot be loaded or does not export the entry function.
pub fn run_library(path: &Path, options: &Options) -> Result<Report, String> {
    // SAFETY: constructors of the library run here; the caller chose to run it.
    let library = unsafe { libloading::Library::new(path) }.map_err(|error| error.to_string())?;
    // SAFETY: the symbol's type is fixed by its versioned name in the contract.
    let entry = unsafe { library.get::<abi::Entry>(abi::ENTRY_SYMBOL) }.map(|symbol| *symbol);
    let entry = entry.map_err(|_| format!("it does not export {}", abi::ENTRY_SYMBOL))?;
    std::mem::forget(library);
    // SAFETY: the entry function takes nothing, and its table is what the contract says.
    Ok(unsafe { run_table(entry(), options) })
}

/// Runs the suite on a table.
///
/// # Safety
/// `table` is what an entry function returned: NULL, or a table that lives for ever and is as long as its size says.
#[must_use]
pub unsafe fn run_table(table: *const abi::Connector, options: &Options) -> Report {
    let mut report = Report::default();
    // SAFETY: the caller's promise.
    let table = match unsafe { abi::read_one(table) } {
        Ok(table) => table,
        Err(fault) => {
            report.check("table", vec![fault.to_string()]);
            return report;
        }
    };
    report.check("table", common::table_faults(&table));
    if report.passed() {
        common::run(&table, options, &mut report);
    }
    report
}
