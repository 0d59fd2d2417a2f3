//! Codecs: the trait, and the C table made from it.

use crate::edge::{self, FAILED, HostTable, Log, guard, guard_one, pour};
use crate::{ConfigProblem, PreparedRequest, Refusal, Response, Send, Verdict};
use notify_connector_abi as abi;
use std::ffi::c_void;

/// A connector for a target that speaks HTTP. Pure: the same inputs give the same bytes; no clock, no I/O, no secret.
pub trait Codec: Sized + std::marker::Send + 'static {
    /// The manifest source: at least `name`, `version`, `kind` and `channelTypes`.
    const MANIFEST: &'static str;

    /// `options` are the operator's settings for this plug-in, a JSON object or empty.
    ///
    /// # Errors
    /// Text for the operator.
    fn create(options: &[u8], log: Log) -> Result<Self, String>;

    /// What the configSchema cannot say.
    fn validate(_channel_type: &str, _config_json: &[u8]) -> Vec<ConfigProblem> {
        Vec::new()
    }

    /// The HTTP request for one message.
    ///
    /// # Errors
    /// [`Refusal`] when there is none.
    fn prepare(&self, send: &Send<'_>) -> Result<PreparedRequest, Refusal>;

    /// What the answer means.
    fn interpret(&self, response: &Response<'_>) -> Verdict;
}

struct Instance<C> {
    codec: C,
    host: HostTable,
}

/// The table that [`crate::export_codec!`] exports.
#[must_use]
pub const fn table<C: Codec>() -> abi::Connector {
    abi::Connector {
        size: size_of::<abi::Connector>() as u32,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        capabilities: abi::CAP_CODEC,
        describe: Some(describe::<C>),
        validate: Some(validate::<C>),
        create: Some(create::<C>),
        prepare_many: Some(prepare_many::<C>),
        interpret_many: Some(interpret_many::<C>),
        send_many: None,
        cancel: None,
        health: Some(health::<C>),
        drain: Some(drain::<C>),
        destroy: Some(destroy::<C>),
    }
}

unsafe extern "C" fn describe<C: Codec>(out: abi::Sink, ctx: *mut c_void) -> i32 {
    guard(|| {
        pour(out, ctx, C::MANIFEST.as_bytes());
        0
    })
}

unsafe extern "C" fn validate<C: Codec>(
    channel_type: abi::Bytes,
    config_json: abi::Bytes,
    out: abi::Sink,
    ctx: *mut c_void,
) -> i32 {
    // SAFETY: the host's arguments, passed on.
    unsafe { edge::validate(channel_type, config_json, out, ctx, C::validate) }
}

unsafe extern "C" fn create<C: Codec>(
    host: *const abi::Host,
    options_json: abi::Bytes,
    out: *mut *mut abi::Instance,
    error: abi::Sink,
    ctx: *mut c_void,
) -> i32 {
    let made = guard_one(|| {
        // SAFETY: `host` lives until `destroy` returns.
        let host = unsafe { HostTable::new(host) }.map_err(|fault| fault.to_string())?;
        // SAFETY: borrowed until this call returns.
        let options = unsafe { edge::bytes_of(options_json) }?;
        let codec = C::create(options, Log(host.clone()))?;
        if out.is_null() {
            return Err("the host passed no place for the instance".to_owned());
        }
        let instance = Box::into_raw(Box::new(Instance { codec, host }));
        // SAFETY: not NULL; the contract gives room for one pointer.
        unsafe { out.write(instance.cast()) };
        Ok(())
    });
    match made {
        Ok(Ok(())) => 0,
        Ok(Err(text)) | Err(text) => guard(|| {
            pour(error, ctx, text.as_bytes());
            FAILED
        }),
    }
}

/// # Safety
/// `instance` is NULL or came from [`create`] of the same `C` and was not destroyed; no other reference is in use.
unsafe fn instance<'a, C: Codec>(instance: *mut abi::Instance) -> Option<&'a Instance<C>> {
    // SAFETY: the caller's promise.
    unsafe { instance.cast::<Instance<C>>().as_ref() }
}

unsafe extern "C" fn prepare_many<C: Codec>(
    this: *mut abi::Instance,
    items: *const abi::Send,
    n: usize,
    out: abi::PreparedSink,
    ctx: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the host's own instance and array, borrowed until this call returns.
        let (Some(this), Ok(items)) = (unsafe { instance::<C>(this) }, unsafe { abi::Items::new(items, n) })
        else {
            return FAILED;
        };
        let mut buffer = Vec::with_capacity(2048);
        for item in items {
            let Ok(item) = item else { return FAILED };
            buffer.clear();
            let made = guard_one(|| {
                // SAFETY: what the element points to is borrowed until this call returns.
                let send = unsafe { edge::send_of(&item) }.map_err(Refusal::permanent)?;
                let request = this.codec.prepare(&send)?;
                serde_json::to_writer(&mut buffer, &request)
                    .map_err(|error| Refusal::permanent(error.to_string()))
            });
            let refusal = match made {
                Ok(Ok(())) => None,
                Ok(Err(refusal)) => Some(refusal),
                Err(panic) => Some(Refusal::permanent(panic)),
            };
            let answer = abi::Prepared {
                size: size_of::<abi::Prepared>() as u32,
                code: refusal.as_ref().map_or(abi::OK, |refusal| refusal.code),
                token: item.token,
                request_json: abi::Bytes::of(if refusal.is_none() { &buffer } else { &[] }),
                detail: abi::Bytes::of(refusal.as_ref().map_or("", |refusal| &refusal.detail).as_bytes()),
            };
            // SAFETY: one element, borrowed until the sink returns.
            unsafe { out(ctx, &raw const answer, 1) };
        }
        0
    })
}

