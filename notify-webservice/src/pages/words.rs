//! What the pages say, in the languages of the studio.

use notify_core::severity::Severity;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    German,
}

impl Language {
    /// Of a BCP 47 tag; English for what is not spoken here.
    #[must_use]
    pub fn of(tag: &str) -> Self {
        let language = tag.trim().split(['-', '_']).next().unwrap_or_default();
        if language.eq_ignore_ascii_case("de") { Self::German } else { Self::English }
    }

    #[must_use]
    pub const fn words(self) -> &'static Words {
        match self {
            Self::English => &ENGLISH,
            Self::German => &GERMAN,
        }
    }
}

/// Every text of the pages. What is longer than a label is a sentence for people who do not know the product.
#[derive(Debug)]
pub struct Words {
    pub tag: &'static str,
    pub severities: [&'static str; 7],
    pub details: &'static str,
    pub links: &'static str,
    pub actions: &'static str,
    pub attachments: &'static str,
    pub about: &'static str,
    pub event: &'static str,
    pub source: &'static str,
    pub subject: &'static str,
    pub time: &'static str,
    pub sent: &'static str,
    pub delivery: &'static str,
    /// Before a time.
    pub good_until: &'static str,
    pub unknown: Page,
    pub expired: Page,
    pub gone: Page,
    pub too_many: Page,
    pub too_often: Page,
    pub broken: Page,
    pub ask: Page,
    /// Button.
    pub unsubscribe: &'static str,
    pub out: Page,
    /// Button.
    pub resubscribe: &'static str,
    pub back: Page,
    pub not_listed: Page,
    pub bad_form: Page,
}

/// Heading and sentence.
#[derive(Debug, Clone, Copy)]
pub struct Page(pub &'static str, pub &'static str);

impl Words {
    #[must_use]
    pub fn severity(&self, severity: Severity) -> &'static str {
        self.severities.get(severity as usize).copied().unwrap_or_default()
    }
}

static ENGLISH: Words = Words {
    tag: "en",
    severities: ["Notice", "Info", "Low", "Medium", "High", "Critical", "Blocker"],
    details: "Details",
    links: "Links",
    actions: "What you can do",
    attachments: "Attachments",
    about: "About this alert",
    event: "Event",
    source: "Source",
    subject: "Subject",
    time: "Happened",
    sent: "Decided",
    delivery: "Delivery",
    good_until: "Whoever has this link can read this page until",
    unknown: Page(
        "This link does not work",
        "It was cut off, changed, or is not one of ours. Open it again from the message that you got it with.",
    ),
    expired: Page(
        "This link has expired",
        "Links to alerts work for a limited time. Whoever runs your alerts can still look it up.",
    ),
    gone: Page("This alert is no longer kept", "The link was right, but its time of storage is over."),
    too_many: Page("Too many requests", "Wait a minute, then open the link again."),
    too_often: Page(
        "Not more often today",
        "You have changed this very often today, and nothing was changed now. Try again tomorrow.",
    ),
    broken: Page("This page cannot be shown now", "The fault is on our side. Try again in a moment."),
    ask: Page(
        "Unsubscribe?",
        "You will get no more alerts of this channel at the address that this link was sent to.",
    ),
    unsubscribe: "Unsubscribe",
    out: Page("You are unsubscribed", "You will get no more alerts of this channel at this address."),
    resubscribe: "Subscribe again",
    back: Page("You are subscribed again", "Alerts of this channel are sent to this address as before."),
    not_listed: Page("You are not on the list", "This channel sends no alerts to this address any more."),
    bad_form: Page(
        "Nothing was changed",
        "The request did not say what to do. Use the button on the page of the link.",
    ),
};

static GERMAN: Words = Words {
    tag: "de",
    severities: ["Hinweis", "Info", "Niedrig", "Mittel", "Hoch", "Kritisch", "Blockierend"],
    details: "Einzelheiten",
    links: "Links",
    actions: "Was Sie tun können",
    attachments: "Anhänge",
    about: "Zu dieser Meldung",
    event: "Ereignis",
    source: "Quelle",
    subject: "Gegenstand",
    time: "Geschehen",
    sent: "Entschieden",
    delivery: "Zustellung",
    good_until: "Wer diesen Link hat, kann diese Seite lesen bis",
    unknown: Page(
        "Dieser Link funktioniert nicht",
        "Er wurde abgeschnitten, verändert oder ist keiner von uns. Öffnen Sie ihn noch einmal aus der Nachricht, mit der Sie ihn bekommen haben.",
    ),
    expired: Page(
        "Dieser Link ist abgelaufen",
        "Links zu Meldungen gelten eine begrenzte Zeit. Wer Ihre Meldungen betreibt, kann sie weiterhin nachsehen.",
    ),
    gone: Page(
        "Diese Meldung wird nicht mehr aufbewahrt",
        "Der Link war richtig, aber die Zeit der Aufbewahrung ist vorbei.",
    ),
    too_many: Page("Zu viele Anfragen", "Warten Sie eine Minute und öffnen Sie den Link dann noch einmal."),
    too_often: Page(
        "Heute nicht noch öfter",
        "Sie haben das heute sehr oft geändert; jetzt wurde nichts geändert. Versuchen Sie es morgen wieder.",
    ),
    broken: Page(
        "Diese Seite kann gerade nicht gezeigt werden",
        "Der Fehler liegt bei uns. Versuchen Sie es gleich noch einmal.",
    ),
    ask: Page(
        "Abmelden?",
        "Sie bekommen dann keine Meldungen dieses Kanals mehr an die Adresse, an die dieser Link geschickt wurde.",
    ),
    unsubscribe: "Abmelden",
    out: Page("Sie sind abgemeldet", "Sie bekommen keine Meldungen dieses Kanals mehr an diese Adresse."),
    resubscribe: "Wieder anmelden",
    back: Page("Sie sind wieder angemeldet", "Meldungen dieses Kanals gehen wie bisher an diese Adresse."),
    not_listed: Page(
        "Sie stehen nicht auf der Liste",
        "Dieser Kanal schickt keine Meldungen mehr an diese Adresse.",
    ),
    bad_form: Page(
        "Nichts wurde geändert",
        "Die Anfrage sagte nicht, was zu tun ist. Benutzen Sie den Knopf auf der Seite des Links.",
    ),
};
