//! Where things stand in a card, and how much of each.

use crate::fields::fields;
use crate::runs::{Runs, Style};
use crate::text::{fitted, line};
use notify_connector_sdk::json::cost_of;
use notify_connector_sdk::message::{Message, Severity};
use notify_connector_sdk::words::Words;
use notify_connector_sdk::{Json, Phase};
use notify_markup::is_link;

/// Name of the studio's value with the address of the whole alert.
pub(crate) const ALERT_URL: &str = "studio-alert-url";
/// Longest address of the whole alert.
const ALERT_URL_MOST: usize = 512;
/// What the whole request may cost as JSON.
pub(crate) const TOTAL: usize = 24_000;

/// Teams shows six buttons.
const ACTIONS: usize = 6;
const ACTIONS_COST: usize = 3600;
const ACTION_TITLE: usize = 300;
const TITLE_COST: usize = 1500;
const SUMMARY_COST: usize = 2400;
const FOOTER_COST: usize = 900;
/// What is around everything, with the button to the whole alert.
const ENVELOPE: usize = 1000 + ALERT_URL_MOST;

const OPENING: &str = r#"{"contentType":"application/vnd.microsoft.card.adaptive","content":{"$schema":"http://adaptivecards.io/schemas/adaptive-card.json","type":"AdaptiveCard","version":"1.2""#;

/// The styles that containers have.
const STYLES: [&str; 6] = ["default", "emphasis", "good", "attention", "warning", "accent"];

const fn style_of(severity: Severity, phase: Phase) -> &'static str {
    match (phase, severity) {
        (Phase::Resolve, _) => "good",
        (_, Severity::Blocker | Severity::Critical) => "attention",
        (_, Severity::High | Severity::Medium) => "warning",
        (_, Severity::Low) => "accent",
        (_, Severity::Info | Severity::None) => "emphasis",
    }
}

/// `native.teams` of a message: `{"style": one of the container styles, "fullWidth": true or false}`. What is not that
/// is left out, for an alert in our style is better than none.
fn own_style(message: &Message) -> Option<&'static str> {
    let own = message.native.get("teams")?.get("style")?.as_str()?;
    STYLES.into_iter().find(|style| *style == own)
}

fn own_width(message: &Message) -> Option<bool> {
    message.native.get("teams")?.get("fullWidth")?.as_bool()
}

/// Writes the whole body of the request.
pub(crate) fn write(json: &mut Json, message: &Message, phase: Phase, full_width: bool, has_alert_url: bool) {
    let words = Words::of(message);
    let mut cut = false;
    let head = head(message, phase, words, &mut cut);
    let fields = fields(&message.fields, &mut cut);
    let footer = footer(message, &mut cut);
    let (actions, others) = actions(message);

    let taken = head.cost() + fields.cost() + footer.cost() + actions.cost() + ENVELOPE;
    let room = TOTAL.saturating_sub(taken);
    let mut more = Runs::new(room / 3);
    for (title, url) in &others {
        more.link_item(title, url);
    }
    for one in &message.attachments {
        more.block("Medium", |runs| runs.text(&line(&one.name), Style { bold: true, ..Style::default() }));
        more.boxed(|runs| runs.text(&one.content, Style { code: true, ..Style::default() }));
    }
    cut |= more.cut;

    let mut body = Runs::new(room.saturating_sub(more.json.cost()));
    let summary = line(&message.summary);
    if !summary.is_empty() {
        let summary = fitted(&summary, SUMMARY_COST, &mut cut);
        let style =
            if message.body.is_empty() { Style::default() } else { Style { bold: true, ..Style::default() } };
        body.block("Medium", |runs| runs.text(&summary, style));
    }
    body.blocks(&notify_markup::parse(&message.body));
    cut |= body.cut;

    json.open();
    json.pair("type", "message");
    json.key("attachments");
    json.list();
    json.raw(OPENING);
    if own_width(message).unwrap_or(full_width) {
        json.key("msteams");
        json.raw(r#"{"width":"Full"}"#);
    }
    json.key("body");
    json.list();
    for part in [head, body.json, fields, more.json, footer] {
        json.join(part);
    }
    json.end();
    let full_alert = cut && has_alert_url;
    if full_alert || !actions.is_empty() {
        json.key("actions");
        json.list();
        if full_alert {
            json.open();
            json.pair("type", "Action.OpenUrl");
            json.pair("title", words.full_alert);
            json.key("url");
            json.secret(ALERT_URL, ALERT_URL_MOST);
            json.close();
        }
        json.join(actions);
        json.end();
    }
    json.close();
    json.close();
    json.end();
    json.close();
}

/// The title on the severity's colour, and the severity in words for those who see none.
fn head(message: &Message, phase: Phase, words: &Words, cut: &mut bool) -> Json {
    let mut runs = Runs::new(2 * TITLE_COST);
    runs.json.open();
    runs.json.pair("type", "Container");
    runs.json.pair("style", own_style(message).unwrap_or(style_of(message.severity, phase)));
    runs.json.key("bleed");
    runs.json.raw("true");
    runs.json.key("items");
    runs.json.list();
    let state = if phase == Phase::Resolve { words.resolved } else { words.severity(message.severity) };
    if !state.is_empty() {
        runs.block("", |runs| {
            runs.text(state, Style { subtle: true, bold: true, size: "Small", ..Style::default() })
        });
    }
    let title = line(&message.title);
    let title = fitted(if title.is_empty() { "–" } else { &title }, TITLE_COST, cut);
    let spacing = if state.is_empty() { "" } else { "None" };
    runs.block(spacing, |runs| runs.text(&title, Style { bold: true, size: "Large", ..Style::default() }));
    runs.json.end();
    runs.json.close();
    *cut |= runs.cut;
    runs.json
}

fn footer(message: &Message, cut: &mut bool) -> Json {
    let footer = line(&message.footer);
    let mut runs = Runs::new(2 * FOOTER_COST);
    if !footer.is_empty() {
        let footer = fitted(&footer, FOOTER_COST, cut);
        runs.block("Medium", |runs| {
            runs.text(&footer, Style { subtle: true, size: "Small", ..Style::default() });
        });
    }
    runs.json
}

/// Actions and links as buttons, and those for which there is no room. One place is kept for the whole alert.
fn actions(message: &Message) -> (Json, Vec<(String, String)>) {
    let mut json = Json::with_capacity(512);
    let mut others = Vec::new();
    let mut count = 0;
    let actions = message.actions.iter().map(|one| (&one.title, &one.url, one.style.as_str()));
    for (title, url, style) in actions.chain(message.links.iter().map(|one| (&one.title, &one.url, ""))) {
        let title = line(title);
        let title = if title.is_empty() { line(url) } else { title };
        let shown = fitted(&title, ACTION_TITLE, &mut false);
        let cost = cost_of(url) + cost_of(&shown) + 100;
        if is_link(url) && count < ACTIONS - 1 && json.cost() + cost <= ACTIONS_COST {
            json.open();
            json.pair("type", "Action.OpenUrl");
            json.pair("title", &shown);
            json.pair("url", url);
            match style {
                "primary" => json.pair("style", "positive"),
                "danger" => json.pair("style", "destructive"),
                _ => {}
            }
            json.close();
            count += 1;
        } else if !url.is_empty() || !title.is_empty() {
            others.push((shown.into_owned(), url.clone()));
        }
    }
    (json, others)
}
