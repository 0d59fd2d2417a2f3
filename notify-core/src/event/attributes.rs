//! The rules of CloudEvents 1.0.2 for attributes (core specification, section 3), and our extensions.

use crate::ids::TenantId;
use crate::json::pointer_token;
use crate::problem::{Code, Problem};
use crate::severity::Severity;
use serde_json::{Map, Value};

/// Deliveries of ours that may lead to each other's events before somebody must look (DESIGN section 4).
const MAX_HOPS: i64 = 15;
/// The specification recommends 20 characters; other brokers cut or refuse longer names.
pub(crate) const MAX_NAME: usize = 20;
/// Attributes that are texts wherever they are present, as [`check`] makes sure. Any other one is an extension, which may
/// also be a boolean or an integer.
pub(crate) const TEXT_ATTRIBUTES: [&str; 11] = [
    "specversion",
    "id",
    "source",
    "type",
    "subject",
    "time",
    "datacontenttype",
    "dataschema",
    "tenant",
    "severity",
    "dssematerial",
];
/// Attributes that every event has.
pub(crate) const REQUIRED_ATTRIBUTES: [&str; 4] = ["specversion", "id", "source", "type"];

pub(super) struct Attributes {
    pub id: String,
    pub source: String,
    pub r#type: String,
    pub subject: Option<String>,
    pub time: Option<String>,
    pub severity: Option<Severity>,
    pub hops: u8,
}

