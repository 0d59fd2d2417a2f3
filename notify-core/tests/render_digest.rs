//! Messages of digests: golden files in both languages, and what must hold for any digest.

mod render;

use notify_core::ids::TemplateId;
use notify_core::message::Message;
use notify_core::render::{DigestInput, DigestItem, Library, Rendered};
use notify_core::severity::Severity;
use notify_core::time::Timestamp;
use proptest::prelude::*;
use render::{CONTEXT, fixture, library, sample, template};
use serde_json::{Value, json};

fn at(minute: i64) -> Timestamp {
    Timestamp::from_second(1_795_327_200 + minute * 60).unwrap()
}

fn item(library: &Library, event: &Value, minute: i64, locale: &str) -> DigestItem {
    let template: TemplateId = "finding-summary".parse().unwrap();
    let known = event["type"] == "scanner.report.ready";
    DigestItem {
        message_title: library.title(known.then_some(&template), locale, event, &CONTEXT),
        severity: event["severity"].as_str().and_then(Severity::from_name).unwrap_or_default(),
        at: at(minute),
        event: event.clone(),
    }
}

fn input(library: &Library, control: &'static str, count: u64, locale: &str) -> DigestInput<'static> {
    let events = ["01-scanner-report-critical", "04-scanner-report-fixed", "09-release-failed"].map(sample);
    let events = events.iter().take(usize::try_from(count).unwrap());
    let items: Vec<_> =
        events.zip([0, 2, 11]).map(|(event, minute)| item(library, event, minute, locale)).collect();
    let severity = items.iter().map(|item| item.severity).max().unwrap_or_default();
    DigestInput { count, from: at(0), to: at(15), control, severity, items, time_zone: "Europe/Berlin" }
}

fn render(library: &Library, template: Option<&str>, locale: &str, input: &DigestInput<'_>) -> Rendered {
    let id: Option<TemplateId> = template.map(|id| id.parse().unwrap());
    library.render_digest(id.as_ref(), locale, input, &CONTEXT)
}

#[test]
fn golden() {
    let library = library();
    for (name, control, count) in [
        ("throttle", "throttle", 12),
        ("storm", "storm", 412),
        ("one", "digest", 1),
        ("empty", "digest", 0),
        ("quiet-hours", "quiet-hours", 3),
        ("maintenance", "maintenance", 3),
        ("budget", "budget", 4),
    ] {
        for locale in ["en", "de"] {
            let input = input(&library, control, count, locale);
            for (form, template) in [("built-in", None), ("template", Some("digest"))] {
                let rendered = render(&library, template, locale, &input);
                assert_eq!(rendered.failed, None);
                assert_eq!(rendered.message.locale, locale);
                assert_eq!(rendered.message.event, None);
                assert_eq!(rendered.template_digest.is_some(), template.is_some());
                insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true}, {
                    insta::assert_json_snapshot!(format!("digest.{name}.{form}.{locale}"), rendered.message);
                });
            }
        }
    }
}

#[test]
fn a_storm_says_so_first() {
    let library = library();
    for (locale, words) in
        [("en", "Alert storm: 412 alerts in 15 min"), ("de-AT", "Alarmsturm: 412 Alarme in 15 min")]
    {
        let storm = input(&library, "storm", 412, locale);
        for template in [None, Some("digest")] {
            assert_eq!(render(&library, template, locale, &storm).message.title, words);
        }
    }
}

/// A template for events knows no digest, one for digests no event: the built-in message is sent and says why.
#[test]
fn what_fails_becomes_the_built_in_digest() {
    let library = library();
    let input = input(&library, "digest", 5, "en");
    let built_in = render(&library, None, "en", &input).message;
    for (template, reason) in [("finding-summary", "event.data.status"), ("nothing", "no template `nothing`")]
    {
        let rendered = render(&library, Some(template), "en", &input);
        assert!(rendered.failed.unwrap().reason.contains(reason), "{template}");
        assert_eq!(rendered.message, built_in);
    }
    let digest: TemplateId = "digest".parse().unwrap();
    let event = sample("01-scanner-report-critical");
    let rendered = library.render(Some(&digest), "en", &event, &CONTEXT);
    assert!(rendered.failed.unwrap().reason.contains("digest.control"));
}

