//! Rows as values.

use notify_core::document::Kind;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, DigestId, EventKey, HeldId, RuleId, TenantId};
use notify_core::noise::StateKey;
use notify_core::severity::Severity;
use notify_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Proof of the right to attempt a delivery; random, drawn by the claimer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ClaimToken(pub String);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    pub id: TenantId,
    pub name: String,
    /// The id in the log's origin, so that an origin does not name the customer.
    pub opaque: String,
    pub config_version: u64,
    pub created_at: Timestamp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventState {
    Pending,
    Planned,
}

#[derive(Debug, Clone)]
pub struct NewEvent {
    pub key: EventKey,
    pub source: String,
    pub id: String,
    pub r#type: String,
    pub subject: Option<String>,
    /// RFC 8785 form of the whole CloudEvent: what was matched and is committed to.
    pub body: String,
    /// SHA-256 of `body`, to tell a repeat from a conflict.
    pub body_hash: [u8; 32],
    pub accepted_at: Timestamp,
    /// Salt of the event's commitment, with `body` its opening. `None` while pending.
    pub salt: Option<[u8; 32]>,
}

#[derive(Debug, Clone)]
pub struct Event {
    pub tenant: TenantId,
    pub event: NewEvent,
    pub state: EventState,
    pub accepted_seq: u64,
}

/// The answer to "do we know this event?".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownEvent {
    pub key: EventKey,
    pub body_hash: [u8; 32],
    pub accepted_at: Timestamp,
}

/// `scheduled → (claimed) → delivered | accepted | dead | gone | cancelled`, back to `scheduled` on a retry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// Waits for its due time or a free dispatcher (also between attempts).
    Scheduled,
    Delivered,
    /// Handed over, not confirmed.
    Accepted,
    /// Retries used up, or a permanent failure.
    Dead,
    Cancelled,
}

impl DeliveryState {
    pub const ALL: [Self; 5] =
        [Self::Scheduled, Self::Delivered, Self::Accepted, Self::Dead, Self::Cancelled];
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Delivered => "delivered",
            Self::Accepted => "accepted",
            Self::Dead => "dead",
            Self::Cancelled => "cancelled",
        }
    }
    #[must_use]
    pub fn from_name(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.as_str() == text)
    }
}

#[derive(Debug, Clone)]
pub struct NewDelivery {
    pub id: DeliveryId,
    pub event: Option<EventKey>,
    /// What caused it, e.g. `event:<key>`, `replay:<delivery>:1`.
    pub cause: String,
    pub rule: RuleId,
    pub rule_version: u64,
    pub action: ActionId,
    pub channel: ChannelId,
    /// The rendered message, JSON bytes: exactly what its commitment covers.
    pub message: String,
    pub message_salt: [u8; 32],
    /// `sha256:…` of salt ‖ message; repeated by every attempt.
    pub message_commitment: String,
    /// Human form of the target (e.g. the URL's origin), opened by `target_salt`.
    pub target: String,
    pub target_salt: [u8; 32],
    pub created_at: Timestamp,
    pub due_at: Timestamp,
    /// Claimed by its planner in the same commit: (token, lease until).
    pub claim: Option<(ClaimToken, Timestamp)>,
}

/// An alert that waits; its message is rendered, and committed to in the event's entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewHeld {
    pub id: HeldId,
    pub event: EventKey,
    pub rule: RuleId,
    pub rule_version: u64,
    pub action: ActionId,
    pub channel: ChannelId,
    /// The control that held it.
    pub control: String,
    pub message: String,
    pub message_salt: [u8; 32],
    pub message_commitment: String,
    pub held_at: Timestamp,
    pub release_at: Timestamp,
}

/// An alert as a part of a digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDigestItem {
    pub digest: DigestId,
    /// From 1.
    pub number: u32,
    pub event: EventKey,
    pub rule: RuleId,
    pub action: ActionId,
    pub severity: Severity,
    pub at: Timestamp,
}

/// [`NewDigestItem`] as it is read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DigestItem {
    pub item: NewDigestItem,
    /// Number of the event's ledger entry.
    pub entry: Option<u64>,
}

/// Everything that noise control remembers of a tenant.
#[derive(Debug, Clone, Default)]
pub struct NoiseMemory {
    pub version: u64,
    /// Key, and value as JSON.
    pub states: Vec<(StateKey, String)>,
}

