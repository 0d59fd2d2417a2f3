//! What the API offers.

use super::{Access, BodyKind, Parameter, Route, Success};
use crate::auth::Scope;
use crate::documents::{read, windows, write};
use crate::{deliveries, docs_ui, events, ledger, operations, quarantine};
use http::Method;
use notify_core::document::Kind;
use notify_core::problem::Code;

pub(super) const VIEWER: Access = Access::AnyOf(&[Scope::Viewer]);
pub(super) const OPERATOR: Access = Access::AnyOf(&[Scope::Operator]);
/// Channels decide where data leaves to and which secrets are used.
pub(super) const ADMIN: Access = Access::AnyOf(&[Scope::Admin]);
const PUBLISH: Access = Access::AnyOf(&[Scope::Publish]);
const AUDITOR: Access = Access::AnyOf(&[Scope::Auditor]);

pub(super) const LIMIT: Parameter = Parameter { name: "limit", about: "Items in a page, 1 to 500 (50)." };
pub(super) const TOKEN: Parameter =
    Parameter { name: "pageToken", about: "`nextPageToken` of the page before." };
const PAGE: &[Parameter] = &[LIMIT, TOKEN];
pub(super) const VERSION: &[Parameter] =
    &[Parameter { name: "version", about: "An old version; without it the current one." }];
const WINDOWS: &[Parameter] = &[
    Parameter { name: "after", about: "Windows that end after this time (RFC 3339; now)." },
    Parameter { name: "count", about: "How many, 1 to 100 (5)." },
    Parameter { name: "timeZone", about: "Zone to read a calendar with `timeZone: contact` in (UTC)." },
];
const FORCE: &[Parameter] = &[Parameter {
    name: "force",
    about: "`true` saves the rule although its own tests fail; the ledger keeps that it was forced.",
}];
const EVENT_FILTER: &[Parameter] = &[
    LIMIT,
    TOKEN,
    Parameter { name: "id", about: "Only events with this id of their producer, among the newest 20,000." },
    Parameter { name: "source", about: "With `id`: the event of this source, however old." },
];
const DELIVERY_FILTER: &[Parameter] = &[
    LIMIT,
    TOKEN,
    Parameter { name: "state", about: "scheduled, delivered, accepted, dead or cancelled." },
    Parameter { name: "rule", about: "Only deliveries of this rule." },
    Parameter { name: "channel", about: "Only deliveries to this channel." },
    Parameter { name: "event", about: "Only deliveries that this event key caused." },
    Parameter { name: "from", about: "Only deliveries created then or later (RFC 3339)." },
    Parameter { name: "to", about: "Only deliveries created before then (RFC 3339)." },
];
const ENTRIES: &[Parameter] = &[
    Parameter { name: "from", about: "First sequence number (0)." },
    Parameter { name: "limit", about: "Entries in a page, 1 to 500 (50)." },
];

pub(super) const IF_MATCH: Parameter =
    Parameter { name: "If-Match", about: "ETag of the version this write replaces, or `*`." };
const IF_NONE_MATCH: Parameter = Parameter {
    name: "If-None-Match",
    about: "ETag of the version at hand; when it is current the answer is 304.",
};
pub(super) const IDEMPOTENCY: Parameter = Parameter {
    name: "Idempotency-Key",
    about: "A repeated request with the same key gets the first answer.",
};

const EVENT_BODY: &[(&str, &str)] = &[
    ("application/cloudevents+json", "CloudEvent"),
    ("application/cloudevents-batch+json", "CloudEventBatch"),
    ("application/json", "BinaryData"),
];
const SIGNED_BODY: &[(&str, &str)] = &[
    ("application/cloudevents+json", "CloudEvent"),
    ("application/cloudevents-batch+json", "CloudEventBatch"),
];
const SIGNED_HEADERS: &[Parameter] = &[
    Parameter {
        name: "webhook-id",
        about: "Names the message; needed. The idempotency key where no other is sent.",
    },
    Parameter { name: "webhook-timestamp", about: "Seconds since 1970, within 5 minutes of now; needed." },
    Parameter {
        name: "webhook-signature", about: "`v1,…` or `v1a,…`, several separated by spaces; needed."
    },
    IDEMPOTENCY,
];

