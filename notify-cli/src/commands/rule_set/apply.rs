//! `notify rule apply`: what the files say, compared, shown, agreed to and done as one.

use super::sources::{self, Source};
use super::{ApplyArgs, pairs, selector};
use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::output;
use crate::style::{self, Painter, Tone};
use notify_client::Error;
use notify_client::model::{AppliedRule, AppliedRules, ApplyRules, Difference};
use notify_core::document::rule_file::has_labels;
use notify_core::ids::is_slug;
use notify_core::problem::{Code, Problem};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::io::IsTerminal;

/// Characters of one value that are shown.
const MAX_SHOWN: usize = 200;

pub async fn run(global: &Global, args: &ApplyArgs) -> Result<(), Failure> {
    let selector = selector(&args.selector)?;
    let read = sources::read(&args.file, args.allow_empty)?;
    let passed_over = read.passed_over();
    if !read.refused.is_empty() {
        let refused = read.refused.into_iter().map(|refused| (Some(refused.place), refused.problem));
        return Err(Failure::Problems(refused.collect()));
    }
    let selected = |source: &Source| has_labels(&source.rule, pairs(&selector));
    let (rules, left): (Vec<_>, Vec<_>) = read.rules.into_iter().partition(selected);
    if args.prune && rules.is_empty() && !args.allow_empty {
        return Err(nothing_left(args, left.len()));
    }
    let files = Files { rules, left: left.len(), passed_over };
    let client = Client::new(global)?;
    let mut asked = request(args, &files.rules, &left, selector);
    if args.yes && !args.dry_run {
        asked.dry_run = false;
        let done = send(&client, &asked, &files.rules).await?;
        show(global.output, &done, &files);
        return Ok(());
    }
    let planned = send(&client, &asked, &files.rules).await?;
    let nothing = planned.created + planned.changed + planned.deleted == 0;
    if args.dry_run || nothing {
        show(global.output, &planned, &files);
        return Ok(());
    }
    // What is agreed to goes to where the answer does not: that may be read by a program.
    eprintln!("{}", text(&planned, &files, style::err));
    agree()?;
    asked.dry_run = false;
    // What was shown, or nothing.
    asked.if_config_version = Some(planned.config_version);
    let done = send(&client, &asked, &files.rules).await?;
    match global.output {
        Format::Table => output::say(&summary(&done)),
        _ => show(global.output, &done, &files),
    }
    Ok(())
}

/// What would be done; `left` are the rules that the selector leaves out.
fn request(
    args: &ApplyArgs,
    rules: &[Source],
    left: &[Source],
    selector: BTreeMap<String, String>,
) -> ApplyRules {
    // What is no id is that of no saved rule.
    let id = |source: &Source| {
        source.rule.get("id").and_then(Value::as_str).filter(|id| is_slug(id)).map(str::to_owned)
    };
    ApplyRules {
        rules: rules.iter().map(|source| source.rule.clone()).collect(),
        // They still stand in the files: one that lost its label there is not to be deleted.
        keep: if args.prune { left.iter().filter_map(id).collect() } else { Vec::new() },
        set: Some(args.set.clone()),
        prune: args.prune,
        adopt: args.adopt,
        force: args.force,
        dry_run: true,
        selector,
        if_config_version: None,
    }
}

/// The rules that are sent, and what else was found.
struct Files {
    rules: Vec<Source>,
    /// Rules that the selector leaves out.
    left: usize,
    /// Documents of other kinds.
    passed_over: usize,
}

fn nothing_left(args: &ApplyArgs, left: usize) -> Failure {
    let (found, of) = match (left, args.selector.join(" ")) {
        (0, of) => ("the files hold no rule".to_owned(), of),
        (left, of) => (format!("none of the {left} rules in the files is selected by {of}"), of),
    };
    let what = if of.is_empty() { String::new() } else { format!(" with {of}") };
    let reason = format!("{found}, so `--prune` would delete all rules of the set `{}`{what}", args.set);
    Failure::other(reason, "see what wrote the files; give --allow-empty as well if that is wanted")
}

fn agree() -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        let reason = "nobody is there to agree to these changes";
        return Err(Failure::usage(reason, "give --yes to apply them, or --dry-run to see them only"));
    }
    eprint!("Apply? [y/N] ");
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if read.is_ok() && yes { Ok(()) } else { Err(Failure::other("nothing was changed", "")) }
}

/// Problems of the service name a rule's number; here they name its file.
async fn send(client: &Client, asked: &ApplyRules, sources: &[Source]) -> Result<AppliedRules, Failure> {
    match client.apply_rules(asked).await {
        Ok(done) => Ok(done),
        Err(Error::Problem(problem)) if !problem.problems.is_empty() => {
            let told = problem.problems.len() as u64;
            let mut problems: Vec<_> =
                problem.problems.iter().map(|problem| placed(problem, sources)).collect();
            let more = problem.problem_count.unwrap_or(told).saturating_sub(told);
            if more > 0 {
                let reason = format!("{more} more problems are not shown");
                let fix = "correct these first";
                problems.push((None, Problem::new(Code::InvalidRule, "", reason, fix)));
            }
            Err(Failure::Problems(problems))
        }
        Err(Error::Problem(problem)) if problem.code == Code::PreconditionFailed.as_str() => {
            let reason = "somebody else changed the tenant's configuration after these changes were shown";
            Err(Failure::other(reason, "nothing was changed: run the command again"))
        }
        Err(other) => Err(other.into()),
    }
}