/// Checks every attribute. Drops those that are null (the JSON format's "absent") and turns `notifyhops` into a number,
/// as which it cannot come in a header.
pub(super) fn check(tenant: &TenantId, value: &mut Value) -> Result<Attributes, Problem> {
    let Value::Object(members) = value else {
        return Err(fault("", "an event is a JSON object", "send one object"));
    };
    // Null data is data, but beside `data_base64` it only says "not here".
    let has_base64 = members.get("data_base64").is_some_and(|data| !data.is_null());
    members.retain(|name, value| !value.is_null() || (name == "data" && !has_base64));
    let specversion = required(members, "specversion", "send `1.0`")?;
    if specversion != "1.0" {
        return Err(fault("specversion", "only CloudEvents 1.0 is read here", "send `specversion` as `1.0`"));
    }
    let id = required(members, "id", "send an id that is unique per source")?;
    let source = required(members, "source", "send a URI reference that names the producer")?;
    let r#type = required(members, "type", "send a type such as `scanner.report.ready`")?;
    for (name, value) in members.iter().filter(|(name, _)| *name != "data" && *name != "data_base64") {
        check_name(name)?;
        check_value(name, value)?;
    }
    if !is_uri_reference(&source) {
        let fix = "percent-encode what is not allowed in a URI (RFC 3986), e.g. a space as `%20`";
        return Err(fault("source", "`source` is not a URI reference", fix));
    }
    let subject = optional(members, "subject")?;
    let time = optional(members, "time")?;
    if time.as_deref().is_some_and(|text| !is_rfc3339(text)) {
        let fix = "send e.g. `2026-11-22T06:00:00Z`, with a zone";
        return Err(fault("time", "`time` is not an RFC 3339 time", fix));
    }
    if optional(members, "datacontenttype")?.is_some_and(|text| !is_media_type(&text)) {
        let fix = "send e.g. `application/json` (RFC 2046)";
        return Err(fault("datacontenttype", "`datacontenttype` is not a media type", fix));
    }
    if optional(members, "dataschema")?.is_some_and(|text| !is_uri_reference(&text) || !has_scheme(&text)) {
        return Err(fault("dataschema", "`dataschema` is not an absolute URI", "send e.g. `https://…`"));
    }
    if optional(members, "tenant")?.is_some_and(|named| named != tenant.as_str()) {
        let reason = "the event's `tenant` is not the one you publish for";
        let fix = "leave `tenant` out, or use a token of that tenant";
        return Err(Problem::new(Code::TenantMismatch, "/tenant", reason, fix));
    }
    let severity = optional(members, "severity")?.and_then(|text| Severity::from_name(&text));
    optional(members, "dssematerial")?;
    let hops = hops(members)?;
    Ok(Attributes { id, source, r#type, subject, time, severity, hops })
}

fn required(members: &Map<String, Value>, name: &str, fix: &str) -> Result<String, Problem> {
    match members.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Ok(text.clone()),
        Some(Value::String(_)) => Err(fault(name, &format!("`{name}` is empty"), fix)),
        Some(_) => Err(fault(name, &format!("`{name}` is not a string"), fix)),
        None => Err(fault(name, &format!("`{name}` is missing"), fix)),
    }
}

fn optional(members: &Map<String, Value>, name: &str) -> Result<Option<String>, Problem> {
    match members.get(name) {
        None => Ok(None),
        Some(_) => required(members, name, "send some text, or leave it out").map(Some),
    }
}

fn check_name(name: &str) -> Result<(), Problem> {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    if (1..=MAX_NAME).contains(&name.len()) && name.bytes().all(allowed) {
        return Ok(());
    }
    let suggestion: String =
        name.bytes().map(|b| b.to_ascii_lowercase()).filter(|b| allowed(*b)).map(char::from).collect();
    let fix = if suggestion != name && (1..=MAX_NAME).contains(&suggestion.len()) {
        format!("name it `{suggestion}`, or put it into `data`")
    } else {
        "rename it, or put it into `data`".to_owned()
    };
    let path = format!("/{}", pointer_token(name));
    Err(Problem::new(
        Code::InvalidEvent,
        path,
        "an attribute's name is 1 to 20 characters from a-z and 0-9",
        fix,
    ))
}

/// The types an attribute may have in JSON: boolean, 32-bit integer, string without control characters.
fn check_value(name: &str, value: &Value) -> Result<(), Problem> {
    match value {
        Value::Bool(_) => Ok(()),
        Value::Number(_) => match whole(value).and_then(|n| i32::try_from(n).ok()) {
            Some(_) => Ok(()),
            None => {
                let reason = format!("`{name}` is not a whole number from -2147483648 to 2147483647");
                Err(fault(name, &reason, "send it as a string, or put it into `data`"))
            }
        },
        Value::String(text) => match text.chars().find(|c| !is_allowed(*c)) {
            None => Ok(()),
            Some(c) => {
                let reason = format!("`{name}` contains the character U+{:04X}", u32::from(c));
                Err(fault(
                    name,
                    &reason,
                    "control characters and noncharacters are not allowed in attributes",
                ))
            }
        },
        _ => {
            let reason = format!("`{name}` is not a string, whole number or boolean");
            Err(fault(name, &reason, "put structured values into `data`"))
        }
    }
}

/// Core specification, section 3.1, type String. (Lone surrogates cannot get into a `char`.)
pub(super) fn is_allowed(c: char) -> bool {
    let code = u32::from(c);
    !c.is_control() && !(0xfdd0..=0xfdef).contains(&code) && code & 0xfffe != 0xfffe
}

/// JSON does not tell `1.0` from `1`, and neither does the canonical form.
fn whole(value: &Value) -> Option<i64> {
    let as_float = || value.as_f64().filter(|x| x.fract() == 0.0 && x.abs() <= f64::from(u32::MAX));
    #[allow(clippy::cast_possible_truncation)] // whole and below 2^32 by the test before
    value.as_i64().or_else(|| as_float().map(|x| x as i64))
}

fn hops(members: &mut Map<String, Value>) -> Result<u8, Problem> {
    let Some(value) = members.get_mut("notifyhops") else { return Ok(0) };
    // From a header, or through a gateway that does not know the extension, it comes as text.
    let number = match &*value {
        Value::String(text) if text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit()) => {
            text.parse().ok()
        }
        other => whole(other),
    };
    match number.filter(|n| (0..=MAX_HOPS).contains(n)).and_then(|n| u8::try_from(n).ok()) {
        Some(hops) => {
            *value = Value::from(hops);
            Ok(hops)
        }
        None => {
            let reason = format!("`notifyhops` is not a whole number from 0 to {MAX_HOPS}");
            let fix = "leave it out; if it grew this large, two systems notify each other in a loop";
            Err(fault("notifyhops", &reason, fix))
        }
    }
}

