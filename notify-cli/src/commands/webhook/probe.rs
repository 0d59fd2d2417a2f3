//! `notify webhook verify`: what a receiver does right and wrong.

use super::VerifyArgs;
use super::wire::{Answer, Wire, millis};
use crate::args::Format;
use crate::failure::{Failure, printable};
use crate::files;
use crate::home::{SystemClock, random};
use crate::output;
use crate::style::{self, Tone};
use bytes::Bytes;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use notify_connector_host::signing::{
    ID_HEADER, SIGNATURE_HEADER, SigningKey, TIMESTAMP_HEADER, signature_header,
};
use notify_core::ids::hex;
use notify_core::time::{Clock, Timestamp, rfc3339_millis};
use notify_netguard::Policy;
use serde::Serialize;
use serde_json::json;
use std::net::SocketAddr;

/// How old the old delivery is: twice what Standard Webhooks tolerates.
const OLD_SECONDS: i64 = 600;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warn,
    Fail,
    Skip,
}

#[derive(Debug, Serialize)]
struct Step {
    step: &'static str,
    verdict: Verdict,
    #[serde(skip_serializing_if = "Option::is_none")]
    ms: Option<i64>,
    detail: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    fix: String,
}

/// Prints each step as it ends.
struct Report {
    format: Format,
    steps: Vec<Step>,
}

impl Report {
    fn add(
        &mut self,
        step: &'static str,
        verdict: Verdict,
        ms: Option<i64>,
        detail: impl Into<String>,
        fix: &str,
    ) {
        let step = Step { step, verdict, ms, detail: detail.into(), fix: fix.to_owned() };
        if self.format == Format::Table {
            let (word, tone) = match verdict {
                Verdict::Ok => ("ok  ", Tone::Good),
                Verdict::Warn => ("warn", Tone::Caution),
                Verdict::Fail => ("FAIL", Tone::Bad),
                Verdict::Skip => ("skip", Tone::Caution),
            };
            let time = ms.map(|ms| format!("{ms} ms")).unwrap_or_default();
            let detail = printable(&step.detail);
            output::say(&format!("{}  {:<20} {time:>8}  {detail}", style::out(word, tone), step.step));
            if !step.fix.is_empty() && verdict != Verdict::Ok {
                output::say(&format!("      {}", step.fix));
            }
        }
        self.steps.push(step);
    }

    fn finish(self, url: &str) -> Result<(), Failure> {
        let count = |verdict| self.steps.iter().filter(|step| step.verdict == verdict).count();
        let (failed, warned) = (count(Verdict::Fail), count(Verdict::Warn));
        if self.format == Format::Table {
            output::say(&match (failed, warned) {
                (0, 0) => "The receiver does everything right.".to_owned(),
                (0, n) => format!("The receiver works; {n} remarks."),
                (n, _) => format!("{n} steps failed."),
            });
        } else {
            output::structured(self.format, &json!({ "url": url, "ok": failed == 0, "steps": self.steps }));
        }
        if failed == 0 { Ok(()) } else { Err(Failure::Said) }
    }
}

/// One test delivery: what differs from a right one.
struct Delivery<'a> {
    id: &'a str,
    keys: &'a [SigningKey],
    at: Timestamp,
    signed: bool,
}

/// # Errors
/// When a step failed, or something is wrong with what was asked.
pub async fn run(format: Format, url: &str, args: &VerifyArgs) -> Result<(), Failure> {
    let keys = args.keys.signing()?;
    let ca = args.ca.as_deref().map(files::read).transpose()?;
    let extra = args.header.iter().map(|line| header(line)).collect::<Result<Vec<_>, _>>()?;
    let wire = Wire::new(url, ca.as_deref(), args.timeout)
        .map_err(|reason| Failure::usage(reason, "give the whole URL, such as https://example.com/hook"))?;
    let mut report = Report { format, steps: Vec::new() };
    if let Some(address) = reach(&wire, &mut report).await {
        let probe = Probe { wire: &wire, address, extra };
        if keys.is_empty() {
            probe.without_secret(&mut report).await;
        } else {
            probe.with_secret(&keys, &mut report).await?;
        }
    }
    report.finish(url)
}

