//! The rule document, DESIGN section 5.

use crate::ids::{ActionId, ChannelId, RuleId, TemplateId};
use crate::pattern::Pattern;
use crate::problem::Problem;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// `schema: notify-rule@1`.
pub const SCHEMA: &str = "notify-rule@1";

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Rule {
    pub schema: String,
    pub id: RuleId,
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Higher is planned and listed first; ties by id.
    #[serde(default)]
    pub priority: i32,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// EventBridge pattern over the CloudEvent; compiled by [`crate::pattern`].
    pub r#match: Value,
    /// At least one, ids unique within the rule.
    pub actions: Vec<Action>,
    /// What the rule says of itself, run when it is saved ([`crate::rule_tests`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<RuleTest>,
}

impl Rule {
    /// Which events it is for.
    ///
    /// # Errors
    /// [`crate::problem::Code::InvalidPattern`] with a JSON Pointer into the rule, the reason and the fix.
    pub fn pattern(&self) -> Result<Pattern, Problem> {
        Pattern::compile(&self.r#match).map_err(|problem| problem.under("/match"))
    }
}

/// An event with what the rule should make of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RuleTest {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// A CloudEvent; attributes that every event has and this one leaves out are filled in.
    pub event: Value,
    pub r#match: bool,
    /// Where it should be sent, in any order; absent: not looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<ChannelId>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Action {
    pub id: ActionId,
    pub channel: ChannelId,
    /// Absent: the built-in fallback template.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// BCP 47; absent: the channel's, then the tenant's default, then `en`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
}

const fn yes() -> bool {
    true
}
