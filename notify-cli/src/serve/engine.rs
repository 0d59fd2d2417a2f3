//! Where the web layer and the worker meet.

use super::monitor::Monitor;
use super::observed;
use notify_bus::Bus;
use notify_connector_host::manifest::Kind as PluginKind;
use notify_connector_host::request::Outcome;
use notify_connector_host::secrets::SecretResolver;
use notify_connector_host::{ConnectorHost, HostFault, Phase, PluginStatus as HostPlugin, PrepareInput};
use notify_core::document::channel::CONSOLE;
use notify_core::document::console::check_console;
use notify_core::document::{Channel, Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{ChannelId, DeliveryId, TenantId};
use notify_core::noise::Control;
use notify_core::plan::Explained;
use notify_core::problem::{Code, Problem};
use notify_core::time::rfc3339_millis;
use notify_store::model::{Page, Paged};
use notify_webservice::engine::{
    Accepted, Actor, BoxFuture, DigestAsked, DigestPreview, Engine, PluginStatus, Preview, PreviewedAction,
    PreviewedRule, Readiness, Redrive, Redriven, Skipped,
};
use notify_worker::Worker;
use notify_worker::acts::{Previewed, PreviewedDecision};
use notify_worker::redrive::Pace;
use serde_json::Value;
use std::sync::Arc;

/// The engine of this process. Without a worker (role `web`) it takes events and shows plug-ins; acts that need the
/// owner are refused.
pub struct StudioEngine {
    pub bus: Bus,
    pub worker: Option<Worker>,
    pub host: Arc<ConnectorHost>,
    pub monitor: Arc<Monitor>,
    /// The operator's egress policy, to refuse a forbidden target when a channel is saved, not only when it is used.
    pub guard: notify_netguard::Policy,
    pub secrets: Arc<SecretResolver>,
}

fn elsewhere() -> Problem {
    Problem::new(
        Code::Unavailable,
        "",
        "this process only takes events; the worker runs elsewhere",
        "ask a process with role `all` or `worker`",
    )
}

impl Engine for StudioEngine {
    fn accept(&self, event: Event) -> BoxFuture<Result<Accepted, Problem>> {
        let publishing = self.bus.publish(event);
        let monitor = Arc::clone(&self.monitor);
        Box::pin(async move {
            let receipt = publishing.await.inspect_err(|problem| {
                if problem.code == Code::Unavailable {
                    monitor.doubt();
                }
            })?;
            Ok(Accepted { key: receipt.key, duplicate: receipt.duplicate, accepted_at: receipt.accepted_at })
        })
    }

    fn preview(&self, rule: Option<Rule>, event: Event) -> BoxFuture<Result<Preview, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        Box::pin(async move {
            let saved = rule.is_none();
            let rule = rule.map(|document| Version { version: 0, digest: unsaved_digest(), document });
            let previewed = worker.preview(&event.tenant.clone(), rule, &event).await?;
            Ok(by_rule(event, previewed, saved))
        })
    }

    fn preview_digest(&self, asked: DigestAsked) -> BoxFuture<Result<DigestPreview, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        Box::pin(async move {
            let DigestAsked { tenant, rule, unsaved, action, control, events } = asked;
            let unsaved = unsaved.map(|document| Version { version: 0, digest: unsaved_digest(), document });
            let rule = notify_worker::digest_preview::OfRule {
                rule,
                unsaved,
                action,
                control: Control::from_name(control).unwrap_or(Control::Digest),
            };
            let shown = worker.preview_digest(&tenant, rule, &events).await?;
            Ok(DigestPreview {
                rule: shown.rule,
                action: shown.action,
                channel: shown.channel,
                channel_type: shown.channel_type,
                template: shown.template,
                count: shown.count,
                retained: shown.retained,
                message: shown.message,
                request: shown.request,
                problem: shown.problem,
            })
        })
    }

    fn explain(&self, event: Event, nearest: usize) -> BoxFuture<Result<Explained, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        Box::pin(async move { worker.explain(event, nearest).await })
    }

    fn replay(
        &self,
        tenant: &TenantId,
        delivery: &DeliveryId,
        actor: &Actor,
        idempotency_key: Option<&str>,
    ) -> BoxFuture<Result<DeliveryId, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, delivery, actor) = (tenant.clone(), delivery.clone(), actor.subject.clone());
        let key = idempotency_key.map(str::to_owned);
        Box::pin(async move { worker.replay(&tenant, &delivery, &actor, key.as_deref()).await })
    }

    fn redrive(
        &self,
        tenant: &TenantId,
        asked: Redrive,
        actor: &Actor,
    ) -> BoxFuture<Result<Redriven, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, actor) = (tenant.clone(), actor.subject.clone());
        Box::pin(async move {
            let pace = Pace {
                rate_per_second: asked.rate_per_second,
                at_most: Redrive::AT_ONCE,
                dry_run: asked.dry_run,
            };
            let done = worker.redrive(&tenant, &asked.filter, &pace, &actor).await?;
            let skipped = done.skipped.into_iter().map(|((channel, reason), count)| Skipped {
                channel,
                reason: reason.to_owned(),
                count,
            });
            Ok(Redriven {
                dry_run: asked.dry_run,
                matched: done.matched,
                redriven: done.redriven,
                skipped: skipped.collect(),
                remaining: done.remaining,
                rate_per_second: asked.rate_per_second,
                first_due_at: done.first_due_at.map(rfc3339_millis),
                last_due_at: done.last_due_at.map(rfc3339_millis),
            })
        })
    }

    fn test_channel(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        actor: &Actor,
        idempotency_key: Option<&str>,
    ) -> BoxFuture<Result<DeliveryId, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, channel, actor) = (tenant.clone(), channel.clone(), actor.subject.clone());
        let key = idempotency_key.map(str::to_owned);
        Box::pin(async move { worker.test_channel(&tenant, &channel, &actor, key.as_deref()).await })
    }

    fn check_channel(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, channel) = (tenant.clone(), channel.clone());
        Box::pin(async move { worker.check_channel(&tenant, &channel).await })
    }

    fn refresh_secrets(
        &self,
        tenant: &TenantId,
        channel: &ChannelId,
        actor: &Actor,
    ) -> BoxFuture<Result<Value, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, channel, actor) = (tenant.clone(), channel.clone(), actor.subject.clone());
        Box::pin(async move { worker.refresh_secrets(&tenant, &channel, &actor).await })
    }

    fn channel_status(&self, tenant: &TenantId, channel: &ChannelId) -> BoxFuture<Result<Value, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, channel) = (tenant.clone(), channel.clone());
        Box::pin(async move { worker.channel_status(&tenant, &channel).await })
    }

    fn channel_statuses(&self, tenant: &TenantId, page: &Page) -> BoxFuture<Result<Paged<Value>, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, page) = (tenant.clone(), page.clone());
        Box::pin(async move { worker.channel_statuses(&tenant, &page).await })
    }

    fn configuration_changed(&self, tenant: &TenantId) {
        if let Some(worker) = self.worker.clone() {
            let tenant = tenant.clone();
            // A plan made meanwhile with the old configuration is refused by its guard and made again.
            tokio::spawn(async move { worker.configuration_changed(&tenant).await });
        }
    }

    fn validate_channel(&self, tenant: &TenantId, channel: &Channel) -> BoxFuture<Result<(), Problem>> {
        let first = check_channel(&self.host, &self.guard, channel);
        let (host, secrets) = (Arc::clone(&self.host), Arc::clone(&self.secrets));
        let (tenant, channel) = (tenant.clone(), channel.clone());
        Box::pin(async move {
            first?;
            if channel.is_console() {
                return Ok(());
            }
            look_at_secrets(&host, &secrets, &tenant, &channel).await?;
            ask_plugin(&host, &channel).await
        })
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        self.host.plugins().into_iter().map(shown).collect()
    }

    fn metrics(&self) -> BoxFuture<String> {
        let (monitor, worker) = (Arc::clone(&self.monitor), self.worker.clone());
        let (bus, plugins) = (self.bus.counts(), self.host.plugins());
        Box::pin(async move {
            let backlog = monitor.backlog().await;
            let mut text = String::new();
            if let Some(worker) = &worker {
                text.push_str(&notify_webservice::metrics::text(worker.metrics().registry()));
            }
            let looked_up = observed::registry(backlog, bus, worker.is_none(), &plugins);
            text.push_str(&notify_webservice::metrics::text(&looked_up));
            text
        })
    }

    fn ready(&self) -> BoxFuture<Readiness> {
        let monitor = Arc::clone(&self.monitor);
        Box::pin(async move { monitor.readiness().await })
    }
}

