//! How many messages per second one core renders: `cargo run --release -p notify-core --example render_rate`.
//!
//! Three cases, one line of output each: the built-in message, a template of eight leaves, and the largest shipped
//! kind of template (a loop and many texts from a bundle).

use notify_core::document::Version;
use notify_core::render::{Library, RenderContext};
use serde_json::{Value, json};
use std::hint::black_box;

const MESSAGES: &str = "\
title = { $count ->
    [one] New critical finding in { $image }
   *[other] { $count } new critical findings in { $image }
 }
summary = { $critical } critical and { $high } high findings are open.
verdict = { $verdict ->
    [pass] passed
   *[other] failed
 }
severity = { $level ->
    [critical] critical
   *[other] { $level }
 }
package = Package { $package } { $installed }.
image = Image
report = Open the report
";

fn main() {
    let eight = json!({
        "title": "{{ event.data.summary.newCritical }} new critical findings in {{ event.data.image.repository }}",
        "summary": "{{ t('summary', critical=event.data.summary.critical, high=event.data.summary.high) }}",
        "severity": "{{ event.severity }}",
        "body": "The scan of **{{ event.data.image.repository }}** {{ t('verdict', verdict=event.data.verdict) }}.",
        "fields": [
            {"name": "Image", "value": "{{ event.data.image.repository }}:{{ event.data.image.tag }}"},
            {"name": "Digest", "value": "{{ event.data.image.digest | short }}"}
        ],
        "links": [{"title": "Open the report", "url": "{{ event.data.links.report }}"}],
        "footer": "Sent because of the rule {{ rule.name }}"
    });
    let entry = "- {{ f.id | code }} **{{ t('severity', level=f.severity) }}**: {{ f.title }}. \
                 {{ t('package', package=f.package, installed=f.installed) }}\n";
    let looped = json!({
        "title": "{{ t('title', count=event.data.summary.newCritical, image=event.data.image.repository) }}",
        "summary": "{{ t('summary', critical=event.data.summary.critical, high=event.data.summary.high) }}",
        "body": format!("{{% for f in event.data.findings[:10] %}}{entry}{{% endfor %}}"),
        "fields": [{"name": "{{ t('image') }}", "value": "{{ event.data.image.repository }}"}],
        "links": [{"title": "{{ t('report') }}", "url": "{{ event.data.links.report }}"}]
    });
    let template = |id: &str, message: Value| {
        let document = json!({"schema": "notify-template@1", "id": id, "name": id, "message": message});
        let document = serde_json::from_value(document).expect("the template is a document");
        Version { version: 1, digest: format!("sha256:{id}"), document }
    };
    let bundle = json!({"schema": "notify-bundle@1", "id": "b-en", "locale": "en", "messages": MESSAGES});
    let document = serde_json::from_value(bundle).expect("the bundle is a document");
    let bundle = Version { version: 1, digest: "sha256:en".to_owned(), document };
    let templates = [template("eight", eight), template("looped", looped)];
    let (library, problems) = Library::compile(&templates, &[bundle], "en");
    assert!(problems.is_empty(), "{problems:?}");

    let path =
        concat!(env!("CARGO_MANIFEST_DIR"), "/../resources/samples/events/01-scanner-report-critical.json");
    let event: Value =
        serde_json::from_slice(&std::fs::read(path).expect("the sample is there")).expect("it is JSON");
    let context =
        RenderContext { tenant: "acme", rule_id: "r", rule_name: "Critical findings", channel_id: "chat" };
    for name in [None, Some("eight"), Some("looped")] {
        let id = name.map(|name| name.parse().expect("a slug"));
        let rendered = library.render(id.as_ref(), "en", &event, &context);
        assert_eq!(rendered.failed, None);
        let bytes = serde_json::to_vec(&rendered.message).expect("a message is JSON").len();
        let rate = rate(|| {
            black_box(library.render(id.as_ref(), "en", black_box(&event), &context));
        });
        println!("{:<8} {rate:>9.0} renders/s, {bytes} bytes each", name.unwrap_or("built-in"));
    }
}

#[allow(clippy::disallowed_methods, reason = "a benchmark reads the clock")]
fn rate(mut work: impl FnMut()) -> f64 {
    for _ in 0..2_000 {
        work();
    }
    let started = std::time::Instant::now();
    let mut rounds = 0_u32;
    while started.elapsed().as_secs() < 2 {
        for _ in 0..1_000 {
            work();
        }
        rounds += 1;
    }
    f64::from(rounds) * 1_000.0 / started.elapsed().as_secs_f64()
}
