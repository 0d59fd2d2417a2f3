//! C2SP tlog-policy: which logs are trusted, which witnesses are known and how many of them must have cosigned.

use super::note::{BadSignature, KeyType, Note, NoteKey};
use std::collections::BTreeMap;

/// Bytes of a policy file.
pub const MAX_POLICY_BYTES: usize = 256 * 1024;

/// A parsed policy file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub logs: Vec<NoteKey>,
    /// In order of definition, so that a group's members always stand before it.
    voters: Vec<Voter>,
    /// Index into `voters`; `None` for `quorum none`.
    quorum: Option<usize>,
}

/// A witness or group; their names only matter while the file is read.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Voter {
    Witness { key: Box<NoteKey> },
    Group { threshold: usize, members: Vec<usize> },
}

/// Why a policy file is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("policy line {line}: {reason}")]
pub struct PolicyFault {
    /// From 1; 0 for the file as a whole.
    pub line: usize,
    pub reason: String,
}

/// What the known witnesses of a policy say about a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Witnessed {
    pub quorum_met: bool,
    /// Key name and POSIX seconds of every valid cosignature.
    pub cosigners: Vec<(String, u64)>,
}

impl Policy {
    /// Reads a policy file.
    ///
    /// # Errors
    /// The line and what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, PolicyFault> {
        let whole = |reason: &str| PolicyFault { line: 0, reason: reason.to_owned() };
        if bytes.len() > MAX_POLICY_BYTES {
            return Err(whole("the file is too long"));
        }
        if bytes.iter().any(|b| matches!(b, 0..=8 | 11..=31 | 127)) {
            return Err(whole("only tab and newline are allowed as control characters"));
        }
        let text =
            bytes.strip_suffix(b"\n").ok_or_else(|| whole("the last line does not end in a newline"))?;
        let mut reader = Reader { logs: vec![], voters: vec![], names: BTreeMap::new(), quorum: None };
        for (i, line) in text.split(|b| *b == b'\n').enumerate() {
            reader.line(line).map_err(|reason| PolicyFault { line: i + 1, reason })?;
        }
        let quorum = reader.quorum.ok_or_else(|| whole("there must be exactly one quorum line"))?;
        Ok(Self { logs: reader.logs, voters: reader.voters, quorum })
    }

    /// The text of a policy that trusts these logs and asks for no witness.
    #[must_use]
    pub fn without_witnesses<'k>(logs: impl IntoIterator<Item = &'k NoteKey>) -> String {
        logs.into_iter().map(|key| format!("log {key}\n")).collect::<String>() + "quorum none\n"
    }

    /// Keys of the witnesses.
    pub fn witnesses(&self) -> impl Iterator<Item = &NoteKey> {
        self.voters.iter().filter_map(|voter| match voter {
            Voter::Witness { key } => Some(&**key),
            Voter::Group { .. } => None,
        })
    }

    /// Checks every known witness's line and the quorum.
    ///
    /// # Errors
    /// When a line names a known witness and does not verify.
    pub fn witnessed(&self, note: &Note) -> Result<Witnessed, BadSignature> {
        let mut cosigners = vec![];
        let mut satisfied: Vec<bool> = Vec::with_capacity(self.voters.len());
        for voter in &self.voters {
            satisfied.push(match voter {
                Voter::Witness { key } => match note.signature_of(key)? {
                    Some(by) => {
                        cosigners.push((key.name().to_owned(), by.time.unwrap_or_default()));
                        true
                    }
                    None => false,
                },
                Voter::Group { threshold, members } => {
                    let count = members.iter().filter(|i| satisfied.get(**i) == Some(&true)).count();
                    count >= *threshold
                }
            });
        }
        let quorum_met = self.quorum.is_none_or(|i| satisfied.get(i) == Some(&true));
        Ok(Witnessed { quorum_met, cosigners })
    }
}

struct Reader {
    logs: Vec<NoteKey>,
    voters: Vec<Voter>,
    /// Name → (index into `voters`, whether it is a member of a group already).
    names: BTreeMap<Vec<u8>, (usize, bool)>,
    /// `Some(None)` for `quorum none`.
    quorum: Option<Option<usize>>,
}

