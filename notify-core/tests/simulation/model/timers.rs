//! The model's driver: events in, and what waits when its time has come.

use super::super::site::{Alert, Happened};
use super::super::world::Tenant;
use super::{
    Asked, CalendarState, Effect, Event, Fate, Group, Hours, Model, News, Past, Severity, Snapshot, Step,
    Stop, Terms, Timestamp, by_id, digest_key, list, matches, micros, severity, text, values,
};
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

impl Model {
    pub fn new(tenant: Tenant, start: Timestamp) -> Self {
        let snapshot = tenant.snapshot();
        let now = start.as_microsecond();
        let (past, news, groups, held) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        let mut model = Self {
            tenant,
            snapshot,
            past,
            news,
            groups,
            held,
            resets: Vec::new(),
            seen: Vec::new(),
            now,
            happened: Vec::new(),
        };
        model.arm();
        model
    }

    pub fn configure(&mut self, tenant: Tenant, snapshot: Snapshot, at: Timestamp) {
        self.until(at);
        (self.tenant, self.snapshot) = (tenant, snapshot);
        self.arm();
    }

    pub(super) fn policy(&self) -> &Value {
        self.tenant.policies.first().unwrap_or(&Value::Null)
    }

    pub(super) fn contact(&self, channel: &Value) -> Option<&Value> {
        by_id(&self.tenant.contacts, channel["contact"].as_str()?)
    }

    fn zone(&self, channel: &Value) -> Option<TimeZone> {
        Some(TimeZone::get(text(&self.contact(channel)?["timeZone"])).unwrap())
    }

    /// Until when a calendar's window is open; `i64::MAX`: no end is known.
    pub(super) fn inside(&self, calendar: &str, zone: Option<&TimeZone>, now: i64) -> Option<i64> {
        let calendar = self.snapshot.noise.calendars.get(&calendar.parse().unwrap())?;
        match calendar.at(Timestamp::from_microsecond(now).unwrap(), zone) {
            CalendarState::Inside { until } => Some(until.map_or(i64::MAX, Timestamp::as_microsecond)),
            CalendarState::Outside { .. } => None,
        }
    }

    fn next_start(&self, calendar: &str, channel: &Value, now: i64) -> Option<i64> {
        let calendar = self.snapshot.noise.calendars.get(&calendar.parse().unwrap())?;
        let at = Timestamp::from_microsecond(now).unwrap();
        calendar.next_start(at, self.zone(channel).as_ref()).map(Timestamp::as_microsecond)
    }

    /// The first of them that applies.
    pub(super) fn hours(
        &self,
        lists: &[(String, &Value)],
        mode: &str,
        channel: &Value,
        rule: &Value,
        severity: Option<Severity>,
        now: i64,
    ) -> Option<Hours> {
        let zone = self.zone(channel);
        for (of, all) in lists {
            for hours in list(all) {
                let least = hours["bypass"]["severity"].as_str().and_then(Severity::from_name);
                let bypasses = severity.zip(least).is_some_and(|(severity, least)| severity >= least)
                    || list(&hours["bypass"]["rules"]).contains(&rule["id"]);
                let calendar = text(&hours["calendar"]);
                let Some(until) = self.inside(calendar, zone.as_ref(), now).filter(|_| !bypasses) else {
                    continue;
                };
                return Some(Hours {
                    of: of.clone(),
                    calendar: calendar.to_owned(),
                    mode: hours["mode"].as_str().unwrap_or(mode).to_owned(),
                    until: until.min(now + 86_400_000_000),
                    most: hours["holdUpTo"].as_u64().unwrap_or(5),
                });
            }
        }
        None
    }

    pub(super) fn quiet_hours(
        &self,
        action: &Value,
        channel: &Value,
        rule: &Value,
        severity: Option<Severity>,
        now: i64,
    ) -> Option<Hours> {
        if action["quietHours"] == "bypass" {
            return None;
        }
        let mut lists = vec![
            ("policy".to_owned(), &self.policy()["quietHours"]),
            (format!("channel/{}", text(&channel["id"])), &channel["quietHours"]),
        ];
        lists
            .extend(self.contact(channel).map(|c| (format!("contact/{}", text(&c["id"])), &c["quietHours"])));
        self.hours(&lists, "hold", channel, rule, severity, now)
    }

    pub(super) fn terms(&self, action: &Value, channel: &Value, now: i64) -> Terms {
        let digest = &action["digest"];
        let length = |name: &str| now + micros(&digest[name]);
        let mut terms = Terms { max: digest["max"].as_u64(), ..Terms::until(0) };
        terms.closes = match digest["mode"].as_str() {
            Some("schedule") => {
                self.next_start(text(&digest["schedule"]), channel, now).unwrap_or(now + 86_400_000_000)
            }
            _ => length("window"),
        };
        if digest["mode"] == "sliding" {
            terms.slides = Some(micros(&digest["window"]));
            terms.cap = Some(length("cap"));
        }
        terms
    }

