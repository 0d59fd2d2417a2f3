//! Addresses: what goes into `MAIL FROM`, `RCPT TO` and headers.
//!
//! Local parts are ASCII dot-atoms (RFC 5321 3.2.3 without the quoted form): an address outside that needs SMTPUTF8 on
//! every server of the way, and a message that is refused at the third hop is worse than a configuration that is refused
//! at once. Domains may be international; they travel in their ASCII form, which every server takes.

use std::fmt;

/// One address, checked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    local: String,
    /// ASCII, lower case.
    domain: String,
    /// As configured, lower case: what opt-outs and unsubscribe links name.
    key: String,
}

impl Address {
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (local, domain) =
            text.rsplit_once('@').ok_or_else(|| "an address has the form name@domain".to_owned())?;
        let atom = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~.".contains(&b);
        if local.is_empty() || local.len() > 64 {
            return Err("the part before @ has 1 to 64 characters".to_owned());
        }
        if !local.is_ascii() {
            return Err("the part before @ has letters beyond ASCII, which few mail servers take".to_owned());
        }
        if !local.bytes().all(atom) || local.starts_with('.') || local.ends_with('.') || local.contains("..")
        {
            return Err("the part before @ has characters that an address cannot have".to_owned());
        }
        let wrong = || "the part after @ is no domain name".to_owned();
        let url::Host::Domain(ascii) = url::Host::parse(domain).map_err(|_| wrong())? else {
            return Err("an IP address is no mail domain".to_owned());
        };
        let label = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if ascii.len() > 253 || local.len() + 1 + ascii.len() > 254 || !ascii.split('.').all(label) {
            return Err(wrong());
        }
        Ok(Self { local: local.to_owned(), domain: ascii, key: text.to_lowercase() })
    }

    #[must_use]
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// What opt-outs name.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// For lettre's commands.
    ///
    /// # Errors
    /// When lettre disagrees with our own check.
    pub fn envelope(&self) -> Result<lettre::Address, String> {
        lettre::Address::new(self.local.as_str(), self.domain.as_str()).map_err(|error| error.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.local, self.domain)
    }
}

/// An address with an optional name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mailbox {
    pub name: Option<String>,
    pub address: Address,
}

impl Mailbox {
    /// `a@b.example` or `Name <a@b.example>`.
    ///
    /// # Errors
    /// Why it is none.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.chars().any(char::is_control) {
            return Err("it contains control characters".to_owned());
        }
        let text = text.trim();
        let Some(inner) = text.strip_suffix('>') else {
            return Ok(Self { name: None, address: Address::parse(text)? });
        };
        let (name, address) = inner.rsplit_once('<').ok_or_else(|| "`<` is missing".to_owned())?;
        let name = name.trim().trim_matches('"').trim();
        if name.chars().count() > 128 {
            return Err("the name is longer than 128 characters".to_owned());
        }
        let name = (!name.is_empty()).then(|| notify_markup::honest(name).into_owned());
        Ok(Self { name, address: Address::parse(address)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let check = |text: &str, expected: Result<&str, &str>| {
            let got = Address::parse(text).map(|address| address.to_string());
            match expected {
                Ok(shown) => assert_eq!(got.as_deref(), Ok(shown), "{text}"),
                Err(part) => assert!(got.clone().is_err_and(|e| e.contains(part)), "{text}: {got:?}"),
            }
        };
        check("ops@example.com", Ok("ops@example.com"));
        check("First.Last+tag@Example.COM", Ok("First.Last+tag@example.com"));
        check("ops@bücher.example", Ok("ops@xn--bcher-kva.example"));
        check("root@localhost", Ok("root@localhost"));
        check("jörg@example.com", Err("beyond ASCII"));
        check("a b@example.com", Err("characters"));
        check("a\r\nb@example.com", Err("characters"));
        check("a@b@example.com", Err("characters"));
        check("a@[127.0.0.1]", Err("domain"));
        check("a@127.0.0.1", Err("IP address"));
        check("a@exa mple.com", Err("domain"));
        check("a@example.com\r\nRCPT TO:<x@y>", Err("characters"));
        check("a@example.com\r\nRCPT TO:x", Err("domain"));
        check("a@example.com\0", Err("domain"));
        check("@example.com", Err("1 to 64"));
        check(&format!("{}@example.com", "x".repeat(65)), Err("1 to 64"));
        check(".a@example.com", Err("characters"));
        check("a@-x.example", Err("domain"));
        check("nobody", Err("name@domain"));
        assert_eq!(Address::parse("Ops@Example.com").unwrap().key(), "ops@example.com");
    }

    #[test]
    fn what_we_take_lettre_takes() {
        for text in [
            "ops@example.com",
            "a!#$%&'*+-/=?^_`{|}~b@x.example",
            "root@localhost",
            "a_b@under_score.example",
        ] {
            assert!(Address::parse(text).unwrap().envelope().is_ok(), "{text}");
        }
    }

    #[test]
    fn mailboxes() {
        let check = |text: &str, name: Option<&str>, address: &str| {
            let got = Mailbox::parse(text).unwrap();
            assert_eq!((got.name.as_deref(), got.address.to_string().as_str()), (name, address), "{text}");
        };
        check("a@b.example", None, "a@b.example");
        check("Notify Studio <a@b.example>", Some("Notify Studio"), "a@b.example");
        check("\"Büro, Süd\" <a@b.example>", Some("Büro, Süd"), "a@b.example");
        check("<a@b.example>", None, "a@b.example");
        for bad in ["a@b.example>", "X\r\nBcc: y <a@b.example>", "X <a>", ""] {
            assert!(Mailbox::parse(bad).is_err(), "{bad:?}");
        }
    }
}
