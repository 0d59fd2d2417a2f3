//! `notify rule apply`: what the files say, compared, shown, agreed to and done as one.

use super::sources::{self, Source};
use super::{ApplyArgs, pairs, selector};
use crate::args::{Format, Global};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::output;
use crate::style::{self, Tone};
use notify_client::Error;
use notify_client::model::{AppliedRule, AppliedRules, ApplyRules, Difference};
use notify_core::document::rule_file::has_labels;
use notify_core::problem::{Code, Problem};
use serde_json::{Value, json};
use std::fmt::Write;
use std::io::IsTerminal;

pub async fn run(global: &Global, args: &ApplyArgs) -> Result<(), Failure> {
    let selector = selector(&args.selector)?;
    let mut sources = sources::read(&args.file)?;
    sources.retain(|source| has_labels(&source.rule, pairs(&selector)));
    let client = Client::new(global)?;
    let mut asked = ApplyRules {
        rules: sources.iter().map(|source| source.rule.clone()).collect(),
        set: Some(args.set.clone()),
        prune: args.prune,
        adopt: args.adopt,
        force: args.force,
        dry_run: true,
        selector,
        if_config_version: None,
    };
    if args.yes && !args.dry_run {
        asked.dry_run = false;
        let done = send(&client, &asked, &sources).await?;
        show(global.output, &done, &sources);
        return Ok(());
    }
    let planned = send(&client, &asked, &sources).await?;
    let nothing = planned.created + planned.changed + planned.deleted == 0;
    if args.dry_run || nothing {
        show(global.output, &planned, &sources);
        return Ok(());
    }
    // What is agreed to goes to where the answer does not: that may be read by a program.
    eprintln!("{}", text(&planned, &sources));
    agree()?;
    asked.dry_run = false;
    // What was shown, or nothing.
    asked.if_config_version = Some(planned.config_version);
    let done = send(&client, &asked, &sources).await?;
    match global.output {
        Format::Table => output::say(&summary(&done)),
        _ => show(global.output, &done, &sources),
    }
    Ok(())
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
                problem.problems.iter().filter_map(|problem| placed(problem, sources)).collect();
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

fn placed(problem: &notify_client::Problem, sources: &[Source]) -> Option<(Option<String>, Problem)> {
    let code: Code = serde_json::from_value(problem.code.clone().into()).ok()?;
    let numbered =
        problem.path.strip_prefix("/rules/").map(|rest| rest.split_once('/').unwrap_or((rest, "")));
    let found = numbered.and_then(|(number, rest)| Some((sources.get(number.parse::<usize>().ok()?)?, rest)));
    Some(match found {
        Some((source, rest)) => {
            let path = if rest.is_empty() { String::new() } else { format!("/{rest}") };
            (Some(source.place.clone()), Problem::new(code, path, &problem.detail, &problem.fix))
        }
        None => (None, Problem::new(code, &problem.path, &problem.detail, &problem.fix)),
    })
}

fn show(format: Format, done: &AppliedRules, sources: &[Source]) {
    match format {
        Format::Table => output::say(&text(done, sources)),
        format => output::structured(format, &json!(done)),
    }
}

fn text(done: &AppliedRules, sources: &[Source]) -> String {
    let mut out = String::new();
    for rule in &done.rules {
        one(rule, sources, &mut out);
    }
    if !out.is_empty() {
        out.push('\n');
    }
    out.push_str(&summary(done));
    out
}

fn one(rule: &AppliedRule, sources: &[Source], out: &mut String) {
    let source = rule.index.and_then(|index| sources.get(usize::try_from(index).ok()?));
    let place = source.map(|source| format!(", {}", source.place)).unwrap_or_default();
    let line = |sign: &str, what: String, tone: Tone| {
        style::out(&printable(&format!("{sign} {} ({what}{place})", rule.id)), tone)
    };
    let _ = match rule.action.as_str() {
        "create" => writeln!(out, "{}", line("+", format!("version {}", rule.version), Tone::Good)),
        "delete" => writeln!(out, "{}", line("-", format!("version {}", rule.version), Tone::Bad)),
        "replace" => {
            let versions =
                format!("version {} to {}", rule.previous_version.unwrap_or_default(), rule.version);
            let _ = writeln!(out, "{}", line("~", versions, Tone::Caution));
            for change in rule.changes.iter().flatten() {
                let _ = writeln!(out, "    {}", printable(&difference(change)));
            }
            Ok(())
        }
        _ => Ok(()),
    };
    for failing in rule.forced.iter().flatten() {
        let reason = failing.get("reason").and_then(Value::as_str).unwrap_or_default();
        let _ = writeln!(out, "    forced: {}", printable(reason));
    }
}

fn difference(change: &Difference) -> String {
    let side = |value: &Option<Value>| value.as_ref().map_or("null".to_owned(), Value::to_string);
    match change.op.as_str() {
        "add" => format!("{}: + {}", change.path, side(&change.new)),
        "remove" => format!("{}: - {}", change.path, side(&change.old)),
        _ => format!("{}: {} → {}", change.path, side(&change.old), side(&change.new)),
    }
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
        ["a.yaml", "b.yaml"].map(|place| Source { place: place.to_owned(), rule: json!({}) }).into()
    }

    #[test]
    fn changes_are_told_for_people() {
        let done: AppliedRules = serde_json::from_value(json!({
            "set": "default", "dryRun": true, "applied": false, "configVersion": 7,
            "created": 1, "changed": 1, "deleted": 1, "unchanged": 3,
            "rules": [
                { "id": "new", "action": "create", "index": 0, "version": 1 },
                { "id": "same", "action": "unchanged", "index": 2, "version": 4, "previousVersion": 4 },
                { "id": "old", "action": "replace", "index": 1, "version": 3, "previousVersion": 2, "changes": [
                    { "op": "replace", "path": "/priority", "old": 1, "new": 2 },
                    { "op": "add", "path": "/labels", "new": { "team": "x" } },
                    { "op": "remove", "path": "/description", "old": "gone\u{1b}[2J" },
                ] },
                { "id": "gone", "action": "delete", "version": 9, "previousVersion": 9 },
            ],
        }))
        .unwrap();
        assert_eq!(
            text(&done, &sources()),
            "+ new (version 1, a.yaml)\n~ old (version 2 to 3, b.yaml)\n    /priority: 1 → 2\n    \
             /labels: + {\"team\":\"x\"}\n    /description: - \"gone\\u001b[2J\"\n- gone (version 9)\n\n\
             1 to be created, 1 to be changed, 1 to be deleted, 3 unchanged. Nothing was changed."
        );
        let nothing = AppliedRules { unchanged: 3, ..AppliedRules::default() };
        assert_eq!(summary(&nothing), "Nothing to do: 3 rules are as the files say.");
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
            let (place, problem) = placed(&problem, &sources()).unwrap();
            assert_eq!((place.as_deref(), problem.path.as_str()), (file, rest), "{path}");
        }
    }
}