pub(super) const WRITE_PROBLEMS: &[Code] = &[
    Code::MalformedYaml,
    Code::MalformedJson,
    Code::DuplicateKey,
    Code::TooDeep,
    Code::TooLarge,
    Code::UnsupportedMediaType,
    Code::UnknownField,
    Code::UnknownReference,
    Code::InvalidRule,
    Code::InvalidPattern,
    Code::RuleTestsFailed,
    Code::InvalidChannel,
    Code::InvalidTemplate,
    Code::InvalidBundle,
    Code::InvalidEventType,
    Code::InvalidCalendar,
    Code::InvalidContact,
    Code::InvalidSilence,
    Code::InvalidInhibition,
    Code::InvalidOverride,
    Code::InvalidPolicy,
    Code::ForbiddenTarget,
    Code::InvalidSecretReference,
    Code::UnsupportedFeature,
    Code::AlreadyExists,
    Code::LimitReached,
    Code::NotFound,
    Code::PreconditionRequired,
    Code::PreconditionFailed,
    Code::IdempotencyConflict,
    Code::InvalidEvent,
];

/// A JSON answer whose schema's name is put together.
macro_rules! ok {
    ($status:literal, $about:literal, $schema:expr) => {
        Success { status: $status, about: $about, schema: $schema, media: "application/json" }
    };
}

macro_rules! success {
    ($($status:literal $about:literal $schema:literal),+) => {
        &[$(Success { status: $status, about: $about, schema: $schema, media: "application/json" }),+]
    };
}

/// The built-in channel cannot be deleted.
const fn delete_problems(kind: Kind) -> &'static [Code] {
    match kind {
        Kind::Channel => &[
            Code::NotFound,
            Code::InUse,
            Code::InvalidChannel,
            Code::PreconditionRequired,
            Code::PreconditionFailed,
        ],
        _ => &[Code::NotFound, Code::InUse, Code::PreconditionRequired, Code::PreconditionFailed],
    }
}

/// A route with nothing special; fields are overwritten with `..`.
pub(super) fn get(path: &'static str, operation: &'static str, handler: Handler) -> Route {
    Route {
        method: Method::GET,
        path,
        operation,
        tag: "",
        summary: "",
        access: VIEWER,
        body: BodyKind::None,
        accepts: &[],
        parameters: &[],
        headers: &[],
        success: &[],
        problems: &[],
        handler,
    }
}

type Handler = fn(crate::app::Call) -> crate::engine::BoxFuture<crate::app::Answer>;

/// Every operation, in the order of the description.
#[must_use]
pub fn routes() -> Vec<Route> {
    let mut all = event_routes();
    all.extend(document_routes());
    all.extend(quarantine_routes());
    all.extend(delivery_routes());
    all.extend(super::inbox::routes());
    all.extend(ledger_routes());
    all.extend(operations_routes());
    all.extend(super::why::routes());
    all
}

