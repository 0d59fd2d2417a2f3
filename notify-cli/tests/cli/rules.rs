//! Rules without a service: eval, test, explain.

use crate::{Run, notify};
use serde_json::Value;
use std::path::{Path, PathBuf};

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn run(arguments: &[&str]) -> Run {
    notify(arguments, &[], &workspace())
}

/// A folder with these files, and `notify rule …` in it.
fn with(files: &[(&str, &str)], arguments: &[&str]) -> Run {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    notify(&[&["rule"], arguments].concat(), &[], folder.path())
}

#[test]
fn own_and_shared_cases_are_judged() {
    let own = ["--cases", "resources/patterns/cases.jsonl", "--invalid", "resources/patterns/invalid.jsonl"];
    let said = run(&[&["rule", "eval"], &own[..]].concat()).ok();
    assert!(said.ends_with(" agree, 0 differ\n"), "{said}");
    assert!(said.lines().count() == 1 && !said.starts_with("0 "), "{said}");
    let shared = workspace().join("../shared/conformance");
    if !shared.exists() {
        eprintln!("SKIPPED: {} is not there", shared.display());
        return;
    }
    let invalid = run(&["rule", "eval", "--invalid", "../shared/conformance/pattern-invalid.jsonl"]).ok();
    assert!(invalid.ends_with(" agree, 0 differ\n"), "{invalid}");
    // Only what `docs/patterns.md` lists: the core's conformance test names these six.
    let cases = "../shared/conformance/pattern-cases.jsonl";
    let judged = run(&["rule", "eval", "--cases", cases, "-o", "json"]);
    assert_eq!(judged.code, 1);
    let judged: Value = serde_json::from_str(&judged.out).unwrap();
    assert!(judged["cases"].as_u64().unwrap() >= 2_038, "{judged}");
    let text = std::fs::read_to_string(shared.join("pattern-cases.jsonl")).unwrap();
    let tags = |line: u64| {
        let line = text.lines().nth(usize::try_from(line).unwrap() - 1).unwrap();
        serde_json::from_str::<Value>(line).unwrap()["tags"].to_string()
    };
    let differing = judged["differing"].as_array().unwrap();
    assert_eq!((differing.len(), &judged["differ"]), (6, &Value::from(6)), "{differing:#?}");
    for one in differing {
        let tags = tags(one["line"].as_u64().unwrap());
        assert!(tags.contains("dotted-name") || tags.contains("or-branch-overrides-sibling"), "{one} {tags}");
    }
}

#[track_caller]
fn eval(lines: &str, code: i32, said: &[&str]) {
    let ran = with(&[("c.jsonl", lines)], &["eval", "--cases", "c.jsonl"]);
    assert_eq!(ran.code, code, "{}{}", ran.out, ran.err);
    for said in said {
        assert!(ran.out.contains(said) || ran.err.contains(said), "{said}\n{}{}", ran.out, ran.err);
    }
}

