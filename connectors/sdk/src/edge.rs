//! The border itself: every unsafe step between the C tables and the safe traits, and the panic guard.

use crate::values::{Phase, Response, Send, Verdict};
use notify_connector_abi as abi;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What a call returns when it failed as a whole.
pub(crate) const FAILED: i32 = -1;

/// Runs one exported function's body. A panic must not cross the border, so it becomes a failed call.
pub(crate) fn guard(body: impl FnOnce() -> i32) -> i32 {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or(FAILED)
}

/// Runs the author's code for one message, so that its panic costs that message only.
pub(crate) fn guard_one<T>(body: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(body)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        format!("the connector panicked: {}", text.unwrap_or("no message"))
    })
}

/// The host's table, shared by whatever threads a connector has.
#[derive(Clone)]
pub(crate) struct HostTable {
    table: abi::Host,
    closed: Arc<AtomicBool>,
}
// SAFETY: the contract lets every function of the host's table be called from any thread, and its `ctx` is the host's.
unsafe impl std::marker::Send for HostTable {}
// SAFETY: as above.
unsafe impl Sync for HostTable {}

impl HostTable {
    /// # Safety
    /// `host` is what `create` got: NULL or a table that lives until `destroy` has returned.
    pub(crate) unsafe fn new(host: *const abi::Host) -> Result<Self, abi::LayoutFault> {
        // SAFETY: the caller's promise.
        let table = unsafe { abi::read_one(host) }?;
        Ok(Self { table, closed: Arc::new(AtomicBool::new(false)) })
    }

    /// After this nothing is called any more.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    pub(crate) fn complete(&self, token: u64, verdict: &Verdict) {
        let outcome = outcome(token, verdict);
        if let (Some(complete), false) = (self.table.complete, self.closed.load(Ordering::SeqCst)) {
            // SAFETY: one element that lives until the call returns; the table lives until `destroy` returns.
            unsafe { complete(self.table.ctx, &raw const outcome, 1) };
        }
    }

    pub(crate) fn now_unix_ms(&self) -> u64 {
        match self.table.now_unix_ms {
            // SAFETY: a function of the live table.
            Some(now) if !self.closed.load(Ordering::SeqCst) => unsafe { now(self.table.ctx) },
            _ => 0,
        }
    }
}

/// Writes to the host's log, which bounds rate and length. Never log a secret.
#[derive(Clone)]
pub struct Log(pub(crate) HostTable);

impl Log {
    pub fn error(&self, text: &str) {
        self.write(abi::LOG_ERROR, text);
    }
    pub fn warn(&self, text: &str) {
        self.write(abi::LOG_WARN, text);
    }
    pub fn info(&self, text: &str) {
        self.write(abi::LOG_INFO, text);
    }
    pub fn debug(&self, text: &str) {
        self.write(abi::LOG_DEBUG, text);
    }
    fn write(&self, level: u32, text: &str) {
        if let (Some(log), false) = (self.0.table.log, self.0.closed.load(Ordering::SeqCst)) {
            // SAFETY: borrowed for the call; the table is live.
            unsafe { log(self.0.table.ctx, level, abi::Bytes::of(text.as_bytes()), abi::Bytes::EMPTY) };
        }
    }
}

/// Hands bytes to a sink.
pub(crate) fn pour(sink: abi::Sink, ctx: *mut c_void, bytes: &[u8]) {
    // SAFETY: the sink copies before it returns; `bytes` lives until then.
    unsafe { sink(ctx, abi::Bytes::of(bytes)) };
}

pub(crate) fn outcome(token: u64, verdict: &Verdict) -> abi::Outcome {
    abi::Outcome {
        size: size_of::<abi::Outcome>() as u32,
        code: verdict.code.abi(),
        token,
        retry_after_ms: verdict.retry_after_ms.unwrap_or(abi::NOT_SAID),
        detail: abi::Bytes::of(verdict.detail.as_bytes()),
        provider_reference: abi::Bytes::of(verdict.provider_reference.as_deref().unwrap_or("").as_bytes()),
    }
}

/// # Safety
/// `bytes` is readable for `'a`.
pub(crate) unsafe fn bytes_of<'a>(bytes: abi::Bytes) -> Result<&'a [u8], String> {
    // SAFETY: the caller's promise.
    unsafe { bytes.get() }.ok_or_else(|| "the host passed NULL with a length".to_owned())
}

/// # Safety
/// As [`bytes_of`].
unsafe fn text_of<'a>(bytes: abi::Bytes) -> Result<&'a str, String> {
    // SAFETY: the caller's promise.
    std::str::from_utf8(unsafe { bytes_of(bytes) }?)
        .map_err(|_| "the host passed text that is not UTF-8".to_owned())
}

/// # Safety
/// Everything `raw` points to is readable for `'a`.
pub(crate) unsafe fn send_of<'a>(raw: &abi::Send) -> Result<Send<'a>, String> {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        let reference = text_of(raw.provider_reference)?;
        Ok(Send {
            token: raw.token,
            attempt: raw.attempt,
            delivery_unix_ms: raw.delivery_unix_ms,
            attempt_unix_ms: raw.attempt_unix_ms,
            deadline_unix_ms: raw.deadline_unix_ms,
            phase: Phase::from_abi(raw.phase),
            check: raw.flags & abi::SEND_CHECK != 0,
            channel_type: text_of(raw.channel_type)?,
            delivery_id: text_of(raw.delivery_id)?,
            provider_reference: (!reference.is_empty()).then_some(reference),
            config_json: bytes_of(raw.config_json)?,
            message_json: bytes_of(raw.message_json)?,
            secret_names_json: bytes_of(raw.secret_names_json)?,
            secrets_json: bytes_of(raw.secrets_json)?,
        })
    }
}

/// # Safety
/// Everything `raw` points to is readable for `'a`.
pub(crate) unsafe fn response_of<'a>(raw: &abi::Response) -> Result<Response<'a>, String> {
    // SAFETY: the caller's promise, for each of these.
    unsafe {
        Ok(Response {
            status: raw.status,
            truncated: raw.flags & abi::RESPONSE_TRUNCATED != 0,
            check: raw.flags & abi::RESPONSE_CHECK != 0,
            attempt_unix_ms: raw.attempt_unix_ms,
            channel_type: text_of(raw.channel_type)?,
            config_json: bytes_of(raw.config_json)?,
            headers_json: bytes_of(raw.headers_json)?,
            body: bytes_of(raw.body)?,
        })
    }
}

/// The shared part of `validate`.
///
/// # Safety
/// The arguments are those of `nc_connector_v1.validate`.
pub(crate) unsafe fn validate(
    channel_type: abi::Bytes,
    config_json: abi::Bytes,
    out: abi::Sink,
    ctx: *mut c_void,
    check: impl FnOnce(&str, &[u8]) -> Vec<crate::ConfigProblem>,
) -> i32 {
    guard(|| {
        // SAFETY: borrowed until this call returns.
        let (Ok(channel_type), Ok(config)) =
            (unsafe { text_of(channel_type) }, unsafe { bytes_of(config_json) })
        else {
            return FAILED;
        };
        let problems = check(channel_type, config);
        if problems.is_empty() {
            return 0;
        }
        match serde_json::to_vec(&problems) {
            Ok(json) => {
                pour(out, ctx, &json);
                1
            }
            Err(_) => FAILED,
        }
    })
}
