//! What the rendering tests share: the shipped documents and the sample events.
#![allow(dead_code, reason = "each test binary uses a part")]

use notify_core::document::parse::Parsed;
use notify_core::document::{Bundle, Template, Version, parse_bundle, parse_template};
use notify_core::event::{EventLimits, alertmanager::to_events};
use notify_core::json::Limits;
use notify_core::problem::Problem;
use notify_core::render::{Library, RenderContext};
use notify_core::yaml;
use serde_json::Value;
use std::path::{Path, PathBuf};

pub const CONTEXT: RenderContext<'static> = RenderContext {
    tenant: "acme",
    rule_id: "critical-findings",
    rule_name: "Critical findings to security",
    channel_id: "sec-chat",
};

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub fn read_json(path: impl AsRef<Path>) -> Value {
    let path = path.as_ref();
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_slice(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

pub fn sample(name: &str) -> Value {
    read_json(root().join("resources/samples/events").join(format!("{name}.json")))
}

pub fn fixture(name: &str) -> Value {
    read_json(root().join("notify-core/tests/render").join(format!("{name}.json")))
}

fn documents<T>(folder: &str, parse: fn(&Value) -> Result<Parsed<T>, Problem>) -> Vec<Version<T>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    paths.sort();
    let read = |path: &PathBuf| {
        let limits = Limits { max_bytes: 256 * 1024, max_depth: 64 };
        let parsed = yaml::parse(&std::fs::read(path).unwrap(), limits).and_then(|value| parse(&value));
        let parsed = parsed.unwrap_or_else(|problem| panic!("{}: {problem}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy();
        Version { version: 1, digest: format!("sha256:{name}"), document: parsed.0 }
    };
    paths.iter().map(read).collect()
}

pub fn templates() -> Vec<Version<Template>> {
    documents("templates", parse_template)
}

pub fn bundles() -> Vec<Version<Bundle>> {
    documents("templates/bundles", parse_bundle)
}

pub fn library() -> Library {
    let (library, problems) = Library::compile(&templates(), &bundles(), "en");
    assert!(problems.is_empty(), "{problems:?}");
    library
}

/// A template with one message, and nothing else of interest.
pub fn template(message: Value) -> Version<Template> {
    let document =
        serde_json::json!({"schema": "notify-template@1", "id": "t", "name": "T", "message": message});
    Version { version: 1, digest: "sha256:t".into(), document: serde_json::from_value(document).unwrap() }
}

pub fn bundle(locale: &str, messages: &str) -> Version<Bundle> {
    let document = serde_json::json!({
        "schema": "notify-bundle@1", "id": format!("b-{}", locale.to_lowercase()), "locale": locale, "messages": messages
    });
    Version {
        version: 1,
        digest: format!("sha256:b-{locale}"),
        document: serde_json::from_value(document).unwrap(),
    }
}

/// The events that intake makes of a shipped Alertmanager payload, one per alert.
pub fn alerts(name: &str) -> Vec<Value> {
    let path = root().join("resources/samples/alertmanager").join(format!("{name}.json"));
    let limits = EventLimits::default();
    let tenant = "acme".parse().unwrap();
    let events =
        to_events(&tenant, &std::fs::read(path).unwrap(), &limits, jiff::Timestamp::UNIX_EPOCH).unwrap();
    events.into_iter().map(|event| event.unwrap().value).collect()
}
