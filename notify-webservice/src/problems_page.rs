//! `docs/problems.md`, generated from the table of codes.

use crate::answer::PROBLEM_TYPE;
use notify_core::problem::Code;
use std::fmt::Write;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Problems\n\n\
         <!-- Generated from notify-core/src/problem.rs: UPDATE_DOCS=1 cargo test -p notify-webservice -->\n\n\
         Errors are [RFC 9457](https://www.rfc-editor.org/rfc/rfc9457) documents, `application/problem+json`:\n\n\
         | member | meaning |\n|---|---|\n",
    );
    let _ = writeln!(out, "| `type` | `{PROBLEM_TYPE}<code>` |");
    out.push_str(
        "| `title`, `status` | as in the table below |\n\
         | `code` | stable; what programs should look at |\n\
         | `detail` | the reason, for people; may change |\n\
         | `path` | JSON Pointer into what was sent, or the name of a header or parameter; absent for the whole |\n\
         | `fix` | what the sender can do |\n\
         | `instance` | names the request in the operator's logs; also the `x-request-id` header |\n\n\
         The CLI prints the same reason, place and fix.\n\n\
         | code | status | title |\n|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(out, "| `{code}` | {} | {} |", code.status(), code.title());
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_page_is_current() {
        crate::snapshot::check("docs/problems.md", &super::page());
    }
}
