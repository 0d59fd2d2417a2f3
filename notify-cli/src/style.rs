//! Colours: only on a terminal, and never against the user's wish (`NO_COLOR`, <https://no-color.org>; `TERM=dumb`).

use std::io::IsTerminal;

/// What a text is to say by its colour; it says the same without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Good,
    Caution,
    Bad,
    Strong,
}

impl Tone {
    const fn code(self) -> &'static str {
        match self {
            Self::Good => "32",
            Self::Caution => "33",
            Self::Bad => "31",
            Self::Strong => "1",
        }
    }
}

/// [`out`] or [`err`]: where a text is going.
pub type Painter = fn(&str, Tone) -> String;

/// For standard output.
#[must_use]
pub fn out(text: &str, tone: Tone) -> String {
    paint(text, tone, std::io::stdout().is_terminal() && wanted())
}

/// For standard error.
#[must_use]
pub fn err(text: &str, tone: Tone) -> String {
    paint(text, tone, std::io::stderr().is_terminal() && wanted())
}

/// Always in colours.
#[cfg(test)]
pub fn forced(text: &str, tone: Tone) -> String {
    paint(text, tone, true)
}

fn wanted() -> bool {
    let set = |name: &str| std::env::var_os(name);
    allowed(set("NO_COLOR").is_some_and(|value| !value.is_empty()), set("TERM").is_some_and(|t| t == "dumb"))
}

const fn allowed(no_color: bool, dumb: bool) -> bool {
    !no_color && !dumb
}

fn paint(text: &str, tone: Tone, colours: bool) -> String {
    if colours { format!("\u{1b}[{}m{text}\u{1b}[0m", tone.code()) } else { text.to_owned() }
}

/// Yes or no in a table: a sign on a terminal, a word elsewhere.
#[must_use]
pub fn mark(yes: bool) -> &'static str {
    match (std::io::stdout().is_terminal() && wanted(), yes) {
        (true, true) => "✓",
        (true, false) => "✗",
        (false, true) => "yes",
        (false, false) => "no",
    }
}

/// The tone of a delivery's state.
#[must_use]
pub fn of_state(state: &str) -> Option<Tone> {
    match state {
        "delivered" | "accepted" | "ok" | "✓" => Some(Tone::Good),
        "dead" | "fail" | "✗" => Some(Tone::Bad),
        "scheduled" | "cancelled" | "warn" => Some(Tone::Caution),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_wanted() {
        assert_eq!(paint("x", Tone::Bad, true), "\u{1b}[31mx\u{1b}[0m");
        assert_eq!(paint("x", Tone::Bad, false), "x");
        let cases = [((false, false), true), ((true, false), false), ((false, true), false)];
        for ((no_color, dumb), expected) in cases {
            assert_eq!(allowed(no_color, dumb), expected);
        }
    }
}
