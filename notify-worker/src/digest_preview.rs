//! What several events would look like as one message; nothing is sent or kept. The same rendering and the same codec as
//! a digest at its flush.

use crate::worker::{Worker, unavailable};
use notify_connector_host::{Phase, PrepareInput};
use notify_core::document::{Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{ActionId, ChannelId, DigestId, RuleId, TemplateId, TenantId};
use notify_core::message::Message;
use notify_core::noise::{Control, Window};
use notify_core::plan::{Collected, Place, rendered_digest, retained, severity_of};
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Which action the digest would be of.
#[derive(Debug)]
pub struct OfRule {
    pub rule: RuleId,
    /// In place of the saved rule.
    pub unsaved: Option<Version<Rule>>,
    /// `None`: the rule's first.
    pub action: Option<ActionId>,
    /// Why there would be a digest.
    pub control: Control,
}

/// A digest as it would be sent.
#[derive(Debug)]
pub struct PreviewedDigest {
    pub rule: RuleId,
    pub action: ActionId,
    pub channel: ChannelId,
    pub channel_type: Option<String>,
    pub template: Option<TemplateId>,
    pub count: u64,
    pub retained: u64,
    pub message: Message,
    pub request: Option<String>,
    pub problem: Option<Problem>,
}

impl Worker {
    /// Renders these events as one message and prepares its request. Whether the rule matches them is not asked.
    ///
    /// # Errors
    /// When there is no such rule or action, or the store cannot be read.
    pub async fn preview_digest(
        &self,
        tenant: &TenantId,
        of: OfRule,
        events: &[Event],
    ) -> Result<PreviewedDigest, Problem> {
        let mut snapshot = self.shared.snapshots.reload(tenant).await.map_err(|error| {
            tracing::error!(tenant = %tenant, %error, "the configuration could not be read");
            unavailable("the store cannot be read")
        })?;
        if let Some(rule) = of.unsaved {
            snapshot = Arc::new(snapshot.with_rule_alone(rule)?);
        }
        let rule = snapshot.rule(&of.rule).map_err(|problem| problem.under("/rule"))?;
        let wanted = |id: &ActionId| of.action.as_ref().is_none_or(|action| action == id);
        let action = rule.rule.actions.iter().find(|action| wanted(&action.id)).ok_or_else(|| {
            let ids: Vec<_> = rule.rule.actions.iter().map(|action| action.id.as_str()).collect();
            let reason = format!("rule `{}` has no such action", rule.rule.id);
            Problem::new(Code::NotFound, "/action", reason, format!("it has {}", ids.join(", ")))
        })?;
        let now = self.shared.clock.now();
        let mut events: Vec<(Timestamp, &Event)> =
            events.iter().map(|event| (accepted(event, now), event)).collect();
        events.sort_by_key(|(at, _)| *at);
        let (from, to) =
            (events.first().map_or(now, |first| first.0), events.last().map_or(now, |last| last.0));
        let id = DigestId::derive([tenant.as_str(), "preview"]);
        let window = Window {
            id: id.clone(),
            rule: rule.rule.id.clone(),
            action: action.id.clone(),
            channel: action.channel.clone(),
            control: of.control,
            opened_at: from.as_microsecond(),
            closes_at: to.as_microsecond(),
            cap_at: None,
            count: u32::try_from(events.len()).unwrap_or(u32::MAX),
            severity: events.iter().map(|(_, event)| severity_of(&event.value)).max().unwrap_or_default(),
            max: None,
            full: false,
            passes: false,
        };
        let places: Vec<Place> = (1..)
            .zip(&events)
            .map(|(number, (_, event))| Place { number, severity: severity_of(&event.value) })
            .collect();
        let shown = retained(&snapshot, &window, &places).into_iter().filter_map(|number| {
            let (at, event) = events.get((number as usize).checked_sub(1)?)?;
            Some(notify_core::plan::Shown {
                event: event.value.clone(),
                rule: rule.rule.id.clone(),
                action: action.id.clone(),
                severity: severity_of(&event.value),
                at: *at,
            })
        });
        let collected = Collected { shown: shown.collect(), ..Collected::default() };
        let count = events.len() as u64;
        let retained = collected.shown.len() as u64;
        let unknown = || {
            let reason = format!("there is no channel `{}`", action.channel);
            Problem::new(Code::UnknownReference, "/channel", reason, "create it, or name another one")
        };
        let channel = snapshot.channels.get(&action.channel).ok_or_else(unknown)?;
        let (delivery, failed) = rendered_digest(&snapshot, &window, collected, to).ok_or_else(unknown)?;
        let mut shown = PreviewedDigest {
            rule: rule.rule.id.clone(),
            action: action.id.clone(),
            channel: action.channel.clone(),
            channel_type: Some(channel.document.r#type.clone()),
            template: action.digest.as_ref().and_then(|digest| digest.template.clone()),
            count,
            retained,
            message: delivery.message,
            request: None,
            problem: failed,
        };
        if channel.document.is_console() {
            return Ok(shown);
        }
        let names = crate::provided::names(&self.shared, tenant, &channel.document, now).await;
        let names = names.map_err(|error| {
            tracing::error!(tenant = %tenant, %error, "opt-outs could not be read");
            unavailable("the store cannot be read")
        })?;
        let config_json = serde_json::to_vec(&channel.document.config).unwrap_or_default();
        let input = PrepareInput {
            config_json: &config_json,
            secret_names: &names,
            check: false,
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
            Ok(request) => shown.request = Some(String::from_utf8_lossy(&request.redacted()).into_owned()),
            Err(fault) => {
                let fix = "look at the channel's config and at `notify plugin list`";
                shown.problem = Some(Problem::new(Code::InvalidChannel, "", fault.to_string(), fix));
            }
        }
        Ok(shown)
    }
}

/// When it would have come: its own time, where it has one.
fn accepted(event: &Event, now: Timestamp) -> Timestamp {
    let time = event.value.get("time").and_then(Value::as_str);
    time.and_then(|time| time.parse().ok()).unwrap_or(now)
}
