//! What holds for both kinds: the table, describe, validate, create, health, drain, destroy.

use crate::sinks::{Answers, Recorder, on_bytes};
use crate::{Options, Report, codec, transport};
use notify_connector_abi as abi;
use std::time::Duration;

/// How long anything asynchronous may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) fn table_faults(table: &abi::Connector) -> Vec<String> {
    let mut faults = Vec::new();
    if table.abi_major != abi::ABI_MAJOR {
        faults.push(format!("its ABI major is {}, not {}", table.abi_major, abi::ABI_MAJOR));
    }
    let codec = match table.capabilities & (abi::CAP_CODEC | abi::CAP_TRANSPORT) {
        abi::CAP_CODEC => true,
        abi::CAP_TRANSPORT => false,
        _ => {
            faults.push("exactly one of codec and transport must be announced".to_owned());
            return faults;
        }
    };
    for (name, there, needed) in [
        ("describe", table.describe.is_some(), true),
        ("validate", table.validate.is_some(), true),
        ("create", table.create.is_some(), true),
        ("prepare_many", table.prepare_many.is_some(), codec),
        ("interpret_many", table.interpret_many.is_some(), codec),
        ("send_many", table.send_many.is_some(), !codec),
        ("cancel", table.cancel.is_some(), !codec),
        ("health", table.health.is_some(), true),
        ("drain", table.drain.is_some(), true),
        ("destroy", table.destroy.is_some(), true),
    ] {
        if needed && !there {
            faults.push(format!("`{name}` is missing"));
        }
    }
    faults
}

/// Each token of `expected` exactly once, nothing else.
pub(crate) fn once_each(answers: &Answers, expected: &[u64], faults: &mut Vec<String>) {
    let mut seen: Vec<u64> = answers.items.iter().map(|answer| answer.token).collect();
    let mut expected = expected.to_vec();
    seen.sort_unstable();
    expected.sort_unstable();
    if seen != expected {
        let missing = expected.iter().filter(|token| !seen.contains(token)).count();
        let stray = seen.iter().filter(|token| !expected.contains(token)).count();
        let distinct = seen.windows(2).filter(|pair| pair.first() == pair.get(1)).count();
        faults.push(format!(
            "of {} elements {missing} were not answered, {distinct} answers were repeated, {stray} had foreign tokens",
            expected.len()
        ));
    }
    faults.extend(answers.faults.iter().cloned());
}

pub(crate) fn run(table: &abi::Connector, options: &Options, report: &mut Report) {
    let channel_type = describe(table, report);
    validate(table, &channel_type, options, report);
    let recorder = Recorder::new();
    let Some(instance) = create(table, recorder, report) else { return };
    if table.capabilities & abi::CAP_CODEC != 0 {
        codec::run(table, instance, &channel_type, options, report);
    } else {
        transport::run(table, instance, recorder, &channel_type, options, report);
    }
    end(table, instance, recorder, report);
}

/// Returns the first channel type.
fn describe(table: &abi::Connector, report: &mut Report) -> String {
    let mut faults = Vec::new();
    let mut call = || {
        let mut bytes = Vec::new();
        // SAFETY: the sink and its context live for the call.
        let code = table.describe.map(|describe| unsafe { describe(on_bytes, (&raw mut bytes).cast()) });
        if code != Some(0) {
            faults.push(format!("it returned {code:?}"));
        }
        bytes
    };
    let (first, second) = (call(), call());
    if first != second {
        faults.push("two calls gave different bytes".to_owned());
    }
    if first.len() > abi::limits::DESCRIBE {
        faults.push("it says more than 256 KiB".to_owned());
    }
    let value: serde_json::Value = serde_json::from_slice(&first).unwrap_or_else(|error| {
        faults.push(format!("it is not JSON: {error}"));
        serde_json::Value::Null
    });
    for field in ["name", "version", "kind"] {
        if !value.get(field).is_some_and(serde_json::Value::is_string) {
            faults.push(format!("`{field}` is missing"));
        }
    }
    let kind = if table.capabilities & abi::CAP_CODEC != 0 { "codec" } else { "transport" };
    if value.get("kind").and_then(|v| v.as_str()) != Some(kind) {
        faults.push("`kind` differs from the capability bits".to_owned());
    }
    let channel_type = value.pointer("/channelTypes/0").and_then(|v| v.as_str()).map(str::to_owned);
    if channel_type.is_none() {
        faults.push("`channelTypes` names none".to_owned());
    }
    report.check("describe", faults);
    channel_type.unwrap_or_default()
}

