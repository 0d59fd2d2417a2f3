//! What the API answers and takes. Times are RFC 3339 texts, states and codes texts: a service that knows more than this
//! crate is still understood. Members that are not known here are kept in `more`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Members that this version does not know.
type More = Map<String, Value>;

macro_rules! answers {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident : $type:ty),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase", default)]
            pub struct $name {
                $($(#[$field_doc])* #[serde(skip_serializing_if = "Absent::absent")] pub $field: $type,)*
                #[serde(flatten)]
                pub more: More,
            }
        )*
    };
}

/// What an answer leaves out: it has no value, and that is not the same as an empty one.
trait Absent {
    fn absent(&self) -> bool;
}
impl<T> Absent for Option<T> {
    fn absent(&self) -> bool {
        self.is_none()
    }
}
macro_rules! always_there {
    ($($type:ty),*) => { $(impl Absent for $type { fn absent(&self) -> bool { false } })* };
}
always_there!(String, u64, f64, bool, Value);
impl<T> Absent for Vec<T> {
    fn absent(&self) -> bool {
        false
    }
}

answers! {
    Delivery {
        id: String,
        /// `scheduled`, `delivered`, `accepted`, `dead`, `cancelled`.
        state: String,
        rule: String,
        rule_version: u64,
        action: String,
        channel: String,
        target: String,
        event: Option<String>,
        cause: String,
        title: Option<String>,
        created_at: String,
        updated_at: String,
        /// When the next attempt is due.
        due_at: Option<String>,
        next_attempt: Option<u64>,
        last_result: Option<String>,
        last_error: Option<String>,
        provider_reference: Option<String>,
        /// Not in lists.
        message: Option<Value>,
        message_commitment: Option<String>,
        attempts: Option<Vec<Attempt>>,
    }
    Attempt {
        attempt: u64,
        started_at: String,
        finished_at: String,
        result: String,
        http_status: Option<u64>,
        error: Option<String>,
        provider_reference: Option<String>,
        request: Option<String>,
        response: Option<String>,
        follows: Value,
    }
    Replay { id: String, replay_of: String, state: String }
    /// What a re-drive did, or would do.
    Redriven {
        dry_run: bool,
        matched: u64,
        redriven: u64,
        skipped: Vec<Skipped>,
        remaining: u64,
        rate_per_second: f64,
        first_due_at: Option<String>,
        last_due_at: Option<String>,
    }
    /// What applying a set of rules did, or would do.
    AppliedRules {
        set: String,
        dry_run: bool,
        /// Something was written.
        applied: bool,
        config_version: u64,
        created: u64,
        changed: u64,
        deleted: u64,
        unchanged: u64,
        /// In the order of the request, then what is deleted.
        rules: Vec<AppliedRule>,
    }
    AppliedRule {
        id: String,
        /// `create`, `replace`, `unchanged`, `delete`.
        action: String,
        /// Its place in the request.
        index: Option<u64>,
        version: u64,
        previous_version: Option<u64>,
        set: Option<String>,
        changes: Option<Vec<Difference>>,
        /// How many more differ.
        changes_omitted: Option<u64>,
        /// What its own tests said against it.
        forced: Option<Vec<serde_json::Value>>,
    }
    /// One member that differs.
    Difference {
        /// `add`, `remove`, `replace`.
        op: String,
        /// JSON Pointer into the rule.
        path: String,
        old: Option<Value>,
        new: Option<Value>,
    }
    Skipped { channel: String, reason: String, count: u64 }
    Document {
        kind: String,
        id: String,
        version: u64,
        digest: String,
        created_at: String,
        deleted: Option<bool>,
        document: Value,
        state: Option<String>,
        covers: Option<String>,
    }
    Event {
        key: String,
        state: String,
        accepted_at: String,
        id: Option<String>,
        source: Option<String>,
        r#type: Option<String>,
        subject: Option<String>,
        event: Option<Value>,
        decisions: Option<Vec<Value>>,
        unmatched: Option<u64>,
        deliveries: Option<Vec<Delivery>>,
    }
    /// The fates of a batch.
    EventFates { items: Vec<EventFate>, accepted: Option<u64>, duplicates: Option<u64>, refused: Option<u64> }
    EventFate {
        index: Option<u64>,
        id: Option<String>,
        key: Option<String>,
        /// `accepted`, `duplicate`, `refused`.
        status: String,
        accepted_at: Option<String>,
        problem: Option<Value>,
    }
    Plugin { name: String, version: Option<String>, kind: Option<String>, state: String, detail: Option<String> }
    Readiness { ready: bool, checks: Vec<Check> }
    Check { name: String, ok: bool, detail: Option<String> }
    Checkpoint { origin: String, size: u64, root: String, checkpoint: String, at: String }
    LedgerPage {
        items: Vec<Value>,
        size: u64,
        /// `from` of the next page.
        next: Option<u64>,
    }
}

