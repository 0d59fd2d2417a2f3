//! Silences and overrides beyond what every document has: when they apply, what a silence would have muted, ending one
//! early.

pub mod breadth;
pub mod expire;
pub mod history;
pub mod impact;
pub mod list;

use notify_core::document::scope::Standing;
use notify_core::document::{Kind, Override, Silence};
use notify_core::problem::{Code, Problem};
use notify_core::time::{Timestamp, truncate_to_millis};
use serde_json::Value;

/// A silence or override that does not say when it begins does so when it is saved. A recurring one needs no begin.
pub fn begin_now(kind: Kind, document: &mut Value, now: Timestamp) {
    if !matches!(kind, Kind::Silence | Kind::Override) {
        return;
    }
    if let Value::Object(members) = document
        && !members.contains_key("from")
        && !members.contains_key("calendar")
    {
        members.insert("from".to_owned(), truncate_to_millis(now).to_string().into());
    }
}

/// How a silence or override stands at this time, and what it is about.
#[must_use]
pub fn told(kind: &str, body: &str, now: Timestamp) -> Option<(Standing, String)> {
    let scope_of = |scope: notify_core::document::scope::Scope| (scope.standing(now), scope.sentence());
    if kind == Kind::Silence.as_str() {
        serde_json::from_str::<Silence>(body).ok().map(|silence| scope_of(silence.scope()))
    } else if kind == Kind::Override.as_str() {
        serde_json::from_str::<Override>(body).ok().map(|document| scope_of(document.scope()))
    } else {
        None
    }
}

/// # Errors
/// When what is to be created has ended already: nobody means that.
pub fn not_over(kind: Kind, body: &str, now: Timestamp) -> Result<(), Problem> {
    match told(kind.as_str(), body, now) {
        Some((Standing::Expired, _)) => {
            let code = if kind == Kind::Silence { Code::InvalidSilence } else { Code::InvalidOverride };
            Err(Problem::new(code, "/until", "it would be over already", "let it end later"))
        }
        _ => Ok(()),
    }
}
