//! One pass over the JSON text of an event: checks all of it, keeps only what the trie names.
//!
//! Everything is checked that makes a text JSON (RFC 8259), also in the parts that no rule names. What [`crate::json`]
//! refuses beyond that (duplicate keys, literals that would become 0, literals out of a double's range in fields that no
//! rule names) is not looked for: texts come from intake, which refused them.

use super::leaves::Leaves;
use super::paths::{PathId, Paths};
use crate::pattern::number::Num;
use crate::pattern::operator::Scalar;
use serde_json::Number;
use std::ops::Range;

/// Deeper texts are refused; intake's own limit is lower.
const MAX_DEPTH: u32 = 128;

/// The text is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {reason} at byte {at}")]
pub struct NotJson {
    pub reason: &'static str,
    /// Offset in bytes.
    pub at: usize,
}

/// Reads the wanted values of `text` into `leaves`.
pub(super) fn scan(text: &str, paths: &Paths, leaves: &mut Leaves) -> Result<(), NotJson> {
    leaves.begin(paths);
    let mut scanner =
        Scanner { text, bytes: text.as_bytes(), at: 0, paths, leaves, unescaped: String::new() };
    scanner.space();
    if scanner.peek() == b'{' {
        scanner.value(Paths::ROOT, 0)?;
    } else {
        scanner.skip(0)?;
    }
    scanner.space();
    if scanner.at < scanner.bytes.len() { Err(scanner.not_json("text behind the document")) } else { Ok(()) }
}

struct Scanner<'s> {
    text: &'s str,
    bytes: &'s [u8],
    at: usize,
    paths: &'s Paths,
    leaves: &'s mut Leaves,
    /// The last text that had escapes.
    unescaped: String,
}

/// A string's place between its quotes.
struct Raw {
    place: Range<usize>,
    escapes: bool,
}

impl Scanner<'_> {
    const fn not_json(&self, reason: &'static str) -> NotJson {
        NotJson { reason, at: self.at }
    }

    /// The next byte; 0, which no JSON text has outside of a string, at the end.
    #[inline]
    fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    #[inline]
    fn expect(&mut self, byte: u8, reason: &'static str) -> Result<(), NotJson> {
        if self.peek() != byte {
            return Err(self.not_json(reason));
        }
        self.at += 1;
        Ok(())
    }

    /// A value at a path that the trie has.
    fn value(&mut self, path: PathId, depth: u32) -> Result<(), NotJson> {
        if depth >= MAX_DEPTH {
            return Err(self.not_json("nested too deeply"));
        }
        match self.peek() {
            b'{' if self.paths.has_children(path) => self.object(path, depth),
            b'[' => {
                self.leaves.note_array(path);
                self.array(path, depth)
            }
            b'{' => self.skip(depth),
            _ if !self.paths.is_wanted(path) => self.skip(depth),
            b'"' => {
                let raw = self.string()?;
                let text = text_of(self.text, &raw, &mut self.unescaped, raw.place.start)?;
                self.leaves.push(path, Scalar::Text(text));
                Ok(())
            }
            b't' => self.literal(b"true").map(|()| self.leaves.push(path, Scalar::Bool(true))),
            b'f' => self.literal(b"false").map(|()| self.leaves.push(path, Scalar::Bool(false))),
            b'n' => self.literal(b"null").map(|()| self.leaves.push(path, Scalar::Null)),
            _ => {
                let place = self.number()?;
                let number = number_of(self.text.get(place.clone()).unwrap_or_default())
                    .ok_or(NotJson { reason: "number out of range", at: place.start })?;
                self.leaves.push(path, Scalar::Number(number));
                Ok(())
            }
        }
    }

    fn object(&mut self, path: PathId, depth: u32) -> Result<(), NotJson> {
        self.at += 1;
        self.space();
        if self.peek() == b'}' {
            self.at += 1;
            return Ok(());
        }
        loop {
            let raw = self.key()?;
            let name = text_of(self.text, &raw, &mut self.unescaped, raw.place.start)?;
            match self.paths.child(path, name) {
                Some(child) => self.value(child, depth + 1)?,
                None if self.peek() == b'"' => {
                    self.string()?;
                }
                None => self.skip(depth + 1)?,
            }
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.not_json("`,` or `}` expected")),
            }
        }
    }

    fn array(&mut self, path: PathId, depth: u32) -> Result<(), NotJson> {
        self.at += 1;
        self.space();
        if self.peek() == b']' {
            self.at += 1;
            return Ok(());
        }
        loop {
            self.space();
            self.value(path, depth + 1)?;
            self.space();
            match self.peek() {
                b',' => self.at += 1,
                b']' => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(self.not_json("`,` or `]` expected")),
            }
        }
    }

    /// A key and its colon, up to the value.
    fn key(&mut self) -> Result<Raw, NotJson> {
        self.space();
        if self.peek() != b'"' {
            return Err(self.not_json("a key expected"));
        }
        let raw = self.string()?;
        self.space();
        self.expect(b':', "`:` expected")?;
        self.space();
        Ok(raw)
    }

    /// A value that no rule asks about. Does not recurse: `open` remembers what is open, a bit a level.
    fn skip(&mut self, depth: u32) -> Result<(), NotJson> {
        let (mut open, mut level) = (0_u128, 0_u32);
        loop {
            match self.peek() {
                b'"' => {
                    self.string()?;
                }
                b't' => self.literal(b"true")?,
                b'f' => self.literal(b"false")?,
                b'n' => self.literal(b"null")?,
                bracket @ (b'{' | b'[') => {
                    if depth + level + 1 >= MAX_DEPTH {
                        return Err(self.not_json("nested too deeply"));
                    }
                    self.at += 1;
                    self.space();
                    let object = bracket == b'{';
                    if self.peek() == if object { b'}' } else { b']' } {
                        self.at += 1;
                    } else {
                        open = open << 1 | u128::from(object);
                        level += 1;
                        if object {
                            self.key()?;
                        }
                        continue;
                    }
                }
                _ => {
                    self.number()?;
                }
            }
            // Behind a value: close what ends here, or go on to the next value.
            loop {
                if level == 0 {
                    return Ok(());
                }
                let object = open & 1 == 1;
                self.space();
                match self.peek() {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.key()?;
                        } else {
                            self.space();
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return Err(self.not_json("`,` or the closing bracket expected")),
                }
                self.at += 1;
                open >>= 1;
                level -= 1;
            }
        }
    }

    fn literal(&mut self, word: &[u8]) -> Result<(), NotJson> {
        if !self.bytes.get(self.at..).is_some_and(|rest| rest.starts_with(word)) {
            return Err(self.not_json("a value expected"));
        }
        self.at += word.len();
        Ok(())
    }

    /// From the opening to behind the closing quote.
    #[inline]
    fn string(&mut self) -> Result<Raw, NotJson> {
        self.at += 1;
        let (start, mut escapes) = (self.at, false);
        loop {
            self.at += plain_length(self.bytes.get(self.at..).unwrap_or_default());
            match self.peek() {
                b'"' => {
                    let place = start..self.at;
                    self.at += 1;
                    return Ok(Raw { place, escapes });
                }
                b'\\' => {
                    escapes = true;
                    self.escape()?;
                }
                _ if self.at >= self.bytes.len() => return Err(self.not_json("a string without its end")),
                _ => return Err(self.not_json("a control character in a string")),
            }
        }
    }

    /// One escape; surrogates only in pairs.
    fn escape(&mut self) -> Result<(), NotJson> {
        let kind = self.bytes.get(self.at + 1).copied().unwrap_or(0);
        if matches!(kind, b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') {
            self.at += 2;
            return Ok(());
        }
        let bad = self.not_json("an unknown escape");
        let unit = |at: usize| {
            let hex = self.bytes.get(at..at + 6)?.strip_prefix(b"\\u")?;
            let plain = hex.iter().all(u8::is_ascii_hexdigit);
            u16::from_str_radix(std::str::from_utf8(hex).ok().filter(|_| plain)?, 16).ok()
        };
        match unit(self.at).ok_or(bad)? {
            0xd800..=0xdbff if unit(self.at + 6).is_some_and(|low| (0xdc00..=0xdfff).contains(&low)) => {
                self.at += 12;
                Ok(())
            }
            0xd800..=0xdfff => Err(self.not_json("half of a surrogate pair")),
            _ => {
                self.at += 6;
                Ok(())
            }
        }
    }

    fn number(&mut self) -> Result<Range<usize>, NotJson> {
        let start = self.at;
        self.at += usize::from(self.peek() == b'-');
        match self.peek() {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return Err(self.not_json("a value expected")),
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits()?;
        }
        Ok(start..self.at)
    }

    fn digits(&mut self) -> Result<(), NotJson> {
        if !self.peek().is_ascii_digit() {
            return Err(self.not_json("a digit expected"));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }
}

