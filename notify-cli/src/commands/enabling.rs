//! `notify channel|rule enable|disable`: one field of a document, without an editor.

use super::documents::{self, Noun};
use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use notify_client::Documents;
use serde_json::{Value, json};

/// `force`: a rule whose own tests fail, too.
///
/// # Errors
/// The service's own; also when somebody changed the document meanwhile.
pub async fn run(
    global: &Global,
    noun: Noun,
    kind_of: Documents,
    id: &str,
    enabled: bool,
    force: bool,
) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let found = client.document(kind_of, id, None).await?;
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
    let document = document.to_string().into_bytes();
    // Only rules have tests that could stand against it.
    let made = if force && kind_of == Documents::Rules {
        client.replace_rule_forced(id, found.version, document).await?
    } else {
        client.replace(kind_of, id, found.version, document).await?
    };
    documents::done(global.output, noun, word, &json!(made));
    Ok(())
}
