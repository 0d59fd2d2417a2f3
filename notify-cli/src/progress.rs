//! Progress of long work, on standard error and only on a terminal: never in a pipe or a log.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::time::Duration;

/// So many of something.
#[must_use]
pub fn bar(total: u64, what: &str) -> ProgressBar {
    let bar = new(Some(total), "{msg} {wide_bar} {pos}/{len} {eta}");
    bar.set_message(what.to_owned());
    bar
}

/// Bytes, nobody knows how many.
#[must_use]
pub fn bytes(what: &str) -> ProgressBar {
    let bar = new(None, "{spinner} {msg} {bytes} ({bytes_per_sec})");
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

/// Something that takes a while.
#[must_use]
pub fn spinner(what: &str) -> ProgressBar {
    let bar = new(None, "{spinner} {msg}");
    bar.set_message(what.to_owned());
    bar.enable_steady_tick(Duration::from_millis(120));
    bar
}

fn new(total: Option<u64>, template: &str) -> ProgressBar {
    if !std::io::stderr().is_terminal() || std::env::var_os("TERM").is_some_and(|term| term == "dumb") {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
