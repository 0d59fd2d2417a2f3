//! JSON text written straight away, with its length counted and with places for values that only the host knows.
//!
//! A codec writes thousands of requests a second: a tree of values for each would cost more than the rest of its work.
//! Providers limit the length of what they get, and some of them count after their own encoder has rewritten it, so the
//! length that is counted here is that of the longest usual spelling: everything outside ASCII, and what HTML knows, as
//! `\uXXXX`.

use crate::Part;

/// One JSON text under construction. Commas come by themselves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Json {
    parts: Vec<Part>,
    text: String,
    comma: bool,
    cost: usize,
}

/// What a character of a string costs.
#[must_use]
pub const fn char_cost(c: char) -> usize {
    match c {
        '"' | '\\' | '\n' | '\r' | '\t' => 2,
        '<' | '>' | '&' | '\'' | '+' | '`' | '\0'..='\u{1f}' | '\u{7f}' => 6,
        '\u{20}'..='\u{7e}' => 1,
        c => 6 * c.len_utf16(),
    }
}

/// What a string costs, without its quotes.
#[must_use]
pub fn cost_of(text: &str) -> usize {
    text.chars().map(char_cost).sum()
}

impl Json {
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), ..Self::default() }
    }

    /// `{`
    pub fn open(&mut self) {
        self.begin("{");
    }

    /// `}`
    pub fn close(&mut self) {
        self.finish("}");
    }

    /// `[`
    pub fn list(&mut self) {
        self.begin("[");
    }

    /// `]`
    pub fn end(&mut self) {
        self.finish("]");
    }

    /// A key that needs no escaping.
    pub fn key(&mut self, key: &'static str) {
        self.separate();
        self.text.push('"');
        self.text.push_str(key);
        self.text.push_str("\":");
        self.cost += key.len() + 3;
        self.comma = false;
    }

    /// A string.
    pub fn string(&mut self, value: &str) {
        self.separate();
        self.text.push('"');
        self.escape(value);
        self.text.push('"');
        self.cost += 2;
        self.comma = true;
    }

    /// A key with a string.
    pub fn pair(&mut self, key: &'static str, value: &str) {
        self.key(key);
        self.string(value);
    }

    /// JSON that is right as it stands, such as `true` or a constant object.
    pub fn raw(&mut self, json: &'static str) {
        self.separate();
        self.text.push_str(json);
        self.cost += json.len();
        self.comma = true;
    }

    /// A whole number.
    pub fn number(&mut self, value: u64) {
        self.separate();
        let text = value.to_string();
        self.text.push_str(&text);
        self.cost += text.len();
        self.comma = true;
    }

    /// A string that the host fills in. `most` is what its length is counted as; its value must need no escaping.
    pub fn secret(&mut self, name: &str, most: usize) {
        self.separate();
        self.text.push('"');
        self.parts.push(Part::Text(std::mem::take(&mut self.text)));
        self.parts.push(Part::secret(name));
        self.text.push('"');
        self.cost += most + 2;
        self.comma = true;
    }

    /// The elements of another text, as the next ones of this list or object.
    pub fn join(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        self.separate();
        if other.parts.is_empty() {
            self.text.push_str(&other.text);
        } else {
            let mut parts = other.parts.into_iter();
            if let Some(Part::Text(first)) = parts.next() {
                self.text.push_str(&first);
                self.parts.push(Part::Text(std::mem::take(&mut self.text)));
            }
            self.parts.extend(parts);
            self.text = other.text;
        }
        self.cost += other.cost;
        self.comma = true;
    }

    /// Nothing was written.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty() && self.text.is_empty()
    }

    /// The length so far, in its longest usual spelling.
    #[must_use]
    pub const fn cost(&self) -> usize {
        self.cost
    }

    /// As the body of a request.
    #[must_use]
    pub fn into_parts(mut self) -> Vec<Part> {
        if !self.text.is_empty() {
            self.parts.push(Part::Text(self.text));
        }
        self.parts
    }

    fn begin(&mut self, bracket: &'static str) {
        self.separate();
        self.text.push_str(bracket);
        self.cost += 1;
        self.comma = false;
    }

    fn finish(&mut self, bracket: &'static str) {
        self.text.push_str(bracket);
        self.cost += 1;
        self.comma = true;
    }

    fn separate(&mut self) {
        if self.comma {
            self.text.push(',');
            self.cost += 1;
        }
    }

    fn escape(&mut self, value: &str) {
        let mut from = 0;
        let mut cost = 0;
        for (at, byte) in value.bytes().enumerate() {
            let one = COST[usize::from(byte)];
            cost += usize::from(one & !ESCAPED);
            if one & ESCAPED == 0 {
                continue;
            }
            self.text.push_str(value.get(from..at).unwrap_or_default());
            from = at + 1;
            match byte {
                b'"' => self.text.push_str("\\\""),
                b'\\' => self.text.push_str("\\\\"),
                b'\n' => self.text.push_str("\\n"),
                b'\r' => self.text.push_str("\\r"),
                b'\t' => self.text.push_str("\\t"),
                other => {
                    const HEX: &[u8; 16] = b"0123456789abcdef";
                    self.text.push_str("\\u00");
                    self.text.push(char::from(HEX[usize::from(other >> 4)]));
                    self.text.push(char::from(HEX[usize::from(other & 15)]));
                }
            }
        }
        self.text.push_str(value.get(from..).unwrap_or_default());
        self.cost += cost;
    }
}