#[derive(Debug, Clone)]
pub struct Delivery {
    pub tenant: TenantId,
    pub delivery: NewDelivery,
    pub state: DeliveryState,
    /// Number of the next attempt (or of the running one), from 1.
    pub next_attempt: u32,
    pub last_result: Option<String>,
    pub last_error: Option<String>,
    pub provider_reference: Option<String>,
    pub updated_at: Timestamp,
    /// When the next attempt is due (or was, while it is running); `None` once it is over, and in a claim.
    pub next_due: Option<Timestamp>,
}

/// A delivery whose turn it is.
#[derive(Debug, Clone)]
pub struct Claimed {
    pub delivery: Delivery,
    pub token: ClaimToken,
    /// An earlier holder's lease ran out in the middle of `delivery.next_attempt`: that attempt is in doubt. The new
    /// holder records it as `unknown` first, which makes the next number due.
    pub in_doubt: bool,
}

/// What the claimer says to a delivery whose turn it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    Take,
    /// Not now: its turn comes again at this time.
    Later(Timestamp),
    /// There is no room left for it; it stays due as it is.
    Leave,
}

/// What follows an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Follows {
    /// The delivery is over.
    Outcome(DeliveryState),
    /// Attempt + 1 at this time; with `claim` the same holder keeps it.
    Retry { due_at: Timestamp, claim: Option<(ClaimToken, Timestamp)> },
}

#[derive(Debug, Clone)]
pub struct Attempt {
    pub delivery: DeliveryId,
    pub attempt: u32,
    pub started_at: Timestamp,
    pub finished_at: Timestamp,
    /// `delivered`, `accepted`, `retry`, `throttled`, `permanent`, `bad-config`, `gone`, `cancelled`, `timeout`,
    /// `crashed`, `unknown`.
    pub result: String,
    pub http_status: Option<u16>,
    /// The request with ‹secret:name› in place of secrets, and the response as kept; each with its salt.
    pub request: Option<(Vec<u8>, [u8; 32])>,
    pub response: Option<(Vec<u8>, [u8; 32])>,
    pub error: Option<String>,
    pub provider_reference: Option<String>,
    pub follows: Follows,
}

/// Salt and bytes behind a commitment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    /// 64 lower-case hex: SHA-256 of salt ‖ bytes.
    pub commitment: String,
    pub salt: [u8; 32],
    pub bytes: Vec<u8>,
}

/// A delivery that goes into an inbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewInboxItem {
    pub delivery: DeliveryId,
    pub channel: ChannelId,
    pub severity: Severity,
    pub created_at: Timestamp,
    /// Kept until then.
    pub expires_at: Timestamp,
}

/// An item of an inbox; what it says is the message of its delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InboxItem {
    pub delivery: DeliveryId,
    pub channel: ChannelId,
    pub severity: Severity,
    pub rule: RuleId,
    pub event: Option<EventKey>,
    /// The message as JSON.
    pub message: String,
    pub created_at: Timestamp,
    /// When and by whom it was read first.
    pub read: Option<(Timestamp, String)>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InboxFilter {
    /// `Some(true)`: only unread ones.
    pub unread: Option<bool>,
    /// This severe or more.
    pub severity: Option<Severity>,
    pub channel: Option<ChannelId>,
    pub rule: Option<RuleId>,
    /// Created then or later.
    pub from: Option<Timestamp>,
    /// Created before then.
    pub to: Option<Timestamp>,
}

/// How items are marked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InboxMark {
    /// Who read it first stays.
    Read {
        id: DeliveryId,
        at: Timestamp,
        by: String,
    },
    Unread {
        id: DeliveryId,
    },
    /// All of a channel (`None`: of every one) that were there at that time.
    AllRead {
        channel: Option<ChannelId>,
        until: Timestamp,
        at: Timestamp,
        by: String,
    },
}

/// A recipient of a channel who wants nothing any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OptOut {
    /// Lower case.
    pub address: String,
    pub at: Timestamp,
}

/// A message from a bus that could not be taken in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quarantined {
    /// Sorts by time of arrival.
    pub id: String,
    pub received_at: Timestamp,
    /// The bus and the place on it, such as `nats:alerts.in`.
    pub origin: String,
    /// As the message named it; empty when it did not.
    pub content_type: String,
    /// Code of the problem.
    pub code: String,
    /// The problem as JSON.
    pub problem: String,
    /// Empty in lists.
    pub body: Vec<u8>,
    /// Bytes of the body.
    pub size: u64,
    /// The body was longer than what is kept.
    pub truncated: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    pub kind: Kind,
    pub id: String,
    pub version: u64,
    pub digest: String,
    /// JSON text of the document as accepted (defaults filled in).
    pub body: String,
    pub created_at: Timestamp,
    pub deleted: bool,
}

