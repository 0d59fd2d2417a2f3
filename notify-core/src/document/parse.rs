//! From JSON to documents: each limit and rule with its place, and the canonical text and digest of what was accepted.
//!
//! `resources/schemas` say the same as JSON Schemas; a test holds both against each other. What only other parts can
//! judge is not judged here: patterns ([`crate::pattern`]), template expressions and texts ([`crate::render`]), a
//! channel's `config` (its plug-in).

use super::noise::HoursMode;
use super::noise_fields;
use super::reader::{Reader, whole};
use super::{Bundle, Channel, Kind, Rule, Template, behaviour, channel, rule, template};
use crate::ids::hex;
use crate::jcs;
use crate::pattern::Pattern;
use crate::problem::{Code, Problem};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};

/// Most actions of a rule.
pub const MAX_ACTIONS: usize = 20;
/// Bounds of a rule's `priority`.
pub const PRIORITIES: std::ops::RangeInclusive<i64> = -1_000_000..=1_000_000;
/// Most members of a channel's `config`.
pub const MAX_CONFIG_MEMBERS: usize = 64;
/// Most secrets of a channel.
pub const MAX_SECRETS: usize = 16;
/// Most references of one secret: the current one and those that are being rotated out.
pub const MAX_SECRET_REFERENCES: usize = 4;
/// Most waits of a retry schedule.
pub const MAX_RETRIES: usize = 16;
/// Longest wait of a retry schedule, seconds.
pub const MAX_RETRY_WAIT: i64 = 86_400;
/// Longest attempt, seconds.
pub const MAX_TIMEOUT: i64 = 120;
/// Most redactions of a template.
pub const MAX_REDACTIONS: usize = 100;
/// Longest path or pattern of a redaction, in characters.
pub const MAX_REDACTION: usize = 1000;
/// Longest Fluent source of a bundle, in characters.
pub const MAX_MESSAGES: usize = 128 * 1024;

/// Fields of DESIGN section 5 that wait for incidents and escalation; they are refused, never silently ignored.
const NOT_YET: [(&str, &str); 2] = [("correlate", "incidents"), ("escalation", "escalation")];

/// An accepted document, its RFC 8785 text with defaults filled in, and `sha256:…` over that text.
pub type Parsed<T> = (T, String, String);

/// # Errors
/// [`Code::InvalidRule`], [`Code::UnknownField`], [`Code::UnsupportedFeature`], with the place.
pub fn parse_rule(value: &Value) -> Result<Parsed<Rule>, Problem> {
    let reader = Reader::document(value, Code::InvalidRule, rule::SCHEMA)?;
    let known = [
        "schema",
        "id",
        "name",
        "description",
        "enabled",
        "priority",
        "labels",
        "storm",
        "match",
        "filters",
        "actions",
        "tests",
    ];
    reader.only(&known, &[])?;
    let (pattern, filters) = condition(&reader)?;
    let rule = Rule {
        schema: rule::SCHEMA.to_owned(),
        id: reader.id("id")?,
        name: reader.name()?,
        description: reader.description()?,
        enabled: reader.flag("enabled", true)?,
        priority: reader
            .whole("priority", PRIORITIES)?
            .and_then(|n| i32::try_from(n).ok())
            .unwrap_or_default(),
        labels: reader.labels()?,
        storm: noise_fields::switch(&reader, "storm")?,
        r#match: pattern,
        filters,
        actions: actions(&reader)?,
        tests: super::rule_test::tests(&reader)?,
    };
    seal(rule, Code::InvalidRule)
}

/// `match` or `filters`. A pattern is judged by who compiles it; the form of filters is small enough to be part of the
/// rule's schema, and so it is judged here.
fn condition(rule: &Reader) -> Result<(Option<Value>, Option<Value>), Problem> {
    match (rule.get("match"), rule.get("filters")) {
        (Some(_), Some(_)) => Err(rule.fault("filters", rule::BOTH, rule::KEEP_ONE)),
        (None, None) => Err(rule.fault("match", rule::NEITHER, rule::WRITE_ONE)),
        (Some(pattern), None) => {
            let pattern = Reader::new(pattern, "/match", Code::InvalidRule)?;
            Ok((Some(Value::Object(pattern.members().clone())), None))
        }
        (None, Some(filters)) => {
            Pattern::compile_filters(filters).map_err(|problem| problem.under("/filters"))?;
            Ok((None, Some(filters.clone())))
        }
    }
}

