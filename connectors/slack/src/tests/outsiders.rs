//! An outsider reads what we write: the models of Slack's own Python library.

use super::{MESSAGE, by_webhook};
use notify_connector_testing::{default_messages, hostile_message, hostile_strings, json_body, root};
use std::io::Write as _;
use std::process::{Command, Stdio};

/// Reads messages as JSON lines, parses every block into the library's classes and validates it.
const SCRIPT: &str = r#"
import json, sys
from slack_sdk.models.blocks import Block
from slack_sdk.models.blocks import HeaderBlock, SectionBlock, ContextBlock, ActionsBlock, RichTextBlock
known = (HeaderBlock, SectionBlock, ContextBlock, ActionsBlock, RichTextBlock)
for line in sys.stdin:
    message = json.loads(line)
    lists = [message["blocks"]] + [one["blocks"] for one in message["attachments"]]
    try:
        for blocks in lists:
            parsed = Block.parse_all(blocks)
            assert len(parsed) == len(blocks), "a block was left out"
            for block, source in zip(parsed, blocks):
                assert isinstance(block, known), type(block)
                again = block.to_dict()
                assert again["type"] == source["type"], again
                if source["type"] == "actions":
                    assert len(again["elements"]) == len(source["elements"]), again
        print("fine")
    except Exception as error:
        print("refused " + repr(error))
"#;

#[test]
fn slack_sdk_takes_them() {
    let python = std::env::var_os("NOTIFY_TOOLS_PYTHON")
        .map_or_else(|| root().join("target/tools/bin/python"), std::path::PathBuf::from);
    assert!(
        python.exists(),
        "{} is missing: run `cargo xtask test`, or `pip install slack-sdk`",
        python.display()
    );
    let mut messages: Vec<String> = default_messages().into_iter().map(|(_, message)| message).collect();
    messages.push(MESSAGE.to_owned());
    for one in hostile_strings() {
        messages.extend(
            ["title", "body", "field-value"].map(|place| hostile_message(place, &one.text).to_string()),
        );
    }
    let mut bodies: Vec<_> = messages.iter().map(|message| json_body(&by_webhook(message))).collect();
    // It can refuse.
    let mut broken = bodies[0].clone();
    broken["blocks"][0]["text"]["text"] = "x".repeat(151).into();
    bodies.push(broken);
    let mut child = Command::new(python)
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("Python starts");
    let mut input = child.stdin.take().expect("a pipe");
    let lines: String = bodies.iter().map(|body| format!("{body}\n")).collect();
    let writer = std::thread::spawn(move || input.write_all(lines.as_bytes()));
    let output = child.wait_with_output().expect("it ends");
    writer.join().expect("no panic").expect("all was read");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let verdicts: Vec<&str> = said.lines().collect();
    assert_eq!(verdicts.len(), bodies.len(), "{said}");
    let (last, others) = verdicts.split_last().expect("some");
    assert!(last.starts_with("refused"), "{last}");
    for (verdict, body) in others.iter().zip(&bodies) {
        assert_eq!(*verdict, "fine", "{body}");
    }
}
