//! Channels of type `console`: the studio's own inboxes. They need no plug-in and send nothing anywhere.

use super::channel::{CONSOLE, INBOX};
use super::{Channel, Version, parse_channel};
use crate::json::pointer_token;
use crate::problem::{Code, Problem};
use serde_json::json;
use std::sync::LazyLock;

/// Days that an item may be kept.
pub const MOST_DAYS: u16 = 3_650;

impl Channel {
    /// Whether what is sent here goes into an inbox of the studio.
    #[must_use]
    pub fn is_console(&self) -> bool {
        self.r#type == CONSOLE
    }

    /// Days that an inbox keeps its items, where it says so itself.
    #[must_use]
    pub fn retain_days(&self) -> Option<u16> {
        let days = self.config.get("retainDays")?.as_u64()?;
        u16::try_from(days).ok().filter(|days| (1..=MOST_DAYS).contains(days))
    }
}

/// The channel that every tenant has without a document, at version 0.
#[must_use]
pub fn built_in() -> Option<Version<Channel>> {
    static MADE: LazyLock<Option<Version<Channel>>> = LazyLock::new(|| {
        let document = json!({
            "schema": super::channel::SCHEMA,
            "id": INBOX,
            "name": "Inbox",
            "description": "The studio's own inbox: `notify inbox list`. Every tenant has it.",
            "type": CONSOLE,
        });
        let (document, _, digest) = parse_channel(&document).ok()?;
        Some(Version { version: 0, digest, document })
    });
    MADE.clone()
}

/// # Errors
/// [`Code::InvalidChannel`] when a channel of type `console` says what none can say.
pub fn check_console(channel: &Channel) -> Result<(), Problem> {
    let wrong =
        |path: String, reason: String, fix: &str| Problem::new(Code::InvalidChannel, path, reason, fix);
    if let Some(name) = channel.secrets.keys().next() {
        return Err(wrong(
            format!("/secrets/{}", pointer_token(name)),
            "channels of type `console` have no secrets".to_owned(),
            "leave `secrets` out: nothing is sent anywhere",
        ));
    }
    if let Some(name) = channel.config.keys().find(|name| *name != "retainDays") {
        return Err(wrong(
            format!("/config/{}", pointer_token(name)),
            format!("channels of type `console` have no setting `{}`", name.escape_default()),
            "use `retainDays`, or leave `config` out",
        ));
    }
    if channel.config.contains_key("retainDays") && channel.retain_days().is_none() {
        return Err(wrong(
            "/config/retainDays".to_owned(),
            format!("`retainDays` is not a whole number from 1 to {MOST_DAYS}"),
            "write the days that items are kept, such as 30",
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn the_built_in_channel_is_a_right_one() {
        let own = built_in().unwrap();
        assert_eq!((own.version, own.document.id.as_str(), own.document.enabled), (0, INBOX, true));
        assert!(super::super::channel::is_builtin_channel(own.document.id.as_str()));
        assert_eq!(check_console(&own.document), Ok(()));
    }

    #[test]
    fn what_a_console_may_say() {
        let check = |config: Value, secrets: Value, expected: &str| {
            let channel = json!({
                "schema": "notify-channel@1", "id": "c", "name": "C", "type": "console", "config": config, "secrets": secrets,
            });
            let channel: Channel = serde_json::from_value(channel).unwrap();
            let found = check_console(&channel).err().map(|problem| problem.path).unwrap_or_default();
            assert_eq!(found, expected, "{channel:?}");
        };
        check(json!({}), json!({}), "");
        check(json!({"retainDays": 1}), json!({}), "");
        check(json!({"retainDays": 3650}), json!({}), "");
        for wrong in [json!(0), json!(3651), json!("7"), json!(1.5), json!(-1), json!(null)] {
            check(json!({"retainDays": wrong}), json!({}), "/config/retainDays");
        }
        check(json!({"url/x": 1}), json!({}), "/config/url~1x");
        check(json!({}), json!({"token": ["secret://env/X"]}), "/secrets/token");
    }
}
