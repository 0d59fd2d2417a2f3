//! Codecs: each element answered once whatever it is, the same bytes for the same input, no secret that was not offered.

use crate::common::once_each;
use crate::sinks::{Answer, Answers, on_outcome, on_prepared};
use crate::{Options, Report};
use notify_connector_abi as abi;
use notify_connector_host::request::{Auth, Part, PreparedRequest};

/// An element of a later minor: longer than this suite's own idea of it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Longer<T> {
    known: T,
    later: [u64; 3],
}

struct Under<'a> {
    table: &'a abi::Connector,
    instance: *mut abi::Instance,
    channel_type: &'a str,
    config: &'a [u8],
    secret_names: Vec<u8>,
}

const MESSAGE: &[u8] = br#"{"title":"Conformance","severity":"high","body":"**bold**"}"#;

impl Under<'_> {
    fn send(&self, token: u64, message: &[u8], config: &[u8]) -> abi::Send {
        abi::Send {
            size: size_of::<abi::Send>() as u32,
            attempt: 1,
            token,
            delivery_unix_ms: 1_795_327_200_123,
            attempt_unix_ms: 1_795_327_200_456,
            deadline_unix_ms: 1_795_327_215_000,
            phase: abi::PHASE_OPEN,
            flags: 0,
            channel_type: abi::Bytes::of(self.channel_type.as_bytes()),
            config_json: abi::Bytes::of(config),
            message_json: abi::Bytes::of(message),
            delivery_id: abi::Bytes::of(b"dlv_0123456789abcdef0123456789abcdef"),
            provider_reference: abi::Bytes::EMPTY,
            secret_names_json: abi::Bytes::of(&self.secret_names),
            secrets_json: abi::Bytes::EMPTY,
        }
    }

    /// # Safety
    /// `items` points to `n` elements.
    unsafe fn prepare(&self, items: *const abi::Send, n: usize, faults: &mut Vec<String>) -> Answers {
        let mut answers = Answers::default();
        let ctx = (&raw mut answers).cast();
        // SAFETY: the live instance, the caller's array, a sink that lives for the call.
        let code = self.table.prepare_many.map(|f| unsafe { f(self.instance, items, n, on_prepared, ctx) });
        if code != Some(0) {
            faults.push(format!("the whole call of {n} returned {code:?}"));
        }
        answers
    }

    fn prepare_all(&self, items: &[abi::Send], faults: &mut Vec<String>) -> Vec<Answer> {
        // SAFETY: a slice.
        let answers = unsafe { self.prepare(items.as_ptr(), items.len(), faults) };
        let tokens: Vec<u64> = items.iter().map(|item| item.token).collect();
        once_each(&answers, &tokens, faults);
        let mut items = answers.items;
        items.sort_by_key(|answer| answer.token);
        items
    }

    /// # Safety
    /// `items` points to `n` elements.
    unsafe fn interpret(&self, items: *const abi::Response, n: usize, faults: &mut Vec<String>) -> Answers {
        let mut answers = Answers::default();
        let ctx = (&raw mut answers).cast();
        // SAFETY: the live instance, the caller's array, a sink that lives for the call.
        let code = self.table.interpret_many.map(|f| unsafe { f(self.instance, items, n, on_outcome, ctx) });
        if code != Some(0) {
            faults.push(format!("the whole call of {n} returned {code:?}"));
        }
        answers
    }

    fn response(&self, token: u64, status: u16, headers: &[u8], body: &[u8]) -> abi::Response {
        abi::Response {
            size: size_of::<abi::Response>() as u32,
            status,
            flags: 0,
            token,
            attempt_unix_ms: 1_795_327_200_456,
            channel_type: abi::Bytes::of(self.channel_type.as_bytes()),
            config_json: abi::Bytes::of(self.config),
            headers_json: abi::Bytes::of(headers),
            body: abi::Bytes::of(body),
        }
    }
}

pub(crate) fn run(
    table: &abi::Connector,
    instance: *mut abi::Instance,
    channel_type: &str,
    options: &Options,
    report: &mut Report,
) {
    let secret_names = serde_json::to_vec(&options.secret_names).unwrap_or_default();
    let under = Under { table, instance, channel_type, config: &options.config_json, secret_names };
    prepare_ordinary(&under, options, report);
    prepare_hostile(&under, report);
    interpret(&under, report);
}

