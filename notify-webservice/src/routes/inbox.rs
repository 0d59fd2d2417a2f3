//! Inboxes, opt-outs, and the pages of links.

use super::table::{ADMIN, LIMIT, TOKEN, VIEWER, get};
use super::{Access, BodyKind, Parameter, Route, Success};
use crate::pages::{alert, way_out};
use crate::{inbox, opt_outs};
use http::Method;
use notify_core::problem::Code;

const CHANNEL: Parameter = Parameter { name: "channel", about: "Only items of this channel." };
const FILTER: &[Parameter] = &[
    LIMIT,
    TOKEN,
    Parameter { name: "unread", about: "`true`: only unread items; `false`: only read ones." },
    Parameter { name: "severity", about: "Only items of this severity or worse." },
    CHANNEL,
    Parameter { name: "rule", about: "Only items of this rule." },
    Parameter { name: "from", about: "Only items that came then or later (RFC 3339)." },
    Parameter { name: "to", about: "Only items that came before then (RFC 3339)." },
];
const ALL: &[Parameter] =
    &[CHANNEL, Parameter { name: "to", about: "Only items that were there at this time (RFC 3339; now)." }];

const fn json(about: &'static str, schema: &'static str) -> Success {
    Success { status: 200, about, schema, media: "application/json" }
}

const fn html(status: u16, about: &'static str) -> Success {
    Success { status, about, schema: "", media: "text/html" }
}

const ITEM: &[Success] = &[json("The item as it is now.", "InboxItem")];
const FORM: &[(&str, &str)] =
    &[("application/x-www-form-urlencoded", "WayOutForm"), ("multipart/form-data", "WayOutForm")];

pub(super) fn routes() -> Vec<Route> {
    let mut all = inbox_routes();
    all.extend(opt_out_routes());
    all.extend(page_routes());
    all
}

fn inbox_routes() -> Vec<Route> {
    let of = |route: Route| Route { tag: "inbox", access: VIEWER, ..route };
    vec![
        of(Route {
            summary: "What was delivered to the studio's own inboxes, newest first, and how much of it is unread",
            parameters: FILTER,
            success: const { &[json("A page.", "InboxPage")] },
            problems: &[Code::InvalidPageToken],
            ..get("/api/v1/notify/inbox", "listInbox", |call| Box::pin(inbox::list(call)))
        }),
        of(Route {
            summary: "An item with its whole message",
            success: const { &[json("The item.", "InboxItem")] },
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/inbox/{id}", "readInboxItem", |call| Box::pin(inbox::read(call)))
        }),
        of(Route {
            method: Method::POST,
            summary: "Mark an item as read; who read it first stays",
            success: ITEM,
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/inbox/{id}:read", "markInboxItemRead", |call| {
                Box::pin(inbox::mark_read(call))
            })
        }),
        of(Route {
            method: Method::POST,
            summary: "Mark an item as unread",
            success: ITEM,
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/inbox/{id}:unread", "markInboxItemUnread", |call| {
                Box::pin(inbox::mark_unread(call))
            })
        }),
        of(Route {
            method: Method::POST,
            summary: "Mark everything as read that was there",
            parameters: ALL,
            success: const { &[json("What is still unread.", "InboxUnread")] },
            ..get("/api/v1/notify/inbox:read-all", "markInboxRead", |call| Box::pin(inbox::read_all(call)))
        }),
    ]
}

fn opt_out_routes() -> Vec<Route> {
    let of = |route: Route| Route { tag: "channels", access: ADMIN, ..route };
    vec![
        of(Route {
            summary: "Recipients who want nothing from a channel any more",
            parameters: &[LIMIT, TOKEN],
            success: const { &[json("A page.", "OptOutPage")] },
            problems: &[Code::InvalidPageToken, Code::NotFound],
            ..get("/api/v1/notify/channels/{id}/opt-outs", "listOptOuts", |call| {
                Box::pin(opt_outs::list(call))
            })
        }),
        of(Route {
            method: Method::DELETE,
            summary: "Let a recipient get messages again",
            success: &[Success { status: 204, about: "They will.", schema: "", media: "application/json" }],
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/channels/{id}/opt-outs/{address}", "removeOptOut", |call| {
                Box::pin(opt_outs::remove(call))
            })
        }),
    ]
}

/// Pages answer with pages; an address that is no token at all (such as one with a `:`) is no address of theirs, and is
/// answered as every unknown one.
fn page_routes() -> Vec<Route> {
    let of = |route: Route| Route { tag: "pages", access: Access::Public, ..route };
    vec![
        of(Route {
            summary: "One alert in full, as a page for whoever has the link",
            success: const {
                &[
                    html(200, "The page."),
                    html(404, "No link of ours."),
                    html(410, "The link has expired, or the alert is kept no longer."),
                    html(429, "Too many looks from this address."),
                    html(503, "Not now."),
                ]
            },
            problems: &[Code::NotFound],
            ..get("/a/{token}", "alertPage", |call| Box::pin(alert::page(call)))
        }),
        of(Route {
            summary: "A page that asks a recipient whether to leave a channel; nothing is changed by it",
            success: const {
                &[
                    html(200, "The page."),
                    html(404, "No link of ours."),
                    html(429, "Too many looks from this address."),
                    html(503, "Not now."),
                ]
            },
            problems: &[Code::NotFound],
            ..get("/u/{token}", "wayOutPage", |call| Box::pin(way_out::page(call)))
        }),
        of(Route {
            method: Method::POST,
            summary: "A recipient leaves a channel (RFC 8058, one click) or comes back",
            body: BodyKind::Form,
            accepts: FORM,
            success: const {
                &[
                    html(200, "It is so now, or was before."),
                    html(400, "The form says nothing of the kind; nothing was changed."),
                    html(404, "No link of ours."),
                    html(
                        429,
                        "Too many requests with this link or from this address, or too many changes today.",
                    ),
                    html(503, "Not now."),
                ]
            },
            problems: &[Code::NotFound, Code::TooLarge],
            ..get("/u/{token}", "takeWayOut", |call| Box::pin(way_out::act(call)))
        }),
    ]
}
