//! What an HTTP answer means. The table is in the crate's documentation.

use notify_connector_sdk::{Response, Verdict};

/// How much of the receiver's own words goes into the detail, in characters.
const QUOTED: usize = 120;

pub(crate) fn interpret(response: &Response<'_>) -> Verdict {
    let status = response.status;
    match status {
        200..=299 => Verdict::delivered(),
        300..=399 => Verdict::permanent(format!(
            "the receiver answered {status} (redirect), which is not followed; put the final address into the channel"
        )),
        410 => Verdict::gone("the receiver answered 410: this address is gone for good"),
        429 | 502..=504 => Verdict::throttled(response.retry_after_ms(), said(response)),
        408 | 425 | 500..=599 => Verdict::retry(response.retry_after_ms(), said(response)),
        _ => Verdict::retry(None, said(response)),
    }
}

/// The status and the beginning of a readable body. The body comes from outside: control characters are dropped, and
/// what is not text is not quoted.
fn said(response: &Response<'_>) -> String {
    let mut text = format!("the receiver answered {}", response.status);
    // A cut in the middle of a character is no reason to drop what came before it.
    let start = &response.body[..response.body.len().min(4 * QUOTED)];
    let readable = match std::str::from_utf8(start) {
        Ok(all) => all,
        Err(error) if error.error_len().is_none() => {
            std::str::from_utf8(&start[..error.valid_up_to()]).unwrap_or_default()
        }
        Err(_) => "",
    };
    let quoted: String = readable.split_whitespace().collect::<Vec<_>>().join(" ");
    let quoted: String = quoted.chars().filter(|c| !c.is_control()).take(QUOTED).collect();
    if !quoted.is_empty() {
        text.push_str(": ");
        text.push_str(&quoted);
    }
    text
}
