//! The header is the contract: compile it with the C compiler and compare every number with the Rust mirror.

use notify_connector_abi as abi;
use std::fmt::Write as _;
use std::mem::{offset_of, size_of};
use std::process::Command;

macro_rules! layout {
    ($($ty:ident = $c:literal { $($field:ident),* $(,)? })*) => {{
        let mut lines = Vec::new();
        let mut program = String::new();
        $(
            lines.push(format!("sizeof {} {}", $c, size_of::<abi::$ty>()));
            let _ = writeln!(program, r#"printf("sizeof {0} %zu\n", sizeof({0}));"#, $c);
            $(
                lines.push(format!("offsetof {} {} {}", $c, stringify!($field), offset_of!(abi::$ty, $field)));
                let _ = writeln!(
                    program, r#"printf("offsetof {0} {1} %zu\n", offsetof({0}, {1}));"#, $c, stringify!($field)
                );
            )*
        )*
        (program, lines)
    }};
}

macro_rules! constants {
    ($($c:literal = $rust:expr),* $(,)?) => {{
        let mut lines = Vec::new();
        let mut program = String::new();
        $(
            lines.push(format!("{} {}", $c, $rust as u64));
            let _ = writeln!(program, r#"printf("{0} %llu\n", (unsigned long long)({0}));"#, $c);
        )*
        (program, lines)
    }};
}

fn run_c(name: &str, body: &str) -> Vec<String> {
    let dir = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let source = dir.join(format!("{name}.c"));
    let binary = dir.join(name);
    let text = format!(
        "#include <stdio.h>\n#include \"notify_connector.h\"\nint main(void) {{\n{body}return 0;\n}}\n"
    );
    std::fs::write(&source, text).expect("the target folder is writable");
    let compiled = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/include"))
        .arg(&source)
        .arg("-o")
        .arg(&binary)
        .output()
        .expect("a C compiler is installed");
    assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
    let ran = Command::new(&binary).output().expect("the program runs");
    String::from_utf8_lossy(&ran.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn header_and_mirror_have_the_same_layout() {
    let (program, expected) = layout! {
        Bytes = "nc_bytes" { ptr, len }
        Send = "nc_send" {
            size, attempt, token, delivery_unix_ms, attempt_unix_ms, deadline_unix_ms, phase, flags, channel_type,
            config_json, message_json, delivery_id, provider_reference, secret_names_json, secrets_json,
        }
        Prepared = "nc_prepared" { size, code, token, request_json, detail }
        Response = "nc_response" {
            size, status, flags, token, attempt_unix_ms, channel_type, config_json, headers_json, body,
        }
        Outcome = "nc_outcome" { size, code, token, retry_after_ms, detail, provider_reference }
        Host = "nc_host_v1" { size, abi_major, abi_minor, ctx, complete, log, now_unix_ms }
        Connector = "nc_connector_v1" {
            size, abi_major, abi_minor, capabilities, describe, validate, create, prepare_many, interpret_many,
            send_many, cancel, health, drain, destroy,
        }
    };
    assert_eq!(run_c("layout", &program), expected);
}

#[test]
fn header_and_mirror_have_the_same_numbers() {
    let (program, expected) = constants! {
        "NC_ABI_MAJOR" = abi::ABI_MAJOR,
        "NC_ABI_MINOR" = abi::ABI_MINOR,
        "NC_CAP_CODEC" = abi::CAP_CODEC,
        "NC_CAP_TRANSPORT" = abi::CAP_TRANSPORT,
        "NC_OK" = abi::OK,
        "NC_ACCEPTED" = abi::ACCEPTED,
        "NC_RETRY" = abi::RETRY,
        "NC_THROTTLED" = abi::THROTTLED,
        "NC_PERMANENT" = abi::PERMANENT,
        "NC_BAD_CONFIG" = abi::BAD_CONFIG,
        "NC_GONE" = abi::GONE,
        "NC_CANCELLED" = abi::CANCELLED,
        "NC_NOT_SAID" = abi::NOT_SAID,
        "NC_PHASE_NONE" = abi::PHASE_NONE,
        "NC_PHASE_OPEN" = abi::PHASE_OPEN,
        "NC_PHASE_UPDATE" = abi::PHASE_UPDATE,
        "NC_PHASE_RESOLVE" = abi::PHASE_RESOLVE,
        "NC_RESPONSE_TRUNCATED" = abi::RESPONSE_TRUNCATED,
        "NC_RESPONSE_CHECK" = abi::RESPONSE_CHECK,
        "NC_SEND_CHECK" = abi::SEND_CHECK,
        "NC_LOG_ERROR" = abi::LOG_ERROR,
        "NC_LOG_WARN" = abi::LOG_WARN,
        "NC_LOG_INFO" = abi::LOG_INFO,
        "NC_LOG_DEBUG" = abi::LOG_DEBUG,
    };
    assert_eq!(run_c("constants", &program), expected);
}

/// A peer of a later minor writes longer structs: the old reader must step by their size.
#[repr(C)]
#[derive(Clone, Copy)]
struct Longer {
    known: abi::Prepared,
    later: [u64; 2],
}

fn prepared(size: usize, token: u64) -> abi::Prepared {
    abi::Prepared {
        size: u32::try_from(size).unwrap_or(0),
        code: 0,
        token,
        request_json: abi::Bytes::EMPTY,
        detail: abi::Bytes::EMPTY,
    }
}

fn tokens(ptr: *const abi::Prepared, n: usize) -> Result<Vec<u64>, abi::LayoutFault> {
    // SAFETY: the tests pass arrays of n elements of the size that they state.
    unsafe { abi::Items::new(ptr, n) }?.map(|item| item.map(|item| item.token)).collect()
}

#[test]
fn arrays_are_stepped_by_size() {
    let size = size_of::<abi::Prepared>();
    let short = [prepared(size, 1), prepared(size, 2)];
    assert_eq!(tokens(short.as_ptr(), 2), Ok(vec![1, 2]));
    let long = [1, 2, 3].map(|t| Longer { known: prepared(size_of::<Longer>(), t), later: [u64::MAX; 2] });
    assert_eq!(tokens(long.as_ptr().cast(), 3), Ok(vec![1, 2, 3]));
    assert_eq!(tokens(std::ptr::null(), 0), Ok(vec![]));
}

#[test]
fn arrays_that_break_the_rules_are_findings() {
    use abi::LayoutFault as F;
    let size = size_of::<abi::Prepared>();
    let check = |items: &[abi::Prepared], n: usize, expected: F| {
        assert_eq!(tokens(items.as_ptr(), n), Err(expected));
    };
    check(&[prepared(0, 1)], 1, F::TooSmall { size: 0, needed: size });
    check(&[prepared(size - 8, 1)], 1, F::TooSmall { size: size - 8, needed: size });
    check(&[prepared(size + 1, 1)], 1, F::Misaligned);
    check(&[prepared(size, 1), prepared(size + 8, 2)], 2, F::Uneven { index: 1 });
    check(&[prepared(size, 1)], usize::MAX / 2, F::TooMany);
    assert_eq!(tokens(std::ptr::null(), 1), Err(F::Null));
}
