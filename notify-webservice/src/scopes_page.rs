//! `docs/scopes.md`, generated from the route table: who may do what.

use crate::auth::Scope;
use crate::routes::{Access, routes};
use std::fmt::Write;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Scopes\n\n\
         <!-- Generated from notify-webservice/src/routes: UPDATE_DOCS=1 cargo test -p notify-webservice -->\n\n\
         Who may do what. A token holds one or more scopes; without the right one the answer is 403 `forbidden`, without\n\
         a token 401. `signed` takes no token: the body is signed (Standard Webhooks). An id of another tenant is answered\n\
         404, as one that nobody has.\n\n\
         | route |",
    );
    for scope in Scope::ALL {
        let _ = write!(out, " {} |", scope.as_str().trim_start_matches("notify."));
    }
    out.push_str("\n|---|---|---|---|---|---|\n");
    for route in routes() {
        let _ = write!(out, "| `{} {}` |", route.method, route.path);
        for held in Scope::ALL {
            let may = match route.access {
                Access::Public => "yes",
                Access::Signed => "signed",
                Access::AnyOf(needed) if needed.iter().any(|needed| held.includes(*needed)) => "yes",
                Access::AnyOf(_) => "–",
            };
            let _ = write!(out, " {may} |");
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_page_is_current() {
        crate::snapshot::check("docs/scopes.md", &super::page());
    }
}