/// DNS, connection and TLS; gives the address that worked.
async fn reach(wire: &Wire, report: &mut Report) -> Option<SocketAddr> {
    let clock = SystemClock;
    if !wire.is_https() {
        let fix = "use https; the operator may allow http with [egress] allow_http";
        report.add("url", Verdict::Warn, None, "http: anybody on the way can read the alerts", fix);
    }
    let start = clock.now();
    let addresses = match wire.resolve().await {
        Ok(addresses) => addresses,
        Err(reason) => {
            report.add("dns", Verdict::Fail, None, reason, "correct the host name, or its DNS entry");
            return None;
        }
    };
    let shown: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
    report.add("dns", Verdict::Ok, Some(millis(start, clock.now())), shown.join(", "), "");
    let policy = Policy { allow: vec![], only_hosts: None, require_https: false };
    if let Some(blocked) =
        addresses.iter().find_map(|address| policy.check_address(address.ip(), address.port()).err())
    {
        let fix = "the service sends there only when the operator lists it in [egress] allow";
        report.add("address", Verdict::Warn, None, blocked.to_string(), fix);
    }
    let mut last = String::new();
    for address in addresses {
        let start = clock.now();
        let tcp = match wire.connect(address).await {
            Ok(tcp) => tcp,
            Err(reason) => {
                last = reason;
                continue;
            }
        };
        report.add("connect", Verdict::Ok, Some(millis(start, clock.now())), address.to_string(), "");
        let start = clock.now();
        return match wire.secure(tcp).await {
            Ok((_, agreed)) if agreed.is_empty() => Some(address),
            Ok((_, agreed)) => {
                report.add("tls", Verdict::Ok, Some(millis(start, clock.now())), agreed, "");
                Some(address)
            }
            Err(reason) => {
                let fix = "install a certificate that is valid for this host, with its chain";
                report.add("tls", Verdict::Fail, Some(millis(start, clock.now())), reason, fix);
                None
            }
        };
    }
    report.add("connect", Verdict::Fail, None, last, "start the receiver, or open the firewall for it");
    None
}

struct Probe<'a> {
    wire: &'a Wire,
    address: SocketAddr,
    extra: Vec<(HeaderName, HeaderValue)>,
}

