//! `notify rule export`: saved rules as files that `apply` finds unchanged.

use super::{ExportArgs, pairs, selector};
use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::Failure;
use crate::output;
use notify_client::Documents;
use notify_core::document::rule_file::{has_labels, to_yaml};
use serde_json::{Value, json};
use std::path::Path;

/// All of them, in pages.
const ALL: u32 = u32::MAX - 1;

pub async fn run(global: &Global, args: &ExportArgs) -> Result<(), Failure> {
    let selector = selector(&args.selector)?;
    let found = Client::new(global)?.documents(Documents::Rules, ALL).await?;
    let rules: Vec<(String, Value)> = found
        .into_iter()
        .filter(|rule| has_labels(&rule.document, pairs(&selector)))
        .map(|rule| (rule.id, rule.document))
        .collect();
    if args.out == Path::new("-") {
        if global.output == Format::Json {
            output::structured(Format::Json, &rules.into_iter().map(|(_, rule)| rule).collect());
        } else {
            let texts: Vec<String> = rules.iter().map(|(_, rule)| to_yaml(rule)).collect();
            output::say(texts.join("---\n").trim_end());
        }
        return Ok(());
    }
    let written = write(&args.out, &rules)?;
    match global.output {
        Format::Table => {
            let Written { changed, unchanged, others } = &written;
            output::say(&format!("{changed} files written, {unchanged} were as they should be."));
            if !others.is_empty() {
                let shown = others.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
                let more = if others.len() > 5 { ", …" } else { "" };
                output::say(&format!("{} files are of no exported rule: {shown}{more}", others.len()));
            }
        }
        format => output::structured(
            format,
            &json!({ "written": written.changed, "unchanged": written.unchanged, "others": written.others }),
        ),
    }
    Ok(())
}

struct Written {
    changed: usize,
    unchanged: usize,
    /// Rule files in the folder that nothing was exported to.
    others: Vec<String>,
}

/// One file for each rule. What is right already is not touched, so that its time says when the rule changed.
fn write(folder: &Path, rules: &[(String, Value)]) -> Result<Written, Failure> {
    let failed = |path: &Path, error: std::io::Error| {
        Failure::other(format!("{} cannot be written: {error}", path.display()), "")
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut written = Written { changed: 0, unchanged: 0, others: Vec::new() };
    let mut names = std::collections::BTreeSet::new();
    for (id, rule) in rules {
        // Ids are a-z, 0-9 and `-`; a service that says otherwise writes nowhere else.
        if !notify_core::ids::is_slug(id) {
            return Err(Failure::other(format!("`{}` is no id of a rule", id.escape_default()), ""));
        }
        let name = format!("{id}.yaml");
        let file = folder.join(&name);
        let text = to_yaml(rule);
        if std::fs::read(&file).is_ok_and(|known| known == text.as_bytes()) {
            written.unchanged += 1;
        } else {
            std::fs::write(&file, text).map_err(|error| failed(&file, error))?;
            written.changed += 1;
        }
        names.insert(name);
    }
    for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
        let name = entry.map_err(|error| failed(folder, error))?.file_name().to_string_lossy().into_owned();
        let is_rule = name.ends_with(".yaml") || name.ends_with(".yml") || name.ends_with(".json");
        if is_rule && !names.contains(&name) {
            written.others.push(name);
        }
    }
    written.others.sort();
    Ok(written)
}
