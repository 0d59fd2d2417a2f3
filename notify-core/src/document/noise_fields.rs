//! Reads the parts of documents that are about noise control.

use super::noise::{
    Budget, Bypass, Dedupe, Digest, DigestMode, Empty, HoursMode, Keep, Off, Overflow, QuietHours,
    QuietHoursFor, Setting, Storm, Switch, Throttle, recommended,
};
use super::parse::is_pointer;
use super::reader::Reader;
use crate::duration::Length;
use crate::problem::Problem;
use crate::severity::Severity;
use serde_json::Value;

/// Most JSON Pointers of a key.
pub const MAX_KEY: usize = 16;
/// Longest JSON Pointer of a key, in characters.
pub const MAX_POINTER: usize = 256;
/// Longest window of a dedupe, throttle, digest or budget.
pub const MAX_WINDOW: Length = Length::from_secs(31 * 86_400);
/// Highest limit of a throttle, budget or storm, and most alerts of a digest.
pub const MAX_LIMIT: i64 = 100_000;
/// Most alerts that a digest shows one by one.
pub const MAX_RETAIN: i64 = 100;
/// Most calendars of quiet hours or of maintenance in one document.
pub const MAX_HOURS: usize = 16;
/// Most rules that bypass one of them.
pub const MAX_BYPASS_RULES: usize = 100;

/// The controls of an action, with the recommended ones where it says nothing.
pub(super) struct ActionControls {
    pub dedupe: Setting<Dedupe>,
    pub throttle: Setting<Throttle>,
    pub digest: Option<Digest>,
    pub quiet_hours: QuietHoursFor,
}

pub(super) fn action(reader: &Reader) -> Result<ActionControls, Problem> {
    Ok(ActionControls {
        dedupe: setting(reader, "dedupe", dedupe)?.unwrap_or_else(|| Setting::On(recommended::dedupe())),
        throttle: setting(reader, "throttle", throttle)?
            .unwrap_or_else(|| Setting::On(recommended::throttle())),
        digest: reader.get("digest").map(|value| digest(&reader.inner("digest", value)?)).transpose()?,
        quiet_hours: word(
            reader,
            "quietHours",
            &[("respect", QuietHoursFor::Respect), ("bypass", QuietHoursFor::Bypass)],
        )?
        .unwrap_or_default(),
    })
}

/// `off`, or the control.
fn setting<T>(
    reader: &Reader,
    name: &str,
    read: impl Fn(&Reader) -> Result<T, Problem>,
) -> Result<Option<Setting<T>>, Problem> {
    match reader.get(name) {
        None => Ok(None),
        Some(Value::String(word)) if word == "off" => Ok(Some(Setting::Off(Off::Off))),
        Some(value @ Value::Object(_)) => read(&reader.inner(name, value)?).map(|set| Some(Setting::On(set))),
        Some(_) => Err(reader.fault(
            name,
            format!("`{name}` is not an object"),
            format!("write its members, or `{name}: off`"),
        )),
    }
}

pub(super) fn switch(reader: &Reader, name: &str) -> Result<Switch, Problem> {
    Ok(word(reader, name, &[("on", Switch::On), ("off", Switch::Off)])?.unwrap_or_default())
}

fn dedupe(reader: &Reader) -> Result<Dedupe, Problem> {
    reader.only(&["key", "window"], &[])?;
    Ok(Dedupe { key: key(reader, 1)?, window: needed(reader, "window", "24h")? })
}

fn throttle(reader: &Reader) -> Result<Throttle, Problem> {
    reader.only(&["key", "limit", "per", "overflow"], &[])?;
    Ok(Throttle {
        key: key(reader, 0)?,
        limit: limit(reader, "limit")?,
        per: needed(reader, "per", "10m")?,
        overflow: overflow(reader)?,
    })
}

