//! What Slack's answers mean. The Web API answers HTTP 200 with `{"ok":false,"error":"…"}`; incoming webhooks answer a
//! word of text. Both use the same words, so there is one table.

use crate::Reference;
use notify_connector_sdk::http::shown;
use notify_connector_sdk::{Response, Verdict, VerdictCode};
use serde::Deserialize;
use std::borrow::Cow;

/// How much of Slack's own words goes into a detail, in characters.
const SAID: usize = 120;

/// Slack's word, what it means here, and what a person does about it.
const TABLE: &[(&str, VerdictCode, &str)] = {
    use VerdictCode::{BadConfig, Gone, Permanent, Retry, Throttled};
    &[
        ("ratelimited", Throttled, "Slack asks to slow down"),
        ("rate_limited", Throttled, "Slack asks to slow down"),
        ("message_limit_exceeded", Throttled, "the workspace has reached its limit of messages"),
        ("internal_error", Retry, "Slack failed"),
        ("fatal_error", Retry, "Slack failed"),
        ("service_unavailable", Retry, "Slack is not available"),
        ("request_timeout", Retry, "Slack did not get the whole request"),
        ("rollup_error", Retry, "Slack failed"),
        ("team_added_to_org", Retry, "the workspace is being moved"),
        ("org_login_required", Retry, "the workspace is being moved"),
        ("external_channel_migrating", Retry, "the conversation is being moved"),
        ("no_service", Gone, "the incoming webhook was removed or disabled"),
        ("no_service_id", Gone, "the incoming webhook was removed or disabled"),
        ("no_active_hooks", Gone, "the incoming webhook was removed or disabled"),
        ("no_team", Gone, "the workspace does not exist any more"),
        ("team_disabled", Gone, "the workspace is disabled"),
        ("channel_is_archived", Gone, "the conversation is archived; unarchive it, then enable the channel"),
        ("is_archived", Gone, "the conversation is archived; unarchive it, then enable the channel"),
        ("channel_not_found", BadConfig, "check `channel`, and invite the app into a private conversation"),
        ("not_in_channel", BadConfig, "invite the app into the conversation: /invite @app"),
        ("user_not_found", BadConfig, "check `channel`"),
        ("invalid_auth", BadConfig, "the token is not valid; replace the secret"),
        ("not_authed", BadConfig, "Slack saw no token; replace the secret"),
        ("invalid_token", BadConfig, "the webhook's URL is not valid; replace the secret"),
        ("token_revoked", BadConfig, "the token was revoked; install the app again and replace the secret"),
        ("token_expired", BadConfig, "the token has expired; use one without rotation"),
        ("account_inactive", BadConfig, "the app was removed from the workspace; install it again"),
        ("not_allowed_token_type", BadConfig, "use a bot token, xoxb-…"),
        (
            "missing_scope",
            BadConfig,
            "give the app the scope chat:write (and chat:write.customize for a name)",
        ),
        ("no_permission", BadConfig, "the app may not post there"),
        ("access_denied", BadConfig, "the app may not post there"),
        ("ekm_access_denied", BadConfig, "the workspace's administrators have suspended posting"),
        ("accesslimited", BadConfig, "the workspace limits the addresses that may call it"),
        ("action_prohibited", BadConfig, "the workspace's administrators restrict posting there"),
        ("restricted_action", BadConfig, "the workspace's administrators restrict posting there"),
        ("restricted_action_read_only_channel", BadConfig, "nobody may post into a read-only conversation"),
        ("restricted_action_thread_only_channel", BadConfig, "only threads may be written there"),
        ("restricted_action_non_threadable_channel", BadConfig, "threads cannot be written there"),
        ("posting_to_general_channel_denied", BadConfig, "the app may not post to #general"),
        ("team_access_not_granted", BadConfig, "the app is not installed in this workspace"),
        ("enterprise_is_restricted", BadConfig, "use a token of the workspace, not of the organisation"),
        ("msg_too_long", Permanent, "Slack finds the message too long"),
        ("msg_blocks_too_long", Permanent, "Slack finds the message too long"),
        ("no_text", Permanent, "Slack found nothing in the message"),
        ("invalid_blocks", Permanent, "Slack does not take the message's blocks"),
        ("invalid_blocks_format", Permanent, "Slack does not take the message's blocks"),
        ("too_many_attachments", Permanent, "Slack finds too many attachments"),
        ("invalid_attachments", Permanent, "Slack does not take the message's attachments"),
        ("invalid_payload", Permanent, "Slack could not read the request"),
        ("invalid_arguments", Permanent, "Slack could not read the request"),
        ("invalid_arg_name", Permanent, "Slack could not read the request"),
        ("invalid_json", Permanent, "Slack could not read the request"),
        ("json_not_object", Permanent, "Slack could not read the request"),
        ("invalid_post_type", Permanent, "Slack could not read the request"),
        ("thread_not_found", Retry, "the thread's first message was deleted; it goes out as a new message"),
        ("message_not_found", Retry, "the message to change was deleted; it goes out as a new message"),
        ("cant_update_message", Retry, "the message belongs to another app; it goes out as a new message"),
        ("edit_window_closed", Retry, "the message is too old to be changed; it goes out as a new message"),
        ("cannot_reply_to_message", Retry, "this message cannot have a thread; it goes out as a new message"),
    ]
};