/// RFC 3986 `URI-reference` by its characters and delimiters; non-empty (CloudEvents).
pub(super) fn is_uri_reference(text: &str) -> bool {
    let bytes = text.as_bytes();
    let hex_at = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_hexdigit);
    let allowed = |(i, &b): (usize, &u8)| match b {
        b'%' => hex_at(i + 1) && hex_at(i + 2),
        _ => b.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=".contains(&b),
    };
    let (main, fragment) = text.split_once('#').unwrap_or((text, ""));
    let (hierarchy, query) = main.split_once('?').unwrap_or((main, ""));
    let first_segment = hierarchy.split('/').next().unwrap_or_default();
    let after_scheme =
        if has_scheme(text) { hierarchy.split_once(':').map_or("", |(_, rest)| rest) } else { hierarchy };
    let (authority, path) = match after_scheme.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", after_scheme),
    };
    let no_brackets = |part: &str| !part.contains(['[', ']']);
    !text.is_empty()
        && bytes.iter().enumerate().all(allowed)
        && !fragment.contains('#')
        && [fragment, query, path].into_iter().all(no_brackets)
        && is_authority(authority)
        // A first segment with a colon is a scheme, or else an error (`path-noscheme`).
        && (has_scheme(text) || !first_segment.contains(':'))
}

/// Brackets only around an IP literal, with nothing but a port behind it.
fn is_authority(authority: &str) -> bool {
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((literal, port)) => {
            let port_ok = port.is_empty()
                || port.strip_prefix(':').is_some_and(|p| p.bytes().all(|b| b.is_ascii_digit()));
            !literal.is_empty()
                && !literal.contains(['[', ']'])
                && port_ok
                && !authority[..authority.len() - host.len()].contains(['[', ']'])
        }
        None => !authority.contains(['[', ']']),
    }
}

fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && scheme.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
    })
}

/// `type/subtype` of RFC 2046 tokens, then parameters that are not looked into.
fn is_media_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
    };
    let essence = text.split(';').next().unwrap_or_default().trim_end_matches([' ', '\t']);
    essence.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

/// RFC 3339 `date-time`, with its leap second and the calendar's real days; `jiff` reads more than that.
pub(crate) fn is_rfc3339(text: &str) -> bool {
    let bytes = text.as_bytes();
    let number = |from: usize, to: usize| -> Option<u8> {
        let part = bytes.get(from..to)?;
        part.iter()
            .all(u8::is_ascii_digit)
            .then(|| part.iter().fold(0u8, |n, b| n.wrapping_mul(10).wrapping_add(b - b'0')))
    };
    let is = |at: usize, any_of: &[u8]| bytes.get(at).is_some_and(|b| any_of.contains(b));
    let below = |value: Option<u8>, limit: u8| value.is_some_and(|n| n < limit);
    let shape = is(4, b"-") && is(7, b"-") && is(10, b"Tt") && is(13, b":") && is(16, b":");
    let clock = below(number(11, 13), 24) && below(number(14, 16), 60) && below(number(17, 19), 61);
    if !shape || !clock {
        return false;
    }
    let fraction =
        if is(19, b".") { bytes.iter().skip(20).take_while(|b| b.is_ascii_digit()).count() + 1 } else { 0 };
    let zone = 19 + fraction;
    let zone_ok = match bytes.get(zone) {
        Some(b'Z' | b'z') => bytes.len() == zone + 1,
        Some(b'+' | b'-') => {
            bytes.len() == zone + 6
                && is(zone + 3, b":")
                && below(number(zone + 1, zone + 3), 24)
                && below(number(zone + 4, zone + 6), 60)
        }
        _ => false,
    };
    let date = text.get(..10).is_some_and(|date| date.parse::<jiff::civil::Date>().is_ok());
    fraction != 1 && zone_ok && date && number(0, 2).is_some() && number(2, 4).is_some()
}

fn fault(name: &str, reason: &str, fix: &str) -> Problem {
    let path = if name.is_empty() { String::new() } else { format!("/{}", pointer_token(name)) };
    Problem::new(Code::InvalidEvent, path, reason, fix)
}
