//! Files that users name.

use crate::failure::Failure;
use notify_core::json::Limits;
use notify_core::problem::Problem;
use notify_core::yaml;
use serde_json::Value;
use std::io::Read;
use std::path::Path;

/// Larger files are refused unread: no document or event is that large.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

/// The name for messages; `-` is standard input.
#[must_use]
pub fn name(path: &Path) -> String {
    if path == Path::new("-") { "standard input".to_owned() } else { path.display().to_string() }
}

/// # Errors
/// When it cannot be read or is too large.
pub fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |reason: String| Failure::other(format!("{} cannot be read: {reason}", name(path)), "");
    let mut content = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut content)
    } else {
        let file = std::fs::File::open(path).map_err(|error| failed(error.to_string()))?;
        file.take(MAX_BYTES + 1).read_to_end(&mut content)
    };
    read.map_err(|error| failed(error.to_string()))?;
    if content.len() as u64 > MAX_BYTES {
        return Err(failed(format!("it has more than {MAX_BYTES} bytes")));
    }
    Ok(content)
}

/// YAML or JSON, strictly.
///
/// # Errors
/// The problem with its place in the file.
pub fn document(path: &Path) -> Result<Value, Failure> {
    let content = read(path)?;
    let limits = Limits { max_bytes: content.len(), ..yaml::DOCUMENT_LIMITS };
    yaml::parse_document(&content, None, limits).map_err(|problem| about(path, problem))
}

/// A problem of a file.
#[must_use]
pub fn about(path: &Path, problem: Problem) -> Failure {
    Failure::Problems(vec![(Some(name(path)), problem)])
}
