//! The Slack connector: Block Kit through an incoming webhook or through the Web API.
//!
//! # How a message looks
//! A `header` block with a coloured dot and the title, which is also all that a phone's notification shows; below it an
//! attachment whose bar has the colour of the severity. The bar is the one thing that only attachments can do; the dot
//! says the same to people who cannot tell the colours apart, and in lists of threads, where no bar is shown. In the
//! attachment: the summary, the body, fields, buttons, and a line of context.
//!
//! # Why event data stays text
//! - Values stand in `plain_text` objects with `emoji: false` and in `rich_text` elements, which have no markup at all:
//!   what is bold or a link says so beside the text, not in it.
//! - The one `mrkdwn` object is a short field's `*name*` and value, and only when neither has a character that could
//!   mean anything there; every other field is `plain_text` without the bold name.
//! - `&`, `<` and `>` are written as entities everywhere, as Slack asks, so no `<!channel>`, `<@U…>` or `<url|text>` can
//!   appear in any place, whatever Slack does there. `text` has `mrkdwn: false`, and neither names nor links are expanded.
//!
//! # Size
//! Slack refuses messages by a total that it does not document. People measured about 13,200 characters of text and
//! 11,300 with much structure (bolt-js#2509, #2867): so all blocks together are kept below [`layout::TOTAL`] characters
//! of JSON, counted in its longest spelling. What is too long is cut at a word, with a button to the whole alert.
//!
//! # How answers are read
//! `answer.rs` has the table; `docs/slack.md` shows it.

#![forbid(unsafe_code)]

mod answer;
mod layout;
mod links;
mod rich;
mod text;

use notify_connector_sdk::{
    Auth, Codec, ConfigProblem, Json, Log, Part, Phase, PreparedRequest, Refusal, Response, Send, Verdict,
};
use serde::Deserialize;
use std::borrow::Cow;

const URL: &str = "url";
const TOKEN: &str = "token";
const API: &str = "https://slack.com/api";

/// The channel's configuration (`configSchema` in `notify-plugin.json`).
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Config<'a> {
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    api_url: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    username: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    icon_emoji: Option<Cow<'a, str>>,
    #[serde(default)]
    on_resolve: OnResolve,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnResolve {
    #[default]
    Reply,
    Broadcast,
    Update,
}

impl Config<'_> {
    fn problem(&self) -> Option<ConfigProblem> {
        let url = self.api_url.as_deref().unwrap_or(API);
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Some(ConfigProblem {
                path: "/apiUrl".to_owned(),
                reason: "the URL is neither https nor http".to_owned(),
                fix: "leave it out, or give the whole address, with https://".to_owned(),
            });
        }
        let needs_token = [
            ("/username", self.username.is_some()),
            ("/iconEmoji", self.icon_emoji.is_some()),
            ("/apiUrl", self.api_url.is_some()),
        ];
        let found = needs_token.iter().find(|(_, given)| *given && self.channel.is_none())?;
        Some(ConfigProblem {
            path: found.0.to_owned(),
            reason: "an incoming webhook has its own name, picture and address".to_owned(),
            fix: "remove it, or use a bot token and `channel`".to_owned(),
        })
    }

    fn api(&self, method: &str) -> Vec<Part> {
        vec![Part::text(format!("{}/{method}", self.api_url.as_deref().unwrap_or(API)))]
    }
}

/// What Slack calls a message: the id of the conversation and the message's time in it.
#[derive(Debug, PartialEq, Eq, Deserialize, serde::Serialize)]
struct Reference<'a> {
    #[serde(borrow)]
    channel: Cow<'a, str>,
    #[serde(borrow)]
    ts: Cow<'a, str>,
}

impl<'a> Reference<'a> {
    /// Only what can be one: it goes into a request again.
    fn read(text: &'a str) -> Option<Self> {
        let reference: Self = serde_json::from_str(text).ok()?;
        let id = |b: u8| b.is_ascii_alphanumeric();
        let ts = |b: u8| b.is_ascii_digit() || b == b'.';
        let fine = !reference.channel.is_empty()
            && reference.channel.bytes().all(id)
            && !reference.ts.is_empty()
            && reference.ts.bytes().all(ts)
            && reference.channel.len() + reference.ts.len() <= 128;
        fine.then_some(reference)
    }

