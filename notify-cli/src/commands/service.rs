//! `notify service`: what the service says of itself.

use crate::args::{Format, Global, ServiceCommand};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use serde_json::{Value, json};

pub async fn run(global: &Global, command: &ServiceCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    match command {
        ServiceCommand::Health => output::structured(global.output, &client.health().await?),
        ServiceCommand::Ready => {
            let readiness = client.readiness().await?;
            let whole = json!(readiness);
            let rows = whole.get("checks").and_then(Value::as_array).cloned().unwrap_or_default();
            let columns = [("CHECK", "/name"), ("OK", "/ok"), ("DETAIL", "/detail")];
            output::list(global.output, &whole, &rows, &columns, "No checks.");
            if !readiness.ready {
                return Err(Failure::other("the service is not ready", "look at its log"));
            }
        }
        // A format of its own, whatever was asked for.
        ServiceCommand::Metrics => output::say(client.metrics().await?.trim_end()),
        ServiceCommand::Openapi => {
            let format = if global.output == Format::Yaml { Format::Yaml } else { Format::Json };
            output::structured(format, &client.openapi().await?);
        }
    }
    Ok(())
}
