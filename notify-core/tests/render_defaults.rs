//! The shipped templates and texts, on the shipped sample events: every result is a golden file.

mod render;

use notify_core::ids::TemplateId;
use notify_core::render::{validate_bundle, validate_template};
use render::{CONTEXT, alerts, bundles, fixture, library, sample, templates};
use std::collections::BTreeSet;

/// Each default template with the events it is made for.
const CASES: [(&str, &[&str]); 5] = [
    (
        "finding-summary",
        &[
            "01-scanner-report-critical",
            "02-scanner-report-none-new",
            "03-scanner-report-critical-base-image",
            "04-scanner-report-fixed",
        ],
    ),
    ("scan-result", &["05-scanner-scan-completed", "06-scanner-scan-completed-clean"]),
    ("release-update", &["07-release-published", "08-release-promoted", "09-release-failed"]),
    (
        "supply-chain-violation",
        &["10-attestor-verification-failed", "11-policy-violation", "12-policy-violation-blocked"],
    ),
    ("alertmanager-alert", &["alert-firing", "alert-resolved", "alert-grafana-firing"]),
];

#[test]
fn golden() {
    let library = library();
    for (template, events) in CASES {
        let id: TemplateId = template.parse().unwrap();
        for name in events {
            let event = match name.strip_prefix("alert-") {
                Some(payload) => alerts(payload).remove(0),
                None => sample(name),
            };
            for locale in ["en", "de"] {
                let rendered = library.render(Some(&id), locale, &event, &CONTEXT);
                assert_eq!(rendered.failed, None, "{template} {name}");
                assert_eq!(rendered.message.locale, locale);
                insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true}, {
                    insta::assert_json_snapshot!(format!("{template}.{name}.{locale}"), rendered.message);
                });
            }
        }
    }
}

#[test]
fn golden_hostile_and_built_in() {
    let library = library();
    let id: TemplateId = "finding-summary".parse().unwrap();
    let hostile = fixture("hostile-event");
    let rendered = library.render(Some(&id), "en", &hostile, &CONTEXT);
    assert_eq!(rendered.failed, None);
    let built_in = library.render(None, "de", &sample("09-release-failed"), &CONTEXT);
    assert_eq!((built_in.failed, built_in.template_digest), (None, None));
    insta::with_settings!({snapshot_path => "golden", prepend_module_to_snapshot => false, omit_expression => true}, {
        insta::assert_json_snapshot!("finding-summary.hostile.en", rendered.message);
        insta::assert_json_snapshot!("built-in", built_in.message);
    });
}

#[test]
fn every_shipped_event_has_a_case_and_a_unique_id() {
    let folder = render::root().join("resources/samples/events");
    let mut names: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let covered: Vec<_> = CASES
        .iter()
        .flat_map(|(_, events)| *events)
        .filter(|name| !name.starts_with("alert-"))
        .copied()
        .collect();
    assert_eq!(names, covered);
    let ids: BTreeSet<_> = names.iter().map(|name| sample(name)["id"].to_string()).collect();
    assert_eq!(ids.len(), names.len());
}

#[test]
fn the_documents_are_valid_and_the_languages_say_the_same() {
    let bundles = bundles();
    let documents: Vec<_> = bundles.iter().map(|version| &version.document).collect();
    for bundle in &documents {
        validate_bundle(bundle).unwrap();
    }
    for template in templates() {
        // Each language alone must be enough.
        for bundle in &documents {
            validate_template(&template.document, &[bundle]).unwrap();
        }
    }
    let keys = |locale: &str| -> BTreeSet<String> {
        let bundle = documents.iter().find(|bundle| bundle.locale == locale).unwrap();
        bundle
            .messages
            .lines()
            .filter_map(|line| line.split_once(" = "))
            .map(|(key, _)| key.to_owned())
            .collect()
    };
    assert_eq!(keys("en"), keys("de"));
    let used: BTreeSet<_> = templates()
        .iter()
        .flat_map(|template| {
            let text = template.document.message.to_string();
            let calls =
                text.match_indices("t(\\\"").filter(|(at, _)| !text[..*at].ends_with(char::is_alphanumeric));
            let calls =
                calls.map(|(at, call)| text[at + call.len()..].split("\\\"").next().unwrap().to_owned());
            calls.collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(keys("en"), used, "a text that no template uses");
}

#[test]
fn rendering_is_the_same_on_every_thread() {
    let library = library();
    let id: TemplateId = "finding-summary".parse().unwrap();
    let event = sample("01-scanner-report-critical");
    let render =
        || serde_json::to_string(&library.render(Some(&id), "de", &event, &CONTEXT).message).unwrap();
    let expected = render();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(render)).collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), expected);
        }
    });
}
