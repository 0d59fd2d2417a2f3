//! The blast radius: how many alerts of the last days a silence would have muted, told before it is accepted.

use super::breadth;
use super::history::{RuleCount, Sample, Selector, Tally};
use crate::answer;
use crate::app::{Answer, Call, store_problem};
use crate::documents::check::{self, Checked, Parsed};
use axum::response::Response;
use http::StatusCode;
use notify_core::calendar::Calendars;
use notify_core::document::{Calendar, Kind, Rule, Silence, Version};
use notify_core::duration::Length;
use notify_core::ids::ChannelId;
use notify_core::noise::Windows;
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::Document;
use serde::Serialize;
use serde_json::{Value, to_value};
use std::collections::BTreeMap;

/// How far back is looked.
const DAYS: u64 = 7;
/// More muted alerts than this, or this part of all, have to be confirmed.
const MANY: u64 = 100;
const PERCENT: u64 = 25;
/// Ledger entries that are gone through, `event` entries that are judged, and the time for both: what comes first ends it.
const MAX_ENTRIES: u64 = 500_000;
const MAX_EVENTS: u64 = 100_000;
const MAX_SECONDS: i64 = 5;
/// Entries read at once: few, because events may be large.
const PAGE: u64 = 256;

/// What a silence would have muted.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Impact {
    pub sentence: String,
    /// Alerts that it would have muted.
    pub muted: u64,
    /// Rules that they are of.
    pub muted_rules: u64,
    /// All alerts in the period.
    pub alerts: u64,
    /// Events that were looked at.
    pub events: u64,
    /// The period that was looked at.
    pub from: String,
    pub to: String,
    /// Whether the whole period was looked at; if not, `from` is as far as the search came.
    pub complete: bool,
    /// Entries in the period whose content is kept no longer.
    pub unreadable: u64,
    /// Whether a silence like this has to be confirmed.
    pub confirm: bool,
    /// Why it has to be, whatever its figures: it mutes everything, or lasts long.
    pub because: Vec<String>,
    /// The rules with the most muted alerts, at most 50.
    pub rules: Vec<RuleCount>,
    /// The latest events that it would have muted alerts of.
    pub samples: Vec<Sample>,
}

/// `POST /silences:preview`: the silence is the body, as for a create; nothing is saved.
pub async fn preview(call: Call) -> Answer {
    let checked = check::body(Kind::Silence, &call)?;
    check::against(Kind::Silence, &checked, &call).await?;
    let Parsed::Silence(silence) = &checked.parsed else { return Err(answer::internal()) };
    Ok(answer::json(StatusCode::OK, &of(silence, &call).await?))
}

/// The impact of a document that is about to be saved, if it is a silence.
///
/// # Errors
/// The store's.
pub async fn of_write(checked: &Checked, call: &Call) -> Result<Option<Impact>, Problem> {
    match &checked.parsed {
        Parsed::Silence(silence) => of(silence, call).await.map(Some),
        _ => Ok(None),
    }
}

impl Impact {
    /// What stands against saving it unasked, once the document that it replaces is known: nothing where the silence
    /// mutes no more than before.
    #[must_use]
    pub fn objection(&self, replaced: Option<&Document>, silence: &Silence) -> Option<Problem> {
        let before = replaced.and_then(|document| serde_json::from_str::<Silence>(&document.body).ok());
        let no_more = before.is_some_and(|before| {
            silence.calendar == before.calendar && silence.scope().is_within(&before.scope())
        });
        if !self.confirm || no_more {
            return None;
        }
        Some(Problem::new(
            Code::ConfirmationRequired,
            "",
            self.sentence.clone(),
            "make it narrower, or confirm with `?confirm=true` (`--confirm`) that this is meant",
        ))
    }

    /// The problem with all figures.
    #[must_use]
    pub fn refused(&self, problem: &Problem, call: &Call) -> Response {
        let mut document = answer::problem_document(problem, Some(&call.request));
        if let (Value::Object(members), Ok(preview)) = (&mut document, to_value(self)) {
            members.insert("preview".to_owned(), preview);
        }
        answer::bytes(StatusCode::CONFLICT, "application/problem+json", document.to_string().into_bytes())
    }
}

async fn of(silence: &Silence, call: &Call) -> Result<Impact, Problem> {
    let mut actions = BTreeMap::new();
    if !silence.channels.is_empty() {
        check::each(call, Kind::Rule, |document| learn(document, &mut actions)).await?;
    }
    let selector = Selector::of(silence, actions)?;
    let calendars = calendars(silence, call).await?;
    let failed = |error| store_problem(&call.request, &error);
    let now = call.app.clock.now();
    let since = now - Length::from_secs(DAYS * 86_400).signed();
    let mut to = call.app.store.ledger_head(call.tenant()).await.map_err(failed)?.map_or(0, |head| head.size);
    let lowest = to.saturating_sub(MAX_ENTRIES);
    let mut reached = now;
    let mut tally = Tally::default();
    let complete = loop {
        if to == 0 {
            break true;
        }
        let out_of_time = (call.app.clock.now().as_second() - now.as_second()) >= MAX_SECONDS;
        if to <= lowest || tally.events >= MAX_EVENTS || out_of_time {
            break false;
        }
        let from = to.saturating_sub(PAGE).max(lowest);
        let page = call.app.store.decided_events(call.tenant(), from, to).await.map_err(failed)?;
        // A few that were planned long after they came do not end the search.
        let older = !page.is_empty() && page.iter().all(|entry| entry.at < since);
        reached = page.last().map_or(reached, |entry| entry.at.max(since));
        let (selector, calendars, calendar) = (selector.clone(), calendars.clone(), silence.calendar.clone());
        let work = move || {
            let applies = |at| calendar.as_ref().is_none_or(|id| calendars.inside(id, at).is_some());
            for entry in page.iter().filter(|entry| entry.at >= since) {
                tally.add(entry, &selector, &applies);
            }
            tally
        };
        // Off the threads that serve events: patterns and events may be large.
        tally = call.in_turn(work).await?;
        if older {
            break true;
        }
        to = from;
    };
    let because = breadth::reasons(silence);
    Ok(impact(&tally, if complete { since } else { reached }, now, complete, because))
}

