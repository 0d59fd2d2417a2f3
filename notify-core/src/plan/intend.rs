//! From an alert to the bytes that will be sent.

use super::decide::{Intent, PlannedDelivery, PlannedHold, event_cause};
use super::gate::{Asked, contact};
use super::snapshot::{CompiledRule, Snapshot};
use crate::document::rule::Action;
use crate::document::{Channel, channel};
use crate::ids::{ActionId, ChannelId, DeliveryId, HeldId, RuleId};
use crate::ledger::commitment::{Commitment, salt};
use crate::message::Message;
use crate::noise::Control;
use crate::problem::Problem;
use crate::render::{RenderContext, Rendered};
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value};

/// One delivery with what the ledger says of it.
pub(super) struct Made {
    pub delivery: PlannedDelivery,
    pub intent: Intent,
    /// Why the built-in message stands in place of the template's.
    pub failed: Option<Problem>,
}

/// What a delivery is made of, besides its message.
pub(super) struct Addressed<'a> {
    pub snapshot: &'a Snapshot,
    pub cause: String,
    pub rule: &'a RuleId,
    pub rule_version: u64,
    pub action: &'a ActionId,
    pub channel: &'a Channel,
}

/// The locale of what is sent to a channel for an action.
pub(super) fn locale<'a>(
    snapshot: &'a Snapshot,
    action: Option<&'a Action>,
    channel: &'a Channel,
) -> &'a str {
    let contact = contact(snapshot, channel).and_then(|(_, contact)| contact.locale.as_deref());
    let action = action.and_then(|action| action.locale.as_deref());
    action.or(channel.locale.as_deref()).or(contact).unwrap_or(&snapshot.default_locale)
}

pub(super) fn context<'a>(
    snapshot: &'a Snapshot,
    rule: &'a CompiledRule,
    channel: &'a ChannelId,
) -> RenderContext<'a> {
    RenderContext {
        tenant: snapshot.tenant.as_str(),
        rule_id: rule.rule.id.as_str(),
        rule_name: &rule.rule.name,
        channel_id: channel.as_str(),
    }
}

fn render(asked: &Asked<'_>) -> Rendered {
    let snapshot = asked.facts.snapshot;
    let channel = &asked.channel.document;
    let locale = locale(snapshot, Some(asked.action), channel);
    let context = context(snapshot, asked.rule, &channel.id);
    snapshot.library.render(asked.action.template.as_ref(), locale, &asked.facts.event.value, &context)
}

/// The versions of template and texts that the message was made of, and why it is not the template's.
pub(super) fn say_texts(rendered: &Rendered, parameters: &mut Map<String, Value>) {
    if let Some(digest) = &rendered.template_digest {
        parameters.insert("templateDigest".to_owned(), digest.as_str().into());
    }
    if !rendered.bundle_digests.is_empty() {
        parameters.insert("bundleDigests".to_owned(), rendered.bundle_digests.clone().into());
    }
    if let Some(problem) = &rendered.failed {
        parameters.insert("code".to_owned(), problem.code.as_str().into());
        parameters.insert("path".to_owned(), problem.path.as_str().into());
    }
}

/// An alert that is sent now.
pub(super) fn delivery(asked: &Asked<'_>, entropy: &[u8; 32], parameters: &mut Map<String, Value>) -> Made {
    let rendered = render(asked);
    say_texts(&rendered, parameters);
    let addressed = Addressed {
        snapshot: asked.facts.snapshot,
        cause: event_cause(&asked.facts.event.key),
        rule: &asked.rule.rule.id,
        rule_version: asked.rule.version,
        action: &asked.action.id,
        channel: &asked.channel.document,
    };
    let message_json = serde_json::to_string(&rendered.message).unwrap_or_default();
    let (delivery, intent) = addressed.first(rendered.message, message_json, entropy);
    Made { delivery, intent, failed: rendered.failed }
}

