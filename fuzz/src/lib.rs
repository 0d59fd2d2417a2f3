//! What each fuzz target does with its bytes. The same functions run over the corpus as a plain test of the main
//! workspace (`notify-cli/tests/fuzz_corpus`), so that what a fuzzer once found is never found again.

pub mod calendars;
pub mod documents;
pub mod ledger;
#[cfg(feature = "service")]
pub mod service;
