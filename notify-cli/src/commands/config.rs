//! `notify config`

use crate::args::{ConfigCommand, Format, Global};
use crate::failure::Failure;
use crate::home::Home;
use crate::output;
use serde_json::json;

pub fn run(global: &Global, command: &ConfigCommand) -> Result<(), Failure> {
    match command {
        ConfigCommand::Defaults => {
            output::say(crate::config::DEFAULTS.trim_end());
            Ok(())
        }
        ConfigCommand::Explain { home } => {
            let loaded = Home::config_of(home, vec![])?;
            let rows: Vec<_> = loaded
                .explained
                .iter()
                .map(
                    |each| json!({ "key": each.key, "value": each.value, "origin": each.origin.to_string() }),
                )
                .collect();
            let columns = [("KEY", "/key"), ("VALUE", "/value"), ("FROM", "/origin")];
            match global.output {
                Format::Table => output::say(&output::table(&rows, &columns)),
                _ => output::structured(global.output, &json!(rows)),
            }
            Ok(())
        }
    }
}
