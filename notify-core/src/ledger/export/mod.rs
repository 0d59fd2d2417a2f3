//! Exports: files that carry a stretch of a log and its proof to somebody who trusts nobody here.

mod fields;
pub mod files;
mod kept;
pub mod line;
pub mod report;
mod semantics;
pub mod verify;
pub mod writer;
pub use files::{ExportFiles, FileRole};
pub use report::{Finding, FindingCode, Report, Verdict};
pub use verify::{Verifier, VerifyOptions, verify};
