//! `*` in a text: any characters, also none.

/// A compiled wildcard: the literals between the stars.
///
/// Matching looks for each middle literal at its first place after the one before, which is right because only the
/// first and the last literal are anchored. It never backtracks: the cost is linear in value plus pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Wildcard {
    source: Box<str>,
    first: Box<str>,
    middle: Box<[Box<str>]>,
    /// `None` when there is no star: then the whole value is `first`.
    last: Option<Box<str>>,
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
        let mut literals = literals.into_iter().map(String::into_boxed_str);
        let first = literals.next().unwrap_or_default();
        let mut middle: Vec<Box<str>> = literals.collect();
        let last = middle.pop();
        Ok(Self { source: source.into(), first, middle: middle.into(), last })
    }

    /// What every value has to begin with; empty when the wildcard begins with a star.
    pub(super) fn head(&self) -> &str {
        &self.first
    }

    /// All literals, each of which has to occur in a value; some may be empty.
    pub(super) fn literals(&self) -> impl Iterator<Item = &str> {
        let parts = std::iter::once(&self.first).chain(&self.middle).chain(&self.last);
        parts.map(|part| &**part)
    }

    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// What a value starts with, what it ends with, and whether nothing else is asked of it. Without a star `None`.
    pub(super) fn ends(&self) -> Option<(&str, &str, bool)> {
        self.last.as_ref().map(|last| (&*self.first, &**last, self.middle.is_empty()))
    }

    pub(super) fn matches(&self, value: &str) -> bool {
        let Some(last) = &self.last else { return value == &*self.first };
        let Some(rest) = value.strip_prefix(&*self.first) else { return false };
        let Some(mut rest) = rest.strip_suffix(&**last) else { return false };
        self.middle.iter().all(|literal| match rest.split_once(&**literal) {
            Some((_, after)) => {
                rest = after;
                true
            }
            None => false,
        })
    }
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
