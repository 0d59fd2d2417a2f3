//! What several events would look like as one message; nothing is sent or kept. The same rendering and the same codec as
//! a digest at its flush.

use crate::worker::{Worker, unavailable};
use notify_connector_host::{Phase, PrepareInput};
use notify_core::document::noise::Keep;
use notify_core::document::{Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{ActionId, ChannelId, DigestId, RuleId, TemplateId, TenantId};
use notify_core::message::Message;
use notify_core::problem::{Code, Problem};
use notify_core::render::{DigestInput, DigestItem, RenderContext, Rendered};
use notify_core::severity::Severity;
use notify_core::time::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// Alerts shown where the action says nothing.
const RETAINED: usize = 10;

/// Which action the digest would be of.
#[derive(Debug)]
pub struct OfRule {
    pub rule: RuleId,
    /// In place of the saved rule.
    pub unsaved: Option<Version<Rule>>,
    /// `None`: the rule's first.
    pub action: Option<ActionId>,
    /// Why there would be a digest.
    pub control: &'static str,
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
        let channel = snapshot.channels.get(&action.channel);
        let of_channel = channel.and_then(|channel| channel.document.locale.as_deref());
        let locale = action.locale.as_deref().or(of_channel).unwrap_or(&snapshot.default_locale);
        let context = RenderContext {
            tenant: tenant.as_str(),
            rule_id: rule.rule.id.as_str(),
            rule_name: &rule.rule.name,
            channel_id: action.channel.as_str(),
        };
        let digest = action.digest.as_ref();
        let retain = digest.map_or(RETAINED, |digest| usize::try_from(digest.retain).unwrap_or(usize::MAX));
        let keep = digest.map(|digest| digest.keep).unwrap_or_default();
        let template = digest.and_then(|digest| digest.template.clone());
        let now = self.shared.clock.now();
        let mut items: Vec<DigestItem> = events.iter().map(|event| item(event, now)).collect();
        let from = items.iter().map(|item| item.at).min().unwrap_or(now);
        let to = items.iter().map(|item| item.at).max().unwrap_or(now);
        let severity = items.iter().map(|item| item.severity).max().unwrap_or_default();
        let count = items.len() as u64;
        retain_some(&mut items, keep, retain);
        for item in &mut items {
            item.message_title =
                snapshot.library.title(action.template.as_ref(), locale, &item.event, &context);
        }
        let retained = items.len() as u64;
        let input = DigestInput { count, from, to, control: of.control, severity, items, time_zone: "UTC" };
        let Rendered { message, failed, .. } =
            snapshot.library.render_digest(template.as_ref(), locale, &input, &context);
        let mut shown = PreviewedDigest {
            rule: rule.rule.id.clone(),
            action: action.id.clone(),
            channel: action.channel.clone(),
            channel_type: channel.map(|channel| channel.document.r#type.clone()),
            template,
            count,
            retained,
            message,
            request: None,
            problem: failed,
        };
        let Some(channel) = channel else {
            let reason = format!("there is no channel `{}`", action.channel);
            let problem = Problem::new(Code::UnknownReference, "", reason, "create it, or name another one");
            shown.problem.get_or_insert(problem);
            return Ok(shown);
        };
        let names: Vec<String> = channel.document.secrets.keys().cloned().collect();
        let config_json = serde_json::to_vec(&channel.document.config).unwrap_or_default();
        let message_json = serde_json::to_vec(&shown.message).unwrap_or_default();
        let id = DigestId::derive([tenant.as_str(), "preview"]);
        let input = PrepareInput {
            config_json: &config_json,
            secret_names: &names,
            message_json: &message_json,
            delivery_id: &id.as_str().replace(DigestId::PREFIX, notify_core::ids::DeliveryId::PREFIX),
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

fn item(event: &Event, now: Timestamp) -> DigestItem {
    let text = |name: &str| event.value.get(name).and_then(Value::as_str);
    DigestItem {
        message_title: String::new(),
        severity: text("severity").and_then(Severity::from_name).unwrap_or_default(),
        at: text("time").and_then(|time| time.parse().ok()).unwrap_or(now),
        event: event.value.clone(),
    }
}

/// The ones that a digest shows, in the order in which they came.
fn retain_some(items: &mut Vec<DigestItem>, keep: Keep, retain: usize) {
    items.sort_by_key(|item| item.at);
    match keep {
        Keep::First => items.truncate(retain),
        Keep::Last => {
            items.drain(..items.len().saturating_sub(retain));
        }
        Keep::Severest => {
            items.sort_by_key(|item| std::cmp::Reverse((item.severity, item.at)));
            items.truncate(retain);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_ones_are_shown() {
        let check = |keep: Keep, retain: usize, expected: &[i64]| {
            let severities = [Severity::Low, Severity::High, Severity::Info, Severity::High];
            let items = severities.into_iter().zip([4_i64, 1, 3, 2]).map(|(severity, second)| DigestItem {
                event: Value::Null,
                message_title: String::new(),
                severity,
                at: Timestamp::from_second(second).unwrap_or_default(),
            });
            let mut items: Vec<_> = items.collect();
            retain_some(&mut items, keep, retain);
            assert_eq!(
                items.iter().map(|item| item.at.as_second()).collect::<Vec<_>>(),
                expected,
                "{keep:?}"
            );
        };
        check(Keep::First, 2, &[1, 2]);
        check(Keep::Last, 2, &[3, 4]);
        check(Keep::Severest, 3, &[2, 1, 4]);
        check(Keep::Last, 9, &[1, 2, 3, 4]);
        check(Keep::First, 0, &[]);
    }
}
