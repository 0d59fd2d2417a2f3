//! Rules from files and folders, each with the place it came from.

use crate::failure::Failure;
use crate::files;
use notify_core::json::{self, Limits};
use notify_core::problem::{Code, Problem};
use notify_core::yaml;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Folders inside each other that are looked into: more is a link that leads back.
const MAX_FOLDERS: usize = 32;

/// One rule and where it stands.
#[derive(Debug)]
pub struct Source {
    /// For messages: the file, and the number of the document where there are several.
    pub place: String,
    pub rule: Value,
}

/// All rules of all files, in order of the paths given and of the names below them.
///
/// # Errors
/// Every file that cannot be read, and every id that stands in two places.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Source>, Failure> {
    let mut all = Vec::new();
    let mut problems = Vec::new();
    for path in paths {
        let found =
            if path != Path::new("-") && path.is_dir() { below(path, 0)? } else { vec![path.clone()] };
        if found.is_empty() {
            let reason = format!("{} holds no file that ends in .yaml, .yml or .json", path.display());
            return Err(Failure::other(reason, "name the folder that holds the rules"));
        }
        for file in found {
            match rules(&file) {
                Ok(rules) => all.extend(rules),
                Err(Failure::Problems(found)) => problems.extend(found),
                Err(other) => return Err(other),
            }
        }
    }
    problems.extend(twice(&all));
    if problems.is_empty() { Ok(all) } else { Err(Failure::Problems(problems)) }
}

/// Files with rules below a folder, by name; hidden ones are left alone.
fn below(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, Failure> {
    let failed =
        |error: std::io::Error| Failure::other(format!("{} cannot be read: {error}", folder.display()), "");
    if depth > MAX_FOLDERS {
        let reason = format!("{} has more than {MAX_FOLDERS} folders inside each other", folder.display());
        return Err(Failure::other(reason, "look for a link that leads back"));
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
            found.extend(below(&path, depth + 1)?);
        } else if matches!(path.extension().and_then(|e| e.to_str()), Some("yaml" | "yml" | "json")) {
            found.push(path);
        }
    }
    Ok(found)
}

fn rules(file: &Path) -> Result<Vec<Source>, Failure> {
    let content = files::read(file)?;
    let name = files::name(file);
    // One level more than a rule by itself: a file may hold a list of them.
    let depth = yaml::DOCUMENT_LIMITS.max_depth + 1;
    let limits = Limits { max_bytes: content.len(), max_depth: depth };
    let is_json = matches!(content.trim_ascii_start().first(), Some(b'{' | b'['));
    let json = if is_json { json::parse(&content, limits).ok() } else { None };
    let documents = match json {
        Some(document) => vec![document],
        None if is_json && file.extension().is_some_and(|e| e == "json") => {
            // It is meant as JSON: what is wrong with it as YAML would not help.
            let problem = json::parse(&content, limits).err().map(Problem::from);
            return Err(Failure::Problems(problem.into_iter().map(|p| (Some(name.clone()), p)).collect()));
        }
        None => yaml::parse_all(&content, depth).map_err(|(number, problem)| {
            Failure::Problems(vec![(Some(place(&name, number, number > 0)), problem)])
        })?,
    };
    let several = documents.len() > 1;
    let mut all = Vec::new();
    for (number, document) in documents.into_iter().enumerate() {
        match document {
            Value::Array(rules) => {
                for (index, rule) in rules.into_iter().enumerate() {
                    all.push(Source { place: format!("{} [{index}]", place(&name, number, several)), rule });
                }
            }
            rule => all.push(Source { place: place(&name, number, several), rule }),
        }
    }
    Ok(all)
}

fn place(file: &str, number: usize, several: bool) -> String {
    if several { format!("{file} (document {})", number + 1) } else { file.to_owned() }
}

fn twice(all: &[Source]) -> Vec<(Option<String>, Problem)> {
    let mut first: HashMap<&str, &str> = HashMap::new();
    let mut problems = Vec::new();
    for source in all {
        let Some(id) = source.rule.get("id").and_then(Value::as_str) else { continue };
        if let Some(other) = first.insert(id, &source.place) {
            let reason = format!("the rule `{id}` stands in {other} as well");
            let problem = Problem::new(Code::InvalidRule, "/id", reason, "keep one of them, or rename it");
            problems.push((Some(source.place.clone()), problem));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(folder: &Path, files: &[(&str, &str)]) -> Result<Vec<String>, String> {
        for (name, content) in files {
            let file = folder.join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, content).unwrap();
        }
        let strip = |text: String| text.replace(&format!("{}/", folder.display()), "");
        match read(&[folder.to_owned()]) {
            Ok(all) => {
                let shown = |s: Source| format!("{} {}", s.rule["id"].as_str().unwrap_or("-"), s.place);
                Ok(all.into_iter().map(|source| strip(shown(source))).collect())
            }
            Err(failure) => Err(strip(failure.text())),
        }
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
        assert_eq!(places(folder.path(), &files).unwrap(), expected);
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
        let told = places(folder.path(), &files).unwrap_err();
        for expected in [
            "error[invalid-rule]: b.yaml (document 2) at /id: the rule `same` stands in a.yaml as well",
            "error[malformed-yaml]: c.yaml (document 2)",
            "error[duplicate-key]: d.json",
        ] {
            assert!(told.contains(expected), "{expected}\n{told}");
        }
        let empty = tempfile::tempdir().unwrap();
        assert!(places(empty.path(), &[]).unwrap_err().contains("holds no file"));
    }
}
