//! The wire format from both sides: what is written is read again, and no bytes whatever do harm.

use notify_connector_host::frame::{
    FrameFault, FromChild, MAX_FRAME, Raw, ResponseFields, SendFields, ToChild, split,
};
use proptest::prelude::*;

type Blob = Vec<u8>;

fn blob() -> impl Strategy<Value = Blob> {
    prop::collection::vec(any::<u8>(), 0..40)
}

fn send<'a>(numbers: (u32, u64, u64, u64, u32), b: &'a [Blob]) -> SendFields<'a> {
    SendFields {
        attempt: numbers.0,
        delivery_unix_ms: numbers.1,
        attempt_unix_ms: numbers.2,
        deadline_unix_ms: numbers.3,
        phase: numbers.4,
        flags: numbers.0,
        channel_type: &b[0],
        config_json: &b[1],
        message_json: &b[2],
        delivery_id: &b[3],
        provider_reference: &b[4],
        secret_names_json: &b[5],
        secrets_json: &b[6],
    }
}

fn to_child<'a>(which: u8, n: (u32, u64, u64, u64, u32), b: &'a [Blob]) -> ToChild<'a> {
    match which % 8 {
        0 => ToChild::Start {
            capability: n.1,
            max_request: n.0,
            cpu_seconds: n.4,
            sandbox: n.0 as u8,
            options_json: &b[0],
        },
        1 => ToChild::Prepare(send(n, b)),
        2 => ToChild::Interpret(ResponseFields {
            status: n.0 as u16,
            flags: n.4 as u16,
            attempt_unix_ms: n.1,
            channel_type: &b[0],
            config_json: &b[1],
            headers_json: &b[2],
            body: &b[3],
        }),
        3 => ToChild::Send(send(n, b)),
        4 => ToChild::Cancel,
        5 => ToChild::Health,
        6 => ToChild::Drain { deadline_unix_ms: n.1 },
        _ => ToChild::Validate { channel_type: &b[0], config_json: &b[1] },
    }
}

fn from_child<'a>(which: u8, n: (u32, u64, u64, u64, u32), b: &'a [Blob]) -> FromChild<'a> {
    match which % 6 {
        0 => FromChild::Ready {
            abi_minor: n.0 as u16,
            capabilities: n.1,
            describe_json: &b[0],
            sandbox: &b[1],
        },
        1 => FromChild::Refused { reason: &b[0] },
        2 => FromChild::Prepared { code: n.0 as i32, request_json: &b[0], detail: &b[1] },
        3 => FromChild::Outcome {
            code: n.0 as i32,
            retry_after_ms: n.1,
            detail: &b[0],
            provider_reference: &b[1],
        },
        4 => FromChild::Validated { code: n.0 as i32, problems_json: &b[0] },
        _ => FromChild::Log { level: n.0 as u8, text: &b[0], fields_json: &b[1] },
    }
}

