//! What documents name of other documents for noise control: calendars, contacts and members. Read from their JSON, so
//! that one list serves the check before a write and the check before a delete.

use super::check::{each, unknown_reference};
use crate::app::{Call, internal, store_problem};
use notify_core::calendar::contacts;
use notify_core::document::behaviour::MOST_FALLBACKS;
use notify_core::document::{Contact, Kind};
use notify_core::ids::ContactId;
use notify_core::problem::{Code, Problem};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// Users named when something cannot be deleted.
const NAMED: usize = 5;

/// A document that another one names, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Use {
    pub kind: Kind,
    pub id: String,
    pub path: String,
}

/// Members of documents that name others: who has them, where (`*`: each element), and what they name. A new field that
/// names a calendar or contact gets its line here.
const FIELDS: [(Kind, &str, Kind); 11] = [
    (Kind::Rule, "/actions/*/digest/schedule", Kind::Calendar),
    (Kind::Rule, "/actions/*/digest/template", Kind::Template),
    (Kind::Channel, "/quietHours/*/calendar", Kind::Calendar),
    (Kind::Channel, "/maintenance/*/calendar", Kind::Calendar),
    (Kind::Channel, "/contact", Kind::Contact),
    (Kind::Channel, "/fallback/channel", Kind::Channel),
    (Kind::Contact, "/quietHours/*/calendar", Kind::Calendar),
    (Kind::Contact, "/members/*", Kind::Contact),
    (Kind::Silence, "/calendar", Kind::Calendar),
    (Kind::Policy, "/quietHours/*/calendar", Kind::Calendar),
    (Kind::Policy, "/maintenance/*/calendar", Kind::Calendar),
];

/// Rules that pass quiet hours have to exist when that is saved, since a misspelt name would quietly do nothing. They can
/// be deleted all the same: what is left names nothing.
const ONCE: [(Kind, &str, Kind); 3] = [
    (Kind::Channel, "/quietHours/*/bypass/rules/*", Kind::Rule),
    (Kind::Contact, "/quietHours/*/bypass/rules/*", Kind::Rule),
    (Kind::Policy, "/quietHours/*/bypass/rules/*", Kind::Rule),
];

/// What a document names.
#[must_use]
pub fn named(kind: Kind, document: &Value) -> Vec<Use> {
    in_fields(&FIELDS, kind, document)
}

fn in_fields(fields: &[(Kind, &str, Kind)], kind: Kind, document: &Value) -> Vec<Use> {
    let mut found = Vec::new();
    for (_, pointer, named) in fields.iter().filter(|(of, ..)| *of == kind) {
        let mut open = vec![(document, String::new())];
        for token in pointer.split('/').skip(1) {
            open = open.into_iter().flat_map(|(value, path)| step(value, &path, token)).collect();
        }
        found
            .extend(open.into_iter().filter_map(|(value, path)| {
                Some(Use { kind: *named, id: value.as_str()?.to_owned(), path })
            }));
    }
    found
}

fn step<'v>(value: &'v Value, path: &str, token: &str) -> Vec<(&'v Value, String)> {
    match (token, value) {
        ("*", Value::Array(items)) => {
            items.iter().enumerate().map(|(index, item)| (item, format!("{path}/{index}"))).collect()
        }
        (name, Value::Object(members)) => {
            members.get(name).map(|value| (value, format!("{path}/{name}"))).into_iter().collect()
        }
        _ => Vec::new(),
    }
}

/// # Errors
/// `unknown-reference` for the first that does not exist; `invalid-contact` for a group that would contain itself.
pub async fn exist(kind: Kind, body: &str, call: &Call) -> Result<(), Problem> {
    let document: Value = serde_json::from_str(body).map_err(|error| internal(&call.request, &error))?;
    let mut seen = HashSet::new();
    let once = in_fields(&ONCE, kind, &document);
    for used in named(kind, &document).into_iter().chain(once) {
        if !seen.insert((used.kind, used.id.clone())) || super::built_in::is_it(used.kind, &used.id) {
            continue;
        }
        let found = call.app.store.document(call.tenant(), used.kind, &used.id, None).await;
        let found = found.map_err(|error| store_problem(&call.request, &error))?;
        if found.is_none_or(|document| document.deleted) {
            return Err(unknown_reference(used.kind, &used.id, &used.path));
        }
    }
    match kind {
        Kind::Contact => no_circle(&document, call).await,
        Kind::Channel => fallbacks_end(&document, call).await,
        _ => Ok(()),
    }
}

