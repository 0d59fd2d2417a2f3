//! Requests for the messages that the default templates make of the sample events.

use crate::root;
use notify_connector_sdk::{Auth, Part, PreparedRequest};
use serde_json::{Value, json};

/// `template.event.locale` and the message: the golden files of `notify-core`, whose own tests hold them equal to what
/// the default templates render.
///
/// # Panics
/// When they cannot be read.
#[must_use]
pub fn messages() -> Vec<(String, String)> {
    let folder = root().join("notify-core/tests/golden");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("the golden messages") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".snap") else { continue };
        let text = std::fs::read_to_string(&path).expect("a golden message");
        let json = text.splitn(3, "---\n").nth(2).expect("a header and a message");
        let Ok(value) = serde_json::from_str::<Value>(json) else { continue };
        if value["title"].is_string() {
            found.push((name.to_owned(), json.to_owned()));
        }
    }
    found.sort();
    assert!(found.len() >= 30, "{}", found.len());
    found
}

/// Compares a request with `docs/channels/golden/<connector>/<name>.json`; `UPDATE_DOCS=1` writes it.
///
/// # Panics
/// When it differs.
pub fn check(connector: &str, name: &str, request: &PreparedRequest) {
    let show = |parts: &[Part]| -> String {
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Secret(name) => format!("‹secret:{name}›"),
            })
            .collect()
    };
    let headers: serde_json::Map<String, Value> =
        request.headers.iter().map(|(name, parts)| (name.clone(), show(parts).into())).collect();
    let body: Value = serde_json::from_str(&show(&request.body)).expect("the body is JSON");
    let auth = match &request.auth {
        Auth::Bearer { secret } => format!("Bearer ‹secret:{secret}›"),
        Auth::None => "none".to_owned(),
        other => panic!("{other:?}"),
    };
    let shown = json!({ "method": request.method, "url": show(&request.url), "headers": headers, "auth": auth, "body": body });
    let text = format!("{}\n", serde_json::to_string_pretty(&shown).expect("JSON"));
    let folder = root().join("docs/channels/golden").join(connector);
    let path = folder.join(format!("{name}.json"));
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(&path, &text).expect("the golden file is written");
    }
    let known = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(known, text, "{}: run with UPDATE_DOCS=1 when this is meant", path.display());
}
