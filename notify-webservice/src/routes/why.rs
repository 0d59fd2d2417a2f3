//! Routes that answer "why".

use super::table::{LIMIT, OPERATOR, TOKEN, VIEWER, WRITE_PROBLEMS, get};
use super::{BodyKind, Parameter, Route, Success};
use crate::why::{digest_preview, digests, held, noise_report, story};
use http::Method;
use notify_core::problem::Code;

const PERIOD: &[Parameter] = &[
    Parameter {
        name: "from",
        about: "Decisions of then or later (RFC 3339); without it, of the 7 days before `to`.",
    },
    Parameter { name: "to", about: "Decisions before then (RFC 3339); without it, up to now." },
];
const PAGE: &[Parameter] = &[LIMIT, TOKEN];
const DIGEST_BODY: &[(&str, &str)] =
    &[("application/json", "DigestPreviewRequest"), ("application/yaml", "DigestPreviewRequest")];

macro_rules! answer {
    ($about:literal, $schema:literal) => {
        &[Success { status: 200, about: $about, schema: $schema, media: "application/json" }]
    };
}

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route {
            tag: "events",
            summary: "Why an event became what it became: each rule, control and attempt, as records and in words",
            success: answer!("Its story.", "Story"),
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/events/{key}/story", "readStory", |call| Box::pin(story::read(call)))
        },
        Route {
            tag: "reports",
            summary: "How noisy each rule was: sent, suppressed by control, collected, held, with a score and a suggestion",
            access: VIEWER,
            parameters: PERIOD,
            success: answer!("The report, the noisiest rule first.", "NoiseReport"),
            ..get("/api/v1/notify/reports/noise", "noiseReport", |call| Box::pin(noise_report::read(call)))
        },
        Route {
            tag: "digests",
            summary: "Digests that are being collected, the one that closes first first",
            parameters: PAGE,
            success: answer!("A page of open digests.", "DigestPage"),
            problems: &[Code::InvalidParameter, Code::InvalidPageToken],
            ..get("/api/v1/notify/digests", "listDigests", |call| Box::pin(digests::list(call)))
        },
        Route {
            tag: "digests",
            summary: "A digest: what it has collected, or the ledger entry of its end",
            success: answer!("The digest.", "Digest"),
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/digests/{id}", "readDigest", |call| Box::pin(digests::read(call)))
        },
        Route {
            tag: "held",
            summary: "Alerts that wait for the end of quiet hours or maintenance, the one that is judged again first first",
            parameters: PAGE,
            success: answer!("A page.", "HeldPage"),
            problems: &[Code::InvalidParameter, Code::InvalidPageToken],
            ..get("/api/v1/notify/held", "listHeld", |call| Box::pin(held::list(call)))
        },
        Route {
            method: Method::POST,
            tag: "digests",
            summary: "What several events would look like as one message, with the exact request; nothing is sent or kept",
            access: OPERATOR,
            body: BodyKind::Document,
            accepts: DIGEST_BODY,
            success: answer!("The digest.", "DigestPreview"),
            problems: WRITE_PROBLEMS,
            ..get("/api/v1/notify/digests:preview", "previewDigest", |call| {
                Box::pin(digest_preview::preview(call))
            })
        },
    ]
}
