//! Rules from files and folders, each with the place it came from: what `apply`, `test` and `lint` read.

use crate::failure::Failure;
use crate::files;
use notify_core::json::{self, Limits};
use notify_core::problem::{Code, Problem};
use notify_core::yaml;
use serde_json::Value;
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// Folders inside each other that are looked into.
const MAX_FOLDERS: usize = 32;

/// One rule and where it stands.
#[derive(Debug)]
pub struct Source {
    /// For messages: the file, and the number of the document where there are several.
    pub place: String,
    pub rule: Value,
}

/// A document that is refused, or a rule whose id stands in another place already.
#[derive(Debug)]
pub struct Refused {
    pub place: String,
    /// The rule's id, where it is known.
    pub id: String,
    pub problem: Problem,
}

/// What stands in the files, in order of the paths given and of the names below them. No two rules have one id.
#[derive(Debug, Default)]
pub struct Sources {
    pub rules: Vec<Source>,
    /// Event types with their places: `lint` holds rules against them, others pass them over.
    pub event_types: Vec<(String, Value)>,
    /// Documents of any other kind.
    pub others: usize,
    pub refused: Vec<Refused>,
}

impl Sources {
    /// How many documents are passed over by who looks at rules only.
    #[must_use]
    pub fn passed_over(&self) -> usize {
        self.others + self.event_types.len()
    }
}

/// For people; empty where nothing was passed over.
#[must_use]
pub fn passed_over_text(count: usize) -> String {
    match count {
        0 => String::new(),
        1 => "1 document of another kind was passed over".to_owned(),
        more => format!("{more} documents of other kinds were passed over"),
    }
}

/// Reads files, folders with all below them, and `-`. `may_be_empty`: a folder without any file is no mistake.
///
/// # Errors
/// When something cannot be read at all. What is wrong inside the files is told in the answer.
pub fn read(paths: &[PathBuf], may_be_empty: bool) -> Result<Sources, Failure> {
    let mut all = Sources::default();
    for path in paths {
        let folder = path != Path::new("-") && path.is_dir();
        let found = if folder { below(path, &mut HashSet::new(), 0)? } else { vec![path.clone()] };
        if found.is_empty() && !may_be_empty {
            let reason = format!("{} holds no file that ends in .yaml, .yml or .json", path.display());
            return Err(Failure::other(reason, "name the folder that holds the rules"));
        }
        for file in found {
            all.take_file(&file, folder)?;
        }
    }
    all.each_id_once();
    Ok(all)
}

#[derive(PartialEq, Eq)]
enum Is {
    Rule,
    EventType,
    Other,
}

/// `searched`: found in a folder, where anything may lie. A rule with a wrong `schema` or none is still a rule, so that it
/// is refused: passed over, it would be pruned.
fn what(document: &Value, searched: bool) -> Is {
    let schema = document.get("schema").and_then(Value::as_str).unwrap_or_default();
    let has = |name: &str| document.get(name).is_some();
    match schema.split_once('@').map_or(schema, |(kind, _)| kind) {
        "notify-event-type" => Is::EventType,
        "notify-channel" | "notify-template" | "notify-bundle" => Is::Other,
        kind if kind.starts_with("notify-") => Is::Rule,
        _ if has("actions") && (has("match") || has("filters")) => Is::Rule,
        _ if searched => Is::Other,
        _ => Is::Rule,
    }
}

/// Files with documents below a folder, by name; hidden ones are left alone, links are followed.
fn below(folder: &Path, seen: &mut HashSet<PathBuf>, depth: usize) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: std::io::Error| Failure::other(format!("{} cannot be read: {error}", folder.display()), "");
    if depth > MAX_FOLDERS {
        let reason = format!("{} has more than {MAX_FOLDERS} folders inside each other", folder.display());
        return Err(Failure::other(reason, "name a folder further in"));
    }
    if !seen.insert(folder.canonicalize().map_err(failed)?) {
        let reason = format!("{} leads to a folder that was read already", folder.display());
        return Err(Failure::other(reason, "remove the link, or name the folders one by one"));
    }
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        entries.push(entry.map_err(failed)?.path());
    }
    entries.sort();
    let mut found = Vec::new();
    for path in entries {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with('.') {
            continue;
        }
        if path.is_dir() {
            found.extend(below(&path, seen, depth + 1)?);
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json")) {
            found.push(path);
        }
    }
    Ok(found)
}

