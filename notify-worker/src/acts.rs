//! What people ask for: preview and replay.

use crate::clock::entropy;
use crate::dispatch::Ready;
use crate::planning::Cost;
use crate::worker::{Shared, Worker, unavailable};
use notify_connector_host::{Phase, PrepareInput};
use notify_core::document::{Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, RuleId, TemplateId, TenantId};
use notify_core::ledger::EntryDraft;
use notify_core::ledger::commitment::{Commitment, PlainDigest, salt};
use notify_core::ledger::entry::{DeliveryAct, DeliveryEntry, Intent};
use notify_core::message::Message;
use notify_core::noise::{NoiseState, StateKey, StateRow};
use notify_core::plan::{
    Decision, Nearest, PlannedDelivery, PlannedHold, Snapshot, Verdict, plan, target_of,
};
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::model::{DeliveryState, NewDelivery, Opening};
use notify_store::{Commit, Effect, Guard, Refused, StoreError};
use std::collections::{BTreeMap, BTreeSet};

/// What would be sent for an event, and why; nothing is.
#[derive(Debug)]
pub struct Previewed {
    pub decisions: Vec<PreviewedDecision>,
    /// Enabled rules that do not match.
    pub unmatched: u64,
    /// When nothing matches: what came nearest.
    pub nearest: Option<Nearest>,
}

/// One action of one matching rule.
#[derive(Debug)]
pub struct PreviewedDecision {
    pub rule: RuleId,
    pub rule_version: u64,
    pub rule_name: String,
    pub action: ActionId,
    pub channel: ChannelId,
    pub channel_type: Option<String>,
    pub template: Option<TemplateId>,
    pub outcome: &'static str,
    /// The control that holds it back, if one does.
    pub control: Option<&'static str>,
    /// What the record would say of it: until when, under which limit, with which versions.
    pub parameters: serde_json::Map<String, serde_json::Value>,
    /// Controls that would have decided as well.
    pub also_applied: Vec<&'static str>,
    pub message: Option<Message>,
    /// Method, URL, headers and body exactly as they would leave, with ‹secret:name› in place of secrets.
    pub request: Option<String>,
    /// The channel's secrets: name and how many references it has (two or more: a rotation).
    pub secrets: BTreeMap<String, usize>,
    /// Why the fallback template was used, or why there is no request.
    pub problem: Option<Problem>,
}

/// What a decision would send, now or later.
#[derive(Clone, Copy)]
struct Shown<'a> {
    id: &'a str,
    message: &'a Message,
    json: &'a str,
}

impl<'a> Shown<'a> {
    fn of_delivery(delivery: &'a PlannedDelivery) -> Self {
        Self { id: delivery.id.as_str(), message: &delivery.message, json: &delivery.message_json }
    }

    fn of_hold(hold: &'a PlannedHold) -> Self {
        Self { id: hold.id.as_str(), message: &hold.message, json: &hold.message_json }
    }
}

impl Worker {
    /// Plans the event with the tenant's configuration, or with `rule` alone in place of all rules, and prepares each
    /// request. The same code as the live path; nothing is written or sent.
    ///
    /// # Errors
    /// When the rule's pattern is not valid or the store cannot be read.
    pub async fn preview(
        &self,
        tenant: &TenantId,
        rule: Option<Version<Rule>>,
        event: &Event,
    ) -> Result<Previewed, Problem> {
        let now = self.shared.clock.now();
        let entropy = entropy().map_err(|_| unavailable("the operating system gives no entropy"))?;
        let store_fails = |error: StoreError| {
            tracing::error!(tenant = %tenant, %error, "the configuration could not be read");
            unavailable("the store cannot be read")
        };
        let snapshot = match rule {
            None => self.shared.snapshots.reload(tenant).await.map_err(store_fails)?,
            Some(rule) => {
                let current = self.shared.snapshots.reload(tenant).await.map_err(store_fails)?;
                std::sync::Arc::new(current.with_rule_alone(rule)?)
            }
        };
        let expected = Cost::default().expect(event.body.len(), snapshot.rule_count());
        let planning = &self.shared.planning;
        let mut state = NoiseState::default();
        let mut read = BTreeSet::new();
        let planned = loop {
            let (planned, _) =
                planning.run(expected, None, || plan(&snapshot, event, now, &entropy, &state)).await;
            // Which states a plan looks at follows from the event: it is made again with those that exist.
            let missing: Vec<StateKey> =
                planned.reads.iter().copied().filter(|key| read.insert(*key)).collect();
            if missing.is_empty() {
                break planned;
            }
            let found = self.shared.store.noise_states(tenant, &missing).await.map_err(store_fails)?;
            if found.is_empty() {
                break planned;
            }
            state.apply(
                found.into_iter().filter_map(|(key, value)| Some((key, Some(StateRow::read(&value).ok()?)))),
            );
        };
        let mut deliveries = planned.deliveries.iter();
        let mut decisions = Vec::new();
        let mut holds = planned.holds.iter();
        for decision in &planned.decisions {
            let shown = match &decision.verdict {
                Verdict::Send(_) | Verdict::SendFallback(..) => deliveries.next().map(Shown::of_delivery),
                Verdict::Held { .. } => holds.next().map(Shown::of_hold),
                Verdict::Suppressed { .. } | Verdict::Digested { .. } => None,
            };
            decisions.push(self.previewed(&snapshot, decision, shown, now).await);
        }
        let nearest = match decisions.is_empty() {
            true => Some(crate::explain::nearest(snapshot, event.value.clone()).await?),
            false => None,
        };
        Ok(Previewed { decisions, unmatched: planned.unmatched, nearest })
    }