/// Fallbacks that lead back here would only go round, and so many may follow one another: behind this channel and before
/// it, since others may lead here.
async fn fallbacks_end(document: &Value, call: &Call) -> Result<(), Problem> {
    let next = document.pointer("/fallback/channel").and_then(Value::as_str);
    let (Some(own), Some(next)) = (document.get("id").and_then(Value::as_str), next) else { return Ok(()) };
    let mut to: HashMap<String, String> = HashMap::new();
    each(call, Kind::Channel, |channel| {
        let body = serde_json::from_str::<Value>(&channel.body).ok();
        let next = body.as_ref().and_then(|body| body.pointer("/fallback/channel")?.as_str());
        to.extend(next.map(|next| (channel.id.clone(), next.to_owned())));
    })
    .await?;
    to.insert(own.to_owned(), next.to_owned());
    endless(own, &to).map_or(Ok(()), Err)
}

/// What is wrong with the fallbacks that this channel is part of. `to`: of every channel that has one.
fn endless(own: &str, to: &HashMap<String, String>) -> Option<Problem> {
    let wrong = |reason: String, fix: &str| {
        Some(Problem::new(Code::InvalidChannel, "/fallback/channel", reason, fix))
    };
    let shown = |chain: &[&str]| chain.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" → ");
    let mut after = vec![own];
    while let Some(id) = after.last().and_then(|id| to.get(*id)) {
        if after.contains(&id.as_str()) {
            after.push(id);
            return wrong(
                format!("the fallbacks go round: {}", shown(&after)),
                "name a channel whose own fallback does not lead back here",
            );
        }
        after.push(id);
        if after.len() > MOST_FALLBACKS + 1 {
            return wrong(
                format!("more than {MOST_FALLBACKS} fallbacks would follow one another: {}", shown(&after)),
                "name a channel with fewer fallbacks behind it",
            );
        }
    }
    let mut from: HashMap<&str, Vec<&str>> = HashMap::new();
    for (id, next) in to {
        from.entry(next).or_default().push(id);
    }
    // One step back at a time. It goes round nowhere: whatever leads here has one way only, and that ends.
    let mut chains: Vec<Vec<&str>> = vec![after];
    while let Some(chain) = chains.pop() {
        if chain.len() > MOST_FALLBACKS + 1 {
            return wrong(
                format!("more than {MOST_FALLBACKS} fallbacks would follow one another: {}", shown(&chain)),
                "shorten the chain: let a channel before this one name another fallback, or this one none",
            );
        }
        let before = chain.first().and_then(|first| from.get(first));
        chains.extend(before.into_iter().flatten().map(|id| {
            let mut longer = vec![*id];
            longer.extend(&chain);
            longer
        }));
    }
    None
}

/// A group is in no group that is in it.
async fn no_circle(document: &Value, call: &Call) -> Result<(), Problem> {
    let group: Contact =
        serde_json::from_value(document.clone()).map_err(|error| internal(&call.request, &error))?;
    if group.members.is_empty() {
        return Ok(());
    }
    let mut groups: BTreeMap<ContactId, Vec<ContactId>> = BTreeMap::new();
    each(call, Kind::Contact, |document| {
        if let Ok(contact) = serde_json::from_str::<Contact>(&document.body)
            && !contact.members.is_empty()
        {
            groups.insert(contact.id, contact.members);
        }
    })
    .await?;
    let of = |id: &ContactId| groups.get(id).map_or(&[][..], Vec::as_slice);
    let Some(chain) = contacts::cycle(&group.id, &group.members, of) else { return Ok(()) };
    let first = chain.get(1).and_then(|first| group.members.iter().position(|member| member == *first));
    let path = format!("/members/{}", first.unwrap_or_default());
    let chain = chain.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(" → ");
    let reason = format!("the group would be a member of itself: {chain}");
    Err(Problem::new(Code::InvalidContact, path, reason, "leave one of these members out"))
}

