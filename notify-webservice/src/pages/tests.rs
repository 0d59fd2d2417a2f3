//! What the pages cannot say wrongly: words in both languages.

use super::words::Language;
use notify_core::severity::Severity;

#[test]
fn languages() {
    for (tag, expected) in [
        ("en", "en"),
        ("de", "de"),
        ("de-AT", "de"),
        ("DE_ch", "de"),
        ("", "en"),
        ("den", "en"),
        ("fr", "en"),
    ] {
        assert_eq!(Language::of(tag).words().tag, expected, "{tag}");
    }
    for language in [Language::English, Language::German] {
        let words = language.words();
        let named: std::collections::BTreeSet<_> =
            Severity::ALL.into_iter().map(|severity| words.severity(severity)).collect();
        assert_eq!(named.len(), Severity::ALL.len(), "{}", words.tag);
    }
}