unsafe extern "C" fn interpret_many<C: Codec>(
    this: *mut abi::Instance,
    items: *const abi::Response,
    n: usize,
    out: abi::OutcomeSink,
    ctx: *mut c_void,
) -> i32 {
    guard(|| {
        // SAFETY: the host's own instance and array, borrowed until this call returns.
        let (Some(this), Ok(items)) = (unsafe { instance::<C>(this) }, unsafe { abi::Items::new(items, n) })
        else {
            return FAILED;
        };
        for item in items {
            let Ok(item) = item else { return FAILED };
            let verdict = guard_one(|| {
                // SAFETY: what the element points to is borrowed until this call returns.
                let response = unsafe { edge::response_of(&item) }?;
                Ok::<_, String>(this.codec.interpret(&response))
            });
            // Unreadable is not undelivered: the request did go out, so it is tried again under the same id.
            let verdict = match verdict {
                Ok(Ok(verdict)) => verdict,
                Ok(Err(text)) | Err(text) => Verdict::retry(None, text),
            };
            let outcome = edge::outcome(item.token, &verdict);
            // SAFETY: one element, borrowed until the sink returns.
            unsafe { out(ctx, &raw const outcome, 1) };
        }
        0
    })
}

unsafe extern "C" fn health<C: Codec>(this: *mut abi::Instance, token: u64) -> i32 {
    complete_now::<C>(this, token)
}

unsafe extern "C" fn drain<C: Codec>(this: *mut abi::Instance, _deadline_unix_ms: u64, token: u64) -> i32 {
    complete_now::<C>(this, token)
}

/// A codec is synchronous: between two calls there is nothing that could be ill or unfinished.
fn complete_now<C: Codec>(this: *mut abi::Instance, token: u64) -> i32 {
    guard(|| {
        // SAFETY: the host's own instance.
        let Some(this) = (unsafe { instance::<C>(this) }) else { return FAILED };
        this.host.complete(token, &Verdict::delivered());
        0
    })
}

unsafe extern "C" fn destroy<C: Codec>(this: *mut abi::Instance) {
    guard(|| {
        if !this.is_null() {
            // SAFETY: from `create` of the same C; the host calls destroy once and nothing after.
            let this = unsafe { Box::from_raw(this.cast::<Instance<C>>()) };
            this.host.close();
        }
        0
    });
}