/// All current documents of a tenant and the version they make up together.
#[derive(Debug, Clone, Default)]
pub struct Configuration {
    pub version: u64,
    pub documents: Vec<Document>,
}

/// What differs between a configuration that a reader knows and the current one.
#[derive(Debug, Clone, Default)]
pub struct ConfigurationChanges {
    /// The current version.
    pub version: u64,
    /// Each changed document as it is now, also the deleted ones.
    pub changed: Vec<Document>,
    /// All current templates and bundles, when one of them changed: they are used together.
    pub texts: Option<Vec<Document>>,
    /// All current documents of noise control, when one of them changed.
    pub noise: Option<Vec<Document>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerEntry {
    pub seq: u64,
    pub at: Timestamp,
    pub kind: String,
    pub about: String,
    /// The RFC 8785 payload, byte for byte; `None` when it was pruned.
    pub payload: Option<String>,
    pub leaf_hash: [u8; 32],
}

/// An `event` entry with the event that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecidedEvent {
    pub seq: u64,
    /// When the event was accepted; where it is kept no longer, when the entry was made.
    pub at: Timestamp,
    /// As of [`LedgerEntry`]; a large entry comes in parts.
    pub payload: Option<String>,
    /// Absent, as the body is, where the event is kept no longer.
    pub key: Option<EventKey>,
    pub body: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LedgerHead {
    pub origin: String,
    pub size: u64,
    pub root: [u8; 32],
    /// C2SP checkpoint with the log's signature.
    pub checkpoint: String,
    pub at: Timestamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    pub holder: String,
    pub epoch: u64,
}

/// Page through a list: at most `limit` rows after the opaque `after`.
#[derive(Debug, Clone, Default)]
pub struct Page {
    pub limit: u32,
    pub after: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Paged<T> {
    pub items: Vec<T>,
    /// Give it as the next page's `after`; `None` at the end.
    pub next: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DeliveryFilter {
    pub state: Option<DeliveryState>,
    pub rule: Option<RuleId>,
    pub channel: Option<ChannelId>,
    pub event: Option<EventKey>,
    /// Created then or later.
    pub created_from: Option<Timestamp>,
    /// Created before then.
    pub created_to: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RememberedAnswer {
    pub request_digest: String,
    pub status: u16,
    pub answer: String,
}

/// Counts for `/metrics` and `/readyz`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Backlog {
    pub pending_events: u64,
    pub scheduled_deliveries: u64,
    /// Due, and nobody attempts them: also those that wait in the line of their channel.
    pub overdue_deliveries: u64,
    /// Since when the first of them is due.
    pub oldest_due: Option<Timestamp>,
    pub dead_deliveries: u64,
}

/// A bucket of a target, and its rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetRate {
    /// Hash of what makes two channels one target.
    pub key: [u8; 32],
    pub rate: notify_core::noise::gcra::Rate,
}

/// The answer to a delivery that wants its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    Now,
    /// It is back in the queue, and its turn is then.
    At(Timestamp),
    /// The claim is somebody else's.
    Lost,
}

/// How a channel is, as far as its attempts and checks tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ChannelState {
    /// Of the document that breaker and pause are about.
    pub version: Option<u64>,
    pub breaker: notify_core::breaker::Breaker,
    pub paused_until: Option<Timestamp>,
    /// Of the last success; written when it is news, so it may lag by a minute.
    pub success_at: Option<Timestamp>,
    pub error: Option<ChannelError>,
    pub check_due: Option<Timestamp>,
    pub check: Option<ChannelCheck>,
    /// JSON of the fingerprints of its secrets.
    pub secrets: Option<String>,
}

/// The last failure of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelError {
    pub at: Timestamp,
    pub result: String,
    pub http_status: Option<u16>,
    pub text: String,
}

/// The last check of a channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelCheck {
    pub at: Timestamp,
    pub result: String,
    pub text: String,
}

/// Deliveries of a channel that are not over.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ChannelQueue {
    pub waiting: u64,
    pub in_flight: u64,
}
