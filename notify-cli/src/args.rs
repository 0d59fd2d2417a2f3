//! The command line.

use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Notify Studio: events in, alerts out, every decision provable.
#[derive(Debug, Parser)]
#[command(name = "notify", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok, 1 failed, 2 usage, 3 verification failed.")]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    pub output: Format,
    /// Address of the service.
    #[arg(
        long,
        global = true,
        env = "NOTIFY_URL",
        default_value = "http://127.0.0.1:8650",
        hide_env_values = true
    )]
    pub url: String,
    /// Bearer token; better given as NOTIFY_TOKEN, which no process list shows.
    #[arg(long, global = true, env = "NOTIFY_TOKEN", hide_env_values = true)]
    pub token: Option<String>,
    /// `--url` stands on the command line: `webhook verify` then takes it for the receiver's.
    #[arg(skip)]
    pub url_given: bool,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Format {
    #[default]
    Table,
    Json,
    Yaml,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the service.
    Serve(crate::serve::ServeArgs),
    /// Rules: which events alert whom.
    Rule {
        #[command(subcommand)]
        command: RuleCommand,
    },
    /// Channels: where alerts go.
    Channel {
        #[command(subcommand)]
        command: ChannelCommand,
    },
    /// Templates: what alerts say.
    Template {
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Text bundles: translations for templates.
    Bundle {
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Event types: what the data of events must look like.
    EventType {
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Calendars: quiet hours, maintenance, schedules.
    Calendar {
        #[command(subcommand)]
        command: crate::commands::calendars::CalendarCommand,
    },
    /// Contacts: people and groups, and where they are reached.
    Contact {
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Silences: alerts that are not wanted, once or by a calendar.
    Silence {
        #[command(subcommand)]
        command: crate::commands::muting::SilenceCommand,
    },
    /// Overrides: controls that do not stop some alerts for a time.
    Override {
        #[command(subcommand)]
        command: crate::commands::muting::OverrideCommand,
    },
    /// The policy: quiet hours, maintenance and storms of the whole tenant.
    Policy {
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Inhibitions: while one thing is broken, what follows from it is not told.
    Inhibition {
        #[command(subcommand)]
        command: DocumentCommand,
    },
    /// Quarantine: what came from a bus and could not be taken in.
    Quarantine {
        #[command(subcommand)]
        command: QuarantineCommand,
    },
    /// Events: publish and look up.
    Event {
        #[command(subcommand)]
        command: EventCommand,
    },
    /// Deliveries: what was sent, and sending again.
    Delivery {
        #[command(subcommand)]
        command: DeliveryCommand,
    },
    /// Why an event became what it became: sent, not sent, held or collected.
    Why(crate::commands::why::WhyArgs),
    /// Reports about what was decided.
    Report {
        #[command(subcommand)]
        command: crate::commands::why::ReportCommand,
    },
    /// Digests: many alerts as one message.
    Digest {
        #[command(subcommand)]
        command: crate::commands::why::DigestCommand,
    },
    /// Alerts that wait for the end of quiet hours or maintenance.
    Held {
        #[command(subcommand)]
        command: crate::commands::why::HeldCommand,
    },
    /// Standard Webhooks for receivers: listen, check, make secrets.
    Webhook {
        #[command(subcommand)]
        command: crate::commands::webhook::WebhookCommand,
    },
    /// What the service says of itself.
    Service {
        #[command(subcommand)]
        command: ServiceCommand,
    },
    /// Look at a home from all sides and say what to do; works beside a running service.
    Doctor(crate::commands::doctor::DoctorArgs),
    /// Plug-ins of the service.
    Plugin {
        #[command(subcommand)]
        command: PluginCommand,
    },
    /// Tenants of a home (offline).
    Tenant {
        #[command(subcommand)]
        command: TenantCommand,
    },
    /// Access tokens (offline).
    Token {
        #[command(subcommand)]
        command: TokenCommand,
    },
    /// The delivery ledger: read, export, verify.
    Ledger {
        #[command(subcommand)]
        command: LedgerCommand,
    },
    /// The operator's configuration.
    Config {
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Print a completion script.
    Completion { shell: clap_complete::Shell },
    /// Write man pages, one for each command.
    Man {
        /// A folder.
        #[arg(long)]
        out: PathBuf,
    },
}

#[derive(Debug, Clone, Args)]
pub struct Paging {
    /// Most items to print; all pages are followed up to it.
    #[arg(long, default_value_t = 100)]
    pub limit: u32,
}

#[derive(Debug, Subcommand)]
pub enum DocumentCommand {
    /// Current ones, by id.
    List(Paging),
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
        paging: Paging,
    },
    /// Create from a file.
    Create {
        /// YAML or JSON; `-` reads standard input. May be given several times.
        #[arg(short, long, required = true)]
        file: Vec<PathBuf>,
        /// Rules: save it although its own tests fail; the ledger keeps that it was forced.
        #[arg(long)]
        force: bool,
    },
    /// Replace with a new version.
    Replace {
        #[arg(short, long)]
        file: PathBuf,
        /// Only if this version is current; without it, whatever is current when the command starts.
        #[arg(long)]
        version: Option<u64>,
        /// Rules: save it although its own tests fail; the ledger keeps that it was forced.
        #[arg(long)]
        force: bool,
    },
    /// Delete; its versions stay readable.
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

#[derive(Debug, Subcommand)]
pub enum ChannelCommand {
    #[command(flatten)]
    Document(DocumentCommand),
    /// Let a channel send again, such as one that was disabled because its receiver failed.
    Enable { id: String },
    /// Send nothing to a channel.
    Disable { id: String },
    /// Send a test message and wait for its outcome.
    Test {
        id: String,
        /// How long to wait for the first attempt.
        #[arg(long, default_value = "30s", value_parser = crate::duration::parse)]
        wait: std::time::Duration,
    },
    /// Ask whether a channel would work; nothing is sent to people.
    Check { id: String },
    /// Read a channel's secrets anew, such as after a rotation, and retry what waited for them.
    RefreshSecret { id: String },
    /// How channels are: state, breaker, last error, what waits.
    Status {
        /// One channel in detail; without it all of them.
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum RuleCommand {
    #[command(flatten)]
    Document(DocumentCommand),
    /// Let a rule match again.
    Enable {
        id: String,
        /// Although its own tests fail; the ledger keeps that.
        #[arg(long)]
        force: bool,
    },
    /// Have a rule match nothing.
    Disable { id: String },
    /// What an event would cause; nothing is sent or kept.
    Preview {
        /// A rule that need not be saved; without it, all saved rules.
        #[arg(short, long)]
        file: Option<PathBuf>,
        /// The CloudEvent, JSON or YAML.
        #[arg(long)]
        event: PathBuf,
    },
    /// Bring the saved rules in line with files: all of them or none.
    #[command(
        after_help = "Documents of other kinds are passed over. Status 1 when something is refused or not agreed to, 2 when nobody is there to agree; then nothing is \
                      changed. docs/rule-sets.md"
    )]
    Apply(crate::commands::rule_set::ApplyArgs),
    /// Write the saved rules as files, which `apply` finds unchanged.
    Export(crate::commands::rule_set::ExportArgs),
    /// Why a rule matches an event or does not; without a rule: which rules do, and which nearly do.
    Explain(crate::commands::rule_explain::ExplainArgs),
    /// Run the tests that stand in rules; status 1 when one fails.
    Test(crate::commands::rule_test::TestArgs),
    /// Judge patterns and events without a service; status 0 only if every verdict is as expected.
    Eval(crate::commands::rule_eval::EvalArgs),
    /// What is suspicious about rules: contradictions, duplicates, unknown fields, costly patterns (docs/lint.md).
    #[command(
        after_help = "Without files the saved rules are looked at. Status 1 when a finding is an error."
    )]
    Lint(LintArgs),
}

#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// Rule files, or folders that are searched for them, as `rule apply` reads them; `-` reads standard input. No service
    /// is needed.
    pub files: Vec<PathBuf>,
    /// An event-type document that the rules' fields are held against; may be given several times.
    #[arg(long)]
    pub schema: Vec<PathBuf>,
    /// Judge the files as if they were saved among the tenant's rules.
    #[arg(long, conflicts_with = "schema", requires = "files")]
    pub online: bool,
    /// Status 1 for warnings too.
    #[arg(long)]
    pub strict: bool,
}

#[derive(Debug, Subcommand)]
pub enum EventCommand {
    /// Publish CloudEvents; a file holds one or a list of them.
    Publish {
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Hand in an Alertmanager (webhook version 4) or Grafana notification: one event per alert.
    Ingest { file: PathBuf },
    /// Newest first.
    List(Paging),
    /// One event, what was decided about it and what was sent.
    Get { key: String },
}

#[derive(Debug, Subcommand)]
pub enum QuarantineCommand {
    /// Newest first.
    List(Paging),
    /// One message: why it is there, and its body.
    Get { id: String },
    /// Take messages in after all, through the same checks; one that does not pass stays.
    Redrive {
        #[arg(required = true)]
        id: Vec<String>,
    },
    /// Delete messages; the ledger keeps that they were there.
    Delete {
        #[arg(required = true)]
        id: Vec<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum DeliveryCommand {
    /// Newest first.
    List(DeliveryListArgs),
    /// One delivery, its message and attempts.
    Get { id: String },
    /// Send the same message again as a new delivery.
    Replay {
        id: String,
        /// The same key gives the same new delivery.
        #[arg(long)]
        idempotency_key: Option<String>,
    },
    /// Send dead letters again that nobody has replayed, each as a new delivery, at a rate.
    Redrive(RedriveArgs),
}

#[derive(Debug, Clone, Args)]
pub struct DeliveryListArgs {
    #[command(flatten)]
    pub paging: Paging,
    /// scheduled, delivered, accepted, dead or cancelled.
    #[arg(long)]
    pub state: Option<String>,
    #[arg(long)]
    pub rule: Option<String>,
    #[arg(long)]
    pub channel: Option<String>,
    /// Event key.
    #[arg(long)]
    pub event: Option<String>,
    /// Created then or later: a time (RFC 3339), or how long ago (30m, 12h, 7d).
    #[arg(long)]
    pub since: Option<String>,
    /// Created before then.
    #[arg(long)]
    pub until: Option<String>,
    /// Go on and print what changes, until Ctrl-C.
    #[arg(short, long)]
    pub watch: bool,
    /// Time between two looks of `--watch`.
    #[arg(long, default_value = "2s", value_parser = crate::duration::parse)]
    pub interval: std::time::Duration,
}

#[derive(Debug, Clone, Args)]
pub struct RedriveArgs {
    #[arg(long)]
    pub rule: Option<String>,
    #[arg(long)]
    pub channel: Option<String>,
    /// Created then or later: a time (RFC 3339), or how long ago (30m, 12h, 7d).
    #[arg(long)]
    pub since: Option<String>,
    /// Created before then.
    #[arg(long)]
    pub until: Option<String>,
    /// Deliveries a second, 0.01 to 1000; the service's default is 10.
    #[arg(long)]
    pub rate: Option<f64>,
    /// Only say what would be sent.
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Whether the process answers.
    Health,
    /// Whether traffic should go there now; status 1 when not.
    Ready,
    /// Metrics in Prometheus text format.
    Metrics,
    /// The API's description (OpenAPI).
    Openapi,
}

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    /// All of them, also those that were refused.
    List,
}

#[derive(Debug, Clone, Args)]
pub struct HomeArgs {
    /// The home of the service.
    #[arg(long, env = "NOTIFY_HOME")]
    pub home: PathBuf,
    /// Configuration in place of `<home>/notify.toml`.
    #[arg(long)]
    pub config: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant and its ledger. The service must not run on this home (SQLite).
    Create {
        /// 1 to 64 characters from a-z, 0-9 and `-`.
        id: String,
        /// For people.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        home: HomeArgs,
    },
    /// All tenants of a home. The service must not run on it (SQLite).
    List {
        #[command(flatten)]
        home: HomeArgs,
    },
}

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Sign a token with the home's key and print it.
    Issue {
        #[command(flatten)]
        home: HomeArgs,
        #[arg(long)]
        tenant: String,
        /// notify.viewer, notify.operator, notify.admin, notify.auditor or notify.publish; may be given several times.
        #[arg(long, required = true, value_delimiter = ',')]
        scope: Vec<String>,
        /// How long it is good for, such as 30m, 12h or 90d.
        #[arg(long, default_value = "1h", value_parser = crate::duration::parse)]
        ttl: std::time::Duration,
        /// Who or what it is for; stands in the ledger as a commitment.
        #[arg(long, default_value = "cli")]
        subject: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum LedgerCommand {
    /// The signed head.
    Head,
    /// Entries in order.
    Entries {
        #[arg(long, default_value_t = 0)]
        from: u64,
        #[arg(long, default_value_t = 50)]
        limit: u32,
    },
    /// Export into a folder or a tar.
    Export {
        /// A new or empty folder, or a file that ends in `.tar`.
        #[arg(long)]
        out: PathBuf,
        #[arg(long, default_value_t = 0)]
        from: u64,
        /// With the contents behind the commitments.
        #[arg(long)]
        openings: bool,
        /// Also write an inclusion proof for this entry; may be given several times.
        #[arg(long)]
        proof: Vec<u64>,
        /// A checkpoint you hold: the export proves that it extends that one.
        #[arg(long)]
        prev: Option<PathBuf>,
    },
    /// Verify an export; needs no service and no network.
    Verify {
        /// Folder or tar.
        export: PathBuf,
        /// Folder with `policy` and `keys.json`, got apart from the export.
        #[arg(long)]
        trust: PathBuf,
        /// Check the tree only, not the signatures of single entries; the result says so.
        #[arg(long)]
        tree_only: bool,
        /// Accept an export of some entries; the result says that completeness is not proven.
        #[arg(long)]
        filtered: bool,
        /// The checkpoint you hold from before: the new one must extend it.
        #[arg(long)]
        prev: Option<PathBuf>,
    },
    /// Write what an auditor must trust (`policy`, `keys.json`) to a folder. Hand it over apart from exports.
    Trust {
        #[command(flatten)]
        home: HomeArgs,
        #[arg(long)]
        out: PathBuf,
        /// Needed where the home has several tenants.
        #[arg(long)]
        tenant: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Each value and where it came from.
    Explain {
        #[command(flatten)]
        home: HomeArgs,
    },
    /// The documented defaults.
    Defaults,
}