fn event_routes() -> Vec<Route> {
    vec![
        Route {
            method: Method::POST,
            tag: "events",
            summary: "Accept one CloudEvent (structured or binary) or a batch; answered when durable",
            access: PUBLISH,
            body: BodyKind::Events,
            accepts: EVENT_BODY,
            success: success![
                202 "Every event is durable." "EventFates",
                207 "Some events of a batch were refused: each item says its fate." "EventFates"
            ],
            problems: &[
                Code::InvalidEvent,
                Code::EventConflict,
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
                Code::SchemaMismatch,
                Code::UnverifiedEvent,
            ],
            ..get("/api/v1/events", "publishEvents", |call| Box::pin(events::publish(call)))
        },
        Route {
            method: Method::POST,
            tag: "events",
            summary: "Accept an Alertmanager (webhook version 4) or Grafana notification: one event per alert",
            access: PUBLISH,
            body: BodyKind::Events,
            accepts: &[("application/json", "AlertmanagerWebhook")],
            success: success![202 "Every alert is durable." "EventFates"],
            problems: &[
                Code::InvalidEvent,
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
                Code::Unavailable,
                Code::SchemaMismatch,
                Code::EventConflict,
            ],
            ..get("/api/v1/ingest/alertmanager", "ingestAlertmanager", |call| {
                Box::pin(events::alertmanager::ingest(call))
            })
        },
        Route {
            method: Method::POST,
            tag: "events",
            summary: "Accept alerts as an Alertmanager does (API version 2): Prometheus may name this service as one",
            access: PUBLISH,
            body: BodyKind::Events,
            accepts: &[("application/json", "PrometheusAlerts")],
            success: success![200 "Every alert is durable." "EventFates"],
            problems: &[
                Code::InvalidEvent,
                Code::EventConflict,
                Code::SchemaMismatch,
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
            ],
            ..get("/api/v2/alerts", "postAlerts", |call| Box::pin(events::prometheus::alerts(call)))
        },
        Route {
            method: Method::POST,
            tag: "events",
            summary: "Accept one CloudEvent (structured) or a batch from a service that signs its body (Standard Webhooks)",
            access: Access::Signed,
            body: BodyKind::Events,
            accepts: SIGNED_BODY,
            headers: SIGNED_HEADERS,
            success: success![
                202 "Every event is durable." "EventFates",
                207 "Some events of a batch were refused: each item says its fate." "EventFates"
            ],
            problems: &[
                Code::InvalidSignature,
                Code::IdempotencyConflict,
                Code::InvalidEvent,
                Code::EventConflict,
                Code::SchemaMismatch,
                Code::UnverifiedEvent,
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
                Code::NotFound,
            ],
            ..get("/internal/events/publish", "publishSigned", |call| Box::pin(events::signed::publish(call)))
        },
        Route {
            tag: "events",
            summary: "One event with the decisions about it and the deliveries it caused",
            success: success![200 "The event." "Event"],
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/events/{key}", "readEvent", |call| Box::pin(events::read::read(call)))
        },
        Route {
            tag: "events",
            summary: "Events, newest first",
            parameters: EVENT_FILTER,
            success: success![200 "A page." "EventPage"],
            problems: &[Code::InvalidPageToken],
            ..get("/api/v1/notify/events", "listEvents", |call| Box::pin(events::read::list(call)))
        },
    ]
}

/// Not modified: the body that the sender has is current.
const UNCHANGED: Success =
    Success { status: 304, about: "The version is that of `If-None-Match`.", schema: "", media: "" };
const UNCHANGED_FILE: Success =
    Success { status: 304, about: "The file is that of `If-None-Match`.", schema: "", media: "" };

