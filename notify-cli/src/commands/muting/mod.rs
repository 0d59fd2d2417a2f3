//! `notify silence` and `notify override`: what is in force for a while.

mod pattern;

use super::documents::{self, Noun};
use crate::args::{DocumentCommand, Format, Global};
use crate::client::Client;
use crate::failure::Failure;
use crate::files;
use crate::output::{self, Column};
use clap::{Args, Subcommand, ValueEnum};
use notify_client::model::Document;
use notify_client::{Documents, Error};
use notify_core::document::{overrides, silence};
use notify_core::duration::Length;
use notify_core::ids::hex;
use notify_core::problem::Code;
use notify_core::time::{Clock, Timestamp, rfc3339_millis};
use notify_worker::clock::{SystemClock, entropy};
use serde_json::{Map, Value, json};
use std::io::IsTerminal;
use std::path::PathBuf;

/// How long it lasts when nothing is said.
const DEFAULT_FOR: Length = Length::from_secs(3_600);

#[derive(Debug, Subcommand)]
pub enum SilenceCommand {
    /// Mute alerts from now on, for an hour if nothing else is said.
    #[command(
        after_help = "Where a silence would have muted many alerts of the last 7 days it has to be confirmed: at the terminal, or with --confirm. \
                      So has one for everything, and one that lasts longer than 30 days.\n\n\
                      notify silence add --match type=scanner.scan.failed --for 2h --reason 'the registry moves'"
    )]
    Add(Box<AddSilence>),
    /// Those in force and to come, by id.
    List(ListArgs),
    /// End one now, with a new version.
    Expire { id: String },
    /// What a silence would have muted in the last 7 days; nothing is saved.
    Preview(Box<PreviewSilence>),
    /// Create from a file.
    Create {
        #[arg(short, long, required = true)]
        file: Vec<PathBuf>,
        /// Although it would have muted many alerts, or is wide or long; the ledger keeps that.
        #[arg(long)]
        confirm: bool,
    },
    /// Replace with a new version.
    Replace {
        #[arg(short, long)]
        file: PathBuf,
        /// Only if this version is current; without it, whatever is current when the command starts.
        #[arg(long)]
        version: Option<u64>,
        /// Although it would have muted many alerts, or is wide or long; the ledger keeps that.
        #[arg(long)]
        confirm: bool,
    },
    #[command(flatten)]
    Other(OtherCommand),
}

#[derive(Debug, Subcommand)]
pub enum OverrideCommand {
    /// Let alerts pass controls from now on, for an hour if nothing else is said.
    #[command(
        after_help = "notify override add --control quiet-hours --rule critical-findings --for 8h --reason 'release night'"
    )]
    Add(Box<AddOverride>),
    /// Those in force and to come, by id.
    List(ListArgs),
    /// End one now, with a new version.
    Expire { id: String },
    /// Create from a file.
    Create {
        #[arg(short, long, required = true)]
        file: Vec<PathBuf>,
    },
    /// Replace with a new version.
    Replace {
        #[arg(short, long)]
        file: PathBuf,
        /// Only if this version is current; without it, whatever is current when the command starts.
        #[arg(long)]
        version: Option<u64>,
    },
    #[command(flatten)]
    Other(OtherCommand),
}

/// As of any document.
#[derive(Debug, Subcommand)]
pub enum OtherCommand {
    /// One, with its version; `-o yaml` prints the document alone, ready for `replace -f`.
    Get {
        id: String,
        /// An old version.
        #[arg(long)]
        version: Option<u64>,
    },
    /// All versions, newest first.
    Versions {
        id: String,
        #[command(flatten)]
        paging: crate::args::Paging,
    },
    /// Delete; its versions stay readable. To end it, `expire` it.
    Delete {
        id: String,
        #[arg(long)]
        version: Option<u64>,
    },
    /// Check files without a service, with the service's own parser.
    Validate {
        #[arg(short, long, required = true)]
        file: Vec<PathBuf>,
    },
}

