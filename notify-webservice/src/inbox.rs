//! The studio's own inboxes: what was delivered to channels of type `console`, read or not.
//!
//! Whoever may look may mark: an inbox belongs to all who see it, and what they have seen changes no alert, no decision
//! and no other channel. So marks need no more than `notify.viewer` and have no ledger entries.

use crate::answer;
use crate::app::{Answer, Call, store_problem};
use http::StatusCode;
use notify_core::ids::{ChannelId, DeliveryId, RuleId};
use notify_core::message::Message;
use notify_core::problem::{Code, Problem};
use notify_core::severity::Severity;
use notify_core::time::{Timestamp, rfc3339_millis};
use notify_store::model::{InboxFilter, InboxItem, InboxMark};
use notify_store::{Bookkeeping, Commit};
use serde_json::{Map, Value, json};

const A_TIME: &str = "a time like 2026-11-22T08:00:00Z";

/// `GET /inbox`: newest first, with how many are unread altogether.
pub async fn list(call: Call) -> Answer {
    let page = call.page()?;
    let filter = InboxFilter {
        unread: call.query.get::<bool>("unread", "`true` or `false`")?,
        severity: call.query.text("severity").map(severity).transpose()?,
        channel: call.query.get::<ChannelId>("channel", "a channel id")?,
        rule: call.query.get::<RuleId>("rule", "a rule id")?,
        from: call.query.get::<Timestamp>("from", A_TIME)?,
        to: call.query.get::<Timestamp>("to", A_TIME)?,
    };
    let found = call.app.store.inbox(call.tenant(), &filter, &page).await;
    let found = found.map_err(|error| store_problem(&call.request, &error))?;
    let items: Vec<Value> = found.items.iter().map(|item| Value::Object(summary(item))).collect();
    let unread = unread(&call).await?;
    let body = json!({ "items": items, "unread": unread, "nextPageToken": call.sealed(found.next) });
    Ok(answer::json(StatusCode::OK, &body))
}

fn severity(name: &str) -> Result<Severity, Problem> {
    Severity::from_name(name).ok_or_else(|| {
        let known: Vec<_> = Severity::ALL.iter().map(|severity| severity.name()).collect();
        Problem::new(
            Code::InvalidParameter,
            "severity",
            format!("`{}` is no severity", name.escape_default()),
            format!("there are {}", known.join(", ")),
        )
    })
}

async fn unread(call: &Call) -> Result<Value, Problem> {
    let counts = call.app.store.inbox_unread(call.tenant()).await;
    let counts = counts.map_err(|error| store_problem(&call.request, &error))?;
    let total: u64 = counts.iter().map(|(_, count)| count).sum();
    let by: Map<String, Value> =
        counts.into_iter().map(|(severity, count)| (severity.name().to_owned(), count.into())).collect();
    Ok(json!({ "total": total, "bySeverity": by }))
}

/// `GET /inbox/{id}`
pub async fn read(call: Call) -> Answer {
    let item = find(&call).await?;
    Ok(answer::json(StatusCode::OK, &whole(&item)))
}

/// `POST /inbox/{id}:read`
pub async fn mark_read(call: Call) -> Answer {
    let item = find(&call).await?;
    let (at, by) = (call.app.clock.now(), call.caller.actor.subject.clone());
    mark(&call, InboxMark::Read { id: item.delivery, at, by }).await
}

/// `POST /inbox/{id}:unread`
pub async fn mark_unread(call: Call) -> Answer {
    let item = find(&call).await?;
    mark(&call, InboxMark::Unread { id: item.delivery }).await
}

async fn mark(call: &Call, mark: InboxMark) -> Answer {
    let commit = Commit::bookkeeping(call.tenant().clone(), vec![Bookkeeping::MarkInbox(mark)]);
    call.app.commit(commit).await.map_err(|error| store_problem(&call.request, &error))?;
    let item = find(call).await?;
    Ok(answer::json(StatusCode::OK, &Value::Object(summary(&item))))
}

/// `POST /inbox:read-all`: what was there at `to` (now), also when more arrives meanwhile.
pub async fn read_all(call: Call) -> Answer {
    let channel = call.query.get::<ChannelId>("channel", "a channel id")?;
    let at = call.app.clock.now();
    let until = call.query.get::<Timestamp>("to", A_TIME)?.unwrap_or(at);
    let by = call.caller.actor.subject.clone();
    let mark = Bookkeeping::MarkInbox(InboxMark::AllRead { channel, until, at, by });
    let commit = Commit::bookkeeping(call.tenant().clone(), vec![mark]);
    call.app.commit(commit).await.map_err(|error| store_problem(&call.request, &error))?;
    Ok(answer::json(StatusCode::OK, &json!({ "unread": unread(&call).await? })))
}

async fn find(call: &Call) -> Result<InboxItem, Problem> {
    let missing = || {
        Problem::new(
            Code::NotFound,
            "",
            format!("there is no item `{}` in the inbox", call.param("id").escape_default()),
            "`notify inbox list` shows what there is; items end after their time",
        )
    };
    let id: DeliveryId = call.param("id").parse().map_err(|_| missing())?;
    let found = call.app.store.inbox_item(call.tenant(), &id).await;
    found.map_err(|error| store_problem(&call.request, &error))?.ok_or_else(missing)
}

fn summary(item: &InboxItem) -> Map<String, Value> {
    let message: Message = serde_json::from_str(&item.message).unwrap_or_default();
    let mut out = Map::new();
    out.insert("id".into(), item.delivery.as_str().into());
    out.insert("createdAt".into(), rfc3339_millis(item.created_at).into());
    out.insert("severity".into(), item.severity.name().into());
    out.insert("title".into(), message.title.into());
    if !message.summary.is_empty() {
        out.insert("summary".into(), message.summary.into());
    }
    out.insert("channel".into(), item.channel.as_str().into());
    out.insert("rule".into(), item.rule.as_str().into());
    if let Some(event) = &item.event {
        out.insert("event".into(), event.as_str().into());
    }
    out.insert("unread".into(), item.read.is_none().into());
    if let Some((at, by)) = &item.read {
        out.insert("readAt".into(), rfc3339_millis(*at).into());
        out.insert("readBy".into(), by.clone().into());
    }
    out
}

fn whole(item: &InboxItem) -> Value {
    let mut out = summary(item);
    let message = serde_json::from_str(&item.message);
    out.insert("message".into(), message.unwrap_or_else(|_| Value::String(item.message.clone())));
    Value::Object(out)
}
