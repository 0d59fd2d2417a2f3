//! From a raw request to a handler and back: routing, access, bounds, time limit, panics. Written as one function
//! rather than a stack of layers: each step must answer with a problem document, and the path of an event is short.

use crate::answer;
use crate::app::{App, Call, Peer};
use crate::auth::{self, Caller, Presented, Scope};
use crate::query::Query;
use crate::routes::{Access, BodyKind, Route, routes};
use axum::Router;
use axum::body::Body;
use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request};
use axum::response::Response;
use axum::routing::any;
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use notify_core::problem::{Code, Problem};
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Bytes of a form; the one of RFC 8058 has 26.
const FORM_BYTES: usize = 4_096;

/// The whole API as an axum router.
pub fn router(app: Arc<App>) -> Router {
    router_of(app, routes())
}

/// Health, readiness and metrics only: for processes that serve no API.
pub fn operations_router(app: Arc<App>) -> Router {
    let wanted = ["/healthz", "/readyz", "/metrics"];
    router_of(app, routes().into_iter().filter(|route| wanted.contains(&route.path)).collect())
}

fn router_of(app: Arc<App>, offered: Vec<Route>) -> Router {
    let mut places: BTreeMap<&'static str, Vec<Route>> = BTreeMap::new();
    for route in offered {
        places.entry(route.split_verb().0).or_default().push(route);
    }
    let mut router = Router::new();
    for (path, offered) in places {
        let (app, offered): (_, Arc<[Route]>) = (Arc::clone(&app), offered.into());
        router = router.route(
            path,
            any(move |params: Result<Path<Vec<(String, String)>>, PathRejection>, request: Request| {
                enter(Arc::clone(&app), Arc::clone(&offered), params, request)
            }),
        );
    }
    router.fallback(move |request: Request| {
        let app = Arc::clone(&app);
        async move { finish(&app, &name_request(&app, &request), request.method(), Err(no_such_address())) }
    })
}

fn no_such_address() -> Problem {
    Problem::new(
        Code::NotFound,
        "",
        "there is nothing at this address",
        "see `/openapi.json` for what is offered",
    )
}

async fn enter(
    app: Arc<App>,
    offered: Arc<[Route]>,
    params: Result<Path<Vec<(String, String)>>, PathRejection>,
    request: Request,
) -> Response {
    let name = name_request(&app, &request);
    let _under_way = app.counters.enter();
    let method = request.method().clone();
    let Ok(Path(mut params)) = params else {
        let problem = Problem::new(
            Code::InvalidParameter,
            "path",
            "the path is not UTF-8",
            "percent-encode UTF-8 text",
        );
        return finish(&app, &name, &method, Err(problem));
    };
    let verb = take_verb(&mut params);
    let here: Vec<&Route> = offered.iter().filter(|route| route.split_verb().1 == verb.as_deref()).collect();
    let wanted = if method == Method::HEAD { Method::GET } else { method.clone() };
    let answer = match here.iter().find(|route| route.method == wanted) {
        Some(route) => {
            let answer = guarded(&app, route, params, request, &name).await;
            // Neither path nor query: both may hold what a sender should not have put there.
            let status =
                answer.as_ref().map_or_else(|problem| problem.code.status(), |ok| ok.status().as_u16());
            tracing::debug!(request = name, operation = route.operation, status, "answered");
            answer
        }
        None if here.is_empty() => Err(no_such_address()),
        None => {
            let allowed: Vec<_> = here.iter().map(|route| route.method.as_str()).collect();
            let allowed = allowed.join(", ");
            let reason = format!("{method} is not offered here");
            let problem = Problem::new(Code::MethodNotAllowed, "", reason, format!("use {allowed}"));
            let mut response = answer::problem(&problem, Some(&name));
            answer::set(&mut response, header::ALLOW, &allowed);
            Ok(response)
        }
    };
    finish(&app, &name, &method, answer)
}

/// `{id}:verb`: the router sees one segment, so the verb is cut off here. No id of ours contains a colon.
fn take_verb(params: &mut [(String, String)]) -> Option<String> {
    let (_, value) = params.last_mut()?;
    let (id, verb) = value.rsplit_once(':')?;
    let (id, verb) = (id.to_owned(), verb.to_owned());
    *value = id;
    Some(verb)
}

/// Runs a route within the time limit; a panic becomes an answer.
async fn guarded(
    app: &Arc<App>,
    route: &Route,
    params: Vec<(String, String)>,
    request: Request,
    name: &str,
) -> Result<Response, Problem> {
    let work = AssertUnwindSafe(run(app, route, params, request, name)).catch_unwind();
    match tokio::time::timeout(app.limits.request_timeout, work).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => {
            app.counters.panics.inc();
            tracing::error!(request = name, operation = route.operation, "a handler panicked");
            Err(answer::internal())
        }
        Err(_elapsed) => Err(Problem::new(
            Code::Timeout,
            "",
            "the request took longer than the operator allows",
            "send it again; events and writes with an Idempotency-Key are safe to repeat",
        )),
    }
}

