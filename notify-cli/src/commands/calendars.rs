//! `notify calendar`: documents, the next windows, and files of others.

use super::documents::{self, CALENDAR};
use super::rules::{list, text};
use crate::args::{DocumentCommand, Format, Global};
use crate::client::Client;
use crate::failure::{Failure, printable};
use crate::home::SystemClock;
use crate::style::{self, Tone};
use crate::{files, output};
use clap::{Args, Subcommand};
use notify_core::calendar::import::{self, Imported, Options};
use notify_core::calendar::{CompiledCalendar, lint, time_zone, upcoming};
use notify_core::document::{Calendar, Version, parse_calendar};
use notify_core::time::{Clock, Timestamp};
use notify_core::yaml;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

#[derive(Debug, Subcommand)]
pub enum CalendarCommand {
    #[command(flatten)]
    Document(DocumentCommand),
    /// The next windows, in local time and in UTC.
    #[command(after_help = "With --file no service is needed.")]
    Next(NextArgs),
    /// Write calendar documents from an iCalendar file or an Alertmanager configuration.
    #[command(
        after_help = "Says line by line what could not be carried. Nothing is saved: `notify calendar create -f` does that. \
                      Status 1 when nothing could be carried, and with --strict when anything was lost."
    )]
    Import(ImportArgs),
}

