//! What a mail server's answer means for one recipient, and for the rest of them.

/// Where in the dialogue it went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    Connect,
    Tls,
    Hello,
    Auth,
    Sender,
    Recipient,
    /// DATA, up to the final dot.
    Data,
    /// After the final dot was sent: without an answer nobody knows whether it was taken.
    Taken,
}

impl Stage {
    const fn text(self) -> &'static str {
        match self {
            Self::Connect => "connecting",
            Self::Tls => "TLS",
            Self::Hello => "the greeting",
            Self::Auth => "signing in",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Taken => "the end of the message",
        }
    }
}

/// A failed step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub stage: Stage,
    /// The server's code; none when it did not answer.
    pub code: Option<u16>,
    /// RFC 3463, such as 5.1.1.
    pub status: Option<(u8, u16, u16)>,
    /// For people.
    pub text: String,
    /// The configuration is wrong whatever the code says.
    pub config: bool,
}

/// What follows from a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// This recipient may work later; others may work now.
    RetryRecipient,
    /// Nothing works at the moment.
    RetryAll,
    /// We are too fast, or too much.
    Throttled,
    /// This recipient will never work.
    Refused,
    /// The server will not take it from us for this recipient: a rule, not a wrong address.
    Policy,
    /// This message will never be taken.
    Message,
    /// The channel's configuration is wrong.
    Config,
}

/// The first enhanced status code of a reply's text.
#[must_use]
pub fn status_of(text: &str) -> Option<(u8, u16, u16)> {
    text.split(|c: char| c.is_whitespace() || c == ',').take(12).find_map(|word| {
        let mut parts = word.split('.');
        let (class, subject, detail) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || class.len() != 1 || subject.len() > 3 || detail.len() > 3 {
            return None;
        }
        let class: u8 = class.parse().ok()?;
        matches!(class, 2 | 4 | 5).then_some((class, subject.parse().ok()?, detail.parse().ok()?))
    })
}

impl Fault {
    pub fn local(stage: Stage, text: impl Into<String>) -> Self {
        Self { stage, code: None, status: None, text: text.into(), config: false }
    }

    pub fn config(stage: Stage, text: impl Into<String>) -> Self {
        Self { config: true, ..Self::local(stage, text) }
    }

    /// From lettre's error, which hides code and text behind its `Display`.
    #[must_use]
    pub fn of(stage: Stage, error: &lettre::transport::smtp::Error) -> Self {
        let mut text = String::new();
        let mut kind = None;
        let mut source = std::error::Error::source(error);
        while let Some(inner) = source {
            text = inner.to_string();
            kind = inner.downcast_ref::<std::io::Error>().map(std::io::Error::kind).or(kind);
            source = inner.source();
        }
        let code = error.status().and_then(|code| code.to_string().parse().ok());
        let text = crate::content::line(&text);
        let text = notify_markup::cut_chars(&text, 300).text.to_owned();
        let status = code.and_then(|_| status_of(&text));
        // Some servers repeat the line they refuse, and that one holds the password.
        let text = match (stage, status, kind) {
            (Stage::Auth, Some((class, subject, detail)), _) => format!("{class}.{subject}.{detail}"),
            (Stage::Auth, None, Some(kind)) if code.is_none() => kind.to_string(),
            (Stage::Auth, None, _) if code.is_none() => "an answer that cannot be read".to_owned(),
            (Stage::Auth, None, _) => "refused".to_owned(),
            _ => text,
        };
        Self { stage, code, status, text, config: false }
    }

    /// Nobody knows whether the message was taken.
    #[must_use]
    pub fn in_doubt(&self) -> bool {
        self.stage == Stage::Taken && self.code.is_none()
    }

    /// The connection cannot be used any further.
    #[must_use]
    pub fn breaks(&self) -> bool {
        self.code.is_none() || self.code == Some(421)
    }

    /// Once the server has taken the sender, an answer is about the recipient or this one message, whatever its code.
    #[must_use]
    pub fn of_recipient(&self) -> bool {
        matches!(self.stage, Stage::Recipient | Stage::Data | Stage::Taken) && !self.breaks()
    }

    #[must_use]
    pub fn meaning(&self) -> Meaning {
        if self.config {
            return Meaning::Config;
        }
        let Some(code) = self.code else { return Meaning::RetryAll };
        let (subject, detail) = self.status.map_or((0, 0), |(_, subject, detail)| (subject, detail));
        if (400..500).contains(&code) {
            return self.transient(code, subject);
        }
        match (self.stage, code) {
            (_, 530 | 534 | 535 | 538) if self.of_recipient() => Meaning::Policy,
            (_, 530 | 534 | 535 | 538) | (Stage::Auth, _) => Meaning::Config,
            // Some answer so while they are overloaded or dislike our address: an operator can mend it.
            (Stage::Connect | Stage::Tls | Stage::Hello, _) => Meaning::RetryAll,
            (_, 552) | (Stage::Data | Stage::Taken, _) if self.stage != Stage::Recipient => Meaning::Message,
            (Stage::Sender, _) if (subject, detail) == (3, 4) => Meaning::Message,
            (Stage::Sender, _) => Meaning::Config,
            (Stage::Recipient, _) if subject == 7 => Meaning::Policy,
            _ => Meaning::Refused,
        }
    }

