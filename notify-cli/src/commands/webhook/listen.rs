//! `notify webhook listen`: a receiver to try things out with.

use super::ListenArgs;
use crate::args::Format;
use crate::failure::{Failure, printable};
use crate::home::SystemClock;
use crate::output;
use crate::style::{self, Tone};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, RETRY_AFTER};
use hyper::service::service_fn;
use hyper::{HeaderMap, Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use notify_connector_host::signing::{
    ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER, VerifyingKey, WebhookHeaders, verify,
};
use notify_core::time::{Clock, Timestamp, rfc3339_millis};
use serde_json::{Value, json};
use std::collections::HashMap;
use std::convert::Infallible;
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;

/// Larger bodies are refused: no delivery is that large.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Ids that are remembered to tell a repeat.
const MAX_IDS: usize = 10_000;

struct Receiver {
    keys: Vec<VerifyingKey>,
    format: Format,
    status: StatusCode,
    /// Deliveries that still get `status`; `None`: all.
    failing: Option<AtomicU64>,
    retry_after: Option<Duration>,
    delay: Duration,
    whole_bodies: bool,
    /// How often each id came.
    ids: Mutex<HashMap<String, u32>>,
    left: Option<AtomicU64>,
    enough: Notify,
}

/// # Errors
/// When the address cannot be listened on or a secret is none.
pub async fn run(format: Format, args: &ListenArgs) -> Result<(), Failure> {
    let keys = args.keys.verifying()?;
    let status = match (args.fail, args.status) {
        (Some(_), 200) => 503,
        (_, status) => status,
    };
    let receiver = Rc::new(Receiver {
        format,
        status: StatusCode::from_u16(status)
            .map_err(|_| Failure::usage(format!("{status} is no status"), "give one from 200 to 599"))?,
        failing: args.fail.map(AtomicU64::new),
        retry_after: args.retry_after,
        delay: args.delay.unwrap_or_default(),
        whole_bodies: args.body,
        ids: Mutex::default(),
        left: args.count.map(AtomicU64::new),
        enough: Notify::new(),
        keys,
    });
    let listener = TcpListener::bind((args.bind, args.port)).await.map_err(|error| {
        let reason = format!("{}:{} cannot be listened on: {error}", args.bind, args.port);
        Failure::other(reason, "choose another with --port, or a free one with --port 0")
    })?;
    let address = listener.local_addr().map_err(|error| Failure::other(error.to_string(), ""))?;
    if format == Format::Table {
        let checks = match receiver.keys.len() {
            0 => "signatures are not checked: give --secret or --secret-file".to_owned(),
            1 => "signatures are checked".to_owned(),
            n => format!("signatures are checked with {n} secrets"),
        };
        output::say(&format!("listening on http://{address}/ ({checks}); stop with Ctrl-C"));
    }
    if args.count == Some(0) {
        return Ok(());
    }
    let local = tokio::task::LocalSet::new();
    local.run_until(accept(listener, Rc::clone(&receiver))).await;
    Ok(())
}

async fn accept(listener: TcpListener, receiver: Rc<Receiver>) {
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => continue,
            },
            () = receiver.enough.notified() => return,
            _ = tokio::signal::ctrl_c() => return,
        };
        let receiver = Rc::clone(&receiver);
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| {
                let receiver = Rc::clone(&receiver);
                async move { Ok::<_, Infallible>(receiver.answer(request).await) }
            });
            // A sender that breaks off is its own business.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(15))
                .serve_connection(TokioIo::new(stream), service)
                .await;
            receiver.after_connection();
        });
    }
}

