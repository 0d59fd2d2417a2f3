//! Serving a codec: every complete frame that has arrived goes through the plug-in in one call, every answer of that call
//! back in one write. Nothing waits for a timer.

use super::sandbox::Cpu;
use super::transport::Completions;
use super::{Fatal, Input};
use crate::child::plugin::Plugin;
use crate::frame::{FromChild, ResponseFields, SendFields, ToChild, fault};
use notify_connector_abi as abi;
use std::ffi::c_void;
use std::fs::File;
use std::io::Write as _;

/// Answers that wait for the write. Beyond this the plug-in is flooding.
const MOST_OUTPUT: usize = 256 * 1024 * 1024;

/// What the sinks write to while one batch is under way.
struct Answers {
    out: Vec<u8>,
    /// Tokens of the batch, in order, and whether each was answered.
    expected: Vec<(u64, bool)>,
    /// Where the next answer is looked for first: plug-ins answer in order.
    next: usize,
    max_request: usize,
    /// Answers to tokens that were not asked for. Passed on, so that the host counts them, but not without bound.
    stray: usize,
}

impl Answers {
    /// Whether the answer may be passed on.
    fn mark(&mut self, token: u64) -> bool {
        if self.out.len() > MOST_OUTPUT {
            return false;
        }
        let found = match self.expected.get(self.next) {
            Some((expected, false)) if *expected == token => Some(self.next),
            _ => self.expected.iter().position(|(expected, answered)| *expected == token && !answered),
        };
        if let Some(place) = found {
            if let Some(entry) = self.expected.get_mut(place) {
                entry.1 = true;
            }
            self.next = place + 1;
            return true;
        }
        self.stray += 1;
        self.stray <= 64
    }

    fn push(&mut self, token: u64, frame: &FromChild<'_>) {
        if frame.write(token, &mut self.out).is_err() {
            // Every field is bounded before it gets here, so this is a plug-in fault that the bounds did not foresee.
            let _ = unanswered(frame, fault::TOO_LARGE).write(token, &mut self.out);
        }
    }
}

const fn unanswered(like: &FromChild<'_>, code: i32) -> FromChild<'static> {
    match like {
        FromChild::Outcome { .. } => {
            FromChild::Outcome { code, retry_after_ms: abi::NOT_SAID, detail: &[], provider_reference: &[] }
        }
        _ => FromChild::Prepared { code, request_json: &[], detail: &[] },
    }
}

fn cut(bytes: Option<&[u8]>, limit: usize) -> &[u8] {
    let bytes = bytes.unwrap_or_default();
    bytes.get(..limit).unwrap_or(bytes)
}

unsafe extern "C" fn on_prepared(ctx: *mut c_void, items: *const abi::Prepared, n: usize) {
    // SAFETY: `ctx` is the `Answers` of the call under way.
    let Some(answers) = (unsafe { ctx.cast::<Answers>().as_mut() }) else { return };
    // SAFETY: the plug-in's array, borrowed for this call; its layout is checked.
    let Ok(items) = (unsafe { abi::Items::new(items, n) }) else { return };
    for item in items {
        let Ok(item) = item else { return };
        if !answers.mark(item.token) {
            continue;
        }
        // SAFETY: borrowed for this call.
        let (request, detail) = unsafe { (item.request_json.get(), item.detail.get()) };
        let frame = match (item.code, request) {
            (abi::OK, Some(request)) if request.len() <= answers.max_request => {
                FromChild::Prepared { code: abi::OK, request_json: request, detail: &[] }
            }
            (abi::OK, Some(_)) => {
                FromChild::Prepared { code: fault::TOO_LARGE, request_json: &[], detail: &[] }
            }
            (code @ (abi::RETRY | abi::PERMANENT | abi::BAD_CONFIG), _) => {
                FromChild::Prepared { code, request_json: &[], detail: cut(detail, abi::limits::DETAIL) }
            }
            _ => FromChild::Prepared { code: fault::MALFORMED, request_json: &[], detail: &[] },
        };
        answers.push(item.token, &frame);
    }
}

unsafe extern "C" fn on_outcome(ctx: *mut c_void, items: *const abi::Outcome, n: usize) {
    // SAFETY: `ctx` is the `Answers` of the call under way.
    let Some(answers) = (unsafe { ctx.cast::<Answers>().as_mut() }) else { return };
    // SAFETY: the plug-in's array, borrowed for this call; its layout is checked.
    let Ok(items) = (unsafe { abi::Items::new(items, n) }) else { return };
    for item in items {
        let Ok(item) = item else { return };
        if answers.mark(item.token) {
            // SAFETY: borrowed for this call.
            let (detail, reference) = unsafe { (item.detail.get(), item.provider_reference.get()) };
            let frame = outcome_frame(item.code, item.retry_after_ms, detail, reference);
            answers.push(item.token, &frame);
        }
    }
}

/// An outcome as a frame: unknown codes and overlong references are faults, long details are cut.
pub(super) fn outcome_frame<'a>(
    code: i32,
    retry_after_ms: u64,
    detail: Option<&'a [u8]>,
    reference: Option<&'a [u8]>,
) -> FromChild<'a> {
    let known = (abi::OK..=abi::CANCELLED).contains(&code);
    match (known, detail, reference) {
        (true, Some(detail), Some(reference)) if reference.len() <= abi::limits::PROVIDER_REFERENCE => {
            FromChild::Outcome {
                code,
                retry_after_ms,
                detail: cut(Some(detail), abi::limits::DETAIL),
                provider_reference: reference,
            }
        }
        _ => FromChild::Outcome {
            code: fault::MALFORMED,
            retry_after_ms: abi::NOT_SAID,
            detail: &[],
            provider_reference: &[],
        },
    }
}

