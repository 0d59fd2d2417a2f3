//! `notify plugin`

use crate::args::{Global, PluginCommand};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use serde_json::Value;

pub async fn run(global: &Global, command: &PluginCommand) -> Result<(), Failure> {
    let PluginCommand::List = command;
    let answer = Client::new(global)?.get("/api/v1/notify/plugins").await?;
    let rows = answer.get("items").and_then(Value::as_array).cloned().unwrap_or_default();
    let columns = [
        ("NAME", "/name"),
        ("VERSION", "/version"),
        ("KIND", "/kind"),
        ("CHANNELS", "/channelTypes"),
        ("KEY", "/keyId"),
        ("STATE", "/state"),
        ("RESTARTS", "/restarts"),
        ("IN FLIGHT", "/inFlight"),
        ("SANDBOX", "/sandbox"),
        ("DETAIL", "/detail"),
    ];
    output::list(global.output, &answer, &rows, &columns, "No plug-ins are installed.");
    Ok(())
}
