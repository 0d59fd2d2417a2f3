//! Templates (a message whose string leaves are minijinja) and Fluent text bundles.

use crate::ids::TemplateId;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `schema: notify-template@1`.
pub const TEMPLATE_SCHEMA: &str = "notify-template@1";
/// `schema: notify-bundle@1`.
pub const BUNDLE_SCHEMA: &str = "notify-bundle@1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Template {
    pub schema: String,
    pub id: TemplateId,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Hidden from templates before they run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redact: Vec<Redaction>,
    /// Shape of [`crate::message::Message`]; each string leaf is a template of its own. Checked when it is saved.
    pub message: Value,
}

/// One redaction. Exactly one of the two is given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Redaction {
    /// JSON Pointer into the event; `*` as a token stands for every element or member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Regular expression (linear-time syntax); each hit in any string of the event is hidden.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
}

/// Fluent texts of one locale; `t("key", …)` in a template reads them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bundle {
    pub schema: String,
    /// Unique per tenant, by custom `<name>-<locale in lower case>`.
    pub id: TemplateId,
    /// BCP 47.
    pub locale: String,
    /// Fluent (FTL) source.
    pub messages: String,
}
