//! What can be written, and under which conditions.

use crate::model::{
    Attempt, ClaimToken, DeliveryState, InboxMark, NewDelivery, NewDigestItem, NewEvent, NewHeld,
    NewInboxItem, Opening, Quarantined,
};
use notify_core::document::Kind;
use notify_core::ids::{ChannelId, DeliveryId, DigestId, EventKey, HeldId, TenantId};
use notify_core::ledger::EntryDraft;
use notify_core::noise::{StateKey, StateRow};
use notify_core::time::Timestamp;

/// One all-or-nothing unit of work of one tenant. Several share a database transaction, but one that is refused
/// does not harm the others.
#[derive(Debug)]
pub struct Commit {
    pub tenant: TenantId,
    pub guards: Vec<Guard>,
    effects: Vec<Effect>,
    pub bookkeeping: Vec<Bookkeeping>,
    entries: Vec<EntryDraft>,
    /// When a [`Guard::Claim`] fails: appended instead, without any effect (a `late` attempt). Empty: nothing.
    pub if_late: Vec<EntryDraft>,
}

impl Commit {
    /// # Panics
    /// Never on input: effects without an entry are a programming error, so the constructor asserts it.
    #[must_use]
    pub fn new(tenant: TenantId, effects: Vec<Effect>, entries: Vec<EntryDraft>) -> Self {
        assert!(effects.is_empty() || !entries.is_empty(), "an effect without its ledger entry");
        Self { tenant, guards: vec![], effects, bookkeeping: vec![], entries, if_late: vec![] }
    }

    /// Only bookkeeping, which needs no entry: the entry comes with the decision.
    #[must_use]
    pub fn bookkeeping(tenant: TenantId, bookkeeping: Vec<Bookkeeping>) -> Self {
        Self { tenant, guards: vec![], effects: vec![], bookkeeping, entries: vec![], if_late: vec![] }
    }

    #[must_use]
    pub fn guarded(mut self, guard: Guard) -> Self {
        self.guards.push(guard);
        self
    }

    #[must_use]
    pub fn or_late(mut self, entry: EntryDraft) -> Self {
        self.if_late.push(entry);
        self
    }

    #[must_use]
    pub fn effects(&self) -> &[Effect] {
        &self.effects
    }

    #[must_use]
    pub fn entries(&self) -> &[EntryDraft] {
        &self.entries
    }
}

/// Checked inside the transaction, before anything of this commit is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Guard {
    /// The tenant's owner lease is held by `holder` with this epoch and has not run out on the database's clock.
    Lease { holder: String, epoch: u64 },
    /// The tenant's configuration is the one that was planned with.
    ConfigVersion(u64),
    /// The delivery is claimed with this token and awaits this attempt.
    Claim { delivery: DeliveryId, attempt: u32, token: ClaimToken },
    /// The current version of a document: `None` = it must not exist (or be deleted).
    DocumentVersion { kind: Kind, id: String, expected: Option<u64> },
    /// What noise control remembers of the tenant is what was planned with.
    NoiseVersion(u64),
    /// Any existing version (`If-Match: *`).
    DocumentExists { kind: Kind, id: String },
    /// The delivery is in one of these states (for replay).
    DeliveryState { delivery: DeliveryId, any_of: Vec<DeliveryState> },
}