    fn transient(&self, code: u16, subject: u16) -> Meaning {
        let text = self.text.to_ascii_lowercase();
        let grey = text.contains("greylist") || text.contains("graylist");
        let slow = ["rate limit", "too many", "too fast", "slow down", "throttl"];
        // 4.2: the mailbox.
        let mailbox = self.stage == Stage::Recipient && (grey || subject == 2);
        let slow = !grey && (code == 452 || subject == 7 || slow.iter().any(|words| text.contains(words)));
        match self.of_recipient() {
            _ if slow && !mailbox && self.stage != Stage::Auth => Meaning::Throttled,
            true => Meaning::RetryRecipient,
            false => Meaning::RetryAll,
        }
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.in_doubt() {
            return write!(
                f,
                "the connection ended after the message was sent, before the server's answer: {}",
                self.text
            );
        }
        match self.code {
            Some(code) => write!(f, "{}: {code} {}", self.stage.text(), self.text),
            None => write!(f, "{}: {}", self.stage.text(), self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_mean() {
        use Meaning as M;
        use Stage as S;
        let check = |stage: Stage, code: u16, text: &str, expected: Meaning| {
            let fault =
                Fault { stage, code: Some(code), status: status_of(text), text: text.into(), config: false };
            assert_eq!(fault.meaning(), expected, "{stage:?} {code} {text}");
        };
        check(S::Recipient, 550, "5.1.1 no such user", M::Refused);
        check(S::Recipient, 550, "no such user", M::Refused);
        check(S::Recipient, 553, "5.1.3 bad address", M::Refused);
        check(S::Recipient, 552, "5.2.2 mailbox full", M::Refused);
        check(S::Recipient, 554, "5.7.1 <x@y>: Relay access denied", M::Policy);
        check(S::Recipient, 450, "4.2.0 greylisted, try later", M::RetryRecipient);
        check(S::Recipient, 451, "4.7.1 Greylisting in action", M::RetryRecipient);
        check(S::Recipient, 450, "4.7.1 too many messages", M::Throttled);
        check(S::Recipient, 452, "4.2.2 mailbox full", M::RetryRecipient);
        check(S::Recipient, 452, "4.5.3 too many recipients", M::Throttled);
        check(S::Recipient, 421, "4.3.2 shutting down", M::RetryAll);
        check(S::Recipient, 450, "mailbox busy", M::RetryRecipient);
        check(S::Recipient, 530, "5.7.0 Authentication required", M::Policy);
        check(S::Recipient, 535, "sign in first", M::Policy);
        check(S::Taken, 538, "5.7.11 encryption needed", M::Policy);
        check(S::Sender, 530, "5.7.0 Must issue a STARTTLS command first", M::Config);
        check(S::Sender, 553, "5.7.1 Sender address rejected: not owned by user", M::Config);
        check(S::Sender, 552, "5.3.4 message too big", M::Message);
        check(S::Sender, 451, "4.3.0 try again", M::RetryAll);
        check(S::Sender, 452, "4.3.1 insufficient storage", M::Throttled);
        check(S::Sender, 421, "4.7.0 rate limit", M::Throttled);
        check(S::Auth, 535, "5.7.8 bad credentials", M::Config);
        check(S::Auth, 454, "4.7.0 temporary", M::RetryAll);
        check(S::Auth, 504, "unknown mechanism", M::Config);
        check(S::Data, 554, "5.6.0 content rejected", M::Message);
        check(S::Taken, 552, "5.3.4 too big", M::Message);
        check(S::Taken, 554, "5.7.1 spam", M::Message);
        check(S::Taken, 451, "4.3.0 queue file write error", M::RetryRecipient);
        check(S::Data, 450, "try later", M::RetryRecipient);
        check(S::Taken, 421, "4.3.2 shutting down", M::RetryAll);
        check(S::Hello, 554, "no service", M::RetryAll);
        check(S::Hello, 421, "too busy", M::RetryAll);
        assert_eq!(Fault::local(S::Taken, "cut").meaning(), M::RetryAll);
        assert!(Fault::local(S::Taken, "cut").in_doubt() && !Fault::local(S::Data, "cut").in_doubt());
        assert_eq!(Fault::config(S::Connect, "refused").meaning(), M::Config);
    }

    #[test]
    fn statuses() {
        let check = |text: &str, expected| assert_eq!(status_of(text), expected, "{text}");
        check("5.1.1 <x>: gone", Some((5, 1, 1)));
        check("requested action 4.7.28 rate", Some((4, 7, 28)));
        check("1.2.3.4 is blocked", None);
        check("192.0.2.1 says 5.7.1", Some((5, 7, 1)));
        check("3.1.1", None);
        check("", None);
    }
}
