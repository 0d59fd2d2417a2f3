//! The body of `POST /rules:apply`, strictly: what is not known may have been meant to protect something.

use crate::app::Limits;
use notify_core::document::rule_file::SET_LABEL;
use notify_core::ids::{SLUG_RULE, is_slug};
use notify_core::json::pointer_token;
use notify_core::problem::{Code, Problem};
use notify_core::yaml;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashSet};

/// The set of who names none.
const DEFAULT_SET: &str = "default";
const KNOWN: [&str; 9] =
    ["set", "rules", "prune", "keep", "adopt", "force", "dryRun", "selector", "ifConfigVersion"];
/// Bytes that a value takes at least, on average over the whole request. Rules take ten and more; a text of nothing but
/// `0,` becomes forty times its size in memory.
const BYTES_A_VALUE: usize = 8;
/// Values that are always allowed.
const FEW_VALUES: usize = 4_096;

/// What is to be applied.
#[derive(Debug)]
pub struct Request {
    /// Rules that are new belong to it, and only its rules are pruned.
    pub set: String,
    pub rules: Vec<Value>,
    /// Delete rules of the set that are not among `rules`.
    pub prune: bool,
    /// Never pruned, whether or not they are among `rules`.
    pub keep: HashSet<String>,
    /// Rules that exist, or say that they belong elsewhere, come into the set all the same.
    pub adopt: bool,
    /// Also rules whose own tests fail; the ledger keeps that.
    pub force: bool,
    pub dry_run: bool,
    /// Only rules with these labels are pruned.
    pub selector: BTreeMap<String, String>,
    /// Only if the tenant's configuration is at this version.
    pub if_config_version: Option<u64>,
}

pub fn read(body: &[u8], media: Option<&str>, limits: &Limits) -> Result<Request, Problem> {
    // Two levels more than a rule by itself may have.
    let depth = yaml::DOCUMENT_LIMITS.max_depth + 2;
    let json_limits = notify_core::json::Limits { max_bytes: limits.apply_bytes, max_depth: depth };
    bounded(body, media, limits.apply_bytes)?;
    let Value::Object(mut members) = yaml::parse_document(body, media, json_limits)? else {
        return Err(wrong("", "the request is no object", "send an object with `rules`"));
    };
    if let Some(stranger) = members.keys().find(|name| !KNOWN.contains(&name.as_str())) {
        let path = format!("/{}", pointer_token(stranger));
        let reason = format!("`{}` is not known here", stranger.escape_default());
        return Err(Problem::new(Code::UnknownField, path, reason, format!("known: {}", KNOWN.join(", "))));
    }
    let rules = match members.remove("rules") {
        Some(Value::Array(rules)) => rules,
        Some(_) => return Err(wrong("/rules", "`rules` is no list", "send a list of rules")),
        None => return Err(wrong("/rules", "there are no `rules`", "send a list of rules; it may be empty")),
    };
    if rules.len() > limits.apply_rules {
        return Err(Problem::new(
            Code::TooLarge,
            "/rules",
            format!("there are {} rules; {} are applied at once", rules.len(), limits.apply_rules),
            "split them into several sets, or let the operator raise `limits.apply_rules`",
        ));
    }
    let set = match members.get("set") {
        None => DEFAULT_SET.to_owned(),
        Some(Value::String(set)) if is_slug(set) => set.clone(),
        Some(_) => {
            return Err(wrong(
                "/set",
                &format!("the name of the set is not {SLUG_RULE}"),
                "write a name such as `team-security`",
            ));
        }
    };
    Ok(Request {
        set,
        rules,
        keep: keep(&members, limits.apply_rules)?,
        prune: flag(&members, "prune")?,
        adopt: flag(&members, "adopt")?,
        force: flag(&members, "force")?,
        dry_run: flag(&members, "dryRun")?,
        selector: selector(&members)?,
        if_config_version: match members.get("ifConfigVersion") {
            None => None,
            Some(version) => Some(version.as_u64().ok_or_else(|| {
                wrong("/ifConfigVersion", "it is no version number", "give the `configVersion` of an answer")
            })?),
        },
    })
}

/// Refuses what would grow out of proportion when it is read, before it is read.
fn bounded(body: &[u8], media: Option<&str>, apply_bytes: usize) -> Result<(), Problem> {
    let most = (apply_bytes / BYTES_A_VALUE).max(FEW_VALUES);
    let media = media.unwrap_or_default().split(';').next().unwrap_or_default().trim();
    let json = media.eq_ignore_ascii_case("application/json");
    if values_at_most(body, json) <= most {
        return Ok(());
    }
    Err(Problem::new(
        Code::TooLarge,
        "",
        format!("there are more than {most} values in the request"),
        "split the rules into several sets, or let the operator raise `limits.apply_bytes`",
    ))
}

