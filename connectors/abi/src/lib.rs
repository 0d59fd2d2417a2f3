//! The `repr(C)` mirror of `include/notify_connector.h`, which is the contract: read the rules there.
//!
//! No dependency and no logic beyond what the contract's own rules ask of both sides: reading bytes, stepping through
//! arrays by `size`, checking sizes. `tests/layout.rs` compiles the header with the C compiler and compares every size
//! and offset with this file.

use core::ffi::c_void;
use core::marker::PhantomData;

pub const ABI_MAJOR: u16 = 1;
pub const ABI_MINOR: u16 = 1;
/// Name of the one exported symbol.
pub const ENTRY_SYMBOL: &str = "notify_connector_entry_v1";

pub const CAP_CODEC: u64 = 1 << 0;
pub const CAP_TRANSPORT: u64 = 1 << 1;

pub const OK: i32 = 0;
pub const ACCEPTED: i32 = 1;
pub const RETRY: i32 = 2;
pub const THROTTLED: i32 = 3;
pub const PERMANENT: i32 = 4;
pub const BAD_CONFIG: i32 = 5;
pub const GONE: i32 = 6;
pub const CANCELLED: i32 = 7;

/// `retry_after_ms`: the target did not say.
pub const NOT_SAID: u64 = u64::MAX;

pub const PHASE_NONE: u32 = 0;
pub const PHASE_OPEN: u32 = 1;
pub const PHASE_UPDATE: u32 = 2;
pub const PHASE_RESOLVE: u32 = 3;

pub const RESPONSE_TRUNCATED: u16 = 1 << 0;
/// `nc_response.flags`, since 1.1: the answer to a check.
pub const RESPONSE_CHECK: u16 = 1 << 1;
/// `nc_send.flags`, since 1.1: only a check, nothing is to be sent.
pub const SEND_CHECK: u32 = 1 << 0;

pub const LOG_ERROR: u32 = 1;
pub const LOG_WARN: u32 = 2;
pub const LOG_INFO: u32 = 3;
pub const LOG_DEBUG: u32 = 4;

/// Sizes beyond which the host refuses (header, "SIZES"), in bytes.
pub mod limits {
    pub const MESSAGE: usize = 512 * 1024;
    pub const CONFIG: usize = 64 * 1024;
    pub const REQUEST: usize = 1024 * 1024;
    pub const DETAIL: usize = 1024;
    pub const PROVIDER_REFERENCE: usize = 1024;
    pub const DESCRIBE: usize = 256 * 1024;
    pub const LOG_TEXT: usize = 4 * 1024;
}

/// Borrowed bytes: valid until the call that carries them returns.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Bytes {
    pub ptr: *const u8,
    pub len: usize,
}

impl Bytes {
    pub const EMPTY: Self = Self { ptr: core::ptr::null(), len: 0 };