fn actions(rule: &Reader) -> Result<Vec<rule::Action>, Problem> {
    let mut seen = BTreeSet::new();
    let one = |(index, value): (usize, &Value)| {
        let reader = Reader::new(value, format!("/actions/{index}"), Code::InvalidRule)?;
        let known = ["id", "channel", "template", "locale", "dedupe", "throttle", "digest", "quietHours"];
        reader.only(&known, &NOT_YET)?;
        let controls = noise_fields::action(&reader)?;
        let action = rule::Action {
            id: reader.id("id")?,
            channel: reader.id("channel")?,
            template: reader.optional_id("template")?,
            locale: reader.locale("locale")?,
            dedupe: Some(controls.dedupe),
            throttle: Some(controls.throttle),
            digest: controls.digest,
            quiet_hours: controls.quiet_hours,
        };
        if seen.insert(action.id.clone()) {
            Ok(action)
        } else {
            let reason = format!("the action id `{}` appears twice in this rule", action.id);
            Err(reader.fault("id", reason, "give each action an id of its own"))
        }
    };
    rule.list("actions", 1..=MAX_ACTIONS)?.iter().enumerate().map(one).collect()
}

/// # Errors
/// [`Code::InvalidChannel`], [`Code::InvalidSecretReference`], [`Code::UnknownField`], with the place and never with a
/// value that could be a secret.
pub fn parse_channel(value: &Value) -> Result<Parsed<Channel>, Problem> {
    let code = Code::InvalidChannel;
    let reader = Reader::document(value, code, channel::SCHEMA)?;
    let known = [
        "schema",
        "id",
        "name",
        "description",
        "type",
        "enabled",
        "labels",
        "config",
        "secrets",
        "locale",
        "retry",
        "timeoutSeconds",
        "contact",
        "quietHours",
        "maintenance",
        "budget",
        "rate",
        "breaker",
        "fallback",
        "health",
    ];
    reader.only(&known, &[])?;
    let r#type = reader.line("type", 64)?;
    let r#type =
        r#type.ok_or_else(|| reader.fault("type", "`type` is missing", "write a plug-in's channel type"))?;
    if !crate::ids::is_slug(&r#type) {
        let fix = format!("use {}", crate::ids::SLUG_RULE);
        return Err(reader.fault("type", "`type` is not a channel type", fix));
    }
    let config = match reader.get("config") {
        None => Map::new(),
        Some(value) => Reader::new(value, "/config", code)?.members().clone(),
    };
    if config.len() > MAX_CONFIG_MEMBERS {
        let reason =
            format!("`config` has {} members, more than the {MAX_CONFIG_MEMBERS} allowed", config.len());
        return Err(reader.fault("config", reason, "keep those that the channel type knows"));
    }
    let id: crate::ids::ChannelId = reader.id("id")?;
    let channel = Channel {
        schema: channel::SCHEMA.to_owned(),
        id: id.clone(),
        name: reader.name()?,
        description: reader.description()?,
        r#type,
        enabled: reader.flag("enabled", true)?,
        labels: reader.labels()?,
        config,
        secrets: secrets(&reader)?,
        locale: reader.locale("locale")?,
        retry: reader.get("retry").map(retry).transpose()?,
        timeout_seconds: reader.whole("timeoutSeconds", 1..=MAX_TIMEOUT)?.and_then(|n| u16::try_from(n).ok()),
        contact: reader.optional_id("contact")?,
        quiet_hours: noise_fields::hours(&reader, "quietHours", HoursMode::Hold)?,
        maintenance: noise_fields::hours(&reader, "maintenance", HoursMode::Drop)?,
        budget: noise_fields::budget(&reader, "budget")?,
        rate: behaviour::rate(&reader)?,
        breaker: behaviour::breaker(&reader)?,
        fallback: behaviour::fallback(&reader, &id)?,
        health: behaviour::health(&reader)?,
    };
    seal(channel, code)
}

