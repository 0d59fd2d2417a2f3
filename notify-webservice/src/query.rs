//! Query parameters: each route names those it knows, any other is refused.

use notify_core::problem::{Code, Problem};
use std::str::FromStr;

/// The decoded parameters of one request.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

/// Rows in a page when none or how many is asked for.
const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 500;

impl Query {
    /// # Errors
    /// `invalid-parameter` on an unknown or repeated one.
    pub fn parse(raw: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
            if !known.contains(&name.as_ref()) {
                let offered = if known.is_empty() {
                    "this address takes no parameters".to_owned()
                } else {
                    format!("known here: {}", known.join(", "))
                };
                return Err(Problem::new(
                    Code::InvalidParameter,
                    name.as_ref(),
                    format!("the parameter `{}` is not known", name.escape_default()),
                    offered,
                ));
            }
            if pairs.iter().any(|(seen, _)| *seen == name) {
                return Err(Problem::new(
                    Code::InvalidParameter,
                    name.as_ref(),
                    format!("the parameter `{name}` is given twice"),
                    "give it once",
                ));
            }
            pairs.push((name.into_owned(), value.into_owned()));
        }
        Ok(Self(pairs))
    }

    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Names and values of all parameters but these, in order of their names.
    #[must_use]
    pub fn others(&self, but: &[&str]) -> Vec<(String, String)> {
        let mut found: Vec<_> = self.0.iter().filter(|(name, _)| !but.contains(&&**name)).cloned().collect();
        found.sort();
        found
    }

    /// # Errors
    /// `invalid-parameter` when it is there and does not parse.
    pub fn get<T: FromStr>(&self, name: &str, expected: &str) -> Result<Option<T>, Problem> {
        let Some(text) = self.text(name) else { return Ok(None) };
        text.parse().map(Some).map_err(|_| {
            Problem::new(
                Code::InvalidParameter,
                name,
                format!("`{}` is not {expected}", text.escape_default()),
                format!("give {expected}"),
            )
        })
    }

    /// `limit` and `pageToken`. A token is opaque: the store's own, checked by it.
    ///
    /// # Errors
    /// `invalid-parameter`, `invalid-page-token`.
    pub fn page(&self) -> Result<notify_store::model::Page, Problem> {
        let limit = self.get::<u32>("limit", "a number from 1 to 500")?.unwrap_or(DEFAULT_LIMIT);
        if !(1..=MAX_LIMIT).contains(&limit) {
            return Err(Problem::new(
                Code::InvalidParameter,
                "limit",
                format!("`{limit}` is not a number from 1 to {MAX_LIMIT}"),
                "ask for less and follow `nextPageToken`",
            ));
        }
        let after = self.text("pageToken").map(str::to_owned);
        if after.as_ref().is_some_and(|token| token.is_empty() || token.len() > 512) {
            return Err(Problem::new(
                Code::InvalidPageToken,
                "pageToken",
                "this is no page token of ours",
                "give `nextPageToken` of the page before, unchanged",
            ));
        }
        Ok(notify_store::model::Page { limit, after })
    }
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn refuses_what_it_does_not_know() {
        let check = |raw: &str, expected: &str| {
            let outcome = Query::parse(Some(raw), &["limit", "pageToken"]).and_then(|query| query.page());
            let shown = match outcome {
                Ok(page) => format!("{} {:?}", page.limit, page.after),
                Err(problem) => format!("{} {}", problem.code, problem.path),
            };
            assert_eq!(shown, expected, "{raw}");
        };
        check("", "50 None");
        check("limit=7&pageToken=a%20b", "7 Some(\"a b\")");
        check("limit=0", "invalid-parameter limit");
        check("limit=501", "invalid-parameter limit");
        check("limit=x", "invalid-parameter limit");
        check("limit=1&limit=2", "invalid-parameter limit");
        check("pagetoken=x", "invalid-parameter pagetoken");
        check("pageToken=", "invalid-page-token pageToken");
    }
}
