//! `notify channel opt-outs`

use crate::args::{Format, Global, Paging};
use crate::client::Client;
use crate::failure::Failure;
use crate::output::{self, Column};
use clap::Subcommand;
use serde_json::json;

#[derive(Debug, Subcommand)]
pub enum OptOutCommand {
    /// Who has opted out, by address.
    List {
        channel: String,
        #[command(flatten)]
        paging: Paging,
    },
    /// Let a recipient get messages again; only when they ask for it.
    Remove { channel: String, address: String },
}

const COLUMNS: &[Column] = &[("ADDRESS", "/address"), ("SINCE", "/since")];

pub async fn run(global: &Global, command: OptOutCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    match command {
        OptOutCommand::List { channel, paging } => {
            let items = client.opt_outs(&channel, paging.limit).await?;
            output::list(global.output, &json!(items), &items, COLUMNS, "Nobody has opted out.");
        }
        OptOutCommand::Remove { channel, address } => {
            client.remove_opt_out(&channel, &address).await?;
            match global.output {
                Format::Table => output::say(&format!("{address} gets messages of {channel} again")),
                format => output::structured(format, &json!({ "channel": channel, "address": address })),
            }
        }
    }
    Ok(())
}
