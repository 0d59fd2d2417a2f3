//! Events, patterns, rules, templates, canonical JSON.

use notify_core::document::{Bundle, Kind, Rule, Template, Version, parse_any, parse_rule};
use notify_core::event::{Event, EventLimits};
use notify_core::ids::TenantId;
use notify_core::json::{self, Limits};
use notify_core::ledger::canonical;
use notify_core::lint;
use notify_core::pattern::Pattern;
use notify_core::pattern::{RuleSet, Scratch};
use notify_core::problem::Problem;
use notify_core::render::{Library, RenderContext, validate_template};
use notify_core::time::Timestamp;
use notify_core::yaml::{self, DOCUMENT_LIMITS};
use notify_core::{jcs, ledger, rule_tests};
use serde_json::Value;

fn tenant() -> TenantId {
    TenantId::new("acme").expect("a slug")
}

/// An event that was taken is stored as text and read again later: it must be the same event then.
fn check_event(event: &Event) {
    let stored = Event::stored(&tenant(), &event.body).expect("what we wrote can be read");
    assert_eq!((&stored.key, &stored.body), (&event.key, &event.body));
    assert_eq!(stored.value, event.value);
}

fn check_problem(problem: &Problem) {
    assert!(!problem.reason.is_empty(), "{problem:?}");
}

fn check_all(events: Result<Vec<Result<Event, Problem>>, Problem>) {
    match events {
        Ok(events) => {
            for event in events {
                event.as_ref().map_or_else(check_problem, check_event);
            }
        }
        Err(problem) => check_problem(&problem),
    }
}

/// `{`: structured; `[`: a batch; else lines of headers, an empty line and a body: binary.
pub fn event(data: &[u8]) {
    let limits = EventLimits::default();
    match data.first() {
        Some(b'{') => {
            Event::structured(&tenant(), data, &limits).as_ref().map_or_else(check_problem, check_event);
        }
        Some(b'[') => check_all(Event::batch(&tenant(), data, &limits)),
        _ => {
            let end = data.windows(2).position(|pair| pair == b"\n\n").unwrap_or(data.len());
            let (head, body) = data.split_at(end);
            let headers = head.split(|byte| *byte == b'\n').filter_map(|line| {
                let at = line.iter().position(|byte| *byte == b':')?;
                Some((std::str::from_utf8(&line[..at]).ok()?, &line[at + 1..]))
            });
            let body = body.get(2..).unwrap_or_default();
            Event::binary(&tenant(), headers, body, &limits).as_ref().map_or_else(check_problem, check_event);
        }
    }
}

/// A notice of Alertmanager or Grafana.
pub fn alertmanager(data: &[u8]) {
    let received_at: Timestamp = "2026-11-22T06:00:00Z".parse().expect("a time");
    check_all(notify_core::event::alertmanager::to_events(
        &tenant(),
        data,
        &EventLimits::default(),
        received_at,
    ));
}

/// `{"pattern": …, "event": …}`: what matches, what explains and what the index of many rules says is one.
pub fn pattern(data: &[u8]) {
    let Ok(case) = json::parse(data, Limits::default()) else { return };
    let (Some(pattern), event) = (case.get("pattern"), case.get("event").unwrap_or(&Value::Null)) else {
        return;
    };
    match Pattern::compile(pattern) {
        Ok(compiled) => {
            let matches = compiled.matches(event);
            let explanation = compiled.explain(event);
            assert_eq!(explanation.matched, matches);
            let failed = explanation.nearest().map(|alternative| alternative.failed());
            assert_eq!(failed, Some(compiled.misses(event, usize::MAX, &mut 0)));
            let set = RuleSet::compile([(0, pattern)]).expect("it was compiled alone");
            assert_eq!(set.matching(event).len(), usize::from(matches));
            let loose = RuleSet::new([]).with(0, compiled);
            assert_eq!(loose.matching(event).len(), usize::from(matches));
            let mut found = Vec::new();
            let scanned = set.matching_text(&mut Scratch::default(), &event.to_string(), &mut found);
            assert!(scanned.is_ok() && found.len() == usize::from(matches));
        }
        Err(problem) => check_problem(&problem),
    }
}

/// Any text against a fixed set of rules: the scanner takes what the strict parser takes, and finds the same.
pub fn event_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let pattern = |text: &str| serde_json::from_str(text).expect("a pattern");
    let patterns: Vec<Value> = [
        r#"{"a":[{"exists":true}]}"#,
        r#"{"a":["x",1,null],"b":[{"exists":false}]}"#,
        r#"{"b":{"c":[{"numeric":[">",1]}]}}"#,
        r#"{"b":{"c":[{"prefix":"x"}],"d":["y"]}}"#,
        r#"{"type":[{"wildcard":"*a*b*"}]}"#,
        r#"{"c":[{"cidr":"10.0.0.0/8"}]}"#,
    ]
    .map(pattern)
    .into();
    let set = RuleSet::compile(patterns.iter().enumerate()).expect("they are fixed");
    let mut found = Vec::new();
    let scanned = set.matching_text(&mut Scratch::default(), text, &mut found);
    if let Ok(event) = json::parse(data, Limits::default()) {
        assert!(scanned.is_ok());
        assert_eq!(found, set.matching(&event));
    }
}