/// Bytes before the first quote, backslash or control character, eight at a time.
#[inline]
fn plain_length(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    const HIGH: u64 = ONES << 7;
    // Of each of the three, the lowest mark is right; higher ones may be marked for a borrow's sake.
    let zeros = |x: u64| x.wrapping_sub(ONES) & !x & HIGH;
    let mut length = 0;
    let (chunks, rest) = bytes.as_chunks::<8>();
    for chunk in chunks {
        let x = u64::from_le_bytes(*chunk);
        let control = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
        let found = zeros(x ^ (ONES * u64::from(b'"'))) | zeros(x ^ (ONES * u64::from(b'\\'))) | control;
        if found != 0 {
            return length + (found.trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    length + rest.iter().position(|b| matches!(b, b'"' | b'\\' | 0..0x20)).unwrap_or(rest.len())
}

fn text_of<'t>(text: &'t str, raw: &Raw, unescaped: &'t mut String, at: usize) -> Result<&'t str, NotJson> {
    let inside = text.get(raw.place.clone()).unwrap_or_default();
    if !raw.escapes {
        return Ok(inside);
    }
    unescape(inside, unescaped).ok_or(NotJson { reason: "an unknown escape", at })?;
    Ok(unescaped)
}

/// The text has been checked: `None` cannot come of it.
fn unescape(mut rest: &str, into: &mut String) -> Option<()> {
    into.clear();
    while let Some((plain, escape)) = rest.split_once('\\') {
        into.push_str(plain);
        let unit = |text: &str| u16::from_str_radix(text.get(1..5)?, 16).ok();
        let (c, length) = match escape.as_bytes().first()? {
            b'b' => ('\u{8}', 1),
            b'f' => ('\u{c}', 1),
            b'n' => ('\n', 1),
            b'r' => ('\r', 1),
            b't' => ('\t', 1),
            b'u' => {
                let units = [unit(escape)?, escape.get(6..).and_then(unit).unwrap_or(0)];
                let c = char::decode_utf16(units).next()?.ok()?;
                (c, if c.len_utf16() == 2 { 11 } else { 5 })
            }
            plain => (char::from(*plain), 1),
        };
        into.push(c);
        rest = escape.get(length..)?;
    }
    into.push_str(rest);
    Some(())
}

/// As `json::parse` reads it: short integers here, everything else by the library.
fn number_of(literal: &str) -> Option<Num> {
    if literal.len() <= 18
        && let Ok(integer) = literal.parse::<i64>()
    {
        return Some(Num::Int(integer.into()));
    }
    serde_json::from_str::<Number>(literal).ok().map(|number| Num::of(&number))
}