async fn run(
    app: &Arc<App>,
    route: &Route,
    params: Vec<(String, String)>,
    request: Request,
    name: &str,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let (mut _place, mut _unverified, mut place) = (None, None, None);
    let caller = match route.access {
        Access::Public => Arc::new(nobody()?),
        Access::AnyOf(scopes) => {
            let caller = match app.authenticator.caller(&parts.headers, app.clock.now())? {
                Presented::Known(caller) => caller,
                Presented::New(caller, digest) => {
                    auth::record_first_use(app, &caller, digest, name).await?;
                    caller
                }
            };
            auth::require(&caller, scopes)?;
            _place = Some(app.counters.enter_tenant(&caller.tenant, app.limits.tenant_requests)?);
            caller
        }
        // Known once the body is here.
        Access::Signed => {
            _unverified = Some(app.publishers.expect_signature(&parts.headers, app.clock.now())?);
            Arc::new(nobody()?)
        }
    };
    let known: Vec<&str> = route.parameters.iter().map(|parameter| parameter.name).collect();
    let query = Query::parse(parts.uri.query(), &known)?;
    let peer = parts.extensions.get::<Peer>().map(|peer| peer.0);
    let body = match route.body {
        BodyKind::None => Bytes::new(),
        BodyKind::Events => {
            read(body, app.limits.events.max_batch_bytes.max(app.limits.events.max_bytes)).await?
        }
        BodyKind::Document => read(body, app.limits.document_bytes).await?,
        BodyKind::Form => {
            let token = params.iter().find(|(name, _)| name == "token").map_or("", |(_, token)| token);
            if !app.pages.admits_form(token, peer, &parts.headers, app.clock.now()) {
                return Ok(crate::pages::too_many(&parts.headers));
            }
            read(body, FORM_BYTES).await?
        }
        BodyKind::RuleSet => {
            let entered = app.counters.applies.enter(&caller.tenant)?;
            let body = read(body, app.limits.apply_bytes).await?;
            // Who sends slowly keeps out nobody else.
            place = Some(entered.begin().await);
            body
        }
    };
    let caller = if route.access == Access::Signed {
        let signed = app.publishers.caller(&parts.headers, &body, app.clock.now())?;
        drop(_unverified.take());
        _place = Some(app.counters.enter_tenant(&signed.tenant, app.limits.tenant_requests)?);
        app.publishers.record_first_use(app, &signed, name).await?;
        Arc::new(signed)
    } else {
        caller
    };
    let call = Call {
        peer,
        app: Arc::clone(app),
        caller,
        method: parts.method,
        path: parts.uri.path().to_owned(),
        params,
        query,
        headers: parts.headers,
        body,
        place,
        request: name.to_owned(),
    };
    (route.handler)(call).await
}

/// The caller of a public route: no tenant's data is behind one, so this one may see none.
fn nobody() -> Result<Caller, Problem> {
    let tenant = notify_core::ids::TenantId::new("nobody").map_err(|_| answer::internal())?;
    let actor = crate::engine::Actor { subject: String::new(), token: String::new() };
    Ok(Caller { tenant, actor, scopes: Vec::<Scope>::new(), expires_at: 0, not_before: 0 })
}

async fn read(body: Body, limit: usize) -> Result<Bytes, Problem> {
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(Problem::new(
            Code::TooLarge,
            "",
            format!("the body has more than the {limit} bytes allowed here"),
            "send less, or ask the operator to raise the limit",
        )),
        Err(_) => {
            Err(Problem::new(Code::MalformedJson, "", "the body ended too early", "send the whole body"))
        }
    }
}

/// The sender's own name for the request if it is short and plain, else a number.
fn name_request(app: &App, request: &Request) -> String {
    let given = request.headers().get(&REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain = |text: &&str| {
        (1..=64).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    match given.filter(plain) {
        Some(given) => given.to_owned(),
        None => format!("r{:x}", app.counters.next_request()),
    }
}

fn finish(app: &App, name: &str, method: &Method, answer: Result<Response, Problem>) -> Response {
    let mut response = answer.unwrap_or_else(|problem| answer::problem(&problem, Some(name)));
    answer::set(&mut response, REQUEST_ID, name);
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    app.counters.answered(response.status());
    if *method == Method::HEAD {
        *response.body_mut() = Body::empty();
    }
    // API answers are for one caller and one moment.
    if !response.headers().contains_key(header::CACHE_CONTROL)
        && response.status() != StatusCode::NOT_MODIFIED
    {
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}
