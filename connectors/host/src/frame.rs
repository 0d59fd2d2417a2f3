//! What host and child say to each other: `u32 length | u8 kind | u64 token | fields`, little-endian.
//!
//! `length` counts what follows it. A field is a fixed-size integer, or bytes as `u32 length | bytes`. Both sides trust
//! nothing: a length beyond the limit, an unknown kind, a field that runs over the frame's end or bytes left behind the
//! last field end the connection, because after one of them nothing that follows can be believed. std only: the child
//! uses this file too.

/// Bytes of `kind` and `token`, the least that a frame has after its length.
const HEAD: usize = 1 + 8;
/// Longest frame, without its length field. Above every limit of the contract, far below what could hurt.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Kind of [`ToChild::Send`], for the child, which keeps the fields of a send that waits.
pub const KIND_SEND: u8 = 4;

/// Codes beside those of the ABI: made by the child about the plug-in.
pub mod fault {
    /// The whole call returned an error.
    pub const CALL_FAILED: i32 = -1;
    /// The element got no answer.
    pub const NO_ANSWER: i32 = -2;
    /// The answer is longer than allowed.
    pub const TOO_LARGE: i32 = -3;
    /// The answer is no valid struct, or its code does not exist.
    pub const MALFORMED: i32 = -4;
}

/// Why bytes are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameFault {
    #[error("a frame of {0} bytes is outside the allowed sizes")]
    Length(usize),
    #[error("frame kind {0} is not known")]
    Kind(u8),
    #[error("a field runs over the end of its frame")]
    Short,
    #[error("{0} bytes are left behind the last field")]
    Rest(usize),
}

/// One frame cut out of a stream, its fields not yet read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Raw<'a> {
    pub kind: u8,
    pub token: u64,
    pub fields: &'a [u8],
    /// Bytes of the stream that it took.
    pub consumed: usize,
}

/// Cuts the first frame out of `stream`; `None` when it is not complete yet.
///
/// # Errors
/// [`FrameFault::Length`].
pub fn split(stream: &[u8]) -> Result<Option<Raw<'_>>, FrameFault> {
    let Some((length, rest)) = stream.split_first_chunk::<4>() else { return Ok(None) };
    let length = u32::from_le_bytes(*length) as usize;
    if !(HEAD..=MAX_FRAME).contains(&length) {
        return Err(FrameFault::Length(length));
    }
    let Some(frame) = rest.get(..length) else { return Ok(None) };
    let mut reader = Reader(frame);
    let (kind, token) = (reader.u8()?, reader.u64()?);
    Ok(Some(Raw { kind, token, fields: reader.0, consumed: 4 + length }))
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], FrameFault> {
        let (head, rest) = self.0.split_first_chunk::<N>().ok_or(FrameFault::Short)?;
        self.0 = rest;
        Ok(*head)
    }
    fn u8(&mut self) -> Result<u8, FrameFault> {
        self.take::<1>().map(|[byte]| byte)
    }
    fn u16(&mut self) -> Result<u16, FrameFault> {
        self.take().map(u16::from_le_bytes)
    }
    fn u32(&mut self) -> Result<u32, FrameFault> {
        self.take().map(u32::from_le_bytes)
    }
    fn i32(&mut self) -> Result<i32, FrameFault> {
        self.take().map(i32::from_le_bytes)
    }
    fn u64(&mut self) -> Result<u64, FrameFault> {
        self.take().map(u64::from_le_bytes)
    }
    fn bytes(&mut self) -> Result<&'a [u8], FrameFault> {
        let length = self.u32()? as usize;
        let (head, rest) = self.0.split_at_checked(length).ok_or(FrameFault::Short)?;
        self.0 = rest;
        Ok(head)
    }
    fn end<T>(self, value: T) -> Result<T, FrameFault> {
        if self.0.is_empty() { Ok(value) } else { Err(FrameFault::Rest(self.0.len())) }
    }
}

/// Appends one frame; takes it back when it would be too long.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut Vec<u8>, kind: u8, token: u64) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.push(kind);
        out.extend_from_slice(&token.to_le_bytes());
        Self { out, start }
    }
    fn number<const N: usize>(self, bytes: [u8; N]) -> Self {
        self.out.extend_from_slice(&bytes);
        self
    }
    fn bytes(self, bytes: &[u8]) -> Self {
        // A length beyond u32 cannot be right: `finish` refuses the frame, which is then longer than MAX_FRAME.
        self.out.extend_from_slice(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_le_bytes());
        self.out.extend_from_slice(bytes);
        self
    }
    fn finish(self) -> Result<(), FrameFault> {
        let length = self.out.len() - self.start - 4;
        match (length <= MAX_FRAME, u32::try_from(length)) {
            (true, Ok(length32)) => {
                if let Some(place) = self.out.get_mut(self.start..self.start + 4) {
                    place.copy_from_slice(&length32.to_le_bytes());
                }
                Ok(())
            }
            _ => {
                self.out.truncate(self.start);
                Err(FrameFault::Length(length))
            }
        }
    }
}