macro_rules! documents {
    ($kind:ident, $write:expr, $path:literal, $one:literal, $name:literal, $names:literal) => {
        [
            Route {
                tag: $path,
                summary: concat!("Current ", $path, ", by id"),
                parameters: PAGE,
                success: &[ok!(200, "A page.", concat!($name, "VersionPage"))],
                problems: &[Code::InvalidPageToken],
                ..get(concat!("/api/v1/notify/", $path), concat!("list", $names), |call| {
                    Box::pin(read::list(Kind::$kind, call))
                })
            },
            Route {
                method: Method::POST,
                tag: $path,
                summary: concat!("Create ", $one),
                access: $write,
                body: BodyKind::Document,
                accepts: &[("application/yaml", $name), ("application/json", $name)],
                headers: &[IDEMPOTENCY],
                success: &[ok!(201, "Version 1, or the next one after a delete.", concat!($name, "Version"))],
                problems: WRITE_PROBLEMS,
                ..get(concat!("/api/v1/notify/", $path), concat!("create", $name), |call| {
                    Box::pin(write::create(Kind::$kind, call))
                })
            },
            Route {
                tag: $path,
                summary: concat!("Read ", $one, " and its ETag"),
                parameters: VERSION,
                headers: &[IF_NONE_MATCH],
                success: &[ok!(200, "The document.", concat!($name, "Version")), UNCHANGED],
                problems: &[Code::NotFound],
                ..get(concat!("/api/v1/notify/", $path, "/{id}"), concat!("read", $name), |call| {
                    Box::pin(read::read(Kind::$kind, call))
                })
            },
            Route {
                method: Method::PUT,
                tag: $path,
                summary: concat!("Replace ", $one, " with a new version"),
                access: $write,
                body: BodyKind::Document,
                accepts: &[("application/yaml", $name), ("application/json", $name)],
                headers: &[IF_MATCH, IDEMPOTENCY],
                success: &[ok!(200, "The new version.", concat!($name, "Version"))],
                problems: WRITE_PROBLEMS,
                ..get(concat!("/api/v1/notify/", $path, "/{id}"), concat!("replace", $name), |call| {
                    Box::pin(write::replace(Kind::$kind, call))
                })
            },
            Route {
                method: Method::DELETE,
                tag: $path,
                summary: concat!("Delete ", $one, "; its versions stay readable"),
                access: $write,
                headers: &[IF_MATCH],
                success: &[Success { status: 204, about: "Deleted.", schema: "", media: "" }],
                problems: delete_problems(Kind::$kind),
                ..get(concat!("/api/v1/notify/", $path, "/{id}"), concat!("delete", $name), |call| {
                    Box::pin(write::delete(Kind::$kind, call))
                })
            },
            Route {
                tag: $path,
                summary: concat!("Versions of ", $one, ", newest first"),
                parameters: PAGE,
                success: &[ok!(200, "A page.", concat!($name, "VersionPage"))],
                problems: &[Code::NotFound, Code::InvalidPageToken],
                ..get(
                    concat!("/api/v1/notify/", $path, "/{id}/versions"),
                    concat!("list", $name, "Versions"),
                    |call| Box::pin(read::versions(Kind::$kind, call)),
                )
            },
        ]
    };
}

fn document_routes() -> Vec<Route> {
    let mut all = Vec::new();
    let rules = documents!(Rule, OPERATOR, "rules", "a rule", "Rule", "Rules");
    let writes = |route: &Route| matches!(route.method, Method::POST | Method::PUT);
    all.extend(rules.map(|route| if writes(&route) { Route { parameters: FORCE, ..route } } else { route }));
    all.extend(super::rules::acts());
    all.extend(documents!(Channel, ADMIN, "channels", "a channel", "Channel", "Channels"));
    all.extend(super::channels::routes());
    all.extend(documents!(Template, OPERATOR, "templates", "a template", "Template", "Templates"));
    all.extend(documents!(Bundle, OPERATOR, "bundles", "a text bundle", "Bundle", "Bundles"));
    all.extend(documents!(EventType, OPERATOR, "event-types", "an event type", "EventType", "EventTypes"));
    all.extend(documents!(Calendar, OPERATOR, "calendars", "a calendar", "Calendar", "Calendars"));
    all.push(Route {
        tag: "calendars",
        summary: "The next windows of a calendar, in local time and UTC",
        parameters: WINDOWS,
        success: success![200 "The windows." "CalendarWindows"],
        problems: &[Code::NotFound, Code::InvalidParameter],
        ..get("/api/v1/notify/calendars/{id}/windows", "listCalendarWindows", |call| {
            Box::pin(windows::windows(call))
        })
    });
    all.extend(documents!(Contact, OPERATOR, "contacts", "a contact", "Contact", "Contacts"));
    let silences = documents!(Silence, OPERATOR, "silences", "a silence", "Silence", "Silences");
    all.extend(silences.map(super::muting::silence));
    all.extend(
        documents!(Override, OPERATOR, "overrides", "an override", "Override", "Overrides")
            .map(super::muting::over),
    );
    all.extend(documents!(Inhibition, OPERATOR, "inhibitions", "an inhibition", "Inhibition", "Inhibitions"));
    all.extend(super::muting::acts());
    all.extend(documents!(Policy, ADMIN, "policies", "a policy", "Policy", "Policies"));
    all
}

