//! Templates that try to use up time or memory. Each must stop by itself, with little of both.
//!
//! This is a test binary of its own because it counts what is allocated.

mod render;

use notify_core::document::{Bundle, Version};
use notify_core::problem::Code;
use notify_core::render::{Library, validate_template};
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;
use render::{CONTEXT, bundle, template};
use serde_json::{Value, json};
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// Counts live and peak bytes of the current thread.
struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(bytes: isize) {
    // While a thread ends its locals are gone; nothing is measured then.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
}

// SAFETY: every call is passed on to the system allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: the caller's contract is the system allocator's.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// What one rendering may allocate: far below the gigabytes that fuel alone lets through.
const PEAK_LIMIT: isize = 8 * 1024 * 1024;
/// An unoptimised build on a shared machine; a release build takes a few milliseconds.
const TIME_LIMIT_MS: u128 = 2_000;

#[allow(
    clippy::disallowed_methods,
    reason = "measures how long the attack runs, outside of any product code"
)]
fn measured<T>(work: impl FnOnce() -> T) -> (T, isize, u128) {
    let base = LIVE.get();
    PEAK.set(base);
    let started = std::time::Instant::now();
    let result = work();
    (result, PEAK.get() - base, started.elapsed().as_millis())
}

fn attack(message: Value, bundles: &[Version<Bundle>], event: &Value) -> notify_core::render::Rendered {
    let name = message.to_string();
    let name: String = name.chars().take(160).collect();
    let ((rendered, problems), peak, millis) = measured(|| {
        let (library, problems) = Library::compile(&[template(message)], bundles, "en");
        (library.render(Some(&"t".parse().unwrap()), "en", event, &CONTEXT), problems)
    });
    eprintln!("{millis:>5} ms {:>6} KiB {name}", peak / 1024);
    assert!(peak < PEAK_LIMIT, "{name} took {peak} bytes");
    assert!(millis < TIME_LIMIT_MS, "{name} took {millis} ms");
    assert!(problems.is_empty(), "{problems:?}");
    rendered
}

fn event() -> Value {
    let items: Vec<Value> = (0..2_000).map(|n| json!({"n": n, "s": "x"})).collect();
    json!({
        "id": "1", "source": "/s", "type": "t",
        "data": {"text": "y".repeat(2_000), "big": "x ".repeat(30_000), "dots": ".".repeat(60_000), "items": items, "lines": "\n".repeat(30_000)}
    })
}

#[test]
fn attacks_stop_early_and_cheaply() {
    let doublings =
        format!("{{% set a = 'xxxxxxxx' %}}{}{{{{ a | length }}}}", "{% set a = a ~ a %}".repeat(100));
    let nested = |depth: usize, inside: &str| {
        let open: String = (0..depth).map(|n| format!("{{% for i{n} in event.data.items %}}")).collect();
        format!("{open}{inside}{}", "{% endfor %}".repeat(depth))
    };
    let lists = format!("{{% set a = ['x'] %}}{}{{{{ a | tojson }}}}", "{% set a = [a, a, a] %}".repeat(60));
    for (source, words) in [
        (doublings.as_str(), "65536"),
        (&format!("{{{{ 'x'{} }}}}", " ~ event.data.big".repeat(20)), "65536"),
        (&format!("{{{{ '{}'{} }}}}", "x".repeat(2_000), " ~ event.data.big[:20000]".repeat(15)), "65536"),
        ("{{ 'x' * 100000000 }}", "`*` was given a text"),
        ("{{ [1] * 100000000 }}", "`*` was given a list"),
        ("{{ event.data.lines | indent(200000000) }}", "65536"),
        ("{{ event.data.lines | indent(9223372036854775807) }}", "65536"),
        ("{{ event.data.dots | replace('.', event.data.big) }}", "65536"),
        ("{{ event.data.items | join(event.data.big, attribute='s') }}", "65536"),
        ("{{ event.data.dots | split('.') | length }}", "65536"),
        ("{{ event | tojson }}", "bytes"),
        ("{{ event.data.big }}", "bytes"),
        (&nested(4, "x"), ""),
        (&nested(4, "{% if event.data.big[:-1] == event.data.big %}x{% endif %}"), "bytes in all"),
        (&nested(4, "{% if 'yy' in event.data.big %}x{% endif %}"), "bytes in all"),
        (&nested(4, "{% if event.data.items | sort(attribute='n') | length == 1 %}x{% endif %}"), ""),
        (&nested(4, "{% set a = event.data.items | unique %}"), ""),
        (&lists, ""),
        (&nested(2, "{{ t('laugh') }}"), ""),
    ] {
        let laughs = bundle("en", "laugh = ha");
        for leaf in ["summary", "body"] {
            let mut message = json!({"title": "x"});
            message[leaf] = json!(source);
            let rendered = attack(message, std::slice::from_ref(&laughs), &event());
            let problem = rendered.failed.unwrap_or_else(|| panic!("{source:.80} was rendered"));
            assert_eq!(problem.code, Code::RenderFailed);
            assert!(problem.reason.contains(words), "{source:.80}: {problem}");
            assert_eq!(rendered.message.title, "t", "the built-in message");
        }
    }
}

