//! Case folding for `equals-ignore-case` and its prefix and suffix forms.

/// A text with its folded form, so that matching never allocates.
///
/// Folding maps each character by Unicode's full upper-case mapping and the result by the full lower-case mapping,
/// without locale: `Ⱥ` = `ⱥ`, `ΐ` = its decomposed form, `ß` = `ss`, `ς` = `σ`, `K` (kelvin) = `k`, `ı` = `i`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Folded {
    source: Box<str>,
    folded: Box<str>,
}

fn fold(text: &str) -> impl DoubleEndedIterator<Item = char> + '_ {
    text.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)
}

/// Appends the folded form of `text`.
pub(super) fn fold_into(text: &str, into: &mut String) {
    if text.is_ascii() {
        into.extend(text.bytes().map(|b| char::from(b.to_ascii_lowercase())));
    } else {
        into.extend(fold(text));
    }
}

impl Folded {
    pub(super) fn new(text: &str) -> Self {
        Self { source: text.into(), folded: fold(text).collect::<String>().into() }
    }

    pub(super) fn folded(&self) -> &str {
        &self.folded
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    pub(super) fn equals(&self, value: &str) -> bool {
        if self.folded.is_ascii() && value.is_ascii() {
            return value.eq_ignore_ascii_case(&self.folded);
        }
        fold(value).eq(self.folded.chars())
    }

    /// Whether the folded value starts with the folded text.
    pub(super) fn is_prefix_of(&self, value: &str) -> bool {
        let head = value.as_bytes().get(..self.folded.len());
        if let Some(head) = head.filter(|head| head.is_ascii() && self.folded.is_ascii()) {
            return head.eq_ignore_ascii_case(self.folded.as_bytes());
        }
        let mut chars = fold(value);
        self.folded.chars().all(|c| chars.next() == Some(c))
    }

    /// Whether the folded value ends with the folded text.
    pub(super) fn is_suffix_of(&self, value: &str) -> bool {
        let from = value.len().checked_sub(self.folded.len());
        let tail = from.and_then(|from| value.as_bytes().get(from..));
        if let Some(tail) = tail.filter(|tail| tail.is_ascii() && self.folded.is_ascii()) {
            return tail.eq_ignore_ascii_case(self.folded.as_bytes());
        }
        let mut chars = fold(value).rev();
        self.folded.chars().rev().all(|c| chars.next() == Some(c))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folds_across_byte_lengths_and_scripts() {
        // text, value, equals, prefix, suffix
        for (text, value, equals, prefix, suffix) in [
            ("Abc", "aBC", true, true, true),
            ("Abc", "abcd", false, true, false),
            ("Abc", "xabC", false, false, true),
            ("ⱥ", "Ⱥ", true, true, true),
            ("k", "\u{212a}", true, true, true),
            ("STRASSE", "straße", true, true, true),
            ("ß", "SS!", false, true, false),
            ("\u{390}", "\u{399}\u{308}\u{301}", true, true, true),
            ("ΣΑΣ", "σας", true, true, true),
            ("", "é", false, true, true),
            ("", "", true, true, true),
            ("long", "lo", false, false, false),
            ("é", "e", false, false, false),
        ] {
            let folded = Folded::new(text);
            let got = (folded.equals(value), folded.is_prefix_of(value), folded.is_suffix_of(value));
            assert_eq!(got, (equals, prefix, suffix), "{text} against {value}");
        }
    }
}
