//! What rendering one message may cost at most, and the counters that hold it to that.
//!
//! An engine's fuel counts instructions, not the bytes each one makes or reads: with a fuel of 50,000, 27 doublings
//! of a string took 3.2 s and 2.5 GB (`reference/reliability.md` 4.6). Here every step counts one, and every byte that
//! an operation produces *or scans* is charged **before** the operation runs, so nothing larger is ever allocated.

use std::cell::Cell;

/// Bytes of one string leaf's source.
pub const MAX_LEAF_SOURCE: usize = 8 * 1024;
/// Bytes of all leaves of one template together.
pub const MAX_TEMPLATE_SOURCE: usize = 64 * 1024;
/// String leaves in one template.
pub const MAX_LEAVES: usize = 256;
/// Tokens between `{{` and `}}` (or `{%` and `%}`); bounds how deep an expression can nest.
pub const MAX_TAG_TOKENS: usize = 200;
/// `{% … %}` and `{{ … }}` tags in one leaf; bounds how deep statements can nest.
pub const MAX_TAGS: usize = 200;
/// Levels of arrays and objects inside `native`.
pub const MAX_SHAPE_DEPTH: usize = 16;

/// Evaluation steps per message.
pub const MAX_STEPS: u32 = 50_000;
/// Bytes produced or scanned per message.
pub const MAX_WORK_BYTES: usize = 2 * 1024 * 1024;
/// Bytes of one intermediate value made by an operation.
pub const MAX_VALUE: usize = 64 * 1024;
/// Bytes of one rendered leaf.
pub const MAX_OUTPUT: usize = 24 * 1024;
/// Bytes of the rendered message as JSON.
pub const MAX_MESSAGE: usize = 32 * 1024;
/// Characters of a title, a name or a summary; longer ones are cut with `…`.
pub const MAX_LINE_CHARS: usize = 500;
/// Entries of `fields`, `links` and `attachments`, and of `actions`; `each` stops there.
pub const MAX_LIST: usize = 50;
pub const MAX_ACTIONS: usize = 10;

/// Why rendering stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub reason: String,
    pub fix: String,
    /// Line in the leaf, from 1; 0 when unknown.
    pub line: u16,
}

/// Boxed: the success path must stay small, it is taken some hundred times per message.
pub type Outcome<T> = Result<T, Box<Fault>>;

impl Fault {
    pub fn new(reason: impl Into<String>, fix: impl Into<String>) -> Box<Self> {
        Box::new(Self { reason: reason.into(), fix: fix.into(), line: 0 })
    }
}

/// The counters of one message.
#[derive(Debug)]
pub struct Budget {
    steps: Cell<u32>,
    bytes: Cell<usize>,
}

impl Default for Budget {
    fn default() -> Self {
        Self { steps: Cell::new(MAX_STEPS), bytes: Cell::new(MAX_WORK_BYTES) }
    }
}

impl Budget {
    /// One evaluation step.
    pub fn step(&self) -> Outcome<()> {
        let Some(left) = self.steps.get().checked_sub(1) else {
            return Err(Fault::new(
                format!("the template needs more than {MAX_STEPS} steps"),
                "loop over fewer items, for example `event.data.items[:20]`",
            ));
        };
        self.steps.set(left);
        Ok(())
    }

    /// `bytes` that are about to be read or compared.
    pub fn scan(&self, bytes: usize) -> Outcome<()> {
        let Some(left) = self.bytes.get().checked_sub(bytes) else {
            return Err(Fault::new(
                format!("the template handles more than {MAX_WORK_BYTES} bytes in all"),
                "work on shorter values, or on fewer of them",
            ));
        };
        self.bytes.set(left);
        Ok(())
    }

    /// A value of `bytes` that is about to be made.
    pub fn make(&self, bytes: usize) -> Outcome<()> {
        if bytes > MAX_VALUE {
            return Err(Fault::new(
                format!("a value of {bytes} bytes would be larger than the {MAX_VALUE} allowed"),
                "cut it with `truncate`",
            ));
        }
        self.scan(bytes)
    }
}
