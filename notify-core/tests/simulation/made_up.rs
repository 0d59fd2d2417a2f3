//! Tenants at random, and changes of their configuration. Lengths are round, so that events often come exactly when
//! something begins or ends.

use super::world::{Random, Tenant};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

fn pick<T: Clone>(random: &mut Random, all: &[T]) -> T {
    all[random.below(all.len() as u64) as usize].clone()
}

const LENGTHS: [&str; 5] = ["1m", "5m", "10m", "15m", "1h"];

fn key(random: &mut Random) -> Value {
    pick(
        random,
        &[json!(["/subject"]), json!(["/subject"]), json!(["/severity"]), json!(["/subject", "/data/n"])],
    )
}

fn keys(random: &mut Random) -> Value {
    if random.below(2) == 0 { json!([]) } else { key(random) }
}

fn overflow(random: &mut Random) -> &'static str {
    pick(random, &["digest", "digest", "drop"])
}

fn digest(random: &mut Random) -> Value {
    let mode = pick(random, &["tumbling", "sliding", "look-back", "schedule"]);
    let mut digest = json!({"mode": mode, "key": keys(random)});
    match mode {
        "schedule" => {
            digest["schedule"] = pick(random, &["hourly", "mornings"]).into();
            if digest["key"] == json!([]) {
                digest["empty"] = pick(random, &["send", "skip"]).into();
            }
        }
        _ => digest["window"] = pick(random, &LENGTHS).into(),
    }
    match mode {
        "sliding" => digest["cap"] = pick(random, &["1h", "2h"]).into(),
        "look-back" if random.below(2) == 0 => digest["lookBack"] = pick(random, &LENGTHS).into(),
        _ => {}
    }
    if mode != "look-back" && random.below(3) == 0 {
        digest["leading"] = true.into();
    }
    if random.below(3) == 0 {
        digest["max"] = (2 + random.below(3)).into();
    }
    digest
}

fn action(random: &mut Random, id: &str) -> Value {
    let mut action = json!({"id": id, "channel": pick(random, &["ops", "team", "ann"]), "dedupe": "off", "throttle": "off"});
    if random.below(3) == 0 {
        action["dedupe"] = json!({"key": key(random), "window": pick(random, &LENGTHS)});
    }
    if random.below(3) == 0 {
        action["throttle"] = json!({
            "key": keys(random), "limit": 1 + random.below(4), "per": pick(random, &LENGTHS), "overflow": overflow(random),
        });
    }
    if random.below(3) == 0 {
        action["digest"] = digest(random);
    }
    if random.below(4) == 0 {
        action["quietHours"] = "bypass".into();
    }
    action
}

fn hours(random: &mut Random) -> Value {
    if random.below(3) == 0 {
        return json!([]);
    }
    let mut hours =
        json!({"calendar": pick(random, &["nights", "halves", "siesta"]), "holdUpTo": random.below(4)});
    hours["mode"] = pick(random, &["hold", "hold", "digest", "drop"]).into();
    match random.below(3) {
        0 => hours["bypass"] = json!({"severity": pick(random, &["high", "critical"])}),
        1 => hours["bypass"] = json!({"rules": ["r1"]}),
        _ => {}
    }
    json!([hours])
}

fn budget(random: &mut Random) -> Value {
    json!({"limit": 2 + random.below(4), "per": pick(random, &LENGTHS), "overflow": overflow(random)})
}

fn silence(random: &mut Random, id: &str, from: Timestamp) -> Value {
    let mut silence =
        json!({"id": id, "reason": "a test", "match": {"subject": [pick(random, &["s0", "s1"])]}});
    if random.below(3) == 0 {
        silence["calendar"] = "patches".into();
    } else {
        let minutes = [10, 600, 3_000];
        silence["from"] = from.to_string().into();
        silence["until"] = (from + SignedDuration::from_mins(pick(random, &minutes))).to_string().into();
    }
    match random.below(3) {
        0 => silence["rules"] = json!(["r0", "r2"]),
        1 => silence["channels"] = json!(["ops"]),
        _ => {}
    }
    silence
}

fn bypass(random: &mut Random, id: &str, from: Timestamp) -> Value {
    let all = [
        "dedupe",
        "silence",
        "maintenance",
        "inhibition",
        "storm",
        "throttle",
        "quiet-hours",
        "digest",
        "budget",
    ];
    let controls: Vec<_> = all.into_iter().filter(|_| random.below(3) == 0).chain(["inhibition"]).collect();
    let controls: std::collections::BTreeSet<_> = controls.into_iter().collect();
    let until = from + SignedDuration::from_mins(pick(random, &[30, 600]));
    json!({"id": id, "reason": "a test", "controls": controls, "match": {"subject": [pick(random, &["s0", "s1", "s2"])]},
        "from": from.to_string(), "until": until.to_string()})
}

