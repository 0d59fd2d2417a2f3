//! The plain text form, for clients, people and filters that read no HTML.

use crate::content::{Content, Target, Word};
use std::fmt::Write as _;

fn target(out: &mut String, target: &Target) {
    if target.title == target.url {
        let _ = writeln!(out, "- {}", crate::content::line(&target.url));
    } else {
        let _ = writeln!(out, "- {}: {}", target.title, crate::content::line(&target.url));
    }
}

/// Lines end with `\n`; the mail form makes CRLF of them.
#[must_use]
pub fn text(content: &Content, unsubscribe: Option<&str>) -> String {
    let mut out = String::new();
    let label = content.state();
    if label.is_empty() {
        let _ = writeln!(out, "{}", content.title);
    } else {
        let _ = writeln!(out, "[{label}] {}", content.title);
    }
    if !content.summary.is_empty() {
        let _ = writeln!(out, "\n{}", content.summary);
    }
    let body = notify_markup::plain(&content.body);
    if !body.trim().is_empty() {
        let _ = writeln!(out, "\n{}", body.trim_end());
    }
    if content.cut {
        let _ = match &content.alert_url {
            Some(url) => writeln!(out, "\n{}:\n{url}", content.language.say(Word::Cut)),
            None => writeln!(out, "\n{}", content.language.say(Word::CutNoLink)),
        };
    }
    if !content.fields.is_empty() {
        out.push('\n');
        for (name, value) in &content.fields {
            let _ = writeln!(out, "{name}: {}", value.replace('\n', "\n    "));
        }
    }
    if !content.actions.is_empty() || !content.links.is_empty() {
        out.push('\n');
        content.actions.iter().chain(&content.links).for_each(|one| target(&mut out, one));
    }
    let own = [(content.alert_url.as_deref(), Word::ViewInBrowser), (unsubscribe, Word::Unsubscribe)];
    if !content.footer.is_empty() || own.iter().any(|(url, _)| url.is_some()) {
        // The signature's mark: clients fold what follows.
        out.push_str("\n-- \n");
        if !content.footer.is_empty() {
            let _ = writeln!(out, "{}", content.footer);
        }
        for (url, word) in own {
            if let Some(url) = url {
                let _ = writeln!(out, "{}: {url}", content.language.say(word));
            }
        }
    }
    out
}