    /// Borrows a slice; the caller keeps it alive until the call has returned.
    #[must_use]
    pub const fn of(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes, or `None` when the other side passed NULL with a length, or a length that no object can have.
    ///
    /// # Safety
    /// `ptr` must be readable for `len` bytes for all of `'a`, as the contract promises for the duration of the call.
    #[must_use]
    pub const unsafe fn get<'a>(self) -> Option<&'a [u8]> {
        if self.len == 0 {
            return Some(&[]);
        }
        if self.ptr.is_null() || self.len > isize::MAX as usize {
            return None;
        }
        // SAFETY: not NULL, length in range, readable by the caller's promise.
        Some(unsafe { core::slice::from_raw_parts(self.ptr, self.len) })
    }
}

pub type Sink = unsafe extern "C" fn(ctx: *mut c_void, chunk: Bytes);
pub type PreparedSink = unsafe extern "C" fn(ctx: *mut c_void, items: *const Prepared, n: usize);
pub type OutcomeSink = unsafe extern "C" fn(ctx: *mut c_void, items: *const Outcome, n: usize);

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Send {
    pub size: u32,
    pub attempt: u32,
    pub token: u64,
    pub delivery_unix_ms: u64,
    pub attempt_unix_ms: u64,
    pub deadline_unix_ms: u64,
    pub phase: u32,
    pub flags: u32,
    pub channel_type: Bytes,
    pub config_json: Bytes,
    pub message_json: Bytes,
    pub delivery_id: Bytes,
    pub provider_reference: Bytes,
    pub secret_names_json: Bytes,
    pub secrets_json: Bytes,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Prepared {
    pub size: u32,
    pub code: i32,
    pub token: u64,
    pub request_json: Bytes,
    pub detail: Bytes,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Response {
    pub size: u32,
    pub status: u16,
    pub flags: u16,
    pub token: u64,
    pub attempt_unix_ms: u64,
    pub channel_type: Bytes,
    pub config_json: Bytes,
    pub headers_json: Bytes,
    pub body: Bytes,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Outcome {
    pub size: u32,
    pub code: i32,
    pub token: u64,
    pub retry_after_ms: u64,
    pub detail: Bytes,
    pub provider_reference: Bytes,
}

#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Host {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub ctx: *mut c_void,
    pub complete: Option<unsafe extern "C" fn(ctx: *mut c_void, items: *const Outcome, n: usize)>,
    pub log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32, text: Bytes, fields_json: Bytes)>,
    pub now_unix_ms: Option<unsafe extern "C" fn(ctx: *mut c_void) -> u64>,
}

/// Opaque: the plug-in's own state.
#[repr(C)]
pub struct Instance {
    _opaque: [u8; 0],
    _not_send: PhantomData<*mut u8>,
}

pub type Describe = unsafe extern "C" fn(out: Sink, ctx: *mut c_void) -> i32;
pub type Validate =
    unsafe extern "C" fn(channel_type: Bytes, config_json: Bytes, out: Sink, ctx: *mut c_void) -> i32;
pub type Create = unsafe extern "C" fn(
    host: *const Host,
    options_json: Bytes,
    out: *mut *mut Instance,
    error: Sink,
    ctx: *mut c_void,
) -> i32;
pub type PrepareMany = unsafe extern "C" fn(
    instance: *mut Instance,
    items: *const Send,
    n: usize,
    out: PreparedSink,
    ctx: *mut c_void,
) -> i32;
pub type InterpretMany = unsafe extern "C" fn(
    instance: *mut Instance,
    items: *const Response,
    n: usize,
    out: OutcomeSink,
    ctx: *mut c_void,
) -> i32;
pub type SendMany =
    unsafe extern "C" fn(instance: *mut Instance, items: *const Send, n: usize, accepted: *mut usize) -> i32;
pub type Cancel = unsafe extern "C" fn(instance: *mut Instance, token: u64) -> i32;
pub type Health = unsafe extern "C" fn(instance: *mut Instance, token: u64) -> i32;
pub type Drain = unsafe extern "C" fn(instance: *mut Instance, deadline_unix_ms: u64, token: u64) -> i32;
pub type Destroy = unsafe extern "C" fn(instance: *mut Instance);

/// What a plug-in offers. Every function is an `Option` because a NULL from a foreign library must be a finding, not
/// undefined behaviour.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Connector {
    pub size: u32,
    pub abi_major: u16,
    pub abi_minor: u16,
    pub capabilities: u64,
    pub describe: Option<Describe>,
    pub validate: Option<Validate>,
    pub create: Option<Create>,
    pub prepare_many: Option<PrepareMany>,
    pub interpret_many: Option<InterpretMany>,
    pub send_many: Option<SendMany>,
    pub cancel: Option<Cancel>,
    pub health: Option<Health>,
    pub drain: Option<Drain>,
    pub destroy: Option<Destroy>,
}

pub type Entry = unsafe extern "C" fn() -> *const Connector;

/// Structs that begin with their `size` and may grow.
///
/// # Safety
/// `repr(C)`, valid for every bit pattern that the other side may write, with `size: u32` at offset 0.
pub unsafe trait Sized1: Copy {
    /// Size in ABI 1.0: what every peer must at least write.
    const SIZE_1_0: usize = core::mem::size_of::<Self>();
}
// SAFETY: integers, raw pointers and optional function pointers only, `size` first.
unsafe impl Sized1 for Send {}
// SAFETY: as above.
unsafe impl Sized1 for Prepared {}
// SAFETY: as above.
unsafe impl Sized1 for Response {}
// SAFETY: as above.
unsafe impl Sized1 for Outcome {}
// SAFETY: as above.
unsafe impl Sized1 for Host {}
// SAFETY: as above.
unsafe impl Sized1 for Connector {}

/// Why an array or a struct from the other side cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LayoutFault {
    /// NULL with a length above 0.
    Null,
    /// The pointer is not aligned for the struct, or the size is no multiple of its alignment.
    Misaligned,
    /// `size` is below that of ABI 1.0.
    TooSmall { size: usize, needed: usize },
    /// An element's `size` differs from the first one's.
    Uneven { index: usize },
    /// More bytes than can exist.
    TooMany,
}