/// Reads a whole stream as a reader would that gets it in pieces of `piece` bytes.
fn read_all<T>(
    stream: &[u8],
    piece: usize,
    mut read: impl FnMut(Raw<'_>) -> Result<T, FrameFault>,
) -> Result<(Vec<T>, usize), FrameFault> {
    let (mut frames, mut buffer) = (Vec::new(), Vec::new());
    for chunk in stream.chunks(piece.max(1)) {
        buffer.extend_from_slice(chunk);
        let mut done = 0;
        while let Some(raw) = split(&buffer[done..])? {
            done += raw.consumed;
            frames.push(read(raw)?);
        }
        buffer.drain(..done);
    }
    Ok((frames, buffer.len()))
}

proptest! {
    #[test]
    fn written_frames_are_read_again_in_any_pieces(
        plan in prop::collection::vec((any::<u8>(), any::<u64>(), any::<(u32, u64, u64, u64, u32)>(), prop::collection::vec(blob(), 7)), 0..12),
        piece in 1_usize..200,
    ) {
        let mut out = Vec::new();
        for (which, token, numbers, blobs) in &plan {
            to_child(*which, *numbers, blobs).write(*token, &mut out).unwrap();
        }
        // `Debug` carries every field, and lets the borrowed frames go.
        let read = read_all(&out, piece, |raw| Ok((raw.token, format!("{:?}", ToChild::read(&raw)?))));
        let expected = plan.iter().map(|(which, token, n, b)| (*token, format!("{:?}", to_child(*which, *n, b)))).collect();
        prop_assert_eq!(read, Ok((expected, 0)));

        out.clear();
        for (which, token, numbers, blobs) in &plan {
            from_child(*which, *numbers, blobs).write(*token, &mut out).unwrap();
        }
        let read = read_all(&out, piece, |raw| Ok((raw.token, format!("{:?}", FromChild::read(&raw)?))));
        let expected = plan.iter().map(|(which, token, n, b)| (*token, format!("{:?}", from_child(*which, *n, b)))).collect();
        prop_assert_eq!(read, Ok((expected, 0)));
    }

    /// Any bytes: an error or frames whose writing gives exactly the bytes that were read. Never a panic.
    #[test]
    fn any_bytes_are_refused_or_canonical(mut bytes in prop::collection::vec(any::<u8>(), 0..300), kind in 0_u8..80, plausible: bool) {
        if plausible && bytes.len() >= 13 {
            // A true length and kind: the fields are what is fuzzed.
            let length = u32::try_from(bytes.len() - 4).unwrap();
            bytes[..4].copy_from_slice(&length.to_le_bytes());
            bytes[4] = kind;
        }
        if let Ok(Some(raw)) = split(&bytes) {
            prop_assert!(raw.consumed <= bytes.len());
            let mut out = Vec::new();
            if let Ok(frame) = ToChild::read(&raw) {
                frame.write(raw.token, &mut out).unwrap();
                prop_assert_eq!(&out[..], &bytes[..raw.consumed]);
            }
            out.clear();
            if let Ok(frame) = FromChild::read(&raw) {
                frame.write(raw.token, &mut out).unwrap();
                prop_assert_eq!(&out[..], &bytes[..raw.consumed]);
            }
        }
    }

    /// A valid frame with one byte changed: refused, or another canonical frame.
    #[test]
    fn one_changed_byte_does_no_harm(
        which: u8, token: u64, numbers: (u32, u64, u64, u64, u32),
        blobs in prop::collection::vec(blob(), 7), place: prop::sample::Index, value: u8,
    ) {
        let mut out = Vec::new();
        to_child(which, numbers, &blobs).write(token, &mut out).unwrap();
        let place = place.index(out.len());
        out[place] = value;
        if let Ok(Some(raw)) = split(&out) && let Ok(frame) = ToChild::read(&raw) {
            let mut again = Vec::new();
            frame.write(raw.token, &mut again).unwrap();
            prop_assert_eq!(&again[..], &out[..raw.consumed]);
        }
    }
}

#[test]
fn lengths_are_bounded() {
    for length in [0_u32, 1, 8, MAX_FRAME as u32 + 1, u32::MAX] {
        let stream = length.to_le_bytes();
        assert_eq!(split(&stream), Err(FrameFault::Length(length as usize)));
    }
    assert_eq!(split(&[]), Ok(None));
    assert_eq!(split(&(MAX_FRAME as u32).to_le_bytes()), Ok(None), "not complete yet");
    let mut out = vec![1, 2, 3];
    let huge = vec![0; MAX_FRAME];
    let frame = ToChild::Validate { channel_type: b"", config_json: &huge };
    assert!(matches!(frame.write(1, &mut out), Err(FrameFault::Length(_))));
    assert_eq!(out, [1, 2, 3], "a frame that does not fit leaves nothing behind");
}

#[test]
fn strictness() {
    let check = |kind: u8, fields: &[u8], expected: FrameFault| {
        let raw = Raw { kind, token: 1, fields, consumed: 0 };
        assert_eq!(ToChild::read(&raw).map(|_| ()).unwrap_err(), expected, "{kind}");
    };
    check(0, &[], FrameFault::Kind(0));
    check(67, &[], FrameFault::Kind(67));
    check(5, &[0], FrameFault::Rest(1));
    check(7, &[0; 7], FrameFault::Short);
    check(8, &[1, 0, 0, 0], FrameFault::Short);
    check(8, &[0xff, 0xff, 0xff, 0xff, 0], FrameFault::Short);
    let raw = Raw { kind: 2, token: 1, fields: &[], consumed: 0 };
    assert_eq!(FromChild::read(&raw), Err(FrameFault::Kind(2)), "the directions do not mix");
}
