//! From a prepared request to the bytes that are sent: secrets filled in, validated, signed.

use super::fault::{FaultKind, OutboundFault};
use crate::request::{Auth, Part, PreparedRequest};
use crate::secrets::{ResolvedSecrets, SecretValue};
use crate::signing::{
    ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, is_webhook_id, signature_header,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HOST, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::Full;
use notify_core::time::Timestamp;
use notify_netguard::{Policy, Target, Url};
use std::borrow::Cow;
use zeroize::Zeroizing;

/// Bounds of what a codec may ask the host to send.
const MAX_URL_BYTES: usize = 8 * 1024;
const MAX_HEADERS: usize = 64;
const MAX_HEADER_VALUE_BYTES: usize = 8 * 1024;

/// A request that may be sent to `target` and nowhere else.
pub(super) struct Filled {
    pub target: Target,
    pub host_is_secret: bool,
    pub request: Request<Full<Bytes>>,
}

/// Hop-by-hop and framing headers would let a codec speak to the connection instead of the receiver (request
/// smuggling); `webhook-*` would let it forge the id or the signature.
fn is_forbidden(name: &HeaderName) -> bool {
    const FORBIDDEN: [&str; 11] = [
        "host",
        "content-length",
        "transfer-encoding",
        "connection",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "http2-settings",
        "accept-encoding",
    ];
    FORBIDDEN.contains(&name.as_str())
        || name.as_str().starts_with("webhook-")
        || name.as_str().starts_with("proxy-")
}

pub(super) fn fill(
    prepared: &PreparedRequest,
    secrets: &ResolvedSecrets,
    delivery_id: &str,
    attempt_time: Timestamp,
    policy: &Policy,
    max_body: usize,
) -> Result<Filled, OutboundFault> {
    let method = match prepared.method.as_str() {
        "POST" => Method::POST,
        "PUT" => Method::PUT,
        "PATCH" => Method::PATCH,
        _ => return Err(OutboundFault::invalid("the method is not POST, PUT or PATCH")),
    };
    let (url, target, host_is_secret) = checked_url(&prepared.url, secrets, policy)?;
    let mut headers = filled_headers(&prepared.headers, secrets)?;
    let body = filled_body(&prepared.body, secrets, is_json(&headers), max_body)?;
    authenticate(&mut headers, &prepared.auth, secrets, delivery_id, attempt_time, &body)?;

    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let uri = Uri::try_from(path).map_err(|_| OutboundFault::invalid("the URL's path is not valid"))?;
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let host = HeaderValue::from_str(authority)
        .map_err(|_| OutboundFault::invalid("the URL's host is not valid"))?;
    headers.insert(HOST, host);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
    headers.entry(USER_AGENT).or_insert(HeaderValue::from_static("notify-studio"));

    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    Ok(Filled { target, host_is_secret, request })
}

/// Parsed once; what is checked is what is sent to.
fn checked_url(
    parts: &[Part],
    secrets: &ResolvedSecrets,
    policy: &Policy,
) -> Result<(Url, Target, bool), OutboundFault> {
    let text = joined(parts, secrets, Cow::Borrowed)?;
    if text.len() > MAX_URL_BYTES {
        return Err(OutboundFault::invalid(format!("the URL is longer than {MAX_URL_BYTES} bytes")));
    }
    // The URL parser drops tabs and newlines and trims spaces without a word.
    if text.bytes().any(|b| b <= b' ' || b == 0x7f) {
        return Err(OutboundFault::invalid("the URL contains a space or a control character"));
    }
    let url = Url::parse(&text)
        .map_err(|error| OutboundFault::invalid(format!("the URL is not valid: {error}")))?;
    let host_is_secret = secret_before_path(parts);
    match policy.check_url(&url) {
        Ok(target) => Ok((url, target, host_is_secret)),
        Err(blocked) => Err(OutboundFault::blocked(&blocked, host_is_secret)),
    }
}

/// True unless the literal text before the first secret holds the whole `scheme://authority/`.
fn secret_before_path(parts: &[Part]) -> bool {
    let mut literal = String::new();
    for part in parts {
        match part {
            Part::Text(text) => literal.push_str(text),
            Part::Secret(_) => {
                let after_scheme = literal.split_once("://").map(|(_, rest)| rest);
                return !after_scheme.is_some_and(|rest| rest.contains(['/', '?', '#']));
            }
        }
    }
    false
}

fn filled_headers(
    prepared: &[(String, Vec<Part>)],
    secrets: &ResolvedSecrets,
) -> Result<HeaderMap, OutboundFault> {
    if prepared.len() > MAX_HEADERS {
        return Err(OutboundFault::invalid(format!("more than {MAX_HEADERS} headers")));
    }
    let mut headers = HeaderMap::with_capacity(prepared.len() + 8);
    for (name, parts) in prepared {
        let shown: String = name.chars().filter(|c| c.is_ascii_graphic()).take(64).collect();
        let header = HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| OutboundFault::invalid(format!("`{shown}` is not a header name")))?;
        if is_forbidden(&header) {
            return Err(OutboundFault::invalid(format!("the header `{header}` is set by the host only")));
        }
        let text = joined(parts, secrets, Cow::Borrowed)?;
        if text.len() > MAX_HEADER_VALUE_BYTES {
            let reason = format!("the header `{header}` is longer than {MAX_HEADER_VALUE_BYTES} bytes");
            return Err(OutboundFault::invalid(reason));
        }
        let has_secret = parts.iter().any(|part| matches!(part, Part::Secret(_)));
        headers.append(header.clone(), header_value(header.as_str(), &text, has_secret)?);
    }
    Ok(headers)
}

