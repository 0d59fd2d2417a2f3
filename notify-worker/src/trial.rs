//! What people do with a channel to see whether it works: a test message, a check, its secrets read anew.

use crate::checks;
use crate::clock::entropy;
use crate::worker::{Worker, unavailable};
use notify_core::document::channel::SecretRef;
use notify_core::document::{Channel, Version};
use notify_core::ids::{ActionId, ChannelId, DeliveryId, RuleId, TenantId, hex};
use notify_core::ledger::commitment::{Commitment, PlainDigest, salt};
use notify_core::ledger::entry::{AccessEntry, DeliveryAct, DeliveryEntry, Intent};
use notify_core::message::Message;
use notify_core::plan::target_of;
use notify_core::problem::{Code, Problem};
use notify_core::severity::Severity;
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::{NewDelivery, Opening};
use notify_store::{Commit, Effect, Refused, StoreError};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Rule and action of a test's delivery; no rule made it.
const RULE: &str = "channel-test";
const ACTION: &str = "test";

/// What is kept of a secret's value: nothing that tells of it without a key that is not in the store. It is never shown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Fingerprint {
    print: String,
    since: String,
}

pub(crate) fn store_fails(error: &StoreError) -> Problem {
    tracing::error!(%error, "a channel's state could not be read or written");
    unavailable("the store cannot be used")
}

impl Worker {
    pub(crate) async fn channel_of(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
    ) -> Result<Version<Channel>, Problem> {
        let snapshot = self.shared.snapshots.reload(tenant).await.map_err(|error| store_fails(&error))?;
        snapshot.channels.get(channel).cloned().ok_or_else(|| {
            let reason = format!("there is no channel `{channel}`");
            Problem::new(Code::NotFound, "", reason, "list them with `notify channel list`")
        })
    }

    /// Sends a message that says it is a test, the way of every delivery. The same `idempotency_key` gives the same one.
    ///
    /// # Errors
    /// [`Code::NotFound`], [`Code::ChannelDisabled`].
    pub async fn test_channel(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        actor: &str,
        idempotency_key: Option<&str>,
    ) -> Result<DeliveryId, Problem> {
        let channel = self.channel_of(tenant, channel).await?.document;
        if !channel.enabled {
            let id = &channel.id;
            let reason = format!("the channel `{id}` is disabled, so nothing is sent to it");
            return Err(Problem::new(
                Code::ChannelDisabled,
                "",
                reason,
                format!("`notify channel enable {id}`"),
            ));
        }
        let Ok(entropy) = entropy() else { return Err(unavailable("the operating system gives no entropy")) };
        let unique = match idempotency_key {
            Some(key) => PlainDigest::of(key.as_bytes()).hex(),
            None => hex(&salt(&entropy, channel.id.as_str(), "test", 0)),
        };
        let cause = format!("test:{}:{}", channel.id, unique.get(..32).unwrap_or(&unique));
        let now = self.shared.clock.now();
        let locale = channel.locale.as_deref().unwrap_or(self.shared.snapshots.default_locale());
        let message = message(&channel, locale, now);
        let message =
            serde_json::to_string(&message).map_err(|_| unavailable("the message cannot be written"))?;
        let target = target_of(&channel);
        let (Ok(rule), Ok(action)) = (RuleId::new(RULE), ActionId::new(ACTION)) else {
            return Err(unavailable("a test has no name"));
        };
        let id = DeliveryId::derive([tenant.as_str(), &cause, RULE, ACTION, channel.id.as_str(), ""]);
        let salted = |field| salt(&entropy, id.as_str(), field, 0);
        let (message_salt, target_salt, actor_salt) = (salted("message"), salted("target"), salted("actor"));
        let committed = Commitment::of(&message_salt, message.as_bytes());
        let actor_commitment = Commitment::of(&actor_salt, actor.as_bytes());
        let opening = Opening {
            commitment: actor_commitment.hex(),
            salt: actor_salt,
            bytes: actor.as_bytes().to_vec(),
        };
        let intent = Intent {
            delivery: id.clone(),
            channel: channel.id.clone(),
            target: Commitment::of(&target_salt, target.as_bytes()),
            message: committed,
            idempotency_key: id.to_string(),
        };
        let entry = DeliveryEntry { act: DeliveryAct::Test { intent }, actor: Some(actor_commitment) };
        let delivery = NewDelivery {
            id: id.clone(),
            event: None,
            cause,
            rule,
            rule_version: 0,
            action,
            channel: channel.id,
            message,
            message_salt,
            message_commitment: committed.to_string(),
            target,
            target_salt,
            created_at: now,
            due_at: now,
            claim: None,
        };
        let effects = vec![Effect::CreateDelivery(Box::new(delivery)), Effect::KeepOpening(opening)];
        let commit = Commit::new(tenant.clone(), effects, vec![entry.into_draft()]);
        match self.shared.store.commit(commit).await {
            Ok(committed) => self.shared.metrics.entries.add(committed.seqs.len() as u64),
            Err(StoreError::Refused(Refused::DeliveryExists(_))) if idempotency_key.is_some() => {}
            Err(error) => return Err(store_fails(&error)),
        }
        self.dispatcher.wake_poll();
        Ok(id)
    }

