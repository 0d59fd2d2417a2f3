//! Noise control done slowly: plain lists of everything that happened, and what each control says is looked up in them
//! anew for each alert. No hashes, no states that are kept, and documents read as their authors wrote them; only times
//! are asked of the calendars.

use super::site::{Alert, Happened};
use super::world::Tenant;
use jiff::Timestamp;
use notify_core::calendar::CalendarState;
use notify_core::duration::Length;
use notify_core::event::Event;
use notify_core::plan::Snapshot;
use notify_core::severity::Severity;
use notify_core::time::rfc3339_millis;
use serde_json::{Map, Value, json};

mod timers;

/// What happened to an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct Fate {
    pub alert: Alert,
    pub outcome: &'static str,
    pub control: &'static str,
    pub also: Vec<&'static str>,
    /// Parameters that the record has to have.
    pub said: Map<String, Value>,
    /// Place in the list of groups.
    pub group: Option<usize>,
}

/// An alert and the documents that it was decided by.
pub struct Past {
    at: i64,
    event: Value,
    rule: Value,
    action: Value,
    channel: String,
    /// Budgets that it was sent under.
    budgets: Vec<String>,
    of: Option<String>,
    until: i64,
    severity: Severity,
    /// Its rule or action does not wait for the quiet hours of its time.
    passes: bool,
    pub fate: Fate,
}

/// Alerts that are sent as one.
struct Group {
    key: String,
    control: &'static str,
    rule: String,
    action: String,
    channel: String,
    terms: Terms,
    members: Vec<usize>,
    steps: Vec<Step>,
    closed: bool,
}

#[derive(Clone, Copy)]
struct Terms {
    closes: i64,
    slides: Option<i64>,
    cap: Option<i64>,
    max: Option<u64>,
}

enum Step {
    Member { at: i64, severity: Severity, terms: Terms },
    Held { until: i64 },
}

/// An event that began or ended a source of an inhibition.
struct News {
    inhibition: String,
    /// It is a target as well.
    both: bool,
    values: Vec<Value>,
    /// `None`: over.
    until: Option<i64>,
}

#[derive(Clone)]
enum Effect {
    Drop,
    Hold { of: String, until: i64, most: u64 },
    Join { key: String, terms: Terms },
}

/// What a control has against an alert.
struct Stop {
    control: &'static str,
    effect: Effect,
    said: Map<String, Value>,
    /// Of hours: when they end.
    until: Option<i64>,
}

pub struct Model {
    tenant: Tenant,
    snapshot: Snapshot,
    pub past: Vec<Past>,
    news: Vec<News>,
    groups: Vec<Group>,
    /// Held alerts that still are, and until when.
    held: Vec<(usize, i64)>,
    /// Dedupe windows that were given back, and when.
    resets: Vec<(i64, Value)>,
    /// Alerts that the storm breaker saw.
    seen: Vec<i64>,
    now: i64,
    pub happened: Vec<Happened>,
}

pub fn micros(length: &Value) -> i64 {
    let length: Length = length.as_str().unwrap().parse().unwrap();
    i64::try_from(length.as_millis()).unwrap() * 1_000
}

fn time(micros: i64) -> Value {
    rfc3339_millis(Timestamp::from_microsecond(micros).unwrap()).into()
}

fn instant(text: &Value) -> Option<i64> {
    Some(text.as_str()?.parse::<Timestamp>().unwrap().as_microsecond())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// Every member of the pattern lists the event's value.
fn matches(pattern: &Value, event: &Value) -> bool {
    pattern.as_object().is_none_or(|all| all.iter().all(|(name, values)| list(values).contains(&event[name])))
}

/// The values of a key; what is absent is null.
fn values(pointers: &Value, event: &Value) -> Vec<Value> {
    list(pointers).iter().map(|pointer| event.pointer(text(pointer)).cloned().unwrap_or_default()).collect()
}

fn severity(event: &Value) -> Severity {
    event["severity"].as_str().and_then(Severity::from_name).unwrap_or_default()
}

fn by_id<'v>(documents: &'v [Value], id: &str) -> Option<&'v Value> {
    documents.iter().find(|document| document["id"] == id)
}

/// Members of a bucket that are missing after these were spent, and when the next comes.
fn missing(spent: &[i64], limit: i64, interval: i64, now: i64) -> (i64, i64) {
    let (mut missing, mut next) = (0, 0);
    let come = |missing: &mut i64, next: &mut i64, at: i64| {
        while *missing > 0 && *next <= at {
            *missing -= 1;
            *next += interval;
        }
    };
    for at in spent {
        come(&mut missing, &mut next, *at);
        if missing == 0 {
            next = at + interval;
        }
        missing += 1;
        // Debt is at most one more bucket.
        if missing > limit && next + (missing - 1) * interval > at + (2 * limit - 1) * interval {
            (missing, next) = (2 * limit - 1, at + interval);
        }
    }
    come(&mut missing, &mut next, now);
    (missing, next)
}

