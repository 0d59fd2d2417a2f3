//! The override document: named controls of noise control that do not stop some alerts for a time.

use super::parse::{Parsed, seal};
use super::reader::Reader;
use super::scope::{self, Scope};
use crate::duration::Length;
use crate::ids::{ChannelId, OverrideId, RuleId};
use crate::noise::Control;
use crate::problem::{Code, Problem};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `schema: notify-override@1`.
pub const SCHEMA: &str = "notify-override@1";
/// Longest time from `from` to `until`.
pub const MAX_OVERRIDE: Length = Length::from_secs(30 * 86_400);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Override {
    pub schema: String,
    pub id: OverrideId,
    /// Why, for those who wonder about it later.
    pub reason: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// At least one.
    pub controls: Vec<Control>,
    /// EventBridge pattern over the CloudEvent; absent: every event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#match: Option<Value>,
    /// Only alerts of these rules; empty: of all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleId>,
    /// Only alerts to these channels; empty: to all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<ChannelId>,
    /// From then on; the service fills in the time at which it is saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// Up to, and not at, that time.
    pub until: Timestamp,
}

impl Override {
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            pattern: self.r#match.as_ref(),
            rules: &self.rules,
            channels: &self.channels,
            from: self.from,
            until: Some(self.until),
        }
    }
}

/// # Errors
/// [`Code::InvalidOverride`], [`Code::UnknownField`], with the place.
pub fn parse_override(value: &Value) -> Result<Parsed<Override>, Problem> {
    let code = Code::InvalidOverride;
    let reader = Reader::document(value, code, SCHEMA)?;
    let known =
        ["schema", "id", "reason", "labels", "controls", "match", "rules", "channels", "from", "until"];
    reader.only(&known, &[])?;
    let controls = controls(&reader, code)?;
    let (from, until) = scope::span(&reader)?;
    let Some(until) = until else {
        let fix = "write when it ends, e.g. `2026-11-22T06:00:00Z`: an override never stays";
        return Err(reader.fault("until", "`until` is missing", fix));
    };
    if from.is_some_and(|from| until.duration_since(from) > MAX_OVERRIDE.signed()) {
        let reason = format!("it lasts longer than {MAX_OVERRIDE}");
        let fix = "end it earlier and renew it in time, or change the control itself";
        return Err(reader.fault("until", reason, fix));
    }
    let document = Override {
        schema: SCHEMA.to_owned(),
        id: reader.id("id")?,
        reason: scope::reason(&reader)?,
        labels: reader.labels()?,
        controls,
        r#match: scope::pattern(&reader, "match", code)?,
        rules: scope::ids(&reader, "rules", code)?,
        channels: scope::ids(&reader, "channels", code)?,
        from,
        until,
    };
    seal(document, code)
}

fn controls(reader: &Reader, code: Code) -> Result<Vec<Control>, Problem> {
    reader.need("controls", "name the controls to bypass, e.g. `[quiet-hours]`")?;
    let mut controls = Vec::new();
    for (index, value) in reader.list("controls", 1..=Control::ALL.len())?.iter().enumerate() {
        let fault = |reason: &str| {
            let fix = format!("name each once, of: {}", Control::ALL.map(Control::as_str).join(", "));
            Err(Problem::new(code, format!("/controls/{index}"), reason, fix))
        };
        match value.as_str().and_then(Control::from_name) {
            None => return fault("this is not a control"),
            Some(control) if controls.contains(&control) => return fault("this control stands here twice"),
            Some(control) => controls.push(control),
        }
    }
    Ok(controls)
}
