//! The silence document: alerts that are not wanted, once or by a calendar (maintenance).

use super::parse::{Parsed, seal};
use super::reader::Reader;
use super::scope::{self, Scope};
use crate::ids::{CalendarId, ChannelId, RuleId, SilenceId};
use crate::problem::{Code, Problem};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `schema: notify-silence@1`.
pub const SCHEMA: &str = "notify-silence@1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Silence {
    pub schema: String,
    pub id: SilenceId,
    /// Why, for those who wonder about it later.
    pub reason: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
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
    /// Up to, and not at, that time. Needed without a calendar.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Only within this calendar's windows: a recurring silence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calendar: Option<CalendarId>,
}

impl Silence {
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        Scope {
            pattern: self.r#match.as_ref(),
            rules: &self.rules,
            channels: &self.channels,
            from: self.from,
            until: self.until,
        }
    }
}

/// # Errors
/// [`Code::InvalidSilence`], [`Code::UnknownField`], with the place.
pub fn parse_silence(value: &Value) -> Result<Parsed<Silence>, Problem> {
    let code = Code::InvalidSilence;
    let reader = Reader::document(value, code, SCHEMA)?;
    let known =
        ["schema", "id", "reason", "labels", "match", "rules", "channels", "from", "until", "calendar"];
    reader.only(&known, &[])?;
    scope::chosen(&reader)?;
    let (from, until) = scope::span(&reader)?;
    let calendar = reader.optional_id("calendar")?;
    if until.is_none() && calendar.is_none() {
        let fix =
            "write when it ends, e.g. `until: 2026-11-22T06:00:00Z`, or a `calendar` for one that recurs";
        return Err(reader.fault("until", "`until` is missing, and there is no `calendar`", fix));
    }
    let silence = Silence {
        schema: SCHEMA.to_owned(),
        id: reader.id("id")?,
        reason: scope::reason(&reader)?,
        labels: reader.labels()?,
        r#match: scope::pattern(&reader, "match", code)?,
        rules: scope::ids(&reader, "rules", code)?,
        channels: scope::ids(&reader, "channels", code)?,
        from,
        until,
        calendar,
    };
    seal(silence, code)
}
