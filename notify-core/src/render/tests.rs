//! The language, cell by cell, and that event text never becomes markup.

use super::*;
use proptest::prelude::*;
use pulldown_cmark::{Event, Options, Parser, Tag, TagEnd};
use serde_json::json;

const CONTEXT: RenderContext<'static> =
    RenderContext { tenant: "acme", rule_id: "r1", rule_name: "Rule one", channel_id: "c1" };

fn template(message: Value) -> Template {
    serde_json::from_value(json!({"schema": TEMPLATE_SCHEMA, "id": "t", "name": "T", "message": message}))
        .unwrap()
}

fn bundle(locale: &str, messages: &str) -> Bundle {
    let id = format!("b-{}", locale.to_lowercase());
    serde_json::from_value(
        json!({"schema": "notify-bundle@1", "id": id, "locale": locale, "messages": messages}),
    )
    .unwrap()
}

fn version<T>(document: T) -> Version<T> {
    Version { version: 1, digest: "sha256:x".into(), document }
}

fn event() -> Value {
    json!({
        "specversion": "1.0", "id": "1", "source": "/s", "type": "x.y", "time": "2026-07-01T10:00:00Z",
        "subject": "thing", "severity": "high",
        "data": {
            "n": 3, "neg": -7, "f": 2.5, "yes": true, "none": null, "text": "Hello, World", "big": u64::MAX,
            "list": [3, 1, 2], "words": ["b", "a", "b"],
            "people": [{"name": "Bo", "severity": "low", "n": 1}, {"name": "Al", "severity": "critical", "n": 5}],
            "map": {"z": 1, "a": 2}, "digest": "repo@sha256:0123456789abcdef0123",
            "url": "https://x.example/a b?q=\"1\"", "empty": []
        }
    })
}

fn render(message: Value, bundles: &[Bundle], locale: &str) -> Rendered {
    let bundles: Vec<_> = bundles.iter().cloned().map(version).collect();
    let (library, _) = Library::compile(&[version(template(message))], &bundles, "en");
    library.render(Some(&"t".parse().unwrap()), locale, &event(), &CONTEXT)
}

fn line(source: &str) -> Result<String, String> {
    let rendered = render(json!({"title": "x", "summary": source}), &[], "en");
    rendered.failed.map_or(Ok(rendered.message.summary), |problem| Err(problem.to_string()))
}

#[test]
fn expressions() {
    for (source, expected) in [
        ("{{ event.data.n + 4 * 2 - 1 }}", "10"),
        ("{{ event.data.neg // 2 }} {{ event.data.neg % 2 }} {{ 7 / 2 }}", "-4 1 3.5"),
        ("{{ event.data.f * 2 }} {{ -event.data.n }}", "5.0 -3"),
        ("{{ event.data.big }}", "18446744073709551615"),
        ("{{ event.data.text ~ '!' ~ event.data.n }}", "Hello, World!3"),
        ("{{ 'a' + 'b' }}", "ab"),
        ("{{ event.data.list[0] }}{{ event.data.list[-1] }}{{ event.data['n'] }}", "323"),
        (
            "{{ event.data.text[:5] }} {{ event.data.text[-5:] }} {{ event.data.list[1:] | join('-') }}",
            "Hello World 1-2",
        ),
        ("{{ 'y' if event.data.yes else 'n' }}{{ 'y' if not event.data.yes else 'n' }}", "yn"),
        ("{{ 1 < event.data.n <= 3 and 'World' in event.data.text }}", "true"),
        (
            "{{ 2 in event.data.list }} {{ 9 not in event.data.list }} {{ 'z' in event.data.map }}",
            "true true true",
        ),
        (
            "{{ event.data.n == 3.0 }} {{ event.data.n == '3' }} {{ event.data.none == none }}",
            "true false true",
        ),
        (
            "{% for p in event.data.people if p.n > 1 %}{{ loop.index }}/{{ loop.length }} {{ p.name }}{% endfor %}",
            "1/1 Al",
        ),
        (
            "{% for k, v in event.data.map | items %}{{ k }}={{ v }}{% if not loop.last %},{% endif %}{% endfor %}",
            "a=2,z=1",
        ),
        ("{% for x in event.data.empty %}x{% else %}nothing{% endfor %}", "nothing"),
        (
            "{% for x in event.data.list %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% if x == 2 %}{% break %}{% endif %}{% endfor %}",
            "32",
        ),
        ("{% set a = 1 %}{% for x in [1, 2] %}{% set a = x %}{% endfor %}{{ a }}", "1"),
        (
            "{{ event.data.none }}|{{ event.data.none | default('d') }}|{{ event.nope.deeper | default('d') }}",
            "|d|d",
        ),
        (
            "{{ event.data.nope is defined }} {{ event.data.n is number }} {{ event.data.map is mapping }}",
            "false true true",
        ),
        ("{{ event.severity is at_least('medium') }} {{ event.data.text is at_least('low') }}", "true false"),
        (
            "{{ rule.id }} {{ rule.name }} {{ channel.id }} {{ tenant }} {{ locale }}",
            "r1 Rule one c1 acme en",
        ),
        ("{# a comment #}{{ 'x' }}{% raw %}{{ y }}{% endraw %}", "x{{ y }}"),
    ] {
        assert_eq!(line(source).as_deref(), Ok(expected), "{source}");
    }
}