    async fn previewed(
        &self,
        snapshot: &Snapshot,
        decision: &Decision,
        delivery: Option<Shown<'_>>,
        now: notify_core::time::Timestamp,
    ) -> PreviewedDecision {
        let control = Some(decision.verdict.control()).filter(|control| *control != "none");
        let problem = match &decision.verdict {
            Verdict::SendFallback(_, problem) => Some(problem.clone()),
            _ => None,
        };
        let compiled = snapshot.rule(&decision.rule).ok();
        let action =
            compiled.and_then(|rule| rule.rule.actions.iter().find(|action| action.id == decision.action));
        let channel = snapshot.channels.get(&decision.channel);
        let mut shown = PreviewedDecision {
            rule: decision.rule.clone(),
            rule_version: decision.rule_version,
            rule_name: compiled.map(|rule| rule.rule.name.clone()).unwrap_or_default(),
            action: decision.action.clone(),
            channel: decision.channel.clone(),
            channel_type: channel.map(|channel| channel.document.r#type.clone()),
            template: action.and_then(|action| action.template.clone()),
            outcome: decision.verdict.outcome(),
            control,
            parameters: decision.parameters.clone(),
            also_applied: decision.also_applied.clone(),
            message: delivery.map(|delivery| delivery.message.clone()),
            request: None,
            secrets: channel
                .map(|channel| {
                    channel.document.secrets.iter().map(|(name, all)| (name.clone(), all.len())).collect()
                })
                .unwrap_or_default(),
            problem,
        };
        // An inbox gets the message itself.
        if let (Some(delivery), Some(channel)) = (delivery, channel.filter(|c| !c.document.is_console())) {
            let names = crate::provided::names(&self.shared, &snapshot.tenant, &channel.document, now).await;
            let names = match names {
                Ok(names) => names,
                Err(error) => {
                    tracing::error!(tenant = %snapshot.tenant, %error, "opt-outs could not be read");
                    shown.problem = Some(unavailable("the store cannot be read"));
                    return shown;
                }
            };
            let config_json = serde_json::to_vec(&channel.document.config).unwrap_or_default();
            let input = PrepareInput {
                config_json: &config_json,
                secret_names: &names,
                check: false,
                message_json: delivery.json.as_bytes(),
                delivery_id: delivery.id,
                delivery_time: now,
                attempt: 1,
                attempt_time: now,
                deadline: crate::clock::after(now, self.dispatcher.deadline(Some(channel))),
                phase: Phase::None,
                provider_reference: None,
            };
            match self.shared.host.prepare(&channel.document.r#type, input).await {
                Ok(request) => {
                    shown.request = Some(String::from_utf8_lossy(&request.redacted()).into_owned());
                }
                Err(fault) => {
                    let fix = "look at the channel's config and at `notify plugin list`";
                    shown.problem = Some(Problem::new(Code::InvalidChannel, "", fault.to_string(), fix));
                }
            }
        }
        shown
    }

    /// Sends a delivery that is over once more, as a new delivery with the same message and an id of its own, to where
    /// its channel points now. The same `idempotency_key` gives the same new delivery.
    ///
    /// # Errors
    /// [`Code::NotFound`], or [`Code::NotReplayable`] while it is still under way.
    pub async fn replay(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        actor: &str,
        idempotency_key: Option<&str>,
    ) -> Result<DeliveryId, Problem> {
        let again = Again { shared: &self.shared, tenant, id, actor };
        let new_id = match idempotency_key {
            Some(key) => {
                let cause = format!("replay:{id}:{}", PlainDigest::of(key.as_bytes()).hex());
                match again.with_cause(&cause).await? {
                    Made::New(new_id) | Made::Before(new_id) => new_id,
                }
            }
            None => again.with_next_number().await?,
        };
        self.dispatcher.wake_poll();
        Ok(new_id)
    }
}

/// A delivery whose channel has moved was ended; this sends its message to where the channel points now, as an act of
/// the system with an intent of its own.
pub(crate) async fn follow_target(shared: &Shared, dispatcher: &crate::dispatch::Dispatcher, ready: &Ready) {
    let again = Again { shared, tenant: &ready.tenant, id: &ready.id, actor: "system" };
    match again.with_next_number().await {
        Ok(new_id) => {
            tracing::info!(delivery = %ready.id, %new_id, "the channel's target has changed; a new delivery goes there");
            dispatcher.wake_poll();
        }
        Err(problem) => {
            tracing::error!(delivery = %ready.id, %problem, "the new target gets no delivery; replay it")
        }
    }
}

/// Making a delivery from an old one.
struct Again<'a> {
    shared: &'a Shared,
    tenant: &'a TenantId,
    id: &'a DeliveryId,
    actor: &'a str,
}

