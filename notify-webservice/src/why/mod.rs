//! Answers to "why": the story of an event, how noisy rules are, what a digest would look like.

pub mod digest_preview;
pub mod digests;
pub mod held;
pub mod noise_report;
pub mod story;