pub fn tenant(seed: u64, start: Timestamp) -> Tenant {
    let mut random = Random(seed);
    let random = &mut random;
    let types =
        [json!(["scan"]), json!(["scan", "report"]), json!(["scan", "service.down", "host.down", "host.up"])];
    let rules = (0..3).map(|n| {
        let actions: Vec<_> = (0..1 + random.below(2)).map(|n| action(random, &format!("a{n}"))).collect();
        let mut rule = json!({"id": format!("r{n}"), "match": {"type": types[n]}, "actions": actions});
        if random.below(3) == 0 {
            rule["storm"] = "off".into();
        }
        rule
    });
    let rules = rules.collect();
    let mut channels: Vec<_> =
        ["ops", "team", "ann"].map(|id| json!({"id": id, "quietHours": hours(random)})).into();
    let maintenance = [json!([]), json!([{"calendar": "patches"}]), hours(random)];
    channels[0]["maintenance"] = pick(random, &maintenance);
    channels[1]["budget"] = budget(random);
    channels[2]["contact"] = "ann".into();
    let storm = if random.below(2) == 0 {
        json!({"alerts": 4, "per": "1m", "ends": 2, "digestEvery": "5m"})
    } else {
        "off".into()
    };
    let everybody = [json!([]), json!([]), hours(random)];
    Tenant {
        rules,
        channels,
        calendars: vec![
            json!({"id": "nights", "timeZone": "Europe/Berlin", "windows": [{"times": ["22:00-06:00"]}]}),
            json!({"id": "halves", "timeZone": "UTC", "windows": [{"times": ["00:00-04:00", "08:00-08:30", "12:00-16:00"]}]}),
            json!({"id": "siesta", "timeZone": "contact", "windows": [{"times": ["13:00-15:00", "01:30-02:30"]}]}),
            json!({"id": "patches", "timeZone": "UTC", "windows": [{"times": ["04:00-06:00", "10:00-10:10"]}]}),
            json!({"id": "mornings", "timeZone": "Europe/Berlin", "windows": [{"times": ["08:00-09:00"]}]}),
            json!({"id": "hourly", "timeZone": "contact", "windows": [{"times": (0..24).map(|h| format!("{h:02}:00-{h:02}:01")).collect::<Vec<_>>()}]}),
        ],
        contacts: vec![json!({
            "id": "ann", "type": "person", "timeZone": "America/New_York",
            "quietHours": hours(random), "budget": budget(random),
        })],
        silences: vec![silence(random, "first", start)],
        inhibitions: vec![
            json!({"id": "hosts", "source": {"match": {"type": ["host.down"]}, "resolve": {"type": ["host.up"]}},
                "target": {"match": {"type": ["service.down", "host.up"]}}, "equal": ["/subject"], "for": "15m"}),
            json!({"id": "severe", "source": {"match": {"severity": ["critical"]}},
                "target": {"match": {"type": ["scan"], "severity": ["low", "critical"]}}, "equal": ["/subject", "/data/n"], "for": "5m"}),
        ],
        overrides: vec![bypass(random, "first", start)],
        policies: vec![json!({"id": "noise", "storm": storm, "quietHours": pick(random, &everybody)})],
    }
}

/// Something in the configuration changes; `n` makes ids of their own.
pub fn change(tenant: &mut Tenant, seed: u64, n: usize, now: Timestamp) {
    let mut random = Random(seed);
    let random = &mut random;
    let rule = random.below(tenant.rules.len() as u64) as usize;
    let channel = random.below(tenant.channels.len() as u64) as usize;
    // Not two at a time, or nothing is left.
    let switch = |documents: &mut [Value], place: usize| {
        let off = documents.iter().position(|document| document["enabled"] == false);
        documents[off.unwrap_or(place)]["enabled"] = off.is_some().into();
    };
    match random.below(15) {
        10 | 11 => tenant.channels[channel]["quietHours"] = hours(random),
        12 | 14 => {
            let until = now + SignedDuration::from_hours(30);
            tenant
                .silences
                .push(json!({"id": format!("all{n}"), "reason": "a test", "channels": ["ops", "ann"],
                "from": now.to_string(), "until": until.to_string()}));
        }
        13 => tenant.policies[0]["quietHours"] = hours(random),
        0 | 1 => switch(&mut tenant.rules, rule),
        2 => switch(&mut tenant.channels, channel),
        3 => tenant.channels[channel]["quietHours"] = hours(random),
        4 => tenant.contacts[0]["quietHours"] = hours(random),
        5 => tenant.silences.push(silence(random, &format!("s{n}"), now)),
        6 => tenant.overrides.push(bypass(random, &format!("o{n}"), now)),
        7 => drop(tenant.rules[rule]["actions"][0].as_object_mut().unwrap().remove("digest")),
        8 => tenant.rules[rule]["actions"][0]["digest"] = digest(random),
        _ => tenant.rules[rule]["actions"][0]["channel"] = pick(random, &["ops", "team", "ann"]).into(),
    }
}