fn placed(problem: &notify_client::Problem, sources: &[Source]) -> (Option<String>, Problem) {
    let (code, reason) = match serde_json::from_value::<Code>(problem.code.clone().into()) {
        Ok(code) => (code, problem.detail.clone()),
        // Of a service that is newer than this program.
        Err(_) => (Code::InvalidRule, format!("{}: {}", problem.code, problem.detail)),
    };
    let numbered =
        problem.path.strip_prefix("/rules/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    let found = numbered.and_then(|(number, rest)| Some((sources.get(number.parse::<usize>().ok()?)?, rest)));
    match found {
        Some((source, rest)) => {
            let path = if rest.is_empty() { String::new() } else { format!("/{rest}") };
            (Some(source.place.clone()), Problem::new(code, path, reason, &problem.fix))
        }
        None => (None, Problem::new(code, &problem.path, reason, &problem.fix)),
    }
}

fn show(format: Format, done: &AppliedRules, files: &Files) {
    match format {
        Format::Table => output::say(&text(done, files, style::out)),
        format => {
            let mut whole = json!(done);
            whole["passedOver"] = files.passed_over.into();
            whole["notSelected"] = files.left.into();
            output::structured(format, &whole);
        }
    }
}

fn text(done: &AppliedRules, files: &Files, paint: Painter) -> String {
    let mut out = String::new();
    for rule in &done.rules {
        one(rule, &done.set, &files.rules, paint, &mut out);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(done));
    match files.left {
        0 => {}
        1 => out.push_str("\n1 rule of the files is not selected."),
        left => {
            let _ = write!(out, "\n{left} rules of the files are not selected.");
        }
    }
    if files.passed_over > 0 {
        let _ = write!(out, "\n{}.", sources::passed_over_text(files.passed_over));
    }
    out
}

fn one(rule: &AppliedRule, set: &str, sources: &[Source], paint: Painter, out: &mut String) {
    let source = rule.index.and_then(|index| sources.get(usize::try_from(index).ok()?));
    let place = source.map(|source| format!(", {}", source.place)).unwrap_or_default();
    // Of interest only where it is not the one that is applied.
    let set = match rule.set.as_deref() {
        Some(own) if own == set => String::new(),
        Some(other) => format!(", set {other}"),
        None => ", in no set".to_owned(),
    };
    let line = |sign: &str, what: String, tone: Tone| {
        paint(&printable(&format!("{sign} {} ({what}{set}{place})", rule.id)), tone)
    };
    let _ = match rule.action.as_str() {
        "create" => {
            let told = source.map(|source| in_short(&source.rule)).unwrap_or_default();
            writeln!(out, "{}{told}", line("+", format!("version {}", rule.version), Tone::Good))
        }
        "delete" => writeln!(out, "{}", line("-", format!("version {}", rule.version), Tone::Bad)),
        "replace" => {
            let versions =
                format!("version {} to {}", rule.previous_version.unwrap_or_default(), rule.version);
            let _ = writeln!(out, "{}", line("~", versions, Tone::Caution));
            for change in rule.changes.iter().flatten() {
                let _ = writeln!(out, "    {}", difference(change));
            }
            if let Some(more) = rule.changes_omitted {
                let _ = writeln!(out, "    and {more} more");
            }
            Ok(())
        }
        _ => Ok(()),
    };
    for failing in rule.forced.iter().flatten() {
        let reason = failing.get("reason").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(out, "    forced: {}", cut(reason));
    }
}

/// The name and the condition of a new rule, to be put behind its id.
fn in_short(rule: &Value) -> String {
    let name = rule.get("name").and_then(Value::as_str).map(str::to_owned);
    let condition =
        rule.get("match").or_else(|| rule.get("filters")).map(|pattern| format!("when {pattern}"));
    name.into_iter().chain(condition).map(|text| format!(": {}", cut(&text))).collect()
}

fn difference(change: &Difference) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or("null".to_owned(), |v| cut(&v.to_string()));
    let path = printable(&change.path);
    match change.op.as_str() {
        "add" => format!("{path}: + {}", side(&change.new)),
        "remove" => format!("{path}: - {}", side(&change.old)),
        _ => format!("{path}: {} → {}", side(&change.old), side(&change.new)),
    }
}

/// On one line that can be read; `-o json` has all of it.
fn cut(text: &str) -> String {
    let mut out: String =
        text.chars().take(MAX_SHOWN).map(|c| if c.is_whitespace() { ' ' } else { c }).collect();
    if text.chars().nth(MAX_SHOWN).is_some() {
        out.push('…');
    }
    printable(&out)
}