/// A rule that is not saved has no digest of its own; its plan is thrown away.
fn unsaved_digest() -> String {
    format!("sha256:{}", "0".repeat(64))
}

fn by_rule(event: Event, previewed: Previewed, saved: bool) -> Preview {
    let mut matched: Vec<PreviewedRule> = Vec::new();
    for decision in previewed.decisions {
        let PreviewedDecision { rule, rule_version, rule_name, .. } = &decision;
        if matched.last().is_none_or(|last| &last.rule != rule) {
            matched.push(PreviewedRule {
                rule: rule.clone(),
                version: saved.then_some(*rule_version),
                name: rule_name.clone(),
                actions: vec![],
            });
        }
        if let Some(last) = matched.last_mut() {
            last.actions.push(PreviewedAction {
                action: decision.action,
                channel: decision.channel,
                channel_type: decision.channel_type,
                template: decision.template,
                outcome: decision.outcome.to_owned(),
                control: decision.control.map(str::to_owned),
                parameters: decision.parameters,
                also_applied: decision.also_applied,
                message: decision.message,
                request: decision.request,
                secrets: decision.secrets,
                problem: decision.problem,
            });
        }
    }
    Preview { event_key: event.key, matched, unmatched: previewed.unmatched, nearest: previewed.nearest }
}

