//! What the rendering tests share: the shipped documents and the sample events.
#![allow(dead_code, reason = "each test binary uses a part")]

use notify_core::document::{Bundle, Template, Version};
use notify_core::render::{Library, RenderContext};
use saphyr_parser::{Event, Parser, ScalarStyle};
use serde_json::{Map, Value};
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

fn documents<T: serde::de::DeserializeOwned>(folder: &str) -> Vec<Version<T>> {
    let mut paths: Vec<_> =
        std::fs::read_dir(root().join(folder)).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|ext| ext == "yaml"));
    paths.sort();
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let document = serde_json::from_value(yaml(&text));
        let document = document.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let name = path.file_stem().unwrap().to_string_lossy();
        Version { version: 1, digest: format!("sha256:{name}"), document }
    };
    paths.iter().map(read).collect()
}

pub fn templates() -> Vec<Version<Template>> {
    documents("templates")
}

pub fn bundles() -> Vec<Version<Bundle>> {
    documents("templates/bundles")
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

/// The part of YAML that the shipped documents use: mappings, sequences, texts, `true` and `false`.
pub fn yaml(text: &str) -> Value {
    enum Open {
        List(Vec<Value>),
        Map(Map<String, Value>, Option<String>),
    }
    let mut open: Vec<Open> = Vec::new();
    let mut done = None;
    for event in Parser::new_from_str(text) {
        let value = match event.unwrap().0 {
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "true" => Value::Bool(true),
            Event::Scalar(text, ScalarStyle::Plain, ..) if text == "false" => Value::Bool(false),
            Event::Scalar(text, ..) => Value::String(text.into_owned()),
            Event::SequenceStart(..) => {
                open.push(Open::List(Vec::new()));
                continue;
            }
            Event::MappingStart(..) => {
                open.push(Open::Map(Map::new(), None));
                continue;
            }
            Event::SequenceEnd | Event::MappingEnd => match open.pop().unwrap() {
                Open::List(items) => Value::Array(items),
                Open::Map(members, _) => Value::Object(members),
            },
            _ => continue,
        };
        match open.last_mut() {
            None => done = Some(value),
            Some(Open::List(items)) => items.push(value),
            Some(Open::Map(members, key)) => match key.take() {
                None => *key = Some(value.as_str().unwrap().to_owned()),
                Some(key) => assert!(members.insert(key, value).is_none(), "duplicate key"),
            },
        }
    }
    done.unwrap()
}
