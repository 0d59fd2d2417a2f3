//! `notify inbox`

use crate::args::{Format, Global, Paging};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::home::SystemClock;
use crate::output;
use crate::style::{self, Painter, Tone};
use clap::{Args, Subcommand};
use notify_core::time::{Clock, Timestamp};
use serde_json::{Value, json};
use unicode_width::UnicodeWidthStr;

#[derive(Debug, Subcommand)]
pub enum InboxCommand {
    /// Newest first; unread items have a dot.
    List(ListArgs),
    /// One item in full, and mark it as read.
    Show {
        id: String,
        /// Leave it as it is.
        #[arg(long)]
        keep_unread: bool,
    },
    /// Mark items as read.
    Read {
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Mark items as unread.
    Unread {
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Mark everything as read that is there now.
    ReadAll {
        /// Only items of this channel.
        #[arg(long)]
        channel: Option<String>,
    },
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Only unread items.
    #[arg(long)]
    unread: bool,
    /// Only items of this severity or worse.
    #[arg(long, value_parser = ["none", "info", "low", "medium", "high", "critical", "blocker"])]
    severity: Option<String>,
    /// Only items of this channel.
    #[arg(long)]
    channel: Option<String>,
    /// Only items of this rule.
    #[arg(long)]
    rule: Option<String>,
    /// Only items that came then or later (RFC 3339).
    #[arg(long)]
    from: Option<String>,
    /// Only items that came before then (RFC 3339).
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

pub async fn run(global: &Global, command: InboxCommand) -> Result<(), Failure> {
    let client = Client::new(global)?;
    match command {
        InboxCommand::List(asked) => {
            let unread = if asked.unread { Some("true") } else { None };
            let filter = [
                ("unread", unread),
                ("severity", asked.severity.as_deref()),
                ("channel", asked.channel.as_deref()),
                ("rule", asked.rule.as_deref()),
                ("from", asked.from.as_deref()),
                ("to", asked.to.as_deref()),
            ];
            let filter: Vec<_> =
                filter.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
            let items = client.inbox(&filter, asked.paging.limit).await?;
            match global.output {
                Format::Table if items.is_empty() => output::say("Nothing is in the inbox."),
                Format::Table => output::say(&lines(&items, SystemClock.now(), style::out)),
                format => output::structured(format, &json!(items)),
            }
        }
        InboxCommand::Show { id, keep_unread } => {
            let mut item = client.inbox_item(&id).await?;
            if !keep_unread {
                let marked = client.mark_inbox_item(&id, true).await?;
                if let (Some(item), Value::Object(marked)) = (item.as_object_mut(), marked) {
                    item.extend(marked);
                }
            }
            match global.output {
                Format::Table => output::say(&page(&item, style::out)),
                format => output::structured(format, &item),
            }
        }
        InboxCommand::Read { id } => mark(global, &client, &id, true).await?,
        InboxCommand::Unread { id } => mark(global, &client, &id, false).await?,
        InboxCommand::ReadAll { channel } => {
            let answer = client.mark_inbox_read(channel.as_deref()).await?;
            match global.output {
                Format::Table => {
                    let left = answer.pointer("/unread/total").and_then(Value::as_u64).unwrap_or_default();
                    output::say(&format!("all read; {left} unread"));
                }
                format => output::structured(format, &answer),
            }
        }
    }
    Ok(())
}

async fn mark(global: &Global, client: &Client, ids: &[String], read: bool) -> Result<(), Failure> {
    for id in ids {
        let item = client.mark_inbox_item(id, read).await?;
        match global.output {
            Format::Table => output::say(&format!("{id} {}", if read { "read" } else { "unread" })),
            format => output::structured(format, &item),
        }
    }
    Ok(())
}

fn text<'a>(item: &'a Value, pointer: &str) -> &'a str {
    item.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// A severity says the same without its colour.
fn tone(severity: &str) -> Option<Tone> {
    match severity {
        "critical" | "blocker" => Some(Tone::Bad),
        "high" | "medium" => Some(Tone::Caution),
        "low" | "info" => Some(Tone::Good),
        _ => None,
    }
}

/// One line each: dot, age, severity, title, where it is from, id.
fn lines(items: &[Value], now: Timestamp, paint: Painter) -> String {
    const TITLE: usize = 48;
    let mut out =
        vec![format!("   {:>4}  {:<8}  {:<TITLE$}  {:<16}  ID", "AGE", "SEVERITY", "TITLE", "CHANNEL")];
    for item in items {
        let unread = item.get("unread").and_then(Value::as_bool).unwrap_or_default();
        let dot = if unread { paint("●", Tone::Strong) } else { " ".to_owned() };
        let age = text(item, "/createdAt").parse().map_or(String::new(), |at: Timestamp| age(at, now));
        let severity = text(item, "/severity");
        let padded = padded(severity, 8);
        let severity = tone(severity).map_or(padded.clone(), |tone| paint(&padded, tone));
        let title = cut(text(item, "/title"), TITLE);
        let title = if unread { paint(&title, Tone::Strong) } else { title };
        let channel = cut(text(item, "/channel"), 16);
        out.push(format!(" {dot} {age:>4}  {severity}  {title}  {channel}  {}", text(item, "/id")));
    }
    out.join("\n")
}

fn padded(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(text.width())))
}