fn quarantine_routes() -> Vec<Route> {
    vec![
        Route {
            tag: "quarantine",
            summary: "Messages from a bus that could not be taken in, newest first",
            parameters: PAGE,
            success: success![200 "A page." "QuarantinePage"],
            problems: &[Code::InvalidPageToken],
            ..get("/api/v1/notify/quarantine", "listQuarantine", |call| Box::pin(quarantine::list(call)))
        },
        Route {
            tag: "quarantine",
            summary: "A message in quarantine with its body",
            success: success![200 "The message." "QuarantinedMessage"],
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/quarantine/{id}", "readQuarantined", |call| {
                Box::pin(quarantine::read(call))
            })
        },
        Route {
            method: Method::POST,
            tag: "quarantine",
            summary: "Take a message in after all, through the same checks; what does not pass stays",
            access: OPERATOR,
            success: success![202 "The event is durable and out of quarantine." "EventFate"],
            problems: &[
                Code::NotFound,
                Code::InvalidEvent,
                Code::EventConflict,
                Code::SchemaMismatch,
                Code::UnverifiedEvent,
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
            ],
            ..get("/api/v1/notify/quarantine/{id}:redrive", "redriveQuarantined", |call| {
                Box::pin(quarantine::redrive(call))
            })
        },
        Route {
            method: Method::DELETE,
            tag: "quarantine",
            summary: "Delete a message from quarantine; the ledger keeps that it was there",
            access: OPERATOR,
            success: success![204 "Deleted." ""],
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/quarantine/{id}", "deleteQuarantined", |call| {
                Box::pin(quarantine::delete(call))
            })
        },
    ]
}

fn delivery_routes() -> Vec<Route> {
    vec![
        Route {
            tag: "deliveries",
            summary: "Deliveries, newest first",
            parameters: DELIVERY_FILTER,
            success: success![200 "A page." "DeliveryPage"],
            problems: &[Code::InvalidParameter, Code::InvalidPageToken],
            ..get("/api/v1/notify/deliveries", "listDeliveries", |call| Box::pin(deliveries::list(call)))
        },
        Route {
            tag: "deliveries",
            summary: "A delivery with its message and every attempt",
            success: success![200 "The delivery." "Delivery"],
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/deliveries/{id}", "readDelivery", |call| Box::pin(deliveries::read(call)))
        },
        Route {
            method: Method::POST,
            tag: "deliveries",
            summary: "Send the same message again as a new delivery",
            access: OPERATOR,
            headers: &[IDEMPOTENCY],
            success: success![202 "The new delivery." "Replay"],
            problems: &[Code::NotFound, Code::NotReplayable, Code::IdempotencyConflict],
            ..get("/api/v1/notify/deliveries/{id}:replay", "replayDelivery", |call| {
                Box::pin(deliveries::replay(call))
            })
        },
        Route {
            method: Method::POST,
            tag: "deliveries",
            summary: "Send dead letters again, each as a replay of its own, at a rate",
            access: OPERATOR,
            body: BodyKind::Document,
            accepts: &[("application/json", "RedriveRequest")],
            headers: &[IDEMPOTENCY],
            success: success![200 "A dry run: what would be sent." "Redriven", 202 "What is on its way." "Redriven"],
            problems: &[
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnknownField,
                Code::InvalidParameter,
                Code::IdempotencyConflict,
                Code::Unavailable,
            ],
            ..get("/api/v1/notify/deliveries:redrive", "redriveDeliveries", |call| {
                Box::pin(deliveries::redrive(call))
            })
        },
    ]
}

