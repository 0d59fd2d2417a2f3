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
    /// The release that ended it, or that keeps it waiting.
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

/// A text of the ledger within a sentence: as it is, but for what would hide or turn the words around it.
fn plain(text: &str) -> String {
    let hides = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if hides(c) { out.extend(c.escape_default()) } else { out.push(c) }
    }
    out
}

/// A value as text; lists and objects are not shown.
fn shown(value: &Value, name: &str) -> Option<String> {
    match value.get(name)? {
        Value::String(text) => Some(plain(text)),
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
            let count = match number(parameters, "repeats") {
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
            "it falls into maintenance{} ({}calendar{}){}",
            whose(parameters),
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
        other => format!("of `{}`", plain(other)),
    }
}

/// The fields of the event that make alerts the same: `keyOf`, JSON Pointers.
fn fields(parameters: &Value) -> Option<String> {
    const NAMED: usize = 6;
    let names: Vec<&str> = parameters.get("keyOf")?.as_array()?.iter().filter_map(Value::as_str).collect();
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|pointer| format!("`{}`", plain(&pointer.trim_start_matches('/').replace('/', "."))))
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
        Some((kind, id)) => format!(" of {} `{}`", plain(kind), plain(id)),
        None if of == "policy" => " of the whole tenant".to_owned(),
        None => format!(" of `{}`", plain(&of)),
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
        other => format!("`{}`", plain(other)),
    }
}

fn and(mut names: Vec<String>) -> String {
    match names.pop() {
        None => String::new(),
        Some(last) if names.is_empty() => last,
        Some(last) => format!("{} and {last}", names.join(", ")),
    }
}

/// The later controls, and those that it was let past.
fn besides(decision: &Value) -> String {
    let mut out = String::new();
    let also = decision.get("alsoApplied").and_then(Value::as_array).into_iter().flatten();
    let also: Vec<String> = also.filter_map(Value::as_str).map(named_control).collect();
    if !also.is_empty() {
        out.push_str(&format!(" Without that, {} would have applied.", and(also)));
    }
    for (control, by) in bypasses(decision) {
        out.push_str(&format!(" {} let it pass {control}.", sentence_case(&by)));
    }
    out
}

/// Each control that stood in the way and was passed, with what let it pass.
fn bypasses(decision: &Value) -> Vec<(String, String)> {
    let bypassed = decision.pointer("/parameters/bypassed").and_then(Value::as_object);
    let named = |(control, by): (&String, &Value)| {
        let id = by.as_str().or_else(|| text(by, "override")).map(plain);
        let who = match (text(by, "by"), id) {
            (None | Some("override"), Some(id)) => {
                format!("override `{id}`{}", some(", version ", shown(by, "version"), ","))
            }
            (None | Some("override"), None) => "an override".to_owned(),
            (Some("severity"), _) => "its severity".to_owned(),
            (Some("rule"), _) => "an exception for its rule".to_owned(),
            (Some("action"), _) => "the setting of its action".to_owned(),
            (Some(other), _) => format!("`{}`", plain(other)),
        };
        (named_control(control), who)
    };
    bypassed.into_iter().flatten().map(named).collect()
}

/// What stood in the way of something that is sent all the same.
fn passed(decision: &Value) -> Option<String> {
    let bypassed = bypasses(decision);
    let stood = and(bypassed.iter().map(|(control, _)| control.clone()).collect());
    let let_pass = match bypassed.as_slice() {
        [] => return None,
        [(_, who)] => format!("{who} let it pass"),
        several => and(several.iter().map(|(control, who)| format!("{who} let it pass {control}")).collect()),
    };
    Some(format!("only {stood} stood in the way, and {let_pass}"))
}

