//! `notify rule|channel|template|bundle|event-type|…`: versioned documents.

use super::enabling;
use crate::args::{ChannelCommand, DocumentCommand, Format, Global};
use crate::client::{Client, segment};
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Column};
use crate::style;
use notify_client::Documents;
use notify_core::document::Kind;
use notify_webservice::documents::check::{self, Parsed};
use reqwest::{Method, header};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// What differs between the kinds.
#[derive(Clone, Copy)]
pub struct Noun {
    pub kind: Kind,
    pub plural: &'static str,
    pub columns: &'static [Column],
}

pub const RULE: Noun = Noun {
    kind: Kind::Rule,
    plural: "rules",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/document/name"),
        ("ENABLED", "/document/enabled"),
        ("PRIORITY", "/document/priority"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};
pub const CHANNEL: Noun = Noun {
    kind: Kind::Channel,
    plural: "channels",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/document/name"),
        ("TYPE", "/document/type"),
        ("ENABLED", "/document/enabled"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};
pub const TEMPLATE: Noun = Noun {
    kind: Kind::Template,
    plural: "templates",
    columns: &[("ID", "/id"), ("NAME", "/document/name"), ("VERSION", "/version"), ("CHANGED", "/createdAt")],
};
pub const BUNDLE: Noun = Noun {
    kind: Kind::Bundle,
    plural: "bundles",
    columns: &[
        ("ID", "/id"),
        ("LOCALE", "/document/locale"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};

pub async fn channels(global: &Global, command: ChannelCommand) -> Result<(), Failure> {
    match command {
        ChannelCommand::Document(command) => run(global, CHANNEL, command).await,
        ChannelCommand::OptOuts { command } => super::opt_outs::run(global, command).await,
        ChannelCommand::Enable { id } => {
            enabling::run(global, CHANNEL, Documents::Channels, &id, true, false).await
        }
        ChannelCommand::Disable { id } => {
            enabling::run(global, CHANNEL, Documents::Channels, &id, false, false).await
        }
        ChannelCommand::Test { id, wait } => super::channels::test(global, &id, wait).await,
        ChannelCommand::Check { id } => super::channels::check(global, &id).await,
        ChannelCommand::RefreshSecret { id } => super::channels::refresh_secret(global, &id).await,
        ChannelCommand::Status { id } => super::channels::status(global, id.as_deref()).await,
    }
}
pub const EVENT_TYPE: Noun = Noun {
    kind: Kind::EventType,
    plural: "event-types",
    columns: &[
        ("ID", "/id"),
        ("TYPE", "/document/type"),
        ("NAME", "/document/name"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};

pub const CALENDAR: Noun = Noun {
    kind: Kind::Calendar,
    plural: "calendars",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/document/name"),
        ("TIME ZONE", "/document/timeZone"),
        ("DST", "/document/dst"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};
pub const CONTACT: Noun = Noun {
    kind: Kind::Contact,
    plural: "contacts",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/document/name"),
        ("TYPE", "/document/type"),
        ("TIME ZONE", "/document/timeZone"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};
/// Of what is in force for a while.
const WITH_STATE: &[Column] = &[
    ("ID", "/id"),
    ("STATE", "/state"),
    ("FROM", "/document/from"),
    ("UNTIL", "/document/until"),
    ("CALENDAR", "/document/calendar"),
    ("COVERS", "/covers"),
    ("REASON", "/document/reason"),
];
pub const SILENCE: Noun = Noun { kind: Kind::Silence, plural: "silences", columns: WITH_STATE };
pub const OVERRIDE: Noun = Noun {
    kind: Kind::Override,
    plural: "overrides",
    columns: &[
        ("ID", "/id"),
        ("STATE", "/state"),
        ("UNTIL", "/document/until"),
        ("CONTROLS", "/document/controls"),
        ("COVERS", "/covers"),
        ("REASON", "/document/reason"),
    ],
};
pub const POLICY: Noun = Noun {
    kind: Kind::Policy,
    plural: "policies",
    columns: &[("ID", "/id"), ("NAME", "/document/name"), ("VERSION", "/version"), ("CHANGED", "/createdAt")],
};
pub const INHIBITION: Noun = Noun {
    kind: Kind::Inhibition,
    plural: "inhibitions",
    columns: &[
        ("ID", "/id"),
        ("NAME", "/document/name"),
        ("ENABLED", "/document/enabled"),
        ("VERSION", "/version"),
        ("CHANGED", "/createdAt"),
    ],
};

pub async fn run(global: &Global, noun: Noun, command: DocumentCommand) -> Result<(), Failure> {
    let path = format!("/api/v1/notify/{}", noun.plural);
    if let DocumentCommand::Validate { file } = &command {
        return validate(global.output, noun, file);
    }
    let client = Client::new(global)?;
    match command {
        DocumentCommand::List(paging) => {
            let items = client.all(&path, &[], paging.limit).await?;
            let rows: Vec<Value> = items.iter().map(row).collect();
            output::list(global.output, &json!(items), &rows, noun.columns, &format!("No {}.", noun.plural));
        }
        DocumentCommand::Versions { id, paging } => {
            let items = client.all(&format!("{path}/{}/versions", segment(&id)), &[], paging.limit).await?;
            output::list(global.output, &json!(items), &items, noun.columns, "No versions.");
        }
        DocumentCommand::Get { id, version } => {
            let query = version.map(|version| format!("?version={version}")).unwrap_or_default();
            let found = client.get(&format!("{path}/{}{query}", segment(&id))).await?;
            print(global.output, &found);
        }
        DocumentCommand::Create { file, force } => {
            let path = format!("{path}{}", forced(noun, force)?);
            for file in &file {
                let request = client.request(Method::POST, &path);
                let made = write(&client, request, file).await?;
                done(global.output, noun, "created", &made);
            }
        }
        DocumentCommand::Replace { file, version, force } => {
            let document = files::document(&file)?;
            let id = document.get("id").and_then(Value::as_str).unwrap_or_default();
            let path = format!("{path}/{}", segment(id));
            let current = current(&client, &path, version).await?;
            let before = format!("{path}?version={current}");
            let path = format!("{path}{}", forced(noun, force)?);
            let request =
                client.request(Method::PUT, &path).header(header::IF_MATCH, format!("\"{current}\""));
            let made = write(&client, request, &file).await?;
            done(global.output, noun, "replaced", &made);
            if noun.kind == Kind::Rule && global.output == Format::Table {
                // Only said besides: that it was replaced stands.
                let before = client.get(&before).await.unwrap_or_default();
                gained(&before, &made).iter().for_each(|said| {
                    output::say(&style::out(&crate::failure::printable(said), style::Tone::Caution));
                });
            }
        }
        DocumentCommand::Delete { id, version } => {
            let path = format!("{path}/{}", segment(&id));
            let current = current(&client, &path, version).await?;
            let request =
                client.request(Method::DELETE, &path).header(header::IF_MATCH, format!("\"{current}\""));
            client.send(request).await?;
            let gone = json!({ "kind": noun.kind.as_str(), "id": id, "version": current, "deleted": true });
            done(global.output, noun, "deleted", &gone);
        }
        DocumentCommand::Validate { .. } => {}
    }
    Ok(())
}

/// What nobody has written was changed at no time.
fn row(item: &Value) -> Value {
    let mut row = item.clone();
    if let (Some(Value::Bool(true)), Some(changed)) = (item.get("builtIn"), row.get_mut("createdAt")) {
        *changed = "built in".into();
    }
    row
}

/// Controls that were written into a rule of a version without noise control when it was replaced, by action.
fn gained(before: &Value, after: &Value) -> Vec<String> {
    let actions = |rule: &Value| {
        let actions = rule.pointer("/document/actions").and_then(Value::as_array);
        actions.cloned().unwrap_or_default()
    };
    let old = actions(before);
    let mut said = Vec::new();
    for action in actions(after) {
        let id = action.get("id").and_then(Value::as_str).unwrap_or_default();
        let Some(old) = old.iter().find(|old| old.get("id") == action.get("id")) else { continue };
        let new = |name: &&str| old.get(name).is_none() && action.get(name).is_some_and(Value::is_object);
        let new: Vec<_> = ["dedupe", "throttle"].into_iter().filter(new).collect();
        if !new.is_empty() {
            let off: Vec<_> = new.iter().map(|name| format!("`{name}: off`")).collect();
            let (new, off) = (new.join(" and "), off.join(" and "));
            said.push(format!(
                "action `{id}` has {new} now, which it had not before; {off} in the file would leave it as it was"
            ));
        }
    }
    said
}

/// The query of a write whose checks may fail.
fn forced(noun: Noun, force: bool) -> Result<&'static str, Failure> {
    match (force, noun.kind) {
        (false, _) => Ok(""),
        (true, Kind::Rule) => Ok("?force=true"),
        (true, Kind::Silence) => Ok("?confirm=true"),
        (true, kind) => Err(Failure::usage(
            format!("a {} has no tests that could be overridden", kind.as_str()),
            "leave `--force` out",
        )),
    }
}

async fn current(client: &Client, path: &str, asked: Option<u64>) -> Result<u64, Failure> {
    if let Some(version) = asked {
        return Ok(version);
    }
    let found = client.get(path).await?;
    let version = found.get("version").and_then(Value::as_u64);
    version
        .ok_or_else(|| Failure::other("the answer of the service names no version", "is it Notify Studio?"))
}

/// Sends the file as it is: problems then name places in it.
async fn write(client: &Client, request: reqwest::RequestBuilder, file: &Path) -> Result<Value, Failure> {
    let document = files::read(file)?;
    let request = request.header(header::CONTENT_TYPE, notify_client::media_type(&document)).body(document);
    match client.send(request).await {
        Ok(answered) => Ok(answered.body),
        Err(Failure::Problems(problems)) => Err(Failure::Problems(
            problems.into_iter().map(|(_, problem)| (Some(files::name(file)), problem)).collect(),
        )),
        Err(other) => Err(other),
    }
}

/// A table reader wants to see the document, and so does who pipes it into `replace -f`.
fn print(format: Format, found: &Value) {
    match format {
        Format::Json => output::structured(format, found),
        Format::Table => {
            let get = |pointer: &str| match found.pointer(pointer) {
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
                None => String::new(),
            };
            output::say(&format!(
                "# version {} of {}, {}",
                get("/version"),
                get("/createdAt"),
                get("/digest")
            ));
            output::structured(Format::Yaml, found.get("document").unwrap_or(&Value::Null));
        }
        Format::Yaml => output::structured(format, found.get("document").unwrap_or(&Value::Null)),
    }
}

pub(super) fn done(format: Format, noun: Noun, what: &str, document: &Value) {
    match format {
        Format::Table => {
            let id = document.get("id").and_then(Value::as_str).unwrap_or_default();
            let version = document.get("version").and_then(Value::as_u64).unwrap_or_default();
            output::say(&format!("{} {id} {what}, version {version}", noun.kind.as_str()));
            for overridden in document.get("forced").and_then(Value::as_array).into_iter().flatten() {
                let reason = overridden.get("reason").and_then(Value::as_str).unwrap_or_default();
                let said = format!("forced, and the ledger says so: {}", crate::failure::printable(reason));
                output::say(&style::out(&said, style::Tone::Caution));
            }
        }
        format => output::structured(format, document),
    }
}

/// The service's own parser and checks, as far as they need nothing but the document.
fn validate(format: Format, noun: Noun, files: &[PathBuf]) -> Result<(), Failure> {
    let mut rows = Vec::new();
    let mut problems = Vec::new();
    for file in files {
        let checked = files::document(file).and_then(|document| {
            let checked =
                check::value(noun.kind, &document).map_err(|problem| files::about(file, problem))?;
            if let Parsed::Rule(rule) = &checked.parsed {
                let refusal = notify_core::rule_tests::run(rule).map(|report| report.refusal());
                if let Some(problem) = refusal.unwrap_or_else(Some) {
                    return Err(files::about(file, problem));
                }
            }
            Ok(checked)
        });
        match checked {
            Ok(checked) => rows.push(json!({
                "file": files::name(file), "valid": true, "id": checked.id, "digest": checked.digest,
            })),
            Err(Failure::Problems(found)) => {
                rows.push(json!({ "file": files::name(file), "valid": false }));
                problems.extend(found);
            }
            Err(other) => return Err(other),
        }
    }
    let columns: &[Column] = &[("FILE", "/file"), ("VALID", "/valid"), ("ID", "/id"), ("DIGEST", "/digest")];
    output::list(format, &json!(rows), &rows, columns, "");
    if problems.is_empty() { Ok(()) } else { Err(Failure::Problems(problems)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_rule_gained() {
        let check = |before: Value, after: Value, expected: &[&str]| {
            let rule = |actions: Value| json!({ "document": { "actions": actions } });
            let said = gained(&rule(before), &rule(after));
            assert_eq!(said.len(), expected.len(), "{said:?}");
            for (said, expected) in said.iter().zip(expected) {
                assert!(said.contains(expected), "{said}");
            }
        };
        let full = json!({ "id": "a", "dedupe": { "window": "10m" }, "throttle": { "limit": 30 } });
        let limited = json!({ "id": "a", "dedupe": "off", "throttle": { "limit": 30 } });
        let bare = json!({ "id": "a" });
        check(json!([bare]), json!([full]), &["action `a` has dedupe and throttle now"]);
        check(json!([bare]), json!([limited]), &["action `a` has throttle now"]);
        check(json!([full]), json!([full]), &[]);
        check(json!([limited]), json!([full]), &[]);
        check(json!([{ "id": "b" }]), json!([full]), &[]);
        assert_eq!(gained(&Value::Null, &json!({ "document": { "actions": [full] } })), Vec::<String>::new());
    }
}