/// Words that say that the message of the reference is of no use: the next attempt is to have none.
const NO_REFERENCE: [&str; 5] = [
    "thread_not_found",
    "message_not_found",
    "cant_update_message",
    "edit_window_closed",
    "cannot_reply_to_message",
];

/// What stands for none: a stored reference can be replaced, but not taken away ([`Reference::read`] finds nothing in it).
const NONE: &str = "{}";

#[derive(Deserialize)]
struct Answer<'a> {
    ok: bool,
    #[serde(borrow, default)]
    error: Option<Cow<'a, str>>,
    #[serde(default)]
    retry_after: Option<f64>,
    #[serde(borrow, default)]
    needed: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    channel: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    ts: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    message: Option<Posted<'a>>,
    #[serde(borrow, default)]
    team: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    user: Option<Cow<'a, str>>,
}

/// The message as it was posted: of a reply, the thread is what later messages need.
#[derive(Deserialize)]
struct Posted<'a> {
    #[serde(borrow, default)]
    thread_ts: Option<Cow<'a, str>>,
}

pub(crate) fn interpret(response: &Response<'_>) -> Verdict {
    let answer = serde_json::from_slice::<Answer<'_>>(response.body).ok();
    let after = || {
        let said = answer.as_ref().and_then(|answer| answer.retry_after);
        let body = said.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        // As a cast saturates, the header's own upper limit holds for the body, too.
        response.retry_after_ms().or_else(|| {
            body.map(|seconds| ((seconds * 1000.0) as u64).min(notify_connector_sdk::http::MAX_WAIT_MS))
        })
    };
    if response.status == 429 {
        return Verdict::throttled(after(), "Slack answered 429: it asks to slow down");
    }
    if let Some(answer) = &answer {
        return if answer.ok && (200..300).contains(&response.status) {
            accepted(answer, response.check)
        } else if answer.ok {
            other(response, after())
        } else {
            let word = answer.error.as_deref().unwrap_or_default();
            let mut verdict = of_word(word, after()).unwrap_or_else(|| other(response, after()));
            if let Some(needed) = &answer.needed {
                verdict.detail.push_str("; it needs ");
                verdict.detail.push_str(&shown(needed.as_bytes(), SAID));
            }
            verdict
        };
    }
    let text = response.body.get(..response.body.len().min(512)).unwrap_or_default();
    let word = std::str::from_utf8(text).unwrap_or_default().trim();
    match response.status {
        // `ok` is Slack's, an empty body that of services that imitate it.
        200..=299 if !response.check && (word == "ok" || word.is_empty()) => Verdict::delivered(),
        _ => of_word(word, after()).unwrap_or_else(|| other(response, after())),
    }
}

fn accepted(answer: &Answer<'_>, check: bool) -> Verdict {
    if check {
        let name = |text: &Option<Cow<'_, str>>| shown(text.as_deref().unwrap_or("?").as_bytes(), SAID);
        let detail = format!("the token is valid: {} in {}", name(&answer.user), name(&answer.team));
        return Verdict { detail, ..Verdict::delivered() };
    }
    let thread = answer.message.as_ref().and_then(|message| message.thread_ts.as_deref());
    let (Some(channel), Some(ts)) = (answer.channel.as_deref(), thread.or(answer.ts.as_deref())) else {
        return Verdict::delivered();
    };
    let text =
        serde_json::to_string(&Reference { channel: channel.into(), ts: ts.into() }).unwrap_or_default();
    if Reference::read(&text).is_none() {
        return Verdict::delivered();
    }
    Verdict::delivered().reference(text)
}

fn of_word(word: &str, after: Option<u64>) -> Option<Verdict> {
    // `invalid_blocks: …` and the like: what follows the word is for people.
    let key = word.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default();
    let (word, code, hint) = TABLE.iter().find(|(known, ..)| *known == key)?;
    let mut verdict = Verdict::new(*code, format!("Slack answered `{word}`: {hint}"));
    if matches!(code, VerdictCode::Throttled | VerdictCode::Retry) {
        verdict.retry_after_ms = after;
    }
    Some(if NO_REFERENCE.contains(word) { verdict.reference(NONE) } else { verdict })
}

/// What the table does not know: by the status. An answer that is not Slack's is tried again, for something in between
/// may have answered.
fn other(response: &Response<'_>, after: Option<u64>) -> Verdict {
    let said = shown(response.body, SAID);
    let colon = if said.is_empty() { "" } else { ": " };
    let detail = format!("Slack answered {}{colon}{said}", response.status);
    match response.status {
        300..=399 => Verdict::permanent(format!("{detail} (a redirect, which is not followed)")),
        401 | 403 => Verdict::bad_config(detail),
        404 => Verdict::bad_config(format!("{detail} (check the URL)")),
        410 => Verdict::gone(detail),
        400 | 413 => Verdict::permanent(detail),
        502..=504 => Verdict::throttled(after, detail),
        _ => Verdict::retry(after, detail),
    }
}