impl Receiver {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        if head.method == Method::GET {
            return respond(StatusCode::OK, "notify webhook listen: send deliveries with POST\n");
        }
        let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
            return respond(StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or broke off\n");
        };
        let body = body.to_bytes();
        let now = SystemClock.now();
        let verdict = self.verdict(&head.headers, &body, now);
        let status = match &verdict {
            Some(Err(_)) => StatusCode::UNAUTHORIZED,
            _ => self.next_status(),
        };
        self.print(&head.method, head.uri.path(), &head.headers, &body, verdict.as_ref(), status, now);
        if !self.delay.is_zero() {
            notify_worker::clock::wait(self.delay).await;
        }
        let mut response = respond(status, "");
        if let Some(wait) = self.retry_after.filter(|_| !status.is_success()) {
            response.headers_mut().insert(RETRY_AFTER, wait.as_secs().into());
        }
        if self.left.as_ref().is_some_and(|left| left.fetch_sub(1, Ordering::Relaxed) <= 1) {
            // The connection has to end, so that the answer is out before we are.
            response
                .headers_mut()
                .insert(hyper::header::CONNECTION, hyper::header::HeaderValue::from_static("close"));
        }
        response
    }

    fn after_connection(&self) {
        if self.left.as_ref().is_some_and(|left| {
            let left = left.load(Ordering::Relaxed);
            left == 0 || left > u64::MAX / 2
        }) {
            self.enough.notify_one();
        }
    }

    fn next_status(&self) -> StatusCode {
        let fails = match &self.failing {
            None => true,
            Some(failing) => {
                failing.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            }
        };
        if fails { self.status } else { StatusCode::OK }
    }

    /// `None`: no key to check with.
    fn verdict(&self, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<Result<(), String>> {
        if self.keys.is_empty() {
            return None;
        }
        let value = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let (Some(id), Some(timestamp), Some(signature)) =
            (value(ID_HEADER), value(TIMESTAMP_HEADER), value(SIGNATURE_HEADER))
        else {
            return Some(Err(
                "it is not signed (webhook-id, -timestamp and -signature are needed)".to_owned()
            ));
        };
        let headers = WebhookHeaders { id, timestamp, signature };
        Some(verify(&self.keys, headers, body, now).map_err(|fault| fault.to_string()))
    }

    /// How often this id was here before.
    fn repeats(&self, id: &str) -> u32 {
        let mut ids = self.ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.len() >= MAX_IDS {
            ids.clear();
        }
        let seen = ids.entry(id.to_owned()).or_default();
        *seen += 1;
        *seen - 1
    }

    #[allow(clippy::too_many_arguments, reason = "one line of output shows them all")]
    fn print(
        &self,
        method: &Method,
        path: &str,
        headers: &HeaderMap,
        body: &[u8],
        verdict: Option<&Result<(), String>>,
        status: StatusCode,
        now: Timestamp,
    ) {
        let text = |name: &str| {
            headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        let id = text(ID_HEADER).unwrap_or_default();
        let repeats = self.repeats(&id);
        let parsed: Option<Value> = serde_json::from_slice(body).ok();
        if self.format != Format::Table {
            let headers: serde_json::Map<String, Value> = headers
                .keys()
                .map(|name| (name.to_string(), text(name.as_str()).unwrap_or_default().into()))
                .collect();
            let body = parsed.unwrap_or_else(|| String::from_utf8_lossy(body).into_owned().into());
            let line = json!({
                "at": rfc3339_millis(now), "method": method.as_str(), "path": path, "id": id,
                "verified": verdict.map(Result::is_ok), "problem": verdict.and_then(|v| v.as_ref().err()),
                "seenBefore": repeats, "answered": status.as_u16(), "headers": headers, "body": body,
            });
            return match self.format {
                // One a line, for `jq` and scripts.
                Format::Json => output::say(&line.to_string()),
                _ => output::say(&format!("---\n{}", notify_core::yaml::to_yaml(&line).trim_end())),
            };
        }
        let said = match verdict {
            None => "signature not checked".to_owned(),
            Some(Ok(())) => style::out("verified", Tone::Good),
            Some(Err(fault)) => style::out(&format!("REFUSED: {fault}"), Tone::Bad),
        };
        let tone = if status.is_success() { Tone::Good } else { Tone::Bad };
        let again = if repeats == 0 { String::new() } else { format!(" (seen {repeats} times before)") };
        let at = rfc3339_millis(now);
        let clock = at.get(11..19).unwrap_or(&at);
        let answered = style::out(status.as_str(), tone);
        output::say(&format!("{clock}  {answered}  {said}  {}{again}", printable(&id)));
        let data = |pointer: &str| {
            let found = parsed.as_ref().and_then(|body| body.pointer(pointer)).and_then(Value::as_str);
            printable(found.unwrap_or_default()).replace('\n', " ")
        };
        let (title, severity, summary) = (data("/data/title"), data("/data/severity"), data("/data/summary"));
        if !title.is_empty() {
            output::say(&format!("          [{severity}] {}", style::out(&title, Tone::Strong)));
        }
        if !summary.is_empty() {
            output::say(&format!("          {summary}"));
        }
        for field in
            parsed.iter().flat_map(|body| body.pointer("/data/fields")).flat_map(Value::as_array).flatten()
        {
            let get = |name| field.get(name).and_then(Value::as_str).unwrap_or_default();
            output::say(&format!("          {}: {}", printable(get("name")), printable(get("value"))));
        }
        if self.whole_bodies || title.is_empty() {
            let shown = match &parsed {
                Some(body) => format!("{body:#}"),
                None => String::from_utf8_lossy(body).into_owned(),
            };
            for line in shown.lines() {
                output::say(&format!("          | {}", printable(line)));
            }
        }
    }
}

fn respond(status: StatusCode, body: &'static str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_LENGTH, body.len().into());
    response
}