/// Fields of one send (`nc_send`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SendFields<'a> {
    pub attempt: u32,
    pub delivery_unix_ms: u64,
    pub attempt_unix_ms: u64,
    pub deadline_unix_ms: u64,
    pub phase: u32,
    pub flags: u32,
    pub channel_type: &'a [u8],
    pub config_json: &'a [u8],
    pub message_json: &'a [u8],
    pub delivery_id: &'a [u8],
    pub provider_reference: &'a [u8],
    pub secret_names_json: &'a [u8],
    pub secrets_json: &'a [u8],
}

impl<'a> SendFields<'a> {
    fn read(mut r: Reader<'a>) -> Result<Self, FrameFault> {
        let fields = Self {
            attempt: r.u32()?,
            delivery_unix_ms: r.u64()?,
            attempt_unix_ms: r.u64()?,
            deadline_unix_ms: r.u64()?,
            phase: r.u32()?,
            flags: r.u32()?,
            channel_type: r.bytes()?,
            config_json: r.bytes()?,
            message_json: r.bytes()?,
            delivery_id: r.bytes()?,
            provider_reference: r.bytes()?,
            secret_names_json: r.bytes()?,
            secrets_json: r.bytes()?,
        };
        r.end(fields)
    }
    fn write<'o>(&self, w: Writer<'o>) -> Writer<'o> {
        w.number(self.attempt.to_le_bytes())
            .number(self.delivery_unix_ms.to_le_bytes())
            .number(self.attempt_unix_ms.to_le_bytes())
            .number(self.deadline_unix_ms.to_le_bytes())
            .number(self.phase.to_le_bytes())
            .number(self.flags.to_le_bytes())
            .bytes(self.channel_type)
            .bytes(self.config_json)
            .bytes(self.message_json)
            .bytes(self.delivery_id)
            .bytes(self.provider_reference)
            .bytes(self.secret_names_json)
            .bytes(self.secrets_json)
    }
}

/// Fields of one HTTP answer (`nc_response`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseFields<'a> {
    pub status: u16,
    pub flags: u16,
    pub attempt_unix_ms: u64,
    pub channel_type: &'a [u8],
    pub config_json: &'a [u8],
    pub headers_json: &'a [u8],
    pub body: &'a [u8],
}

