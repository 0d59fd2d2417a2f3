use super::*;
use crate::jcs::tests::any_json;
use proptest::prelude::*;
use serde_json::json;

fn good(text: &str, expected: Value) {
    assert_eq!(parse(text.as_bytes(), DOCUMENT_LIMITS), Ok(expected), "{text}");
}

/// `expected`: code, path, line:column.
fn bad(text: &str, expected: &str) {
    let limits = Limits { max_bytes: 100, max_depth: 3 };
    let problem = parse(text.as_bytes(), limits).expect_err(text);
    let place = problem
        .reason
        .rsplit_once("(line ")
        .map_or("-".to_owned(), |(_, place)| place.trim_end_matches(')').replace(", column ", ":"));
    assert_eq!(format!("{} {} {place}", problem.code, problem.path), expected, "{text}: {problem}");
    assert!(!problem.fix.is_empty());
}

#[test]
fn the_core_schema_and_no_more() {
    good("[~, null, Null, NULL, ]", json!([null, null, null, null]));
    good("a:\nb: # nothing\n", json!({"a": null, "b": null}));
    good(
        "[true, True, FALSE, yes, no, on, off, y, tRUE]",
        json!([true, true, false, "yes", "no", "on", "off", "y", "tRUE"]),
    );
    good("[1, -1, +1, 007, 0o17, 0xfF, 0b1, 1_000]", json!([1, -1, 1, 7, 15, 255, "0b1", "1_000"]));
    good(
        "[1.5, -.5, 1., 1e3, 1E-2, .e1, 1e, ., 1.2.3]",
        json!([1.5, -0.5, 1.0, 1000.0, 0.01, ".e1", "1e", ".", "1.2.3"]),
    );
    good("[12:30, 2026-11-22, 'null', \"1\"]", json!(["12:30", "2026-11-22", "null", "1"]));
    good("[18446744073709551615, -9223372036854775808]", json!([u64::MAX, i64::MIN]));
    good("a: |\n  x\n   y\nb: >-\n  p\n  q\n", json!({"a": "x\n y\n", "b": "p q"}));
    good("\u{feff}%YAML 1.2\n---\n{a: [b, {c: d}]}\n...\n", json!({"a": ["b", {"c": "d"}]}));
    good("\"<<\": 1\n'1': 2\n", json!({"<<": 1, "1": 2}));
}

#[test]
fn refusals_name_the_place() {
    bad("a: 1\nb:\n  - x: 1\n    x: 2\n", "duplicate-key /b/0 4:5");
    bad("a: &x 1\n", "malformed-yaml /a 1:4");
    bad("a: *x\n", "malformed-yaml /a 1:4");
    bad("- 1\n- !!str 2\n", "malformed-yaml  2:3");
    bad("a: {<<: {b: 1}}\n", "malformed-yaml /a 1:5");
    bad("a: 1\n---\nb: 2\n", "malformed-yaml  2:1");
    bad("1: a\n", "malformed-yaml  1:1");
    bad("true: a\n", "malformed-yaml  1:1");
    bad("[a]: b\n", "malformed-yaml  1:1");
    bad("a: .inf\n", "malformed-yaml /a 1:4");
    bad("a: 99999999999999999999\n", "malformed-yaml /a 1:4");
    bad("a: 1e999\n", "malformed-yaml /a 1:4");
    bad("a: [[[1]]]\n", "too-deep /a/0 1:6");
    bad("", "malformed-yaml  -");
    bad("# only a comment\n", "malformed-yaml  -");
    bad(&"x".repeat(101), "too-large  -");
    let problem = parse(b"a: \xff", DOCUMENT_LIMITS).unwrap_err();
    assert_eq!(
        (problem.code, problem.reason.as_str()),
        (Code::MalformedYaml, "the text is not UTF-8 (byte 3)")
    );
}

