//! Silences against a list that is scanned silence by silence.

use super::{events, minute, patterns, version};
use crate::document::scope::Standing;
use crate::document::{Kind, Silence, Version};
use crate::ids::{CalendarId, ChannelId, RuleId};
use crate::noise::{Inside, SilenceHit, Silences};
use crate::pattern::Pattern;
use crate::time::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cmp::Reverse;

/// Calendar `c1` is open in the first of every 10 minutes, `c2` in the first two of every three, `c3` always; there is no
/// other.
pub fn calendars(calendar: &CalendarId, at: Timestamp) -> Option<Inside> {
    let minutes = (at.as_second() - minute(0).as_second()).div_euclid(60);
    let window = |every: i64, open: i64| {
        let start = minutes.div_euclid(every) * every;
        (minutes - start < open).then(|| Inside { until: Some(minute(start + open)) })
    };
    match calendar.as_str() {
        "c1" => window(10, 1),
        "c2" => window(3, 2),
        "c3" => Some(Inside { until: None }),
        _ => None,
    }
}

/// The obvious way: every silence is looked at.
fn model(
    documents: &[Version<Silence>],
    recurring: bool,
    event: &Value,
    rule: &RuleId,
    channel: &ChannelId,
    at: Timestamp,
) -> Option<(String, Option<Timestamp>)> {
    let covering = documents.iter().filter_map(|Version { document, .. }| {
        let matches = document.r#match.as_ref().is_none_or(|p| Pattern::compile(p).unwrap().matches(event));
        let about = matches
            && (document.rules.is_empty() || document.rules.contains(rule))
            && (document.channels.is_empty() || document.channels.contains(channel))
            && document.from.is_none_or(|from| from <= at)
            && document.until.is_none_or(|until| at < until)
            && document.calendar.is_some() == recurring;
        if !about {
            return None;
        }
        let until = match &document.calendar {
            None => document.until,
            Some(calendar) => {
                let closes = calendars(calendar, at)?.until;
                [closes, document.until].into_iter().flatten().min()
            }
        };
        Some((document.id.to_string(), until))
    });
    covering.max_by_key(|(id, until)| (until.is_none(), *until, Reverse(id.clone())))
}

fn found(hit: Option<SilenceHit<'_>>) -> Option<(String, Option<Timestamp>)> {
    hit.map(|hit| (hit.id.to_string(), hit.until))
}

fn names(prefix: &'static str) -> impl Strategy<Value = Vec<String>> {
    let one = (0..3_u8).prop_map(move |n| format!("{prefix}{n}"));
    prop::collection::btree_set(one, 0..3).prop_map(|names| names.into_iter().collect())
}

