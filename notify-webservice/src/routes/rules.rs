//! What can be asked of rules beyond writing and reading them.

use super::table::{OPERATOR, VERSION, VIEWER, WRITE_PROBLEMS, get};
use super::{BodyKind, Parameter, Route, Success};
use crate::documents::{apply, explain, lint, preview, rule_tests};
use http::Method;
use notify_core::problem::Code;

const NEAREST: &[Parameter] = &[Parameter {
    name: "nearest",
    about: "Rules that do not match to name with the reasons, those that failed by the least, 0 to 20 (5).",
}];
const PREVIEW_BODY: &[(&str, &str)] =
    &[("application/json", "PreviewRequest"), ("application/yaml", "PreviewRequest")];
const RULE_BODY: &[(&str, &str)] = &[("application/yaml", "Rule"), ("application/json", "Rule")];
const EXPLAIN_BODY: &[(&str, &str)] =
    &[("application/json", "ExplainRequest"), ("application/yaml", "ExplainRequest")];

const LINT_BODY: &[(&str, &str)] =
    &[("application/json", "LintRequest"), ("application/yaml", "LintRequest")];

const APPLY_BODY: &[(&str, &str)] =
    &[("application/json", "ApplyRequest"), ("application/yaml", "ApplyRequest")];

const EXPLAIN_PROBLEMS: &[Code] = &[
    Code::NotFound,
    Code::InvalidEvent,
    Code::MalformedJson,
    Code::MalformedYaml,
    Code::DuplicateKey,
    Code::TooDeep,
    Code::TooLarge,
    Code::UnsupportedMediaType,
    Code::UnknownField,
];

const APPLY_PROBLEMS: &[Code] = &[
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
    Code::UnsupportedFeature,
    Code::RuleTestsFailed,
    Code::AlreadyExists,
    Code::LimitReached,
    Code::PreconditionFailed,
];

/// One JSON answer, 200.
macro_rules! answer {
    ($about:literal, $schema:literal) => {
        &[Success { status: 200, about: $about, schema: $schema, media: "application/json" }]
    };
}

pub(super) fn acts() -> Vec<Route> {
    vec![
        Route {
            method: Method::POST,
            tag: "rules",
            summary: "What an event would cause: rules, messages and exact requests, with nothing sent or kept",
            access: OPERATOR,
            body: BodyKind::Document,
            accepts: PREVIEW_BODY,
            success: answer!("What would happen.", "Preview"),
            problems: WRITE_PROBLEMS,
            ..get("/api/v1/notify/rules:preview", "previewRule", |call| Box::pin(preview::preview(call)))
        },
        Route {
            method: Method::POST,
            tag: "rules",
            summary: "Why a rule matches an event or does not, clause by clause",
            access: VIEWER,
            body: BodyKind::Document,
            accepts: EXPLAIN_BODY,
            parameters: VERSION,
            success: answer!("Each clause's verdict.", "Explanation"),
            problems: EXPLAIN_PROBLEMS,
            ..get("/api/v1/notify/rules/{id}:explain", "explainRule", |call| Box::pin(explain::one(call)))
        },
        Route {
            method: Method::POST,
            tag: "rules",
            summary: "Which rules an event matches, and which it misses by the least, each with the reason",
            access: VIEWER,
            body: BodyKind::Document,
            accepts: EXPLAIN_BODY,
            parameters: NEAREST,
            success: answer!("What the enabled rules say.", "Explained"),
            problems: EXPLAIN_PROBLEMS,
            ..get("/api/v1/notify/rules:explain", "explainRules", |call| Box::pin(explain::all(call)))
        },
        Route {
            method: Method::POST,
            tag: "rules",
            summary: "Run the tests of a rule that need not be saved; nothing is sent or kept",
            access: VIEWER,
            body: BodyKind::Document,
            accepts: RULE_BODY,
            success: answer!("What became of each test.", "RuleTestReport"),
            problems: &[
                Code::InvalidRule,
                Code::InvalidPattern,
                Code::UnknownField,
                Code::UnsupportedFeature,
                Code::MalformedJson,
                Code::MalformedYaml,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
            ],
            ..get("/api/v1/notify/rules:test", "testRule", |call| Box::pin(rule_tests::test(call)))
        },
        Route {
            method: Method::POST,
            tag: "rules",
            summary: "What is suspicious about the saved rules, or about one that need not be saved (`docs/lint.md`)",
            access: VIEWER,
            body: BodyKind::Document,
            accepts: LINT_BODY,
            success: answer!("What was found.", "LintReport"),
            problems: &[
                Code::MalformedJson,
                Code::MalformedYaml,
                Code::DuplicateKey,
                Code::TooDeep,
                Code::TooLarge,
                Code::UnsupportedMediaType,
                Code::UnknownField,
                Code::InvalidParameter,
                Code::InvalidRule,
                Code::InvalidPattern,
                Code::UnsupportedFeature,
            ],
            ..get("/api/v1/notify/rules:lint", "lintRules", |call| Box::pin(lint::lint(call)))
        },
        Route {
            method: Method::POST,
            tag: "rules",
            summary: "Bring the saved rules in line with these: all of them or none, in one commit",
            access: OPERATOR,
            body: BodyKind::RuleSet,
            accepts: APPLY_BODY,
            success: answer!("What was done, or would be (`dryRun`).", "AppliedRules"),
            problems: APPLY_PROBLEMS,
            ..get("/api/v1/notify/rules:apply", "applyRules", |call| Box::pin(apply::apply(call)))
        },
    ]
}
