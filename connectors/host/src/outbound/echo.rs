//! What a receiver sends back is stored and shown, so secrets that it repeats are taken out first: the values of the
//! channel's secrets in every form in which we or a receiver write them, and the credentials and signatures of this
//! very request.

use crate::request::HttpResponse;
use crate::secrets::ResolvedSecrets;
use crate::signing::SIGNATURE_HEADER;
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

/// Shorter values are no secrets, and taking them out would make a riddle of every answer.
const SHORTEST: usize = 6;
/// Of a secret that the end of a cut answer has divided, this much may stay.
const HARMLESS: usize = 3;

/// Credentials of a request, to be kept while it is under way.
pub(super) struct Sent {
    authorization: Option<HeaderValue>,
    signature: Option<HeaderValue>,
}

impl Sent {
    pub fn of(headers: &HeaderMap) -> Self {
        Self {
            authorization: headers.get(AUTHORIZATION).cloned(),
            signature: headers.get(SIGNATURE_HEADER).cloned(),
        }
    }
}

/// A text that must not stay, and what stands in its place.
struct Needle {
    bytes: Zeroizing<Vec<u8>>,
    instead: String,
}

/// Takes secrets out of a response, headers and body.
pub(super) fn clean(response: &mut HttpResponse, secrets: &ResolvedSecrets, sent: &Sent) {
    let needles = needles(secrets, sent);
    for (_, value) in &mut response.headers {
        if let Some(cleaned) = without(value.as_bytes(), &needles) {
            *value = String::from_utf8_lossy(&cleaned).into_owned();
        }
    }
    if let Some(cleaned) = without(&response.body, &needles) {
        response.body = cleaned;
    }
    if response.truncated {
        cut_divided(&mut response.body, &needles);
    }
}

/// A text of a plug-in that has seen the secrets.
pub(crate) fn clean_text(text: &str, secrets: &ResolvedSecrets) -> Option<String> {
    let sent = Sent { authorization: None, signature: None };
    let cleaned = without(text.as_bytes(), &needles(secrets, &sent))?;
    Some(String::from_utf8_lossy(&cleaned).into_owned())
}

/// The longest first: a secret may be part of another form of itself.
fn needles(secrets: &ResolvedSecrets, sent: &Sent) -> Vec<Needle> {
    let mut needles: Vec<Needle> = Vec::new();
    let mut add = |bytes: Vec<u8>, instead: &str| {
        let bytes = Zeroizing::new(bytes);
        if bytes.len() >= SHORTEST && needles.iter().all(|known| *known.bytes != *bytes) {
            needles.push(Needle { bytes, instead: instead.to_owned() });
        }
    };
    for (name, value) in secrets.all() {
        let instead = format!("‹secret:{name}›");
        let value = value.expose();
        // Keys of Standard Webhooks are written with a prefix that says what they are.
        let bare = value.strip_prefix("whsec_").or_else(|| value.strip_prefix("whsk_"));
        for text in [Some(value), bare].into_iter().flatten() {
            add(text.as_bytes().to_vec(), &instead);
            for form in escaped(text) {
                add(form.into_bytes(), &instead);
            }
            for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
                add(engine.encode(text).into_bytes(), &instead);
            }
        }
    }
    if let Some(credentials) =
        sent.authorization.as_ref().and_then(|value| value.as_bytes().splitn(2, |b| *b == b' ').nth(1))
    {
        add(credentials.to_vec(), "‹authorization›");
        for form in std::str::from_utf8(credentials).into_iter().flat_map(escaped) {
            add(form.into_bytes(), "‹authorization›");
        }
    }
    for signature in sent.signature.iter().flat_map(|value| value.as_bytes().split(|b| *b == b' ')) {
        add(signature.to_vec(), "‹signature›");
        // Without its version, as a receiver that took it apart may show it.
        if let Some(bare) = signature.splitn(2, |b| *b == b',').nth(1) {
            add(bare.to_vec(), "‹signature›");
            for form in std::str::from_utf8(bare).into_iter().flat_map(escaped) {
                add(form.into_bytes(), "‹signature›");
            }
        }
    }
    needles.sort_by_key(|needle| std::cmp::Reverse(needle.bytes.len()));
    needles
}

/// A text in the escapes of common writers: JSON as serde, PHP (`\/`), Go and .NET (`\u0026`, `\u002B`) spell it, queries with
/// upper and lower case digits, and HTML.
fn escaped(text: &str) -> Vec<String> {
    let json = serde_json::to_string(text).unwrap_or_default();
    let json = json.strip_prefix('"').and_then(|json| json.strip_suffix('"')).unwrap_or_default().to_owned();
    let spelled = |special: &str, upper: bool| -> String {
        json.chars()
            .map(|c| match (special.contains(c), upper) {
                (true, true) => format!("\\u{:04X}", u32::from(c)),
                (true, false) => format!("\\u{:04x}", u32::from(c)),
                (false, _) => c.to_string(),
            })
            .collect()
    };
    let percent = percent_encoded(text);
    let lower = percent
        .split_inclusive('%')
        .enumerate()
        .map(|(index, part)| match part.split_at_checked(2).filter(|_| index > 0) {
            Some((digits, rest)) => digits.to_ascii_lowercase() + rest,
            None => part.to_owned(),
        })
        .collect();
    let html = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let mut php = String::new();
    for c in json.replace('/', "\\/").chars() {
        if c.is_ascii() {
            php.push(c);
        } else {
            for unit in c.encode_utf16(&mut [0; 2]) {
                php.push_str(&format!("\\u{unit:04x}"));
            }
        }
    }
    vec![
        json.replace('/', "\\/"),
        php,
        spelled("&<>", false),
        spelled("&<>+'", true),
        json,
        percent,
        lower,
        html,
    ]
}

