//! An outsider reads what we write: the parser of Microsoft's own npm package `adaptivecards`.

use super::{MESSAGE, card};
use notify_connector_testing::{default_messages, hostile_message, hostile_strings, json_body, root};
use std::io::Write as _;
use std::process::{Command, Stdio};

#[test]
fn the_adaptivecards_parser_takes_them() {
    let tools = std::env::var_os("NOTIFY_TOOLS_NODE")
        .map_or_else(|| root().join("target/tools/node"), std::path::PathBuf::from);
    let package = tools.join("node_modules/adaptivecards");
    assert!(
        package.exists(),
        "{} is missing: run `cargo xtask test`, or `npm install adaptivecards`",
        package.display()
    );
    let mut messages: Vec<String> = default_messages().into_iter().map(|(_, message)| message).collect();
    messages.push(MESSAGE.to_owned());
    messages.push(serde_json::json!({ "title": "t", "body": "word ".repeat(20_000) }).to_string());
    for one in hostile_strings() {
        messages.extend(
            ["title", "body", "field-value"].map(|place| hostile_message(place, &one.text).to_string()),
        );
    }
    let mut bodies: Vec<_> = messages.iter().map(|message| json_body(&card(message))).collect();
    // It can refuse: an element that no version has, and one of a later version.
    for odd in [serde_json::json!({ "type": "Teapot" }), serde_json::json!({ "type": "Table", "rows": [] })] {
        let mut broken = bodies[0].clone();
        broken["attachments"][0]["content"]["body"][0] = odd;
        bodies.push(broken);
    }
    let mut child = Command::new("node")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/src/tests/adaptive.js"))
        .arg(&tools)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Node.js starts");
    let mut input = child.stdin.take().expect("a pipe");
    let lines: String = bodies.iter().map(|body| format!("{body}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("all was read");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdicts: Vec<&str> = said.lines().collect();
    assert_eq!(verdicts.len(), bodies.len(), "{said}");
    for (at, (verdict, body)) in verdicts.iter().zip(&bodies).enumerate() {
        if at < bodies.len() - 2 {
            assert_eq!(*verdict, "fine", "{body}");
        } else {
            assert!(verdict.starts_with("refused"), "{verdict}: {body}");
        }
    }
}