    /// Asks the plug-in now whether the channel would work.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub async fn check_channel(&self, tenant: &TenantId, channel: &ChannelId) -> Result<Value, Problem> {
        let channel = self.channel_of(tenant, channel).await?.document;
        let checked = checks::check(self, tenant, &channel).await;
        let (check, http_status) = checked.map_err(|error| store_fails(&error))?;
        Ok(json!({
            "channel": channel.id, "result": check.result, "text": check.text, "at": rfc3339_millis(check.at),
            "httpStatus": http_status,
        }))
    }

    /// Reads the channel's secrets now, closes its breaker and brings what waited for a secret forward.
    ///
    /// # Errors
    /// [`Code::NotFound`].
    pub async fn refresh_secrets(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        actor: &str,
    ) -> Result<Value, Problem> {
        let fails = |error: StoreError| store_fails(&error);
        let channel = self.channel_of(tenant, channel).await?.document;
        let (store, now) = (&self.shared.store, self.shared.clock.now());
        let Ok(random) = entropy() else { return Err(unavailable("the operating system gives no entropy")) };
        let state = store.channel_state(tenant, &channel.id).await.map_err(fails)?.unwrap_or_default();
        let known = known(state.secrets.as_deref());
        let (shown, kept) = self.secrets(tenant, &channel, &known, Some(now)).await;
        let all_readable = shown.iter().all(|secret| secret["readable"] == true);
        let kept = serde_json::to_string(&kept).unwrap_or_default();
        store.note_channel_secrets(tenant, &channel.id, &kept).await.map_err(fails)?;
        let actor_salt = salt(&random, channel.id.as_str(), "actor", 0);
        let actor_commitment = Commitment::of(&actor_salt, actor.as_bytes());
        let mut details = Map::new();
        details.insert("channel".into(), channel.id.as_str().into());
        details.insert("readable".into(), all_readable.into());
        let entry = AccessEntry {
            act: "secrets-refreshed".into(),
            actor: actor_commitment,
            details,
            about: format!("channel/{}", channel.id),
        };
        let opening = Opening {
            commitment: actor_commitment.hex(),
            salt: actor_salt,
            bytes: actor.as_bytes().to_vec(),
        };
        let commit =
            Commit::new(tenant.clone(), vec![Effect::KeepOpening(opening)], vec![entry.into_draft()]);
        let committed = store.commit(commit).await.map_err(fails)?;
        self.shared.metrics.entries.add(committed.seqs.len() as u64);
        let closed = crate::gate::close(&self.shared, &self.dispatcher, tenant, &channel.id, now);
        let closed = closed.await.map_err(fails)?;
        crate::gate::resume(&self.shared, &self.dispatcher, tenant, &channel, now).await.map_err(fails)?;
        let hurried = match all_readable {
            true => store.hurry(tenant, &channel.id, now, true).await.map_err(fails)?,
            false => 0,
        };
        self.dispatcher.wake_poll();
        Ok(json!({
            "channel": channel.id, "secrets": shown, "breakerClosed": closed, "deliveriesDueNow": hurried,
        }))
    }

    /// Each reference of a channel's secrets: whether it can be read, and since when it has the value that it has. With
    /// `anew` values are compared with what is known of them. Files are read, so this is off the threads that serve others.
    pub(crate) async fn secrets(
        &self,
        tenant: &TenantId,
        channel: &Channel,
        known: &BTreeMap<String, Value>,
        anew: Option<Timestamp>,
    ) -> (Vec<Value>, BTreeMap<String, Value>) {
        if channel.secrets.is_empty() {
            return Default::default();
        }
        let (worker, tenant, channel, known) = (self.clone(), tenant.clone(), channel.clone(), known.clone());
        let read = tokio::task::spawn_blocking(move || worker.read_secrets(&tenant, &channel, &known, anew));
        read.await.unwrap_or_else(|error| {
            tracing::error!(%error, "the secrets of a channel were not looked at");
            Default::default()
        })
    }

    fn read_secrets(
        &self,
        tenant: &TenantId,
        channel: &Channel,
        known: &BTreeMap<String, Value>,
        anew: Option<Timestamp>,
    ) -> (Vec<Value>, BTreeMap<String, Value>) {
        let (mut shown, mut kept) = (Vec::new(), BTreeMap::new());
        let keys = self.shared.options.print_keys.as_ref();
        let references =
            channel.secrets.iter().flat_map(|(name, all)| all.iter().map(move |one| (name, one)));
        for (name, reference) in references {
            let one = BTreeMap::from([(name.clone(), vec![reference.clone()])]);
            let text = String::from(SecretRef::clone(reference));
            let about = format!("{tenant}\n{}\n{text}", channel.id);
            let before = known.get(&text).and_then(|known| Fingerprint::deserialize(known).ok());
            let read = self.shared.secrets.resolve(tenant, &one);
            let mut line = json!({"name": name, "reference": text, "readable": read.is_ok()});
            let fresh = match &read {
                Ok(values) => anew.zip(keys).and_then(|(now, keys)| {
                    let value = values.newest(name)?.expose();
                    let same = before.as_ref().filter(|before| keys.is_print(&before.print, &about, value));
                    let since = same.map_or_else(|| rfc3339_millis(now), |same| same.since.clone());
                    Some(Fingerprint { print: keys.print(&about, value)?, since })
                }),
                Err(fault) => {
                    line["problem"] = fault.reason.to_string().into();
                    None
                }
            };
            if let Some(print) = fresh.or(before) {
                line["sinceAt"] = print.since.clone().into();
                kept.insert(text, json!(print));
            }
            shown.push(line);
        }
        (shown, kept)
    }
}

pub(crate) fn known(secrets: Option<&str>) -> BTreeMap<String, Value> {
    secrets.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default()
}

/// German for every kind of German, English for all others. In code, so that nothing a tenant writes can break it. Who sent
/// it stands in the ledger: recipients may be strangers to them.
fn message(channel: &Channel, locale: &str, now: Timestamp) -> Message {
    let german = locale.split(['-', '_']).next().is_some_and(|language| language.eq_ignore_ascii_case("de"));
    let (name, at) = (&channel.name, rfc3339_millis(now));
    let (title, summary, footer, tag) = if german {
        (
            format!("Testnachricht an den Kanal {name}"),
            "Das ist ein Test; es ist nichts passiert, und es ist nichts zu tun.".to_owned(),
            format!("Testnachricht von Notify Studio, ausgelöst um {at}"),
            "de",
        )
    } else {
        (
            format!("Test message to the channel {name}"),
            "This is a test: nothing has happened, and nothing has to be done.".to_owned(),
            format!("Test message of Notify Studio, sent at {at}"),
            "en",
        )
    };
    Message { title, summary, severity: Severity::Info, footer, locale: tag.to_owned(), ..Message::default() }
}
