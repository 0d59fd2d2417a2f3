//! The service's client, with errors as this program prints them.

use crate::args::Global;
use crate::failure::Failure;
use notify_core::problem::{Code, Problem};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use std::ops::Deref;

pub use notify_client::{Answered, segment};

/// [`notify_client::Client`] from the command line's address and token. The methods here are its untyped ones; the typed
/// ones come through `Deref`, and `?` turns their errors.
pub struct Client(notify_client::Client);

impl Deref for Client {
    type Target = notify_client::Client;
    fn deref(&self) -> &notify_client::Client {
        &self.0
    }
}

impl Client {
    /// # Errors
    /// When the address is none.
    pub fn new(global: &Global) -> Result<Self, Failure> {
        Ok(Self(notify_client::Client::new(&global.url, global.token.clone())?))
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.0.request(method, path)
    }

    /// Sends; a status below 400 is success.
    ///
    /// # Errors
    /// The service's own problem, or that it cannot be reached.
    pub async fn send(&self, request: RequestBuilder) -> Result<Answered, Failure> {
        Ok(self.0.send(request).await?)
    }

    /// `GET`, JSON.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn get(&self, path: &str) -> Result<Value, Failure> {
        Ok(self.0.get(path).await?)
    }

    /// Follows pages until `limit` items are there.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn all(&self, path: &str, query: &[(&str, &str)], limit: u32) -> Result<Vec<Value>, Failure> {
        Ok(self.0.all(path, query, limit).await?)
    }
}

impl From<notify_client::Error> for Failure {
    fn from(error: notify_client::Error) -> Self {
        use notify_client::Error;
        let fix = match &error {
            Error::Problem(problem) => return from_problem(problem),
            Error::Address(_) => {
                let fix = "give --url or NOTIFY_URL like http://127.0.0.1:8650";
                return Self::usage(error.to_string(), fix);
            }
            Error::Unreachable { .. } => "start it with `notify serve`, or set NOTIFY_URL",
            Error::BrokenOff(_) => "try again",
            Error::TooLarge => "ask for less with --limit",
            Error::Status(_) => "is there another program, or a proxy, at this address?",
            Error::Unexpected(_) => "is it Notify Studio?",
            Error::Setup(_) => "",
        };
        Self::other(error.to_string(), fix)
    }
}

fn from_problem(problem: &notify_client::Problem) -> Failure {
    let code: Result<Code, _> = serde_json::from_value(problem.code.clone().into());
    match code {
        Ok(code) => Problem::new(code, &problem.path, &problem.detail, &problem.fix).into(),
        // A service that is newer than this program.
        Err(_) => Failure::other(format!("{}: {}", problem.code, problem.detail), problem.fix.clone()),
    }
}

/// A problem document as a problem.
#[must_use]
pub fn problem_of(body: &Value) -> Option<Problem> {
    let text = |name: &str| body.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let code: Code = serde_json::from_value(body.get("code")?.clone()).ok()?;
    Some(Problem::new(code, text("path"), text("detail"), text("fix")))
}