/// A document in YAML (or JSON): what is read is written so that it reads the same, and what is taken as a document is
/// taken again in the form in which it is stored.
pub fn rule_file(data: &[u8]) {
    let value = match yaml::parse_document(data, None, DOCUMENT_LIMITS) {
        Ok(value) => value,
        Err(problem) => return check_problem(&problem),
    };
    let written = yaml::to_yaml(&value);
    if written.len() <= DOCUMENT_LIMITS.max_bytes {
        let again = yaml::parse(written.as_bytes(), DOCUMENT_LIMITS).expect("what we wrote can be read");
        assert_eq!(again, value, "{written}");
    }
    if let Ok((rule, ..)) = parse_rule(&value) {
        match rule_tests::run(&rule) {
            Ok(report) => assert_eq!(report.passed + report.failed, rule.tests.len()),
            Err(problem) => check_problem(&problem),
        }
    }
    for kind in Kind::ALL {
        match parse_any(kind, &value) {
            Ok((_, body, digest)) => {
                let stored = serde_json::from_str(&body).expect("the stored form is JSON");
                let (_, again, same) = parse_any(kind, &stored).expect("the stored form is a document");
                assert_eq!((again, same), (body, digest));
            }
            Err(problem) => check_problem(&problem),
        }
    }
    if let Ok((rule, ..)) = parse_rule(&value) {
        lint_rule(&rule);
    }
}

/// What lint says of a rule stands at a place in it; and a rule that cannot be compiled is told of.
fn lint_rule(rule: &Rule) {
    let document = serde_json::to_value(rule).expect("a rule is JSON");
    let found = lint::lint(std::slice::from_ref(rule), &[]);
    for finding in &found {
        assert!(document.pointer(&finding.path).is_some(), "{finding:?}");
        assert!(!finding.reason.is_empty() && !finding.fix.is_empty(), "{finding:?}");
    }
    if let Err(problem) = rule.pattern() {
        check_problem(&problem);
        assert!(found.iter().any(|finding| finding.code == lint::Code::InvalidRule), "{problem}");
    }
}

/// A template in YAML, rendered for a scan report: always a message, always the same, within bounds.
pub fn template(data: &[u8]) {
    let event: Value =
        serde_json::from_str(include_str!("../../resources/samples/events/01-scanner-report-critical.json"))
            .expect("a sample");
    let Ok(value) = yaml::parse_document(data, None, DOCUMENT_LIMITS) else { return };
    let template: Template = match notify_core::document::parse_template(&value) {
        Ok((template, ..)) => template,
        Err(problem) => return check_problem(&problem),
    };
    let bundles: [Version<Bundle>; 0] = [];
    let valid = validate_template(&template, &[]);
    let id = template.id.clone();
    let version = Version { version: 1, digest: String::new(), document: template };
    let (library, broken) = Library::compile(&[version], &bundles, "en");
    assert_eq!(valid.is_ok(), broken.is_empty(), "{valid:?} {broken:?}");
    let context = RenderContext { tenant: "acme", rule_id: "r", rule_name: "R", channel_id: "c" };
    let rendered = library.render(Some(&id), "de", &event, &context);
    assert_eq!(rendered, library.render(Some(&id), "de", &event, &context));
    let message = serde_json::to_vec(&rendered.message).expect("a message is JSON");
    assert!(message.len() <= 32 * 1024, "{} bytes", message.len());
}

/// JSON in canonical form: stable, the same by both of our writers, and refused where it would lose something.
pub fn canonical(data: &[u8]) {
    let limits = Limits { max_bytes: 64 * 1024, max_depth: 64 };
    let Ok(value) = json::parse(data, limits) else { return };
    let mut normal = value;
    match jcs::canonicalise(&mut normal) {
        Ok(text) => {
            let mut again = json::parse(text.as_bytes(), Limits { max_bytes: usize::MAX, ..limits })
                .expect("canonical text is JSON");
            assert_eq!(again, normal);
            assert_eq!(jcs::canonicalise(&mut again).as_ref(), Ok(&text));
            if let Ok(read) = canonical::parse_canonical(data, limits.max_bytes) {
                assert_eq!(text.as_bytes(), data, "only the canonical text is taken as such");
                assert_eq!(ledger::canonical::to_canonical(&read).as_deref(), Ok(data));
            }
        }
        Err(_) => assert!(canonical::parse_canonical(data, limits.max_bytes).is_err()),
    }
}
