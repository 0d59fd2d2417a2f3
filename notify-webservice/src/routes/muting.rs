//! Silences and overrides beyond what every document has.

use super::table::{IF_MATCH, LIMIT, OPERATOR, TOKEN, VIEWER, WRITE_PROBLEMS, get};
use super::{BodyKind, Parameter, Route, Success};
use crate::muting::{expire, impact, list};
use http::Method;
use notify_core::document::Kind;
use notify_core::problem::Code;

const BY_STATE: &[Parameter] = &[
    LIMIT,
    TOKEN,
    Parameter {
        name: "state",
        about: "Only what is active, upcoming or expired at the time of the answer, or all; without it what is active or upcoming.",
    },
];
const CONFIRM: &[Parameter] = &[Parameter {
    name: "confirm",
    about: "`true` saves the silence although it would have muted many alerts, nobody can say how many, it mutes everything or lasts longer than 30 days; the ledger keeps that it was confirmed.",
}];
const SILENCE_BODY: &[(&str, &str)] = &[("application/yaml", "Silence"), ("application/json", "Silence")];
const CONFIRMED_PROBLEMS: &[Code] = &WITH_CONFIRMATION;
const WITH_CONFIRMATION: [Code; WRITE_PROBLEMS.len() + 1] = {
    let mut all = [Code::ConfirmationRequired; WRITE_PROBLEMS.len() + 1];
    let mut at = 0;
    while at < WRITE_PROBLEMS.len() {
        all[at] = WRITE_PROBLEMS[at];
        at += 1;
    }
    all
};

/// A route that silences share with other documents.
pub(super) fn silence(route: Route) -> Route {
    match route.method {
        Method::GET if route.operation == "listSilences" => {
            Route { parameters: BY_STATE, handler: |call| Box::pin(list::list(Kind::Silence, call)), ..route }
        }
        Method::POST | Method::PUT => Route { parameters: CONFIRM, problems: CONFIRMED_PROBLEMS, ..route },
        _ => route,
    }
}

/// A route that overrides share with other documents.
pub(super) fn over(route: Route) -> Route {
    if route.operation == "listOverrides" {
        let handler = |call| -> crate::engine::BoxFuture<_> { Box::pin(list::list(Kind::Override, call)) };
        Route { parameters: BY_STATE, handler, ..route }
    } else {
        route
    }
}

pub(super) fn acts() -> Vec<Route> {
    vec![
        Route {
            method: Method::POST,
            tag: "silences",
            summary: "What a silence would have muted in the last 7 days; nothing is saved",
            access: VIEWER,
            body: BodyKind::Document,
            accepts: SILENCE_BODY,
            success: &[Success {
                status: 200,
                about: "The counts, by rule.",
                schema: "SilenceImpact",
                media: "application/json",
            }],
            problems: WRITE_PROBLEMS,
            ..get("/api/v1/notify/silences:preview", "previewSilence", |call| Box::pin(impact::preview(call)))
        },
        Route {
            method: Method::POST,
            tag: "silences",
            summary: "End a silence now, with a new version; what is over stays as it is",
            access: OPERATOR,
            headers: &[IF_MATCH],
            success: &[Success {
                status: 200,
                about: "The version that has ended.",
                schema: "SilenceVersion",
                media: "application/json",
            }],
            problems: &[Code::NotFound, Code::PreconditionFailed],
            ..get("/api/v1/notify/silences/{id}:expire", "expireSilence", |call| {
                Box::pin(expire::expire(Kind::Silence, call))
            })
        },
        Route {
            method: Method::POST,
            tag: "overrides",
            summary: "End an override now, with a new version; what is over stays as it is",
            access: OPERATOR,
            headers: &[IF_MATCH],
            success: &[Success {
                status: 200,
                about: "The version that has ended.",
                schema: "OverrideVersion",
                media: "application/json",
            }],
            problems: &[Code::NotFound, Code::PreconditionFailed],
            ..get("/api/v1/notify/overrides/{id}:expire", "expireOverride", |call| {
                Box::pin(expire::expire(Kind::Override, call))
            })
        },
    ]
}