pub(super) fn abi_send(token: u64, fields: &SendFields<'_>) -> abi::Send {
    abi::Send {
        size: size_of::<abi::Send>() as u32,
        attempt: fields.attempt,
        token,
        delivery_unix_ms: fields.delivery_unix_ms,
        attempt_unix_ms: fields.attempt_unix_ms,
        deadline_unix_ms: fields.deadline_unix_ms,
        phase: fields.phase,
        flags: fields.flags,
        channel_type: abi::Bytes::of(fields.channel_type),
        config_json: abi::Bytes::of(fields.config_json),
        message_json: abi::Bytes::of(fields.message_json),
        delivery_id: abi::Bytes::of(fields.delivery_id),
        provider_reference: abi::Bytes::of(fields.provider_reference),
        secret_names_json: abi::Bytes::of(fields.secret_names_json),
        secrets_json: abi::Bytes::of(fields.secrets_json),
    }
}

fn abi_response(token: u64, fields: &ResponseFields<'_>) -> abi::Response {
    abi::Response {
        size: size_of::<abi::Response>() as u32,
        status: fields.status,
        flags: fields.flags,
        token,
        attempt_unix_ms: fields.attempt_unix_ms,
        channel_type: abi::Bytes::of(fields.channel_type),
        config_json: abi::Bytes::of(fields.config_json),
        headers_json: abi::Bytes::of(fields.headers_json),
        body: abi::Bytes::of(fields.body),
    }
}

/// Everything that has arrived, by kind. The pointers inside stay good until the input buffer is filled again.
#[derive(Default)]
struct Batch {
    sends: Vec<abi::Send>,
    responses: Vec<abi::Response>,
}

impl Batch {
    fn run(&mut self, plugin: &Plugin, answers: &mut Answers) {
        if let (false, Some(prepare_many)) = (self.sends.is_empty(), plugin.table.prepare_many) {
            let tokens = self.sends.iter().map(|item| item.token);
            let like = FromChild::Prepared { code: 0, request_json: &[], detail: &[] };
            call(answers, tokens, &like, |answers| {
                // SAFETY: the one instance on the one thread; the array and what it points to live for the call.
                unsafe {
                    prepare_many(plugin.instance, self.sends.as_ptr(), self.sends.len(), on_prepared, answers)
                }
            });
            self.sends.clear();
        }
        if let (false, Some(interpret_many)) = (self.responses.is_empty(), plugin.table.interpret_many) {
            let tokens = self.responses.iter().map(|item| item.token);
            let like =
                FromChild::Outcome { code: 0, retry_after_ms: 0, detail: &[], provider_reference: &[] };
            call(answers, tokens, &like, |answers| {
                // SAFETY: as above.
                unsafe {
                    interpret_many(
                        plugin.instance,
                        self.responses.as_ptr(),
                        self.responses.len(),
                        on_outcome,
                        answers,
                    )
                }
            });
            self.responses.clear();
        }
    }
}

/// One call of the plug-in, and a fault for each element that it left out.
fn call(
    answers: &mut Answers,
    tokens: impl Iterator<Item = u64>,
    like: &FromChild<'_>,
    plugin: impl FnOnce(*mut c_void) -> i32,
) {
    answers.expected.clear();
    answers.expected.extend(tokens.map(|token| (token, false)));
    answers.next = 0;
    answers.stray = 0;
    let before = answers.out.len();
    let code = plugin((&raw mut *answers).cast());
    let missing = if code == 0 {
        fault::NO_ANSWER
    } else {
        // A failed call had no effect, whatever it put into the sink.
        answers.out.truncate(before);
        for entry in &mut answers.expected {
            entry.1 = false;
        }
        fault::CALL_FAILED
    };
    for (token, _) in std::mem::take(&mut answers.expected).into_iter().filter(|(_, answered)| !answered) {
        answers.push(token, &unanswered(like, missing));
    }
}

/// Serves until the socket ends.
pub(super) fn serve(
    plugin: &Plugin,
    mut input: Input,
    output: File,
    max_request: usize,
    cpu: Cpu,
    completions: &Completions,
) -> Result<(), Fatal> {
    let mut batch = Batch::default();
    let mut answers = Answers { out: Vec::new(), expected: Vec::new(), next: 0, max_request, stray: 0 };
    loop {
        cpu.renew();
        let mut done = input.done;
        while let Some(raw) = crate::frame::split(input.buffer.get(done..).unwrap_or_default())? {
            done += raw.consumed;
            match ToChild::read(&raw)? {
                ToChild::Prepare(fields) => batch.sends.push(abi_send(raw.token, &fields)),
                ToChild::Interpret(fields) => batch.responses.push(abi_response(raw.token, &fields)),
                ToChild::Validate { channel_type, config_json } => {
                    let (code, problems) = plugin.validate(channel_type, config_json);
                    answers.push(raw.token, &FromChild::Validated { code, problems_json: &problems });
                }
                ToChild::Health => {
                    if let Some(health) = plugin.table.health {
                        // SAFETY: the one instance on the one thread.
                        unsafe { health(plugin.instance, raw.token) };
                    }
                }
                other => {
                    return Err(Fatal::Start(format!("a codec was asked for {other:?}")));
                }
            }
        }
        batch.run(plugin, &mut answers);
        input.done = done;
        completions.take(&mut answers.out);
        if !answers.out.is_empty() {
            (&output).write_all(&answers.out)?;
            answers.out.clear();
            answers.out.shrink_to(super::READ);
        }
        if !input.fill()? {
            plugin.destroy();
            return Ok(());
        }
    }
}