prop_compose! {
    fn silence()(
        pattern in prop::option::weighted(0.8, patterns()),
        rules in names("r"),
        channels in names("h"),
        from in prop::option::of(0..60_i64),
        lasts in prop::option::weighted(0.8, 0..30_i64),
        calendar in prop::option::of(0..5_u8),
    ) -> Value {
        let mut value = json!({ "schema": "notify-silence@1", "reason": "r" });
        let members = value.as_object_mut().unwrap();
        let none = pattern.is_none() && rules.is_empty() && channels.is_empty();
        members.extend(pattern.map(|pattern| ("match".to_owned(), pattern)));
        if !rules.is_empty() || none {
            members.insert("rules".into(), if none { json!(["r0", "r1", "r2"]) } else { json!(rules) });
        }
        if !channels.is_empty() {
            members.insert("channels".into(), json!(channels));
        }
        members.extend(from.map(|from| ("from".to_owned(), minute(from).to_string().into())));
        let until = lasts.map(|lasts| minute(from.unwrap_or_default() + lasts));
        members.extend(until.map(|until| ("until".to_owned(), until.to_string().into())));
        let calendar = calendar.or_else(|| until.is_none().then_some(1));
        members.extend(calendar.map(|calendar| ("calendar".to_owned(), format!("c{calendar}").into())));
        value
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_same_as_looking_at_every_silence(
        documents in prop::collection::vec(silence(), 0..24),
        asked in prop::collection::vec((events(), 0..4_u8, 0..4_u8, -5..100_i64), 24),
    ) {
        let documents: Vec<Version<Silence>> = documents
            .into_iter()
            .enumerate()
            .map(|(n, mut value)| {
                value["id"] = format!("s{n}").into();
                version(Kind::Silence, &value, 1)
            })
            .collect();
        let (silences, broken) = Silences::compile(documents.clone());
        prop_assert!(broken.is_empty());
        prop_assert_eq!(silences.len(), documents.len());
        for (event, rule, channel, at) in asked {
            let (rule, channel) = (RuleId::new(format!("r{rule}")).unwrap(), ChannelId::new(format!("h{channel}")).unwrap());
            let at = minute(at);
            let covering = silences.of_event(&event);
            let once = model(&documents, false, &event, &rule, &channel, at);
            let recurring = model(&documents, true, &event, &rule, &channel, at);
            prop_assert_eq!(found(covering.silence(&rule, &channel, at)), once.clone());
            prop_assert_eq!(found(covering.maintenance(&rule, &channel, at, &calendars)), recurring.clone());
            let both = silences.covering(&event, &rule, &channel, at, &calendars);
            if let Some(hit) = &both {
                // What lists call active is what mutes.
                let version = documents.iter().find(|version| version.document.id == *hit.id).unwrap();
                prop_assert_eq!(version.document.scope().standing(at), Standing::Active);
            }
            prop_assert_eq!(found(both), once.or(recurring));
        }
    }
}

#[test]
fn ten_thousand_that_are_over_leave_one_that_is_not() {
    let rule = RuleId::new("r").unwrap();
    let channel = ChannelId::new("c").unwrap();
    let one = |n: i64, from: i64, until: i64| {
        let value = json!({
            "schema": "notify-silence@1", "id": format!("s{n}"), "reason": "r", "match": { "type": ["t1"] },
            "from": minute(from).to_string(), "until": minute(until).to_string(),
        });
        version::<Silence>(Kind::Silence, &value, 1)
    };
    let mut documents: Vec<_> = (0..10_000).map(|n| one(n, n, n + 1)).collect();
    documents.push(one(10_000, 9_000, 20_000));
    let (silences, broken) = Silences::compile(documents);
    assert!(broken.is_empty());
    let covering = silences.of_event(&json!({ "type": "t1" }));
    let hit = |at| covering.silence(&rule, &channel, minute(at)).map(|hit| hit.id.to_string());
    assert_eq!(hit(5), Some("s5".to_owned()));
    assert_eq!(hit(9_500), Some("s10000".to_owned()));
    assert_eq!(hit(19_999), Some("s10000".to_owned()));
    assert_eq!(hit(20_000), None);
    assert_eq!(hit(-1), None);
    assert!(silences.of_event(&json!({ "type": "t2" })).is_empty());
}

#[test]
fn a_broken_one_is_left_out_and_named() {
    let mut bad: Version<Silence> = version(
        Kind::Silence,
        &json!({ "schema": "notify-silence@1", "id": "bad", "reason": "r", "match": { "type": ["t"] }, "calendar": "c3" }),
        1,
    );
    bad.document.r#match = Some(json!({ "type": "t" }));
    let mut unread = bad.clone();
    unread.document.r#match = Some(json!({ "type": ["t"] }));
    unread.digest = "sha256:".to_owned();
    let (silences, broken) = Silences::compile(vec![bad, unread]);
    assert!(silences.is_empty());
    assert_eq!(
        broken.iter().map(|b| (b.kind, b.id.as_str())).collect::<Vec<_>>(),
        [(Kind::Silence, "bad"); 2]
    );
    assert_eq!(broken[0].problem.path, "/match/type");
}
