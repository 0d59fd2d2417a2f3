//! Binary mode: attributes in `ce-` headers, data in the body (CloudEvents HTTP binding 1.0.2, section 3.1).

use super::{Event, EventLimits, verifiable};
use crate::ids::TenantId;
use crate::json::{self, JsonFault, Limits};
use crate::problem::{Code, Problem};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

pub(super) fn parse<'h>(
    tenant: &TenantId,
    headers: impl Iterator<Item = (&'h str, &'h [u8])>,
    body: &[u8],
    limits: &EventLimits,
) -> Result<Event, Problem> {
    if body.len() > limits.max_bytes {
        return Err(JsonFault::TooLarge { actual: body.len(), limit: limits.max_bytes }.into());
    }
    let mut members = Map::new();
    for (header, raw) in headers {
        let header = header.to_ascii_lowercase();
        let Some(name) = attribute_name(&header)? else { continue };
        if members.contains_key(name) {
            return Err(fault(&header, "the header appears twice", "send it once"));
        }
        members.insert(name.to_owned(), Value::String(header_value(&header, raw)?));
    }
    if !members.contains_key("specversion") {
        let reason = "the request has no `ce-specversion` header, so it is no event in binary mode";
        let fix = "send `ce-specversion: 1.0` with `ce-id`, `ce-source` and `ce-type`, or set `Content-Type: \
                   application/cloudevents+json` and put the event in the body";
        return Err(fault("ce-specversion", reason, fix));
    }
    if !body.is_empty() {
        let content_type = members.get("datacontenttype").and_then(Value::as_str);
        let (member, data) = data(content_type, body, limits)?;
        members.insert(member.to_owned(), data);
    }
    let signed = members.contains_key("dssematerial");
    let value = Value::Object(members);
    let signed_data = if signed { verifiable::data_of_body(body, &value) } else { vec![] };
    let event = Event::build(tenant, value, limits).map_err(in_terms_of_headers)?;
    Ok(Event { signed_data, ..event })
}

/// The attribute a header stands for; `None` when it is none of the event's.
fn attribute_name(header: &str) -> Result<Option<&str>, Problem> {
    if header == "content-type" {
        return Ok(Some("datacontenttype"));
    }
    let Some(name) = header.strip_prefix("ce-") else { return Ok(None) };
    match name {
        "datacontenttype" => Err(fault(header, "`ce-datacontenttype` is not allowed", "use `Content-Type`")),
        "data" | "data_base64" => {
            Err(fault(header, "no attribute has this name", "send the data as the request's body"))
        }
        _ => Ok(Some(name)),
    }
}

/// Section 3.1.3.2: an old quoted string is unquoted, then `%xx` is decoded once, as UTF-8.
fn header_value(header: &str, raw: &[u8]) -> Result<String, Problem> {
    let raw = raw.trim_ascii();
    let plain;
    let raw = match raw {
        [b'"', inner @ .., b'"'] => {
            plain = unquote(inner);
            &plain[..]
        }
        _ => raw,
    };
    // Media types have a syntax of their own, in which `%` is an ordinary character.
    let decoded = if header == "content-type" { Some(raw.to_vec()) } else { percent_decode(raw) };
    let Some(decoded) = decoded else {
        let fix = "percent-encode `%` itself as `%25`";
        return Err(fault(header, "a `%` is not followed by two hexadecimal digits", fix));
    };
    String::from_utf8(decoded).map_err(|_| {
        let fix = "percent-encode the UTF-8 bytes of everything outside U+0021 to U+007E";
        fault(header, "the header's value is not UTF-8", fix)
    })
}

fn unquote(inner: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(inner.len());
    let mut bytes = inner.iter();
    while let Some(&byte) = bytes.next() {
        let kept = if byte == b'\\' { bytes.next().copied() } else { Some(byte) };
        out.extend(kept);
    }
    out
}

fn percent_decode(raw: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16).and_then(|n| u8::try_from(n).ok());
    let mut out = Vec::with_capacity(raw.len());
    let mut bytes = raw.iter();
    while let Some(&byte) = bytes.next() {
        if byte == b'%' {
            let (high, low) = (digit(*bytes.next()?)?, digit(*bytes.next()?)?);
            out.push(high << 4 | low);
        } else {
            out.push(byte);
        }
    }
    Some(out)
}

/// The member that holds the data, and the data. JSON becomes JSON, text a string, all else base64; a missing content
/// type means JSON, as in structured mode.
fn data(
    content_type: Option<&str>,
    body: &[u8],
    limits: &EventLimits,
) -> Result<(&'static str, Value), Problem> {
    let (kind, subtype) = split_media_type(content_type.unwrap_or("application/json"));
    if subtype == "json" || subtype.ends_with("+json") {
        // The event around the data is one level.
        let inner = Limits { max_depth: limits.max_depth.saturating_sub(1), ..limits.json() };
        return json::parse(body, inner)
            .map(|value| ("data", value))
            .map_err(|error| Problem::from(error).under("/data"));
    }
    let is_text = kind == "text" || subtype == "xml" || subtype.ends_with("+xml");
    match std::str::from_utf8(body) {
        Ok(text) if is_text => Ok(("data", Value::from(text))),
        _ => Ok(("data_base64", Value::from(STANDARD.encode(body)))),
    }
}

fn split_media_type(text: &str) -> (String, String) {
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let (kind, subtype) = essence.split_once('/').unwrap_or((&essence, ""));
    (kind.to_owned(), subtype.to_owned())
}

/// Canonical base64 of RFC 4648 section 4: padding present, no stray bits.
pub(super) fn is_base64(text: &str) -> bool {
    STANDARD.decode(text).is_ok()
}

fn in_terms_of_headers(mut problem: Problem) -> Problem {
    let data =
        problem.path == "/data" || problem.path.starts_with("/data/") || problem.path == "/data_base64";
    if !data && let Some(name) = problem.path.strip_prefix('/') {
        let header = if name == "datacontenttype" { "content-type".to_owned() } else { format!("ce-{name}") };
        problem.path = header;
    }
    problem
}

fn fault(header: &str, reason: &str, fix: &str) -> Problem {
    Problem::new(Code::InvalidEvent, header, reason, fix)
}