fn digest(reader: &Reader) -> Result<Digest, Problem> {
    reader.only(
        &[
            "key", "mode", "window", "cap", "lookBack", "schedule", "leading", "max", "retain", "keep",
            "empty", "template",
        ],
        &[],
    )?;
    let modes = [
        ("tumbling", DigestMode::Tumbling),
        ("sliding", DigestMode::Sliding),
        ("look-back", DigestMode::LookBack),
        ("schedule", DigestMode::Schedule),
    ];
    let keeps = [("first", Keep::First), ("last", Keep::Last), ("severest", Keep::Severest)];
    let digest = Digest {
        key: key(reader, 0)?,
        mode: word(reader, "mode", &modes)?.unwrap_or_default(),
        window: length(reader, "window")?,
        cap: length(reader, "cap")?,
        look_back: length(reader, "lookBack")?,
        schedule: reader.optional_id("schedule")?,
        leading: reader.flag("leading", false)?,
        max: reader.whole("max", 2..=MAX_LIMIT)?.and_then(|n| u32::try_from(n).ok()),
        retain: reader.whole("retain", 1..=MAX_RETAIN)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(10),
        keep: word(reader, "keep", &keeps)?.unwrap_or_default(),
        empty: word(reader, "empty", &[("skip", Empty::Skip), ("send", Empty::Send)])?.unwrap_or_default(),
        template: reader.optional_id("template")?,
    };
    fits_its_mode(reader, &digest)?;
    Ok(digest)
}

/// What belongs to one mode has no meaning in another, so it is refused there.
fn fits_its_mode(reader: &Reader, digest: &Digest) -> Result<(), Problem> {
    let mode = digest.mode;
    let scheduled = mode == DigestMode::Schedule;
    for (name, there, belongs, must) in [
        ("window", digest.window.is_some(), !scheduled, !scheduled),
        ("schedule", digest.schedule.is_some(), scheduled, scheduled),
        ("cap", digest.cap.is_some(), mode == DigestMode::Sliding, mode == DigestMode::Sliding),
        ("lookBack", digest.look_back.is_some(), mode == DigestMode::LookBack, false),
        ("empty", digest.empty == Empty::Send, scheduled, false),
        ("leading", digest.leading, mode != DigestMode::LookBack, false),
    ] {
        if there && !belongs {
            let reason = format!("`{name}` has no meaning in this mode of digest");
            return Err(reader.fault(name, reason, "leave it out, or choose another `mode`"));
        }
        if must && !there {
            let reason = format!("this mode of digest needs `{name}`");
            return Err(reader.fault(name, reason, format!("write `{name}`, see docs/digests.md")));
        }
    }
    if digest.empty == Empty::Send && !digest.key.is_empty() {
        let reason = "with a `key` nobody knows which digests are empty";
        return Err(reader.fault("empty", reason, "leave `key` out, or `empty`"));
    }
    if let (Some(cap), Some(window)) = (digest.cap, digest.window)
        && cap < window
    {
        return Err(reader.fault("cap", "`cap` is shorter than `window`", "make it at least as long"));
    }
    Ok(())
}

/// A list of quiet hours or of maintenance.
pub(super) fn hours(reader: &Reader, name: &str, default: HoursMode) -> Result<Vec<QuietHours>, Problem> {
    let one = |(index, value): (usize, &Value)| {
        let reader = reader.inner(&format!("{name}/{index}"), value)?;
        reader.only(&["calendar", "mode", "bypass", "holdUpTo"], &[])?;
        let modes = [("hold", HoursMode::Hold), ("digest", HoursMode::Digest), ("drop", HoursMode::Drop)];
        Ok(QuietHours {
            calendar: reader.id("calendar")?,
            mode: word(&reader, "mode", &modes)?.unwrap_or(default),
            bypass: reader.get("bypass").map(|value| bypass(&reader.inner("bypass", value)?)).transpose()?,
            hold_up_to: reader.whole("holdUpTo", 0..=1_000)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(5),
        })
    };
    reader.list(name, 0..=MAX_HOURS)?.iter().enumerate().map(one).collect()
}

fn bypass(reader: &Reader) -> Result<Bypass, Problem> {
    reader.only(&["severity", "rules"], &[])?;
    let severities = Severity::ALL.map(|severity| (severity.name(), severity));
    let rule = |(index, value): (usize, &Value)| {
        let fault = || {
            let fix = format!("use {}", crate::ids::SLUG_RULE);
            Problem::new(
                reader.code(),
                format!("{}/{index}", reader.at("rules")),
                "this is not a rule id",
                fix,
            )
        };
        value.as_str().and_then(|text| text.parse().ok()).ok_or_else(fault)
    };
    Ok(Bypass {
        severity: word(reader, "severity", &severities)?,
        rules: reader
            .list("rules", 0..=MAX_BYPASS_RULES)?
            .iter()
            .enumerate()
            .map(rule)
            .collect::<Result<_, _>>()?,
    })
}

pub(super) fn budget(reader: &Reader, name: &str) -> Result<Option<Budget>, Problem> {
    let Some(value) = reader.get(name) else { return Ok(None) };
    let reader = reader.inner(name, value)?;
    reader.only(&["limit", "per", "overflow"], &[])?;
    Ok(Some(Budget {
        limit: limit(&reader, "limit")?,
        per: needed(&reader, "per", "1h")?,
        overflow: overflow(&reader)?,
    }))
}

