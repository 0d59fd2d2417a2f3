//! A panic in an author's code costs one message, never the process: it must not cross the C border.

use notify_connector_abi as abi;
use notify_connector_sdk::{Codec, Log, PreparedRequest, Refusal, Response, Send, Verdict, export_codec};
use std::ffi::c_void;

struct Nervous;

impl Codec for Nervous {
    const MANIFEST: &'static str = "{}";
    fn create(options: &[u8], _log: Log) -> Result<Self, String> {
        match options {
            b"panic" => panic!("in create"),
            b"fail" => Err("no".to_owned()),
            _ => Ok(Self),
        }
    }
    fn validate(_channel_type: &str, _config_json: &[u8]) -> Vec<notify_connector_sdk::ConfigProblem> {
        panic!("in validate")
    }
    fn prepare(&self, send: &Send<'_>) -> Result<PreparedRequest, Refusal> {
        assert!(send.attempt != 13, "unlucky number {}", send.attempt);
        Ok(PreparedRequest::post(Vec::new()))
    }
    fn interpret(&self, response: &Response<'_>) -> Verdict {
        assert!(response.status != 500, "cannot stand errors");
        Verdict::delivered()
    }
}

export_codec!(Nervous);

unsafe extern "C" fn nothing(_: *mut c_void, _: *const abi::Outcome, _: usize) {}
unsafe extern "C" fn collect(ctx: *mut c_void, chunk: abi::Bytes) {
    // SAFETY: `ctx` is this test's `Vec`, the chunk is borrowed for the call.
    unsafe { (*ctx.cast::<Vec<u8>>()).extend_from_slice(chunk.get().unwrap()) };
}
unsafe extern "C" fn prepared(ctx: *mut c_void, items: *const abi::Prepared, n: usize) {
    // SAFETY: as above.
    for item in unsafe { abi::Items::new(items, n) }.unwrap() {
        let item = item.unwrap();
        // SAFETY: as above.
        let detail = String::from_utf8(unsafe { item.detail.get() }.unwrap().to_vec()).unwrap();
        unsafe { (*ctx.cast::<Vec<(u64, i32, String)>>()).push((item.token, item.code, detail)) };
    }
}
unsafe extern "C" fn judged(ctx: *mut c_void, items: *const abi::Outcome, n: usize) {
    // SAFETY: as above.
    for item in unsafe { abi::Items::new(items, n) }.unwrap() {
        let item = item.unwrap();
        // SAFETY: as above.
        unsafe { (*ctx.cast::<Vec<(u64, i32)>>()).push((item.token, item.code)) };
    }
}

#[test]
fn panics_stay_inside() {
    // SAFETY: the table is static.
    let table = unsafe { abi::read_one(notify_connector_entry_v1()) }.unwrap();
    let host = abi::Host {
        size: size_of::<abi::Host>() as u32,
        abi_major: 1,
        abi_minor: 0,
        ctx: std::ptr::null_mut(),
        complete: Some(nothing),
        log: None,
        now_unix_ms: None,
    };
    let mut instance = std::ptr::null_mut();
    let mut create = |options: &[u8]| {
        let mut error = Vec::new();
        // SAFETY: everything lives for the call.
        let code = unsafe {
            let options = abi::Bytes::of(options);
            (table.create.unwrap())(
                &raw const host,
                options,
                &raw mut instance,
                collect,
                (&raw mut error).cast(),
            )
        };
        (code, String::from_utf8(error).unwrap())
    };
    assert_eq!(create(b"panic"), (-1, "the connector panicked: in create".to_owned()));
    assert_eq!(create(b"fail"), (-1, "no".to_owned()));
    assert_eq!(create(b""), (0, String::new()));

    let send = |token: u64, attempt: u32| abi::Send {
        size: size_of::<abi::Send>() as u32,
        attempt,
        token,
        delivery_unix_ms: 0,
        attempt_unix_ms: 0,
        deadline_unix_ms: 0,
        phase: 0,
        flags: 0,
        channel_type: abi::Bytes::EMPTY,
        config_json: abi::Bytes::EMPTY,
        message_json: abi::Bytes::EMPTY,
        delivery_id: abi::Bytes::EMPTY,
        provider_reference: abi::Bytes::EMPTY,
        secret_names_json: abi::Bytes::EMPTY,
        secrets_json: abi::Bytes::EMPTY,
    };
    let sends = [send(1, 1), send(2, 13), send(3, 2)];
    let mut answers: Vec<(u64, i32, String)> = Vec::new();
    // SAFETY: the live instance, a slice, a sink for the call.
    let code = unsafe {
        (table.prepare_many.unwrap())(instance, sends.as_ptr(), 3, prepared, (&raw mut answers).cast())
    };
    let panicked = "the connector panicked: unlucky number 13".to_owned();
    assert_eq!(
        (code, answers),
        (0, vec![(1, 0, String::new()), (2, abi::PERMANENT, panicked), (3, 0, String::new())])
    );

    let response = |token: u64, status: u16| abi::Response {
        size: size_of::<abi::Response>() as u32,
        status,
        flags: 0,
        token,
        attempt_unix_ms: 0,
        channel_type: abi::Bytes::EMPTY,
        config_json: abi::Bytes::EMPTY,
        headers_json: abi::Bytes::EMPTY,
        body: abi::Bytes::EMPTY,
    };
    let responses = [response(1, 200), response(2, 500), response(3, 200)];
    let mut answers: Vec<(u64, i32)> = Vec::new();
    // SAFETY: as above.
    let code = unsafe {
        (table.interpret_many.unwrap())(instance, responses.as_ptr(), 3, judged, (&raw mut answers).cast())
    };
    assert_eq!((code, answers), (0, vec![(1, abi::OK), (2, abi::RETRY), (3, abi::OK)]));

    let mut out: Vec<u8> = Vec::new();
    // SAFETY: as above.
    let code = unsafe {
        (table.validate.unwrap())(abi::Bytes::EMPTY, abi::Bytes::EMPTY, collect, (&raw mut out).cast())
    };
    assert_eq!(code, -1);
    // SAFETY: the one instance, not used after.
    unsafe { (table.destroy.unwrap())(instance) };
}
