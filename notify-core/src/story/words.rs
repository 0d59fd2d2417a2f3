//! Sentences for people who run the tenant's alerts and never saw the code.

use super::read::text;
use super::{ActionStory, DigestEnd, End, State};
use crate::time::Timestamp;
use serde_json::Value;

pub(super) const INCOMPLETE: &str =
    "So much came of this event that only a part is shown; the ledger holds all of it.";

/// What an end does not hold and its sentence needs.
#[derive(Debug, Default)]
pub(super) struct Extra {
    /// Of the last attempt.
    pub last_result: Option<String>,
    /// The release that ended it.
    pub release: Option<Value>,
    /// Alerts in the digest.
    pub count: Option<u64>,
}

pub(super) fn unreadable(count: u64) -> String {
    let (entries, are) = if count == 1 { ("entry", "is") } else { ("entries", "are") };
    format!("{count} ledger {entries} of this event {are} pruned and cannot be read any more.")
}

/// The moment a text names, in words; the text itself when it names none.
fn time(text: &str) -> String {
    let shown = |at: Timestamp| at.strftime("%-d %b %Y, %H:%M:%S UTC").to_string();
    text.parse::<Timestamp>().map_or_else(|_| text.to_owned(), shown)
}

fn at(value: &Value, name: &str) -> Option<String> {
    text(value, name).map(time)
}

fn number(value: &Value, name: &str) -> Option<u64> {
    value.get(name)?.as_u64()
}

/// A value as text; lists and objects are not shown.
fn shown(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// `prefix` + value + `suffix` when there is a value.
fn some(prefix: &str, value: Option<String>, suffix: &str) -> String {
    value.map(|value| format!("{prefix}{value}{suffix}")).unwrap_or_default()
}

/// Why a control acted: a clause that goes on after "because".
fn because(control: &str, parameters: &Value) -> String {
    let until = || some(" until ", at(parameters, "until"), "");
    let named = |name: &str| some(" `", shown(parameters, name), "`");
    match control {
        "dedupe" => {
            let first = some(" at ", at(parameters, "firstAt"), "");
            let window = some(", and repeats are muted for ", shown(parameters, "window"), "");
            let count = match number(parameters, "repeats").or_else(|| number(parameters, "count")) {
                Some(count) if count > 0 => format!("; this is repeat number {count}"),
                _ => String::new(),
            };
            format!(
                "the same alert{} was let through{first}{window}{}{count}",
                some(" (equal ", fields(parameters), ")"),
                some(" (until ", at(parameters, "until"), ")")
            )
        }
        "silence" => format!(
            "silence{}{} covers it{}",
            named("silence"),
            some(", version ", shown(parameters, "version"), ","),
            until()
        ),
        "maintenance" => format!(
            "it falls into maintenance ({}calendar{}){}",
            some("silence `", shown(parameters, "silence"), "`, "),
            named("calendar"),
            until()
        ),
        "inhibition" => {
            format!(
                "another alert that explains it is active{} (inhibition{}{})",
                some(", until ", at(parameters, "until"), " at the latest"),
                named("inhibition"),
                some(", version ", shown(parameters, "version"), "")
            )
        }
        "storm" => format!(
            "far more alerts than usual come (a storm{}), and a summary stands for them",
            some(" since ", at(parameters, "since"), "")
        ),
        "throttle" => format!(
            "the throttle lets{} through{}{}{}",
            some(" only ", shown(parameters, "limit"), ""),
            some(" in ", shown(parameters, "per"), ""),
            some(" for equal ", fields(parameters), ""),
            some("; the next one at ", at(parameters, "againAt"), "")
        ),
        "quiet-hours" => {
            let of = whose(parameters);
            format!("it came in the quiet hours{of} (calendar{}){}", named("calendar"), until())
        }
        "digest" => "the action collects its alerts".to_owned(),
        "budget" => format!(
            "the budget{} is used up{}{}",
            whose(parameters),
            some(" (", shown(parameters, "limit"), " messages"),
            if shown(parameters, "limit").is_some() {
                some(" in ", shown(parameters, "per"), ")")
            } else {
                String::new()
            },
        ),
        "channel-missing" => "its channel does not exist".to_owned(),
        "channel-disabled" => "its channel is disabled".to_owned(),
        "rule-missing" => "its rule does not exist any more".to_owned(),
        "rule-disabled" => "its rule is disabled or deleted".to_owned(),
        "action-missing" => "its rule does not have this action any more".to_owned(),
        "delivery-failed" => "every attempt failed".to_owned(),
        "delivery-cancelled" => "its delivery was cancelled".to_owned(),
        "" => "the ledger does not say why".to_owned(),
        other => format!("of `{}`", other.escape_default()),
    }
}

/// The fields of the event that make alerts the same: `keyOf`, JSON Pointers.
fn fields(parameters: &Value) -> Option<String> {
    const NAMED: usize = 6;
    let names: Vec<&str> = parameters.get("keyOf")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|pointer| format!("`{}`", pointer.trim_start_matches('/').replace('/', ".").escape_default()))
        .collect();
    match names.len().saturating_sub(NAMED) {
        0 => {}
        1 => shown.push("1 more field".to_owned()),
        more => shown.push(format!("{more} more fields")),
    }
    (!shown.is_empty()).then(|| and(shown))
}

