//! What silences and overrides share: events by pattern, rules and channels by id, and a span of time.

use super::reader::Reader;
use crate::event::is_rfc3339;
use crate::ids::{ChannelId, InvalidId, RuleId};
use crate::pattern::Pattern;
use crate::problem::{Code, Problem};
use crate::time::{Timestamp, truncate_to_millis};
use serde_json::Value;

/// Most rules, and most channels, that one document names.
pub const MAX_NAMED: usize = 100;
/// Longest `reason`, in characters.
pub const MAX_REASON: usize = 1000;

/// What a document is about. What it leaves open it does not restrict.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'d> {
    pub pattern: Option<&'d Value>,
    pub rules: &'d [RuleId],
    pub channels: &'d [ChannelId],
    pub from: Option<Timestamp>,
    /// Exclusive.
    pub until: Option<Timestamp>,
}

impl Scope<'_> {
    /// `None` when events are not restricted.
    ///
    /// # Errors
    /// [`Code::InvalidPattern`] with a JSON Pointer into the document.
    pub fn pattern(&self) -> Result<Option<Pattern>, Problem> {
        let compile = |pattern| Pattern::compile(pattern).map_err(|problem| problem.under("/match"));
        self.pattern.map(compile).transpose()
    }

    /// Whether this is about nothing that `other` is not about: the same events, rules and channels, in no more time.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        let ends_no_later = match (self.until, other.until) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => mine <= theirs,
        };
        let starts_no_earlier = match (self.from, other.from) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(mine), Some(theirs)) => mine >= theirs,
        };
        let names = |mine: &[String], theirs: &[String]| {
            theirs.is_empty() || (!mine.is_empty() && mine.iter().all(|name| theirs.contains(name)))
        };
        let texts = |ids: &[RuleId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        let channels = |ids: &[ChannelId]| ids.iter().map(ToString::to_string).collect::<Vec<_>>();
        ends_no_later
            && starts_no_earlier
            && (other.pattern.is_none() || self.pattern == other.pattern)
            && names(&texts(self.rules), &texts(other.rules))
            && names(&channels(self.channels), &channels(other.channels))
    }
}

pub(super) fn reason(reader: &Reader) -> Result<String, Problem> {
    let reason = reader.text("reason", 1, MAX_REASON)?;
    reason.ok_or_else(|| {
        reader.fault("reason", "`reason` is missing", "say why, for those who wonder about it later")
    })
}

/// A pattern's object; whether it is a pattern is judged by who compiles it.
pub(super) fn pattern(reader: &Reader, name: &str, code: Code) -> Result<Option<Value>, Problem> {
    let Some(value) = reader.get(name) else { return Ok(None) };
    Ok(Some(Value::Object(Reader::new(value, reader.at(name), code)?.members().clone())))
}

/// A list of ids, each once; absent is empty, an empty list is refused.
pub(super) fn ids<T>(reader: &Reader, name: &str, code: Code) -> Result<Vec<T>, Problem>
where
    T: std::str::FromStr<Err = InvalidId> + PartialEq,
{
    if reader.get(name).is_none() {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for (index, value) in reader.list(name, 1..=MAX_NAMED)?.iter().enumerate() {
        let fault = |reason: String, fix: &str| {
            Err(Problem::new(code, format!("{}/{index}", reader.at(name)), reason, fix))
        };
        let id = match value.as_str().map(str::parse::<T>) {
            Some(Ok(id)) => id,
            Some(Err(error)) => return fault(format!("this is not a valid {}", error.kind), error.rule),
            None => return fault("this is not an id".to_owned(), "write an id as text"),
        };
        if ids.contains(&id) {
            return fault("this id stands here twice".to_owned(), "name each once");
        }
        ids.push(id);
    }
    Ok(ids)
}

/// RFC 3339, cut to milliseconds.
pub(super) fn time(reader: &Reader, name: &str) -> Result<Option<Timestamp>, Problem> {
    let Some(text) = reader.text(name, 1, 64)? else { return Ok(None) };
    let time = text.parse::<Timestamp>().ok().filter(|_| is_rfc3339(&text));
    let fix = "write e.g. `2026-11-22T06:00:00Z` or `2026-11-22T08:00:00+02:00`";
    let time =
        time.ok_or_else(|| reader.fault(name, format!("`{name}` is not an RFC 3339 time with a zone"), fix))?;
    Ok(Some(truncate_to_millis(time)))
}

/// `from` and `until`. Equal ones cover nothing: what was ended before it began.
pub(super) fn span(reader: &Reader) -> Result<(Option<Timestamp>, Option<Timestamp>), Problem> {
    let (from, until) = (time(reader, "from")?, time(reader, "until")?);
    if let (Some(from), Some(until)) = (from, until)
        && until < from
    {
        let reason = format!("it ends at {until}, before it begins at {from}");
        return Err(reader.fault("until", reason, "let `until` be later than `from`"));
    }
    Ok((from, until))
}

/// Something has to be chosen: nobody means everything by leaving all out.
pub(super) fn chosen(reader: &Reader) -> Result<(), Problem> {
    if ["match", "rules", "channels"].iter().any(|name| reader.get(name).is_some()) {
        return Ok(());
    }
    let fix = "write `match` with a pattern over the event, `rules` or `channels`; for all events write e.g. \
               `match: {type: [{exists: true}]}`";
    Err(reader.fault("match", "it does not say what it is about", fix))
}

/// Where a time stands to what is only in force for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    Upcoming,
    Active,
    Expired,
}

impl Standing {
    pub const ALL: [Self; 3] = [Self::Upcoming, Self::Active, Self::Expired];

    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Upcoming => "upcoming",
            Self::Active => "active",
            Self::Expired => "expired",
        }
    }
}

impl std::str::FromStr for Standing {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == text).ok_or(())
    }
}

impl Scope<'_> {
    /// What is active applies at that time, within its calendar if it has one.
    #[must_use]
    pub fn standing(&self, at: Timestamp) -> Standing {
        let ended = |until: Timestamp| until <= at || self.from.is_some_and(|from| until <= from);
        if self.until.is_some_and(ended) {
            Standing::Expired
        } else if self.from.is_some_and(|from| at < from) {
            Standing::Upcoming
        } else {
            Standing::Active
        }
    }

    /// What it is about, for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        let mut sentence = match self.rules {
            [] => "alerts of all rules".to_owned(),
            [rule] => format!("alerts of the rule {rule}"),
            rules => format!("alerts of the rules {}", joined(rules)),
        };
        match self.channels {
            [] => {}
            [channel] => sentence.push_str(&format!(" to the channel {channel}")),
            channels => sentence.push_str(&format!(" to the channels {}", joined(channels))),
        }
        if let Some(pattern) = self.pattern {
            let text = pattern.to_string();
            let shown: String = text.chars().take(SHOWN).collect();
            let more = if shown.len() < text.len() { "…" } else { "" };
            sentence.push_str(&format!(" for events that match {shown}{more}"));
        }
        sentence
    }
}

/// Characters of a pattern in a sentence.
const SHOWN: usize = 200;

fn joined(ids: &[impl std::fmt::Display]) -> String {
    ids.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
