//! Transports: connectors that do their own I/O and answer later.

use crate::edge::{self, FAILED, HostTable, Log, guard, guard_one, pour};
use crate::{ConfigProblem, Send, Verdict};
use notify_connector_abi as abi;
use std::ffi::c_void;

/// The duty to answer one send. Dropped without an answer (a panic, a lost task), it answers "retry" by itself, so that
/// nothing is ever left waiting.
pub struct Completion {
    token: u64,
    host: HostTable,
    armed: bool,
}

impl Completion {
    #[must_use]
    pub const fn token(&self) -> u64 {
        self.token
    }

    /// Answers. From any thread, also before `send` has returned.
    pub fn done(mut self, verdict: &Verdict) {
        self.armed = false;
        self.host.complete(self.token, verdict);
    }

    /// The host's clock, Unix milliseconds.
    #[must_use]
    pub fn now_unix_ms(&self) -> u64 {
        self.host.now_unix_ms()
    }
}

impl Drop for Completion {
    fn drop(&mut self) {
        if self.armed {
            self.host.complete(self.token, &Verdict::retry(None, "the connector lost this send"));
        }
    }
}

/// A connector with its own I/O, for instance SMTP or AMQP. Its threads are its own; `drop` joins them.
pub trait Transport: Sized + std::marker::Send + 'static {
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

    /// How many sends it takes now. Fewer than offered is back-pressure: the host waits for a completion.
    fn capacity(&self) -> usize;

    /// Takes one send; must not block. Copy what is needed: `send` is borrowed. Answer through `completion`.
    fn send(&self, send: &Send<'_>, completion: Completion);

    /// A hint that the answer is no longer waited for; it is still given once.
    fn cancel(&self, _token: u64) {}

    /// Whether it can work at all.
    fn health(&self, completion: Completion) {
        completion.done(&Verdict::delivered());
    }

    /// Finish what was accepted, by the deadline; then answer.
    fn drain(&self, deadline_unix_ms: u64, completion: Completion);
}

struct Instance<T> {
    transport: T,
    host: HostTable,
}

/// The table that [`crate::export_transport!`] exports.
#[must_use]
pub const fn table<T: Transport>() -> abi::Connector {
    abi::Connector {
        size: size_of::<abi::Connector>() as u32,
        abi_major: abi::ABI_MAJOR,
        abi_minor: abi::ABI_MINOR,
        capabilities: abi::CAP_TRANSPORT,
        describe: Some(describe::<T>),
        validate: Some(validate::<T>),
        create: Some(create::<T>),
        prepare_many: None,
        interpret_many: None,
        send_many: Some(send_many::<T>),
        cancel: Some(cancel::<T>),
        health: Some(health::<T>),
        drain: Some(drain::<T>),
        destroy: Some(destroy::<T>),
    }
}

unsafe extern "C" fn describe<T: Transport>(out: abi::Sink, ctx: *mut c_void) -> i32 {
    guard(|| {
        pour(out, ctx, T::MANIFEST.as_bytes());
        0
    })
}

unsafe extern "C" fn validate<T: Transport>(
    channel_type: abi::Bytes,
    config_json: abi::Bytes,
    out: abi::Sink,
    ctx: *mut c_void,
) -> i32 {
    // SAFETY: the host's arguments, passed on.
    unsafe { edge::validate(channel_type, config_json, out, ctx, T::validate) }
}

unsafe extern "C" fn create<T: Transport>(
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
        let transport = T::create(options, Log(host.clone()))?;
        if out.is_null() {
            return Err("the host passed no place for the instance".to_owned());
        }
        let instance = Box::into_raw(Box::new(Instance { transport, host }));
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
/// `this` is NULL or came from [`create`] of the same `T` and was not destroyed.
unsafe fn instance<'a, T: Transport>(this: *mut abi::Instance) -> Option<&'a Instance<T>> {
    // SAFETY: the caller's promise.
    unsafe { this.cast::<Instance<T>>().as_ref() }
}

impl<T> Instance<T> {
    fn completion(&self, token: u64) -> Completion {
        Completion { token, host: self.host.clone(), armed: true }
    }
}

unsafe extern "C" fn send_many<T: Transport>(
    this: *mut abi::Instance,
    items: *const abi::Send,
    n: usize,
    accepted: *mut usize,
) -> i32 {
    guard(|| {
        // SAFETY: the host's own instance and array, borrowed until this call returns.
        let (Some(this), Ok(items)) = (unsafe { instance::<T>(this) }, unsafe { abi::Items::new(items, n) })
        else {
            return FAILED;
        };
        if accepted.is_null() {
            return FAILED;
        }
        let Ok(capacity) = guard_one(|| this.transport.capacity()) else { return FAILED };
        let mut taken = 0;
        for item in items.take(capacity.min(n)) {
            let Ok(item) = item else { break };
            taken += 1;
            let completion = this.completion(item.token);
            // SAFETY: what the element points to is borrowed until this call returns.
            match unsafe { edge::send_of(&item) } {
                // A panic drops the completion, which answers by itself.
                Ok(send) => drop(guard_one(|| this.transport.send(&send, completion))),
                Err(text) => completion.done(&Verdict::permanent(text)),
            }
        }
        // SAFETY: not NULL; the contract gives room for one number.
        unsafe { accepted.write(taken) };
        0
    })
}

unsafe extern "C" fn cancel<T: Transport>(this: *mut abi::Instance, token: u64) -> i32 {
    // SAFETY: the host's own instance.
    guard(|| match unsafe { instance::<T>(this) } {
        Some(this) => {
            this.transport.cancel(token);
            0
        }
        None => FAILED,
    })
}

unsafe extern "C" fn health<T: Transport>(this: *mut abi::Instance, token: u64) -> i32 {
    // SAFETY: the host's own instance.
    guard(|| match unsafe { instance::<T>(this) } {
        Some(this) => {
            drop(guard_one(|| this.transport.health(this.completion(token))));
            0
        }
        None => FAILED,
    })
}

unsafe extern "C" fn drain<T: Transport>(this: *mut abi::Instance, deadline_unix_ms: u64, token: u64) -> i32 {
    // SAFETY: the host's own instance.
    guard(|| match unsafe { instance::<T>(this) } {
        Some(this) => {
            drop(guard_one(|| this.transport.drain(deadline_unix_ms, this.completion(token))));
            0
        }
        None => FAILED,
    })
}

unsafe extern "C" fn destroy<T: Transport>(this: *mut abi::Instance) {
    guard(|| {
        if !this.is_null() {
            // SAFETY: from `create` of the same T; the host calls destroy once and nothing after.
            let this = unsafe { Box::from_raw(this.cast::<Instance<T>>()) };
            // Dropping the transport joins its threads, which may still complete; only then the table is closed.
            let Instance { transport, host } = *this;
            drop(transport);
            host.close();
        }
        0
    });
}