#[test]
fn sums_over_many_leaves_are_bounded_too() {
    let loops = "{% for i in event.data.items %}{% for j in event.data.items %}{% endfor %}{% endfor %}";
    let fields: Vec<Value> = (0..100).map(|_| json!({"name": "n", "value": loops})).collect();
    assert!(attack(json!({"title": "x", "fields": fields}), &[], &event()).failed.is_some());
    // Each field is fine, all together are not.
    let fields: Vec<Value> =
        (0..50).map(|_| json!({"name": "n", "value": "{{ event.data.text }}"})).collect();
    let problem = attack(json!({"title": "x", "fields": fields}), &[], &event()).failed.unwrap();
    assert!(problem.reason.contains("32768"), "{problem}");
    // `each` stops at the longest list a message may have.
    let many = json!({"title": "x", "fields": [{"each": "event.data.items", "item": {"name": "n", "value": "{{ item.n }}"}}]});
    let rendered = attack(many, &[], &event());
    assert_eq!((rendered.failed, rendered.message.fields.len()), (None, 50));
}

#[test]
fn billion_laughs_in_a_bundle() {
    let mut laughs = format!("l0 = {}\n", "ha".repeat(10_000));
    for n in 1..30 {
        laughs += &format!("l{n} = {{ l{} }}{{ l{} }}\n", n - 1, n - 1);
    }
    let problem =
        attack(json!({"title": "{{ t('l29') }}"}), &[bundle("en", &laughs)], &event()).failed.unwrap();
    assert!(problem.reason.contains("24576"), "{problem}");
    let terms: String = (1..30).map(|n| format!("-l{n} = {{ -l{} }}{{ -l{} }}\n", n - 1, n - 1)).collect();
    let all =
        format!("-l0 = {}\n{terms}a = {{ NUMBER(-l29) ->\n    [x] y\n   *[z] z\n }}", "ha".repeat(10_000));
    let all = all.replace("NUMBER(-l29)", "NUMBER({ -l29 })");
    // Whatever it gives, it gives it soon.
    attack(json!({"title": "{{ t('a') | default('x') }}"}), &[bundle("en", &all)], &event());
    let digits = "a = { NUMBER(1, minimumFractionDigits: 4000000000) }";
    assert_eq!(
        attack(json!({"title": "{{ t('a') }}"}), &[bundle("en", digits)], &event()).message.title.len(),
        22
    );
}

#[test]
fn compiling_folds_nothing_large() {
    for source in
        ["{{ 'x' * 100000000 * 10 }}", "{{ ('x' * 99999999) ~ ('y' * 99999999) }}", "{{ [1] * 99999999 }}"]
    {
        let document = template(json!({"title": source})).document;
        let (result, peak, _) = measured(|| validate_template(&document, &[]));
        assert!(peak < PEAK_LIMIT, "{source}: {peak} bytes, {result:?}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-z]{0,6}",
        "\\PC{0,12}",
        Just("high".to_owned()),
        Just("\u{0}\u{202E}\n<b>".to_owned())
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("image".to_owned()),
        Just("summary".to_owned()),
        Just("findings".to_owned()),
        Just("links".to_owned()),
        Just("labels".to_owned()),
        Just("annotations".to_owned()),
        Just("status".to_owned()),
        "\\PC{0,5}"
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::vec((key.clone(), inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// One of the shipped events with one of its values replaced: most of the template still works on it.
fn mutated() -> impl Strategy<Value = Value> {
    let folder = render::root().join("resources/samples/events");
    let mut samples: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| render::read_json(entry.unwrap().path())).collect();
    samples.extend(render::alerts("firing").into_iter().chain(render::alerts("grafana-firing")));
    (prop::sample::select(samples), any::<prop::sample::Index>(), any_json()).prop_map(
        |(mut event, index, value)| {
            fn paths(value: &Value, path: &str, all: &mut Vec<String>) {
                all.push(path.to_owned());
                match value {
                    Value::Object(members) => {
                        members.iter().for_each(|(k, v)| paths(v, &format!("{path}/{k}"), all))
                    }
                    Value::Array(items) => {
                        items.iter().enumerate().for_each(|(i, v)| paths(v, &format!("{path}/{i}"), all))
                    }
                    _ => {}
                }
            }
            let mut all = Vec::new();
            paths(&event, "", &mut all);
            *event.pointer_mut(&all[index.index(all.len())]).unwrap() = value;
            event
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::WithSource("regressions"))),
        ..ProptestConfig::default()
    })]

    /// Any event gives a message: bounded, titled, the same again, and with a reason when the template did not work.
    #[test]
    fn any_event_gives_a_message(event in prop_oneof![any_json(), mutated()], locale in "(en|de|de-AT|fr|\\PC{0,4})") {
        let library = render::library();
        for id in ["finding-summary", "scan-result", "release-update", "supply-chain-violation", "alertmanager-alert"] {
            let rendered = library.render(Some(&id.parse().unwrap()), &locale, &event, &CONTEXT);
            prop_assert!(!rendered.message.title.is_empty());
            prop_assert!(!rendered.message.title.contains('\n'));
            let bytes = serde_json::to_vec(&rendered.message).unwrap();
            prop_assert!(bytes.len() <= 32 * 1024);
            prop_assert_eq!(&rendered, &library.render(Some(&id.parse().unwrap()), &locale, &event, &CONTEXT));
            if let Some(problem) = rendered.failed {
                prop_assert!(problem.path.starts_with("/message") && !problem.reason.is_empty());
            }
        }
    }
}
