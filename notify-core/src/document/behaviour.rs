//! How a channel behaves towards its provider: its own rate, when its breaker opens, who takes over, how often it is
//! checked.

use super::noise::Setting;
use super::noise_fields::{MAX_LIMIT, length};
use super::reader::Reader;
use crate::duration::Length;
use crate::ids::ChannelId;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Seconds that a rate may be over.
pub const MAX_RATE_SECONDS: i64 = 86_400;
/// How often a channel may be checked at most.
pub const LEAST_CHECK: Length = Length::from_secs(30);

/// Channels that may take over one after the other.
pub const MOST_FALLBACKS: usize = 3;

/// At most `count` messages in any `seconds`, besides what the provider allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnRate {
    pub count: u32,
    pub seconds: u32,
}

/// Who takes over what this channel cannot deliver.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fallback {
    pub channel: ChannelId,
    /// It takes over once the next attempt would come later than this after the decision; 0: after the first failure.
    pub after: Length,
}

impl Fallback {
    /// Where the document says nothing.
    pub const DEFAULT_AFTER: Length = Length::from_secs(300);
}

/// When the breaker opens and for how long; see [`crate::breaker`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BreakerSettings {
    pub failures: u32,
    pub open_for: Length,
    pub at_most: Length,
}

/// How often the channel is checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    pub every: Setting<Length>,
}

pub(super) fn rate(channel: &Reader) -> Result<Option<OwnRate>, Problem> {
    let Some(value) = channel.get("rate") else { return Ok(None) };
    let reader = Reader::new(value, "/rate", channel.code())?;
    reader.only(&["count", "seconds"], &[])?;
    let whole = |name: &str, most: i64| {
        reader.need(name, "write a whole number from 1")?;
        let number = reader.whole(name, 1..=most)?;
        Ok::<_, Problem>(number.and_then(|n| u32::try_from(n).ok()).unwrap_or(1))
    };
    Ok(Some(OwnRate { count: whole("count", MAX_LIMIT)?, seconds: whole("seconds", MAX_RATE_SECONDS)? }))
}

pub(super) fn fallback(channel: &Reader, own: &ChannelId) -> Result<Option<Fallback>, Problem> {
    let Some(value) = channel.get("fallback") else { return Ok(None) };
    let reader = Reader::new(value, "/fallback", channel.code())?;
    reader.only(&["channel", "after"], &[])?;
    let after = match reader.get("after") {
        Some(Value::String(zero)) if zero == "0" || zero == "0s" => Length::from_secs(0),
        Some(Value::Number(zero)) if zero.as_u64() == Some(0) => Length::from_secs(0),
        _ => length(&reader, "after")?.unwrap_or(Fallback::DEFAULT_AFTER),
    };
    let fallback = Fallback { channel: reader.id("channel")?, after };
    if fallback.channel == *own {
        let reason = "a channel cannot take over from itself";
        return Err(reader.fault("channel", reason, "name another channel, such as `inbox`"));
    }
    Ok(Some(fallback))
}

pub(super) fn breaker(channel: &Reader) -> Result<Option<Setting<BreakerSettings>>, Problem> {
    let value = match channel.get("breaker") {
        None => return Ok(None),
        Some(Value::String(word)) if word == "off" => return Ok(Some(Setting::Off(super::noise::Off::Off))),
        Some(value @ Value::Object(_)) => value,
        Some(_) => {
            let fix = "write its members, or `breaker: off`";
            return Err(channel.fault("breaker", "`breaker` is not an object", fix));
        }
    };
    let reader = Reader::new(value, "/breaker", channel.code())?;
    reader.only(&["failures", "openFor", "atMost"], &[])?;
    let defaults = crate::breaker::Settings::default();
    let failures = reader.whole("failures", 1..=1_000)?.and_then(|n| u32::try_from(n).ok());
    let set = BreakerSettings {
        failures: failures.unwrap_or(defaults.failures),
        open_for: length(&reader, "openFor")?.unwrap_or(defaults.open_for),
        at_most: length(&reader, "atMost")?.unwrap_or(defaults.at_most),
    };
    if set.at_most < set.open_for {
        return Err(reader.fault("atMost", "`atMost` is shorter than `openFor`", "make it at least as long"));
    }
    Ok(Some(Setting::On(set)))
}

pub(super) fn health(channel: &Reader) -> Result<Option<HealthCheck>, Problem> {
    let Some(value) = channel.get("health") else { return Ok(None) };
    let reader = Reader::new(value, "/health", channel.code())?;
    reader.only(&["every"], &[])?;
    let every = match reader.need("every", "write e.g. `15m`, or `off`")? {
        Value::String(word) if word == "off" => Setting::Off(super::noise::Off::Off),
        _ => match length(&reader, "every")? {
            Some(every) if every >= LEAST_CHECK => Setting::On(every),
            _ => {
                return Err(reader.fault("every", "it is too short", format!("write {LEAST_CHECK} or more")));
            }
        },
    };
    Ok(Some(HealthCheck { every }))
}

#[cfg(test)]
mod tests {
    use crate::document::parse_channel;
    use serde_json::{Value, json};

    fn with(member: &str, value: Value) -> Value {
        let mut document = json!({"schema": "notify-channel@1", "id": "c", "name": "C", "type": "webhook"});
        document[member] = value;
        document
    }

    #[test]
    fn what_is_read() {
        let check = |member: &str, value: Value, expected: Value| {
            let (_, text, _) = parse_channel(&with(member, value.clone())).unwrap();
            let read: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(read[member], expected, "{value}");
        };
        check("rate", json!({"count": 1, "seconds": 2}), json!({"count": 1, "seconds": 2}));
        check("fallback", json!({"channel": "inbox"}), json!({"channel": "inbox", "after": "5m"}));
        for zero in [json!("0"), json!("0s"), json!(0)] {
            let (channel, ..) =
                parse_channel(&with("fallback", json!({"channel": "x", "after": zero}))).unwrap();
            assert_eq!(channel.fallback.unwrap().after.as_millis(), 0);
        }
        check("breaker", json!("off"), json!("off"));
        check("breaker", json!({"failures": 3}), json!({"failures": 3, "openFor": "30s", "atMost": "10m"}));
        check("health", json!({"every": "15m"}), json!({"every": "15m"}));
        check("health", json!({"every": "off"}), json!({"every": "off"}));
    }

    #[test]
    fn what_is_refused_and_where() {
        let check = |member: &str, value: Value, path: &str| {
            let problem = parse_channel(&with(member, value.clone())).unwrap_err();
            assert_eq!(problem.path, path, "{value}: {problem}");
        };
        check("rate", json!({"count": 0, "seconds": 1}), "/rate/count");
        check("rate", json!({"count": 1}), "/rate/seconds");
        check("rate", json!({"count": 1, "seconds": 86_401}), "/rate/seconds");
        check("fallback", json!({"channel": "c"}), "/fallback/channel");
        check("fallback", json!({"channel": "x", "after": "soon"}), "/fallback/after");
        check("fallback", json!({"after": "5m"}), "/fallback/channel");
        check("breaker", json!("on"), "/breaker");
        check("breaker", json!({"failures": 0}), "/breaker/failures");
        check("breaker", json!({"openFor": "10m", "atMost": "1m"}), "/breaker/atMost");
        check("health", json!({}), "/health/every");
        check("health", json!({"every": "1s"}), "/health/every");
    }
}
