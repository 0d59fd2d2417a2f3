//! The few words that connectors add to a message, in its language. English where there is no translation.

use crate::message::{Message, Severity};

/// The words of one language.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Words {
    german: bool,
    /// Title of the link to the whole alert, where something was cut.
    pub full_alert: &'static str,
    /// What a resolved incident is called.
    pub resolved: &'static str,
}

const ENGLISH: Words = Words { german: false, full_alert: "Show the full alert", resolved: "Resolved" };
const GERMAN: Words = Words { german: true, full_alert: "Ganzen Alarm anzeigen", resolved: "Behoben" };

impl Words {
    /// Those of the message's language.
    #[must_use]
    pub fn of(message: &Message) -> &'static Self {
        let language = message.locale.split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") { &GERMAN } else { &ENGLISH }
    }

    /// A severity's name; empty for none.
    #[must_use]
    pub const fn severity(&self, severity: Severity) -> &'static str {
        match (severity, self.german) {
            (Severity::None, _) => "",
            (Severity::Info, false) => "Info",
            (Severity::Low, false) => "Low",
            (Severity::Medium, false) => "Medium",
            (Severity::High, false) => "High",
            (Severity::Critical, false) => "Critical",
            (Severity::Blocker, _) => "Blocker",
            (Severity::Info, true) => "Hinweis",
            (Severity::Low, true) => "Niedrig",
            (Severity::Medium, true) => "Mittel",
            (Severity::High, true) => "Hoch",
            (Severity::Critical, true) => "Kritisch",
        }
    }
}