impl From<OtherCommand> for DocumentCommand {
    fn from(command: OtherCommand) -> Self {
        match command {
            OtherCommand::Get { id, version } => Self::Get { id, version },
            OtherCommand::Versions { id, paging } => Self::Versions { id, paging },
            OtherCommand::Delete { id, version } => Self::Delete { id, version },
            OtherCommand::Validate { file } => Self::Validate { file },
        }
    }
}

#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Only those that stand like this now; without it, what is active or upcoming.
    #[arg(long, value_enum)]
    pub state: Option<State>,
    /// Also those that have expired.
    #[arg(long, conflicts_with = "state")]
    pub all: bool,
    #[command(flatten)]
    pub paging: crate::args::Paging,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum State {
    Active,
    Upcoming,
    Expired,
}

impl State {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Upcoming => "upcoming",
            Self::Expired => "expired",
        }
    }
}

/// Which alerts.
#[derive(Debug, Clone, Args)]
pub struct Select {
    /// Events with this value, such as data.host=web-1, or a pattern such as '{severity: [{at-most: low}]}'. Given several
    /// times, all fields have to match, and of one field any value.
    #[arg(long = "match", value_name = "FIELD=VALUE|PATTERN")]
    pub pattern: Vec<String>,
    /// Only alerts of this rule; may be given several times.
    #[arg(long)]
    pub rule: Vec<String>,
    /// Only alerts to this channel; may be given several times.
    #[arg(long)]
    pub channel: Vec<String>,
}

/// When.
#[derive(Debug, Clone, Args)]
pub struct Span {
    /// Begin then (RFC 3339); without it, now.
    #[arg(long, value_name = "TIME")]
    pub from: Option<Timestamp>,
    /// How long, such as 90s, 2h or 1d12h (1h).
    #[arg(long = "for", value_name = "DURATION", conflicts_with = "until")]
    pub lasts: Option<Length>,
    /// End then (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub until: Option<Timestamp>,
}

#[derive(Debug, Clone, Args)]
pub struct AddSilence {
    /// Its id; made up if not given.
    #[arg(long)]
    pub id: Option<String>,
    #[command(flatten)]
    pub select: Select,
    #[command(flatten)]
    pub span: Span,
    /// Only within this calendar's windows: a silence that recurs.
    #[arg(long)]
    pub calendar: Option<String>,
    /// Why, for those who wonder about it later.
    #[arg(long)]
    pub reason: String,
    /// Although it would have muted many alerts, or is wide or long; the ledger keeps that.
    #[arg(long)]
    pub confirm: bool,
}

#[derive(Debug, Clone, Args)]
pub struct PreviewSilence {
    /// A silence in a file.
    #[arg(short, long, conflicts_with_all = ["pattern", "rule", "channel", "from", "lasts", "until", "calendar"])]
    pub file: Option<PathBuf>,
    #[command(flatten)]
    pub select: Select,
    #[command(flatten)]
    pub span: Span,
    /// Only within this calendar's windows: a silence that recurs.
    #[arg(long)]
    pub calendar: Option<String>,
}

#[derive(Debug, Clone, Args)]
pub struct AddOverride {
    /// Its id; made up if not given.
    #[arg(long)]
    pub id: Option<String>,
    /// A control to pass: dedupe, silence, maintenance, inhibition, storm, throttle, quiet-hours, digest or budget; may be
    /// given several times.
    #[arg(long, required = true)]
    pub control: Vec<String>,
    #[command(flatten)]
    pub select: Select,
    #[command(flatten)]
    pub span: Span,
    /// Why, for those who wonder about it later.
    #[arg(long)]
    pub reason: String,
}

pub async fn silence(global: &Global, command: SilenceCommand) -> Result<(), Failure> {
    let noun = documents::SILENCE;
    match command {
        SilenceCommand::Add(args) => add_silence(global, &args).await,
        SilenceCommand::List(args) => list(global, noun, &args).await,
        SilenceCommand::Expire { id } => expire(global, noun, Documents::Silences, &id).await,
        SilenceCommand::Preview(args) => preview(global, &args).await,
        SilenceCommand::Create { file, confirm } => {
            documents::run(global, noun, DocumentCommand::Create { file, force: confirm }).await
        }
        SilenceCommand::Replace { file, version, confirm } => {
            documents::run(global, noun, DocumentCommand::Replace { file, version, force: confirm }).await
        }
        SilenceCommand::Other(command) => documents::run(global, noun, command.into()).await,
    }
}

