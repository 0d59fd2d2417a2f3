//! The host's side of the ABI, recording everything.

use notify_connector_abi as abi;
use std::ffi::c_void;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A recorded prepared request or outcome, with the faults of its form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub token: u64,
    pub code: i32,
    pub retry_after_ms: u64,
    /// `request_json` or `detail`, and `detail` or `provider_reference`.
    pub first: Vec<u8>,
    pub second: Vec<u8>,
}

#[derive(Default)]
pub(crate) struct Answers {
    pub items: Vec<Answer>,
    pub faults: Vec<String>,
}

impl Answers {
    fn add(&mut self, token: u64, code: i32, retry_after_ms: u64, first: abi::Bytes, second: abi::Bytes) {
        // SAFETY: borrowed for the call that carries them.
        match unsafe { (first.get(), second.get()) } {
            (Some(first), Some(second)) => {
                self.items.push(Answer {
                    token,
                    code,
                    retry_after_ms,
                    first: first.to_vec(),
                    second: second.to_vec(),
                });
            }
            _ => self.faults.push(format!("token {token}: NULL bytes with a length")),
        }
    }
}

pub(crate) unsafe extern "C" fn on_prepared(ctx: *mut c_void, items: *const abi::Prepared, n: usize) {
    // SAFETY: `ctx` is the `Answers` of the call under way.
    let Some(answers) = (unsafe { ctx.cast::<Answers>().as_mut() }) else { return };
    // SAFETY: the plug-in's array, borrowed for this call.
    match unsafe { abi::Items::new(items, n) } {
        Ok(items) => items.for_each(|item| match item {
            Ok(item) => answers.add(item.token, item.code, abi::NOT_SAID, item.request_json, item.detail),
            Err(fault) => answers.faults.push(fault.to_string()),
        }),
        Err(fault) => answers.faults.push(fault.to_string()),
    }
}

pub(crate) unsafe extern "C" fn on_outcome(ctx: *mut c_void, items: *const abi::Outcome, n: usize) {
    // SAFETY: `ctx` is the `Answers` of the call under way.
    if let Some(answers) = unsafe { ctx.cast::<Answers>().as_mut() } {
        add_outcomes(answers, items, n);
    }
}

fn add_outcomes(answers: &mut Answers, items: *const abi::Outcome, n: usize) {
    // SAFETY: the plug-in's array, borrowed for this call.
    match unsafe { abi::Items::new(items, n) } {
        Ok(items) => items.for_each(|item| match item {
            Ok(item) => {
                answers.add(item.token, item.code, item.retry_after_ms, item.detail, item.provider_reference);
            }
            Err(fault) => answers.faults.push(fault.to_string()),
        }),
        Err(fault) => answers.faults.push(fault.to_string()),
    }
}

pub(crate) unsafe extern "C" fn on_bytes(ctx: *mut c_void, chunk: abi::Bytes) {
    // SAFETY: `ctx` is the `Vec` of the call under way; the chunk is borrowed for this call.
    if let (Some(bytes), Some(chunk)) = unsafe { (ctx.cast::<Vec<u8>>().as_mut(), chunk.get()) } {
        bytes.extend_from_slice(chunk);
    }
}

/// The host table, with what came through `complete`. Leaked: a plug-in may call it until the process ends.
pub(crate) struct Recorder {
    completed: Mutex<Answers>,
    changed: Condvar,
    pub table: abi::Host,
}

// SAFETY: the table's `ctx` points to this very object, which is leaked and guarded by its mutex.
unsafe impl Send for Recorder {}
// SAFETY: as above.
unsafe impl Sync for Recorder {}

unsafe extern "C" fn complete(ctx: *mut c_void, items: *const abi::Outcome, n: usize) {
    // SAFETY: `ctx` is the leaked `Recorder`.
    if let Some(recorder) = unsafe { ctx.cast::<Recorder>().as_ref() } {
        add_outcomes(&mut lock(&recorder.completed), items, n);
        recorder.changed.notify_all();
    }
}

unsafe extern "C" fn log(_ctx: *mut c_void, _level: u32, _text: abi::Bytes, _fields: abi::Bytes) {}

unsafe extern "C" fn now_unix_ms(_ctx: *mut c_void) -> u64 {
    now()
}

/// The edge at which the plug-in under test learns the time.
#[allow(clippy::disallowed_methods)]
pub(crate) fn now() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Recorder {
    pub(crate) fn new() -> &'static Self {
        let made = Box::leak(Box::new(Self {
            completed: Mutex::default(),
            changed: Condvar::new(),
            table: abi::Host {
                size: size_of::<abi::Host>() as u32,
                abi_major: abi::ABI_MAJOR,
                abi_minor: abi::ABI_MINOR,
                ctx: std::ptr::null_mut(),
                complete: Some(complete),
                log: Some(log),
                now_unix_ms: Some(now_unix_ms),
            },
        }));
        made.table.ctx = (&raw const *made).cast_mut().cast();
        made
    }

    /// Takes what completed, once there are `n`, or after `patience`.
    pub(crate) fn take(&self, n: usize, patience: Duration) -> Answers {
        let completed = lock(&self.completed);
        let (mut completed, _) = self
            .changed
            .wait_timeout_while(completed, patience, |c| c.items.len() < n)
            .unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut completed)
    }
}
