//! Cutting texts to a channel's limits: at a word where one begins near the end, never inside of what a reader sees as
//! one character.

use unicode_segmentation::UnicodeSegmentation as _;

/// A beginning of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut<'a> {
    pub text: &'a str,
    /// Whether anything is missing.
    pub cut: bool,
}

/// At most so many Unicode characters (code points).
#[must_use]
pub fn cut_chars(text: &str, most: usize) -> Cut<'_> {
    cut(text, most, |part| part.chars().count())
}

/// At most so many UTF-16 units: what JavaScript, and with it most providers, calls the length.
#[must_use]
pub fn cut_utf16(text: &str, most: usize) -> Cut<'_> {
    cut(text, most, |part| part.encode_utf16().count())
}

/// At most so many bytes of UTF-8.
#[must_use]
pub fn cut_bytes(text: &str, most: usize) -> Cut<'_> {
    cut(text, most, str::len)
}

fn cut(text: &str, most: usize, measure: impl Fn(&str) -> usize) -> Cut<'_> {
    // No measure exceeds the bytes: most texts are done here.
    if text.len() <= most || measure(text) <= most {
        return Cut { text, cut: false };
    }
    let (mut used, mut end, mut word_ends) = (0, 0, None);
    let mut after_space = true;
    for (at, cluster) in text.grapheme_indices(true) {
        let space = cluster.chars().all(char::is_whitespace);
        if space && !after_space {
            word_ends = Some((at, used));
        }
        after_space = space;
        let size = measure(cluster);
        if used + size > most {
            // What does not fit begins a word: the end before it is the end of a word.
            if space && end == at {
                word_ends = word_ends.filter(|(word, _)| *word == at).or(Some((at, used)));
            }
            break;
        }
        used += size;
        end = at + cluster.len();
    }
    // A word that began in the last fifth is left out; a longer one is cut.
    let end = match word_ends {
        Some((at, before)) if before >= most - most / 5 || at == end => at,
        _ => end,
    };
    Cut { text: text.get(..end).unwrap_or_default().trim_end(), cut: true }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn at_a_word_near_the_end() {
        let check = |text: &str, most: usize, expected: &str| {
            assert_eq!(cut_chars(text, most).text, expected, "{text}")
        };
        check("short", 5, "short");
        check("", 0, "");
        check("the pods are down", 14, "the pods are");
        check("the pods are down", 12, "the pods are");
        check("the pods are down", 13, "the pods are");
        check("abcdefghij klm", 5, "abcde");
        // The word began long before the end: it is cut, or little would be left.
        check("a bbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", 20, "a bbbbbbbbbbbbbbbbbb");
        check("🙂🙂🙂", 2, "🙂🙂");
        check("👩\u{200D}🚒x", 2, "");
        check("e\u{301}e\u{301}", 3, "e\u{301}");
    }

    #[test]
    fn units() {
        assert_eq!(cut_utf16("🙂🙂🙂", 5).text, "🙂🙂");
        assert_eq!(cut_bytes("äöü", 5).text, "äö");
        assert!(!cut_bytes("äöü", 6).cut);
    }

    proptest! {
        #[test]
        fn a_cut_is_a_beginning_that_fits(text in "(\\PC|[ \n\u{301}\u{200D}🙂a-f]){0,80}", most in 0_usize..60) {
            for (cut, size) in [
                (cut_chars(&text, most), str::chars(cut_chars(&text, most).text).count()),
                (cut_utf16(&text, most), cut_utf16(&text, most).text.encode_utf16().count()),
                (cut_bytes(&text, most), cut_bytes(&text, most).text.len()),
            ] {
                prop_assert!(text.starts_with(cut.text));
                prop_assert!(size <= most);
                prop_assert_eq!(cut.cut, cut.text.len() < text.len());
            }
        }
    }
}