/// All documents of a file, none of them `null`.
fn documents(file: &Path) -> Result<Result<Vec<Value>, (usize, Problem)>, Failure> {
    let content = files::read(file)?;
    // One level more than a rule by itself: a file may hold a list of them.
    let depth = yaml::DOCUMENT_LIMITS.max_depth + 1;
    let limits = Limits { max_bytes: content.len(), max_depth: depth };
    if matches!(content.trim_ascii_start().first(), Some(b'{' | b'[')) {
        match json::parse(&content, limits) {
            Ok(document) => return Ok(Ok(vec![document])),
            // It is meant as JSON: what is wrong with it as YAML would not help.
            Err(error) if file.extension().is_some_and(|e| e == "json") => {
                return Ok(Err((0, Problem::from(error))));
            }
            Err(_) => {}
        }
    }
    Ok(yaml::parse_all(&content, depth))
}

impl Sources {
    fn take_file(&mut self, file: &Path, searched: bool) -> Result<(), Failure> {
        let name = files::name(file);
        let documents = match documents(file)? {
            Ok(documents) => documents,
            Err((number, problem)) => {
                let place = place(&name, number, number > 0);
                self.refused.push(Refused { place, id: String::new(), problem });
                return Ok(());
            }
        };
        let several = documents.len() > 1;
        for (number, document) in documents.into_iter().enumerate() {
            let place = place(&name, number, several);
            match document {
                Value::Array(items) if searched && items.iter().all(|item| what(item, true) == Is::Other) => {
                    self.others += 1;
                }
                Value::Array(items) => {
                    for (index, item) in items.into_iter().enumerate() {
                        self.take(format!("{place} [{index}]"), item, searched);
                    }
                }
                document => self.take(place, document, searched),
            }
        }
        Ok(())
    }

    fn take(&mut self, place: String, document: Value, searched: bool) {
        match what(&document, searched) {
            Is::Rule => self.rules.push(Source { place, rule: document }),
            Is::EventType => self.event_types.push((place, document)),
            Is::Other => self.others += 1,
        }
    }

    fn each_id_once(&mut self) {
        let mut first: HashMap<String, String> = HashMap::new();
        let mut twice = Vec::new();
        self.rules.retain(|source| {
            let Some(id) = source.rule.get("id").and_then(Value::as_str) else { return true };
            let Some(other) = first.get(id) else {
                first.insert(id.to_owned(), source.place.clone());
                return true;
            };
            let reason = format!("the rule `{id}` stands in {other} as well");
            let problem = Problem::new(Code::InvalidRule, "/id", reason, "keep one of them, or rename it");
            twice.push(Refused { place: source.place.clone(), id: id.to_owned(), problem });
            false
        });
        self.refused.extend(twice);
    }
}