/// How many values a text can hold. Each but the outermost follows a comma, a bracket, or in YAML the beginning of a
/// line or a dash. In JSON texts are passed over; in YAML they may make it a few more.
fn values_at_most(text: &[u8], json: bool) -> usize {
    let (mut count, mut inside, mut escaped, mut before) = (1_usize, false, false, 0_u8);
    for byte in text.iter().copied() {
        if json && inside {
            inside = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
            continue;
        }
        match byte {
            b',' | b'[' | b'{' => count += 1,
            b'"' if json => inside = true,
            b'\n' | b'\r' if !json => count += 1,
            b' ' | b'\t' if !json && matches!(before, b'-' | b'?') => count += 1,
            _ => {}
        }
        before = byte;
    }
    count
}

fn wrong(path: &str, reason: &str, fix: &str) -> Problem {
    Problem::new(Code::InvalidParameter, path, reason, fix)
}

fn flag(members: &Map<String, Value>, name: &str) -> Result<bool, Problem> {
    match members.get(name) {
        None => Ok(false),
        Some(Value::Bool(flag)) => Ok(*flag),
        Some(_) => {
            let path = format!("/{name}");
            Err(wrong(&path, &format!("`{name}` is neither true nor false"), "give true or false"))
        }
    }
}

fn keep(members: &Map<String, Value>, most: usize) -> Result<HashSet<String>, Problem> {
    let ids = match members.get("keep") {
        None => return Ok(HashSet::new()),
        Some(Value::Array(ids)) => ids,
        Some(_) => return Err(wrong("/keep", "`keep` is no list", "give a list of the ids of rules")),
    };
    if ids.len() > most {
        return Err(Problem::new(
            Code::TooLarge,
            "/keep",
            format!("there are {} ids; {most} are allowed", ids.len()),
            "split the rules into several sets, or let the operator raise `limits.apply_rules`",
        ));
    }
    let one = |(index, id): (usize, &Value)| match id.as_str() {
        Some(id) if is_slug(id) => Ok(id.to_owned()),
        _ => Err(wrong(
            &format!("/keep/{index}"),
            &format!("it is no id of a rule: {SLUG_RULE}"),
            "give the ids of rules",
        )),
    };
    ids.iter().enumerate().map(one).collect()
}

fn selector(members: &Map<String, Value>) -> Result<BTreeMap<String, String>, Problem> {
    let labels = match members.get("selector") {
        None => return Ok(BTreeMap::new()),
        Some(Value::Object(labels)) => labels,
        Some(_) => {
            return Err(wrong("/selector", "the selector is no object", "give `{\"label\": \"value\"}`"));
        }
    };
    let one = |(name, value): (&String, &Value)| {
        let path = format!("/selector/{}", pointer_token(name));
        match value {
            _ if name == SET_LABEL => Err(wrong(&path, "the set is not selected by its label", "use `set`")),
            Value::String(value) => Ok((name.clone(), value.clone())),
            _ => Err(wrong(&path, "the value of a label is a text", "put it in quotes")),
        }
    };
    labels.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { apply_bytes: 1024 * 1024, apply_rules: 50, ..Limits::default() }
    }

    /// The problem's code, path and reason; empty where it is accepted.
    #[track_caller]
    fn check(body: &str, media: &str, expected: &str) {
        let media = Some(media).filter(|media| !media.is_empty());
        let got = read(body.as_bytes(), media, &limits());
        let told = got.err().map_or(String::new(), |p| format!("{} {} {}", p.code, p.path, p.reason));
        assert_eq!(told, expected, "{} bytes of {media:?}", body.len());
    }

    /// Many values in few bytes are refused without being read, in whatever way they are written.
    #[test]
    fn what_would_grow_is_refused_before_it_is_read() {
        let most = 1024 * 1024 / BYTES_A_VALUE;
        let refused = format!("too-large  there are more than {most} values in the request");
        let json = |unit: &str| format!("{{\"rules\":[{}0]}}", unit.repeat(900_000 / unit.len()));
        for unit in ["0,", "[],", "[0],", "{},", "\"\",", "\n0,"] {
            for media in ["application/json", "Application/JSON; charset=utf-8", "application/yaml", ""] {
                check(&json(unit), media, &refused);
            }
        }
        for unit in ["- 0\n", "- - 0\n", "- - - - - 0\n", "-\r", "- a: 0\n"] {
            check(&format!("rules:\n{}", unit.repeat(900_000 / unit.len())), "application/yaml", &refused);
        }
        // Texts are not counted in JSON.
        let long = format!(r#"{{"rules":[{{"description":"{}\\\"[,"}}]}}"#, ",[{\\n".repeat(100_000));
        check(&long, "application/json", "");
    }

    #[test]
    fn as_many_rules_as_allowed_are_read() {
        let rules = |count: usize| format!("{{\"rules\":[{}]}}", vec!["{}"; count].join(","));
        check(&rules(50), "application/json", "");
        check(&rules(51), "application/json", "too-large /rules there are 51 rules; 50 are applied at once");
        let keep = |count: usize| format!("{{\"rules\":[],\"keep\":[{}]}}", vec!["\"a\""; count].join(","));
        check(&keep(50), "", "");
        check(&keep(51), "", "too-large /keep there are 51 ids; 50 are allowed");
    }
}
