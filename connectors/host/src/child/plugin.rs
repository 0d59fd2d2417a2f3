//! Loading the library and holding its table.

use super::library_path;
use super::transport::Completions;
use notify_connector_abi as abi;
use std::ffi::c_void;
use std::os::fd::OwnedFd;

/// A loaded plug-in with its one instance. Never unloaded.
pub(crate) struct Plugin {
    pub table: abi::Connector,
    pub instance: *mut abi::Instance,
    pub description: Vec<u8>,
}

// SAFETY: the instance pointer is only handed back to the plug-in, and the callers in this module serialise that.
unsafe impl Send for Plugin {}

/// What a sink of bytes may grow to.
struct Bounded {
    bytes: Vec<u8>,
    limit: usize,
}

unsafe extern "C" fn collect(ctx: *mut c_void, chunk: abi::Bytes) {
    // SAFETY: `ctx` is the `Bounded` of the call that is under way, and the contract keeps sinks on its thread.
    let Some(collected) = (unsafe { ctx.cast::<Bounded>().as_mut() }) else { return };
    // SAFETY: borrowed for this call.
    if let Some(chunk) = unsafe { chunk.get() } {
        let room = (collected.limit + 1).saturating_sub(collected.bytes.len());
        collected.bytes.extend_from_slice(chunk.get(..chunk.len().min(room)).unwrap_or_default());
    }
}

/// Calls a function that answers through a byte sink. `None`: it said more than allowed.
fn with_sink(limit: usize, call: impl FnOnce(abi::Sink, *mut c_void) -> i32) -> (i32, Option<Vec<u8>>) {
    let mut collected = Bounded { bytes: Vec::new(), limit };
    let code = call(collect, (&raw mut collected).cast());
    (code, (collected.bytes.len() <= limit).then_some(collected.bytes))
}

impl Plugin {
    /// Loads, checks the table against what the signed manifest says, and makes the instance.
    ///
    /// # Errors
    /// Text for the operator.
    pub(crate) fn load(
        library: &OwnedFd,
        capability: u64,
        options: &[u8],
        completions: &'static Completions,
    ) -> Result<Self, String> {
        let path = library_path(library);
        // SAFETY: constructors of verified code run here; that this is wanted was decided by the signature.
        let library = unsafe { libloading::Library::new(&path) }
            .map_err(|error| format!("it cannot be loaded: {error}"))?;
        // SAFETY: the symbol's type is fixed by its versioned name in the contract.
        let entry = unsafe { library.get::<abi::Entry>(abi::ENTRY_SYMBOL) }
            .map(|symbol| *symbol)
            .map_err(|_| format!("it does not export {}", abi::ENTRY_SYMBOL))?;
        // Unloading is not a supported property of std, nor of most C++ libraries.
        std::mem::forget(library);
        // SAFETY: the entry function takes nothing; its table lives for ever.
        let table =
            unsafe { abi::read_one(entry()) }.map_err(|fault| format!("its table is not valid: {fault}"))?;
        if table.abi_major != abi::ABI_MAJOR {
            return Err(format!("it speaks ABI {}, this host {}", table.abi_major, abi::ABI_MAJOR));
        }
        let kinds = table.capabilities & (abi::CAP_CODEC | abi::CAP_TRANSPORT);
        if kinds != capability {
            return Err("its table announces another kind than the signed manifest".to_owned());
        }
        let kind_complete = if capability == abi::CAP_CODEC {
            table.prepare_many.is_some() && table.interpret_many.is_some()
        } else {
            table.send_many.is_some() && table.cancel.is_some()
        };
        let (Some(describe), Some(create), true, true) = (
            table.describe,
            table.create,
            kind_complete,
            table.validate.is_some()
                && table.health.is_some()
                && table.drain.is_some()
                && table.destroy.is_some(),
        ) else {
            return Err("its table lacks a required function".to_owned());
        };
        // SAFETY: a function of the live table, with a sink that lives for the call.
        let described = with_sink(abi::limits::DESCRIBE, |sink, ctx| unsafe { describe(sink, ctx) });
        let (0, Some(description)) = described else {
            return Err("describe failed or said more than 256 KiB".to_owned());
        };
        let mut instance = std::ptr::null_mut();
        // SAFETY: the host table is static; options and sink live for the call.
        let (code, error) = with_sink(abi::limits::DETAIL, |sink, ctx| unsafe {
            create(completions.table(), abi::Bytes::of(options), &raw mut instance, sink, ctx)
        });
        if code != 0 {
            let text = error.unwrap_or_default();
            return Err(format!("create failed: {}", String::from_utf8_lossy(&text)));
        }
        if instance.is_null() {
            return Err("create gave no instance".to_owned());
        }
        Ok(Self { table, instance, description })
    }

    /// `validate`, with its answer. `(-1, [])` when it broke the rules.
    pub(crate) fn validate(&self, channel_type: &[u8], config: &[u8]) -> (i32, Vec<u8>) {
        let Some(validate) = self.table.validate else {
            return (crate::frame::fault::CALL_FAILED, Vec::new());
        };
        // SAFETY: arguments and sink live for the call.
        let answer = with_sink(abi::limits::CONFIG, |sink, ctx| unsafe {
            validate(abi::Bytes::of(channel_type), abi::Bytes::of(config), sink, ctx)
        });
        match answer {
            (code @ (0 | 1), Some(problems)) => (code, problems),
            _ => (crate::frame::fault::CALL_FAILED, Vec::new()),
        }
    }

    pub(crate) fn destroy(&self) {
        if let Some(destroy) = self.table.destroy {
            // SAFETY: the one instance; nothing is called after.
            unsafe { destroy(self.instance) };
        }
    }
}