fn secrets(channel: &Reader) -> Result<BTreeMap<String, Vec<channel::SecretRef>>, Problem> {
    let Some(value) = channel.get("secrets") else { return Ok(BTreeMap::new()) };
    let reader = Reader::new(value, "/secrets", Code::InvalidChannel)?;
    if reader.members().len() > MAX_SECRETS {
        let reason = format!("more than {MAX_SECRETS} secrets");
        return Err(channel.fault("secrets", reason, "keep those that the channel type knows"));
    }
    let plain = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
            && name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
    };
    // A secret that was pasted as a *name* must not be shown either, hence the path of the whole.
    if !reader.members().keys().all(|name| plain(name)) {
        let reason =
            "a secret's name is 1 to 64 characters from A-Z, a-z, 0-9, `-` and `_`, beginning with a letter";
        let fix = "use the names that the channel type declares, e.g. `signing`";
        return Err(channel.fault("secrets", reason, fix));
    }
    let one = |name: &String| {
        let references = reader.list(name, 1..=MAX_SECRET_REFERENCES)?;
        let parsed = references.iter().enumerate().map(|(index, reference)| {
            let parsed = reference.as_str().map(|text| channel::SecretRef::try_from(text.to_owned()));
            match parsed {
                Some(Ok(reference)) => Ok(reference),
                _ => {
                    let reason =
                        "this is not a reference to a secret (it is not shown, in case it is the secret)";
                    let fix = "put the secret into the service's environment or secret folder and write \
                               `secret://env/NAME` or `secret://file/NAME` here";
                    let path = format!("{}/{index}", reader.at(name));
                    Err(Problem::new(Code::InvalidSecretReference, path, reason, fix))
                }
            }
        });
        Ok((name.clone(), parsed.collect::<Result<_, _>>()?))
    };
    reader.members().keys().map(one).collect()
}

fn retry(value: &Value) -> Result<channel::Retry, Problem> {
    let reader = Reader::new(value, "/retry", Code::InvalidChannel)?;
    reader.only(&["scheduleSeconds"], &[])?;
    reader.need(
        "scheduleSeconds",
        "write the waits in seconds, e.g. `[5, 300, 1800]`; `[]` for one attempt only",
    )?;
    let one = |(index, wait): (usize, &Value)| {
        whole(wait, &(0..=MAX_RETRY_WAIT)).ok().and_then(|wait| u32::try_from(wait).ok()).ok_or_else(|| {
            let path = format!("/retry/scheduleSeconds/{index}");
            let fix = format!("write whole seconds from 0 to {MAX_RETRY_WAIT}");
            Problem::new(Code::InvalidChannel, path, "a wait is out of bounds", fix)
        })
    };
    let waits = reader.list("scheduleSeconds", 0..=MAX_RETRIES)?;
    Ok(channel::Retry { schedule_seconds: waits.iter().enumerate().map(one).collect::<Result<_, _>>()? })
}

/// # Errors
/// [`Code::InvalidTemplate`], [`Code::UnknownField`], with the place.
pub fn parse_template(value: &Value) -> Result<Parsed<Template>, Problem> {
    let code = Code::InvalidTemplate;
    let reader = Reader::document(value, code, template::TEMPLATE_SCHEMA)?;
    reader.only(&["schema", "id", "name", "description", "labels", "redact", "message"], &[])?;
    let message = reader.need("message", "write at least `title`")?;
    let members = Reader::new(message, "/message", code)?;
    // The shape inside is the renderer's business; only what no renderer could place is refused here.
    let known = [
        "title",
        "summary",
        "severity",
        "body",
        "fields",
        "links",
        "actions",
        "footer",
        "attachments",
        "native",
    ];
    members.only(&known, &[])?;
    members.need("title", "write the alert's headline")?;
    for name in ["title", "summary", "severity", "body", "footer"] {
        members.text(name, 0, usize::MAX)?;
    }
    for name in ["fields", "links", "actions", "attachments"] {
        for (index, entry) in members.list(name, 0..=usize::MAX)?.iter().enumerate() {
            Reader::new(entry, format!("/message/{name}/{index}"), code)?;
        }
    }
    if let Some(native) = members.get("native") {
        Reader::new(native, "/message/native", code)?;
    }
    let template = Template {
        schema: template::TEMPLATE_SCHEMA.to_owned(),
        id: reader.id("id")?,
        name: reader.name()?,
        description: reader.description()?,
        labels: reader.labels()?,
        redact: redactions(&reader)?,
        message: message.clone(),
    };
    seal(template, code)
}