/// Which deliveries are wanted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub state: Option<String>,
    pub rule: Option<String>,
    pub channel: Option<String>,
    /// An event's key.
    pub event: Option<String>,
    /// Created then or later, RFC 3339.
    pub from: Option<String>,
    /// Created before then, RFC 3339.
    pub to: Option<String>,
}

impl DeliveryFilter {
    pub(crate) fn query(&self) -> Vec<(&str, &str)> {
        let all = [
            ("state", &self.state),
            ("rule", &self.rule),
            ("channel", &self.channel),
            ("event", &self.event),
            ("from", &self.from),
            ("to", &self.to),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
    }
}

/// Which dead letters to send again.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redrive {
    pub filter: RedriveFilter,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_per_second: Option<f64>,
    pub dry_run: bool,
}

/// A set of rules, to be applied as a whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ApplyRules {
    pub rules: Vec<Value>,
    /// New rules come into it, and only its rules are pruned; without it `default`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<String>,
    /// Delete rules of the set that are not among `rules`.
    pub prune: bool,
    /// Ids of rules that are not among `rules` and are not pruned all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
    /// Rules that exist come into the set, whatever set they are in.
    pub adopt: bool,
    /// Also rules whose own tests fail; the ledger keeps that.
    pub force: bool,
    pub dry_run: bool,
    /// Only rules with these labels are pruned.
    pub selector: std::collections::BTreeMap<String, String>,
    /// Only if the configuration is at this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub if_config_version: Option<u64>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RedriveFilter {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_known_is_kept() {
        let answer = json!({
            "id": "dlv_1", "state": "delivered", "rule": "r", "ruleVersion": 3, "action": "a", "channel": "c",
            "target": "t", "cause": "event:e", "createdAt": "x", "updatedAt": "y", "brandNew": {"a": [1]},
        });
        let delivery: Delivery = serde_json::from_value(answer.clone()).unwrap();
        assert_eq!((delivery.rule_version, &delivery.due_at), (3, &None));
        assert_eq!(serde_json::to_value(&delivery).unwrap(), answer, "nothing is lost or added");
    }

    #[test]
    fn what_is_asked() {
        let filter = DeliveryFilter {
            state: Some("dead".into()),
            to: Some("2026-11-22T08:00:00Z".into()),
            ..DeliveryFilter::default()
        };
        assert_eq!(filter.query(), [("state", "dead"), ("to", "2026-11-22T08:00:00Z")]);
        let asked = Redrive { rate_per_second: Some(2.5), ..Redrive::default() };
        let body = serde_json::to_value(&asked).unwrap();
        assert_eq!(body, json!({"filter": {}, "ratePerSecond": 2.5, "dryRun": false}));
        let kept = ApplyRules { keep: vec!["a".into()], ..ApplyRules::default() };
        assert_eq!(serde_json::to_value(&kept).unwrap()["keep"], json!(["a"]));
        assert_eq!(serde_json::to_value(ApplyRules::default()).unwrap().get("keep"), None);
    }
}
