//! One attempt of a delivery, from message to verdict: prepare → send → interpret for codecs, one call for transports.
//!
//! It never fails: whatever goes wrong is an outcome that the dispatcher records.

use crate::manifest::Kind;
use crate::outbound::{OutboundFault, clean_text};
use crate::registry::{ConnectorHost, InterpretInput, Phase, PrepareInput};
use crate::request::{HttpResponse, Outcome, Verdict};
use crate::secrets::{ResolvedSecrets, SecretResolver};
use crate::supervisor::HostFault;
use notify_core::document::channel::SecretRef;
use notify_core::ids::TenantId;
use notify_core::time::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::Instant;
use zeroize::Zeroizing;

/// What an attempt needs.
#[derive(Clone, Copy)]
pub struct AttemptInput<'a> {
    pub channel_type: &'a str,
    /// The channel's `config`, as JSON.
    pub config_json: &'a [u8],
    pub tenant: &'a TenantId,
    /// The channel's secrets by reference, and who can read them.
    pub secrets: &'a BTreeMap<String, Vec<SecretRef>>,
    pub resolver: &'a SecretResolver,
    /// The stored message bytes.
    pub message_json: &'a [u8],
    pub delivery_id: &'a str,
    /// When the delivery was decided: the same on every attempt.
    pub delivery_time: Timestamp,
    /// 1 for the first.
    pub attempt: u32,
    pub attempt_time: Timestamp,
    /// The whole attempt, beginning now.
    pub deadline: Duration,
    pub phase: Phase,
    pub provider_reference: Option<&'a str>,
    /// What the studio provides for this send: names that begin with `studio-`, and values (`notify_connector.h`).
    pub provided: &'a [(&'static str, String)],
    /// Only a check: nothing is to be sent.
    pub check: bool,
}

/// What became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptResult {
    pub verdict: Verdict,
    /// The request with ‹secret:name› in place of secrets, when one was prepared: what the ledger commits to.
    pub redacted_request: Option<Vec<u8>>,
    /// Status, headers and body of the answer, when there was one.
    pub response: Option<Vec<u8>>,
    pub http_status: Option<u16>,
    /// It is certain that nothing left this host.
    pub never_sent: bool,
}

impl ConnectorHost {
    /// Makes one attempt.
    pub async fn attempt(&self, input: AttemptInput<'_>) -> AttemptResult {
        let end = Instant::now() + input.deadline;
        let secrets = match input.resolver.resolve(input.tenant, input.secrets) {
            Ok(secrets) => secrets.with_provided(input.provided),
            Err(fault) => {
                // What an operator can mend is tried again; a reference that can never be allowed is not.
                let outcome = if fault.reason.is_lasting() {
                    Outcome::BadConfig
                } else {
                    Outcome::Retry { after_ms: None }
                };
                return unsent(verdict(outcome, fault.to_string()));
            }
        };
        if let Some(reason) = self.refused_secret(input.channel_type, &secrets) {
            return unsent(verdict(Outcome::BadConfig, reason));
        }
        let names = secret_names(input.secrets, input.provided);
        let prepare = PrepareInput {
            config_json: input.config_json,
            message_json: input.message_json,
            delivery_id: input.delivery_id,
            delivery_time: input.delivery_time,
            attempt: input.attempt,
            attempt_time: input.attempt_time,
            deadline: input.attempt_time.saturating_add(signed(input.deadline)).unwrap_or(Timestamp::MAX),
            phase: input.phase,
            provider_reference: input.provider_reference,
            secret_names: &names,
            check: input.check,
        };
        match self.manifest(input.channel_type).map(|plugin| plugin.manifest.kind) {
            Some(Kind::Transport) => self.through_transport(&input, prepare, &secrets, &names).await,
            _ => self.through_codec(&input, prepare, &secrets, end).await,
        }
    }

