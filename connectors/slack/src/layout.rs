//! Where things stand in a message, and how much of each.

use crate::links::Links;
use crate::rich::Rich;
use crate::text::{escape, fit_cost, is_plain_mrkdwn, limited, line};
use notify_connector_sdk::message::{Field, Message, Severity};
use notify_connector_sdk::words::Words;
use notify_connector_sdk::{Json, Phase};
use notify_markup::honest;

/// Name of the studio's value with the address of the whole alert.
pub(crate) const ALERT_URL: &str = "studio-alert-url";
/// Longest address of the whole alert.
pub(crate) const ALERT_URL_MOST: usize = 512;
/// What all blocks together may cost as JSON.
pub(crate) const TOTAL: usize = 12_000;

/// Characters of Slack's own limits.
const HEADER: usize = 150;
const SECTION: usize = 3000;
const FIELDS_IN_SECTION: usize = 10;
/// What name and value of a short field may cost each; more is a line of its own.
const SHORT_FIELD: usize = 240;
/// A value of so many bytes stands beside another one in any case.
const NARROW: usize = 48;
/// What one short field costs at most, with its block around it.
const FIELD_ROOM: usize = 2 * SHORT_FIELD + 160;

/// What parts may cost at most, so that each message has room for its body.
const SUMMARY_COST: usize = 1500;
const FIELDS_COST: usize = 3600;
const FIELD_COST: usize = 1200;
const FOOTER_COST: usize = 700;
/// Blocks of fields.
const FIELD_BLOCKS: usize = 20;

/// Colour of the bar and the dot before the title.
const fn look(severity: Severity, phase: Phase) -> (&'static str, &'static str) {
    match (phase, severity) {
        (Phase::Resolve, _) => ("#2E9E5B", "✅ "),
        (_, Severity::Blocker) => ("#8E1B2E", "⛔ "),
        (_, Severity::Critical) => ("#D32F2F", "🔴 "),
        (_, Severity::High) => ("#EF6C00", "🟠 "),
        (_, Severity::Medium) => ("#F2B705", "🟡 "),
        (_, Severity::Low) => ("#2F7FD1", "🔵 "),
        (_, Severity::Info) => ("#5B7C99", "⚪ "),
        (_, Severity::None) => ("#8A8F98", ""),
    }
}

/// `native.slack` of a message: `{"color": "#RRGGBB"}`. What is not that is left out, for an alert without its own
/// colour is better than none.
fn own_color(message: &Message) -> Option<&str> {
    let color = message.native.get("slack")?.get("color")?.as_str()?;
    let hex = color.strip_prefix('#')?;
    (hex.len() == 6 && hex.bytes().all(|b| b.is_ascii_hexdigit())).then_some(color)
}

/// Appends `text`, `blocks` and `attachments` to the open object.
pub(crate) fn write(json: &mut Json, message: &Message, phase: Phase, has_alert_url: bool) {
    let words = Words::of(message);
    let (color, dot) = look(message.severity, phase);
    let mut cut = false;
    let title = line(&message.title);
    let title = if title.is_empty() { "–" } else { &*title };

    let summary = line(&message.summary);
    let mut notice = format!("{dot}{}", limited(title, 500, &mut false));
    if !summary.is_empty() {
        notice.push('\n');
        notice.push_str(&limited(&summary, 500, &mut false));
    }
    json.pair("text", &notice);

    let mut head = Json::with_capacity(256);
    head.open();
    head.pair("type", "header");
    head.key("text");
    plain_text(&mut head, &format!("{dot}{}", limited(title, HEADER - 4, &mut cut)));
    head.close();

    let mut first = Json::with_capacity(256);
    if !summary.is_empty() {
        let text = fitted(&summary, SUMMARY_COST, &mut cut);
        first.open();
        first.pair("type", "section");
        first.key("text");
        plain_text(&mut first, &limited_again(&text));
        first.close();
    }
    let fields = fields(&message.fields, &mut cut);
    let footer = footer(message, phase, words, &mut cut);
    let mut links = Links::of(message);

    // What is left after everything else, with the brackets and the button to the whole alert.
    let taken = head.cost() + first.cost() + fields.cost() + footer.cost() + links.buttons.cost();
    let mut room = TOTAL.saturating_sub(taken + 400 + ALERT_URL_MOST);

    let mut more = Rich::new(room / 3);
    for (title, url) in links.others.drain(..) {
        more.link_item(&title, &url);
    }
    for one in &message.attachments {
        more.boxed(&line(&one.name), &one.content);
    }
    cut |= more.cut;
    let more = more.finish();
    room = room.saturating_sub(more.as_ref().map_or(0, Json::cost));

    let mut body = Rich::new(room);
    body.blocks(&notify_markup::parse(&message.body));
    cut |= body.cut;

    json.key("blocks");
    json.list();
    json.join(head);
    json.end();
    let mut blocks = first;
    for block in [body.finish(), Some(fields), more].into_iter().flatten() {
        blocks.join(block);
    }
    if let Some(actions) = links.block((cut && has_alert_url).then_some(words.full_alert)) {
        blocks.join(actions);
    }
    blocks.join(footer);
    json.key("attachments");
    json.list();
    if !blocks.is_empty() {
        json.open();
        json.pair("color", own_color(message).unwrap_or(color));
        json.key("blocks");
        json.list();
        json.join(blocks);
        json.end();
        json.close();
    }
    json.end();
}

