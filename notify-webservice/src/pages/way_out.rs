//! `/u/{token}`: how a recipient leaves a channel, and comes back. One-click as RFC 8058 has it: mail programs post
//! without cookies and login; a GET, which scanners of links make too, only asks.

use super::paper::{note, note_with};
use super::words::Words;
use crate::app::{Answer, Call};
use crate::opt_outs::{self, Direction};
use axum::response::Response;
use http::StatusCode;
use notify_core::document::{Channel, Kind};
use notify_core::links::{WayOut, lower_case};
use notify_core::problem::Problem;
use serde_json::Value;

/// `GET /u/{token}`: asks; nothing is changed.
pub async fn page(call: Call) -> Answer {
    let words = call.words();
    if !call.may_look() {
        return Ok(note(words, StatusCode::TOO_MANY_REQUESTS, words.too_many));
    }
    Ok(match recipient(&call, words).await {
        Err(note) => note,
        Ok(Recipient { out: true, .. }) => is_out(words),
        Ok(Recipient { out: false, .. }) => note_with(words, StatusCode::OK, words.ask, |paper| {
            paper.button("unsubscribe", words.unsubscribe);
        }),
    })
}

/// `POST /u/{token}`. How often is counted before the form is read, by [`super::Pages::admits_form`].
pub async fn act(call: Call) -> Answer {
    let words = call.words();
    let found = match recipient(&call, words).await {
        Ok(found) => found,
        // A link of ours for somebody who is not on the list may be made up: the client is counted then.
        Err(told) if told.status() == StatusCode::OK && !call.may_look() => {
            return Ok(note(words, StatusCode::TOO_MANY_REQUESTS, words.too_many));
        }
        Err(told) => return Ok(told),
    };
    let Some(direction) = direction(&call) else {
        return Ok(note(words, StatusCode::BAD_REQUEST, words.bad_form));
    };
    let changes = found.out != (direction == Direction::Out);
    let now = call.app.clock.now();
    let out = direction == Direction::Out;
    if changes && !call.app.pages.gate.admits_change(&found.way, &found.address, out, now) {
        return Ok(note(words, StatusCode::TOO_MANY_REQUESTS, words.too_often));
    }
    if changes && let Err(problem) = change(&call, &found, direction).await {
        tracing::warn!(request = call.request, %problem, "an opt-out could not be written");
        return Ok(note(words, StatusCode::SERVICE_UNAVAILABLE, words.broken));
    }
    Ok(match direction {
        Direction::Out => is_out(words),
        Direction::Back => note(words, StatusCode::OK, words.back),
    })
}

fn is_out(words: &Words) -> Response {
    note_with(words, StatusCode::OK, words.out, |paper| {
        paper.button("resubscribe", words.resubscribe);
    })
}

/// Whom the link is of, and how they stand.
struct Recipient {
    way: WayOut,
    address: String,
    out: bool,
}

async fn recipient(call: &Call, words: &Words) -> Result<Recipient, Response> {
    let broken = |error: notify_store::StoreError| {
        tracing::error!(request = call.request, %error, "the channel of a link could not be read");
        note(words, StatusCode::SERVICE_UNAVAILABLE, words.broken)
    };
    let unknown = || note(words, StatusCode::NOT_FOUND, words.unknown);
    let way = call.app.pages.keys.open_way_out(call.param("token")).map_err(|_| unknown())?;
    let (store, tenant) = (&call.app.store, &way.tenant);
    let document = store.document(tenant, Kind::Channel, way.channel.as_str(), None).await.map_err(broken)?;
    let document = document.filter(|document| !document.deleted);
    let channel = document.and_then(|document| serde_json::from_str::<Channel>(&document.body).ok());
    let listed = channel.as_ref().map(recipients).unwrap_or_default();
    let address = listed.into_iter().find(|address| way.is_of(address));
    // Who is on the list no longer gets nothing; that is what the link is for.
    let Some(address) = address else { return Err(note(words, StatusCode::OK, words.not_listed)) };
    let out = store.opt_out(tenant, &way.channel, &address).await.map_err(broken)?.is_some();
    Ok(Recipient { way, address, out })
}

async fn change(call: &Call, found: &Recipient, direction: Direction) -> Result<(), Problem> {
    let WayOut { tenant, channel, .. } = &found.way;
    opt_outs::change(call, tenant, channel, &found.address, direction, opt_outs::BY_LINK).await
}

/// The addresses of a channel, lower case, without the names before them.
pub fn recipients(channel: &Channel) -> Vec<String> {
    let bare = |text: &str| match text.rsplit_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        Some((address, _)) => lower_case(address),
        None => lower_case(text),
    };
    match channel.config.get("to") {
        Some(Value::String(one)) => vec![bare(one)],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).map(bare).collect(),
        _ => Vec::new(),
    }
}

/// What a form asks for: RFC 8058 wants multipart forms too, and a mail program sends nothing else in either.
fn direction(call: &Call) -> Option<Direction> {
    let body = &call.body;
    let of = |name: &str, value: &str| match (name, value) {
        ("List-Unsubscribe", "One-Click") | ("action", "unsubscribe") => Some(Direction::Out),
        ("action", "resubscribe") => Some(Direction::Back),
        _ => None,
    };
    match call.media_type().as_str() {
        "application/x-www-form-urlencoded" => {
            url::form_urlencoded::parse(body).find_map(|(name, value)| of(&name, &value))
        }
        "multipart/form-data" => {
            let text = String::from_utf8_lossy(body).replace("\r\n", "\n");
            let mut parts = text.split("\n\n");
            let head = parts.next()?;
            let value = parts.next()?.lines().next()?;
            let named = |name: &str| {
                head.contains(&format!("name=\"{name}\"")) || head.contains(&format!("name={name}"))
            };
            ["List-Unsubscribe", "action"]
                .into_iter()
                .find(|name| named(name))
                .and_then(|name| of(name, value))
        }
        _ => None,
    }
}