enum Made {
    New(DeliveryId),
    /// This cause had been acted on.
    Before(DeliveryId),
}

impl Again<'_> {
    async fn with_next_number(&self) -> Result<DeliveryId, Problem> {
        for number in 1_u32..=1_000 {
            if let Made::New(new_id) = self.with_cause(&format!("replay:{}:{number}", self.id)).await? {
                return Ok(new_id);
            }
        }
        Err(Problem::new(
            Code::NotReplayable,
            "",
            format!("`{}` was replayed 1,000 times", self.id),
            "look into why",
        ))
    }

    async fn with_cause(&self, cause: &str) -> Result<Made, Problem> {
        let Self { shared, tenant, id, actor } = *self;
        let failed = |error: StoreError| {
            tracing::error!(delivery = %id, %error, "the replay could not be written");
            unavailable("the store cannot be used")
        };
        let not_found = || {
            let reason = format!("there is no delivery `{id}`");
            Problem::new(Code::NotFound, "", reason, "list them with `notify delivery list`")
        };
        let old = shared.store.delivery(tenant, id).await.map_err(failed)?.ok_or_else(not_found)?;
        if old.state == DeliveryState::Scheduled {
            return Err(still_running(id));
        }
        let row = old.delivery;
        let snapshot = shared.snapshots.get(tenant).await.map_err(failed)?;
        let target =
            snapshot.channels.get(&row.channel).map_or(row.target.clone(), |c| target_of(&c.document));
        let Ok(entropy) = entropy() else { return Err(unavailable("the operating system gives no entropy")) };
        let now = shared.clock.now();
        let Repeat { delivery, opening, entry } = repeat(tenant, row, cause, target, actor, now, &entropy);
        let new_id = delivery.id.clone();
        let effects = vec![Effect::CreateDelivery(Box::new(delivery)), Effect::KeepOpening(opening)];
        let over =
            DeliveryState::ALL.into_iter().filter(|state| *state != DeliveryState::Scheduled).collect();
        let commit = Commit::new(tenant.clone(), effects, vec![entry])
            .guarded(Guard::DeliveryState { delivery: id.clone(), any_of: over });
        match shared.store.commit(commit).await {
            Ok(_) => Ok(Made::New(new_id)),
            Err(StoreError::Refused(Refused::DeliveryExists(_))) => Ok(Made::Before(new_id)),
            Err(StoreError::Refused(Refused::WrongState(_))) => Err(still_running(id)),
            Err(error) => Err(failed(error)),
        }
    }
}

/// What one replay writes.
pub(crate) struct Repeat {
    pub delivery: NewDelivery,
    pub opening: Opening,
    pub entry: EntryDraft,
}

/// The message of `row` as a new delivery to `target` with an intent of its own.
pub(crate) fn repeat(
    tenant: &TenantId,
    row: NewDelivery,
    cause: &str,
    target: String,
    actor: &str,
    due_at: Timestamp,
    entropy: &[u8; 32],
) -> Repeat {
    let id = replay_id(tenant, &row, cause);
    let salted = |field| salt(entropy, id.as_str(), field, 0);
    let (message_salt, target_salt, actor_salt) = (salted("message"), salted("target"), salted("actor"));
    let message = Commitment::of(&message_salt, row.message.as_bytes());
    let intent = Intent {
        delivery: id.clone(),
        channel: row.channel.clone(),
        target: Commitment::of(&target_salt, target.as_bytes()),
        message,
        idempotency_key: id.to_string(),
    };
    let actor_commitment = Commitment::of(&actor_salt, actor.as_bytes());
    let opening =
        Opening { commitment: actor_commitment.hex(), salt: actor_salt, bytes: actor.as_bytes().to_vec() };
    let act = DeliveryAct::Replay { of: row.id.clone(), intent };
    let entry = DeliveryEntry { act, actor: Some(actor_commitment) }.into_draft();
    let delivery = NewDelivery {
        id,
        cause: cause.to_owned(),
        message_salt,
        message_commitment: message.to_string(),
        target,
        target_salt,
        created_at: due_at,
        due_at,
        claim: None,
        ..row
    };
    Repeat { delivery, opening, entry }
}

/// The target is not part of this id: acting twice on one cause is to be noticed also when it moved between.
fn replay_id(tenant: &TenantId, row: &NewDelivery, cause: &str) -> DeliveryId {
    let NewDelivery { rule, action, channel, .. } = row;
    DeliveryId::derive([tenant.as_str(), cause, rule.as_str(), action.as_str(), channel.as_str(), ""])
}

fn still_running(id: &DeliveryId) -> Problem {
    Problem::new(
        Code::NotReplayable,
        "",
        format!("`{id}` is still under way"),
        "wait until it is delivered or given up; `notify delivery get` shows its next attempt",
    )
}
