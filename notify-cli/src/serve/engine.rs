//! Where the web layer and the worker meet.

use super::monitor::Monitor;
use super::observed;
use notify_bus::Bus;
use notify_connector_host::{ConnectorHost, PluginStatus as HostPlugin};
use notify_core::document::{Channel, Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{DeliveryId, TenantId};
use notify_core::problem::{Code, Problem};
use notify_webservice::engine::{
    Accepted, Actor, BoxFuture, Engine, PluginStatus, Preview, PreviewedAction, PreviewedRule, Readiness,
};
use notify_worker::Worker;
use notify_worker::acts::{Previewed, PreviewedDecision};
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
        Box::pin(async move {
            let receipt = publishing.await?;
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

    fn configuration_changed(&self, tenant: &TenantId) {
        if let Some(worker) = self.worker.clone() {
            let tenant = tenant.clone();
            // A plan made meanwhile with the old configuration is refused by its guard and made again.
            tokio::spawn(async move { worker.configuration_changed(&tenant).await });
        }
    }

    fn validate_channel(&self, _tenant: &TenantId, channel: &Channel) -> Result<(), Problem> {
        self.check_channel(channel)
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
                outcome: decision.control.map_or_else(|| decision.outcome.to_owned(), str::to_owned),
                message: decision.message,
                request: decision.request,
                problem: decision.problem,
            });
        }
    }
    Preview { event_key: event.key, matched, unmatched: previewed.unmatched }
}

impl StudioEngine {
    fn check_channel(&self, channel: &Channel) -> Result<(), Problem> {
        let Some(plugin) = self.host.manifest(&channel.r#type) else {
            let mut types: Vec<String> =
                self.host.plugins().into_iter().flat_map(|p| p.channel_types).collect();
            types.sort();
            return Err(Problem::new(
                Code::InvalidChannel,
                "/type",
                format!("no plug-in offers the channel type `{}`", channel.r#type),
                format!("use one of: {}", types.join(", ")),
            ));
        };
        if let Err(problems) = self.host.validate_config(&channel.r#type, &channel.config)
            && let Some(problem) = problems.into_iter().next()
        {
            return Err(problem.under("/config"));
        }
        let known: Vec<&str> = plugin.manifest.secrets.iter().map(|secret| secret.name.as_str()).collect();
        if let Some(name) = channel.secrets.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Problem::new(
                Code::InvalidChannel,
                format!("/secrets/{}", notify_core::json::pointer_token(name)),
                format!("channels of type `{}` have no secret `{name}`", channel.r#type),
                format!("use one of: {}", known.join(", ")),
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
        self.guard.check_url(&url).map(drop).map_err(|blocked| {
            Problem::new(
                Code::ForbiddenTarget,
                "/config/url",
                blocked.to_string(),
                "use a public https address, or have the operator allow this one in `egress` of notify.toml",
            )
        })
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
        sha256: plugin.sha256.unwrap_or_default(),
    }
}