#[test]
fn filters() {
    for (source, expected) in [
        (
            "{{ event.data.text | upper }} {{ event.data.text | lower }} {{ 'abc' | capitalize }}",
            "HELLO, WORLD hello, world Abc",
        ),
        (
            "{{ ' x ' | trim }}|{{ event.data.text | truncate(6) }}|{{ 'ab' | truncate(2) }}|{{ 'abc' | truncate(1, end='...') }}",
            "x|Hello…|ab|.",
        ),
        ("{{ event.data.text | replace('o', '0') }} {{ event.data.text | length }}", "Hell0, W0rld 12"),
        (
            "{{ event.data.list | first }}{{ event.data.list | last }}{{ event.data.list | sum }}{{ event.data.list | min }}{{ event.data.list | max }}",
            "32613",
        ),
        (
            "{{ event.data.list | sort | join(',') }} {{ event.data.list | sort(reverse=true) | join }} {{ event.data.words | unique | join }}",
            "1,2,3 321 ba",
        ),
        ("{{ event.data.people | sort(attribute='severity') | map('name') | join(' ') }}", "Bo Al"),
        (
            "{{ event.data.people | map(attribute='name') | reverse | join(' ') }} {{ event.data.people | sum('n') }}",
            "Al Bo 6",
        ),
        ("{{ event.data.people | selectattr('severity', 'at_least', 'high') | map('name') | join }}", "Al"),
        (
            "{{ event.data.people | rejectattr('n', '>', 3) | map('name') | join }} {{ event.data.people | join(', ', attribute='name') }}",
            "Bo Bo, Al",
        ),
        (
            "{{ 2.567 | round(1) }} {{ '42' | int + 1 }} {{ '2.5' | float }} {{ -3 | abs }} {{ 7.9 | int }}",
            "2.6 43 2.5 3 7",
        ),
        (
            "{{ event.data.digest | short }} {{ '0123456789abcdef' | short }}",
            "sha256:0123456789ab 0123456789ab",
        ),
        ("{{ event.data.map | tojson }} {{ event.data.words | tojson }}", r#"{"a":2,"z":1} ["b","a","b"]"#),
        (
            "{{ 'a b&c' | urlencode }} {{ event.data.url | url }}",
            "a%20b%26c https://x.example/a%20b?q=%221%22",
        ),
        (
            "{{ event.time | datetime }} {{ event.time | datetime('Europe/Berlin', style='time') }}",
            "1 Jul 2026, 10:00 UTC 12:00 CEST",
        ),
        ("{{ 'soon' | datetime }} {{ 'a,b' | split(',') | last }}", "soon b"),
        ("{{ 3 | string ~ 'x' }}", "3x"),
    ] {
        assert_eq!(line(source).as_deref(), Ok(expected), "{source}");
    }
    let body = render(json!({"title": "x", "body": "{{ 'a\nb' | indent(2) }}"}), &[], "en");
    assert_eq!(body.message.body, "a b");
}

#[test]
fn failures_name_the_place_and_the_fix() {
    for (source, words) in [
        ("{{ event.data.nope }}", "`event.data.nope` does not exist"),
        ("{% if event.data.nope %}x{% endif %}", "`event.data.nope` does not exist"),
        ("{{ event.data.map }}", "an object cannot be shown"),
        ("{{ event.data.people | map('age') | join }}", "item 0 of the list has no `age`"),
        ("{{ event.data.text + 1 }}", "`+` was given a text"),
        ("{{ 1 // 0 }}", "64 bits"),
        ("{{ 9223372036854775807 + 1 }}", "64 bits"),
        ("{{ 1 / 0 }}", "64 bits"),
        ("{{ event.data.text < 1 }}", "have no order"),
        ("{% for x in event.data.map %}x{% endfor %}", "not a list"),
        ("{{ event.time | datetime('Mars/Base') }}", "time zone"),
        ("{{ t('a') }}", "no text `a` for locale `en`"),
        ("line\n{{ event.data.nope }}", "line 2"),
    ] {
        let failed = line(source).unwrap_err();
        assert!(failed.contains(words) && failed.starts_with("render-failed"), "{source}: {failed}");
        assert!(failed.contains("/message/summary"), "{source}: {failed}");
    }
}

#[test]
fn refused_when_saved() {
    let summary = |source: &str| json!({"title": "x", "summary": source});
    let deep =
        |open: &str, close: &str| summary(&format!("{{{{ {}1{} }}}}", open.repeat(90), close.repeat(90)));
    for (message, path, words) in [
        (summary("{{ x }}"), "/message/summary", "nothing is called `x`"),
        (summary("{{ event.x | nope }}"), "/message/summary", "no filter `nope`"),
        (summary("{{ event.x is nope }}"), "/message/summary", "no test `nope`"),
        (summary("{{ range(9) }}"), "/message/summary", "no function `range`"),
        (summary("{{ event.x.upper() }}"), "/message/summary", "no method `upper`"),
        (summary("{{ event.x | upper(1) }}"), "/message/summary", "does not take"),
        (summary("{{ event.x | replace('a') }}"), "/message/summary", "needs more"),
        (summary("{{ event.x | selectattr('a', 'nope') }}"), "/message/summary", "no test `nope`"),
        (summary("{{ event.x | code }}"), "/message/summary", "only `body` is Markdown"),
        (summary("a\n{{ event.x"), "/message/summary", "line 2"),
        (summary("{% include 'x' %}"), "/message/summary", "`include` is not offered"),
        (summary("{% macro m() %}{% endmacro %}"), "/message/summary", "`macro` is not offered"),
        (summary("{% set x %}a{% endset %}"), "/message/summary", "not offered"),
        (summary("{% filter upper %}a{% endfilter %}"), "/message/summary", "not offered"),
        (summary("{% set event = 1 %}"), "/message/summary", "meaning already"),
        (summary("{% break %}"), "/message/summary", "inside a loop"),
        (summary("{{ 2 ** 3 }}"), "/message/summary", "not offered"),
        (summary("{{ {'a': 1} }}"), "/message/summary", "not offered"),
        (summary(&"x".repeat(9_000)), "/message/summary", "the 8192 allowed"),
        (summary(&format!("{{{{ 1{} }}}}", " ~ 1".repeat(2_000))), "/message/summary", "tokens"),
        (summary(&"{% if event %}".repeat(400)), "/message/summary", "tags"),
        (summary(&"{{ 1 }}".repeat(400)), "/message/summary", "tags"),
        (deep("[", "]"), "/message/summary", "recursion"),
        (deep("(", ")"), "/message/summary", "recursion"),
        (summary(&format!("{{{{ {}1 }}}}", "not ".repeat(250))), "/message/summary", "tokens"),
        (summary(&format!("{{{{ event{} }}}}", ".a".repeat(250))), "/message/summary", "tokens"),
        (json!({"title": "x", "boody": "y"}), "/message/boody", "not known"),
        (json!({"title": "x", "locale": "de"}), "/message/locale", "not known"),
        (json!({"summary": "x"}), "/message", "`title` is missing"),
        (json!({"title": 1}), "/message/title", "not a text"),
        (json!([]), "/message", "not an object"),
        (json!({"title": "x", "fields": [{"name": "n"}]}), "/message/fields/0", "`value` is missing"),
        (
            json!({"title": "x", "fields": [{"name": "n", "value": "{{", "short": true}]}),
            "/message/fields/0/value",
            "",
        ),
        (
            json!({"title": "x", "fields": [{"name": "n", "value": "v", "short": "yes"}]}),
            "/message/fields/0/short",
            "true",
        ),
        (
            json!({"title": "x", "links": [{"each": "event.x |", "item": {"title": "", "url": ""}}]}),
            "/message/links/0/each",
            "",
        ),
        (
            json!({"title": "x", "links": [{"each": "event.x", "as": "t", "item": {"title": "", "url": ""}}]}),
            "/message/links/0/as",
            "name",
        ),
        (
            json!({"title": "x", "native": {"chat": {"a~/b": ["{{ y }}"]}}}),
            "/message/native/chat/a~0~1b/0",
            "`y`",
        ),
    ] {
        let problem = validate_template(&template(message.clone()), &[]).expect_err(&message.to_string());
        assert_eq!(problem.path, path, "{problem}");
        assert!(problem.reason.contains(words), "{words}: {problem}");
        assert!(matches!(problem.code, Code::InvalidTemplate | Code::UnknownField), "{problem}");
    }
}

#[test]
fn lists_repeat_and_choose() {
    let rendered = render(
        json!({
            "title": "x",
            "severity": "{{ event.data.nope | default('odd') }}",
            "fields": [
                {"each": "event.data.people", "as": "p", "when": "p.n > 1", "item": {"name": "{{ p.name }}", "value": "{{ p.n }}", "short": true}},
                {"when": "event.data.nope is defined", "item": {"name": "never", "value": "{{ event.data.nope }}"}},
                {"name": "empty", "value": " {{ event.data.none }} "}
            ],
            "links": [{"title": "none", "url": "{{ event.data.none }}"}, {"title": "one", "url": "{{ event.data.url }}"}],
            "actions": [{"id": "ack", "title": "Ack", "url": "https://x.example/{{ event.id }}", "style": "primary"}],
            "native": {"chat": {"n": 1, "rows": [{"each": "event.data.list", "item": {"v": "{{ item }}"}}]}}
        }),
        &[],
        "en",
    );
    assert_eq!(rendered.failed, None);
    let message = serde_json::to_value(&rendered.message).unwrap();
    assert_eq!(message["severity"], "high", "an odd severity falls back to the event's");
    assert_eq!(message["fields"], json!([{"name": "Al", "value": "5", "short": true}]));
    assert_eq!(message["links"], json!([{"title": "one", "url": "https://x.example/a%20b?q=%221%22"}]));
    assert_eq!(message["actions"][0]["url"], "https://x.example/1");
    assert_eq!(message["native"]["chat"], json!({"n": 1, "rows": [{"v": "3"}, {"v": "1"}, {"v": "2"}]}));
    assert_eq!(message["event"]["id"], "1");

    let failed = render(
        json!({"title": "x", "links": [{"title": "l", "url": "java{{ 'script' }}:alert(1)"}]}),
        &[],
        "en",
    );
    let problem = failed.failed.unwrap();
    assert_eq!((problem.code, problem.path.as_str()), (Code::RenderFailed, "/message/links/0"));
    assert_eq!(failed.message.title, "x.y: thing", "the built-in message is sent instead");
}

#[test]
fn locales_fall_back_and_texts_are_checked() {
    let bundles = [
        bundle(
            "en",
            "a = A { $n -> \n    [one] one\n   *[other] { $n } things\n }\nonly-en = E\n    .tip = Tip",
        ),
        bundle("de", "a = Ä { NUMBER($n, minimumFractionDigits: 900000000) }"),
        bundle("de-AT", "when = { DATETIME($t, zone: \"Europe/Vienna\") }"),
    ];
    for (locale, source, expected, used) in [
        ("en", "{{ t('a', n=1) }}", "A one", "en"),
        ("en-GB", "{{ t('a', n=4) }}", "A 4 things", "en"),
        ("de", "{{ t('a', n=1) }}", "Ä 1.00000000000000000000", "de"),
        (
            "de-AT",
            "{{ t('a', n=1) }}{{ t('when', t=event.time) }}",
            "Ä 1.0000000000000000000001.07.2026, 12:00 CEST",
            "de-AT",
        ),
        ("de_AT", "{{ t('only-en') }} {{ t('only-en.tip') }}", "E Tip", "en"),
        ("de_at", "{{ t('when', t='x') }}", "x", "de-AT"),
        ("fr", "{{ t('only-en') }}", "E", "en"),
        ("!", "{{ t('only-en') }}", "E", "en"),
    ] {
        let rendered = render(json!({"title": source}), &bundles, locale);
        assert_eq!(rendered.failed, None);
        assert_eq!(
            (rendered.message.title.as_str(), rendered.message.locale.as_str()),
            (expected, used),
            "{locale}"
        );
        assert!(!rendered.bundle_digests.is_empty());
    }
    let failed = |source: &str| render(json!({"title": source}), &bundles, "de").failed.unwrap().reason;
    assert!(failed("{{ t('nope') }}").contains("no text `nope` for locale `de` (looked in de, en)"));
    assert!(failed("{{ t('a') }}").contains("Unknown variable: $n"));

    let known: Vec<&Bundle> = bundles.iter().collect();
    let problem = validate_template(&template(json!({"title": "{{ t('nope') }}"})), &known).unwrap_err();
    assert_eq!((problem.code, problem.path.as_str()), (Code::UnknownReference, "/message/title"));
    validate_template(&template(json!({"title": "{{ t('when', t=1) }}"})), &known).unwrap();

    for (locale, messages, words) in [
        ("x y", "a = b", "BCP 47"),
        ("en", "a = { $x", "line"),
        ("en", "a = { nope }", "Unknown message: nope"),
        ("en", "a = { NOPE($x) }", "Unknown function: NOPE"),
        ("en", "a = b\na = c", "a"),
        ("en", "a = [x]({ $url })", "link's address"),
        ("en", &format!("a = {}", "{".repeat(5_000)), "levels"),
        ("en", &format!("a = {{ {}", "NUMBER(".repeat(5_000)), "levels"),
        ("en", &format!("a = {}", "x".repeat(70_000)), "bytes"),
    ] {
        let mut document = bundle("en", messages);
        document.locale = locale.into();
        let problem = validate_bundle(&document).unwrap_err();
        assert_eq!(problem.code, Code::InvalidBundle);
        assert!(problem.reason.contains(words), "{messages:.40}: {problem}");
    }

    // Two bundles of one locale: the first by id stays, the other is reported.
    let mut second = bundle("en", "a = other\nmore = More");
    second.id = "c-en".parse().unwrap();
    let all = [version(second), version(bundles[0].clone())];
    let (library, problems) = Library::compile(
        &[version(template(json!({"title": "{{ t('a', n=1) }} {{ t('more') }}"})))],
        &all,
        "en",
    );
    assert_eq!(problems.len(), 1);
    assert_eq!(
        library.render(Some(&"t".parse().unwrap()), "en", &event(), &CONTEXT).message.title,
        "A one More"
    );
}

#[test]
fn what_is_broken_still_hides_what_it_was_to_hide() {
    let check = |redact: Value, message: Value, subject: Option<&str>| {
        let mut document = template(message);
        document.redact = serde_json::from_value(redact).unwrap();
        let (library, _) = Library::compile(&[version(document)], &[], "en");
        let rendered = library.render(Some(&"t".parse().unwrap()), "en", &event(), &CONTEXT);
        let reference = rendered.message.event.clone().unwrap();
        assert_eq!(reference.subject.as_deref(), subject);
        assert_eq!(
            serde_json::to_string(&rendered.message).unwrap().contains("thing"),
            subject == Some("thing")
        );
        rendered
    };
    let hide = json!([{"path": "/subject"}]);
    let fine = check(hide.clone(), json!({"title": "About {{ event.subject }}"}), Some(REDACTED));
    assert_eq!((fine.message.title.as_str(), fine.failed), ("About ‹redacted›", None));
    assert!(check(hide.clone(), json!({"title": "{{ event.nope }}"}), Some(REDACTED)).failed.is_some());
    assert!(check(hide, json!({"title": "{{ nope }}"}), Some(REDACTED)).failed.is_some());
    // Its own redactions are broken: the subject is not shown at all.
    assert!(check(json!([{"path": "subject"}]), json!({"title": "x"}), None).failed.is_some());
    let (library, _) = Library::compile(&[], &[], "en");
    let unknown = library.render(Some(&"t".parse().unwrap()), "en", &event(), &CONTEXT);
    assert_eq!(unknown.failed.unwrap().code, Code::UnknownReference);
}

#[test]
fn every_filter_test_and_limit_is_in_the_reference() {
    let reference = include_str!("../../../docs/templates.md");
    for name in filters::FilterKind::ALL.iter().map(|kind| kind.name()) {
        assert!(
            reference.contains(&format!("`{name}`")) || reference.contains(&format!("`{name}(")),
            "filter {name}"
        );
    }
    for name in filters::TestKind::ALL.iter().map(|kind| kind.name()) {
        assert!(
            reference.contains(&format!("`{name}`")) || reference.contains(&format!("`{name}(")),
            "test {name}"
        );
    }
}

#[test]
fn a_library_can_be_shared() {
    const fn shared<T: Send + Sync>() {}
    shared::<Library>();
}

/// What a Markdown reader would see: the text, and whether anything but plain paragraphs and emphasis of ours is in it.
fn read(markdown: &str) -> (String, Vec<String>) {
    let options = Options::ENABLE_TABLES
        | Options::ENABLE_STRIKETHROUGH
        | Options::ENABLE_FOOTNOTES
        | Options::ENABLE_TASKLISTS;
    let (mut text, mut markup) = (String::new(), Vec::new());
    for event in Parser::new_ext(markdown, options) {
        match event {
            Event::Text(more) | Event::Code(more) => text.push_str(&more),
            Event::SoftBreak | Event::HardBreak => text.push(' '),
            Event::Start(Tag::Paragraph) | Event::End(TagEnd::Paragraph) => {}
            other => markup.push(format!("{other:?}")),
        }
    }
    (text, markup)
}

fn body(source: &str, a: &str, b: &str) -> Option<String> {
    let (library, problems) = Library::compile(
        &[version(template(json!({"title": "x", "body": source})))],
        &[version(bundle("en", "say = Say { $a } { $b }"))],
        "en",
    );
    assert!(problems.is_empty(), "{problems:?}");
    let event = json!({"id": "1", "source": "/s", "type": "t", "data": {"a": a, "b": b}});
    let rendered = library.render(Some(&"t".parse().unwrap()), "en", &event, &CONTEXT);
    rendered.failed.is_none().then_some(rendered.message.body)
}

/// Text as it may reach a reader: without controls, each run of white space one space.
fn shown(text: &str) -> String {
    let hidden = |c: &char| matches!(c, '\u{202A}'..='\u{202E}' | '\u{2066}'..='\u{2069}');
    let spaced: String = text
        .chars()
        .map(|c| if c.is_whitespace() || c.is_control() { ' ' } else { c })
        .filter(|c| !hidden(c))
        .collect();
    spaced.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
}

const HOSTILE: &[&str] = &[
    "[a](http://b)",
    "![a](b)",
    "<b>x</b>",
    "<http://x>",
    "http://x.y",
    "www.x.y",
    "# h",
    "- x",
    "1. x",
    "1) x",
    "> q",
    "a\n\n# h",
    "    code",
    "`x`",
    "``",
    "*e*",
    "_e_",
    "**",
    "~~x~~",
    "|a|b|\n|-|-|",
    "---",
    "===",
    "&lt;b&gt;",
    "&#60;",
    "\\",
    "\\*",
    "a\\",
    "!",
    "[^1]",
    "[x]: http://y",
    "(http://y)",
    ": http://y",
    "- [ ] x",
    "+ x",
    "\u{202E}x",
    "\t\tx",
    "]",
    "](x)",
    "javascript:alert(1)",
    "mailto:a@b.c",
    "a  \nb",
    "0.",
    "\u{a0}# x",
    "***",
    "* * *",
    "#",
    "<!-- x -->",
];

fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        4 => prop::sample::select(HOSTILE).prop_map(str::to_owned),
        2 => "[\\[\\]()<>*_`~|#!&:.=+\\-0-9 \n\\\\a]{0,12}",
        1 => ".{0,8}",
    ];
    prop::collection::vec(piece, 0..4).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn event_text_in_markdown_stays_text(a in hostile(), b in hostile()) {
        for source in ["{{ event.data.a }}", "{{ event.data.a }}{{ event.data.b }}", "Text {{ event.data.a }} and {{ event.data.b }}.", "{{ t('say', a=event.data.a, b=event.data.b) }}"] {
            let markdown = body(source, &a, &b).unwrap();
            let (text, markup) = read(&markdown);
            prop_assert!(markup.is_empty(), "{source}: {markdown:?} has {markup:?}");
            let plain = source.replace("{{ event.data.a }}", &a).replace("{{ event.data.b }}", &b);
            let plain = plain.replace("{{ t('say', a=event.data.a, b=event.data.b) }}", &format!("Say {a} {b}"));
            prop_assert_eq!(shown(&text).replace(' ', ""), shown(&plain).replace(' ', ""), "{}: {:?}", source, markdown);
        }
    }

    #[test]
    fn markdown_filters_keep_text_inside(a in hostile()) {
        for (source, allowed) in [
            ("x {{ event.data.a | code }} y", &[][..]),
            ("{{ event.data.a | codeblock }}", &["CodeBlock"][..]),
            ("{{ event.data.a | quote }}", &["BlockQuote"][..]),
        ] {
            let markdown = body(source, &a, "").unwrap();
            let (_, markup) = read(&markdown);
            prop_assert!(markup.iter().all(|m| allowed.iter().any(|a| m.contains(a))), "{markdown:?} has {markup:?}");
        }
    }

    #[test]
    fn a_link_of_the_author_leads_only_to_the_web(a in hostile(), b in hostile()) {
        for source in ["[x]({{ event.data.a }})", "<{{ event.data.a }}>", "{{ event.data.a | link(event.data.b) }}", "[x](https://h.example/{{ event.data.a }}) y"] {
            let Some(markdown) = body(source, &a, &b) else { continue };
            for event in Parser::new_ext(&markdown, Options::empty()) {
                match event {
                    Event::Start(Tag::Link { dest_url, .. }) => prop_assert!(
                        ["http://", "https://", "mailto:"].iter().any(|scheme| dest_url.to_lowercase().starts_with(scheme)),
                        "{markdown:?} leads to {dest_url}"
                    ),
                    Event::Html(_) | Event::InlineHtml(_) | Event::Start(Tag::Image { .. } | Tag::Heading { .. }) => {
                        prop_assert!(false, "{markdown:?}");
                    }
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn no_source_and_no_bundle_panics(source in "(\\{\\{|\\}\\}|\\{%|%\\}|\\{#|#\\}|for|in|if|end|set| |event|\\.|\\||x|t\\(|'|\"|[0-9]|\\[|\\]|\\(|\\)|-|~|\\*|\\n|é){0,40}", messages in "([a-z] = |\\{|\\}|\\$|\\*|\\[|\\]|->|NUMBER|\\(|\\)|\"| |\\n|\\.|-|#){0,40}") {
        let _ = validate_template(&template(json!({"title": source, "body": source})), &[]);
        let _ = validate_bundle(&bundle("en", &messages));
        let _ = render(json!({"title": "x", "body": source}), &[bundle("en", &messages)], "en");
    }
}