fn sentence_case(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
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
        "send" => match passed(decision) {
            Some(passed) => return format!("{}: to be sent{channel}.", sentence_case(&passed)),
            None => format!("Nothing stood in the way: to be sent{channel}."),
        },
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
        other => format!("Decided: `{}`.", plain(other)),
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
        "send" => {
            let passed = some("; ", passed(whole), "");
            format!("{what} was judged again{passed}: to be sent{}.", to_channel(whole.get("intent")))
        }
        "hold" => format!("{what} was judged again and waits on, because {}.", because(control, parameters)),
        "cancel" => {
            format!("{what} was judged again and is not sent, because {}.", because(control, parameters))
        }
        other => format!("{what} was judged again: `{}`.", plain(other)),
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
    let result = plain(text(whole, "result").unwrap_or("unknown"));
    if late {
        return format!("A late result of attempt {number} came in (`{result}`) and changed nothing.");
    }
    let follows = whole.get("follows").unwrap_or(&Value::Null);
    let ended = match text(follows, "outcome") {
        Some("delivered") => "it arrived".to_owned(),
        Some("accepted") => "the receiver took it over".to_owned(),
        Some(outcome) => format!("`{result}`, and nothing follows (`{}`)", plain(outcome)),
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
        "fallback" => format!(
            "The fallback took over{}: a new delivery{}.",
            some(", because ", shown(whole, "reason"), ""),
            to_channel(whole.get("intent"))
        ),
        "cancel" => "The delivery was cancelled.".to_owned(),
        "dead-letter" => format!("The delivery was given up{}.", some(": ", shown(whole, "reason"), "")),
        other => format!("`{}`.", plain(other)),
    }
}

fn alerts(count: u64) -> String {
    if count == 1 { "1 alert".to_owned() } else { format!("{count} alerts") }
}

/// How an action ended.
pub(super) fn action(story: &ActionStory, end: &End, decision: &Value, extra: &Extra) -> String {
    let who = format!("Rule `{}`, action `{}`: ", plain(&story.rule), plain(&story.action));
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
                plain(extra.last_result.as_deref().unwrap_or("unknown"))
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
                        let before = some("after `", extra.last_result.as_deref().map(plain), "` ");
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
            DigestEnd::Held { delivery, until } => {
                let what = some(" of ", extra.count.map(alerts), "");
                let tried = match (&extra.last_result, delivery) {
                    (Some(result), Some(_)) => format!(" after `{result}`"),
                    _ => String::new(),
                };
                format!(
                    "part of a digest{what} that is held back{tried}{}.",
                    waits_on(extra, until.as_deref())
                )
            }
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
        End::Held { delivery: Some(_), until, .. } => {
            let before = some(" after `", extra.last_result.as_deref().map(plain), "`");
            format!(
                "not delivered yet{channel}: the next attempt is held back{before}{}.",
                waits_on(extra, until.as_deref())
            )
        }
        End::Held { until, .. } if extra.release.is_some() => {
            format!("held back, because {}; then held again{}.", first(), waits_on(extra, until.as_deref()))
        }
        End::Held { until, .. } => {
            let now = until.as_deref();
            format!("held back, because {}.", until_now(control, parameters, now))
        }
        End::Sending { attempt, due_at, .. } => {
            let before = some(", after `", extra.last_result.as_deref().map(plain), "`");
            format!(
                "being sent{channel}: attempt {attempt}{}{before}.",
                some(" is due at ", due_at.as_deref().map(time), "")
            )
        }
        End::Unknown { outcome } => {
            format!("the ledger says `{}`, which this version does not know.", plain(outcome))
        }
    };
    who + &what + &besides(decision)
}

/// Why something that is judged again waits on, and until when.
fn waits_on(extra: &Extra, until: Option<&str>) -> String {
    let Some(release) = &extra.release else { return some(" until ", until.map(time), "") };
    let control = text(release, "control").unwrap_or_default();
    let parameters = release.get("parameters").unwrap_or(&Value::Null);
    format!(", because {}", until_now(control, parameters, until))
}

/// The clause names the time that was said with it; the end the one that counts now.
fn until_now(control: &str, parameters: &Value, now: Option<&str>) -> String {
    match (text(parameters, "until"), now) {
        (Some(said), Some(now)) if said == now => because(control, parameters),
        _ => because(control, &without_until(parameters)) + &some("; it waits until ", now.map(time), ""),
    }
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
    decided: bool,
    actions: &[ActionStory],
    unmatched: Option<u64>,
    accepted: Timestamp,
) -> String {
    let accepted = time(&crate::time::rfc3339_millis(accepted));
    if state == State::Pending {
        return format!("Accepted at {accepted}; it is not decided yet what becomes of it.");
    }
    if !decided && actions.is_empty() {
        return format!(
            "Accepted at {accepted} and decided; what was decided cannot be read any more, because its ledger entry \
             is pruned."
        );
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
