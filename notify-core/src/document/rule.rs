//! The rule document, DESIGN section 5.

use super::noise::{Dedupe, Digest, QuietHoursFor, Setting, Switch, Throttle};
use crate::ids::{ActionId, ChannelId, RuleId, TemplateId};
use crate::pattern::Pattern;
use crate::problem::{Code, Problem};
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
    /// Whether a burst of its alerts begins a storm, and is folded into its summary.
    #[serde(default, skip_serializing_if = "Switch::is_on")]
    pub storm: Switch,
    /// EventBridge pattern over the CloudEvent; compiled by [`crate::pattern`].
    /// A rule has this or `filters`; [`Rule::pattern`] is the way to either.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub r#match: Option<Value>,
    /// CloudEvents filters, another way to write `match`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filters: Option<Value>,
    /// At least one, ids unique within the rule.
    pub actions: Vec<Action>,
    /// What the rule says of itself, run when it is saved ([`crate::rule_tests`]).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tests: Vec<RuleTest>,
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

impl Rule {
    /// Which events it is for. The only way from a rule to its compiled pattern, whichever of the two it is written in.
    ///
    /// # Errors
    /// [`Code::InvalidPattern`] with a JSON Pointer into the rule, the reason and the fix.
    pub fn pattern(&self) -> Result<Pattern, Problem> {
        match (&self.r#match, &self.filters) {
            (Some(pattern), None) => Pattern::compile(pattern).map_err(|problem| problem.under("/match")),
            (None, Some(filters)) => {
                Pattern::compile_filters(filters).map_err(|problem| problem.under("/filters"))
            }
            (Some(_), Some(_)) => Err(Problem::new(Code::InvalidRule, "/filters", BOTH, KEEP_ONE)),
            (None, None) => Err(Problem::new(Code::InvalidRule, "/match", NEITHER, WRITE_ONE)),
        }
    }
}

pub(super) const BOTH: &str = "a rule has `match` or `filters`, not both";
pub(super) const KEEP_ONE: &str = "keep one of them; what both should say goes into one pattern";
pub(super) const NEITHER: &str = "the rule does not say which events it is for";
pub(super) const WRITE_ONE: &str =
    "write `match` with a pattern over the event, e.g. `type: [scanner.report.ready]`, or `filters`";

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
    /// Noise control. Documents that are saved always say it: what their author left out is [recommended]. `None`: a
    /// document of a version that had none.
    ///
    /// [recommended]: super::noise::recommended
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dedupe: Option<Setting<Dedupe>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<Setting<Throttle>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    #[serde(default)]
    pub quiet_hours: QuietHoursFor,
}

const fn yes() -> bool {
    true
}