/// # Errors
/// `in-use`, naming some of the documents that name this one.
pub async fn unused(kind: Kind, id: &str, call: &Call) -> Result<(), Problem> {
    let users: HashSet<Kind> =
        FIELDS.iter().filter(|(.., named)| *named == kind).map(|(of, ..)| *of).collect();
    let mut found = Vec::new();
    for user in Kind::ALL.into_iter().filter(|of| users.contains(of)) {
        each(call, user, |document| {
            let Ok(body) = serde_json::from_str(&document.body) else { return };
            if named(user, &body).iter().any(|used| used.kind == kind && used.id == id) {
                found.push(format!("{} `{}`", user.as_str(), document.id));
            }
        })
        .await?;
    }
    if found.is_empty() {
        return Ok(());
    }
    let more = found.len().saturating_sub(NAMED);
    let mut shown = found.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
    if more > 0 {
        shown.push_str(&format!(" and {more} more"));
    }
    let reason = format!("the {} `{id}` is used by {shown}", kind.as_str());
    Err(Problem::new(Code::InUse, "", reason, "change or delete those first"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_named_is_found_with_its_place() {
        let check = |kind: Kind, document: Value, expected: &[(&str, &str, &str)]| {
            let found = named(kind, &document);
            let found: Vec<_> =
                found.iter().map(|used| (used.kind.as_str(), used.id.as_str(), used.path.as_str())).collect();
            assert_eq!(found, expected, "{document}");
        };
        let hours = json!([{ "calendar": "a" }, { "calendar": "b", "mode": "drop" }]);
        check(
            Kind::Channel,
            json!({ "quietHours": hours, "maintenance": [{ "calendar": "m" }], "contact": "anna" }),
            &[
                ("calendar", "a", "/quietHours/0/calendar"),
                ("calendar", "b", "/quietHours/1/calendar"),
                ("calendar", "m", "/maintenance/0/calendar"),
                ("contact", "anna", "/contact"),
            ],
        );
        check(
            Kind::Channel,
            json!({ "fallback": { "channel": "inbox" } }),
            &[("channel", "inbox", "/fallback/channel")],
        );
        check(
            Kind::Contact,
            json!({ "members": ["x", "y"] }),
            &[("contact", "x", "/members/0"), ("contact", "y", "/members/1")],
        );
        check(
            Kind::Rule,
            json!({ "actions": [{}, { "digest": { "schedule": "daily" } }] }),
            &[("calendar", "daily", "/actions/1/digest/schedule")],
        );
        check(Kind::Silence, json!({ "calendar": "m" }), &[("calendar", "m", "/calendar")]);
        check(Kind::Template, json!({ "calendar": "m" }), &[]);
    }

    #[test]
    fn fallbacks_are_counted_before_and_behind() {
        let check = |own: &str, to: &[(&str, &str)], expected: &str| {
            let to = to.iter().map(|(id, next)| ((*id).to_owned(), (*next).to_owned())).collect();
            let found = endless(own, &to).map(|problem| problem.reason).unwrap_or_default();
            assert_eq!(found, expected, "{own}: {to:?}");
        };
        let more = "more than 3 fallbacks would follow one another: `a` → `b` → `c` → `d` → `e`";
        check("a", &[("a", "b"), ("b", "c"), ("c", "d")], "");
        check("d", &[("a", "b"), ("b", "c"), ("c", "d")], "");
        let long = [("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")];
        for own in ["a", "b", "c", "d"] {
            check(own, &long, more);
        }
        check("c", &[("a", "b"), ("b", "c"), ("c", "a")], "the fallbacks go round: `c` → `a` → `b` → `c`");
        // Other chains of the tenant are no concern of this one.
        check("x", &[("a", "b"), ("b", "c"), ("c", "d"), ("d", "e"), ("x", "e"), ("y", "x")], "");
    }
}
