//! What the web layer needs of the worker: one trait, implemented where both meet (`notify serve`).

pub use crate::health::{Check, Readiness, State};

use notify_core::document::{Channel, Rule};
use notify_core::event::Event;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, EventKey, RuleId, TemplateId, TenantId};
use notify_core::message::Message;
use notify_core::plan::{Explained, Nearest};
use notify_core::problem::Problem;
use notify_core::time::Timestamp;
use notify_store::model::{DeliveryFilter, Page, Paged};
use serde::Serialize;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;

/// A future that owns all it needs.
pub type BoxFuture<T> = Pin<Box<dyn Future<Output = T> + Send + 'static>>;

/// Intake, planning and connectors behind the API. Every future resolves even when its caller went away: an accepted
/// event stays accepted.
pub trait Engine: Send + Sync + 'static {
    /// Takes one event of `event.tenant` at once, in the order of calls, and answers when it is durable (DESIGN invariant 2).
    /// Refuses with `event-conflict`, or `unavailable` when it cannot be made durable now.
    fn accept(&self, event: Event) -> BoxFuture<Result<Accepted, Problem>>;

    /// What would happen to this event of `event.tenant` now, and with `rule` in place of (or besides) the saved rules. Same code as
    /// production, no side effect. With `rule` only that rule is looked at.
    fn preview(&self, rule: Option<Rule>, event: Event) -> BoxFuture<Result<Preview, Problem>>;

    /// What these events would look like as one message, and the request that would carry it; nothing is sent or kept.
    /// `not-found` when there is no such rule or action.
    fn preview_digest(&self, asked: DigestAsked) -> BoxFuture<Result<DigestPreview, Problem>>;

    /// Which of the saved rules this event of `event.tenant` matches, and at most `nearest` of those that it misses by
    /// the least, each with the reason.
    fn explain(&self, event: Event, nearest: usize) -> BoxFuture<Result<Explained, Problem>>;

    /// Makes and records a new delivery of the same message; gives its id. The same key gives the same delivery. `not-found`, `not-replayable`.
    fn replay(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        actor: &Actor,
        idempotency_key: Option<&str>,
    ) -> BoxFuture<Result<DeliveryId, Problem>>;

    /// Sends dead letters once more: those that nobody has replayed, oldest first, spread over time. What it did is
    /// durable when it answers; asking again never sends one twice.
    fn redrive(
        &self,
        tenant: &TenantId,
        asked: Redrive,
        actor: &Actor,
    ) -> BoxFuture<Result<Redriven, Problem>>;

    /// Sends a message that says it is a test, as a delivery of its own. The same key gives the same one. `not-found`,
    /// `channel-disabled`.
    fn test_channel(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        actor: &Actor,
        idempotency_key: Option<&str>,
    ) -> BoxFuture<Result<DeliveryId, Problem>>;

    /// Asks the channel's plug-in now (`ChannelCheck` in `/openapi.json`). `not-found`.
    fn check_channel(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>>;

    /// Reads the channel's secrets anew (`RefreshedSecrets`). `not-found`.
    fn refresh_secrets(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        actor: &Actor,
    ) -> BoxFuture<Result<Value, Problem>>;

    /// How a channel is (`ChannelStatus`). `not-found`.
    fn channel_status(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>>;

    /// How the channels of a tenant are, by id, without their secrets. A token is the id of the last one.
    fn channel_statuses(&self, tenant: &TenantId, page: &Page) -> BoxFuture<Result<Paged<Value>, Problem>>;

    /// Documents of this tenant were written; the next plan uses them.
    fn configuration_changed(&self, tenant: &TenantId);

    /// Whether a plug-in offers the channel's type, its config fits that plug-in's schema, its secrets are named as
    /// the manifest says, and its target is on no forbidden address. Paths are pointers into the channel document.
    ///
    /// # Errors
    /// `invalid-channel`, `forbidden-target`, `invalid-secret-reference`, `unsupported-feature`.
    fn validate_channel(&self, tenant: &TenantId, channel: &Channel) -> BoxFuture<Result<(), Problem>>;

    /// Every plug-in found, also those that were refused.
    fn plugins(&self) -> Vec<PluginStatus>;

    /// Prometheus text (see [`crate::metrics::text`]), without the web layer's own metrics.
    fn metrics(&self) -> BoxFuture<String>;

    /// Whether traffic should come here now.
    fn ready(&self) -> BoxFuture<Readiness>;
}

/// The answer to an accepted event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub key: EventKey,
    /// The same event was accepted before, at `accepted_at`.
    pub duplicate: bool,
    pub accepted_at: Timestamp,
}