/// The calendar of a recurring silence: only alerts within its windows would have been muted.
async fn calendars(silence: &Silence, call: &Call) -> Result<Calendars, Problem> {
    let Some(id) = &silence.calendar else { return Ok(Calendars::default()) };
    let found = call.app.store.document(call.tenant(), Kind::Calendar, id.as_str(), None).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let version = found.filter(|document| !document.deleted).and_then(|document| {
        let Document { version, digest, .. } = document.clone();
        Some(Version { version, digest, document: check::stored::<Calendar>(&document)? })
    });
    Ok(Calendars::compile(version.into_iter().collect()).0)
}

fn learn(document: &Document, actions: &mut BTreeMap<(String, String), ChannelId>) {
    let Some(rule) = check::stored::<Rule>(document) else { return };
    for action in rule.actions {
        actions.insert((rule.id.to_string(), action.id.to_string()), action.channel);
    }
}

fn impact(tally: &Tally, from: Timestamp, to: Timestamp, complete: bool, because: Vec<String>) -> Impact {
    let (muted_rules, rules) = tally.rules();
    let Tally { events, alerts, muted, unreadable, .. } = *tally;
    let mut sentence = sentence(tally, muted_rules, from, complete);
    because.iter().for_each(|reason| sentence.push_str(&format!("; {reason}")));
    Impact {
        sentence,
        muted,
        muted_rules,
        alerts,
        events,
        from: rfc3339_millis(from),
        to: rfc3339_millis(to),
        complete,
        unreadable,
        confirm: !complete || !because.is_empty() || has_to_be_confirmed(muted, alerts, unreadable),
        because,
        rules,
        samples: tally.samples().to_vec(),
    }
}

/// What cannot be read counts as an alert that it would have muted.
const fn has_to_be_confirmed(muted: u64, alerts: u64, unreadable: u64) -> bool {
    let (muted, alerts) = (muted.saturating_add(unreadable), alerts.saturating_add(unreadable));
    muted > MANY || (muted > 0 && muted.saturating_mul(100) > alerts.saturating_mul(PERCENT))
}

fn sentence(tally: &Tally, rules: u64, from: Timestamp, complete: bool) -> String {
    let plural = |count: u64, one: &str| format!("{count} {one}{}", if count == 1 { "" } else { "s" });
    let Tally { alerts, muted, unreadable, .. } = *tally;
    let mut sentence = if muted == 0 {
        "it would have muted no alert".to_owned()
    } else {
        format!("it would have muted {} of {}", plural(muted, "alert"), plural(rules, "rule"))
    };
    if complete {
        sentence.push_str(&format!(" in the last {DAYS} days"));
    } else {
        sentence.push_str(&format!(" since {}", rfc3339_millis(from)));
    }
    if let Some(percent) = muted.saturating_mul(100).checked_div(alerts) {
        sentence.push_str(&format!(", {percent} % of all {}", plural(alerts, "alert")));
    }
    if !complete {
        sentence.push_str("; what is older was not looked at, because there is too much of it");
    }
    if unreadable > 0 {
        sentence.push_str(&format!("; {unreadable} of the entries could not be read any more"));
    }
    sentence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_to_be_confirmed() {
        for (muted, alerts, unreadable, expected) in [
            (0, 0, 0, false),
            (0, 9, 0, false),
            (1, 4, 0, false),
            (2, 4, 0, true),
            (1, 1, 0, true),
            (25, 100, 0, false),
            (26, 100, 0, true),
            (100, 10_000, 0, false),
            (101, 10_000, 0, true),
            (0, 0, 1, true),
            (0, 9, 3, false),
            (0, 9, 4, true),
            (1, 1_000, 99, false),
            (1, 1_000, 100, true),
            (u64::MAX, u64::MAX, 0, true),
            (u64::MAX, u64::MAX, u64::MAX, true),
        ] {
            let found = has_to_be_confirmed(muted, alerts, unreadable);
            assert_eq!(found, expected, "{muted} of {alerts}, {unreadable} unreadable");
        }
    }

    #[test]
    fn what_is_not_known_has_to_be_confirmed() {
        let at = Timestamp::UNIX_EPOCH;
        let mut tally = Tally::default();
        (tally.events, tally.alerts) = (9, 9);
        assert!(!impact(&tally, at, at, true, vec![]).confirm);
        assert!(impact(&tally, at, at, false, vec![]).confirm);
        tally.unreadable = 9;
        assert!(impact(&tally, at, at, true, vec![]).confirm);
        let wide = impact(&Tally::default(), at, at, true, vec!["it lasts long".to_owned()]);
        assert!(wide.confirm && wide.sentence.ends_with("; it lasts long"), "{}", wide.sentence);
    }
}
