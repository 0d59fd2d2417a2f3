//! Reads the `tests` of a rule.

use super::parse::MAX_ACTIONS;
use super::reader::Reader;
use super::rule::RuleTest;
use crate::ids::ChannelId;
use crate::problem::{Code, Problem};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most tests of a rule.
pub const MAX_TESTS: usize = 50;
/// Bytes of all tests of a rule together, as JSON.
pub const MAX_TESTS_BYTES: usize = 128 * 1024;
/// Longest name of a test, in characters.
const MAX_NAME: usize = 200;

pub(super) fn tests(rule: &Reader) -> Result<Vec<RuleTest>, Problem> {
    let values = rule.list("tests", 0..=MAX_TESTS)?;
    let tests = values.iter().enumerate().map(one).collect::<Result<Vec<_>, _>>()?;
    let bytes: usize = values.iter().map(|value| value.to_string().len()).sum();
    if bytes > MAX_TESTS_BYTES {
        let reason =
            format!("the tests have {bytes} bytes together, more than the {MAX_TESTS_BYTES} allowed");
        return Err(rule.fault("tests", reason, "keep only the fields of the events that the rule looks at"));
    }
    Ok(tests)
}

fn one((index, value): (usize, &Value)) -> Result<RuleTest, Problem> {
    let here = format!("/tests/{index}");
    let reader = Reader::new(value, here.clone(), Code::InvalidRule)?;
    reader.only(&["name", "event", "match", "channels"], &[])?;
    let event = reader.need("event", "write the CloudEvent that the rule is tried on")?;
    let event = Reader::new(event, format!("{here}/event"), Code::InvalidRule)?;
    reader.need("match", "write `true` if the rule should match the event, else `false`")?;
    let matches = reader.flag("match", false)?;
    let channels = reader.get("channels").map(|_| channels(&reader, &here)).transpose()?;
    if !matches && channels.as_ref().is_some_and(|channels| !channels.is_empty()) {
        let reason = "the test names channels although the rule should not match";
        return Err(reader.fault("channels", reason, "leave `channels` out, or write `match: true`"));
    }
    Ok(RuleTest {
        name: reader.line("name", MAX_NAME)?.unwrap_or_default(),
        event: Value::Object(event.members().clone()),
        r#match: matches,
        channels,
    })
}

fn channels(test: &Reader, here: &str) -> Result<Vec<ChannelId>, Problem> {
    let mut seen = BTreeSet::new();
    let one = |(index, value): (usize, &Value)| {
        let fault = |reason: String, fix: String| {
            Problem::new(Code::InvalidRule, format!("{here}/channels/{index}"), reason, fix)
        };
        let id = value.as_str().map(str::parse::<ChannelId>);
        let Some(Ok(id)) = id else {
            return Err(fault(
                "this is not a valid channel id".to_owned(),
                format!("use {}", crate::ids::SLUG_RULE),
            ));
        };
        if seen.insert(id.clone()) {
            Ok(id)
        } else {
            Err(fault(format!("the channel `{id}` stands here twice"), "name each channel once".to_owned()))
        }
    };
    test.list("channels", 0..=MAX_ACTIONS)?.iter().enumerate().map(one).collect()
}