/// A `plain_text` object of text that is escaped already.
pub(crate) fn plain_text(json: &mut Json, escaped: &str) {
    json.open();
    json.pair("type", "plain_text");
    json.pair("text", escaped);
    json.key("emoji");
    json.raw("false");
    json.close();
}

/// Not escaped yet: at most `most` of cost, with `…` where something is missing.
fn fitted(text: &str, most: usize, cut: &mut bool) -> String {
    let part = fit_cost(text, most);
    if !part.cut {
        return text.to_owned();
    }
    *cut = true;
    format!("{}…", part.text)
}

fn limited_again(text: &str) -> String {
    limited(text, SECTION, &mut false).into_owned()
}

/// Short fields side by side, others on lines of their own; in the message's order.
fn fields(fields: &[Field], cut: &mut bool) -> Json {
    let mut out = Json::with_capacity(1024);
    let mut blocks = 0;
    let mut rest = fields;
    while let Some(first) = rest.first() {
        let short = is_short(first);
        let same = rest.iter().take_while(|field| is_short(field) == short).count();
        let most = if short { same.min(FIELDS_IN_SECTION) } else { same };
        let (now, later) = rest.split_at(most);
        let room = FIELDS_COST.saturating_sub(out.cost());
        if blocks == FIELD_BLOCKS || room < FIELD_ROOM {
            *cut = true;
            break;
        }
        if short {
            grid(&mut out, now, cut)
        } else {
            lines(&mut out, now, room, cut)
        }
        blocks += 1;
        rest = later;
    }
    out
}

/// What the template says is short, and what is: rows of one look read better than a mixture.
fn is_short(field: &Field) -> bool {
    let narrow = field.value.len() <= NARROW && !field.value.contains('\n');
    (field.short || narrow)
        && !fit_cost(&field.value, SHORT_FIELD).cut
        && !fit_cost(&field.name, SHORT_FIELD).cut
}

fn grid(out: &mut Json, fields: &[Field], cut: &mut bool) {
    out.open();
    out.pair("type", "section");
    out.key("fields");
    out.list();
    for field in fields {
        // The first one always fits: its block would not have been begun.
        if out.cost() + FIELD_ROOM > FIELDS_COST + 60 {
            *cut = true;
            break;
        }
        let (name, value) = (line(&field.name), honest(&field.value));
        let value = value.trim();
        let value = if value.is_empty() { "–" } else { value };
        if !name.is_empty() && is_plain_mrkdwn(&name) && is_plain_mrkdwn(value) {
            out.open();
            out.pair("type", "mrkdwn");
            out.pair("text", &format!("*{}*\n{}", escape(&name), escape(value)));
            out.key("verbatim");
            out.raw("true");
            out.close();
        } else {
            let text = if name.is_empty() { value.to_owned() } else { format!("{name}\n{value}") };
            plain_text(out, &escape(&text));
        }
    }
    out.end();
    out.close();
}

fn lines(out: &mut Json, fields: &[Field], room: usize, cut: &mut bool) {
    let mut rich = Rich::new(room);
    for field in fields {
        if rich.cut {
            break;
        }
        let value = honest(&field.value);
        let value = fitted(value.trim(), FIELD_COST, cut);
        rich.field(
            &fitted(&line(&field.name), FIELD_COST / 4, cut),
            if value.is_empty() { "–" } else { &value },
        );
    }
    *cut |= rich.cut;
    if let Some(block) = rich.finish() {
        out.join(block);
    }
}

/// The severity in words, for those who see no colour, and the message's own footer.
fn footer(message: &Message, phase: Phase, words: &Words, cut: &mut bool) -> Json {
    let mut json = Json::default();
    let state = if phase == Phase::Resolve { words.resolved } else { words.severity(message.severity) };
    let footer = line(&message.footer);
    let footer = fitted(&footer, FOOTER_COST, cut);
    let between = if state.is_empty() || footer.is_empty() { "" } else { " · " };
    let text = format!("{state}{between}{footer}");
    if !text.is_empty() {
        json.open();
        json.pair("type", "context");
        json.key("elements");
        json.list();
        plain_text(&mut json, &escape(&text));
        json.end();
        json.close();
    }
    json
}