pub async fn over(global: &Global, command: OverrideCommand) -> Result<(), Failure> {
    let noun = documents::OVERRIDE;
    match command {
        OverrideCommand::Add(args) => add_override(global, &args).await,
        OverrideCommand::List(args) => list(global, noun, &args).await,
        OverrideCommand::Expire { id } => expire(global, noun, Documents::Overrides, &id).await,
        OverrideCommand::Create { file } => {
            documents::run(global, noun, DocumentCommand::Create { file, force: false }).await
        }
        OverrideCommand::Replace { file, version } => {
            documents::run(global, noun, DocumentCommand::Replace { file, version, force: false }).await
        }
        OverrideCommand::Other(command) => documents::run(global, noun, command.into()).await,
    }
}

async fn list(global: &Global, noun: Noun, args: &ListArgs) -> Result<(), Failure> {
    let state = if args.all { Some("all") } else { args.state.map(State::as_str) };
    let query: Vec<(&str, &str)> = state.into_iter().map(|state| ("state", state)).collect();
    let path = format!("/api/v1/notify/{}", noun.plural);
    let items = Client::new(global)?.all(&path, &query, args.paging.limit).await?;
    output::list(global.output, &json!(items), &items, noun.columns, &none(noun, state));
    Ok(())
}

fn none(noun: Noun, state: Option<&str>) -> String {
    match state {
        None => format!("No {} in force or to come; --all shows those that have expired.", noun.plural),
        Some(_) => format!("No {}.", noun.plural),
    }
}

async fn expire(global: &Global, noun: Noun, kind: Documents, id: &str) -> Result<(), Failure> {
    let ended = Client::new(global)?.expire(kind, id).await?;
    documents::done(global.output, noun, "has ended", &json!(ended));
    Ok(())
}

async fn add_silence(global: &Global, args: &AddSilence) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let mut document = selected(&args.select, silence::SCHEMA, args.id.as_deref(), "s", &args.reason)?;
    recurring(&mut document, args.calendar.as_deref());
    span(&mut document, &args.span, args.calendar.is_none());
    let bytes = Value::Object(document).to_string().into_bytes();
    let made = if args.confirm {
        client.create_silence_confirmed(bytes).await?
    } else {
        match client.create(Documents::Silences, bytes.clone()).await {
            Err(Error::Problem(problem))
                if problem.code == Code::ConfirmationRequired.as_str() && std::io::stdin().is_terminal() =>
            {
                agree(&problem.detail)?;
                client.create_silence_confirmed(bytes).await?
            }
            made => made?,
        }
    };
    added(global, documents::SILENCE, &made);
    Ok(())
}

fn agree(figures: &str) -> Result<(), Failure> {
    eprint!("{}.\nMute them all the same? [y/N] ", crate::failure::printable(figures));
    let mut answer = String::new();
    let read = std::io::stdin().read_line(&mut answer);
    let yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if read.is_ok() && yes { Ok(()) } else { Err(Failure::other("nothing was muted", "")) }
}

async fn add_override(global: &Global, args: &AddOverride) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let mut document = selected(&args.select, overrides::SCHEMA, args.id.as_deref(), "o", &args.reason)?;
    document.insert("controls".to_owned(), json!(args.control));
    span(&mut document, &args.span, true);
    let bytes = Value::Object(document).to_string().into_bytes();
    let made = client.create(Documents::Overrides, bytes).await?;
    added(global, documents::OVERRIDE, &made);
    Ok(())
}

