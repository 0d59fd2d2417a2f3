//! Transports: every accepted token is answered exactly once, hostile input included.

use crate::codec::outcome_faults;
use crate::common::{PATIENCE, once_each};
use crate::sinks::{Recorder, now};
use crate::{Options, Report};
use notify_connector_abi as abi;

pub(crate) fn run(
    table: &abi::Connector,
    instance: *mut abi::Instance,
    recorder: &Recorder,
    channel_type: &str,
    options: &Options,
    report: &mut Report,
) {
    let (Some(send_many), Some(cancel)) = (table.send_many, table.cancel) else { return };
    let names = serde_json::to_vec(&options.secret_names).unwrap_or_default();
    let send = |token: u64, message: &'static [u8], config: &[u8]| abi::Send {
        size: size_of::<abi::Send>() as u32,
        attempt: 1,
        token,
        delivery_unix_ms: now(),
        attempt_unix_ms: now(),
        deadline_unix_ms: now().saturating_add(10_000),
        phase: abi::PHASE_NONE,
        flags: 0,
        channel_type: abi::Bytes::of(channel_type.as_bytes()),
        config_json: abi::Bytes::of(config),
        message_json: abi::Bytes::of(message),
        delivery_id: abi::Bytes::of(b"dlv_0123456789abcdef0123456789abcdef"),
        provider_reference: abi::Bytes::EMPTY,
        secret_names_json: abi::Bytes::of(&names),
        secrets_json: abi::Bytes::of(&options.secrets_json),
    };

    let mut faults = Vec::new();
    let mut accepted = usize::MAX;
    // SAFETY: the live instance, no elements.
    let code = unsafe { send_many(instance, std::ptr::null(), 0, &raw mut accepted) };
    if (code, accepted) != (0, 0) {
        faults.push(format!("it returned {code} and accepted {accepted}"));
    }
    report.check("send: an empty batch", std::mem::take(&mut faults));

    let mut sends: Vec<abi::Send> =
        (0..200).map(|n| send(n, br#"{"title":"Conformance"}"#, &options.config_json)).collect();
    let hostile: [&'static [u8]; 6] = [b"", b"{", b"null", b"\0", b"\xff", br#"{"title":1}"#];
    sends.extend((1000..).zip(hostile).map(|(n, message)| send(n, message, &options.config_json)));
    let configs: [&[u8]; 4] = [b"", b"{", b"\xff", b"null"];
    sends.extend((2000..).zip(configs).map(|(n, config)| send(n, br#"{"title":"t"}"#, config)));

    let tokens: Vec<u64> = sends.iter().map(|send| send.token).collect();
    let mut answered = crate::sinks::Answers::default();
    let mut rest = sends.as_slice();
    while !rest.is_empty() {
        let mut accepted = 0;
        // SAFETY: the live instance, a slice.
        let code = unsafe { send_many(instance, rest.as_ptr(), rest.len(), &raw mut accepted) };
        if code != 0 || accepted > rest.len() {
            faults.push(format!("it returned {code} and accepted {accepted} of {}", rest.len()));
            break;
        }
        rest = rest.get(accepted..).unwrap_or_default();
        if !rest.is_empty() {
            let more = recorder.take(1, PATIENCE);
            if more.items.is_empty() && accepted == 0 {
                faults.push("it accepted nothing and completed nothing".to_owned());
                break;
            }
            answered.items.extend(more.items);
            answered.faults.extend(more.faults);
        }
    }
    // SAFETY: the live instance; a token that was never given out.
    unsafe { cancel(instance, 987_654_321) };
    let waiting = tokens.len().saturating_sub(rest.len()).saturating_sub(answered.items.len());
    let last = recorder.take(waiting, PATIENCE);
    answered.items.extend(last.items);
    answered.faults.extend(last.faults);
    let expected = tokens.get(..tokens.len() - rest.len()).unwrap_or_default();
    once_each(&answered, expected, &mut faults);
    outcome_faults(&answered.items, &mut faults);
    report.check("send: each accepted token is answered once", faults);
}