/// Whose quiet hours or budget: `policy`, `channel/ID` or `contact/ID`.
fn whose(parameters: &Value) -> String {
    let Some(of) = shown(parameters, "of") else { return String::new() };
    match of.split_once('/') {
        Some((kind, id)) => format!(" of {} `{}`", kind.escape_default(), id.escape_default()),
        None if of == "policy" => " of the whole tenant".to_owned(),
        None => format!(" of `{}`", of.escape_default()),
    }
}

/// A control as the subject of a sentence.
fn named_control(control: &str) -> String {
    match control {
        "dedupe" => "the check for repeats".to_owned(),
        "silence" => "a silence".to_owned(),
        "maintenance" => "maintenance".to_owned(),
        "inhibition" => "an inhibition".to_owned(),
        "storm" => "the storm breaker".to_owned(),
        "throttle" => "the throttle".to_owned(),
        "quiet-hours" => "quiet hours".to_owned(),
        "digest" => "the digest".to_owned(),
        "budget" => "the budget".to_owned(),
        other => format!("`{}`", other.escape_default()),
    }
}

fn and(mut names: Vec<String>) -> String {
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// The later controls, and what an override or an opened window adds.
fn besides(decision: &Value) -> String {
    let mut out = String::new();
    let also = decision.get("alsoApplied").and_then(Value::as_array).into_iter().flatten();
    let also: Vec<String> = also.filter_map(Value::as_str).map(named_control).collect();
    if !also.is_empty() {
        out.push_str(&format!(" Without that, {} would have applied.", and(also)));
    }
    let parameters = decision.get("parameters").unwrap_or(&Value::Null);
    for (control, by) in parameters.get("bypassed").and_then(Value::as_object).into_iter().flatten() {
        let by = by.as_str().unwrap_or_default().escape_default().to_string();
        out.push_str(&format!(" Override `{by}` let it pass {}.", named_control(control)));
    }
    if let Some(until) = parameters.get("opened").and_then(|opened| at(opened, "dedupe")) {
        out.push_str(&format!(" Repeats of it are muted until {until}."));
    }
    out
}

fn to_channel(intent: Option<&Value>) -> String {
    some(" to channel `", intent.and_then(|intent| shown(intent, "channel")), "`")
}

/// The step of a decision.
pub(super) fn decision(decision: &Value) -> String {
    let control = text(decision, "control").unwrap_or_default();
    let parameters = decision.get("parameters").unwrap_or(&Value::Null);
    let channel = to_channel(decision.get("intent"));
    let what = match text(decision, "outcome").unwrap_or_default() {
        "send" => format!("Nothing stood in the way: to be sent{channel}."),
        "render-failed" => format!(
            "To be sent{channel} with the built-in message, because its template failed{}{}.",
            some(" with `", shown(parameters, "code"), "`"),
            some(" at `", shown(parameters, "path").filter(|path| !path.is_empty()), "`"),
        ),
        "suppressed" => format!("Not sent, because {}.", because(control, parameters)),
        "held" => format!("Held back, because {}.", because(control, parameters)),
        "digested" => format!(
            "Put into a digest{}, because {}.",
            some(" that closes at ", at(parameters, "closesAt"), ""),
            because(control, parameters)
        ),
        other => format!("Decided: `{}`.", other.escape_default()),
    };
    what + &besides(decision)
}

pub(super) fn release(whole: &Value) -> String {
    let what = match text(whole, "release") {
        Some("held") => "What was held",
        Some("retry") => "The next attempt",
        Some("digest") => "The digest",
        _ => "It",
    };
    let control = text(whole, "control").unwrap_or_default();
    let parameters = whole.get("parameters").unwrap_or(&Value::Null);
    match text(whole, "outcome").unwrap_or_default() {
        "send" => format!("{what} was judged again: to be sent{}.", to_channel(whole.get("intent"))),
        "hold" => format!("{what} was judged again and waits on, because {}.", because(control, parameters)),
        "cancel" => {
            format!("{what} was judged again and is not sent, because {}.", because(control, parameters))
        }
        other => format!("{what} was judged again: `{}`.", other.escape_default()),
    }
}

pub(super) fn digest(whole: &Value) -> String {
    let count = number(whole, "trueCount").unwrap_or_default();
    let closed = match text(whole, "closed") {
        Some("count") => "it was full",
        Some("schedule") => "its calendar said so",
        _ => "its time was over",
    };
    let shown = number(whole, "retainedCount").filter(|shown| *shown < count);
    let shown = some(", which names ", shown.map(|shown| shown.to_string()), " of them");
    format!(
        "The digest closed, because {closed}: {} as one message{}{shown}.",
        alerts(count),
        to_channel(whole.get("intent"))
    )
}

pub(super) fn attempt(whole: &Value, late: bool) -> String {
    let number = number(whole, "attempt").unwrap_or_default();
    let result = text(whole, "result").unwrap_or("unknown").escape_default().to_string();
    if late {
        return format!("A late result of attempt {number} came in (`{result}`) and changed nothing.");
    }
    let follows = whole.get("follows").unwrap_or(&Value::Null);
    let ended = match text(follows, "outcome") {
        Some("delivered") => "it arrived".to_owned(),
        Some("accepted") => "the receiver took it over".to_owned(),
        Some(outcome) => format!("`{result}`, and nothing follows (`{}`)", outcome.escape_default()),
        None => format!(
            "`{result}`{}{}",
            some("; attempt ", shown(follows, "attempt"), ""),
            some(" is due at ", at(follows, "dueAt"), "")
        ),
    };
    format!("Attempt {number}: {ended}.")
}

pub(super) fn act(whole: &Value) -> String {
    match text(whole, "act").unwrap_or_default() {
        "replay" => format!("Sent once more as a new delivery{}.", to_channel(whole.get("intent"))),
        "cancel" => "The delivery was cancelled.".to_owned(),
        "dead-letter" => format!("The delivery was given up{}.", some(": ", shown(whole, "reason"), "")),
        other => format!("`{}`.", other.escape_default()),
    }
}

fn alerts(count: u64) -> String {
    if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") }
}

/// How an action ended.
pub(super) fn action(story: &ActionStory, end: &End, decision: &Value, extra: &Extra) -> String {
    let who = format!("Rule `{}`, action `{}`: ", story.rule.escape_default(), story.action.escape_default());
    let channel = some(" to channel `", story.channel.clone(), "`");
    let parameters = decision.get("parameters").unwrap_or(&Value::Null);
    let control = text(decision, "control").unwrap_or_default();
    let first = || because(control, parameters);
    let what = match end {
        End::Sent { result, at, .. } => {
            let verb = if result == "accepted" { "handed over" } else { "sent" };
            format!("{verb}{channel}{}.", some(" at ", at.as_deref().map(time), ""))
        }
        End::NotSent { because: why, delivery: Some(_), .. } if why == "delivery-failed" => {
            format!(
                "not delivered{channel}{}: the last attempt ended with `{}` and no further one follows.",
                some(" as part of a digest of ", extra.count.map(alerts), ""),
                extra.last_result.as_deref().unwrap_or("unknown")
            )
        }
        End::NotSent { because: why, .. } => match &extra.release {
            Some(release) => {
                let then = because(why, release.get("parameters").unwrap_or(&Value::Null));
                match text(decision, "outcome") {
                    Some("held") => format!("held back, because {}; then not sent, because {then}.", first()),
                    Some("digested") => {
                        format!("collected, because {}; then not sent, because {then}.", first())
                    }
                    _ => {
                        let before = some("after `", extra.last_result.clone(), "` ");
                        format!("not delivered{channel}: {before}no further attempt is made, because {then}.")
                    }
                }
            }
            None if why == control => format!("not sent, because {}.", first()),
            None => format!("not sent, because {}.", because(why, &Value::Null)),
        },
        End::InDigest { then, .. } => match then {
            DigestEnd::Open { closes_at } => format!(
                "waits in a digest{}, because {}.",
                some(" that closes at ", closes_at.as_deref().map(time), ""),
                first()
            ),
            DigestEnd::Sending { attempt, due_at, .. } => format!(
                "part of a digest{} that is being sent{channel}: attempt {attempt}{}.",
                some(" of ", extra.count.map(alerts), ""),
                some(" is due at ", due_at.as_deref().map(time), "")
            ),
            DigestEnd::Sent { at, .. } => format!(
                "sent{channel} as part of a digest{}{}.",
                some(" of ", extra.count.map(alerts), ""),
                some(" at ", at.as_deref().map(time), "")
            ),
        },
        End::Held { until, .. } => {
            // The clause names the time it was first held for; the end the one that counts now.
            let why = match (text(parameters, "until"), until.as_deref()) {
                (Some(said), Some(now)) if said == now => first(),
                _ => {
                    because(control, &without_until(parameters))
                        + &some("; it waits until ", until.as_deref().map(time), "")
                }
            };
            format!("held back, because {why}.")
        }
        End::Sending { attempt, due_at, .. } => {
            let before = some(", after `", extra.last_result.clone(), "`");
            format!(
                "being sent{channel}: attempt {attempt}{}{before}.",
                some(" is due at ", due_at.as_deref().map(time), "")
            )
        }
        End::Unknown { outcome } => {
            format!("the ledger says `{}`, which this version does not know.", outcome.escape_default())
        }
    };
    who + &what + &besides(decision)
}

fn without_until(parameters: &Value) -> Value {
    let mut parameters = parameters.clone();
    if let Value::Object(members) = &mut parameters {
        members.shift_remove("until");
    }
    parameters
}

/// The whole event in one sentence.
pub(super) fn whole(
    state: State,
    actions: &[ActionStory],
    unmatched: Option<u64>,
    accepted: Timestamp,
) -> String {
    let accepted = time(&crate::time::rfc3339_millis(accepted));
    if state == State::Pending {
        return format!("Accepted at {accepted}; it is not decided yet what becomes of it.");
    }
    if actions.is_empty() {
        let looked = some(" (", unmatched.map(|count| format!("{count} looked at")), ")");
        return format!(
            "Accepted at {accepted}; no enabled rule matched{looked}, so nothing was to be sent."
        );
    }
    let rules: std::collections::BTreeSet<&str> = actions.iter().map(|action| action.rule.as_str()).collect();
    let count = |wanted: fn(&End) -> bool| actions.iter().filter(|action| wanted(&action.end)).count();
    let parts: Vec<String> = [
        (count(|end| matches!(end, End::Sent { .. })), "sent"),
        (count(|end| matches!(end, End::InDigest { .. })), "in a digest"),
        (count(|end| matches!(end, End::Sending { .. })), "being sent"),
        (count(|end| matches!(end, End::Held { .. })), "held back"),
        (count(|end| matches!(end, End::NotSent { .. })), "not sent"),
        (count(|end| matches!(end, End::Unknown { .. })), "unknown"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    let rules = if rules.len() == 1 { "1 rule".to_owned() } else { format!("{} rules", rules.len()) };
    format!("Accepted at {accepted}; {rules} matched: {}.", parts.join(", "))
}