fn request_faults(answer: &Answer, secrets: &[String], faults: &mut Vec<String>) {
    if answer.code != abi::OK {
        let detail = String::from_utf8_lossy(&answer.second).into_owned();
        faults.push(format!("an ordinary message was answered with code {}: {detail}", answer.code));
        return;
    }
    let request: PreparedRequest = match serde_json::from_slice(&answer.first) {
        Ok(request) => request,
        Err(error) => {
            faults.push(format!("request_json is not a prepared request: {error}"));
            return;
        }
    };
    if !["POST", "PUT", "PATCH"].contains(&request.method.as_str()) {
        faults.push(format!("method `{}`", request.method));
    }
    let headers = request.headers.iter().flat_map(|(_, parts)| parts);
    let mut named: Vec<&String> = request
        .url
        .iter()
        .chain(headers)
        .chain(&request.body)
        .filter_map(|part| if let Part::Secret(name) = part { Some(name) } else { None })
        .collect();
    match &request.auth {
        Auth::None => {}
        Auth::Bearer { secret } | Auth::Basic { secret, .. } | Auth::StandardWebhooks { secret } => {
            named.push(secret)
        }
    }
    for name in named {
        if !secrets.contains(name) {
            faults.push(format!("it names the secret `{name}`, which the channel does not have"));
        }
    }
}

fn prepare_ordinary(under: &Under<'_>, options: &Options, report: &mut Report) {
    let mut faults = Vec::new();
    // SAFETY: no elements.
    let none = unsafe { under.prepare(std::ptr::null(), 0, &mut faults) };
    once_each(&none, &[], &mut faults);
    report.check("prepare: an empty batch", std::mem::take(&mut faults));

    let one = under.prepare_all(&[under.send(u64::MAX, MESSAGE, under.config)], &mut faults);
    one.iter().for_each(|answer| request_faults(answer, &options.secret_names, &mut faults));
    report.check("prepare: one ordinary message", std::mem::take(&mut faults));

    let thousand: Vec<abi::Send> =
        (0..1000).map(|n| under.send(n << 32 | 7, MESSAGE, under.config)).collect();
    let many = under.prepare_all(&thousand, &mut faults);
    if many
        .iter()
        .any(|answer| one.first().is_some_and(|one| one.first != answer.first || one.code != answer.code))
    {
        faults.push("the same input gave other bytes in a batch of 1000 than alone".to_owned());
    }
    report.check("prepare: 1000 at once, the same bytes each", std::mem::take(&mut faults));

    let longer: Vec<Longer<abi::Send>> = (0..3)
        .map(|token| {
            let known = abi::Send {
                size: size_of::<Longer<abi::Send>>() as u32,
                ..under.send(token, MESSAGE, under.config)
            };
            Longer { known, later: [u64::MAX; 3] }
        })
        .collect();
    // SAFETY: elements that are as long as their size says.
    let answers = unsafe { under.prepare(longer.as_ptr().cast(), longer.len(), &mut faults) };
    once_each(&answers, &[0, 1, 2], &mut faults);
    report.check("prepare: longer elements of a later host", std::mem::take(&mut faults));

    let later =
        abi::Send { attempt: 9, attempt_unix_ms: 1_795_400_000_000, ..under.send(1, MESSAGE, under.config) };
    let later = under.prepare_all(&[later], &mut faults);
    if later.first().map(|a| &a.first) != one.first().map(|a| &a.first) {
        faults.push("a later attempt has other bytes: receivers cannot tell a repetition".to_owned());
    }
    report.check("prepare: the same bytes on a later attempt", faults);
}

/// Inputs that no host sends and that must still be answered, each once.
fn prepare_hostile(under: &Under<'_>, report: &mut Report) {
    let title = "ä🙂\u{202e}\u{0}'\"<>&\\".repeat(8);
    let unicode =
        serde_json::json!({ "title": title, "body": title, "fields": [{ "name": title, "value": title }] });
    let huge = serde_json::json!({ "title": "t", "body": "x".repeat(abi::limits::MESSAGE - 64) });
    let deep = format!("{{\"title\":\"t\",\"native\":{{\"x\":{}1{}}}}}", "[".repeat(2000), "]".repeat(2000));
    let messages: Vec<Vec<u8>> = vec![
        unicode.to_string().into_bytes(),
        huge.to_string().into_bytes(),
        deep.into_bytes(),
        Vec::new(),
        b"{".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"{}".to_vec(),
        b"\0\0\0".to_vec(),
        b"\xff\xfe\xfd".to_vec(),
        br#"{"title":1}"#.to_vec(),
        br#"{"title":"t","later":{"x":[1,2,3]}}"#.to_vec(),
        MESSAGE.to_vec(),
    ];
    let configs: Vec<&[u8]> = vec![b"", b"{", b"null", b"[]", b"{}", b"\0", b"\xff", b"{\"unknown\":1}"];
    let mut sends: Vec<abi::Send> =
        (0..).zip(&messages).map(|(n, message)| under.send(n, message, under.config)).collect();
    sends.extend((100..).zip(&configs).map(|(n, config)| under.send(n, MESSAGE, config)));
    let odd = under.send(200, MESSAGE, under.config);
    sends.push(abi::Send { delivery_id: abi::Bytes::EMPTY, secret_names_json: abi::Bytes::EMPTY, ..odd });
    sends.push(abi::Send { token: 201, channel_type: abi::Bytes::of(b"\xff"), ..odd });
    sends.push(abi::Send {
        token: 202,
        provider_reference: abi::Bytes::of(b"\xff\0"),
        phase: 99,
        attempt: 0,
        ..odd
    });
    sends.push(abi::Send { token: 203, delivery_unix_ms: u64::MAX, attempt_unix_ms: u64::MAX, ..odd });

    let mut faults = Vec::new();
    let answers = under.prepare_all(&sends, &mut faults);
    for answer in &answers {
        match answer.code {
            abi::OK => {
                if let Err(error) = serde_json::from_slice::<PreparedRequest>(&answer.first) {
                    faults.push(format!("element {}: its request cannot be read: {error}", answer.token));
                }
            }
            abi::RETRY | abi::PERMANENT | abi::BAD_CONFIG => {
                if answer.second.is_empty() {
                    faults.push(format!("element {}: code {} without a detail", answer.token, answer.code));
                }
            }
            code => {
                faults.push(format!("element {}: code {code} is none for prepared requests", answer.token))
            }
        }
    }
    if !answers.iter().any(|answer| answer.token == 12 && answer.code == abi::OK) {
        faults.push("the one ordinary message among them was not prepared".to_owned());
    }
    if under.prepare_all(&sends, &mut Vec::new()) != answers {
        faults.push("a second call with the same inputs gave other answers".to_owned());
    }
    report.check("prepare: hostile input spoils no neighbour", faults);
}