fn ledger_routes() -> Vec<Route> {
    vec![
        Route {
            tag: "ledger",
            summary: "The signed head of the tenant's log",
            access: AUDITOR,
            success: success![200 "The head." "Checkpoint"],
            problems: &[Code::NotFound],
            ..get("/api/v1/notify/ledger/checkpoint", "readCheckpoint", |call| {
                Box::pin(ledger::checkpoint(call))
            })
        },
        Route {
            tag: "ledger",
            summary: "Entries in order",
            access: AUDITOR,
            parameters: ENTRIES,
            success: success![200 "A page; `next` is the `from` of the next one." "LedgerPage"],
            problems: &[],
            ..get("/api/v1/notify/ledger/entries", "listLedgerEntries", |call| {
                Box::pin(ledger::entries(call))
            })
        },
        Route {
            method: Method::POST,
            tag: "ledger",
            summary: "An export that `notify ledger verify` checks offline, as an uncompressed tar",
            access: AUDITOR,
            body: BodyKind::Document,
            accepts: &[("application/json", "ExportRequest")],
            success: &[Success { status: 200, about: "The export.", schema: "", media: "application/x-tar" }],
            problems: &[
                Code::InvalidParameter,
                Code::MalformedJson,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::NotFound,
            ],
            ..get("/api/v1/notify/ledger:export", "exportLedger", |call| Box::pin(ledger::export(call)))
        },
    ]
}

fn operations_routes() -> Vec<Route> {
    let public = |route: Route| Route { tag: "operations", access: Access::Public, ..route };
    vec![
        Route {
            tag: "operations",
            summary: "Plug-ins, also those that were refused, and why",
            success: success![200 "All of them." "PluginPage"],
            ..get("/api/v1/notify/plugins", "listPlugins", |call| Box::pin(operations::plugins(call)))
        },
        public(Route {
            summary: "The process answers",
            success: success![200 "It does." "Health"],
            ..get("/healthz", "health", |call| Box::pin(operations::health(call)))
        }),
        public(Route {
            summary: "Traffic should come here now",
            success: success![200 "It should." "Readiness", 503 "Not now." "Readiness"],
            ..get("/readyz", "readiness", |call| Box::pin(operations::ready(call)))
        }),
        public(Route {
            summary: "Metrics in Prometheus text format",
            success: &[Success { status: 200, about: "The metrics.", schema: "", media: "text/plain" }],
            ..get("/metrics", "metrics", |call| Box::pin(operations::metrics(call)))
        }),
        public(Route {
            summary: "This description",
            success: success![200 "OpenAPI 3.1." "OpenApi"],
            ..get("/openapi.json", "openApi", |call| Box::pin(operations::openapi(call)))
        }),
        public(Route {
            summary: "This description for people, with Swagger UI; nothing is loaded from elsewhere",
            success: &[
                Success { status: 200, about: "The page.", schema: "", media: "text/html" },
                UNCHANGED_FILE,
            ],
            headers: &[IF_NONE_MATCH],
            ..get("/docs/", "docs", |call| Box::pin(docs_ui::page(call)))
        }),
        public(Route {
            summary: "A file of that page",
            success: &[
                Success {
                    status: 200,
                    about: "The file, as gzip where it is large.",
                    schema: "",
                    media: "text/*",
                },
                UNCHANGED_FILE,
            ],
            headers: &[IF_NONE_MATCH],
            problems: &[Code::NotFound],
            ..get("/docs/{file}", "docsFile", |call| Box::pin(docs_ui::asset(call)))
        }),
        public(Route {
            summary: "The page has a slash at its end",
            success: &[Success { status: 308, about: "Go to `/docs/`.", schema: "", media: "" }],
            ..get("/docs", "docsPlace", |call| Box::pin(docs_ui::redirect(call)))
        }),
    ]
}