/// `off`, or its numbers; each that is absent is the default one.
pub(super) fn storm(reader: &Reader, name: &str) -> Result<Option<Setting<Storm>>, Problem> {
    setting(reader, name, |reader| {
        reader.only(&["alerts", "per", "ends", "digestEvery"], &[])?;
        let default = Storm::default();
        let number = |name: &str, default: u32| {
            let number = reader.whole(name, 1..=MAX_LIMIT)?.and_then(|n| u32::try_from(n).ok());
            Ok::<_, Problem>(number.unwrap_or(default))
        };
        let alerts = number("alerts", default.alerts)?;
        let storm = Storm {
            alerts,
            per: length(reader, "per")?.unwrap_or(default.per),
            ends: number("ends", (alerts / 4).max(1))?,
            digest_every: length(reader, "digestEvery")?.unwrap_or(default.digest_every),
        };
        if storm.ends > storm.alerts {
            return Err(reader.fault(
                "ends",
                "`ends` is above `alerts`: the storm would never begin",
                "lower it",
            ));
        }
        Ok(storm)
    })
}

fn limit(reader: &Reader, name: &str) -> Result<u32, Problem> {
    reader.need(name, "write how many may pass")?;
    Ok(reader.whole(name, 1..=MAX_LIMIT)?.and_then(|n| u32::try_from(n).ok()).unwrap_or(1))
}

fn overflow(reader: &Reader) -> Result<Overflow, Problem> {
    let words = [("digest", Overflow::Digest), ("drop", Overflow::Drop)];
    Ok(word(reader, "overflow", &words)?.unwrap_or_default())
}

/// One of some words.
pub(super) fn word<T: Copy>(reader: &Reader, name: &str, words: &[(&str, T)]) -> Result<Option<T>, Problem> {
    let Some(value) = reader.get(name) else { return Ok(None) };
    let found = value.as_str().and_then(|text| words.iter().find(|(word, _)| *word == text));
    match found {
        Some((_, meant)) => Ok(Some(*meant)),
        None => {
            let known: Vec<_> = words.iter().map(|(word, _)| format!("`{word}`")).collect();
            let reason = format!("`{name}` is none of the words it may be");
            Err(reader.fault(name, reason, format!("write {}", known.join(", "))))
        }
    }
}

/// A length of time from a second to [`MAX_WINDOW`].
pub(super) fn length(reader: &Reader, name: &str) -> Result<Option<Length>, Problem> {
    let Some(text) = reader.text(name, 1, 64)? else { return Ok(None) };
    let length: Length = text.parse().map_err(|_| {
        reader.fault(name, format!("`{name}` is not a duration"), "write it like 90s, 15m, 24h or 7d")
    })?;
    if (Length::from_secs(1)..=MAX_WINDOW).contains(&length) {
        Ok(Some(length))
    } else {
        Err(reader.fault(name, format!("`{name}` is {length}"), format!("write 1s to {MAX_WINDOW}")))
    }
}

fn needed(reader: &Reader, name: &str, example: &str) -> Result<Length, Problem> {
    length(reader, name)?.ok_or_else(|| {
        reader.fault(name, format!("`{name}` is missing"), format!("write it like `{example}`"))
    })
}

/// JSON Pointers into the event.
fn key(reader: &Reader, least: usize) -> Result<Vec<String>, Problem> {
    let one = |(index, value): (usize, &Value)| {
        let path = || format!("{}/{index}", reader.at("key"));
        let fault = |reason: &str| {
            let fix = "write a JSON Pointer into the event, such as `/subject` or `/data/image/digest`";
            Err(Problem::new(reader.code(), path(), reason, fix))
        };
        match value.as_str() {
            Some(text) if text.chars().count() > MAX_POINTER => fault("the pointer is too long"),
            Some(text) if is_pointer(text) => Ok(text.to_owned()),
            _ => fault("this is not a JSON Pointer"),
        }
    };
    reader.list("key", least..=MAX_KEY)?.iter().enumerate().map(one).collect()
}

impl Reader<'_> {
    fn inner<'v>(&self, name: &str, value: &'v Value) -> Result<Reader<'v>, Problem> {
        // `name` may be a path of its own: list and index.
        let path = format!("{}/{name}", self.path());
        Reader::new(value, path, self.code())
    }
}