fn interpret(under: &Under<'_>, report: &mut Report) {
    let mut faults = Vec::new();
    // SAFETY: no elements.
    let none = unsafe { under.interpret(std::ptr::null(), 0, &mut faults) };
    once_each(&none, &[], &mut faults);
    report.check("interpret: an empty batch", std::mem::take(&mut faults));

    let headers: [&[u8]; 6] = [
        b"[]",
        br#"[["retry-after","7"]]"#,
        br#"[["retry-after","Sun, 22 Nov 2026 06:00:10 GMT"]]"#,
        br#"[["retry-after","-1"],["x","\u0000"]]"#,
        b"",
        b"\xff",
    ];
    let big = vec![b'x'; 64 * 1024];
    let bodies: [&[u8]; 5] = [b"", b"ok", b"{\"ok\":false,\"error\":\"x\"}", b"\xff\xfe\0\x1b[31m", &big];
    let statuses = (0..1000).map(|n| (n, n as u16)).chain([(1000, u16::MAX)]);
    let responses: Vec<abi::Response> = statuses
        .map(|(token, status)| {
            let (headers, body) =
                (headers[token as usize % headers.len()], bodies[token as usize % bodies.len()]);
            under.response(token, status, headers, body)
        })
        .collect();
    let tokens: Vec<u64> = responses.iter().map(|response| response.token).collect();
    // SAFETY: a slice, twice.
    let (first, second) = unsafe {
        (
            under.interpret(responses.as_ptr(), responses.len(), &mut faults),
            under.interpret(responses.as_ptr(), responses.len(), &mut faults),
        )
    };
    once_each(&first, &tokens, &mut faults);
    outcome_faults(&first.items, &mut faults);
    if first.items != second.items {
        faults.push("a second call with the same inputs gave other answers".to_owned());
    }
    report.check("interpret: every status, odd headers and bodies", std::mem::take(&mut faults));

    let longer: Vec<Longer<abi::Response>> = (0..3)
        .map(|token| {
            let size = size_of::<Longer<abi::Response>>() as u32;
            let known = abi::Response { size, ..under.response(token, 200, b"[]", b"") };
            Longer { known, later: [u64::MAX; 3] }
        })
        .collect();
    // SAFETY: elements that are as long as their size says.
    let answers = unsafe { under.interpret(longer.as_ptr().cast(), longer.len(), &mut faults) };
    once_each(&answers, &[0, 1, 2], &mut faults);
    report.check("interpret: longer elements of a later host", faults);
}

pub(crate) fn outcome_faults(outcomes: &[Answer], faults: &mut Vec<String>) {
    for outcome in outcomes {
        let token = outcome.token;
        if !(abi::OK..=abi::CANCELLED).contains(&outcome.code) {
            faults.push(format!("element {token}: code {} does not exist", outcome.code));
        }
        if outcome.retry_after_ms != abi::NOT_SAID && ![abi::RETRY, abi::THROTTLED].contains(&outcome.code) {
            faults.push(format!("element {token}: a time to wait with code {}", outcome.code));
        }
        if std::str::from_utf8(&outcome.first).is_err() || outcome.first.len() > abi::limits::DETAIL {
            faults.push(format!("element {token}: its detail is not short text"));
        }
        if outcome.second.len() > abi::limits::PROVIDER_REFERENCE
            || std::str::from_utf8(&outcome.second).is_err()
        {
            faults.push(format!("element {token}: its provider reference is not short text"));
        }
    }
}