fn added(global: &Global, noun: Noun, made: &Document) {
    documents::done(global.output, noun, "created", &json!(made));
    if global.output == Format::Table {
        let text = |pointer: &str| json!(made).pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        let ends = match (text("/document/calendar"), text("/document/until")) {
            (Some(calendar), Some(until)) => format!("in the windows of {calendar} until {until}"),
            (Some(calendar), None) => format!("in the windows of {calendar}"),
            (None, until) => format!("until {}", until.unwrap_or_default()),
        };
        let covers = text("/covers").unwrap_or_default();
        output::say(&crate::failure::printable(&format!(
            "{}, {ends}: {covers}",
            text("/state").unwrap_or_default()
        )));
    }
}

fn selected(
    select: &Select,
    schema: &str,
    id: Option<&str>,
    prefix: &str,
    reason: &str,
) -> Result<Map<String, Value>, Failure> {
    let mut document = Map::new();
    document.insert("schema".to_owned(), schema.into());
    document.insert("id".to_owned(), id.map_or_else(|| made_up(prefix), |id| Ok(id.to_owned()))?.into());
    document.insert("reason".to_owned(), reason.into());
    if let Some(pattern) = pattern::of(&select.pattern)? {
        document.insert("match".to_owned(), pattern);
    }
    for (name, ids) in [("rules", &select.rule), ("channels", &select.channel)] {
        if !ids.is_empty() {
            document.insert(name.to_owned(), json!(ids));
        }
    }
    Ok(document)
}

/// The day and something random: ids are unique, and lists are by id.
fn made_up(prefix: &str) -> Result<String, Failure> {
    let random = entropy().map_err(|error| Failure::other(error.to_string(), "give --id"))?;
    let day: String =
        rfc3339_millis(SystemClock.now()).chars().take(10).filter(char::is_ascii_digit).collect();
    let random: String = hex(&random).chars().take(6).collect();
    Ok(format!("{prefix}-{day}-{random}"))
}

fn recurring(document: &mut Map<String, Value>, calendar: Option<&str>) {
    if let Some(calendar) = calendar {
        document.insert("calendar".to_owned(), calendar.into());
    }
}

fn span(document: &mut Map<String, Value>, span: &Span, has_to_end: bool) {
    if let Some(from) = span.from {
        document.insert("from".to_owned(), rfc3339_millis(from).into());
    }
    let begin = || span.from.unwrap_or_else(|| SystemClock.now());
    let lasts = span.lasts.or_else(|| has_to_end.then_some(DEFAULT_FOR));
    // A time beyond all times is refused by the service, with the place.
    let after = |lasts: Length| begin().checked_add(lasts.signed()).unwrap_or(Timestamp::MAX);
    if let Some(until) = span.until.or_else(|| lasts.map(after)) {
        document.insert("until".to_owned(), rfc3339_millis(until).into());
    }
}

async fn preview(global: &Global, args: &PreviewSilence) -> Result<(), Failure> {
    let client = Client::new(global)?;
    let bytes = match &args.file {
        Some(file) => files::read(file)?,
        None => {
            let mut document = selected(&args.select, silence::SCHEMA, Some("preview"), "s", "a preview")?;
            recurring(&mut document, args.calendar.as_deref());
            span(&mut document, &args.span, args.calendar.is_none());
            Value::Object(document).to_string().into_bytes()
        }
    };
    let impact = client.preview_silence(bytes).await?;
    if global.output != Format::Table {
        output::structured(global.output, &impact);
        return Ok(());
    }
    let said = |pointer: &str| impact.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    output::say(&crate::failure::printable(said("/sentence")));
    let rows = |name: &str| impact.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
    let columns: &[Column] = &[("RULE", "/rule"), ("MUTED", "/muted"), ("OF", "/alerts")];
    if !rows("rules").is_empty() {
        output::say(&output::table(&rows("rules"), columns));
    }
    let columns: &[Column] = &[
        ("AT", "/at"),
        ("EVENT", "/event"),
        ("TYPE", "/type"),
        ("SUBJECT", "/subject"),
        ("RULES", "/rules"),
    ];
    if !rows("samples").is_empty() {
        output::say(&output::table(&rows("samples"), columns));
    }
    if impact.get("confirm").and_then(Value::as_bool).unwrap_or_default() {
        output::say("It has to be confirmed.");
    }
    Ok(())
}