/// A text as it stands in a query: everything but letters, digits and `-_.~` as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

/// `None` when there is nothing to take out.
fn without(bytes: &[u8], needles: &[Needle]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    for needle in needles {
        let text = out.as_deref().unwrap_or(bytes);
        if let Some(first) = find(text, &needle.bytes) {
            let cleaned = replaced(text, first, needle);
            out = Some(cleaned);
        }
    }
    out
}

fn replaced(text: &[u8], first: usize, needle: &Needle) -> Vec<u8> {
    let mut cleaned = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut place = Some(first);
    while let Some(at) = place {
        let (before, from) = rest.split_at(at);
        cleaned.extend_from_slice(before);
        cleaned.extend_from_slice(needle.instead.as_bytes());
        rest = from.get(needle.bytes.len()..).unwrap_or_default();
        place = find(rest, &needle.bytes);
    }
    cleaned.extend_from_slice(rest);
    cleaned
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, _) = needle.split_first()?;
    let mut from = 0;
    loop {
        let rest = text.get(from..)?;
        let at = from + rest.iter().position(|b| b == first)?;
        if text.get(at..)?.starts_with(needle) {
            return Some(at);
        }
        from = at + 1;
    }
}

/// Where an answer was cut, the beginning of a secret may stand at its end.
fn cut_divided(body: &mut Vec<u8>, needles: &[Needle]) {
    let divided = needles
        .iter()
        .filter_map(|needle| {
            (HARMLESS + 1..needle.bytes.len())
                .rev()
                .find(|length| needle.bytes.get(..*length).is_some_and(|start| body.ends_with(start)))
        })
        .max();
    if let Some(length) = divided {
        body.truncate(body.len().saturating_sub(length));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secrets::SecretValue;

    const TOKEN: &str = "geheim/Ä\"token+7";
    const KEY: &str = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

    fn response(body: &str, truncated: bool) -> HttpResponse {
        let headers = vec![("x-echo".to_owned(), body.to_owned())];
        HttpResponse { status: 200, headers, body: body.as_bytes().to_vec(), truncated }
    }

    fn sent() -> (ResolvedSecrets, Sent) {
        let mut secrets = ResolvedSecrets::default();
        secrets.insert("token", vec![SecretValue::new(TOKEN.to_owned())]);
        secrets.insert("signing", vec![SecretValue::new(KEY.to_owned())]);
        secrets.insert("short", vec![SecretValue::new("true".to_owned())]);
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_static("Basic dXNlcjpnZWhlaW0="));
        headers.insert(SIGNATURE_HEADER, HeaderValue::from_static("v1,AAAABBBB= v1,CCCCDDDD="));
        let sent = Sent::of(&headers);
        (secrets, sent)
    }

    #[test]
    fn echoes_are_taken_out_in_every_form() {
        let (secrets, sent) = sent();
        let check = |body: &str, expected: &str| {
            let mut response = response(body, false);
            clean(&mut response, &secrets, &sent);
            assert_eq!(String::from_utf8(response.body).unwrap(), expected, "{body}");
            assert_eq!(response.headers, [("x-echo".to_owned(), expected.to_owned())], "{body}");
        };
        check("ok", "ok");
        check(r#"{"ok":true}"#, r#"{"ok":true}"#);
        check(&format!("a {TOKEN} b {TOKEN}{TOKEN}"), "a ‹secret:token› b ‹secret:token›‹secret:token›");
        check(r#"{"got":"geheim/Ä\"token+7"}"#, r#"{"got":"‹secret:token›"}"#);
        check("t=geheim%2F%C3%84%22token%2B7&x", "t=‹secret:token›&x");
        check("t=geheim%2f%c3%84%22token%2b7&x", "t=‹secret:token›&x");
        check(r#"{"got":"geheim\/Ä\"token+7"}"#, r#"{"got":"‹secret:token›"}"#);
        check(r#"{"php":"geheim\/\u00c4\"token+7"}"#, r#"{"php":"‹secret:token›"}"#);
        check(r#"{"net":"geheim/Ä\"token\u002B7"}"#, r#"{"net":"‹secret:token›"}"#);
        check("<p>geheim/Ä&quot;token+7</p>", "<p>‹secret:token›</p>");
        check(&format!("<{}>", STANDARD.encode(TOKEN)), "<‹secret:token›>");
        check(KEY, "‹secret:signing›");
        check("key MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=", "key ‹secret:signing›");
        check("authorization: Basic dXNlcjpnZWhlaW0=", "authorization: Basic ‹authorization›");
        check("webhook-signature: v1,AAAABBBB= v1,CCCCDDDD=", "webhook-signature: ‹signature› ‹signature›");
        check("sig=CCCCDDDD=", "sig=‹signature›");
    }

    #[test]
    fn a_secret_that_the_cut_divided_does_not_stay() {
        let (secrets, sent) = sent();
        for (body, expected) in
            [("said: geheim/", "said: "), ("said: whsec_MDEyMz", "said: "), ("said: geh", "said: geh")]
        {
            let mut response = response(body, true);
            clean(&mut response, &secrets, &sent);
            assert_eq!(String::from_utf8(response.body).unwrap(), expected);
        }
    }
}