fn place(file: &str, number: usize, several: bool) -> String {
    if several { format!("{file} (document {})", number + 1) } else { file.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places<T: AsRef<str>>(folder: &Path, files: &[(&str, T)]) -> Result<Vec<String>, String> {
        for (name, content) in files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content.as_ref()).unwrap();
        }
        let strip = |text: String| text.replace(&format!("{}/", folder.display()), "");
        let all = read(&[folder.to_owned()], false).map_err(|failure| strip(failure.text()))?;
        if !all.refused.is_empty() {
            let problems = all.refused.into_iter().map(|refused| (Some(refused.place), refused.problem));
            return Err(strip(Failure::Problems(problems.collect()).text()));
        }
        let shown = |s: &Source| format!("{} {}", s.rule["id"].as_str().unwrap_or("-"), s.place);
        let mut told: Vec<_> = all.rules.iter().map(|source| strip(shown(source))).collect();
        told.extend(Some(passed_over_text(all.passed_over())).filter(|text| !text.is_empty()));
        Ok(told)
    }

    /// `{id: x}` is no rule yet.
    fn rules(text: &str) -> String {
        text.replace("id: ", "schema: notify-rule@1\nid: ")
            .replace("\"id\": ", "\"schema\": \"notify-rule@1\", \"id\": ")
    }

    #[test]
    fn every_rule_knows_where_it_came_from() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("b.yml", "id: b\n"),
            ("a/two.yaml", "---\nid: x\n---\nid: y\n"),
            ("a/list.json", r#"[{"id": "l0"}, {"id": "l1"}]"#),
            ("one.json", r#"{"id": "j"}"#),
            ("README.md", "no rule"),
            (".git/config.yaml", "id: hidden\n"),
        ];
        let expected = [
            "l0 a/list.json [0]",
            "l1 a/list.json [1]",
            "x a/two.yaml (document 1)",
            "y a/two.yaml (document 2)",
            "b b.yml",
            "j one.json",
        ];
        let files = files.map(|(name, text)| (name, rules(text)));
        assert_eq!(places(folder.path(), &files).unwrap(), expected);
    }

    #[test]
    fn other_kinds_are_passed_over_and_doubtful_rules_are_not() {
        let like = "actions: []\nmatch: {}\n";
        for (document, in_a_folder, named) in [
            ("schema: notify-rule@1\n".to_owned(), Is::Rule, Is::Rule),
            ("schema: notify-rule@9\n".to_owned(), Is::Rule, Is::Rule),
            ("schema: notify-rules@1\n".to_owned(), Is::Rule, Is::Rule),
            (format!("schema: other\n{like}"), Is::Rule, Is::Rule),
            (like.to_owned(), Is::Rule, Is::Rule),
            ("schema: notify-channel@1\n".to_owned(), Is::Other, Is::Other),
            (format!("schema: notify-template@1\n{like}"), Is::Other, Is::Other),
            ("schema: notify-bundle@1\n".to_owned(), Is::Other, Is::Other),
            ("schema: notify-event-type@1\n".to_owned(), Is::EventType, Is::EventType),
            ("services: {}\n".to_owned(), Is::Other, Is::Rule),
            ("just text\n".to_owned(), Is::Other, Is::Rule),
        ] {
            let value = yaml::parse(document.as_bytes(), yaml::DOCUMENT_LIMITS).unwrap();
            assert!(what(&value, true) == in_a_folder, "{document}");
            assert!(what(&value, false) == named, "{document}");
        }
        let folder = tempfile::tempdir().unwrap();
        let mixed = "schema: notify-rule@1\nid: r\n---\nschema: notify-channel@1\nid: c\n";
        let files = [
            ("a.yaml", mixed),
            ("empty.yaml", ""),
            ("x.json", "[1, 2]"),
            ("t.yaml", "schema: notify-event-type@1"),
        ];
        let expected = ["r a.yaml (document 1)", "3 documents of other kinds were passed over"];
        assert_eq!(places(folder.path(), &files).unwrap(), expected);
    }

    #[test]
    fn links_are_followed_and_lead_nowhere_twice() {
        let folder = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::write(elsewhere.path().join("far.yaml"), "schema: notify-rule@1\nid: far\n").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("link")).unwrap();
        let near = [("near.yaml", "schema: notify-rule@1\nid: near\n")];
        assert_eq!(places(folder.path(), &near).unwrap(), ["far link/far.yaml", "near near.yaml"]);
        std::os::unix::fs::symlink(folder.path(), folder.path().join("back")).unwrap();
        let told = places(folder.path(), &near).unwrap_err();
        assert!(told.contains("back leads to a folder that was read already"), "{told}");
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let files = [
            ("a.yaml", "id: same\n"),
            ("b.yaml", "id: other\n---\nid: same\n"),
            ("c.yaml", "id: c\n---\nid: [\n"),
            ("d.json", r#"{"id": "d", "id": "d"}"#),
        ];
        let files = files.map(|(name, text)| (name, rules(text)));
        let told = places(folder.path(), &files).unwrap_err();
        for expected in [
            "error[invalid-rule]: b.yaml (document 2) at /id: the rule `same` stands in a.yaml as well",
            "error[malformed-yaml]: c.yaml (document 2)",
            "error[duplicate-key]: d.json",
        ] {
            assert!(told.contains(expected), "{expected}\n{told}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(places::<&str>(empty.path(), &[]).unwrap_err().contains("holds no file"));
    }
}
