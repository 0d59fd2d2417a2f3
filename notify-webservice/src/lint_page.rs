//! `docs/lint.md`, generated from the table of codes.

use notify_core::lint::Code;
use std::fmt::Write;

/// The page.
#[must_use]
pub fn page() -> String {
    let mut out = String::from(
        "# Lint\n\n\
         <!-- Generated from notify-core/src/lint/code.rs: UPDATE_DOCS=1 cargo test -p notify-webservice -->\n\n\
         `notify rule lint FILE…` looks at rule files without a service; folders are searched for `.yaml`, `.yml` and \
         `.json`. Event types come from `--schema FILE`, and from event-type documents among the files. \
         `notify rule lint` without a file, and `POST /api/v1/notify/rules:lint`, look at the tenant's saved rules with \
         its registered event types; `--online FILE…`, and a `rule` in the body, judge a rule as if it were saved among \
         them. The service works on one such request of a tenant at a time (429 for the second), and on one of all \
         tenants.\n\n\
         Lint refuses nothing. What it says is certain for every event that intake accepts; what it does not see may \
         still be. Each finding has a stable `code`, a `severity`, a `path` (JSON Pointer into the rule), a `reason` and \
         a `fix`; `otherRule` names the rule that covers or repeats it. At most 20 findings of a code are listed for one \
         rule. Status 1 when a finding is an error, with `--strict` also for warnings; else 0.\n\n\
         Rules are compared with each other through what they have in common: one that covers another names the same \
         field with at least the same values. Each rule is looked up by the rarest value of its clauses, so thousands of \
         rules of one type are not compared pair by pair; after 20,000,000 steps it ends with `comparison-limit`.\n\n\
         | code | severity | what | when |\n|---|---|---|---|\n",
    );
    for code in Code::ALL {
        let _ = writeln!(out, "| `{code}` | {} | {} | {} |", code.level(), code.title(), code.about());
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_published_page_is_current() {
        crate::snapshot::check("docs/lint.md", &super::page());
    }
}
