//! The one route table. The router, the access checks and `/openapi.json` are all built from it, so none of them can
//! forget a route.

mod channels;
mod inbox;
mod muting;
mod rules;
mod table;
mod why;

use crate::app::{Answer, Call};
use crate::auth::Scope;
use crate::engine::BoxFuture;
use http::Method;
use notify_core::problem::Code;

pub use table::routes;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// No token is looked at.
    Public,
    /// A token with one of these scopes.
    AnyOf(&'static [Scope]),
    /// No token; the body is signed by a publisher that the operator configured.
    Signed,
}

/// How large a body may be, by what it carries. `Limits` holds the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyKind {
    /// Nothing is read.
    None,
    /// An event or a batch of them.
    Events,
    /// A document or anything else.
    Document,
    /// What a page sends. Only read when its client may look at one more.
    Form,
    /// Many rules; few are read at once.
    RuleSet,
}

/// A query parameter.
#[derive(Debug, Clone, Copy)]
pub struct Parameter {
    pub name: &'static str,
    pub about: &'static str,
}

/// One success answer: status, what it is, and the name of its schema in `openapi::schemas` (empty: no JSON).
#[derive(Debug, Clone, Copy)]
pub struct Success {
    pub status: u16,
    pub about: &'static str,
    pub schema: &'static str,
    pub media: &'static str,
}

/// One operation of the API.
#[derive(Clone)]
pub struct Route {
    pub method: Method,
    /// As in OpenAPI; the last segment may end in `:verb`.
    pub path: &'static str,
    pub operation: &'static str,
    pub tag: &'static str,
    pub summary: &'static str,
    pub access: Access,
    pub body: BodyKind,
    /// Media types of the body, each with the name of its schema.
    pub accepts: &'static [(&'static str, &'static str)],
    pub parameters: &'static [Parameter],
    /// Request headers beyond those that every route takes.
    pub headers: &'static [Parameter],
    pub success: &'static [Success],
    pub problems: &'static [Code],
    pub handler: fn(Call) -> BoxFuture<Answer>,
}

impl Route {
    /// The path without `:verb` after a parameter, as the router knows it, and the verb.
    #[must_use]
    pub fn split_verb(&self) -> (&'static str, Option<&'static str>) {
        match self.path.rsplit_once("}:") {
            Some((_, verb)) => (&self.path[..self.path.len() - verb.len() - 1], Some(verb)),
            None => (self.path, None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_route_is_named_once_and_says_who_may_use_it() {
        let (mut operations, mut places) = (BTreeSet::new(), BTreeSet::new());
        for route in routes() {
            assert!(operations.insert(route.operation), "{} twice", route.operation);
            assert!(places.insert(format!("{} {}", route.method, route.path)), "{} twice", route.path);
            assert!(!route.summary.is_empty() && !route.success.is_empty(), "{}", route.path);
            match route.access {
                Access::Public => assert!(!route.path.starts_with("/api/"), "{} is public", route.path),
                Access::AnyOf(scopes) => assert!(!scopes.is_empty(), "{}", route.path),
                Access::Signed => assert!(route.path.starts_with("/internal/"), "{}", route.path),
            }
            assert_eq!(route.body == BodyKind::None, route.accepts.is_empty(), "{}", route.path);
        }
    }

    #[test]
    fn verbs_are_told_from_paths() {
        let found: Vec<_> = routes()
            .iter()
            .filter_map(|route| route.split_verb().1.map(|v| (route.split_verb().0, v)))
            .collect();
        assert!(found.contains(&("/api/v1/notify/deliveries/{id}", "replay")));
        let preview = routes().into_iter().find(|route| route.operation == "previewRule");
        assert_eq!(preview.map(|route| route.split_verb()), Some(("/api/v1/notify/rules:preview", None)));
    }
}
