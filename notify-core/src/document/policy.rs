//! The policy document: what holds for all rules and channels of a tenant.

use super::noise::{HoursMode, QuietHours, Setting, Storm};
use super::noise_fields;
use super::parse::{Parsed, seal};
use super::reader::Reader;
use crate::problem::{Code, Problem};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// `schema: notify-policy@1`.
pub const SCHEMA: &str = "notify-policy@1";
/// The only policy there is: that of noise control.
pub const NOISE: &str = "noise";

/// Noise control of a tenant. Without a document there are no quiet hours, and the storm breaker has its default
/// numbers.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Policy {
    pub schema: String,
    pub id: String,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiet_hours: Vec<QuietHours>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub maintenance: Vec<QuietHours>,
    /// `None`: the default numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storm: Option<Setting<Storm>>,
}

/// # Errors
/// [`Code::InvalidPolicy`], [`Code::UnknownField`], with the place.
pub fn parse_policy(value: &Value) -> Result<Parsed<Policy>, Problem> {
    let code = Code::InvalidPolicy;
    let reader = Reader::document(value, code, SCHEMA)?;
    reader.only(&["schema", "id", "name", "description", "quietHours", "maintenance", "storm"], &[])?;
    if reader.get("id").and_then(Value::as_str) != Some(NOISE) {
        return Err(reader.fault("id", "there is one policy, and it is called `noise`", "write `id: noise`"));
    }
    let policy = Policy {
        schema: SCHEMA.to_owned(),
        id: NOISE.to_owned(),
        name: reader.name()?,
        description: reader.description()?,
        quiet_hours: noise_fields::hours(&reader, "quietHours", HoursMode::Hold)?,
        maintenance: noise_fields::hours(&reader, "maintenance", HoursMode::Drop)?,
        storm: noise_fields::storm(&reader, "storm")?,
    };
    seal(policy, code)
}