#[test]
fn what_is_hidden_in_events_is_hidden_in_digests() {
    let mut version = template(json!({"title": "{{ digest.items | map('title') | join(', ') }}",
        "summary": "{{ digest.items | map('event.data.secret') | join(', ') }}"}));
    version.document.redact =
        serde_json::from_value(json!([{"path": "/data/secret"}, {"pattern": "tok_[a-z]+"}])).unwrap();
    let event = json!({"id": "1", "source": "s", "type": "t", "data": {"secret": "hunter2"}});
    let items = ["seen tok_abc here", ""].map(|title| DigestItem {
        event: event.clone(),
        message_title: title.into(),
        severity: Severity::High,
        at: at(0),
    });
    let mut input = DigestInput {
        count: 2,
        from: at(0),
        to: at(1),
        control: "digest",
        severity: Severity::High,
        items: items.to_vec(),
        time_zone: "UTC",
    };
    let check = |version: &notify_core::document::Version<notify_core::document::Template>,
                 input: &DigestInput<'_>| {
        let (library, _) = Library::compile(std::slice::from_ref(version), &[], "en");
        render(&library, Some("t"), "en", input)
    };
    let rendered = check(&version, &input);
    assert_eq!((rendered.failed, rendered.message.severity), (None, Severity::High));
    assert_eq!(rendered.message.title, "seen ‹redacted› here, t");
    assert_eq!(rendered.message.summary, "‹redacted›, ‹redacted›");
    // The built-in message of a template that fails hides the same.
    version.document.message = json!({"title": "{{ digest.nothing }}"});
    let text = serde_json::to_string(&check(&version, &input).message).unwrap();
    assert!(text.contains("‹redacted› here") && !text.contains("tok_"), "{text}");
    // Where the redactions themselves are broken, nothing of any event is shown.
    version.document.redact = serde_json::from_value(json!([{"pattern": "("}])).unwrap();
    input.items[0].message_title = "anything".into();
    let rendered = check(&version, &input);
    assert!(rendered.failed.is_some());
    assert!(rendered.message.body.is_empty(), "{:?}", rendered.message);
}

fn shown(message: &Message) -> usize {
    message.body.lines().filter(|line| line.starts_with("- ")).count()
}

#[test]
fn markup_in_titles_stays_text() {
    let library = library();
    let mut hostile = input(&library, "digest", 3, "en");
    hostile.items[0].message_title = "](javascript:alert(1)) <b>\n# x\n- y".into();
    hostile.items[1] = DigestItem {
        message_title: String::new(),
        event: fixture("hostile-event"),
        ..hostile.items[1].clone()
    };
    for template in [None, Some("digest")] {
        let message = render(&library, template, "en", &hostile).message;
        let events: Vec<_> = pulldown_cmark::Parser::new(&message.body).collect();
        assert_eq!(shown(&message), 3, "{}", message.body);
        for event in events {
            use pulldown_cmark::{Event, Tag};
            let markup = matches!(
                event,
                Event::Html(_)
                    | Event::InlineHtml(_)
                    | Event::Start(Tag::Link { .. } | Tag::Heading { .. } | Tag::Image { .. })
            );
            assert!(!markup, "{event:?}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Any digest has a message within its bounds, and its numbers add up.
    #[test]
    fn any_digest_has_a_message(
        titles in prop::collection::vec("\\PC{0,600}", 0..100),
        more in 0_u64..1_000_000,
        control in prop::sample::select(vec!["digest", "throttle", "quiet-hours", "maintenance", "storm", "budget", "other"]),
        locale in prop::sample::select(vec!["en", "de", "de-CH", "fr", ""]),
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "No/Where"]),
        minutes in -10_i64..100_000,
        event in prop::sample::select(vec![json!({}), json!(null), json!({"type": "t", "severity": "high"})]),
    ) {
        let items: Vec<_> = titles.iter().map(|title| DigestItem {
            event: event.clone(), message_title: title.clone(), severity: Severity::Low, at: at(1),
        }).collect();
        let count = items.len() as u64 + more;
        let input = DigestInput { count, from: at(0), to: at(minutes), control, severity: Severity::Low, items, time_zone: zone };
        let message = render(&library(), None, locale, &input).message;
        prop_assert!(serde_json::to_vec(&message).unwrap().len() <= 32 * 1024);
        prop_assert!(!message.title.is_empty());
        prop_assert_eq!(&message.fields[0].value, &count.to_string());
        let listed = shown(&message) as u64;
        let rest = message.body.lines().last().and_then(|line| line.split(' ').nth(1)?.parse::<u64>().ok());
        if listed > 0 && listed < count {
            prop_assert_eq!(listed + rest.unwrap_or_default(), count, "{}", message.body);
        }
    }
}