#[test]
fn each_case_that_differs_is_told_with_the_reason() {
    let good = r#"{"name":"five","pattern":{"a":[5.0]},"event":{"a":50e-1},"matches":true,"more":1}"#;
    eval(good, 0, &["1 case: 1 agree, 0 differ"]);
    eval(&format!("{good}\n\n  \n{good}"), 0, &["2 cases"]);
    let exact =
        r#"{"name":"x","pattern":{"a":[9007199254740993]},"event":{"a":9007199254740992},"matches":false}"#;
    eval(exact, 0, &[]);
    let wrong = r#"{"name":"wrong","pattern":{"a":[5]},"event":{"a":6},"matches":true}"#;
    let why = [
        "differs wrong (line 2): expected a match, got no match",
        "`/a` is 6, but the rule wants 5",
        "1 differ",
    ];
    eval(&format!("{good}\n{wrong}"), 1, &why);
    let refused = r#"{"name":"r","pattern":{"a":[5],"a":[6]},"event":{},"matches":false}"#;
    eval(refused, 1, &["got a refusal of the pattern", "the key `a` appears twice"]);
    let refused = r#"{"name":"r","pattern":{"a":[]},"event":{},"matches":false}"#;
    eval(refused, 1, &["got a refusal of the pattern", "invalid-pattern"]);
    let refused = r#"{"name":"r","pattern":{"a":[1]},"event":{"a":1e999},"matches":false}"#;
    eval(refused, 1, &["got a refusal of the event"]);
    for (line, reason) in [
        (r#"{"name":"x""#, "not a JSON object"),
        ("[]", "not a JSON object"),
        (r#"{"name":"x","name":"y","pattern":{},"event":{},"matches":true}"#, "the key `name` appears twice"),
        (r#"{"name":"x","event":{},"matches":true}"#, "`pattern` is missing"),
        (r#"{"name":"x","pattern":{"a":[1]},"event":{},"matches":"yes"}"#, "`matches` is not true or false"),
    ] {
        // What was judged before it is told all the same.
        eval(&format!("{good}\n{line}"), 1, &["c.jsonl, line 2: ", reason, "1 case: 1 agree, 0 differ"]);
    }
    for none in ["", "\n  \n"] {
        eval(none, 1, &["c.jsonl holds no case"]);
    }
    let files = [("c.jsonl", good), ("none.jsonl", "")];
    let both = |cases: &str, invalid: &str| {
        with(&files, &["eval", "--cases", cases, "--invalid", invalid, "-o", "json"])
    };
    both("c.jsonl", "none.jsonl").fails(1, "none.jsonl holds no case");
    let json: Value = serde_json::from_str(&both("c.jsonl", "none.jsonl").out).unwrap();
    assert_eq!((&json["cases"], &json["complete"]), (&Value::from(1), &Value::from(false)));
    let named = "{\"name\":\"i\",\"pattern_text\":\"{\\\"a\\u001b[2J\\\":[]}\",\"path\":\"/b\"}";
    let escapes = with(&[("i.jsonl", named)], &["eval", "--invalid", "i.jsonl"]);
    assert!(!escapes.out.contains('\u{1b}') && escapes.out.contains("differs i"), "{:?}", escapes.out);
    with(&[], &["eval", "--cases", "none.jsonl"]).fails(1, "none.jsonl cannot be read");
    with(&[], &["eval"]).fails(2, "--cases");
    with(&[], &["eval", "--pattern", "{}"]).fails(2, "--event");
    let long = format!("{good}\n{}", " ".repeat(5 * 1024 * 1024));
    eval(&long, 1, &["line 2: it has more than 4194304 bytes"]);
    let invalid = |line: &str| with(&[("i.jsonl", line)], &["eval", "--invalid", "i.jsonl"]);
    invalid(r#"{"name":"i","pattern_text":"{\"a\":[]}","path":"/a"}"#).ok();
    invalid(r#"{"name":"i","pattern_text":"{\"a\":[]}","path":"/b"}"#)
        .fails(1, "got one at `/a` instead of `/b`");
    invalid(r#"{"name":"i","pattern":{"a":[1]}}"#).fails(1, "expected a refusal, got a pattern");
    invalid(r#"{"name":"i"}"#).fails(1, "`pattern_text` is missing");
}

#[test]
fn one_pattern_and_one_event() {
    let one = |pattern: &str, event: &str| {
        with(
            &[("p.yaml", "a: [{ prefix: x }]\n"), ("e.json", r#"{"a":"xy"}"#)],
            &["eval", "--pattern", pattern, "--event", event],
        )
    };
    let said = one("p.yaml", "e.json").ok();
    assert!(
        said.starts_with("matches\n\nHOLDS  FIELD  THE EVENT HAS  THE RULE WANTS\nyes    /a     \"xy\""),
        "{said}"
    );
    one(r#"{"a":["x"]}"#, "e.json").fails(1, "`/a` is \"xy\", but the rule wants \"x\"");
    one(r#"{"a":["x"]}"#, "[1]").fails(1, "it is no object");
    one(r#"{"a":"x"}"#, "e.json").fails(1, "error[invalid-pattern]: /a");
    one("p.yaml", "none").fails(1, "none cannot be read");
}

const RULE: &str = "schema: notify-rule@1\nid: r\nname: R\nmatch: { severity: [{ at-least: high }] }\nactions: [{ id: a, channel: c }]\n";
const GOOD: &str =
    "tests: [{ event: { severity: high }, match: true, channels: [c] }, { event: {}, match: false }]\n";
const WRONG: &str = "tests: [{ name: mild, event: { severity: low }, match: true }]\n";

#[test]
fn rule_files_are_tested() {
    let (good, wrong) = (format!("{RULE}{GOOD}"), format!("{RULE}{WRONG}"));
    assert_eq!(
        with(&[("r.yaml", &good)], &["test", "r.yaml"]).ok(),
        "2 tests in 1 rule: 2 passed, 0 failed\n"
    );
    // No two rules have one id.
    let (wrong, none) = (wrong.replace("id: r\n", "id: w\n"), RULE.replace("id: r\n", "id: n\n"));
    let files = [
        ("d/good.yaml", good.as_str()),
        ("d/deep/wrong.yml", &wrong),
        ("d/none.yaml", &none),
        ("d/c.yaml", "schema: notify-channel@1\n"),
        ("d/notes.txt", "x"),
        ("d/.hidden.yaml", "x"),
    ];
    let ran = with(&files, &["test", "d"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert_eq!(
        ran.out,
        "failed d/deep/wrong.yml: `mild`\n  The rule should match. The event does not match: `/severity` is \"low\", but the \
         rule wants a severity of high or above.\nhint d/deep/wrong.yml: every test expects a match, so a rule that matches \
         everything would pass them too\n  add an event that the rule must not match, with `match: false`\n3 tests in 2 \
         rules: 2 passed, 1 failed; 1 rule has no tests; 1 document of another kind was passed over\n"
    );
    let json = with(&files, &["test", "d", "-o", "json"]);
    let json: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&json["failed"], &json["rulesWithoutTests"]), (&Value::from(1), &Value::from(1)), "{json}");
    assert_eq!((&json["refused"], &json["passedOver"]), (&serde_json::json!([]), &Value::from(1)), "{json}");
    let refused =
        [("d/good.yaml", good.as_str()), ("d/b.yaml", "schema: notify-rule@1\n"), ("d/c.yaml", "a: [\n")];
    let ran = with(&refused, &["test", "d", "-o", "json"]);
    let json: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!(
        (ran.code, &json["rulesRefused"], &json["passed"]),
        (1, &Value::from(2), &Value::from(2)),
        "{json}"
    );
    let told = |index: usize, name: &str| json["refused"][index][name].as_str().unwrap_or_default();
    assert_eq!((told(0, "place"), told(0, "code")), ("d/c.yaml", "malformed-yaml"));
    assert_eq!((told(1, "place"), told(1, "code")), ("d/b.yaml", "invalid-rule"));
    assert!(!told(1, "reason").is_empty() && !told(1, "fix").is_empty(), "{json}");
    with(&[("b.yaml", "schema: notify-rule@1\n")], &["test", "b.yaml"])
        .fails(1, "error[invalid-rule]: b.yaml at /");
    with(&[("d/c.yaml", "schema: notify-channel@1\n")], &["test", "d"]).fails(1, "there is no rule here");
    with(&[], &["test"]).fails(2, "FILE");
    with(&[("r.yaml", &wrong)], &["validate", "-f", "r.yaml"])
        .fails(1, "error[rule-tests-failed]: r.yaml at /tests/0: the test `mild` fails");
    with(&[("r.yaml", &good)], &["validate", "-f", "r.yaml"]).ok();
    // What the product ships.
    assert!(run(&["rule", "test", "resources/rules"]).ok().contains(" passed, 0 failed"));
}

/// `apply` reads with the same function; `rule_set::sources` has the rest of it.
#[test]
fn several_documents_and_lists_are_read_by_all() {
    let (good, wrong) = (format!("{RULE}{GOOD}"), format!("{RULE}{WRONG}").replace("id: r\n", "id: w\n"));
    let two = format!("{good}---\nschema: notify-channel@1\n---\n{wrong}");
    let list = r#"[{"schema":"notify-rule@1","id":"l","name":"L","match":{"type":["a","a"]},"actions":[{"id":"a","channel":"c"}]}]"#;
    let files = [("d/two.yaml", two.as_str()), ("d/list.json", list), ("d/.h/x.yaml", "a: [")];
    let ran = with(&files, &["test", "d"]);
    assert_eq!(ran.code, 1, "{}{}", ran.out, ran.err);
    assert!(ran.out.starts_with("failed d/two.yaml (document 3): `mild`"), "{}", ran.out);
    let end = "3 tests in 2 rules: 2 passed, 1 failed; 1 rule has no tests; 1 document of another kind was passed over\n";
    assert!(ran.out.ends_with(end), "{}", ran.out);
    let ran = with(&files, &["lint", "d"]);
    assert!(ran.out.contains("d/list.json [0] (rule l)"), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("\n3 rules: "), "{}", ran.out);
    assert!(ran.out.ends_with("; 1 document of another kind was passed over\n"), "{}", ran.out);
    for command in [&["test", "d"][..], &["lint", "d"], &["apply", "--dry-run", "-f", "d"]] {
        let twice = [("d/a.yaml", good.as_str()), ("d/b.yaml", &good)];
        with(&twice, command).fails(1, "the rule `r` stands in d/a.yaml as well");
    }
}

#[test]
fn nothing_to_apply_deletes_nothing_unless_asked() {
    let (empty, rule) = ([("d/a.yaml", ""), ("d/b.yaml", "---\n# none\n")], [("d/a.yaml", RULE)]);
    let prune = ["apply", "-y", "--prune", "-f", "d"];
    let apply = |files: &[(&str, &str)], more: &[&str]| with(files, &[&prune[..], more].concat());
    apply(&empty, &[])
        .fails(1, "the files hold no rule, so `--prune` would delete all rules of the set `default`");
    apply(&empty, &["--dry-run"]).fails(1, "give --allow-empty");
    apply(&rule, &["--selector", "team=x"])
        .fails(1, "none of the 1 rules in the files is selected by team=x");
    // Nobody answers at this address: it would be done.
    let far = ["--url", "http://127.0.0.1:9"];
    apply(&empty, &[&far[..], &["--allow-empty"]].concat()).fails(1, "cannot be reached");
    apply(&rule, &far).fails(1, "cannot be reached");
    with(&empty, &["apply", "-f", "d", "--allow-empty"]).fails(2, "--prune");
}

#[test]
fn a_rule_in_a_file_is_explained() {
    let event = r#"{"specversion":"1.0","id":"1","source":"/s","type":"t","severity":"low"}"#;
    let files = [("r.yaml", RULE), ("e.json", event)];
    let said = with(&files, &["explain", "--file", "r.yaml", "--event", "e.json"]).ok();
    assert_eq!(
        said,
        "rule r does not match\n\nHOLDS  FIELD      THE EVENT HAS  THE RULE WANTS\nno     /severity  \"low\"          a \
         severity of high or above\n\nThe event does not match: `/severity` is \"low\", but the rule wants a severity of \
         high or above.\n"
    );
    let json = with(&files, &["explain", "--file", "r.yaml", "--event", "e.json", "-o", "json"]).ok();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(json["explanation"]["alternatives"][0]["clauses"][0]["wants"], "a severity of high or above");
    with(&[("r.yaml", RULE), ("e.json", "{}")], &["explain", "--file", "r.yaml", "--event", "e.json"])
        .fails(1, "error[invalid-event]: e.json");
    with(&files, &["explain", "x", "--file", "r.yaml", "--event", "e.json"]).fails(2, "cannot be used with");
}
