//! What people ask for: preview and replay; and the one act that a receiver asks for, by answering 410.

use crate::clock::entropy;
use crate::dispatch::Ready;
use crate::worker::{Shared, Worker, unavailable};
use notify_connector_host::{Phase, PrepareInput};
use notify_core::document::{Channel, Kind, Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{ActionId, ChannelId, DeliveryId, RuleId, TemplateId, TenantId};
use notify_core::ledger::commitment::{Commitment, salt};
use notify_core::ledger::entry::{
    ConfigAction, ConfigEntry, DeliveryAct, DeliveryEntry, DocumentContent, Intent,
};
use notify_core::message::Message;
use notify_core::plan::{Decision, PlannedDelivery, Snapshot, plan};
use notify_core::problem::{Code, Problem};
use notify_store::model::{DeliveryState, NewDelivery, Opening};
use notify_store::{Commit, Effect, Guard, Refused, StoreError};

/// What would be sent for an event, and why; nothing is.
#[derive(Debug)]
pub struct Previewed {
    pub decisions: Vec<PreviewedDecision>,
    /// Enabled rules that do not match.
    pub unmatched: u64,
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
    pub message: Option<Message>,
    /// Method, URL, headers and body exactly as they would leave, with ‹secret:name› in place of secrets.
    pub request: Option<String>,
    /// Why the fallback template was used, or why there is no request.
    pub problem: Option<Problem>,
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
            None => self.shared.snapshots.get(tenant).await.map_err(store_fails)?,
            Some(rule) => {
                notify_core::pattern::Pattern::compile(&rule.document.r#match)
                    .map_err(|problem| problem.under("/match"))?;
                let mut configuration = self.shared.store.configuration(tenant).await.map_err(store_fails)?;
                configuration.documents.retain(|document| document.kind != Kind::Rule);
                let locale = self.shared.snapshots.default_locale();
                let mut rule = rule;
                rule.document.enabled = true;
                let (snapshot, _) =
                    crate::snapshots::compile_with_rules(tenant, &configuration, locale, vec![rule]);
                std::sync::Arc::new(snapshot)
            }
        };
        let planned = plan(&snapshot, event, now, &entropy);
        let mut deliveries = planned.deliveries.iter();
        let mut decisions = Vec::new();
        for decision in &planned.decisions {
            let delivery = decision.verdict.intent().and_then(|_| deliveries.next());
            decisions.push(self.previewed(&snapshot, decision, delivery, now).await);
        }
        Ok(Previewed { decisions, unmatched: planned.unmatched })
    }

    async fn previewed(
        &self,
        snapshot: &Snapshot,
        decision: &Decision,
        delivery: Option<&PlannedDelivery>,
        now: notify_core::time::Timestamp,
    ) -> PreviewedDecision {
        use notify_core::plan::Verdict;
        let (control, problem) = match &decision.verdict {
            Verdict::Suppressed { control, .. } => (Some(*control), None),
            Verdict::SendFallback(_, problem) => (None, Some(problem.clone())),
            Verdict::Send(_) => (None, None),
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
            message: delivery.map(|delivery| delivery.message.clone()),
            request: None,
            problem,
        };
        if let (Some(delivery), Some(channel)) = (delivery, channel) {
            let names: Vec<String> = channel.document.secrets.keys().cloned().collect();
            let config_json = serde_json::to_vec(&channel.document.config).unwrap_or_default();
            let input = PrepareInput {
                config_json: &config_json,
                secret_names: &names,
                message_json: delivery.message_json.as_bytes(),
                delivery_id: delivery.id.as_str(),
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

    /// Sends a delivery that is over once more, as a new delivery with the same message and an id of its own.
    ///
    /// # Errors
    /// [`Code::NotFound`], or [`Code::NotReplayable`] while it is still under way.
    pub async fn replay(
        &self,
        tenant: &TenantId,
        id: &DeliveryId,
        actor: &str,
    ) -> Result<DeliveryId, Problem> {
        let store = &self.shared.store;
        let failed = |error: StoreError| {
            tracing::error!(delivery = %id, %error, "the replay could not be written");
            unavailable("the store cannot be used")
        };
        let not_found = || {
            Problem::new(
                Code::NotFound,
                "",
                format!("there is no delivery `{id}`"),
                "list them with `notify delivery list`",
            )
        };
        let old = store.delivery(tenant, id).await.map_err(failed)?.ok_or_else(not_found)?;
        if old.state == DeliveryState::Scheduled {
            return Err(still_running(id));
        }
        for number in 1_u32..=10_000 {
            let Ok(entropy) = entropy() else {
                return Err(unavailable("the operating system gives no entropy"));
            };
            let cause = format!("replay:{id}:{number}");
            let row = &old.delivery;
            let new_id = DeliveryId::derive([
                tenant.as_str(),
                &cause,
                row.rule.as_str(),
                row.action.as_str(),
                row.channel.as_str(),
                &row.target,
            ]);
            if store.delivery(tenant, &new_id).await.map_err(failed)?.is_some() {
                continue;
            }
            let now = self.shared.clock.now();
            let salted = |field| salt(&entropy, new_id.as_str(), field, 0);
            let (message_salt, target_salt, actor_salt) =
                (salted("message"), salted("target"), salted("actor"));
            let message = Commitment::of(&message_salt, row.message.as_bytes());
            let message_commitment = message.to_string();
            let intent = Intent {
                delivery: new_id.clone(),
                channel: row.channel.clone(),
                target: Commitment::of(&target_salt, row.target.as_bytes()),
                message,
                idempotency_key: new_id.to_string(),
            };
            let actor_commitment = Commitment::of(&actor_salt, actor.as_bytes());
            let opening = Opening {
                commitment: actor_commitment.hex(),
                salt: actor_salt,
                bytes: actor.as_bytes().to_vec(),
            };
            let act = DeliveryAct::Replay { of: id.clone(), intent };
            let entry = DeliveryEntry { act, actor: Some(actor_commitment) }.into_draft();
            let delivery = NewDelivery {
                id: new_id.clone(),
                cause,
                message_salt,
                message_commitment,
                target_salt,
                created_at: now,
                due_at: now,
                claim: None,
                ..row.clone()
            };
            let effects = vec![Effect::CreateDelivery(Box::new(delivery)), Effect::KeepOpening(opening)];
            let commit = Commit::new(tenant.clone(), effects, vec![entry]).guarded(Guard::DeliveryState {
                delivery: id.clone(),
                any_of: vec![
                    DeliveryState::Delivered,
                    DeliveryState::Accepted,
                    DeliveryState::Dead,
                    DeliveryState::Cancelled,
                ],
            });
            match store.commit(commit).await {
                Ok(_) => {
                    self.dispatcher.wake_poll();
                    return Ok(new_id);
                }
                Err(StoreError::Refused(Refused::DeliveryExists(_))) => {}
                Err(StoreError::Refused(Refused::WrongState(_))) => return Err(still_running(id)),
                Err(error) => return Err(failed(error)),
            }
        }
        Err(Problem::new(
            Code::NotReplayable,
            "",
            format!("`{id}` was replayed 10,000 times"),
            "look into why",
        ))
    }
}

fn still_running(id: &DeliveryId) -> Problem {
    Problem::new(
        Code::NotReplayable,
        "",
        format!("`{id}` is still under way"),
        "wait until it is delivered or given up; `notify delivery get` shows its next attempt",
    )
}

/// The actor of what the studio does by itself.
const SYSTEM: &[u8] = b"system";

/// HTTP 410: the receiver will never take anything again. The channel is disabled, as an act of the system on the
/// record; a person enables it again.
pub(crate) async fn disable_gone_channel(
    shared: &Shared,
    tenant: &TenantId,
    channel: &Version<Channel>,
    ready: &Ready,
) {
    let mut document = channel.document.clone();
    document.enabled = false;
    let id = document.id.to_string();
    let written = serde_json::to_value(&document).map_err(|error| error.to_string()).and_then(|value| {
        notify_core::document::parse_any(Kind::Channel, &value).map_err(|problem| problem.to_string())
    });
    let (_, body, digest) = match written {
        Ok(parts) => parts,
        Err(problem) => {
            return tracing::error!(channel = id, %problem, "a gone channel could not be disabled");
        }
    };
    let Ok(entropy) = entropy() else { return };
    let (actor_salt, config_salt) = (salt(&entropy, &id, "actor", 0), salt(&entropy, &id, "config", 0));
    let actor = Commitment::of(&actor_salt, SYSTEM);
    let content = Commitment::of(&config_salt, body.as_bytes());
    let opened = |commitment: &Commitment, salt, bytes: &[u8]| {
        Effect::KeepOpening(Opening { commitment: commitment.hex(), salt, bytes: bytes.to_vec() })
    };
    let openings = [opened(&actor, actor_salt, SYSTEM), opened(&content, config_salt, body.as_bytes())];
    let entry = ConfigEntry {
        document_kind: Kind::Channel.as_str().to_owned(),
        document: id.clone(),
        version: channel.version + 1,
        action: ConfigAction::Replace,
        content: DocumentContent::Committed(content),
        actor,
    };
    let at = shared.clock.now();
    let effect = Effect::PutDocument { kind: Kind::Channel, id: id.clone(), digest, body, at };
    let expected = Some(channel.version);
    let effects = std::iter::once(effect).chain(openings).collect();
    let commit = Commit::new(tenant.clone(), effects, vec![entry.into_draft()])
        .guarded(Guard::DocumentVersion { kind: Kind::Channel, id: id.clone(), expected });
    match shared.store.commit(commit).await {
        Ok(_) => {
            tracing::warn!(tenant = %tenant, channel = id, delivery = %ready.id, "the receiver is gone (410); channel disabled");
            if let Err(error) = shared.snapshots.reload(tenant).await {
                tracing::error!(tenant = %tenant, %error, "the configuration could not be reloaded");
            }
        }
        // Somebody changed the channel meanwhile, perhaps to a new address: leave it alone.
        Err(StoreError::Refused(Refused::DocumentChanged { .. })) => {}
        Err(error) => tracing::error!(channel = id, %error, "a gone channel could not be disabled"),
    }
}
