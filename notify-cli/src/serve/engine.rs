//! Where the web layer and the worker meet.

use notify_bus::Bus;
use notify_connector_host::registry::{ConnectorHost, PluginState};
use notify_core::document::{Channel, Rule, Version};
use notify_core::event::Event;
use notify_core::ids::{DeliveryId, TenantId};
use notify_core::problem::{Code, Problem};
use notify_store::Store;
use notify_webservice::engine::{
    Accepted, Actor, BoxFuture, Check, Engine, PluginStatus, Preview, PreviewedAction, PreviewedRule,
    Readiness,
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
    pub store: Store,
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
    ) -> BoxFuture<Result<DeliveryId, Problem>> {
        let Some(worker) = self.worker.clone() else { return Box::pin(async { Err(elsewhere()) }) };
        let (tenant, delivery, actor) = (tenant.clone(), delivery.clone(), actor.subject.clone());
        Box::pin(async move { worker.replay(&tenant, &delivery, &actor).await })
    }

    fn configuration_changed(&self, tenant: &TenantId) {
        if let Some(worker) = self.worker.clone() {
            let tenant = tenant.clone();
            // A plan made meanwhile with the old configuration is refused by its guard and made again.
            tokio::spawn(async move { worker.configuration_changed(&tenant).await });
        }
    }

    fn validate_channel(&self, _tenant: &TenantId, channel: &Channel) -> Result<(), Problem> {
        self.host.validate_channel(channel)
    }

    fn plugins(&self) -> Vec<PluginStatus> {
        self.host.plugins().into_iter().map(shown).collect()
    }

    fn metrics(&self) -> String {
        self.worker.as_ref().map(|worker| worker.metrics().render()).unwrap_or_default()
    }

    fn ready(&self) -> BoxFuture<Readiness> {
        let store = self.store.clone();
        let refused: Vec<String> = self
            .host
            .plugins()
            .into_iter()
            .filter(|plugin| plugin.state == PluginState::Refused)
            .map(|plugin| plugin.name)
            .collect();
        Box::pin(async move {
            let (ok, detail) = match store.now().await {
                Ok(_) => (true, String::new()),
                Err(error) => (false, error.to_string()),
            };
            let store = Check { name: "store".to_owned(), ok, detail };
            // A refused plug-in is an operator's concern, not a reason to send traffic elsewhere.
            let detail =
                if refused.is_empty() { String::new() } else { format!("refused: {}", refused.join(", ")) };
            let plugins = Check { name: "plugins".to_owned(), ok: refused.is_empty(), detail };
            Readiness { ready: ok, checks: vec![store, plugins] }
        })
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

fn shown(plugin: notify_connector_host::registry::PluginStatus) -> PluginStatus {
    PluginStatus {
        name: plugin.name,
        version: plugin.version,
        channel_types: plugin.channel_types,
        kind: plugin.kind,
        state: plugin.state.as_str().to_owned(),
        detail: plugin.detail,
        restarts: plugin.restarts,
        sha256: plugin.sha256,
    }
}