/// Host to child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToChild<'a> {
    /// The first frame: what kind the signed manifest says it is, limits, and the operator's settings.
    Start {
        capability: u64,
        max_request: u32,
        /// The processor's time that a codec has for one batch; 0: no limit.
        cpu_seconds: u32,
        /// `Sandbox` as a number.
        sandbox: u8,
        options_json: &'a [u8],
    },
    Prepare(SendFields<'a>),
    Interpret(ResponseFields<'a>),
    Send(SendFields<'a>),
    Cancel,
    Health,
    Drain {
        deadline_unix_ms: u64,
    },
    Validate {
        channel_type: &'a [u8],
        config_json: &'a [u8],
    },
}

impl<'a> ToChild<'a> {
    /// # Errors
    /// [`FrameFault`] when the kind is unknown or the fields do not fill the frame exactly.
    pub fn read(raw: &Raw<'a>) -> Result<Self, FrameFault> {
        let mut r = Reader(raw.fields);
        Ok(match raw.kind {
            1 => {
                let start = Self::Start {
                    capability: r.u64()?,
                    max_request: r.u32()?,
                    cpu_seconds: r.u32()?,
                    sandbox: r.u8()?,
                    options_json: r.bytes()?,
                };
                r.end(start)?
            }
            2 => Self::Prepare(SendFields::read(r)?),
            3 => {
                let fields = ResponseFields {
                    status: r.u16()?,
                    flags: r.u16()?,
                    attempt_unix_ms: r.u64()?,
                    channel_type: r.bytes()?,
                    config_json: r.bytes()?,
                    headers_json: r.bytes()?,
                    body: r.bytes()?,
                };
                Self::Interpret(r.end(fields)?)
            }
            KIND_SEND => Self::Send(SendFields::read(r)?),
            5 => r.end(Self::Cancel)?,
            6 => r.end(Self::Health)?,
            7 => {
                let drain = Self::Drain { deadline_unix_ms: r.u64()? };
                r.end(drain)?
            }
            8 => {
                let validate = Self::Validate { channel_type: r.bytes()?, config_json: r.bytes()? };
                r.end(validate)?
            }
            other => return Err(FrameFault::Kind(other)),
        })
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// [`FrameFault::Length`]; `out` is then as before.
    pub fn write(&self, token: u64, out: &mut Vec<u8>) -> Result<(), FrameFault> {
        match self {
            Self::Start { capability, max_request, cpu_seconds, sandbox, options_json } => {
                Writer::new(out, 1, token)
                    .number(capability.to_le_bytes())
                    .number(max_request.to_le_bytes())
                    .number(cpu_seconds.to_le_bytes())
                    .number([*sandbox])
                    .bytes(options_json)
            }
            Self::Prepare(fields) => fields.write(Writer::new(out, 2, token)),
            Self::Interpret(fields) => Writer::new(out, 3, token)
                .number(fields.status.to_le_bytes())
                .number(fields.flags.to_le_bytes())
                .number(fields.attempt_unix_ms.to_le_bytes())
                .bytes(fields.channel_type)
                .bytes(fields.config_json)
                .bytes(fields.headers_json)
                .bytes(fields.body),
            Self::Send(fields) => fields.write(Writer::new(out, KIND_SEND, token)),
            Self::Cancel => Writer::new(out, 5, token),
            Self::Health => Writer::new(out, 6, token),
            Self::Drain { deadline_unix_ms } => {
                Writer::new(out, 7, token).number(deadline_unix_ms.to_le_bytes())
            }
            Self::Validate { channel_type, config_json } => {
                Writer::new(out, 8, token).bytes(channel_type).bytes(config_json)
            }
        }
        .finish()
    }
}

/// Child to host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FromChild<'a> {
    /// The plug-in is loaded and made.
    Ready {
        abi_minor: u16,
        capabilities: u64,
        describe_json: &'a [u8],
        /// What of the sandbox is in force, for people.
        sandbox: &'a [u8],
    },
    /// It is not, and why. The child ends after it.
    Refused {
        reason: &'a [u8],
    },
    /// `code` is one of the ABI's or of [`fault`].
    Prepared {
        code: i32,
        request_json: &'a [u8],
        detail: &'a [u8],
    },
    Outcome {
        code: i32,
        retry_after_ms: u64,
        detail: &'a [u8],
        provider_reference: &'a [u8],
    },
    Validated {
        code: i32,
        problems_json: &'a [u8],
    },
    Log {
        level: u8,
        text: &'a [u8],
        fields_json: &'a [u8],
    },
}

impl<'a> FromChild<'a> {
    /// # Errors
    /// [`FrameFault`] when the kind is unknown or the fields do not fill the frame exactly.
    pub fn read(raw: &Raw<'a>) -> Result<Self, FrameFault> {
        let mut r = Reader(raw.fields);
        let frame = match raw.kind {
            65 => Self::Ready {
                abi_minor: r.u16()?,
                capabilities: r.u64()?,
                describe_json: r.bytes()?,
                sandbox: r.bytes()?,
            },
            66 => Self::Refused { reason: r.bytes()? },
            67 => Self::Prepared { code: r.i32()?, request_json: r.bytes()?, detail: r.bytes()? },
            68 => Self::Outcome {
                code: r.i32()?,
                retry_after_ms: r.u64()?,
                detail: r.bytes()?,
                provider_reference: r.bytes()?,
            },
            69 => Self::Validated { code: r.i32()?, problems_json: r.bytes()? },
            70 => Self::Log { level: r.u8()?, text: r.bytes()?, fields_json: r.bytes()? },
            other => return Err(FrameFault::Kind(other)),
        };
        r.end(frame)
    }

    /// Appends the frame to `out`.
    ///
    /// # Errors
    /// [`FrameFault::Length`]; `out` is then as before.
    pub fn write(&self, token: u64, out: &mut Vec<u8>) -> Result<(), FrameFault> {
        match self {
            Self::Ready { abi_minor, capabilities, describe_json, sandbox } => Writer::new(out, 65, token)
                .number(abi_minor.to_le_bytes())
                .number(capabilities.to_le_bytes())
                .bytes(describe_json)
                .bytes(sandbox),
            Self::Refused { reason } => Writer::new(out, 66, token).bytes(reason),
            Self::Prepared { code, request_json, detail } => {
                Writer::new(out, 67, token).number(code.to_le_bytes()).bytes(request_json).bytes(detail)
            }
            Self::Outcome { code, retry_after_ms, detail, provider_reference } => Writer::new(out, 68, token)
                .number(code.to_le_bytes())
                .number(retry_after_ms.to_le_bytes())
                .bytes(detail)
                .bytes(provider_reference),
            Self::Validated { code, problems_json } => {
                Writer::new(out, 69, token).number(code.to_le_bytes()).bytes(problems_json)
            }
            Self::Log { level, text, fields_json } => {
                Writer::new(out, 70, token).number([*level]).bytes(text).bytes(fields_json)
            }
        }
        .finish()
    }
}