/// What the manifest refuses of a secret that can be read now: it would be refused with every delivery. One that cannot be
/// read yet keeps nobody from saving.
async fn look_at_secrets(
    host: &Arc<ConnectorHost>,
    secrets: &Arc<SecretResolver>,
    tenant: &TenantId,
    channel: &Channel,
) -> Result<(), Problem> {
    if channel.secrets.is_empty() {
        return Ok(());
    }
    let (host, secrets) = (Arc::clone(host), Arc::clone(secrets));
    let (tenant, channel) = (tenant.clone(), channel.clone());
    // Files are read.
    let looked =
        tokio::task::spawn_blocking(move || refused_secret(&host, &secrets, &tenant, &channel)).await;
    looked
        .unwrap_or_else(|error| {
            tracing::warn!(%error, "the secrets of a channel were not looked at");
            None
        })
        .map_or(Ok(()), Err)
}

fn refused_secret(
    host: &ConnectorHost,
    secrets: &SecretResolver,
    tenant: &TenantId,
    channel: &Channel,
) -> Option<Problem> {
    channel.secrets.iter().find_map(|(name, references)| {
        references.iter().enumerate().find_map(|(index, reference)| {
            let one = std::collections::BTreeMap::from([(name.clone(), vec![reference.clone()])]);
            let read = secrets.resolve(tenant, &one).ok()?;
            let reason = host.refused_secret(&channel.r#type, &read)?;
            let path = format!("/secrets/{}/{index}", notify_core::json::pointer_token(name));
            Some(Problem::new(
                Code::InvalidChannel,
                path,
                reason,
                "put the right value where the reference leads",
            ))
        })
    })
}

/// What the channel's plug-in says. One that cannot be asked keeps nobody from saving: the schema has been looked at, and
/// what is wrong shows with the first delivery.
async fn ask_plugin(host: &ConnectorHost, channel: &Channel) -> Result<(), Problem> {
    let config = serde_json::to_vec(&channel.config).unwrap_or_default();
    match host.ask_about_config(&channel.r#type, &config).await {
        Ok(problems) => {
            problems.into_iter().next().map_or(Ok(()), |problem| Err(problem.under("/config")))?
        }
        Err(error) => {
            tracing::warn!(channel = %channel.id, %error, "the plug-in was not asked about a channel")
        }
    }
    if host.manifest(&channel.r#type).is_none_or(|plugin| plugin.manifest.kind != PluginKind::Codec) {
        return Ok(());
    }
    // A codec computes only: whether it can make a request of this channel is known now, secrets' names included.
    let names = notify_connector_host::secret_names(&channel.secrets, &[]);
    let input = PrepareInput {
        config_json: &config,
        message_json: br#"{"title":"Is this channel complete?","severity":"none"}"#,
        delivery_id: "dlv_00000000000000000000000000000000",
        delivery_time: notify_core::time::Timestamp::UNIX_EPOCH,
        attempt: 1,
        attempt_time: notify_core::time::Timestamp::UNIX_EPOCH,
        deadline: notify_core::time::Timestamp::MAX,
        phase: Phase::None,
        provider_reference: None,
        secret_names: &names,
        check: false,
    };
    match host.prepare(&channel.r#type, input).await {
        Err(HostFault::Declined(verdict)) if verdict.outcome == Outcome::BadConfig => Err(Problem::new(
            Code::InvalidChannel,
            "/config",
            verdict.detail,
            format!("see the documentation of channels of type `{}`", channel.r#type),
        )),
        _ => Ok(()),
    }
}

/// Whether a channel may be saved.
fn check_channel(
    host: &ConnectorHost,
    guard: &notify_netguard::Policy,
    channel: &Channel,
) -> Result<(), Problem> {
    if channel.is_console() {
        return check_console(channel);
    }
    let Some(plugin) = host.manifest(&channel.r#type) else {
        let mut types: Vec<String> = host.plugins().into_iter().flat_map(|p| p.channel_types).collect();
        types.push(CONSOLE.to_owned());
        types.sort();
        return Err(Problem::new(
            Code::InvalidChannel,
            "/type",
            format!("no plug-in offers the channel type `{}`", channel.r#type),
            format!("use one of: {}", types.join(", ")),
        ));
    };
    if let Err(problems) = host.validate_config(&channel.r#type, &channel.config)
        && let Some(problem) = problems.into_iter().next()
    {
        return Err(problem.under("/config"));
    }
    let known = &plugin.manifest.secrets;
    if let Some(name) = channel.secrets.keys().find(|name| !known.iter().any(|k| k.names(name))) {
        let names: Vec<String> = known.iter().map(|known| known.shown()).collect();
        return Err(Problem::new(
            Code::InvalidChannel,
            format!("/secrets/{}", notify_core::json::pointer_token(name)),
            format!("channels of type `{}` have no secret `{name}`", channel.r#type),
            format!("use one of: {}", names.join(", ")),
        ));
    }
    let config = serde_json::Value::Object(channel.config.clone());
    if let Some((path, name)) = missing_secret(&config, channel, "/config") {
        return Err(Problem::new(
            Code::InvalidSecretReference,
            path,
            format!("the channel has no secret `{name}`"),
            format!("add `{name}: [\"secret://…\"]` to `secrets`"),
        ));
    }
    let Some(url) = channel.config.get("url").and_then(serde_json::Value::as_str) else { return Ok(()) };
    let url = url::Url::parse(url).map_err(|error| {
        Problem::new(
            Code::InvalidChannel,
            "/config/url",
            format!("not a URL: {error}"),
            "write an absolute https URL",
        )
    })?;
    guard.check_url(&url).map(drop).map_err(|blocked| {
        Problem::new(
            Code::ForbiddenTarget,
            "/config/url",
            blocked.to_string(),
            "use a public https address, or have the operator allow this one in `egress` of notify.toml",
        )
    })
}

/// The first `{"secret": NAME}` in a channel's config, with its place, that the channel does not have.
fn missing_secret(value: &serde_json::Value, channel: &Channel, path: &str) -> Option<(String, String)> {
    use serde_json::Value;
    match value {
        Value::Object(members) => match members.get("secret") {
            Some(Value::String(name)) if members.len() == 1 => {
                (!channel.secrets.contains_key(name)).then(|| (format!("{path}/secret"), name.clone()))
            }
            _ => members.iter().find_map(|(key, value)| {
                missing_secret(value, channel, &format!("{path}/{}", notify_core::json::pointer_token(key)))
            }),
        },
        Value::Array(items) => items
            .iter()
            .enumerate()
            .find_map(|(index, item)| missing_secret(item, channel, &format!("{path}/{index}"))),
        _ => None,
    }
}

fn shown(plugin: HostPlugin) -> PluginStatus {
    PluginStatus {
        name: plugin.name,
        version: plugin.version.unwrap_or_default(),
        channel_types: plugin.channel_types,
        kind: plugin
            .kind
            .and_then(|kind| serde_json::to_value(kind).ok()?.as_str().map(str::to_owned))
            .unwrap_or_default(),
        state: plugin.state.to_owned(),
        detail: plugin.problem.unwrap_or_default(),
        key_id: plugin.key_id.unwrap_or_default(),
        restarts: plugin.restarts,
        crashes: plugin.crashes,
        timeouts: plugin.timeouts,
        garbage: plugin.garbage,
        late: plugin.late + plugin.unknown,
        in_flight: plugin.in_flight as u64,
        sandbox: plugin.sandbox.unwrap_or_default(),
        pid: plugin.pid,
        sha256: plugin.sha256.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use notify_connector_host::HostConfig;
    use notify_connector_host::outbound::EgressPolicy;
    use serde_json::json;

    #[test]
    fn secrets_that_a_config_names_must_be_there() {
        let check = |headers: serde_json::Value, expected: Option<(&str, &str)>| {
            let channel = json!({
                "schema": "notify-channel@1", "id": "c", "name": "C", "type": "webhook",
                "config": {"url": "https://x", "headers": headers},
                "secrets": {"header-token": ["secret://env/X"]},
            });
            let channel: Channel = serde_json::from_value(channel).unwrap();
            let config = serde_json::Value::Object(channel.config.clone());
            let found = missing_secret(&config, &channel, "/config");
            let expected = expected.map(|(path, name)| (path.to_owned(), name.to_owned()));
            assert_eq!(found, expected, "{headers}");
        };
        check(json!({}), None);
        check(json!({"a": "secret", "b": {"secret": "header-token"}}), None);
        check(json!({"a/b": {"secret": "header-x"}}), Some(("/config/headers/a~1b/secret", "header-x")));
        check(json!({"a": ["x", {"secret": "header-x"}]}), Some(("/config/headers/a/1/secret", "header-x")));
    }

    fn host(folder: &std::path::Path) -> ConnectorHost {
        host_of(folder, include_bytes!("../../../connectors/webhook/notify-plugin.json"))
    }

    /// A manifest; nothing runs, so any bytes do for its library.
    fn host_of(folder: &std::path::Path, manifest: &[u8]) -> ConnectorHost {
        use ed25519_dalek::pkcs8::EncodePublicKey as _;
        use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
        let key = ed25519_dalek::SigningKey::from_bytes(&[7; 32]);
        for name in ["plugins", "trust"] {
            std::fs::create_dir(folder.join(name)).unwrap();
        }
        std::fs::write(folder.join("library.so"), "nothing").unwrap();
        let (library, plugins) = (folder.join("library.so"), folder.join("plugins"));
        notify_connector_host::stage::stage_plugin(&library, manifest, &key, &plugins).unwrap();
        let pem = key.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
        std::fs::write(folder.join("trust/main.pem"), pem).unwrap();
        let config =
            HostConfig::new(plugins, folder.join("trust"), folder.join("none"), EgressPolicy::default());
        ConnectorHost::open(config).unwrap()
    }

    fn channel(url: &str) -> Result<Channel, Problem> {
        let value = json!({
            "schema": "notify-channel@1", "id": "c", "name": "C", "type": "webhook", "config": { "url": url },
        });
        notify_core::document::parse::parse_channel(&value).map(|(channel, _, _)| channel)
    }

    /// `resources/ssrf/cases.jsonl` when a channel is saved; names are looked up when something is sent.
    #[tokio::test]
    async fn forbidden_targets_cannot_be_saved() {
        let folder = tempfile::tempdir().unwrap();
        let (host, guard) = (host(folder.path()), notify_netguard::Policy::default());
        let (mut refused, mut saved) = (0, 0);
        for line in include_str!("../../../resources/ssrf/cases.jsonl").lines() {
            let case: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| case.get(name).and_then(Value::as_str);
            let Some(url) = text("url") else { continue };
            let outcome = channel(url).and_then(|channel| check_channel(&host, &guard, &channel));
            match (text("why"), outcome) {
                (Some(why), Err(problem)) => {
                    // What the plug-in's schema refuses (a user name, a space) is not even parsed.
                    let told = problem.code == Code::ForbiddenTarget && problem.reason.contains(why);
                    assert!(told || problem.code == Code::InvalidChannel, "{url}: {problem}");
                    assert_eq!(problem.path, "/config/url", "{url}: {problem}");
                    refused += 1;
                }
                (None, Ok(())) => saved += 1,
                // `\\`, `#` and `@` are no part of what the schema of the webhook takes.
                (None, Err(problem)) => assert_eq!(problem.code, Code::InvalidChannel, "{url}: {problem}"),
                (Some(why), Ok(())) => panic!("{url} was saved; it leads to {why}"),
            }
        }
        assert!(refused > 100 && saved > 5, "{refused} refused, {saved} saved");
        let channel = channel("http://user:pass-word@127.0.0.1/").unwrap();
        let problem = check_channel(&host, &guard, &channel).unwrap_err();
        assert!(!problem.to_string().contains("pass-word"), "{problem}");
    }

    #[tokio::test]
    async fn a_secret_that_can_be_read_and_is_refused_cannot_be_saved() {
        let folder = tempfile::tempdir().unwrap();
        let host = host_of(folder.path(), include_bytes!("../../../connectors/teams/notify-plugin.json"));
        let secrets = SecretResolver::with_environment(None, "NOTIFY_SECRET_", |name| match name {
            "NOTIFY_SECRET_ACME_OLD" => Some("https://acme.webhook.office.com/webhookb2/x".to_owned()),
            "NOTIFY_SECRET_ACME_NEW" => Some("https://prod-1.westeurope.logic.azure.com/x".to_owned()),
            _ => None,
        });
        let (host, secrets, tenant) = (Arc::new(host), Arc::new(secrets), TenantId::new("acme").unwrap());
        let check = async |references: &[&str], expected: Option<&str>| {
            let references: Vec<String> =
                references.iter().map(|name| format!("secret://env/NOTIFY_SECRET_ACME_{name}")).collect();
            let channel = json!({
                "schema": "notify-channel@1", "id": "c", "name": "C", "type": "teams", "secrets": { "url": references },
            });
            let channel: Channel = serde_json::from_value(channel).unwrap();
            let found = look_at_secrets(&host, &secrets, &tenant, &channel).await.err();
            assert_eq!(found.as_ref().map(|problem| problem.path.as_str()), expected, "{found:?}");
            if let Some(problem) = found {
                let text = problem.to_string();
                assert!(text.contains("Workflows") && !text.contains("webhookb2"), "{text}");
            }
        };
        check(&["NEW"], None).await;
        check(&["OLD"], Some("/secrets/url/0")).await;
        check(&["NEW", "OLD"], Some("/secrets/url/1")).await;
        check(&["ABSENT", "OLD"], Some("/secrets/url/1")).await;
        check(&["ABSENT"], None).await;
    }
}
