//! `*` in a text: any characters, also none.

use memchr::memmem;

/// A compiled wildcard: the literals between the stars.
///
/// Matching looks for each middle literal at its first place after the one before, which is right because only the
/// first and the last literal are anchored. It never backtracks: the cost is linear in value plus pattern.
///
/// Without escapes the literals are the parts of the source itself: one piece of memory for each of thousands.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wildcard {
    source: Box<str>,
    /// The literals, first to last, where the source has escapes.
    unescaped: Option<Box<[Box<str>]>>,
}

/// Why a wildcard was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WildcardFault {
    AdjacentStars,
    BadEscape,
    TooManyStars,
}

impl Wildcard {
    /// `\*` is a star and `\\` a backslash; no other escape exists.
    pub(super) fn parse(source: &str, max_stars: usize) -> Result<Self, WildcardFault> {
        let mut literals = vec![String::new()];
        let mut after_star = false;
        let mut chars = source.chars();
        while let Some(c) = chars.next() {
            let literal = match c {
                '*' if after_star => return Err(WildcardFault::AdjacentStars),
                '*' if literals.len() > max_stars => return Err(WildcardFault::TooManyStars),
                '*' => {
                    after_star = true;
                    literals.push(String::new());
                    continue;
                }
                '\\' => chars.next().filter(|c| matches!(c, '*' | '\\')).ok_or(WildcardFault::BadEscape)?,
                other => other,
            };
            after_star = false;
            if let Some(current) = literals.last_mut() {
                current.push(literal);
            }
        }
        let unescaped =
            source.contains('\\').then(|| literals.into_iter().map(String::into_boxed_str).collect());
        Ok(Self { source: source.into(), unescaped })
    }

    /// What every value has to begin with; empty when the wildcard begins with a star.
    pub(super) fn head(&self) -> &str {
        match &self.unescaped {
            None => self.source.split('*').next().unwrap_or_default(),
            Some(literals) => literals.first().map(|first| &**first).unwrap_or_default(),
        }
    }

    /// All literals, each of which has to occur in a value; some may be empty.
    pub(super) fn literals(&self) -> Vec<&str> {
        match &self.unescaped {
            None => self.source.split('*').collect(),
            Some(literals) => literals.iter().map(|literal| &**literal).collect(),
        }
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What a value starts with, what it ends with, and whether nothing else is asked of it. Without a star `None`.
    pub(super) fn ends(&self) -> Option<(&str, &str, bool)> {
        match self.literals().as_slice() {
            [first, middle @ .., last] => Some((first, last, middle.is_empty())),
            _ => None,
        }
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        match &self.unescaped {
            None => fits(self.source.split('*'), value.as_bytes()),
            Some(literals) => fits(literals.iter().map(|literal| &**literal), value.as_bytes()),
        }
    }
}

/// Bytes will do: a literal is whole characters, so it is found at whole characters only.
fn fits<'l>(mut literals: impl DoubleEndedIterator<Item = &'l str>, value: &[u8]) -> bool {
    let first = literals.next().unwrap_or_default();
    let Some(last) = literals.next_back() else { return value == first.as_bytes() };
    let Some(rest) = value.strip_prefix(first.as_bytes()) else { return false };
    let Some(mut rest) = rest.strip_suffix(last.as_bytes()) else { return false };
    literals.all(|literal| match memmem::find(rest, literal.as_bytes()) {
        Some(place) => {
            rest = rest.get(place + literal.len()..).unwrap_or_default();
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn refuses_what_has_two_readings() {
        for (source, fault) in [
            ("a**b", WildcardFault::AdjacentStars),
            ("a\\b", WildcardFault::BadEscape),
            ("a\\", WildcardFault::BadEscape),
            ("*a*b*c*", WildcardFault::TooManyStars),
        ] {
            assert_eq!(Wildcard::parse(source, 3), Err(fault), "{source}");
        }
        assert!(Wildcard::parse("*a*b*", 3).is_ok());
        assert!(Wildcard::parse("\\**\\*", 3).unwrap().matches("*x*"));
    }

    /// The textbook definition, exponential, as the reference.
    fn by_definition(pattern: &[char], value: &[char]) -> bool {
        match pattern.split_first() {
            None => value.is_empty(),
            Some(('*', rest)) => (0..=value.len()).any(|i| by_definition(rest, &value[i..])),
            Some((c, rest)) => value.first() == Some(c) && by_definition(rest, &value[1..]),
        }
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(pattern in "[ab*é]{0,7}", value in "[abé]{0,9}") {
            if let Ok(wildcard) = Wildcard::parse(&pattern, 32) {
                let chars = |s: &str| s.chars().collect::<Vec<_>>();
                prop_assert_eq!(wildcard.matches(&value), by_definition(&chars(&pattern), &chars(&value)));
            } else {
                prop_assert!(pattern.contains("**"));
            }
        }
    }
}