impl Reader {
    fn line(&mut self, line: &[u8]) -> Result<(), String> {
        let words: Vec<&[u8]> =
            line.split(|b| matches!(b, b' ' | b'\t')).filter(|word| !word.is_empty()).collect();
        match words.as_slice() {
            [] => Ok(()),
            [word, ..] if word.starts_with(b"#") => Ok(()),
            [b"log", key] | [b"log", key, _] => {
                let key = parse_key(key, KeyType::Ed25519)?;
                self.refuse_known_key(&key)?;
                self.logs.push(key);
                Ok(())
            }
            [b"witness", name, key] | [b"witness", name, key, _] => {
                let key = parse_key(key, KeyType::Cosignature)?;
                self.refuse_known_key(&key)?;
                self.define(name, Voter::Witness { key: Box::new(key) })
            }
            [b"group", name, threshold, members @ ..] => self.group(name, threshold, members),
            [b"quorum", name] => {
                if self.quorum.is_some() {
                    return Err("there must be exactly one quorum line".into());
                }
                self.quorum = Some(match *name {
                    b"none" => None,
                    name => Some(self.names.get(name).ok_or_else(|| unknown(name))?.0),
                });
                Ok(())
            }
            [word, ..] => {
                Err(format!("`{}` is not a known line of this form", String::from_utf8_lossy(word)))
            }
        }
    }

    fn group(&mut self, name: &[u8], threshold: &[u8], members: &[&[u8]]) -> Result<(), String> {
        if members.is_empty() {
            return Err("a group needs a member".into());
        }
        let threshold = match threshold {
            b"any" => 1,
            b"all" => members.len(),
            number => std::str::from_utf8(number)
                .ok()
                .and_then(super::checkpoint::parse_decimal)
                .and_then(|k| usize::try_from(k).ok())
                .filter(|k| (1..=members.len()).contains(k))
                .ok_or("the threshold must be `any`, `all` or a number from 1 to the number of members")?,
        };
        let mut indexes = Vec::with_capacity(members.len());
        for member in members {
            let (index, taken) = self.names.get_mut(*member).ok_or_else(|| unknown(member))?;
            if std::mem::replace(taken, true) {
                return Err(format!("`{}` is a member already", String::from_utf8_lossy(member)));
            }
            indexes.push(*index);
        }
        self.define(name, Voter::Group { threshold, members: indexes })
    }

    fn define(&mut self, name: &[u8], voter: Voter) -> Result<(), String> {
        if name == b"none" {
            return Err("the name `none` is taken".into());
        }
        if self.names.insert(name.to_vec(), (self.voters.len(), false)).is_some() {
            return Err(format!("`{}` is defined twice", String::from_utf8_lossy(name)));
        }
        self.voters.push(voter);
        Ok(())
    }

    /// One key under two names would count twice; a log that is its own witness proves nothing.
    fn refuse_known_key(&self, key: &NoteKey) -> Result<(), String> {
        let witnesses = self.voters.iter().filter_map(|voter| match voter {
            Voter::Witness { key } => Some(&**key),
            Voter::Group { .. } => None,
        });
        match self.logs.iter().chain(witnesses).find(|known| known.public() == key.public()) {
            Some(known) => Err(format!("the public key is that of `{}`", known.name())),
            None => Ok(()),
        }
    }
}

fn parse_key(vkey: &[u8], wanted: KeyType) -> Result<NoteKey, String> {
    let vkey = std::str::from_utf8(vkey).map_err(|_| "the key is not UTF-8".to_owned())?;
    let key = NoteKey::parse(vkey).map_err(|fault| fault.to_string())?;
    if key.key_type() == wanted {
        Ok(key)
    } else {
        Err(format!("a key of type {:#04x} is wanted here", wanted.byte()))
    }
}

