//! Reads a text that is in the ledger's canonical form in one pass, without writing it again to compare.
//!
//! Verifying an export spends its time here and in signatures. A text this scanner does not accept is simply not
//! known to be canonical: [`super::canonical::parse_canonical`] then takes the slow way, which finds the reason. So
//! the scanner must never accept too much; a property test holds the two against each other.

use super::canonical::{MAX_DEPTH, MAX_SAFE_INTEGER};
use serde_json::{Map, Value};

/// The value, if `text` is certainly canonical.
pub(super) fn scan(text: &[u8]) -> Option<Value> {
    // Once for the whole text, so that every piece between ASCII bytes is known to be UTF-8.
    let text = std::str::from_utf8(text).ok()?;
    let mut scanner = Scanner { text, at: 0 };
    let value = scanner.value(0)?;
    (scanner.at == text.len()).then_some(value)
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Scanner<'t> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn literal(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        match self.peek()? {
            b'"' => self.string().map(Value::String),
            b'{' if depth < MAX_DEPTH => self.object(depth + 1),
            b'[' if depth < MAX_DEPTH => self.array(depth + 1),
            b't' => self.literal("true", Value::Bool(true)),
            b'f' => self.literal("false", Value::Bool(false)),
            b'n' => self.literal("null", Value::Null),
            b'-' | b'0'..=b'9' => self.integer(),
            _ => None,
        }
    }

    fn integer(&mut self) -> Option<Value> {
        let negative = self.take(b'-').is_some();
        let rest = self.text.get(self.at..)?;
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let digits = rest.get(..digits)?;
        // `0` alone; no `-0`, no leading zero. A fraction or exponent is left over and refused by the caller.
        if digits.starts_with('0') && (digits.len() > 1 || negative) {
            return None;
        }
        self.at += digits.len();
        let magnitude = digits.parse::<u64>().ok().filter(|n| *n <= MAX_SAFE_INTEGER)?;
        if negative { i64::try_from(magnitude).ok().map(|n| Value::from(-n)) } else { Some(magnitude.into()) }
    }

    fn array(&mut self, depth: usize) -> Option<Value> {
        self.take(b'[')?;
        let mut items = vec![];
        if self.take(b']').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth)?);
            if self.take(b']').is_some() {
                return Some(Value::Array(items));
            }
            self.take(b',')?;
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        self.take(b'{')?;
        let mut object = Map::new();
        if self.take(b'}').is_some() {
            return Some(Value::Object(object));
        }
        loop {
            let key = self.string()?;
            // Strictly rising, which also refuses duplicates.
            if object.keys().next_back().is_some_and(|last: &String| !utf16_less(last, &key)) {
                return None;
            }
            self.take(b':')?;
            let value = self.value(depth)?;
            object.insert(key, value);
            if self.take(b'}').is_some() {
                return Some(Value::Object(object));
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        self.take(b'"')?;
        let mut out = String::new();
        loop {
            let rest = self.text.get(self.at..)?;
            let plain = rest.bytes().position(|b| b == b'"' || b == b'\\' || b < 0x20)?;
            let piece = rest.get(..plain)?;
            if out.is_empty() {
                out = piece.to_owned();
            } else {
                out.push_str(piece);
            }
            self.at += plain;
            match self.peek()? {
                b'"' => {
                    self.at += 1;
                    return Some(out);
                }
                b'\\' => out.push(self.escape()?),
                _ => return None,
            }
        }
    }

    /// Only the escapes that RFC 8785 writes.
    fn escape(&mut self) -> Option<char> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let (length, char) = match rest.get(1)? {
            b'"' => (2, '"'),
            b'\\' => (2, '\\'),
            b'b' => (2, '\u{8}'),
            b't' => (2, '\t'),
            b'n' => (2, '\n'),
            b'f' => (2, '\u{c}'),
            b'r' => (2, '\r'),
            b'u' => {
                let [b'0', b'0', high @ b'0'..=b'1', low @ (b'0'..=b'9' | b'a'..=b'f')] = rest.get(2..6)?
                else {
                    return None;
                };
                let low = if low.is_ascii_digit() { low - b'0' } else { low - b'a' + 10 };
                let code = (high - b'0') * 16 + low;
                if matches!(code, 8 | 9 | 10 | 12 | 13) {
                    return None;
                }
                (6, char::from(code))
            }
            _ => return None,
        };
        self.at += length;
        Some(char)
    }
}