fn redactions(template: &Reader) -> Result<Vec<template::Redaction>, Problem> {
    let one = |(index, value): (usize, &Value)| {
        let here = format!("/redact/{index}");
        let reader = Reader::new(value, here.clone(), Code::InvalidTemplate)?;
        reader.only(&["path", "pattern"], &[])?;
        let redaction = template::Redaction {
            path: reader.text("path", 1, MAX_REDACTION)?,
            pattern: reader.text("pattern", 1, MAX_REDACTION)?,
        };
        if redaction.path.as_deref().is_some_and(|path| !is_pointer(path)) {
            let fix = "write e.g. `/data/user/email`; `*` stands for every element or member";
            return Err(reader.fault("path", "`path` is not a JSON Pointer", fix));
        }
        if redaction.path.is_some() == redaction.pattern.is_some() {
            let reason = "a redaction has exactly one of `path` and `pattern`";
            return Err(Problem::new(Code::InvalidTemplate, here, reason, "write two redactions for both"));
        }
        Ok(redaction)
    };
    template.list("redact", 0..=MAX_REDACTIONS)?.iter().enumerate().map(one).collect()
}

/// RFC 6901, but not the empty one: it would hide the whole event.
pub(super) fn is_pointer(text: &str) -> bool {
    let escapes = |part: &str| part.is_empty() || part.starts_with(['0', '1']);
    text.starts_with('/') && text.split('~').skip(1).all(|part| !part.is_empty() && escapes(part))
}

/// # Errors
/// [`Code::InvalidBundle`], [`Code::UnknownField`], with the place.
pub fn parse_bundle(value: &Value) -> Result<Parsed<Bundle>, Problem> {
    let code = Code::InvalidBundle;
    let reader = Reader::document(value, code, template::BUNDLE_SCHEMA)?;
    reader.only(&["schema", "id", "locale", "messages"], &[])?;
    let need = |name: &str, text: Option<String>| {
        text.ok_or_else(|| reader.fault(name, format!("`{name}` is missing"), "write it"))
    };
    let bundle = Bundle {
        schema: template::BUNDLE_SCHEMA.to_owned(),
        id: reader.id("id")?,
        locale: need("locale", reader.locale("locale")?)?,
        messages: need("messages", reader.text("messages", 1, MAX_MESSAGES)?)?,
    };
    seal(bundle, code)
}

/// A document of any kind: its id, canonical text and digest.
///
/// # Errors
/// As the parser of that kind.
pub fn parse_any(kind: Kind, value: &Value) -> Result<Parsed<String>, Problem> {
    Ok(match kind {
        Kind::Rule => parse_rule(value).map(|(rule, text, digest)| (rule.id.into(), text, digest))?,
        Kind::Channel => {
            parse_channel(value).map(|(channel, text, digest)| (channel.id.into(), text, digest))?
        }
        Kind::Template => {
            parse_template(value).map(|(template, text, digest)| (template.id.into(), text, digest))?
        }
        Kind::Bundle => parse_bundle(value).map(|(bundle, text, digest)| (bundle.id.into(), text, digest))?,
        Kind::EventType => {
            super::parse_event_type(value).map(|(event_type, text, digest)| (event_type.id, text, digest))?
        }
        Kind::Calendar => {
            super::parse_calendar(value).map(|(calendar, text, digest)| (calendar.id.into(), text, digest))?
        }
        Kind::Contact => {
            super::parse_contact(value).map(|(contact, text, digest)| (contact.id.into(), text, digest))?
        }
        Kind::Policy => super::parse_policy(value).map(|(policy, text, digest)| (policy.id, text, digest))?,
        Kind::Silence => {
            super::parse_silence(value).map(|(silence, text, digest)| (silence.id.into(), text, digest))?
        }
        Kind::Inhibition => super::parse_inhibition(value)
            .map(|(inhibition, text, digest)| (inhibition.id.into(), text, digest))?,
        Kind::Override => {
            super::parse_override(value).map(|(document, text, digest)| (document.id.into(), text, digest))?
        }
    })
}

/// Canonical text and digest. The document is read back from that text, so that its free parts (`match`, `config`,
/// `message`) are the same values whether they come from the author or from the store.
pub(super) fn seal<T: Serialize + serde::de::DeserializeOwned>(
    document: T,
    code: Code,
) -> Result<Parsed<T>, Problem> {
    let own_fault = |error: serde_json::Error| Problem::new(Code::Internal, "", error.to_string(), "");
    let mut value = serde_json::to_value(&document).map_err(own_fault)?;
    let text = jcs::canonicalise(&mut value).map_err(|fault| {
        let reason = "the whole number is beyond ±(2^53 − 1), where JSON readers disagree on its value";
        Problem::new(code, fault.path, reason, "write it in quotes, as a text")
    })?;
    let document = serde_json::from_value(value).map_err(own_fault)?;
    let digest = format!("sha256:{}", hex(&Sha256::digest(text.as_bytes())));
    Ok((document, text, digest))
}