/// From when a bucket would give a token, if it has none now.
fn empty_until(spent: &[i64], limits: &Value, now: i64) -> Option<i64> {
    let (limit, per) = (limits["limit"].as_i64().unwrap(), micros(&limits["per"]));
    let interval = per / limit + i64::from(per % limit != 0);
    let (missing, next) = missing(spent, limit, interval, now);
    (missing >= limit).then(|| next + (missing - limit) * interval)
}

/// One alert that is being decided.
struct Asked<'a> {
    model: &'a Model,
    event: &'a Value,
    rule: &'a Value,
    action: &'a Value,
    channel: &'a Value,
    now: i64,
}

impl Asked<'_> {
    /// Past alerts of this action.
    fn past(&self) -> impl Iterator<Item = &Past> {
        let same =
            |past: &&Past| past.rule["id"] == self.rule["id"] && past.action["id"] == self.action["id"];
        self.model.past.iter().filter(same)
    }

    /// Past alerts of this action with equal values of a control that had the same key then.
    fn alike<'s>(&'s self, control: &'s str) -> impl Iterator<Item = &'s Past> {
        let key = &self.action[control]["key"];
        let own = values(key, self.event);
        self.past().filter(move |past| {
            past.action[control].is_object()
                && past.action[control]["key"] == *key
                && values(key, &past.event) == own
        })
    }

    fn dedupe(&self) -> Option<Stop> {
        if self.action["dedupe"] == "off" {
            return None;
        }
        let (mut first, mut until, mut repeats) = (0, i64::MIN, 1);
        let own = json!([
            self.rule["id"],
            self.action["id"],
            self.action["dedupe"]["key"],
            values(&self.action["dedupe"]["key"], self.event)
        ]);
        let mut resets = self.model.resets.iter().filter(|(_, of)| *of == own).map(|(at, _)| *at).peekable();
        for past in self.alike("dedupe") {
            while resets.next_if(|at| *at <= past.at).is_some() {
                until = i64::MIN;
            }
            if past.fate.outcome != "suppressed" && past.at >= until {
                (first, until, repeats) = (past.at, past.at + micros(&past.action["dedupe"]["window"]), 1);
            } else if past.fate.control == "dedupe" {
                repeats += 1;
            }
        }
        // What was held and then cancelled was not sent: the next one is none of its repeats.
        if resets.next().is_some() {
            until = i64::MIN;
        }
        let said =
            said([("firstAt", time(first)), ("until", time(until.max(0))), ("repeats", repeats.into())]);
        (self.now < until).then_some(Stop { control: "dedupe", effect: Effect::Drop, said, until: None })
    }

    /// Documents about this alert that are in force, by id.
    fn scoped<'d>(&self, documents: &'d [Value]) -> Vec<&'d Value> {
        let names = |list: &Value, id: &Value| list.as_array().is_none_or(|l| l.is_empty() || l.contains(id));
        let mut all: Vec<_> = documents
            .iter()
            .filter(|document| {
                matches(&document["match"], self.event)
                    && names(&document["rules"], &self.rule["id"])
                    && names(&document["channels"], &self.channel["id"])
                    && instant(&document["from"]).is_none_or(|from| from <= self.now)
                    && instant(&document["until"]).is_none_or(|until| self.now < until)
            })
            .collect();
        all.sort_by_key(|document| text(&document["id"]).to_owned());
        all
    }

    fn silence(&self) -> Option<Stop> {
        let mut all = self.scoped(&self.model.tenant.silences);
        all.retain(|silence| silence["calendar"].is_null());
        // The sort is stable: of equal ones the first.
        all.sort_by_key(|silence| -instant(&silence["until"]).unwrap());
        let silence = all.first()?;
        let until = time(instant(&silence["until"]).unwrap());
        let said = said([("silence", silence["id"].clone()), ("until", until)]);
        Some(Stop { control: "silence", effect: Effect::Drop, said, until: None })
    }

    fn maintenance(&self) -> Option<Stop> {
        let (model, own) = (self.model, self.channel);
        let mut best: Option<(i64, &Value)> = None;
        for silence in self.scoped(&model.tenant.silences) {
            let Some(calendar) = silence["calendar"].as_str() else { continue };
            let Some(closes) = model.inside(calendar, None, self.now) else { continue };
            let until = closes.min(instant(&silence["until"]).unwrap_or(i64::MAX));
            if best.is_none_or(|(known, _)| until > known) {
                best = Some((until, silence));
            }
        }
        if let Some((until, silence)) = best {
            let mut said =
                said([("silence", silence["id"].clone()), ("calendar", silence["calendar"].clone())]);
            if until < i64::MAX {
                said.insert("until".to_owned(), time(until));
            }
            return Some(Stop { control: "maintenance", effect: Effect::Drop, said, until: None });
        }
        let lists = [
            ("policy".to_owned(), &model.policy()["maintenance"]),
            (format!("channel/{}", text(&own["id"])), &own["maintenance"]),
        ];
        model
            .hours(&lists, "drop", own, self.rule, Some(severity(self.event)), self.now)
            .map(|hours| Stop { control: "maintenance", ..self.of_hours(hours) })
    }

    /// Its rule or action lets it pass the quiet hours of its time, whatever its severity.
    fn passes(&self) -> bool {
        let of =
            |rule: &Value| self.model.quiet_hours(&Value::Null, self.channel, rule, None, self.now).is_some();
        self.action["quietHours"] == "bypass" || (of(&Value::Null) && !of(self.rule))
    }

    fn quiet_hours(&self) -> Option<Stop> {
        let hours = self.model.quiet_hours(
            self.action,
            self.channel,
            self.rule,
            Some(severity(self.event)),
            self.now,
        )?;
        Some(Stop { control: "quiet-hours", ..self.of_hours(hours) })
    }

    fn of_hours(&self, hours: Hours) -> Stop {
        let Hours { of, calendar, mode, until, most } = hours;
        let said = said([
            ("of", of.clone().into()),
            ("calendar", calendar.into()),
            ("mode", mode.clone().into()),
            ("until", time(until)),
        ]);
        let effect = match mode.as_str() {
            "drop" => Effect::Drop,
            "digest" => Effect::Join { key: self.own("hours", &of), terms: Terms::until(until) },
            _ => Effect::Hold { of, until, most },
        };
        Stop { control: "", effect, said, until: Some(until) }
    }

    fn own(&self, kind: &str, of: &str) -> String {
        let (rule, action, channel) = (&self.rule["id"], &self.action["id"], &self.channel["id"]);
        format!("{kind} {of} {rule} {action} {channel}")
    }

    fn inhibition(&self) -> Option<Stop> {
        let mut all: Vec<_> = self.model.tenant.inhibitions.iter().collect();
        all.sort_by_key(|inhibition| text(&inhibition["id"]));
        for inhibition in all {
            let (source, event) = (&inhibition["source"], self.event);
            let values = values(&inhibition["equal"], event);
            let ends = source["resolve"].is_object() && matches(&source["resolve"], event);
            if !matches(&inhibition["target"]["match"], event) || ends || values.contains(&Value::Null) {
                continue;
            }
            for both in [false, true] {
                let news = self.model.news.iter().rev().find(|news| {
                    news.both == both && news.values == values && inhibition["id"] == *news.inhibition
                });
                let until = news.and_then(|news| news.until).filter(|until| self.now < *until);
                // Alerts that are source and target do not mute each other.
                let Some(until) = until.filter(|_| !(both && matches(&source["match"], event))) else {
                    continue;
                };
                let said = said([("inhibition", inhibition["id"].clone()), ("until", time(until))]);
                return Some(Stop { control: "inhibition", effect: Effect::Drop, said, until: None });
            }
        }
        None
    }

    fn has_storm(&self) -> bool {
        self.rule["storm"] != "off" && self.model.policy()["storm"] != "off"
    }

    fn storm(&self) -> Option<Stop> {
        if !self.has_storm() {
            return None;
        }
        let limits = &self.model.policy()["storm"];
        let per = micros(&limits["per"]);
        let part = per / 6;
        let number = |name: &str| limits[name].as_u64().unwrap() as usize;
        let mut since = None;
        let mut all = self.model.seen.clone();
        all.push(self.now);
        for (n, at) in all.iter().enumerate() {
            let begins = (at.div_euclid(part) - 5) * part;
            let within = |list: &[i64]| list.iter().filter(|at| **at >= begins).count();
            if within(&all[..n]) <= number("ends") {
                since = None;
            }
            if since.is_none() && within(&all[..=n]) > number("alerts") {
                since = Some(*at);
            }
        }
        let since = since?;
        let every = micros(&limits["digestEvery"]);
        let length = if self.now < since + per { per.min(every) } else { every };
        let terms = Terms::until(self.now + length);
        let effect = Effect::Join { key: format!("storm {}", self.channel["id"]), terms };
        Some(Stop { control: "storm", effect, said: said([("since", time(since))]), until: None })
    }

    fn throttle(&self) -> Option<Stop> {
        let throttle = &self.action["throttle"];
        if throttle == "off" {
            return None;
        }
        let before = ["dedupe", "silence", "maintenance", "inhibition", "storm", "throttle"];
        let spent = |past: &Past| past.fate.outcome != "suppressed" && !before.contains(&past.fate.control);
        let spent: Vec<_> = self.alike("throttle").filter(|past| spent(past)).map(|past| past.at).collect();
        let again = empty_until(&spent, throttle, self.now)?;
        let effect = if throttle["overflow"] == "drop" {
            Effect::Drop
        } else if self.action["digest"].is_object() {
            Effect::Join {
                key: self.digest_key(),
                terms: self.model.terms(self.action, self.channel, self.now),
            }
        } else {
            let values = values(&throttle["key"], self.event);
            let key = self.own("throttle-overflow", &json!([throttle["key"], values]).to_string());
            Effect::Join { key, terms: Terms::until(self.now + micros(&throttle["per"])) }
        };
        Some(Stop { control: "throttle", effect, said: said([("againAt", time(again))]), until: None })
    }

    fn digest_key(&self) -> String {
        let key = &self.action["digest"]["key"];
        digest_key(&self.rule["id"], self.action, &json!([list(key), values(key, self.event)]))
    }

    fn digest(&self) -> Option<Stop> {
        let digest = &self.action["digest"];
        if !digest.is_object() {
            return None;
        }
        let open = self.model.open(&self.digest_key()).is_some();
        let passes = if digest["mode"] == "look-back" {
            let recent = |past: &Past| {
                let then = &past.action["digest"];
                let length = if then["lookBack"].is_null() { &then["window"] } else { &then["lookBack"] };
                then["mode"] == "look-back"
                    && past.fate.outcome != "suppressed"
                    && self.now < past.at + micros(length)
            };
            !open && !self.alike("digest").any(recent)
        } else {
            digest["leading"] == true && !open
        };
        let terms = self.model.terms(self.action, self.channel, self.now);
        let effect = Effect::Join { key: self.digest_key(), terms };
        (!passes).then(|| Stop { control: "digest", effect, said: Map::new(), until: None })
    }

    /// Those of the channel and of who reads it.
    fn budgets(&self) -> Vec<(String, &Value)> {
        let contact = self.model.contact(self.channel);
        let of_contact =
            contact.map(|contact| (format!("contact/{}", text(&contact["id"])), &contact["budget"]));
        let of_channel = (format!("channel/{}", text(&self.channel["id"])), &self.channel["budget"]);
        [Some(of_channel), of_contact]
            .into_iter()
            .flatten()
            .filter(|(_, budget)| budget.is_object())
            .collect()
    }

    fn budget(&self) -> Option<Stop> {
        self.budgets().into_iter().find_map(|(of, budget)| {
            let sent = self.model.past.iter().filter(|past| past.budgets.contains(&of));
            let spent: Vec<_> = sent.map(|past| past.at).collect();
            let again = empty_until(&spent, budget, self.now)?;
            let effect = if budget["overflow"] == "drop" {
                Effect::Drop
            } else {
                let terms = Terms::until(self.now + micros(&budget["per"]));
                Effect::Join { key: self.own("budget-overflow", &of), terms }
            };
            Some(Stop {
                control: "budget",
                effect,
                said: said([("of", of.into()), ("againAt", time(again))]),
                until: None,
            })
        })
    }

    fn stops(&self) -> Vec<Stop> {
        let all = [
            self.dedupe(),
            self.silence(),
            self.maintenance(),
            self.inhibition(),
            self.storm(),
            self.throttle(),
            self.quiet_hours(),
            self.digest(),
            self.budget(),
        ];
        all.into_iter().flatten().collect()
    }

    /// The override that lets it pass.
    fn bypassed(&self, control: &str) -> Option<Value> {
        let mut all = self.scoped(&self.model.tenant.overrides);
        all.retain(|document| list(&document["controls"]).contains(&control.into()));
        all.sort_by_key(|document| -instant(&document["until"]).unwrap());
        all.first().map(|document| document["id"].clone())
    }
}

/// Quiet hours or maintenance that apply.
struct Hours {
    of: String,
    calendar: String,
    mode: String,
    until: i64,
    most: u64,
}

fn said<const N: usize>(all: [(&str, Value); N]) -> Map<String, Value> {
    all.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn digest_key(rule: &Value, action: &Value, values: &Value) -> String {
    format!("digest {rule} {} {} {values}", action["id"], action["channel"])
}

impl Terms {
    const fn until(closes: i64) -> Self {
        Self { closes, slides: None, cap: None, max: None }
    }
}