fn utf16_less(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        left < right
    } else {
        left.encode_utf16().lt(right.encode_utf16())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::{self, Limits};
    use crate::ledger::canonical::to_canonical;
    use proptest::prelude::*;

    /// The slow way: parse, write again, compare.
    fn slowly(text: &[u8]) -> Option<Value> {
        let value = json::parse(text, Limits { max_bytes: 1 << 20, max_depth: MAX_DEPTH }).ok()?;
        (to_canonical(&value).ok()? == text).then_some(value)
    }

    fn values() -> impl Strategy<Value = Value> {
        let text = prop_oneof![
            "[a-c\"\\\\\u{0}-\u{20}]{0,5}",
            "\\PC{0,4}",
            "[\u{e000}-\u{ffff}\u{10000}-\u{10010}a]{0,3}"
        ];
        let safe = MAX_SAFE_INTEGER.cast_signed();
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (-safe - 2..=safe + 2).prop_map(Value::from),
            (-20_i64..20).prop_map(Value::from),
            text.clone().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::vec((text.clone(), inner), 0..5)
                    .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn agrees_with_the_slow_way_on_values(value in values()) {
            let Ok(text) = to_canonical(&value) else { return Ok(()) };
            prop_assert_eq!(scan(&text), slowly(&text));
            prop_assert!(scan(&text).is_some());
            // serde_json's own order and spaces are canonical only by chance.
            for other in [serde_json::to_vec(&value).unwrap(), serde_json::to_vec_pretty(&value).unwrap()] {
                prop_assert_eq!(scan(&other), slowly(&other));
            }
        }

        #[test]
        fn agrees_with_the_slow_way_on_damaged_texts(
            value in values(),
            at in any::<prop::sample::Index>(),
            byte in prop_oneof![any::<u8>(), prop::sample::select(b"0 -.eE\"\\u,:{}[]ntf1".to_vec())],
            kind in 0..3,
        ) {
            let Ok(mut text) = to_canonical(&value) else { return Ok(()) };
            let at = at.index(text.len());
            match kind {
                0 => text[at] = byte,
                1 => text.insert(at, byte),
                _ => drop(text.remove(at)),
            }
            prop_assert_eq!(scan(&text), slowly(&text));
        }

        #[test]
        fn agrees_with_the_slow_way_on_json_like_texts(text in r#"[\[\]{}:,"\\untfb0-9a-f .eE-]{0,24}"#) {
            prop_assert_eq!(scan(text.as_bytes()), slowly(text.as_bytes()));
        }
    }

    #[test]
    fn edges() {
        for text in [
            "0",
            "-0",
            "-1",
            "01",
            "-01",
            "1.0",
            "1e1",
            "9007199254740991",
            "9007199254740992",
            "-9007199254740992",
            "-",
            "",
            " 1",
            "1 ",
            "true",
            "truex",
            "[1,]",
            "[,]",
            "{}",
            "{\"a\":1,}",
            "{\"a\":1,\"a\":1}",
            "{\"b\":1,\"a\":1}",
            "\"\\u001f\"",
            "\"\\u001F\"",
            "\"\\u0020\"",
            "\"\\u0008\"",
            "\"\\b\"",
            "\"\\/\"",
            "\"/\"",
            "\"\\u00e9\"",
            "{\"\u{10000}\":1,\"\u{e000}\":2}",
            "{\"\u{e000}\":2,\"\u{10000}\":1}",
            "\"",
            "\"\\",
            "\"\\u00",
            "\"\u{7f}\"",
        ] {
            assert_eq!(scan(text.as_bytes()), slowly(text.as_bytes()), "{text}");
        }
        assert_eq!(scan(b"\"\xff\""), None);
        for depth in [MAX_DEPTH, MAX_DEPTH + 1] {
            let text = "[".repeat(depth) + &"]".repeat(depth);
            assert_eq!(scan(text.as_bytes()), slowly(text.as_bytes()));
        }
    }
}
