use super::to_yaml;
use serde_json::{Value, json};

/// What we print, our own strict parser must read back as the same value.
fn check(value: &Value) {
    let text = to_yaml(value);
    let back = notify_core::yaml::parse_document(text.as_bytes());
    assert_eq!(back.ok().as_ref(), Some(value), "{text}");
}

#[test]
fn round_trips() {
    check(&json!({
        "schema": "notify-rule@1", "id": "x", "enabled": true, "priority": -5, "share": 0.5,
        "empty": {}, "none": [], "null": null,
        "match": { "type": [{ "prefix": "a.b" }], "$or": [{ "x": [1] }, { "y": [[2, 3], []] }] },
        "list": [{ "a": 1, "b": { "c": [1, 2] } }, [], [["deep"]], "x", {}],
        "text": "a\nb\n", "text2": "a\n\nb", "text3": " lead\nx", "text4": "trail\n\n", "cr": "a\r\nb",
    }));
    for odd in ["", "yes", "No", "null", "~", "1", "1e3", "0x1f", ".5", "- a", "a: b", "a #b", "#", "{", "&a", "*a", "!x",
        "|", ">", "%", "@", "`", "'", "\"", "a\tb", "ü", "日本", "\u{7f}", "\u{85}", "\u{2028}x\ny", "\u{feff}", "---", "...", "a ", " a",
        "2026-11-22", "=", "<<", "on", "-", "?", "a:", "https://x.example/?a=b&c=d", "\u{1}\u{0}", "line\n  indented\nend",
        "#x\ny", "- x\ny", "a\n---\nb"]
    {
        check(&json!({ "key": odd, "list": [odd] }));
        check(&json!({ odd: "value", "nested": { odd: { odd: [odd] } } }));
    }
}