/// Marks a byte that JSON needs escaped.
const ESCAPED: u8 = 0x80;

/// What each byte costs. The first byte of a character counts for all of it; four bytes are two UTF-16 units.
const COST: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = match byte as u8 {
            ascii @ 0..=0x7f => {
                let escaped = if matches!(ascii, b'"' | b'\\' | 0..=0x1f) { ESCAPED } else { 0 };
                char_cost(ascii as char) as u8 | escaped
            }
            0xc0..=0xef => 6,
            0xf0..=0xff => 12,
            _ => 0,
        };
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::{Json, cost_of};
    use crate::Part;

    #[test]
    fn it_is_the_json_that_serde_reads() {
        let every: String = (0..0x3000_u32).chain(0x1f600..0x1f610).filter_map(char::from_u32).collect();
        let mut json = Json::default();
        json.open();
        json.pair("a", &every);
        json.key("b");
        json.list();
        json.raw("true");
        json.number(u64::MAX);
        json.string("x");
        json.open();
        json.close();
        json.end();
        json.close();
        let counted = json.cost();
        let parts = json.into_parts();
        let [Part::Text(text)] = parts.as_slice() else { panic!("{parts:?}") };
        let read: serde_json::Value = serde_json::from_str(text).expect("it is JSON");
        assert_eq!(read, serde_json::json!({ "a": every, "b": [true, u64::MAX, "x", {}] }));
        assert_eq!(counted, cost_of(&every) + r#"{"a":"","b":[true,18446744073709551615,"x",{}]}"#.len());
        assert!(counted >= text.len());
    }

    #[test]
    fn secrets_split_it_and_joining_keeps_them() {
        let mut inner = Json::default();
        inner.open();
        inner.key("url");
        inner.secret("studio-alert-url", 512);
        inner.close();
        inner.string("y");
        let cost = inner.cost();
        let mut json = Json::default();
        json.list();
        json.join(Json::default());
        json.string("x");
        json.join(inner);
        json.raw("1");
        json.end();
        assert_eq!(json.cost(), cost + "[\"x\",,1]".len());
        assert_eq!(
            json.into_parts(),
            [Part::text("[\"x\",{\"url\":\""), Part::secret("studio-alert-url"), Part::text("\"},\"y\",1]"),]
        );
    }
}