/// A change that must be recorded in the ledger.
#[derive(Debug)]
pub enum Effect {
    /// The first effect of a tenant, with its genesis entry. `opaque` names it in the log's origin.
    CreateTenant { name: String, opaque: String, created_at: Timestamp },
    /// A new immutable version and the head moved to it; the tenant's config version grows by one.
    PutDocument { kind: Kind, id: String, digest: String, body: String, at: Timestamp },
    /// The head is marked deleted; versions stay.
    DeleteDocument { kind: Kind, id: String, at: Timestamp },
    /// A new event with its plan: state `planned` at once. Refused as [`Refused::EventExists`] when the key exists.
    AcceptPlanned(Box<NewEvent>),
    /// An event accepted before: `pending` → `planned`. Refused when it is not pending. `salt` is that of the event's
    /// commitment, with the stored body its opening.
    MarkPlanned { key: EventKey, salt: [u8; 32] },
    /// A delivery and its place in the work queue, optionally claimed at once by the process that planned it.
    /// A delivery id that exists already is refused.
    CreateDelivery(Box<NewDelivery>),
    /// The result of an attempt: the attempt row, the delivery's new state and its place in the work queue.
    RecordAttempt(Box<Attempt>),
    /// An alert that waits. Refused when its id is there already.
    Hold(Box<NewHeld>),
    /// A held alert waits longer.
    HoldLonger { id: HeldId, until: Timestamp },
    /// A held alert waits no more: it was sent or ended. Its message's opening is kept.
    EndHold { id: HeldId },
    /// A delivery waits: its running claim is given back, and its attempt is due then.
    HoldDelivery { delivery: DeliveryId, until: Timestamp },
    /// An event's alert is part of a digest.
    AddToDigest(Box<NewDigestItem>),
    /// The digest was sent or ended: what was collected for it is known from the ledger.
    EndDigest { digest: DigestId },
    /// An opening that has no row of its own to live in.
    KeepOpening(Opening),
    /// A message that could not be taken in is put aside. Refused when its id is there already.
    Quarantine(Box<Quarantined>),
    /// A message put aside is no longer kept. Refused when it is not there.
    EndQuarantine { id: String },
    /// A delivery is in an inbox. Together with its attempt: each delivery is there once at most.
    AddToInbox(Box<NewInboxItem>),
    /// A recipient of a channel wants nothing any more. Once is as good as twice.
    OptOut { channel: ChannelId, address: String, at: Timestamp },
    /// A recipient gets messages again. Nothing happens when there is no opt-out.
    EndOptOut { channel: ChannelId, address: String },
    /// Nothing but the entry (access, export, heartbeat).
    RecordOnly,
}

/// A change that needs no entry of its own.
#[derive(Debug)]
pub enum Bookkeeping {
    /// Accepted, not yet planned: state `pending`.
    AcceptPending(Box<NewEvent>),
    /// What noise control remembers from now on. The tenant's noise version grows by one.
    Noise(Box<NoiseChanges>),
    /// Items of an inbox are read, or are not. Whose eyes saw an alert is no decision of the studio.
    MarkInbox(InboxMark),
    /// Items that an inbox keeps no longer; their deliveries stay.
    EndInbox { ids: Vec<DeliveryId> },
    /// Remembers the answer to an `Idempotency-Key`.
    RememberIdempotency { key: String, request_digest: String, status: u16, answer: String, at: Timestamp },
}

/// See [`Bookkeeping::Noise`].
#[derive(Debug, Clone, Default)]
pub struct NoiseChanges {
    pub remember: Vec<StateRow>,
    pub forget: Vec<StateKey>,
    /// The tenant's first timer after this commit; `None`: there is none.
    pub next_timer: Option<Timestamp>,
}

/// What came of a commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Committed {
    /// Sequence numbers of this commit's entries, in order.
    pub seqs: Vec<u64>,
    /// Version numbers of `PutDocument` effects, in order.
    pub versions: Vec<u64>,
    /// True when a claim was stale and `if_late` was appended in place of the effects.
    pub late: bool,
    /// The tenant's config version after the commit, when it changed.
    pub config_version: Option<u64>,
}

/// Why a commit was not written. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("the tenant does not exist")]
    NoTenant,
    #[error("the tenant exists already")]
    TenantExists,
    #[error("the owner lease was lost")]
    LeaseLost,
    #[error("the configuration is at version {current}")]
    ConfigChanged { current: u64 },
    #[error("what noise control remembers is at version {current}")]
    NoiseChanged { current: u64 },
    #[error("held alert {0} is {there}", there = if *.1 { "there already" } else { "not there" })]
    Held(HeldId, bool),
    #[error("event {key} exists")]
    EventExists { key: EventKey },
    #[error("event {key} is not pending")]
    NotPending { key: EventKey },
    #[error("delivery {0} exists")]
    DeliveryExists(DeliveryId),
    #[error("the claim is stale")]
    StaleClaim,
    #[error("the document is at version {current:?}")]
    DocumentChanged { current: Option<u64> },
    #[error("the delivery is {0:?}")]
    WrongState(Option<DeliveryState>),
    #[error("the idempotency key is taken")]
    IdempotencyTaken,
    #[error("the message is {} quarantine", if *there { "already in" } else { "not in" })]
    Quarantined { there: bool },
    #[error("an entry is too large: {bytes} bytes")]
    EntryTooLarge { bytes: usize },
    /// A mistake of the caller: not a draft of any entry, or not in this place.
    #[error("an entry cannot be written: {0}")]
    BadEntry(String),
}