/// Exactly so wide, on one line, and nothing that a terminal obeys.
fn cut(text: &str, width: usize) -> String {
    let text = printable(text).replace(['\n', '\t'], " ");
    if text.width() <= width {
        return padded(&text, width);
    }
    let mut cut = String::new();
    for character in text.chars() {
        if cut.width() + unicode_width::UnicodeWidthChar::width(character).unwrap_or_default() >= width {
            break;
        }
        cut.push(character);
    }
    padded(&format!("{cut}…"), width)
}

/// `now`, `5m`, `3h`, `12d`: as much as one needs to know.
fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(at).as_secs().max(0);
    match seconds {
        0..60 => "now".to_owned(),
        60..3_600 => format!("{}m", seconds / 60),
        3_600..86_400 => format!("{}h", seconds / 3_600),
        _ => format!("{}d", seconds / 86_400),
    }
}

fn page(item: &Value, paint: Painter) -> String {
    let severity = text(item, "/severity");
    let badge = tone(severity).map_or(severity.to_owned(), |tone| paint(severity, tone));
    let mut out = format!("{}  {badge}\n", paint(&printable(text(item, "/title")), Tone::Strong));
    for part in ["/message/summary", "/message/body"] {
        let text = text(item, part);
        if !text.is_empty() {
            out.push_str(&format!("\n{}\n", printable(text)));
        }
    }
    let listed = |list: &str, name: &str, value: &str| -> Vec<(String, String)> {
        let items = item.pointer(list).and_then(Value::as_array).cloned().unwrap_or_default();
        items
            .iter()
            .map(|item| (printable(text(item, name)).replace('\n', " "), text(item, value).to_owned()))
            .collect()
    };
    for rows in [
        listed("/message/fields", "/name", "/value"),
        listed("/message/links", "/title", "/url"),
        listed("/message/actions", "/title", "/url"),
    ] {
        let rows: Vec<(&str, String)> =
            rows.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
        if !rows.is_empty() {
            out.push_str(&format!("\n{}\n", output::fields(&rows)));
        }
    }
    let read = match text(item, "/readBy") {
        "" => String::new(),
        by => format!("{} by {by}", text(item, "/readAt")),
    };
    out.push_str(&format!(
        "\n{}",
        output::fields(&[
            ("id", text(item, "/id").to_owned()),
            ("came", text(item, "/createdAt").to_owned()),
            ("channel", text(item, "/channel").to_owned()),
            ("rule", text(item, "/rule").to_owned()),
            ("event", text(item, "/event").to_owned()),
            ("read", read),
        ])
    ));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages() {
        let at = |second| Timestamp::from_second(second).unwrap();
        for (seconds, expected) in
            [(-5, "now"), (59, "now"), (60, "1m"), (3_599, "59m"), (3_600, "1h"), (172_800, "2d")]
        {
            assert_eq!(age(at(1_000_000), at(1_000_000 + seconds)), expected, "{seconds}");
        }
    }

    #[test]
    fn a_list_has_one_line_per_item_whatever_it_says() {
        let item = |unread, title: &str| {
            json!({
                "id": "dlv_1", "unread": unread, "severity": "critical", "channel": "inbox", "title": title,
                "createdAt": "2026-11-22T08:00:00Z",
            })
        };
        let now = "2026-11-22T08:05:00Z".parse().unwrap();
        let items = [item(true, "Node \u{1b}[31mdown\nreally"), item(false, &"長い".repeat(40))];
        let plain: Painter = |text, _| text.to_owned();
        let shown = lines(&items, now, plain);
        let rows: Vec<&str> = shown.lines().collect();
        assert_eq!(rows.len(), 3, "{shown}");
        assert!(rows[1].starts_with(" ●   5m  critical  Node \u{fffd}[31mdown really"), "{shown}");
        assert!(rows[2].starts_with("     5m  critical  長い"), "{shown}");
        let widths: Vec<usize> = rows.iter().map(|row| row[..row.rfind("  ").unwrap()].width()).collect();
        assert_eq!((widths[0], widths[1]), (widths[1], widths[2]), "{shown}");
        assert!(lines(&items, now, style::forced).contains("\u{1b}[31mcritical\u{1b}[0m"));
    }
}