fn unknown(name: &[u8]) -> String {
    format!("`{}` is not defined before", String::from_utf8_lossy(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::note;
    use ed25519_dalek::SigningKey;

    fn witness(n: u8) -> SigningKey {
        SigningKey::from_bytes(&[n; 32])
    }
    fn vkey(n: u8) -> String {
        NoteKey::new(&format!("w{n}.example"), KeyType::Cosignature, witness(n).verifying_key())
            .unwrap()
            .to_string()
    }
    fn log() -> String {
        NoteKey::new("log.example", KeyType::Ed25519, witness(100).verifying_key()).unwrap().to_string()
    }

    /// The example of the specification: two of three X and any Y.
    fn example() -> String {
        let mut text = format!("# a comment\n\n log {}\thttps://log.example/\n", log());
        for (name, n) in [("X1", 1), ("X2", 2), ("X3", 3), ("Y1", 4), ("Y2", 5)] {
            text += &format!("witness {name} {}\n", vkey(n));
        }
        text + "group X 2 X1 X2 X3\ngroup Y any Y1 Y2\ngroup both all X Y\nquorum both\n"
    }

    #[test]
    fn quorum() {
        let policy = Policy::parse(example().as_bytes()).unwrap();
        assert_eq!((policy.logs.len(), policy.witnesses().count()), (1, 5));
        let text = "log.example\n1\nrKbDipCvhuX1GZ7g5BBe8sA6BbJ7ja/1nk427v383cs=\n";
        let check = |cosigners: &[u8], expected: bool| {
            let signatures = cosigners
                .iter()
                .map(|n| note::cosign(&format!("w{n}.example"), &witness(*n), 7, text).unwrap())
                .collect();
            let witnessed = policy.witnessed(&Note { text: text.into(), signatures }).unwrap();
            assert_eq!(witnessed.quorum_met, expected, "{cosigners:?}");
            assert_eq!(witnessed.cosigners.len(), cosigners.iter().filter(|n| **n <= 5).count());
        };
        check(&[1, 2, 4], true);
        check(&[1, 2, 3, 4, 5, 9], true);
        check(&[1, 2, 3], false);
        check(&[1, 4, 5], false);
        check(&[], false);
        // Unknown witnesses are ignored.
        check(&[7, 8, 9], false);
        // A known one with a bad signature spoils the note.
        let mut line = note::cosign("w1.example", &witness(1), 7, text).unwrap();
        line.signature[20] ^= 1;
        assert!(policy.witnessed(&Note { text: text.into(), signatures: vec![line] }).is_err());
    }

    #[test]
    fn refusals() {
        let check = |text: String, line: usize, reason: &str| {
            let fault = Policy::parse(text.as_bytes()).unwrap_err();
            assert_eq!((fault.line, fault.reason.as_str()), (line, reason), "{text}");
        };
        let (l, a, b) = (log(), vkey(1), vkey(2));
        check(format!("log {l}\n"), 0, "there must be exactly one quorum line");
        check("quorum none\nquorum none\n".into(), 2, "there must be exactly one quorum line");
        check("quorum none".into(), 0, "the last line does not end in a newline");
        check("quorum none\r\n".into(), 0, "only tab and newline are allowed as control characters");
        check("quorum w\n".into(), 1, "`w` is not defined before");
        check(format!("witness none {a}\nquorum none\n"), 1, "the name `none` is taken");
        check(format!("witness w {a}\nwitness w {b}\nquorum w\n"), 2, "`w` is defined twice");
        check(
            format!("witness w {a}\nwitness v {a}\nquorum w\n"),
            2,
            "the public key is that of `w1.example`",
        );
        check(format!("log {l}\nlog {l}\nquorum none\n"), 2, "the public key is that of `log.example`");
        check(format!("log {a}\nquorum none\n"), 1, "a key of type 0x01 is wanted here");
        check(format!("witness w {l}\nquorum w\n"), 1, "a key of type 0x04 is wanted here");
        let two = format!("witness w {a}\nwitness v {b}\n");
        check(format!("{two}group g any w v\ngroup h any w\nquorum g\n"), 4, "`w` is a member already");
        check(format!("{two}group g any g\nquorum g\n"), 3, "`g` is not defined before");
        check(format!("{two}group g any\nquorum g\n"), 3, "a group needs a member");
        for k in ["0", "3", "01", "x", "-1"] {
            check(
                format!("{two}group g {k} w v\nquorum g\n"),
                3,
                "the threshold must be `any`, `all` or a number from 1 to the number of members",
            );
        }
        check("trust me\n".into(), 1, "`trust` is not a known line of this form");
    }

    #[test]
    fn a_policy_without_witnesses() {
        let key = NoteKey::parse(&log()).unwrap();
        let policy = Policy::parse(Policy::without_witnesses([&key]).as_bytes()).unwrap();
        assert_eq!(policy.logs, [key]);
        let nothing = Note { text: String::new(), signatures: vec![] };
        assert!(policy.witnessed(&nothing).unwrap().quorum_met);
    }
}
