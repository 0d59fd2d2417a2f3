//! The scanner against the strict parser.

use super::support::{pattern, value};
use crate::json::{self, JsonFault, Limits};
use crate::pattern::{RuleSet, Scratch};
use proptest::prelude::*;

fn rules() -> RuleSet<usize> {
    let texts = [
        r#"{"a":[{"exists":true}]}"#,
        r#"{"a":["é😀\n"]}"#,
        r#"{"b":{"c":[{"numeric":[">",1]}]}}"#,
        r#"{"b":{"c":["x"],"d":[{"exists":false}]}}"#,
        r#"{"a":[null]}"#,
        r#"{"c":[{"numeric":["=",0]}]}"#,
    ];
    RuleSet::new(texts.iter().map(|text| pattern(text)).enumerate())
}

/// What the parser takes, the scanner takes with the same answer; what is no JSON, it refuses.
fn check(rules: &RuleSet<usize>, text: &str) {
    let mut keys = Vec::new();
    let scanned = rules.matching_text(&mut Scratch::default(), text, &mut keys);
    match json::parse(text.as_bytes(), Limits { max_bytes: 1 << 20, max_depth: 100 }) {
        Ok(event) => {
            scanned.unwrap_or_else(|e| panic!("{e}: {text}"));
            assert_eq!(keys, rules.matching(&event), "{text}");
        }
        Err(JsonFault::Syntax { reason, .. }) if !reason.contains("out of range") => {
            assert!(scanned.is_err(), "taken: {text} ({reason})");
        }
        Err(_) => {}
    }
}

#[test]
fn scanner_takes_and_refuses_what_the_parser_does() {
    let rules = rules();
    let whole = [
        "{}",
        "[]",
        "1",
        "null",
        "\"a\"",
        "",
        " ",
        "{",
        "}",
        "{]",
        "[}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "[1,]",
        "[,1]",
        "{\"a\":1}x",
        "{\"a\":1} ",
        "\u{feff}{}",
        "{'a':1}",
        "{a:1}",
        "{\"a\":1 \"b\":2}",
        "{\"a\" 1}",
        "[1 2]",
        "{\"b\":{\"c\":2,\"d\":[]}}",
        "{\"b\":[{\"c\":[1,2]},{\"c\":\"x\"}]}",
        "{\"b\":{\"c\":\"x\",\"d\":{}}}",
        "{\"z\":[[[{\"q\":[{}]}]]],\"a\":[[1]]}",
        "{\"z\":{\"y\":[1,{\"x\":[]}],\"w\":{}},\"a\":0}",
    ];
    whole.iter().for_each(|text| check(&rules, text));
    let values = [
        "tru",
        "true",
        "truE",
        "nul",
        "null",
        "-",
        "-0",
        "0",
        "00",
        "01",
        "1.",
        "1.5",
        ".5",
        "1e",
        "1e5",
        "1e+5",
        "1E-5",
        "1e5.0",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "123456789012345678",
        "1234567890123456789",
        "18446744073709551616",
        "1e308",
        "1e309",
        "-0.0",
        "\"\"",
        "\"\\\"",
        "\"\\u00e9\\ud83d\\ude00\\n\"",
        "\"\\ud83d\"",
        "\"\\ude00\"",
        "\"\\ud83dx\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\x\"",
        "\"\\/\\b\\f\\r\\t\\\\\"",
        "\"a\u{1}\"",
        "\"tab\t\"",
        "\"\u{7f}\"",
        "\"é😀\\n\"",
        "\"open",
        "\"seven77\"",
        "\"eight888\"",
        "\"nine99999\"",
        "\"1234567\\n\"",
        "\"12345678\\n\"",
        "[\"x\",]",
        "[]",
        "{}",
        "[[]]",
    ];
    for value in values {
        for around in [
            "{\"a\":@}",
            "{\"z\":@}",
            "{\"b\":{\"c\":@}}",
            "{\"z\":[@,{\"y\":@}],\"a\":1}",
            "{\"c\":[ @ ]}",
            "@",
        ] {
            check(&rules, &around.replace('@', value));
        }
    }
    for depth in [99, 101, 126, 127, 128, 300, 100_000] {
        check(&rules, &format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth)));
        check(&rules, &format!("{{\"z\":{}{}}}", "{\"a\":".repeat(depth), "}".repeat(depth)));
    }
}

/// A key written with escapes is the same key.
#[test]
fn keys_and_texts_are_read_unescaped() {
    let rules = rules();
    let mut keys = Vec::new();
    let text = r#"{"\u0061":"\u00e9\ud83d\ude00\n","\u0062":{"c":"\u0078"}}"#;
    rules.matching_text(&mut Scratch::default(), text, &mut keys).unwrap();
    assert_eq!(keys, [&0, &1, &3]);
    assert_eq!(keys, rules.matching(&value(text)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn scanner_agrees_on_damaged_texts(
        text in r#"(\{"(a|b|c|z)":|\[|\]|\}|,|:| |"(x|é|\\n|\\u0041|\\)*"|-?[0-9]{1,2}|[0-9.eE+-]{1,5}|true|null|"b":\{"c":|\{\}){0,14}"#,
        cut in 0_usize..8,
    ) {
        let rules = rules();
        check(&rules, &text);
        let whole = format!("{{\"z\":[{text}],\"a\":1}}");
        check(&rules, &whole);
        let end = whole.floor_char_boundary(whole.len().saturating_sub(cut));
        check(&rules, &whole[..end]);
    }
}