fn summary(done: &AppliedRules) -> String {
    let AppliedRules { created, changed, deleted, unchanged, .. } = done;
    if created + changed + deleted == 0 {
        return format!("Nothing to do: {unchanged} rules are as the files say.");
    }
    let (to, end) = if done.applied { ("", "") } else { ("to be ", " Nothing was changed.") };
    format!(
        "{created} {to}created, {changed} {to}changed, {deleted} {to}deleted, {unchanged} unchanged.{end}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources() -> Vec<Source> {
        let rule = json!({ "name": "New\u{1b}[2J\none", "match": { "type": ["t"] } });
        ["a.yaml", "b.yaml"].map(|place| Source { place: place.to_owned(), rule: rule.clone() }).into()
    }

    fn files() -> Files {
        Files { rules: sources(), left: 0, passed_over: 0 }
    }

    #[test]
    fn changes_are_told_for_people() {
        let done: AppliedRules = serde_json::from_value(json!({
            "set": "default", "dryRun": true, "applied": false, "configVersion": 7,
            "created": 1, "changed": 1, "deleted": 1, "unchanged": 3,
            "rules": [
                { "id": "new", "action": "create", "index": 0, "version": 1, "set": "default" },
                { "id": "same", "action": "unchanged", "index": 2, "version": 4, "previousVersion": 4 },
                { "id": "old", "action": "replace", "index": 1, "version": 3, "previousVersion": 2, "set": "b", "changes": [
                    { "op": "replace", "path": "/priority", "old": 1, "new": 2 },
                    { "op": "add", "path": "/labels", "new": { "team": "x" } },
                    { "op": "remove", "path": "/description", "old": "gone\u{1b}[2J" },
                ] },
                { "id": "gone", "action": "delete", "version": 9, "previousVersion": 9, "set": "default" },
                { "id": "hand", "action": "replace", "version": 2, "previousVersion": 1, "changesOmitted": 7, "changes": [
                    { "op": "replace", "path": "/name", "old": "y".repeat(300), "new": "z" },
                ] },
            ],
        }))
        .unwrap();
        let long = "y".repeat(MAX_SHOWN - 1);
        let plain = format!(
            "+ new (version 1, a.yaml): New\u{fffd}[2J one: when {{\"type\":[\"t\"]}}\n\
             ~ old (version 2 to 3, set b, b.yaml)\n    /priority: 1 → 2\n    \
             /labels: + {{\"team\":\"x\"}}\n    /description: - \"gone\\u001b[2J\"\n- gone (version 9)\n\
             ~ hand (version 1 to 2, in no set)\n    /name: \"{long}… → \"z\"\n    and 7 more\n\n\
             1 to be created, 1 to be changed, 1 to be deleted, 3 unchanged. Nothing was changed."
        );
        let told = text(&done, &files(), |text, _| text.to_owned());
        assert_eq!(told, plain);
        let coloured = text(&done, &files(), style::forced);
        assert!(coloured.starts_with("\u{1b}[32m+ new (version 1, a.yaml)\u{1b}[0m: New"), "{coloured:?}");
        let more = Files { left: 2, passed_over: 1, ..files() };
        let told = text(&done, &more, |text, _| text.to_owned());
        let end = "\n2 rules of the files are not selected.\n1 document of another kind was passed over.";
        assert_eq!(told, format!("{plain}{end}"));
        let nothing = AppliedRules { unchanged: 3, ..AppliedRules::default() };
        assert_eq!(summary(&nothing), "Nothing to do: 3 rules are as the files say.");
    }

    #[test]
    fn rules_that_still_stand_are_kept() {
        let source = |id: &str| Source { place: "a.yaml".to_owned(), rule: json!({ "id": id }) };
        let (rules, left) = ([source("sent")], [source("left"), source("No id"), source("out")]);
        for (prune, kept) in [(true, &["left", "out"][..]), (false, &[])] {
            let args = ApplyArgs { prune, ..ApplyArgs::default() };
            let asked = request(&args, &rules, &left, BTreeMap::new());
            assert_eq!(
                (asked.rules, asked.keep.as_slice()),
                (vec![json!({ "id": "sent" })], &*kept.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>())
            );
            assert!(asked.dry_run);
        }
    }

    #[test]
    fn problems_name_the_file() {
        for (path, file, rest) in [
            ("/rules/1/match/type/0", Some("b.yaml"), "/match/type/0"),
            ("/rules/0", Some("a.yaml"), ""),
            ("/rules/7/id", None, "/rules/7/id"),
            ("/rules", None, "/rules"),
        ] {
            let problem = notify_client::Problem {
                code: "invalid-rule".into(),
                path: path.into(),
                ..notify_client::Problem::default()
            };
            let (place, problem) = placed(&problem, &sources());
            assert_eq!((place.as_deref(), problem.path.as_str()), (file, rest), "{path}");
        }
        let newer = notify_client::Problem {
            code: "brand-new".into(),
            path: "/rules/0/x".into(),
            detail: "no".into(),
            ..notify_client::Problem::default()
        };
        let (place, problem) = placed(&newer, &sources());
        assert_eq!((place.as_deref(), problem.reason.as_str()), (Some("a.yaml"), "brand-new: no"));
    }
}
