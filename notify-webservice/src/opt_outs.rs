//! Recipients who want nothing from a channel: how an opt-out is written, listed and taken back.

use crate::answer;
use crate::app::{Answer, Call, internal, store_problem};
use crate::documents::record::{self, NotRecorded};
use http::StatusCode;
use notify_core::document::Kind;
use notify_core::document::channel::is_builtin_channel;
use notify_core::ids::{ChannelId, TenantId};
use notify_core::ledger::entry::AccessEntry;
use notify_core::links::lower_case;
use notify_core::problem::{Code, Problem};
use notify_core::time::{rfc3339_millis, truncate_to_millis};
use notify_store::model::Opening;
use notify_store::{Commit, Effect};
use serde_json::{Map, Value, json};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    Out,
    Back,
}

/// Who acts where nobody has logged in.
pub const BY_LINK: &[u8] = br#"{"subject":"recipient","by":"link"}"#;

/// Writes one, with its ledger entry: the address stands there as a commitment only.
pub async fn change(
    call: &Call,
    tenant: &TenantId,
    channel: &ChannelId,
    address: &str,
    direction: Direction,
    actor: &[u8],
) -> Result<(), Problem> {
    let at = truncate_to_millis(call.app.clock.now());
    let (act, effect) = match direction {
        Direction::Out => (
            "recipient-opted-out",
            Effect::OptOut { channel: channel.clone(), address: address.to_owned(), at },
        ),
        Direction::Back => (
            "recipient-opted-in",
            Effect::EndOptOut { channel: channel.clone(), address: address.to_owned() },
        ),
    };
    let recorded = recorded(act, channel, address, actor).map_err(|error| internal(&call.request, &error))?;
    let mut effects = vec![effect];
    effects.extend(recorded.1.into_iter().map(Effect::KeepOpening));
    let commit = Commit::new(tenant.clone(), effects, vec![recorded.0]);
    call.app.commit(commit).await.map_err(|error| store_problem(&call.request, &error))?;
    Ok(())
}

fn recorded(
    act: &str,
    channel: &ChannelId,
    address: &str,
    actor: &[u8],
) -> Result<(notify_core::ledger::EntryDraft, Vec<Opening>), NotRecorded> {
    let entropy = record::entropy()?;
    let about = format!("opt-out/{channel}");
    let (actor, opening) = record::commit(&entropy, &about, "actor", actor.to_vec());
    let (committed, of_address) = record::commit(&entropy, &about, "address", address.as_bytes().to_vec());
    let mut details = Map::new();
    details.insert("channel".into(), channel.to_string().into());
    details.insert("address".into(), committed.to_string().into());
    let entry = AccessEntry { act: act.to_owned(), actor, details, about }.into_draft();
    Ok((entry, vec![opening, of_address]))
}

/// `GET /channels/{id}/opt-outs`
pub async fn list(call: Call) -> Answer {
    let channel = channel(&call).await?;
    let page = call.page()?;
    let found = call.app.store.opt_outs(call.tenant(), &channel, &page).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let item = |out: &notify_store::model::OptOut| json!({ "address": out.address, "since": rfc3339_millis(out.at) });
    let items: Vec<Value> = found.items.iter().map(item).collect();
    Ok(answer::json(StatusCode::OK, &json!({ "items": items, "nextPageToken": call.sealed(found.next) })))
}

/// `DELETE /channels/{id}/opt-outs/{address}`
pub async fn remove(call: Call) -> Answer {
    let channel = channel(&call).await?;
    let address = lower_case(call.param("address"));
    let found = call.app.store.opt_out(call.tenant(), &channel, &address).await;
    if found.map_err(|error| store_problem(&call.request, &error))?.is_none() {
        return Err(Problem::new(
            Code::NotFound,
            "",
            format!("`{}` has not opted out of `{channel}`", address.escape_default()),
            format!("`notify channel opt-outs list {channel}` shows who has"),
        ));
    }
    let actor = record::actor_bytes(&call.caller);
    change(&call, call.tenant(), &channel, &address, Direction::Back, &actor).await?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}

/// A channel that there is, or was.
async fn channel(call: &Call) -> Result<ChannelId, Problem> {
    let missing = || {
        let reason = format!("there is no channel `{}`", call.param("id").escape_default());
        Problem::new(Code::NotFound, "", reason, "`notify channel list` shows what there is")
    };
    let id = ChannelId::new(call.param("id")).map_err(|_| missing())?;
    let found = call.app.store.document(call.tenant(), Kind::Channel, id.as_str(), None).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    // Opt-outs outlive their channel: one of the same name would find them again.
    let there = found.is_some() || is_builtin_channel(id.as_str());
    if there { Ok(id) } else { Err(missing()) }
}
