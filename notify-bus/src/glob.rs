//! Globs over event types such as `scanner.report.ready`.

/// `*` stands for any run of characters without a dot, `**` for any run at all; everything else is literal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Glob(String);

/// Why a text is no glob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a glob: use 1 to 256 characters and at most 8 stars, never three in a row")]
pub struct InvalidGlob(String);

impl Glob {
    /// # Errors
    /// When the text is empty, too long, or has more stars than can be matched cheaply.
    pub fn new(text: &str) -> Result<Self, InvalidGlob> {
        let stars = text.bytes().filter(|byte| *byte == b'*').count();
        if text.is_empty() || text.len() > 256 || stars > 8 || text.contains("***") {
            return Err(InvalidGlob(text.chars().take(300).collect()));
        }
        Ok(Self(text.to_owned()))
    }

    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches(self.0.as_bytes(), text.as_bytes())
    }
}

fn matches(glob: &[u8], text: &[u8]) -> bool {
    match glob {
        [] => text.is_empty(),
        [b'*', b'*', rest @ ..] => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        [b'*', rest @ ..] => {
            let reach = text.iter().position(|byte| *byte == b'.').unwrap_or(text.len());
            (0..=reach).any(|skip| matches(rest, &text[skip..]))
        }
        [literal, rest @ ..] => text.first() == Some(literal) && matches(rest, &text[1..]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table() {
        for (glob, text, expected) in [
            ("scanner.report.ready", "scanner.report.ready", true),
            ("scanner.*", "scanner.report", true),
            ("scanner.*", "scanner.report.ready", false),
            ("scanner.**", "scanner.report.ready", true),
            ("*.ready", "report.ready", true),
            ("**.ready", "scanner.report.ready", true),
            ("**", "", true),
            ("*", "a.b", false),
            ("sc*er.re*t.*", "scanner.report.ready", true),
            ("scanner", "scanner.x", false),
        ] {
            assert_eq!(Glob::new(glob).unwrap().matches(text), expected, "{glob} on {text}");
        }
    }

    #[test]
    fn refusals() {
        for bad in ["", "a***", "*.*.*.*.*.*.*.*.*", &"x".repeat(257)] {
            assert!(Glob::new(bad).is_err(), "{bad}");
        }
    }
}