    async fn through_codec(
        &self,
        input: &AttemptInput<'_>,
        prepare: PrepareInput<'_>,
        secrets: &ResolvedSecrets,
        end: Instant,
    ) -> AttemptResult {
        let request = match tokio::time::timeout_at(end, self.prepare(input.channel_type, prepare)).await {
            Ok(Ok(request)) => request,
            Ok(Err(fault)) => return unsent(fault.verdict()),
            Err(_) => {
                return unsent(verdict(
                    Outcome::Timeout,
                    "the plug-in did not prepare the request in time".into(),
                ));
            }
        };
        let mut result = unsent(verdict(Outcome::Timeout, String::new()));
        result.redacted_request = Some(request.redacted());
        let left = end.saturating_duration_since(Instant::now());
        let sent =
            self.outbound().execute(&request, secrets, input.delivery_id, input.attempt_time, left).await;
        let response = match sent {
            Ok(response) => response,
            Err(fault) => {
                result.never_sent = fault.never_sent;
                result.verdict = of_outbound(&fault);
                return result;
            }
        };
        result.never_sent = false;
        result.http_status = Some(response.status);
        result.response = Some(response_bytes(&response));
        let interpret = InterpretInput {
            config_json: input.config_json,
            attempt_time: input.attempt_time,
            response: &response,
            check: input.check,
        };
        let judged = tokio::time::timeout_at(end, self.interpret(input.channel_type, interpret)).await;
        result.verdict = match judged {
            Ok(Ok(verdict)) => verdict,
            Err(_) => {
                let detail = format!("the plug-in did not judge HTTP status {} in time", response.status);
                verdict(Outcome::Timeout, detail)
            }
            // It went out, and nobody could say how it ended: tried again under the same id.
            Ok(Err(fault)) => {
                let mut verdict = fault.verdict();
                verdict.detail = format!("{} (after HTTP status {})", verdict.detail, response.status);
                if matches!(verdict.outcome, Outcome::Permanent) {
                    verdict.outcome = Outcome::Retry { after_ms: None };
                }
                verdict
            }
        };
        result
    }

    async fn through_transport(
        &self,
        input: &AttemptInput<'_>,
        prepare: PrepareInput<'_>,
        secrets: &ResolvedSecrets,
        names: &[String],
    ) -> AttemptResult {
        let values: BTreeMap<&str, Vec<&str>> = names
            .iter()
            .map(|name| (name.as_str(), secrets.values(name).iter().map(|value| value.expose()).collect()))
            .collect();
        let secrets_json = Zeroizing::new(serde_json::to_vec(&values).unwrap_or_default());
        let sent = self.send(input.channel_type, prepare, &secrets_json, input.deadline).await;
        let in_doubt = matches!(
            sent,
            Ok(_) | Err(HostFault::Crashed { .. } | HostFault::Timeout { .. } | HostFault::Garbage { .. })
        );
        let mut verdict = sent.unwrap_or_else(|fault| fault.verdict());
        // A transport has the secrets, and a peer's words may repeat them.
        if let Some(cleaned) = clean_text(&verdict.detail, secrets) {
            verdict.detail = cleaned;
        }
        let reference = verdict.provider_reference.take();
        verdict.provider_reference =
            reference.map(|reference| clean_text(&reference, secrets).unwrap_or(reference));
        AttemptResult { never_sent: !in_doubt, ..unsent(verdict) }
    }
}

/// The names that a connector is told: those of the channel's secrets, then what the studio provides.
#[must_use]
pub fn secret_names(
    secrets: &BTreeMap<String, Vec<SecretRef>>,
    provided: &[(&'static str, String)],
) -> Vec<String> {
    secrets.keys().cloned().chain(provided.iter().map(|(name, _)| (*name).to_owned())).collect()
}

impl HostFault {
    /// How the dispatcher treats it. What an operator can mend (a refused or missing plug-in, one that misbehaves) is
    /// tried again: the schedule gives them time, and the dead letters keep what outlasts it.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let outcome = match self {
            Self::Declined(verdict) => return verdict.clone(),
            Self::Timeout { .. } => Outcome::Timeout,
            Self::Crashed { .. } => Outcome::Crashed,
            Self::Input { .. } => Outcome::Permanent,
            Self::Unavailable { after, .. } => Outcome::Retry {
                after_ms: after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX)),
            },
            Self::UnknownChannelType(_) | Self::Refused { .. } | Self::Garbage { .. } => {
                Outcome::Retry { after_ms: None }
            }
        };
        verdict(outcome, self.to_string())
    }
}

const fn verdict(outcome: Outcome, detail: String) -> Verdict {
    Verdict { outcome, detail, provider_reference: None }
}

const fn unsent(verdict: Verdict) -> AttemptResult {
    AttemptResult { verdict, redacted_request: None, response: None, http_status: None, never_sent: true }
}

fn of_outbound(fault: &OutboundFault) -> Verdict {
    verdict(fault.outcome(), fault.to_string())
}

fn signed(duration: Duration) -> jiff::SignedDuration {
    jiff::SignedDuration::try_from(duration).unwrap_or(jiff::SignedDuration::MAX)
}

/// The answer as bytes: `HTTP <status>`, one line per header, an empty line, the body as received.
fn response_bytes(response: &HttpResponse) -> Vec<u8> {
    let mut bytes = format!("HTTP {}\n", response.status).into_bytes();
    for (name, value) in &response.headers {
        bytes.extend_from_slice(format!("{name}: {value}\n").as_bytes());
    }
    bytes.push(b'\n');
    bytes.extend_from_slice(&response.body);
    bytes
}