    /// Whether it is a message of the conversation that the channel is configured for. Names cannot be compared with ids.
    fn is_in(&self, channel: &str) -> bool {
        let is_id =
            channel.len() >= 7 && channel.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit());
        !is_id || channel == self.channel
    }
}

/// Which of Slack's ways the channel uses.
fn is_api(config: &Config<'_>, send: &Send<'_>) -> Result<bool, Refusal> {
    if let Some(problem) = config.problem() {
        return Err(Refusal::bad_config(format!("{}: {}; {}", problem.path, problem.reason, problem.fix)));
    }
    match (send.has_secret(URL), send.has_secret(TOKEN), config.channel.is_some()) {
        (true, false, false) => Ok(false),
        (false, true, true) => Ok(true),
        (true, true, _) => Err(Refusal::bad_config(
            "the channel has both the secrets `url` and `token`; keep `url` for an incoming webhook, or `token` with `channel`",
        )),
        (true, false, true) => Err(Refusal::bad_config(
            "/channel: an incoming webhook always posts to its own channel; remove `channel`, or use a bot token",
        )),
        (false, true, false) => {
            Err(Refusal::bad_config("/channel: a bot token does not say where to post; add `channel`"))
        }
        (false, false, _) => Err(Refusal::bad_config(
            "the channel has neither the secret `url` (incoming webhook) nor `token` (bot token); add one",
        )),
    }
}

struct Slack;

impl Codec for Slack {
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
        let api = is_api(&config, send)?;
        let bearer = || Auth::Bearer { secret: TOKEN.to_owned() };
        if send.check {
            if !api {
                return Err(Refusal::permanent(
                    "an incoming webhook cannot be checked without posting: send a test message instead",
                ));
            }
            return Ok(PreparedRequest::post(config.api("auth.test")).json("{}").auth(bearer()));
        }
        let message = send.message()?;
        let mut json = Json::with_capacity(4096);
        json.open();
        let mut method = "chat.postMessage";
        if api {
            let reference = send.provider_reference.and_then(Reference::read);
            let channel = config.channel.as_deref().unwrap_or_default();
            let reference = reference.filter(|reference| reference.is_in(channel));
            let later = matches!(send.phase, Phase::Update | Phase::Resolve);
            match reference.filter(|_| later) {
                Some(reference) => {
                    json.pair("channel", &reference.channel);
                    if send.phase == Phase::Resolve && config.on_resolve == OnResolve::Update {
                        method = "chat.update";
                        json.pair("ts", &reference.ts);
                    } else {
                        json.pair("thread_ts", &reference.ts);
                        if send.phase == Phase::Resolve && config.on_resolve == OnResolve::Broadcast {
                            json.key("reply_broadcast");
                            json.raw("true");
                        }
                    }
                }
                None => json.pair("channel", channel),
            }
            if method == "chat.postMessage" {
                for (key, value) in [("username", &config.username), ("icon_emoji", &config.icon_emoji)] {
                    if let Some(value) = value {
                        json.pair(key, value);
                    }
                }
            }
        }
        layout::write(&mut json, &message, send.phase, send.has_secret(layout::ALERT_URL));
        if method == "chat.postMessage" {
            for (key, value) in [("mrkdwn", "false"), ("unfurl_links", "false"), ("unfurl_media", "false")] {
                json.key(key);
                json.raw(value);
            }
        }
        json.key("link_names");
        json.raw("false");
        json.pair("parse", "none");
        json.close();
        let (url, auth) =
            if api { (config.api(method), bearer()) } else { (vec![Part::secret(URL)], Auth::None) };
        let mut request =
            PreparedRequest::post(url).header("content-type", "application/json; charset=utf-8").auth(auth);
        request.body = json.into_parts();
        Ok(request)
    }

    fn interpret(&self, response: &Response<'_>) -> Verdict {
        answer::interpret(response)
    }
}

notify_connector_sdk::export_codec!(Slack);

#[cfg(test)]
mod tests;