#[test]
fn the_media_type_decides_and_else_the_text() {
    let read = |content_type: Option<&str>, text: &str| {
        parse_document(text.as_bytes(), content_type, DOCUMENT_LIMITS).map_err(|problem| problem.code)
    };
    assert_eq!(read(Some("application/yaml; charset=utf-8"), "a: 1"), Ok(json!({"a": 1})));
    assert_eq!(read(Some("application/json"), "a: 1"), Err(Code::MalformedJson));
    assert_eq!(read(Some("application/vnd.notify+json"), "{}"), Ok(json!({})));
    assert_eq!(read(Some("image/png"), "{}"), Err(Code::UnsupportedMediaType));
    assert_eq!(read(None, " {\"a\": 1}"), Ok(json!({"a": 1})));
    assert_eq!(read(None, "{a: 1}"), Ok(json!({"a": 1})));
    assert_eq!(read(None, "{\"a\": 1, \"a\": 2}"), Err(Code::DuplicateKey));
    assert_eq!(read(None, "{\"a\" 1"), Err(Code::MalformedJson));
    assert_eq!(read(None, "a: 1"), Ok(json!({"a": 1})));
}

#[test]
fn hostile_texts_end_soon() {
    for unit in [
        "[", "{", "- ", "? ", "a: ", "{a: ", "[a, ", "&a ", "'", "\"", "|\n", "\t", "!a ", "%", "\n- x",
        "{a: 1},", "[]: ",
    ] {
        let text = unit.repeat(DOCUMENT_LIMITS.max_bytes / unit.len());
        let _ = parse(text.as_bytes(), DOCUMENT_LIMITS);
    }
}

#[test]
fn what_is_written_is_readable() {
    let value = json!({
        "id": "critical-findings", "enabled": true, "note": "yes", "port": "8080", "empty": {}, "none": [],
        "match": {"type": ["a.b"], "count": [{"numeric": [">", 0]}]},
        "text": "first\n  second\n\nlast\n", "short": "a\nb", "odd": " x ", "colon": "a: b", "list": [[1, 2], [{"a": 1, "b": 2}]],
    });
    let expected = "\
id: critical-findings
enabled: true
note: \"yes\"
port: \"8080\"
empty: {}
none: []
match:
  type:
    - a.b
  count:
    - numeric:
        - \">\"
        - 0
text: |
  first
    second

  last
short: |-
  a
  b
odd: \" x \"
colon: \"a: b\"
list:
  - - 1
    - 2
  - - a: 1
      b: 2
";
    assert_eq!(to_yaml(&value), expected);
    good(expected, value);
    let long = json!({"k".repeat(3000): {"a": 1}, format!("{}\n", "q".repeat(3000)): [1]});
    good(&to_yaml(&long), long);
}

proptest! {
    #[test]
    fn values_survive_the_way_to_yaml_and_back(value in any_json()) {
        let text = to_yaml(&value);
        let limits = Limits { max_bytes: 1 << 20, ..DOCUMENT_LIMITS };
        prop_assert_eq!(parse(text.as_bytes(), limits), Ok(value), "{}", text);
    }

    #[test]
    fn texts_of_many_lines_survive(text in "[a-c \n#:'\"|>\\-]{0,30}", key in "[a \n:#?\\-]{0,6}") {
        let value = json!({key: [text]});
        let yaml = to_yaml(&value);
        prop_assert_eq!(parse(yaml.as_bytes(), DOCUMENT_LIMITS), Ok(value), "{}", yaml);
    }

    #[test]
    fn arbitrary_texts_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[a-b0-9 \n\t:#?&*!|>'\"%@`{}\\[\\],<~.-]{0,60}") {
        let _ = parse(&bytes, DOCUMENT_LIMITS);
        let _ = parse(text.as_bytes(), DOCUMENT_LIMITS);
        let _ = parse_document(text.as_bytes(), None, DOCUMENT_LIMITS);
    }
}

#[test]
fn several_documents_of_one_text() {
    for (text, expected) in [
        ("a: 1\n---\nb: 2\n", Ok(vec![json!({"a": 1}), json!({"b": 2})])),
        ("---\na: 1\n...\n---\n---\nb: 2\n---\n", Ok(vec![json!({"a": 1}), json!({"b": 2})])),
        ("", Ok(vec![])),
        ("- 1\n- 2\n", Ok(vec![json!([1, 2])])),
        ("a: 1\n---\nb: [\n", Err(1)),
        ("a: 1\n---\nb: 1\nb: 2\n", Err(1)),
        ("a: &x 1\n---\nb: 1\n", Err(0)),
    ] {
        let found = parse_all(text.as_bytes(), 64).map_err(|(number, problem)| {
            assert!(problem.reason.contains("(line "), "{text}: {problem}");
            number
        });
        assert_eq!(found, expected, "{text}");
    }
    assert_eq!(parse_all(b"\xff", 64).unwrap_err().1.code, Code::MalformedYaml);
}
