//! The message of a digest: many alerts, one delivery.
//!
//! A template for digests is a template like any other; it reads `digest` where one for events reads `event`. Without
//! one, or when it fails, the built-in message is sent, in English or German.

use super::digest_words::{self as words, Words};
use super::fallback::{cut, message as event_message};
use super::markdown::{one_line, push_escaped};
use super::texts::date_time;
use super::{Library, Made, RenderContext, Rendered, fits};
use crate::ids::TemplateId;
use crate::message::{Field, Message};
use crate::problem::{Code, Problem};
use crate::severity::Severity;
use crate::time::{Timestamp, rfc3339_millis};
use serde_json::{Map, Value, json};

/// Bytes of one alert's title in the built-in message.
const MAX_TITLE: usize = 200;
/// Bytes of the built-in list, so that the message keeps within its bounds whatever was retained.
const MAX_BODY: usize = 16 * 1024;

/// What a digest stands for.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestInput<'a> {
    /// Alerts that went into it; more than `items` where not all were retained.
    pub count: u64,
    pub from: Timestamp,
    pub to: Timestamp,
    /// Why there is a digest: `digest`, `throttle`, `quiet-hours`, `storm` or `budget`.
    pub control: &'a str,
    /// The highest of all, retained or not.
    pub severity: Severity,
    /// The retained alerts, in the order in which they are shown.
    pub items: Vec<DigestItem>,
    /// IANA name of the zone in which the built-in message shows times.
    pub time_zone: &'a str,
}

/// One retained alert.
#[derive(Debug, Clone, PartialEq)]
pub struct DigestItem {
    pub event: Value,
    /// Title of the message that the alert alone would have had ([`Library::title`]). Empty: made of the event.
    pub message_title: String,
    pub severity: Severity,
    pub at: Timestamp,
}

impl DigestInput<'_> {
    /// Alerts that are counted and not shown.
    const fn more(&self) -> u64 {
        self.count.saturating_sub(self.items.len() as u64)
    }
}

impl DigestItem {
    fn title(&self) -> String {
        let title = one_line(&self.message_title);
        if title.trim().is_empty() { event_message(&self.event).title } else { title.trim().to_owned() }
    }
}

impl Library {
    /// Title of the message that an event alone has.
    #[must_use]
    pub fn title(
        &self,
        template: Option<&TemplateId>,
        locale: &str,
        event: &Value,
        context: &RenderContext<'_>,
    ) -> String {
        self.render(template, locale, event, context).message.title
    }

    /// Renders one digest. Without a template, the built-in message.
    #[must_use]
    pub fn render_digest(
        &self,
        template: Option<&TemplateId>,
        locale: &str,
        input: &DigestInput<'_>,
        context: &RenderContext<'_>,
    ) -> Rendered {
        let built_in = |template_digest, failed| {
            let message = built_in(input, locale, context);
            Rendered { message, template_digest, bundle_digests: Vec::new(), failed }
        };
        let Some(id) = template else { return built_in(None, None) };
        let Some(entry) = self.templates.get(id) else {
            let reason = format!("there is no template `{id}`");
            let problem = Problem::new(Code::UnknownReference, "", reason, "create it, or name another one");
            return built_in(None, Some(problem));
        };
        let template_digest = Some(entry.digest.clone());
        let Some(redactor) = &entry.redactor else {
            // What was to be hidden is not known: nothing of any event is shown.
            let bare = DigestInput { items: Vec::new(), ..input.clone() };
            let message = self::built_in(&bare, locale, context);
            let failed = entry.shape.as_ref().err().cloned();
            return Rendered { message, template_digest, bundle_digests: Vec::new(), failed };
        };
        let hidden = |item: &DigestItem| {
            let event = redactor.apply(&item.event).into_owned();
            let title = Value::String(DigestItem { event: event.clone(), ..item.clone() }.title());
            let message_title = redactor.apply(&title).as_str().unwrap_or_default().to_owned();
            DigestItem { event, message_title, ..item.clone() }
        };
        let input = DigestInput { items: input.items.iter().map(hidden).collect(), ..input.clone() };
        let value = value_of(&input);
        let nothing = Value::Object(Map::new());
        let Made { message, bundle_digests } = self.shaped(entry, locale, &nothing, Some(&value), context);
        match message {
            Ok(mut message) => {
                if message.severity == Severity::None {
                    message.severity = input.severity;
                }
                Rendered { message, template_digest, bundle_digests, failed: None }
            }
            Err(problem) => {
                let message = self::built_in(&input, locale, context);
                Rendered { message, template_digest, bundle_digests, failed: Some(problem) }
            }
        }
    }
}

/// `digest` as a template sees it.
fn value_of(input: &DigestInput<'_>) -> Value {
    let items: Vec<Value> = input
        .items
        .iter()
        .map(|item| {
            json!({
                "event": item.event,
                "title": item.title(),
                "severity": item.severity,
                "at": rfc3339_millis(item.at),
            })
        })
        .collect();
    json!({
        "count": input.count,
        "retained": items.len(),
        "more": input.more(),
        "from": rfc3339_millis(input.from),
        "to": rfc3339_millis(input.to),
        "period": words::period(input.from, input.to),
        "control": input.control,
        "severity": input.severity,
        "items": items,
    })
}

fn built_in(input: &DigestInput<'_>, locale: &str, context: &RenderContext<'_>) -> Message {
    let words = Words::of(locale);
    let show = |at: Timestamp, style: &str| {
        let text = rfc3339_millis(at);
        let shown = date_time(&text, input.time_zone, style, words.locale)
            .or_else(|_| date_time(&text, "UTC", style, words.locale));
        shown.unwrap_or(text)
    };
    let alerts = words.alerts(input.count);
    let period = words::period(input.from, input.to);
    let rule = cut(one_line(context.rule_name).trim(), MAX_TITLE);
    let title = if input.control == "storm" {
        words.storm_title(&alerts, &period)
    } else {
        format!("{alerts}: {rule}")
    };
    let (from, to) = (show(input.from, "both"), show(input.to, "both"));
    // A date in each line only where the day is in doubt.
    let long = input.to.duration_since(input.from) >= jiff::SignedDuration::from_hours(24);
    let mut body = String::new();
    let mut listed = 0;
    for item in &input.items {
        let mut line = String::from("- ");
        if item.severity != Severity::None {
            line.push_str(&format!("**{}** ", words.severity(item.severity)));
        }
        push_escaped(&mut line, &cut(&item.title(), MAX_TITLE));
        line.push_str(&format!(" ({})\n", show(item.at, if long { "both" } else { "time" })));
        if body.len() + line.len() > MAX_BODY {
            break;
        }
        body.push_str(&line);
        listed += 1;
    }
    let more = input.count.saturating_sub(listed);
    if listed > 0 && more > 0 {
        body.push_str(&format!("\n{}\n", words.more(more)));
    }
    let field = |name: &str, value: String| Field { name: name.to_owned(), value, short: true };
    let mut fields = vec![field(words.alerts_field, input.count.to_string())];
    if input.severity != Severity::None {
        fields.push(field(words.severity_field, words.severity(input.severity).to_owned()));
    }
    fields.extend([field(words.from_field, from.clone()), field(words.to_field, to.clone())]);
    let message = Message {
        title,
        summary: words.summary(&alerts, &from, &to, input.severity),
        severity: input.severity,
        body: body.trim_end().to_owned(),
        fields,
        footer: words.why(input.control, &rule),
        locale: words.locale.to_owned(),
        ..Message::default()
    };
    debug_assert!(fits(&message), "the built-in message keeps within its bounds");
    message
}
