//! The body of `POST /rules:apply`, strictly: what is not known may have been meant to protect something.

use crate::app::Limits;
use notify_core::document::rule_file::SET_LABEL;
use notify_core::ids::is_slug;
use notify_core::json::pointer_token;
use notify_core::problem::{Code, Problem};
use notify_core::yaml;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The set of who names none.
const DEFAULT_SET: &str = "default";
const KNOWN: [&str; 8] = ["set", "rules", "prune", "adopt", "force", "dryRun", "selector", "ifConfigVersion"];

/// What is to be applied.
#[derive(Debug)]
pub struct Request {
    /// Rules that are new belong to it, and only its rules are pruned.
    pub set: String,
    pub rules: Vec<Value>,
    /// Delete rules of the set that are not among `rules`.
    pub prune: bool,
    /// Rules that exist and belong to another set, or to none, come into this one.
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
                "the name of the set is not 1 to 64 characters from a-z, 0-9 and `-`",
                "write a name such as `team-security`",
            ));
        }
    };
    Ok(Request {
        set,
        rules,
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