fn header_value(name: &str, text: &str, sensitive: bool) -> Result<HeaderValue, OutboundFault> {
    // `from_bytes` refuses CR, LF, NUL and every other control character except tab.
    let mut value = HeaderValue::from_bytes(text.as_bytes()).map_err(|_| {
        OutboundFault::invalid(format!(
            "the value of header `{name}` contains a line break or control character"
        ))
    })?;
    value.set_sensitive(sensitive);
    Ok(value)
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(Ok(content_type)) = headers.get(CONTENT_TYPE).map(HeaderValue::to_str) else { return false };
    let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// In a JSON body a secret stands inside a string that the codec has opened: it is escaped, so that no value of a
/// secret can change the document's structure.
fn filled_body(
    parts: &[Part],
    secrets: &ResolvedSecrets,
    json: bool,
    max_body: usize,
) -> Result<Bytes, OutboundFault> {
    let text = if json {
        joined(parts, secrets, |secret| match serde_json::to_string(secret) {
            Ok(quoted) => Cow::Owned(quoted.get(1..quoted.len() - 1).unwrap_or_default().to_owned()),
            Err(_) => Cow::Borrowed(""),
        })?
    } else {
        joined(parts, secrets, Cow::Borrowed)?
    };
    if text.len() > max_body {
        return Err(OutboundFault::invalid(format!("the body is longer than {max_body} bytes")));
    }
    Ok(Bytes::from(text))
}

fn joined<'a>(
    parts: &'a [Part],
    secrets: &'a ResolvedSecrets,
    encode: impl Fn(&'a str) -> Cow<'a, str>,
) -> Result<String, OutboundFault> {
    let mut text = String::with_capacity(
        parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.len(),
                Part::Secret(_) => 64,
            })
            .sum(),
    );
    for part in parts {
        match part {
            Part::Text(literal) => text.push_str(literal),
            Part::Secret(name) => text.push_str(&encode(newest(secrets, name)?.expose())),
        }
    }
    Ok(text)
}

fn newest<'a>(secrets: &'a ResolvedSecrets, name: &str) -> Result<&'a SecretValue, OutboundFault> {
    secrets.newest(name).ok_or_else(|| missing(name))
}

fn missing(name: &str) -> OutboundFault {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(64).collect();
    OutboundFault::before(FaultKind::MissingSecret, format!("the channel has no secret `{shown}`"))
}

fn authenticate(
    headers: &mut HeaderMap,
    auth: &Auth,
    secrets: &ResolvedSecrets,
    delivery_id: &str,
    attempt_time: Timestamp,
    body: &[u8],
) -> Result<(), OutboundFault> {
    if !is_webhook_id(delivery_id) {
        return Err(OutboundFault::invalid("the delivery id is not fit for webhook-id"));
    }
    // Sent without a signature too: receivers deduplicate on it.
    headers.insert(ID_HEADER, header_value(ID_HEADER, delivery_id, false)?);
    let credentials = match auth {
        Auth::None => return Ok(()),
        Auth::Bearer { secret } => Zeroizing::new(format!("Bearer {}", newest(secrets, secret)?.expose())),
        Auth::Basic { user, secret } => {
            if user.contains(':') || user.chars().any(char::is_control) {
                return Err(OutboundFault::invalid("the user name contains `:` or a control character"));
            }
            let pair = Zeroizing::new(format!("{user}:{}", newest(secrets, secret)?.expose()));
            Zeroizing::new(format!("Basic {}", STANDARD.encode(pair.as_bytes())))
        }
        Auth::StandardWebhooks { secret } => {
            let keys = signing_keys(secrets, secret)?;
            headers.insert(TIMESTAMP_HEADER, HeaderValue::from(attempt_time.as_second()));
            let signature = signature_header(&keys, delivery_id, attempt_time, body);
            headers.insert(SIGNATURE_HEADER, header_value(SIGNATURE_HEADER, &signature, false)?);
            return Ok(());
        }
    };
    if headers.contains_key(AUTHORIZATION) {
        return Err(OutboundFault::invalid("the request has both `auth` and an `authorization` header"));
    }
    headers.insert(AUTHORIZATION, header_value("authorization", &credentials, true)?);
    Ok(())
}

fn signing_keys(secrets: &ResolvedSecrets, name: &str) -> Result<Vec<SigningKey>, OutboundFault> {
    let values = secrets.values(name);
    if values.is_empty() {
        return Err(missing(name));
    }
    values
        .iter()
        .map(|value| {
            SigningKey::parse(value.expose())
                .map_err(|error| OutboundFault::invalid(format!("secret `{name}`: {error}")))
        })
        .collect()
}