fn validate(table: &abi::Connector, channel_type: &str, options: &Options, report: &mut Report) {
    let mut faults = Vec::new();
    let mut call = |config: &[u8]| {
        let mut out = Vec::new();
        let validate = table.validate?;
        let (channel_type, config) = (abi::Bytes::of(channel_type.as_bytes()), abi::Bytes::of(config));
        // SAFETY: arguments and sink live for the call.
        let code = unsafe { validate(channel_type, config, on_bytes, (&raw mut out).cast()) };
        if code == 1 {
            let problems: Option<Vec<serde_json::Map<String, serde_json::Value>>> =
                serde_json::from_slice(&out).ok();
            let whole = problems.is_some_and(|problems| {
                !problems.is_empty()
                    && problems.iter().all(|p| {
                        ["path", "reason", "fix"].iter().all(|key| p.get(*key).is_some_and(|v| v.is_string()))
                    })
            });
            if !whole {
                faults.push("1 was returned without an array of problems".to_owned());
            }
        }
        Some(code)
    };
    let good = call(&options.config_json);
    for bad in [&b""[..], b"{", b"null", b"[]", b"\xff\xfe", b"\0", b"{\"\0\":\"\\u0000\"}"] {
        call(bad);
    }
    if good != Some(0) {
        faults.push(format!("the configuration given to the suite was answered with {good:?}"));
    }
    report.check("validate", faults);
}

fn create(
    table: &abi::Connector,
    recorder: &'static Recorder,
    report: &mut Report,
) -> Option<*mut abi::Instance> {
    let mut faults = Vec::new();
    let mut error = Vec::new();
    let mut instance = std::ptr::null_mut();
    // SAFETY: the host table is leaked; the rest lives for the call.
    let code = table.create.map(|create| unsafe {
        create(
            &raw const recorder.table,
            abi::Bytes::EMPTY,
            &raw mut instance,
            on_bytes,
            (&raw mut error).cast(),
        )
    });
    if code != Some(0) {
        faults.push(format!("without options it returned {code:?}: {}", String::from_utf8_lossy(&error)));
    } else if instance.is_null() {
        faults.push("it succeeded without an instance".to_owned());
    }
    let made = faults.is_empty().then_some(instance);
    report.check("create", faults);
    made
}

fn end(table: &abi::Connector, instance: *mut abi::Instance, recorder: &Recorder, report: &mut Report) {
    let mut faults = Vec::new();
    // SAFETY: the live instance.
    if table.health.map(|health| unsafe { health(instance, 71) }) == Some(0) {
        once_each(&recorder.take(1, PATIENCE), &[71], &mut faults);
    } else {
        faults.push("it failed".to_owned());
    }
    report.check("health", std::mem::take(&mut faults));

    let deadline = crate::sinks::now().saturating_add(10_000);
    // SAFETY: the live instance; nothing is sent after.
    if table.drain.map(|drain| unsafe { drain(instance, deadline, 72) }) == Some(0) {
        once_each(&recorder.take(1, PATIENCE), &[72], &mut faults);
    } else {
        faults.push("it failed".to_owned());
    }
    report.check("drain", std::mem::take(&mut faults));

    if let Some(destroy) = table.destroy {
        // SAFETY: the one instance, not used after.
        unsafe { destroy(instance) };
    }
    let late = recorder.take(1, Duration::from_millis(50));
    if !late.items.is_empty() {
        faults.push("it completed something after destroy".to_owned());
    }
    report.check("destroy", faults);
}
