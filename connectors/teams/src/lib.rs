//! The Microsoft Teams connector: an Adaptive Card 1.2 to a Workflows webhook.
//!
//! # How a card looks
//! A container across the card in the colour of the severity, with the title and the severity in words; then the
//! summary, the body, fields, a small line of context, and buttons. Version 1.2 because higher ones have been refused
//! (msteams-docs#11222), and only elements that Teams documents for cards that come in through webhooks:
//! `Action.OpenUrl` is the only action.
//!
//! # Why event data stays text
//! A `TextBlock` does Markdown, and each client of Teams another subset of it, so escaping cannot be right everywhere.
//! Texts therefore are `TextRun`s in `RichTextBlock`s, which have no markup: bold or a link is said beside the text.
//! Cards know `{{DATE(…)}}` even there; the braces are put into two runs. A `FactSet` does Markdown, too: it is used when
//! no name and no value has a character that could mean anything; otherwise the fields are columns of text runs.
//!
//! # Size
//! Teams refuses messages above 28 KiB *as it renders them*: a body of 24,453 bytes was measured as 28,897
//! (msteams-docs#11274). The request is kept below [`card::TOTAL`] bytes, counted with everything outside ASCII and what
//! HTML knows as `\uXXXX`, which is how .NET writes JSON. What is too long is cut at a word, with a button to the whole
//! alert.
//!
//! # How answers are read
//! `answer.rs` has the table; `docs/teams.md` shows it. 202 is *accepted*: the workflow posts after it has answered.

#![forbid(unsafe_code)]

mod answer;
mod card;
mod fields;
mod runs;
mod text;

use notify_connector_sdk::{
    Codec, ConfigProblem, Json, Log, Part, PreparedRequest, Refusal, Response, Send, Verdict,
};
use serde::Deserialize;
use std::borrow::Cow;

const URL: &str = "url";

/// The channel's configuration (`configSchema` in `notify-plugin.json`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config<'a> {
    #[serde(borrow, default)]
    url: Option<Cow<'a, str>>,
    #[serde(default)]
    full_width: Option<bool>,
}

/// Whether the address is that of an Office 365 connector.
fn is_legacy(url: &str) -> bool {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default().to_ascii_lowercase();
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host.split(':').next().unwrap_or_default().trim_end_matches('.');
    ["webhook.office.com", "outlook.office.com", "outlook.office365.com"]
        .iter()
        .any(|old| host.strip_suffix(old).is_some_and(|before| before.is_empty() || before.ends_with('.')))
}

impl Config<'_> {
    fn problem(&self) -> Option<ConfigProblem> {
        let url = self.url.as_deref()?;
        let problem = |reason: &str, fix: &str| {
            Some(ConfigProblem { path: "/url".to_owned(), reason: reason.to_owned(), fix: fix.to_owned() })
        };
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return problem("the URL is neither https nor http", "give the whole address, with https://");
        }
        if is_legacy(url) {
            return problem(
                "this is the address of an Office 365 connector, which Microsoft has retired",
                "in Teams, open the channel's Workflows, take `Post to a channel when a webhook request is received`, and put the address that it shows into the secret `url`",
            );
        }
        if url.contains("?sig=") || url.contains("&sig=") {
            return problem(
                "the address carries a key, and the configuration can be read by many",
                "put it into the secret `url`",
            );
        }
        None
    }
}

struct Teams;

impl Codec for Teams {
    const MANIFEST: &'static str = include_str!("../notify-plugin.json");

    fn create(_options: &[u8], _log: Log) -> Result<Self, String> {
        Ok(Self)
    }

    fn validate(_channel_type: &str, config_json: &[u8]) -> Vec<ConfigProblem> {
        match serde_json::from_slice::<Config<'_>>(config_json) {
            Ok(config) => config.problem().into_iter().collect(),
            Err(error) => vec![ConfigProblem {
                path: String::new(),
                reason: error.to_string(),
                fix: "see the connector's configSchema".to_owned(),
            }],
        }
    }

    fn prepare(&self, send: &Send<'_>) -> Result<PreparedRequest, Refusal> {
        let config: Config<'_> = send.config()?;
        if let Some(problem) = config.problem() {
            return Err(Refusal::bad_config(format!(
                "{}: {}; {}",
                problem.path, problem.reason, problem.fix
            )));
        }
        if send.check {
            return Err(Refusal::permanent(
                "a workflow cannot be checked without posting: send a test message instead",
            ));
        }
        let url = match (config.url, send.has_secret(URL)) {
            (None, true) => Part::secret(URL),
            (Some(url), false) => Part::text(url),
            (Some(_), true) => {
                return Err(Refusal::bad_config(
                    "/url: the channel has both `url` and the secret `url`; keep the secret",
                ));
            }
            (None, false) => {
                return Err(Refusal::bad_config(
                    "the channel has no address: add the secret `url` with the one that the workflow shows",
                ));
            }
        };
        let message = send.message()?;
        let mut json = Json::with_capacity(4096);
        let full_width = config.full_width.unwrap_or(true);
        card::write(&mut json, &message, send.phase, full_width, send.has_secret(card::ALERT_URL));
        let mut request =
            PreparedRequest::post(vec![url]).header("content-type", "application/json; charset=utf-8");
        request.body = json.into_parts();
        Ok(request)
    }

    fn interpret(&self, response: &Response<'_>) -> Verdict {
        answer::interpret(response)
    }
}

notify_connector_sdk::export_codec!(Teams);

#[cfg(test)]
mod tests;
