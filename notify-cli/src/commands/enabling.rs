//! `notify channel|rule enable|disable`: one field of a document, without an editor.

use super::documents::Noun;
use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use notify_client::Documents;
use serde_json::{Value, json};

/// # Errors
/// The service's own; also when somebody changed the document meanwhile.
pub async fn run(
    global: &Global,
    noun: Noun,
    documents: Documents,
    id: &str,
    enabled: bool,
) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let found = client.document(documents, id, None).await?;
    let word = if enabled { "enabled" } else { "disabled" };
    let kind = noun.kind.as_str();
    if found.document.get("enabled").and_then(Value::as_bool).unwrap_or(true) == enabled {
        match global.output {
            Format::Table => {
                output::say(&format!("{kind} {id} is {word} already, version {}", found.version))
            }
            format => output::structured(format, &json!(found)),
        }
        return Ok(());
    }
    let mut document = found.document;
    if let Value::Object(members) = &mut document {
        members.insert("enabled".to_owned(), enabled.into());
    }
    let made = client.replace(documents, id, found.version, document.to_string().into_bytes()).await?;
    match global.output {
        Format::Table => output::say(&format!("{kind} {id} {word}, version {}", made.version)),
        format => output::structured(format, &json!(made)),
    }
    Ok(())
}
