//! `notify webhook`: for those who receive what the studio sends.

mod listen;
mod probe;
mod wire;

use crate::args::Global;
use crate::failure::Failure;
use crate::output;
use clap::{Args, Subcommand, ValueEnum};
use notify_connector_host::signing::{SigningKey, VerifyingKey};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::time::Duration;

/// Standard Webhooks for receivers: try out, check, make secrets.
#[derive(Debug, Subcommand)]
pub enum WebhookCommand {
    /// A local receiver that verifies each delivery and prints it.
    Listen(ListenArgs),
    /// Check a receiver: connection, TLS, and what it does with right and with wrong deliveries.
    ///
    /// It connects to the address you name, whatever it is: you ask for it, so the service's egress policy does not
    /// apply. The test deliveries are of type `notify.test` and hold no data.
    Verify(VerifyArgs),
    /// Make a new signing secret.
    Secret {
        /// `v1`: one secret for both sides (HMAC). `v1a`: a private key and a public one (Ed25519).
        #[arg(long, value_enum, default_value_t = Scheme::V1)]
        scheme: Scheme,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scheme {
    V1,
    V1a,
}

#[derive(Debug, Clone, Args)]
pub struct ListenArgs {
    /// Port; 0 takes a free one.
    #[arg(long, default_value_t = 9650)]
    pub port: u16,
    /// Address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub bind: IpAddr,
    #[command(flatten)]
    pub keys: Keys,
    /// Answer this status instead of 200, to see what the service does.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    pub status: u16,
    /// Answer only the first N deliveries with `--status` (503 when that is not given), the rest with 200.
    #[arg(long)]
    pub fail: Option<u64>,
    /// Send `Retry-After` with errors.
    #[arg(long, value_parser = crate::duration::parse)]
    pub retry_after: Option<Duration>,
    /// Wait this long before each answer.
    #[arg(long, value_parser = crate::duration::parse)]
    pub delay: Option<Duration>,
    /// End after this many deliveries.
    #[arg(long)]
    pub count: Option<u64>,
    /// Print whole bodies.
    #[arg(long)]
    pub body: bool,
}

#[derive(Debug, Clone, Args)]
pub struct Keys {
    /// `whsec_…` or, for `v1a`, `whpk_…`; several during a rotation. Better given as NOTIFY_WEBHOOK_SECRET or in a
    /// file: process lists show arguments.
    #[arg(long, env = "NOTIFY_WEBHOOK_SECRET", hide_env_values = true, value_delimiter = ',')]
    pub secret: Vec<String>,
    /// Files with one secret each.
    #[arg(long)]
    pub secret_file: Vec<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct VerifyArgs {
    /// The receiver; `--url` does as well.
    pub receiver: Option<String>,
    /// The secret that the receiver knows, `whsec_…`; `whsk_…` where it knows the public key.
    #[command(flatten)]
    pub keys: Keys,
    /// Another header, `Name: value`; may be given several times.
    #[arg(long)]
    pub header: Vec<String>,
    /// Certificates (PEM) to trust besides the system's.
    #[arg(long)]
    pub ca: Option<PathBuf>,
    /// For each step.
    #[arg(long, default_value = "15s", value_parser = crate::duration::parse)]
    pub timeout: Duration,
}

impl Keys {
    fn texts(&self) -> Result<Vec<String>, Failure> {
        let mut texts: Vec<String> = self.secret.iter().filter(|text| !text.is_empty()).cloned().collect();
        for file in &self.secret_file {
            texts.push(String::from_utf8_lossy(&crate::files::read(file)?).trim().to_owned());
        }
        Ok(texts)
    }

    /// To check signatures with. A private key is taken for its public half.
    fn verifying(&self) -> Result<Vec<VerifyingKey>, Failure> {
        let parse = |text: &String| match SigningKey::parse(text) {
            Ok(key) => Ok(key.verifying_key()),
            Err(_) => VerifyingKey::parse(text)
                .map_err(|error| Failure::usage(error.to_string(), "`notify webhook secret` makes one")),
        };
        self.texts()?.iter().map(parse).collect()
    }

    /// To sign with.
    fn signing(&self) -> Result<Vec<SigningKey>, Failure> {
        let parse = |text: &String| {
            SigningKey::parse(text).map_err(|error| {
                Failure::usage(error.to_string(), "give the secret that the channel signs with")
            })
        };
        self.texts()?.iter().map(parse).collect()
    }
}

pub async fn run(global: &Global, command: WebhookCommand) -> Result<(), Failure> {
    match command {
        WebhookCommand::Listen(args) => listen::run(global.output, &args).await,
        WebhookCommand::Verify(args) => {
            let url = args.receiver.clone().or_else(|| global.url_given.then(|| global.url.clone()));
            let url = url.ok_or_else(|| {
                Failure::usage("no receiver is named", "notify webhook verify --url https://example.com/hook")
            })?;
            probe::run(global.output, &url, &args).await
        }
        WebhookCommand::Secret { scheme } => secret(global, scheme),
    }
}

fn secret(global: &Global, scheme: Scheme) -> Result<(), Failure> {
    use base64::Engine as _;
    let bytes = crate::home::random()?;
    let prefix = if scheme == Scheme::V1 { "whsec_" } else { "whsk_" };
    let secret = format!("{prefix}{}", base64::engine::general_purpose::STANDARD.encode(bytes));
    let public = SigningKey::parse(&secret).ok().and_then(|key| key.public_text());
    match global.output {
        crate::args::Format::Table => {
            output::say(&secret);
            if let Some(public) = &public {
                // The secret alone goes to standard output, so that it can be redirected into a file.
                eprintln!("for receivers: {public}");
            }
        }
        format => output::structured(format, &serde_json::json!({ "secret": secret, "public": public })),
    }
    Ok(())
}