#[derive(Debug, Clone, Args)]
pub struct NextArgs {
    /// A saved calendar.
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub id: Option<String>,
    /// A calendar document that need not be saved; `-` reads standard input.
    #[arg(short, long)]
    pub file: Option<PathBuf>,
    /// How many.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub count: u8,
    /// Windows that end after this time (RFC 3339); without it, after now.
    #[arg(long)]
    pub from: Option<String>,
    /// Zone to read a calendar with `timeZone: contact` in.
    #[arg(long)]
    pub time_zone: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct ImportArgs {
    /// An iCalendar file (`.ics`) or an Alertmanager configuration; `-` reads standard input.
    pub file: PathBuf,
    /// Id of the (first) calendar; without it, one that reads like its name.
    #[arg(long)]
    pub id: Option<String>,
    /// Its name; without it, what the file calls it.
    #[arg(long)]
    pub name: Option<String>,
    /// Zone for times that name none; in an Alertmanager configuration what `Local` means.
    #[arg(long)]
    pub time_zone: Option<String>,
    /// A folder to write `ID.yaml` files to; without it, documents go to standard output.
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// Status 1 when anything was lost.
    #[arg(long)]
    pub strict: bool,
}

pub async fn run(global: &Global, command: CalendarCommand) -> Result<(), Failure> {
    match command {
        CalendarCommand::Document(command) => {
            let checked = match &command {
                DocumentCommand::Validate { file } => file.clone(),
                _ => Vec::new(),
            };
            documents::run(global, CALENDAR, command).await?;
            checked.iter().try_for_each(|file| warn(file))
        }
        CalendarCommand::Next(args) => next(global, &args).await,
        CalendarCommand::Import(args) => import(global.output, &args),
    }
}

/// What is valid in a file and probably not meant.
fn warn(file: &Path) -> Result<(), Failure> {
    // Standard input was read already.
    if file == Path::new("-") {
        return Ok(());
    }
    let (document, ..) =
        parse_calendar(&files::document(file)?).map_err(|problem| files::about(file, problem))?;
    for warning in lint::warnings(&document) {
        let place = format!("{} at {}", files::name(file), warning.path);
        eprintln!("{}", said(&place, &format!("{}; {}", warning.reason, warning.fix)));
    }
    Ok(())
}

fn said(place: &str, reason: &str) -> String {
    style::err(&format!("warning: {}: {}", printable(place), printable(reason)), Tone::Caution)
}

async fn next(global: &Global, args: &NextArgs) -> Result<(), Failure> {
    let from = args.from.as_deref().map(str::parse::<Timestamp>).transpose().map_err(|_| {
        Failure::usage(
            "`--from` is not a time",
            "give one like 2026-11-22T08:00:00Z or 2026-11-22T08:00:00+01:00",
        )
    })?;
    let count = usize::from(args.count);
    let view = match (&args.id, &args.file) {
        (_, Some(file)) => {
            offline(file, from.unwrap_or_else(|| SystemClock.now()), count, args.time_zone.as_deref())?
        }
        (Some(id), None) => {
            let from = from.map(|from| from.to_string());
            Client::new(global)?
                .calendar_windows(id, from.as_deref(), count, args.time_zone.as_deref())
                .await?
        }
        (None, None) => {
            return Err(Failure::usage("no calendar is named", "name one, or a file with `--file`"));
        }
    };
    match global.output {
        Format::Table => table(&view),
        format => output::structured(format, &view),
    }
    Ok(())
}

fn offline(file: &Path, from: Timestamp, count: usize, zone: Option<&str>) -> Result<Value, Failure> {
    let about = |problem| files::about(file, problem);
    let (document, _, digest): (Calendar, _, _) = parse_calendar(&files::document(file)?).map_err(about)?;
    let local = zone
        .map(|name| time_zone(name, ""))
        .transpose()
        .map_err(|problem| Failure::usage(format!("`--time-zone`: {}", problem.reason), problem.fix))?;
    let document = Version { version: 0, digest, document };
    let compiled = CompiledCalendar::new(&document).map_err(about)?;
    Ok(json!(upcoming::upcoming(&compiled, &document.document, from, count, local.as_ref())))
}

/// Windows for people: weekday and local time first, UTC beside it.
fn table(view: &Value) {
    let rows: Vec<Value> = list(view, "windows").map(row).collect();
    let columns: &[output::Column] = &[
        ("FROM", "/from"),
        ("TO", "/to"),
        ("LASTS", "/lasts"),
        ("FROM (UTC)", "/fromUtc"),
        ("TO (UTC)", "/toUtc"),
        ("", "/note"),
    ];
    let inside = view.get("inside").and_then(Value::as_bool).unwrap_or_default();
    let number = |name: &str| view.get(name).and_then(Value::as_i64).unwrap_or_default();
    output::say(&printable(&format!(
        "{}: {} at {} {}",
        text(view, "/calendar"),
        if inside { "inside" } else { "outside" },
        day_and_time(text(view, "/from/local")),
        text(view, "/from/zone"),
    )));
    if rows.is_empty() {
        output::say(&format!("No window within {} days.", number("horizonDays")));
    } else {
        output::say(&output::table(&rows, columns));
    }
    output::say(&printable(&format!(
        "Zone {}, dst {}, time zone database {}.",
        text(view, "/timeZone"),
        text(view, "/dst"),
        text(view, "/tzdb"),
    )));
    for warning in list(view, "warnings") {
        let reason = format!("{}; {}", text(warning, "/reason"), text(warning, "/fix"));
        eprintln!("{}", said(text(warning, "/path"), &reason));
    }
}

fn row(window: &Value) -> Value {
    let local = |end: &str| {
        let at = text(window, &format!("/{end}/local"));
        if at.is_empty() {
            String::new()
        } else {
            format!("{} {}", day_and_time(at), text(window, &format!("/{end}/zone")))
        }
    };
    let utc = |end: &str| text(window, &format!("/{end}/utc")).replace(":00Z", "Z").replace('T', " ");
    let seconds = window.get("seconds").and_then(Value::as_u64);
    let lasts = seconds.map(|seconds| notify_core::duration::Length::from_secs(seconds).to_string());
    let changes = window.get("clocksChange").and_then(Value::as_bool).unwrap_or_default();
    json!({
        "from": local("from"),
        "to": if window.get("to").is_some() { local("to") } else { "no end in sight".to_owned() },
        "lasts": lasts.unwrap_or_default(),
        "fromUtc": utc("from"),
        "toUtc": utc("to"),
        "note": if changes { "clocks change" } else { "" },
    })
}

/// `Mon 2026-11-23 22:00` of an RFC 3339 text.
fn day_and_time(rfc3339: &str) -> String {
    let (Some(date), Some(time)) = (rfc3339.get(..10), rfc3339.get(11..16)) else {
        return rfc3339.to_owned();
    };
    let days = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];
    let number = |range: std::ops::Range<usize>| date.get(range)?.parse::<i32>().ok();
    let parts = (
        number(0..4),
        number(5..7).and_then(|n| u8::try_from(n).ok()),
        number(8..10).and_then(|n| u8::try_from(n).ok()),
    );
    let (Some(year), Some(month), Some(day)) = parts else { return rfc3339.to_owned() };
    let day = notify_core::calendar::day::Day::new(year, month, day);
    let name = day.and_then(|day| days.get(usize::from(day.weekday()))).copied().unwrap_or_default();
    format!("{name} {date} {time}")
}

