//! The fuzz targets over their corpus, and over what a few thousand blind changes make of it: what a fuzzer once found
//! stays found, without one. `cargo xtask fuzz` searches on.

#[path = "../../../fuzz/src/calendars.rs"]
mod calendars;
#[path = "../../../fuzz/src/documents.rs"]
mod documents;
#[path = "../../../fuzz/src/ledger.rs"]
mod ledger;
#[path = "../../../fuzz/src/service.rs"]
mod service;

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Files of the target's corpus and of these folders of `resources/` and others.
fn seeds(target: &str, more: &[&str]) -> Vec<Vec<u8>> {
    let mut files = Vec::new();
    for folder in [format!("fuzz/corpus/{target}")].iter().map(String::as_str).chain(more.iter().copied()) {
        let folder = root().join(folder);
        if folder.is_file() {
            files.push(folder);
            continue;
        }
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.unwrap().path();
            if path.is_file() {
                files.push(path);
            }
        }
    }
    files.sort();
    files.iter().map(|file| fs::read(file).unwrap()).collect()
}

struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}

/// One to four changes: a bit, a byte, a piece left out, doubled or taken from elsewhere.
fn changed(dice: &mut Dice, seed: &[u8], other: &[u8]) -> Vec<u8> {
    let mut bytes = seed.to_vec();
    for _ in 0..=dice.below(4) {
        let at = dice.below(bytes.len());
        let end = (at + 1 + dice.below(16)).min(bytes.len());
        match dice.below(6) {
            0 if !bytes.is_empty() => bytes[at] ^= 1 << dice.below(8),
            1 if !bytes.is_empty() => bytes[at] = b"{}[]\"\\:,-0\n\xff%' \x00"[dice.below(16)],
            2 => drop(bytes.drain(at.min(end)..end)),
            3 => {
                let piece = bytes[at.min(end)..end].to_vec();
                bytes.splice(at.min(end)..at.min(end), piece);
            }
            4 => {
                let from = dice.below(other.len());
                let piece = other[from..(from + 1 + dice.below(40)).min(other.len())].to_vec();
                bytes.splice(at.min(bytes.len())..at.min(bytes.len()), piece);
            }
            _ => bytes.truncate(at),
        }
    }
    bytes
}

fn check(name: &str, target: fn(&[u8]), more: &[&str], changes: usize) {
    let seeds = seeds(name, more);
    assert!(!seeds.is_empty(), "{name} has no corpus");
    let run = |bytes: &[u8]| {
        let outcome = std::panic::catch_unwind(|| target(bytes));
        assert!(outcome.is_ok(), "{name} fails on {:?}", String::from_utf8_lossy(bytes));
    };
    seeds.iter().for_each(|seed| run(seed));
    let mut dice = Dice(2026);
    for _ in 0..changes {
        let (seed, other) = (dice.below(seeds.len()), dice.below(seeds.len()));
        let bytes = changed(&mut dice, &seeds[seed], &seeds[other]);
        run(&bytes);
    }
}

#[test]
fn events() {
    check("event", documents::event, &["resources/samples/events"], 4_000);
}

#[test]
fn alerts() {
    check("alertmanager", documents::alertmanager, &["resources/samples/alertmanager"], 2_000);
}

#[test]
fn patterns() {
    check("pattern", documents::pattern, &[], 4_000);
    let cases = fs::read_to_string(root().join("resources/patterns/cases.jsonl")).unwrap();
    cases.lines().for_each(|case| documents::pattern(case.as_bytes()));
}

#[test]
fn event_texts() {
    check("event_text", documents::event_text, &["resources/samples/events"], 4_000);
}

#[test]
fn rule_files() {
    let more = ["resources/rules", "resources/channels", "templates", "resources/samples/documents/bad"];
    check("rule_file", documents::rule_file, &more, 2_000);
}

#[test]
fn calendars() {
    check("calendar", calendars::calendar, &["resources/samples/calendars"], 500);
}