impl core::fmt::Display for LayoutFault {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Null => f.write_str("NULL where elements were announced"),
            Self::Misaligned => f.write_str("a misaligned struct"),
            Self::TooSmall { size, needed } => {
                write!(f, "a struct of {size} bytes where ABI 1.0 has {needed}")
            }
            Self::Uneven { index } => write!(f, "element {index} has another size than the first"),
            Self::TooMany => f.write_str("an impossible number of elements"),
        }
    }
}
impl std::error::Error for LayoutFault {}

/// Reads one struct that starts with its size.
///
/// # Safety
/// `ptr` is NULL or readable for 4 bytes, and for as many bytes as those say.
///
/// # Errors
/// [`LayoutFault`] when NULL, misaligned or shorter than ABI 1.0.
pub unsafe fn read_one<T: Sized1>(ptr: *const T) -> Result<T, LayoutFault> {
    // SAFETY: the caller's promise; an array of one.
    unsafe { Items::new(ptr, 1) }?.next().unwrap_or(Err(LayoutFault::Null))
}

/// Steps through an array by the `size` of its first element, as the contract asks.
pub struct Items<'a, T> {
    next: *const u8,
    left: usize,
    index: usize,
    stride: usize,
    _borrowed: PhantomData<&'a T>,
}

impl<T: Sized1> Items<'_, T> {
    /// # Safety
    /// `ptr` is NULL or points to `n` elements, each as long as the `size` of the first, readable for all of `'a`.
    ///
    /// # Errors
    /// [`LayoutFault`] when the first element cannot be read.
    pub unsafe fn new(ptr: *const T, n: usize) -> Result<Self, LayoutFault> {
        let mut items = Self { next: ptr.cast(), left: n, index: 0, stride: 0, _borrowed: PhantomData };
        if n == 0 {
            return Ok(items);
        }
        if ptr.is_null() {
            return Err(LayoutFault::Null);
        }
        if !ptr.is_aligned() {
            return Err(LayoutFault::Misaligned);
        }
        // SAFETY: not NULL and aligned; every element begins with a u32 size.
        items.stride = unsafe { ptr.cast::<u32>().read() } as usize;
        if items.stride < T::SIZE_1_0 {
            return Err(LayoutFault::TooSmall { size: items.stride, needed: T::SIZE_1_0 });
        }
        if !items.stride.is_multiple_of(core::mem::align_of::<T>()) {
            return Err(LayoutFault::Misaligned);
        }
        match items.stride.checked_mul(n) {
            Some(total) if isize::try_from(total).is_ok() => Ok(items),
            _ => Err(LayoutFault::TooMany),
        }
    }
}

impl<T: Sized1> Iterator for Items<'_, T> {
    type Item = Result<T, LayoutFault>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.left == 0 {
            return None;
        }
        // SAFETY: `new` checked alignment and that stride × n is a possible length; the caller promised the memory.
        let (size, item) = unsafe { (self.next.cast::<u32>().read() as usize, self.next.cast::<T>().read()) };
        let index = self.index;
        self.left -= 1;
        self.index += 1;
        if self.left > 0 {
            // SAFETY: at least one more element follows.
            self.next = unsafe { self.next.add(self.stride) };
        }
        if size != self.stride {
            self.left = 0;
            return Some(Err(LayoutFault::Uneven { index }));
        }
        Some(Ok(item))
    }
}