    pub(super) fn open(&self, key: &str) -> Option<usize> {
        self.groups.iter().rposition(|group| !group.closed && group.key == key)
    }

    fn enabled(&self, rule: &str) -> Option<&Value> {
        by_id(&self.tenant.rules, rule).filter(|rule| rule["enabled"] != false)
    }

    fn action_of(&self, rule: &str, action: &str) -> Option<(&Value, &Value)> {
        let rule = self.enabled(rule)?;
        Some((rule, by_id(list(&rule["actions"]), action)?))
    }

    fn channel(&self, id: &str) -> Result<&Value, &'static str> {
        let channel = by_id(&self.tenant.channels, id).ok_or("channel-missing")?;
        if channel["enabled"] == false { Err("channel-disabled") } else { Ok(channel) }
    }

    fn group(&mut self, key: String, control: &'static str, of: [&str; 3], terms: Terms) -> usize {
        let [rule, action, channel] = of.map(str::to_owned);
        let (members, steps) = (Vec::new(), Vec::new());
        self.groups.push(Group { key, control, rule, action, channel, terms, members, steps, closed: false });
        self.groups.len() - 1
    }

    /// Opens the periods that are sent even if nothing happens.
    fn arm(&mut self) {
        let sends = |action: &Value| {
            let digest = &action["digest"];
            digest["mode"] == "schedule" && digest["empty"] == "send" && list(&digest["key"]).is_empty()
        };
        for rule in self.tenant.rules.clone() {
            for action in list(&rule["actions"]).iter().filter(|action| sends(action)) {
                if rule["enabled"] != false {
                    self.period(&rule, action);
                }
            }
        }
    }

    fn period(&mut self, rule: &Value, action: &Value) {
        let key = digest_key(&rule["id"], action, &json!([[], []]));
        let id = text(&action["channel"]);
        let Some(channel) = by_id(&self.tenant.channels, id) else { return };
        let next = self.next_start(text(&action["digest"]["schedule"]), channel, self.now);
        if let (None, Some(next)) = (self.open(&key), next) {
            let terms = Terms { max: action["digest"]["max"].as_u64(), ..Terms::until(next) };
            self.group(key, "digest", [text(&rule["id"]), text(&action["id"]), id], terms);
        }
    }

    /// What becomes of an event, by rule and action.
    pub fn accept(&mut self, event: &Event, at: Timestamp) -> Vec<Fate> {
        self.until(at);
        let mut rules = self.tenant.rules.clone();
        rules.retain(|rule| rule["enabled"] != false && matches(&rule["match"], &event.value));
        rules.sort_by_key(|rule| text(&rule["id"]).to_owned());
        let mut fates = Vec::new();
        for rule in &rules {
            for action in list(&rule["actions"]) {
                fates.push(self.decide(event, rule, action));
            }
        }
        for inhibition in self.tenant.inhibitions.clone() {
            let values = values(&inhibition["equal"], &event.value);
            let source = &inhibition["source"];
            let mut tell = |both, until| {
                let inhibition = text(&inhibition["id"]).to_owned();
                self.news.push(News { inhibition, both, values: values.clone(), until });
            };
            if values.contains(&Value::Null) {
            } else if source["resolve"].is_object() && matches(&source["resolve"], &event.value) {
                tell(false, None);
                tell(true, None);
            } else if matches(&source["match"], &event.value) {
                let both = matches(&inhibition["target"]["match"], &event.value);
                tell(both, Some(self.now + micros(&inhibition["for"])));
            }
        }
        fates
    }

    fn decide(&mut self, event: &Event, rule: &Value, action: &Value) -> Fate {
        let alert: Alert =
            (event.key.clone(), text(&rule["id"]).parse().unwrap(), text(&action["id"]).parse().unwrap());
        let mut fate = Fate {
            alert,
            outcome: "suppressed",
            control: "none",
            also: Vec::new(),
            said: Map::new(),
            group: None,
        };
        let channel = match self.channel(text(&action["channel"])) {
            Ok(channel) => channel.clone(),
            Err(control) => return Fate { control, ..fate },
        };
        let now = self.now;
        let asked = Asked { model: self, event: &event.value, rule, action, channel: &channel, now };
        let mut first: Option<Stop> = None;
        let mut bypassed = Map::new();
        for stop in asked.stops() {
            if let Some(id) = asked.bypassed(stop.control) {
                bypassed.insert(stop.control.to_owned(), id);
            } else if first.is_none() {
                first = Some(stop);
            } else {
                fate.also.push(stop.control);
            }
        }
        let (storms, budgets) = (asked.has_storm(), asked.budgets().into_iter().map(|(of, _)| of).collect());
        let mut past = Past {
            at: now,
            event: event.value.clone(),
            rule: rule.clone(),
            action: action.clone(),
            channel: text(&channel["id"]).to_owned(),
            budgets,
            of: None,
            until: 0,
            severity: severity(&event.value),
            passes: asked.passes(),
            fate: fate.clone(),
        };
        let mut effect = first.as_ref().map(|stop| stop.effect.clone());
        if let Some(Effect::Hold { of, until, most }) = &effect
            && self.waiting(of, rule, action) >= *most
        {
            let key = Asked { model: self, event: &event.value, rule, action, channel: &channel, now }
                .own("hours", of);
            effect = Some(Effect::Join { key, terms: Terms::until(*until) });
        }
        fate.control = first.as_ref().map_or("none", |stop| stop.control);
        fate.said = first.map(|stop| stop.said).unwrap_or_default();
        if !bypassed.is_empty() {
            fate.said.insert("bypassed".to_owned(), bypassed.into());
        }
        let before = ["dedupe", "silence", "maintenance", "inhibition"];
        if storms && !before.contains(&fate.control) {
            self.seen.push(now);
        }
        let of = [text(&rule["id"]), text(&action["id"]), text(&channel["id"])];
        match effect {
            None => fate.outcome = "send",
            Some(Effect::Drop) => {}
            Some(Effect::Hold { of, until, .. }) => {
                fate.outcome = "held";
                (past.of, past.until) = (Some(of), until);
                self.held.push((self.past.len(), until));
            }
            Some(Effect::Join { key, terms }) => {
                fate.outcome = "digested";
                let open = self.open(&key);
                let place = open.unwrap_or_else(|| self.group(key, fate.control, of, terms));
                let group = &mut self.groups[place];
                group.members.push(self.past.len());
                group.steps.push(Step::Member { at: now, severity: past.severity, terms });
                fate.said.insert("closesAt".to_owned(), super::time(group.due()));
                fate.group = Some(place);
            }
        }
        if !["send", "held"].contains(&fate.outcome) {
            past.budgets.clear();
        } else if action["digest"]["leading"] == true {
            let asked = Asked { model: self, event: &event.value, rule, action, channel: &channel, now };
            let (key, terms) = (asked.digest_key(), self.terms(action, &channel, now));
            if self.open(&key).is_none() {
                self.group(key, "digest", of, terms);
            }
        }
        past.fate = fate.clone();
        self.past.push(past);
        fate
    }

    /// Alerts of an action that were held one by one for the same end.
    fn waiting(&self, of: &str, rule: &Value, action: &Value) -> u64 {
        let (mut count, mut until) = (0, i64::MIN);
        for past in &self.past {
            let same = past.rule["id"] == rule["id"] && past.action["id"] == action["id"];
            if same && past.of.as_deref() == Some(of) && past.channel == action["channel"] {
                count = if past.at < until { count + 1 } else { 1 };
                until = past.until;
            }
        }
        if self.now < until { count } else { 0 }
    }

    /// Time passes.
    pub fn until(&mut self, at: Timestamp) {
        let at = at.as_microsecond();
        loop {
            let groups = self.groups.iter().enumerate().filter(|(_, group)| !group.closed);
            let groups = groups.map(|(place, group)| (group.due(), false, place));
            let held = self.held.iter().enumerate().map(|(place, (_, until))| (*until, true, place));
            let Some((due, held, place)) = groups.chain(held).min().filter(|(due, ..)| *due <= at) else {
                break;
            };
            self.now = self.now.max(due);
            if held { self.release(place) } else { self.flush(place) }
        }
        self.now = self.now.max(at);
    }

    fn tell(&mut self, alerts: Vec<Alert>, outcome: &'static str, control: &str, until: Option<i64>) {
        let control = control.to_owned();
        self.happened.push(Happened { at: self.now, alerts, outcome, control, until });
    }

    fn release(&mut self, place: usize) {
        let (number, _) = self.held[place];
        let past = &self.past[number];
        let (rule, action) = (text(&past.rule["id"]), text(&past.action["id"]));
        let (outcome, control, until) = if self.enabled(rule).is_none() {
            ("cancel", "rule-disabled", None)
        } else if let Some((rule, action)) = self.action_of(rule, action) {
            match self.channel(&past.channel) {
                Err(control) => ("cancel", control, None),
                Ok(channel) => {
                    let asked =
                        Asked { model: self, event: &past.event, rule, action, channel, now: self.now };
                    let again =
                        [asked.silence(), asked.maintenance(), asked.inhibition(), asked.quiet_hours()];
                    let stop =
                        again.into_iter().flatten().find(|stop| asked.bypassed(stop.control).is_none());
                    // Whatever its mode is, it waits for the end of hours.
                    match stop {
                        None => ("send", "none", None),
                        Some(Stop { control, until: Some(until), .. }) => ("hold", control, Some(until)),
                        Some(Stop { control, .. }) => ("cancel", control, None),
                    }
                }
            }
        } else {
            ("cancel", "action-missing", None)
        };
        if outcome == "cancel"
            && let Some((rule, action)) = self.action_of(rule, action)
            && self.channel(&past.channel).is_ok()
            && action["dedupe"].is_object()
        {
            let values = values(&action["dedupe"]["key"], &past.event);
            let of = json!([rule["id"], action["id"], action["dedupe"]["key"], values]);
            self.resets.push((self.now, of));
        }
        self.tell(vec![self.past[number].fate.alert.clone()], outcome, control, until);
        match until {
            Some(until) => self.held[place].1 = until,
            None => drop(self.held.remove(place)),
        }
    }

    /// In whose name a group is sent: a storm's in that of any alert in it.
    fn sender(&self, group: &Group) -> Option<(&Value, &Value)> {
        let own = self.action_of(&group.rule, &group.action);
        if own.is_some() || group.control != "storm" {
            return own;
        }
        let of = |n: &usize| (text(&self.past[*n].rule["id"]), text(&self.past[*n].action["id"]));
        let mut owners: Vec<_> = group.members.iter().map(of).collect();
        owners.sort_unstable();
        owners.into_iter().find_map(|(rule, action)| self.action_of(rule, action))
    }

    fn flush(&mut self, place: usize) {
        let group = &self.groups[place];
        let sender = self.sender(group);
        let digest = sender.map(|(_, action)| action["digest"].clone()).unwrap_or_default();
        let worst = group.members.iter().map(|n| self.past[*n].severity).max().unwrap_or_default();
        let passes = group.control == "storm" && group.members.iter().any(|n| self.past[*n].passes);
        let hours = |rule: &Value, action: &Value, channel: &Value| {
            let lists = [
                ("policy".to_owned(), &self.policy()["maintenance"]),
                (String::new(), &channel["maintenance"]),
            ];
            let maintenance = self.hours(&lists, "drop", channel, rule, Some(worst), self.now);
            let quiet =
                || Some(("quiet-hours", self.quiet_hours(action, channel, rule, Some(worst), self.now)?));
            maintenance.map(|hours| ("maintenance", hours)).or_else(quiet).filter(|_| !passes)
        };
        let (outcome, control, until) = match (sender, self.channel(&group.channel)) {
            (None, _) => ("cancel", "rule-disabled", None),
            (_, Err(control)) => ("cancel", control, None),
            (Some((rule, action)), Ok(channel)) => match hours(rule, action, channel) {
                None => ("send", "none", None),
                Some((control, hours)) => ("hold", control, Some(hours.until)),
            },
        };
        let alerts: Vec<_> = group.members.iter().map(|n| self.past[*n].fate.alert.clone()).collect();
        let silent = alerts.is_empty() && digest["empty"] != "send";
        if let (Some(until), false) = (until, silent) {
            self.tell(alerts, outcome, control, Some(until));
            self.groups[place].steps.push(Step::Held { until });
            return;
        }
        if !silent {
            self.tell(alerts, outcome, control, None);
        }
        self.groups[place].closed = true;
        let group = &self.groups[place];
        let Some((rule, action)) = self.action_of(&group.rule, &group.action) else { return };
        let (rule, action) = (rule.clone(), action.clone());
        let scheduled = digest["mode"] == "schedule" && digest["empty"] == "send";
        let own = digest_key(&rule["id"], &action, &json!([[], []]));
        if scheduled && list(&digest["key"]).is_empty() && group.key == own {
            self.period(&rule, &action);
        }
    }
}

impl Group {
    /// When it is over, from what happened to it so far.
    fn due(&self) -> i64 {
        let (mut due, mut cap, mut full, mut count, mut worst) =
            (self.terms.closes, self.terms.cap, false, 0, Severity::None);
        for step in &self.steps {
            match step {
                Step::Held { until } => (due, cap) = (*until, None),
                Step::Member { at, severity, terms } => {
                    if let (Some(slides), Some(cap)) = (terms.slides, cap) {
                        due = due.max(cap.min(at + slides));
                    }
                    // It may be let through where the others were not.
                    if count > 0 && *severity > worst {
                        due = due.min(terms.closes);
                    }
                    (count, worst) = (count + 1, worst.max(*severity));
                    if !full && self.terms.max.is_some_and(|max| count >= max) {
                        (due, full) = (*at, true);
                    }
                }
            }
        }
        due
    }
}