#[test]
fn templates() {
    check("template", documents::template, &["templates"], 1_000);
}

#[test]
fn canonical_json() {
    check("canonical", documents::canonical, &["resources/samples/events"], 4_000);
}

#[test]
fn exports() {
    let sample = ledger::tar_of(&ledger::sample_files());
    assert!(ledger::believed(&sample), "the sample is a sound export");
    let kept = fs::read(root().join("fuzz/corpus/export/sample.tar")).unwrap();
    assert!(kept == sample, "fuzz/corpus/export/sample.tar is the sample");
    check("export", ledger::export, &[], 600);
    // Any one byte of the sample's checkpoint or entries, changed, is noticed.
    for (file, content) in ledger::sample_files() {
        if ["checkpoint", "entries.jsonl"].contains(&file.as_str()) {
            for at in (0..content.len()).step_by(37) {
                let mut files = ledger::sample_files();
                files.iter_mut().find(|(name, _)| *name == file).unwrap().1[at] ^= 1;
                assert!(!ledger::believed(&ledger::tar_of(&files)), "{file} at {at}");
            }
        }
    }
}

#[test]
fn ledger_texts() {
    check("ledger_text", ledger::ledger_text, &[], 6_000);
}

#[test]
fn manifests() {
    check("manifest", service::manifest, &["connectors/webhook/notify-plugin.json"], 2_000);
}

#[test]
fn frames() {
    check("frame", service::frame, &[], 6_000);
}

#[test]
fn tokens() {
    check("token", service::token, &[], 1_000);
}

#[test]
fn pages() {
    check("page", service::page, &[], 2_000);
}

/// Writes the seeds that are made and not found: run it after a format has changed on purpose.
#[test]
#[ignore = "writes into the source tree"]
fn write_generated_seeds() {
    use notify_connector_host::frame::{FromChild, ToChild};
    let write = |target: &str, name: &str, bytes: &[u8]| {
        let folder = root().join("fuzz/corpus").join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    };
    let files = ledger::sample_files();
    write("export", "sample.tar", &ledger::tar_of(&files));
    for (name, bytes) in &files {
        match name.as_str() {
            "entries.jsonl" => {
                for (number, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
                    if !line.is_empty() {
                        write("ledger_text", &format!("entry-{number}"), line);
                    }
                }
            }
            name => write("ledger_text", &name.replace('/', "-"), bytes),
        }
    }
    let mut stream = Vec::new();
    let start =
        ToChild::Start { capability: 1, max_request: 1024, cpu_seconds: 30, sandbox: 0, options_json: b"{}" };
    let validate =
        ToChild::Validate { channel_type: b"webhook", config_json: b"{\"url\":\"https://x.test\"}" };
    for frame in [start, ToChild::Health, validate, ToChild::Drain { deadline_unix_ms: 5 }] {
        frame.write(7, &mut stream).unwrap();
    }
    write("frame", "to-child", &stream);
    stream.clear();
    let ready = FromChild::Ready { abi_minor: 0, capabilities: 1, describe_json: b"{}", sandbox: b"limits" };
    let prepared = FromChild::Prepared { code: 0, request_json: b"{\"method\":\"POST\"}", detail: b"" };
    let outcome =
        FromChild::Outcome { code: 2, retry_after_ms: 1_000, detail: b"busy", provider_reference: b"ref" };
    let log = FromChild::Log { level: 2, text: b"hello", fields_json: b"{}" };
    for frame in [ready, prepared, outcome, log, FromChild::Refused { reason: b"no" }] {
        frame.write(9, &mut stream).unwrap();
    }
    write("frame", "from-child", &stream);
    let cases = fs::read_to_string(root().join("resources/patterns/cases.jsonl")).unwrap();
    for (number, line) in cases.lines().enumerate().step_by(29) {
        write("pattern", &format!("case-{number:04}"), line.as_bytes());
    }
}