impl Probe<'_> {
    async fn without_secret(&self, report: &mut Report) {
        let id = format!("msg_{}", random_part().unwrap_or_default());
        let unsigned = Delivery { id: &id, keys: &[], at: SystemClock.now(), signed: false };
        let (ms, answer) = self.send(&unsigned).await;
        let fix = "answer 2xx within the time; anything else is tried again";
        match answer {
            Ok(answer) if answer.status.is_success() => {
                report.add("delivery", Verdict::Ok, Some(ms), said(&answer), "");
                let detail = "an unsigned delivery was taken";
                let fix = "sign deliveries, and verify: `notify webhook verify --url … --secret …`";
                report.add("signature", Verdict::Warn, None, detail, fix);
            }
            Ok(answer) if matches!(answer.status.as_u16(), 400 | 401 | 403) => {
                let detail = format!("an unsigned delivery was refused: {}", said(&answer));
                report.add("delivery", Verdict::Ok, Some(ms), detail, "");
                let fix = "give the secret with --secret, so that a right delivery can be tried";
                report.add("signature", Verdict::Skip, None, "no secret was given", fix);
            }
            Ok(answer) => report.add("delivery", Verdict::Fail, Some(ms), said(&answer), fix),
            Err(reason) => report.add("delivery", Verdict::Fail, Some(ms), reason, fix),
        }
    }

    async fn with_secret(&self, keys: &[SigningKey], report: &mut Report) -> Result<(), Failure> {
        let now = SystemClock.now();
        let ids =
            [random_part()?, random_part()?, random_part()?, random_part()?].map(|id| format!("msg_{id}"));
        let [right_id, forged_id, old_id, unsigned_id] = &ids;
        let right = Delivery { id: right_id, keys, at: now, signed: true };
        let (ms, answer) = self.send(&right).await;
        let took_the_right_one = match answer {
            Ok(answer) if answer.status.is_success() => {
                report.add("signed delivery", Verdict::Ok, Some(ms), said(&answer), "");
                true
            }
            Ok(answer) if answer.status.is_redirection() => {
                let to = answer.location.clone().unwrap_or_default();
                let fix = "redirects are not followed: give the channel the final address";
                report.add(
                    "signed delivery",
                    Verdict::Fail,
                    Some(ms),
                    format!("{} to {to}", said(&answer)),
                    fix,
                );
                false
            }
            Ok(answer) if matches!(answer.status.as_u16(), 400 | 401 | 403) => {
                let fix = "the receiver refuses a right signature: does it know this secret, and does it \
                    verify the raw bytes of the body?";
                report.add("signed delivery", Verdict::Fail, Some(ms), said(&answer), fix);
                false
            }
            Ok(answer) => {
                let fix = "answer 2xx once the delivery is safe on your side";
                report.add("signed delivery", Verdict::Fail, Some(ms), said(&answer), fix);
                false
            }
            Err(reason) => {
                report.add("signed delivery", Verdict::Fail, Some(ms), reason, "answer in time, in HTTP/1.1");
                false
            }
        };
        let stranger = [SigningKey::parse(&stranger_secret(keys)?)
            .map_err(|error| Failure::other(error.to_string(), ""))?];
        let old = Timestamp::from_second(now.as_second() - OLD_SECONDS).unwrap_or(now);
        for (step, delivery, what, fix) in [
            (
                "wrong signature",
                Delivery { id: forged_id, keys: &stranger, at: now, signed: true },
                "signed with another secret",
                "verify `webhook-signature` before you look at the body; a library does it in one line",
            ),
            (
                "no signature",
                Delivery { id: unsigned_id, keys, at: now, signed: false },
                "without a signature",
                "refuse what carries no signature",
            ),
            (
                "old timestamp",
                Delivery { id: old_id, keys, at: old, signed: true },
                "signed ten minutes ago",
                "refuse a `webhook-timestamp` that is more than five minutes away: it may be a replay by a stranger",
            ),
        ] {
            let (ms, answer) = self.send(&delivery).await;
            match answer {
                Ok(answer) if answer.status.is_client_error() => {
                    let verdict = if took_the_right_one { Verdict::Ok } else { Verdict::Warn };
                    report.add(step, verdict, Some(ms), format!("refused: {}", said(&answer)), "");
                }
                Ok(answer) if answer.status.is_success() => {
                    let detail = format!("a delivery {what} was taken: {}", said(&answer));
                    report.add(step, Verdict::Fail, Some(ms), detail, fix);
                }
                Ok(answer) => {
                    let fix = "answer 4xx (401 or 403) to what you refuse";
                    report.add(step, Verdict::Warn, Some(ms), said(&answer), fix);
                }
                Err(reason) => report.add(step, Verdict::Fail, Some(ms), reason, "answer 401 or 403"),
            }
        }
        if !took_the_right_one {
            report.add(
                "repeated id",
                Verdict::Skip,
                None,
                "no delivery was taken that could be repeated",
                "",
            );
            return Ok(());
        }
        let again = Delivery { at: SystemClock.now(), ..right };
        let (ms, answer) = self.send(&again).await;
        match answer {
            Ok(answer) if answer.status.is_success() => {
                let detail = format!("{}; make sure that `{right_id}` was acted on once only", said(&answer));
                report.add("repeated id", Verdict::Ok, Some(ms), detail, "");
            }
            Ok(answer) => {
                let fix = "answer 2xx to what you have already: else it is sent again and again";
                report.add("repeated id", Verdict::Fail, Some(ms), said(&answer), fix);
            }
            Err(reason) => report.add("repeated id", Verdict::Fail, Some(ms), reason, "answer 2xx"),
        }
        Ok(())
    }

    async fn send(&self, delivery: &Delivery<'_>) -> (i64, Result<Answer, String>) {
        let start = SystemClock.now();
        let answer = self.try_send(delivery).await;
        (millis(start, SystemClock.now()), answer)
    }

    async fn try_send(&self, delivery: &Delivery<'_>) -> Result<Answer, String> {
        let body = json!({
            "type": "notify.test", "timestamp": rfc3339_millis(delivery.at),
            "data": { "title": "Test delivery of `notify webhook verify`", "severity": "none" },
        });
        let body = Bytes::from(body.to_string());
        let mut headers = HeaderMap::new();
        let text = |text: &str| {
            HeaderValue::from_str(text)
                .map_err(|_| format!("`{}` cannot be sent in a header", printable(text)))
        };
        for (name, value) in &self.extra {
            headers.append(name.clone(), value.clone());
        }
        let url = &self.wire.url;
        headers.insert(HOST, text(&url[url::Position::BeforeHost..url::Position::AfterPort])?);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_LENGTH, body.len().into());
        headers.insert(USER_AGENT, HeaderValue::from_static("notify-studio"));
        headers.insert(ID_HEADER, text(delivery.id)?);
        if delivery.signed {
            headers.insert(TIMESTAMP_HEADER, delivery.at.as_second().into());
            let signature = signature_header(delivery.keys, delivery.id, delivery.at, &body);
            headers.insert(SIGNATURE_HEADER, text(&signature)?);
        }
        let (stream, _) = self.wire.secure(self.wire.connect(self.address).await?).await?;
        self.wire.post(stream, headers, body).await
    }
}

fn said(answer: &Answer) -> String {
    let body = String::from_utf8_lossy(&answer.body);
    let first = body.lines().next().unwrap_or_default().trim();
    let short: String = first.chars().take(80).collect();
    let status = answer.status.as_u16();
    if short.is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}, {short}") }
}

fn random_part() -> Result<String, Failure> {
    Ok(hex(random()?.get(..12).unwrap_or_default()))
}

/// A key of the same kind that the receiver does not know.
fn stranger_secret(keys: &[SigningKey]) -> Result<String, Failure> {
    use base64::Engine as _;
    let prefix = if matches!(keys.first(), Some(SigningKey::Ed25519(_))) { "whsk_" } else { "whsec_" };
    Ok(format!("{prefix}{}", base64::engine::general_purpose::STANDARD.encode(random()?)))
}

fn header(line: &str) -> Result<(HeaderName, HeaderValue), Failure> {
    let wrong =
        || Failure::usage("a header is not `Name: value`", "give it like --header 'Authorization: Bearer x'");
    let (name, value) = line.split_once(':').ok_or_else(wrong)?;
    let name = HeaderName::from_bytes(name.trim().as_bytes()).map_err(|_| wrong())?;
    Ok((name, HeaderValue::from_str(value.trim()).map_err(|_| wrong())?))
}