fn import(format: Format, args: &ImportArgs) -> Result<(), Failure> {
    let content = files::read(&args.file)?;
    let content = String::from_utf8(content).map_err(|_| {
        Failure::other(format!("{} is not UTF-8", files::name(&args.file)), "save it as UTF-8")
    })?;
    let options = Options { id: args.id.clone(), name: args.name.clone(), time_zone: args.time_zone.clone() };
    if let Some(zone) = &options.time_zone {
        time_zone(zone, "")
            .map_err(|problem| Failure::usage(format!("`--time-zone`: {}", problem.reason), problem.fix))?;
    }
    let head = content.trim_start_matches('\u{feff}').trim_start().get(..15).unwrap_or_default();
    let imported = if head.eq_ignore_ascii_case("BEGIN:VCALENDAR") {
        import::ical(&content, &options)
    } else {
        import::alertmanager(&document(&args.file, &content)?, &options)
    };
    write(format, args, &imported)?;
    let lost = imported.notes.iter().filter(|note| note.lost).count();
    if imported.calendars.is_empty() {
        let reason = format!("nothing in {} could be carried", files::name(&args.file));
        return Err(Failure::other(reason, "see the lines above"));
    }
    if lost > 0 && args.strict {
        return Err(Failure::other(
            format!("{lost} parts were lost"),
            "see the lines above, or leave `--strict` out",
        ));
    }
    Ok(())
}

fn document(file: &Path, content: &str) -> Result<Value, Failure> {
    let limits = notify_core::json::Limits { max_bytes: content.len(), ..yaml::DOCUMENT_LIMITS };
    yaml::parse_document(content.as_bytes(), None, limits).map_err(|problem| files::about(file, problem))
}

fn write(format: Format, args: &ImportArgs, imported: &Imported) -> Result<(), Failure> {
    // The report goes beside the documents, so that these can be piped on.
    for note in &imported.notes {
        let what = if note.lost { "lost" } else { "note" };
        let line = format!("{what}: {}: {}", printable(&note.place), printable(&note.text));
        eprintln!("{}", if note.lost { style::err(&line, Tone::Caution) } else { line });
    }
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::other(format!("{} cannot be made: {error}", folder.display()), ""))?;
        for calendar in &imported.calendars {
            let path = folder.join(format!("{}.yaml", text(calendar, "/id")));
            std::fs::write(&path, yaml::to_yaml(calendar)).map_err(|error| {
                Failure::other(format!("{} cannot be written: {error}", path.display()), "")
            })?;
            output::say(&format!("{} written", path.display()));
        }
        return Ok(());
    }
    match format {
        Format::Json => output::structured(format, &json!(imported)),
        Format::Yaml | Format::Table => {
            for (index, calendar) in imported.calendars.iter().enumerate() {
                if index > 0 {
                    output::say("---");
                }
                output::structured(Format::Yaml, calendar);
            }
        }
    }
    Ok(())
}
