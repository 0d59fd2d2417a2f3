//! Routes about how channels are.

use super::table::{ADMIN, IDEMPOTENCY, LIMIT, OPERATOR, TOKEN, get};
use super::{Route, Success};
use crate::channels;
use http::Method;
use notify_core::problem::Code;

macro_rules! answer {
    ($status:literal $about:literal $schema:literal) => {
        &[Success { status: $status, about: $about, schema: $schema, media: "application/json" }]
    };
}

pub(super) fn routes() -> Vec<Route> {
    let act = |route: Route| Route { method: Method::POST, tag: "channels", access: OPERATOR, ..route };
    vec![
        Route {
            tag: "channels",
            summary: "How every channel is: state, breaker, last error, what waits",
            parameters: &[LIMIT, TOKEN],
            success: answer!(200 "A page of them, by id." "ChannelStatusPage"),
            problems: &[Code::InvalidPageToken],
            ..get("/api/v1/notify/channels:status", "listChannelStatus", |call| {
                Box::pin(channels::statuses(call))
            })
        },
        Route {
            tag: "channels",
            summary: "How a channel is: state, breaker, last success and error, what waits, check, secrets",
            success: answer!(200 "Its status." "ChannelStatus"),
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/channels/{id}/status", "readChannelStatus", |call| {
                Box::pin(channels::status(call))
            })
        },
        act(Route {
            summary: "Send a message that says it is a test, the way of every delivery",
            headers: &[IDEMPOTENCY],
            success: answer!(202 "The delivery; read it for the outcome." "ChannelTest"),
            problems: &[Code::NotFound, Code::ChannelDisabled],
            ..get("/api/v1/notify/channels/{id}:test", "testChannel", |call| Box::pin(channels::test(call)))
        }),
        act(Route {
            summary: "Ask a channel's plug-in now whether it would work; nothing is sent to people",
            success: answer!(200 "The result." "ChannelCheck"),
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/channels/{id}:check", "checkChannel", |call| {
                Box::pin(channels::check(call))
            })
        }),
        Route {
            access: ADMIN,
            ..act(Route {
                summary: "Read a channel's secrets now, close its breaker, and retry what waited for a secret",
                success: answer!(200 "Each secret: whether it can be read. Never a value." "RefreshedSecrets"),
                problems: &[Code::NotFound],
                ..get("/api/v1/notify/channels/{id}:refresh-secret", "refreshChannelSecret", |call| {
                    Box::pin(channels::refresh_secret(call))
                })
            })
        },
    ]
}