impl Addressed<'_> {
    /// A delivery whose message has not been committed to before.
    pub fn first(
        &self,
        message: Message,
        message_json: String,
        entropy: &[u8; 32],
    ) -> (PlannedDelivery, Intent) {
        let (id, _) = self.id();
        let message_salt = salt(entropy, id.as_str(), "message", 0);
        let commitment = Commitment::of(&message_salt, message_json.as_bytes());
        self.with(message, message_json, message_salt, commitment, entropy)
    }

    /// A delivery of a message that has its commitment.
    pub fn with(
        &self,
        message: Message,
        message_json: String,
        message_salt: [u8; 32],
        message_commitment: Commitment,
        entropy: &[u8; 32],
    ) -> (PlannedDelivery, Intent) {
        let (id, target) = self.id();
        let target_salt = salt(entropy, id.as_str(), "target", 0);
        let channel = self.channel.id.clone();
        let intent = Intent {
            delivery: id.clone(),
            channel: channel.clone(),
            target: Commitment::of(&target_salt, target.as_bytes()),
            message: message_commitment,
        };
        let delivery = PlannedDelivery {
            id,
            cause: self.cause.clone(),
            rule: self.rule.clone(),
            rule_version: self.rule_version,
            action: self.action.clone(),
            channel,
            message,
            message_json,
            message_salt,
            message_commitment,
            target,
            target_salt,
        };
        (delivery, intent)
    }

    fn id(&self) -> (DeliveryId, String) {
        let target = target_of(self.channel);
        let id = DeliveryId::derive([
            self.snapshot.tenant.as_str(),
            &self.cause,
            self.rule.as_str(),
            self.action.as_str(),
            self.channel.id.as_str(),
            &target,
        ]);
        (id, target)
    }
}

/// An alert that is sent later, if it still holds then: its message is rendered and committed to now.
pub(super) fn hold(
    asked: &Asked<'_>,
    control: Control,
    until: Timestamp,
    entropy: &[u8; 32],
    parameters: &mut Map<String, Value>,
) -> PlannedHold {
    let rendered = render(asked);
    say_texts(&rendered, parameters);
    let facts = asked.facts;
    let (rule, action, channel) = (&asked.rule.rule.id, &asked.action.id, &asked.channel.document.id);
    let parts = [
        facts.snapshot.tenant.as_str(),
        facts.event.key.as_str(),
        rule.as_str(),
        action.as_str(),
        channel.as_str(),
    ];
    let id = HeldId::derive(parts);
    let message_json = serde_json::to_string(&rendered.message).unwrap_or_default();
    let message_salt = salt(entropy, id.as_str(), "message", 0);
    let message_commitment = Commitment::of(&message_salt, message_json.as_bytes());
    parameters.insert("held".to_owned(), id.as_str().into());
    parameters.insert("until".to_owned(), rfc3339_millis(until).into());
    parameters.insert("message".to_owned(), message_commitment.to_string().into());
    PlannedHold {
        id,
        rule: rule.clone(),
        rule_version: asked.rule.version,
        action: action.clone(),
        channel: channel.clone(),
        control,
        release_at: until,
        message: rendered.message,
        message_json,
        message_salt,
        message_commitment,
    }
}

/// Where a channel sends: its `url`, `to` or `channel`; the reference of the secret that is its address; or else its whole
/// configuration as JSON.
#[must_use]
pub fn target_of(channel: &Channel) -> String {
    // The studio itself: how long items are kept is no other place.
    if channel.is_console() {
        return channel::INBOX.to_owned();
    }
    for key in ["url", "to", "channel"] {
        match channel.config.get(key) {
            Some(Value::String(text)) => return text.clone(),
            Some(Value::Array(several)) if several.iter().all(Value::is_string) => {
                return several.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ");
            }
            _ => {}
        }
    }
    if let Some(reference) = channel.secrets.get("url").and_then(|references| references.first()) {
        return String::from(reference.clone());
    }
    serde_json::to_string(&channel.config).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::target_of;
    use serde_json::json;

    #[test]
    fn targets() {
        let check = |config: serde_json::Value, secrets: serde_json::Value, expected: &str| {
            let channel = json!({"schema": "notify-channel@1", "id": "c", "name": "C", "type": "t",
                "config": config, "secrets": secrets});
            assert_eq!(target_of(&serde_json::from_value(channel).unwrap()), expected);
        };
        check(json!({"url": "https://a.example/x"}), json!({}), "https://a.example/x");
        check(json!({"to": ["a@example.org", "b@example.org"]}), json!({}), "a@example.org, b@example.org");
        check(json!({"channel": "#ops"}), json!({"token": ["secret://file/t"]}), "#ops");
        check(json!({}), json!({"url": ["secret://file/new", "secret://file/old"]}), "secret://file/new");
        check(json!({"host": "h"}), json!({}), r#"{"host":"h"}"#);
        let console = crate::document::console::built_in().map(|inbox| target_of(&inbox.document));
        assert_eq!(console.as_deref(), Some("inbox"));
    }
}