/// Who does something, as told by the token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// `sub` of the token.
    pub subject: String,
    /// `jti` of the token.
    pub token: String,
}

/// Which dead letters to send again, and how fast.
#[derive(Debug, Clone, PartialEq)]
pub struct Redrive {
    /// Rule, channel and times; its state does not count.
    pub filter: DeliveryFilter,
    /// Deliveries a second, over all channels of the request.
    pub rate_per_second: f64,
    /// Counts only.
    pub dry_run: bool,
}

impl Redrive {
    /// Where nobody says how fast.
    pub const DEFAULT_RATE: f64 = 10.0;
    /// The lowest and the highest rate.
    pub const RATES: std::ops::RangeInclusive<f64> = 0.01..=1_000.0;
    /// Deliveries that one request sends again; more are left for the next one.
    pub const AT_ONCE: u64 = 10_000;
}

/// What a re-drive did, or would do.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Redriven {
    pub dry_run: bool,
    /// Dead letters that fit and that nobody has replayed.
    pub matched: u64,
    /// New deliveries made (or, on a dry run, to be made) by this request.
    pub redriven: u64,
    /// Not sent again, by reason.
    pub skipped: Vec<Skipped>,
    /// Left for another request, because this one had its fill.
    pub remaining: u64,
    pub rate_per_second: f64,
    /// When the first and the last of them are due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_due_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_due_at: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Skipped {
    pub channel: ChannelId,
    /// `channel-disabled`, `channel-deleted`, `replayed-meanwhile`.
    pub reason: String,
    pub count: u64,
}

/// What an event would cause.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Preview {
    pub event_key: EventKey,
    /// Matching rules in the order they are planned.
    pub matched: Vec<PreviewedRule>,
    /// How many enabled rules did not match.
    pub unmatched: u64,
    /// When nothing matched: the rules that came nearest, and why they did not match.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Nearest>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedRule {
    pub rule: RuleId,
    /// Absent for a rule that is not saved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    pub name: String,
    pub actions: Vec<PreviewedAction>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PreviewedAction {
    pub action: ActionId,
    pub channel: ChannelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// `send`, `render-failed`, `suppressed`, `held` or `digested`, as in the ledger.
    pub outcome: String,
    /// What decided, when something stood in the way: a control, `channel-disabled` or `channel-missing`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub control: Option<String>,
    /// What the ledger would say of it: until when, under which limit, with which versions.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
    /// Controls that would have decided as well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also_applied: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<Message>,
    /// The exact request with `‹secret:name›` in place of secrets: method and URL, headers, empty line, body.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// The channel's secrets by name, with the number of references: a webhook is signed with each of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, usize>,
    /// Why there is no message or no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// Events to be shown as one message.
#[derive(Debug, Clone)]
pub struct DigestAsked {
    pub tenant: TenantId,
    pub rule: RuleId,
    /// In place of the saved rule.
    pub unsaved: Option<Rule>,
    /// Absent: the rule's first.
    pub action: Option<ActionId>,
    /// Why there would be a digest: `digest`, `throttle`, `quiet-hours`, `storm` or `budget`.
    pub control: &'static str,
    pub events: Vec<Event>,
}

/// A digest as it would be sent.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DigestPreview {
    pub rule: RuleId,
    pub action: ActionId,
    pub channel: ChannelId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channel_type: Option<String>,
    /// Absent: the built-in message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
    /// Alerts in it, and those that the message shows.
    pub count: u64,
    pub retained: u64,
    pub message: Message,
    /// As in [`PreviewedAction::request`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// Why the built-in message stands for the template, or why there is no request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// One plug-in as the host sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PluginStatus {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub channel_types: Vec<String>,
    /// `codec` or `transport`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// `idle` (its process starts when first needed), `running`, `backing-off`, `crash-looping`, `refused`, `stopped`.
    pub state: String,
    /// For people: why it was refused or fails.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// The key that signed its manifest.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub key_id: String,
    /// Times its process was started again after a crash or a hang.
    pub restarts: u64,
    pub crashes: u64,
    /// Calls that it did not answer in time.
    pub timeouts: u64,
    /// Answers that broke the contract.
    pub garbage: u64,
    /// Answers to calls that were over, or never were.
    pub late: u64,
    pub in_flight: u64,
    /// What the kernel enforces of its running process: `limits, landlock, seccomp`, or what is not there and why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sandbox: String,
    /// Its process, while it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// SHA-256 of the verified file, hexadecimal.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub sha256: String,
}
