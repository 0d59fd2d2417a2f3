//! What rules, channels, contacts and the policy say of noise control (DESIGN section 6).

use crate::duration::Length;
use crate::ids::{CalendarId, RuleId, TemplateId};
use crate::severity::Severity;
use serde::{Deserialize, Serialize};

/// A control that is set, or switched off by name: `throttle: off`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Setting<T> {
    Off(Off),
    On(T),
}

impl<T> Setting<T> {
    /// What is set, if it is.
    #[must_use]
    pub const fn on(&self) -> Option<&T> {
        match self {
            Self::Off(_) => None,
            Self::On(set) => Some(set),
        }
    }
}

/// The word `off`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Off {
    Off,
}

/// The same alert again within the window is not sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Dedupe {
    /// JSON Pointers into the event; alerts with equal values are the same. An absent value is null.
    pub key: Vec<String>,
    /// From the first of them on; repeats do not stretch it.
    pub window: Length,
}

/// At most `limit` at once and `limit` per `per` in the long run, for each value of the key (GCRA).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Throttle {
    /// JSON Pointers into the event; empty: one bucket for the action.
    #[serde(default)]
    pub key: Vec<String>,
    pub limit: u32,
    pub per: Length,
    #[serde(default)]
    pub overflow: Overflow,
}

/// Where alerts above a limit go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overflow {
    #[default]
    Digest,
    Drop,
}

/// Alerts are collected and sent as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Digest {
    /// JSON Pointers into the event: one digest for each of their values; empty: one for the action.
    #[serde(default)]
    pub key: Vec<String>,
    #[serde(default)]
    pub mode: DigestMode,
    /// Length of the window; not with `mode: schedule`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<Length>,
    /// `mode: sliding`: the window ends this long after its first alert at the latest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cap: Option<Length>,
    /// `mode: look-back`: an alert is sent at once unless one came within this time before it; absent: `window`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_back: Option<Length>,
    /// `mode: schedule`: sent when the next window of this calendar begins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<CalendarId>,
    /// The first alert is sent at once, and opens the window for those after it.
    #[serde(default, skip_serializing_if = "is_false")]
    pub leading: bool,
    /// So many alerts end the window early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Alerts shown one by one; the true total is always told.
    #[serde(default = "ten", skip_serializing_if = "is_ten")]
    pub retain: u32,
    /// Which of them are shown.
    #[serde(default, skip_serializing_if = "Keep::is_default")]
    pub keep: Keep,
    /// `mode: schedule`: what happens when nothing was collected.
    #[serde(default, skip_serializing_if = "Empty::is_default")]
    pub empty: Empty,
    /// Absent: the built-in digest message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template: Option<TemplateId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DigestMode {
    /// Windows of fixed length, each opened by its first alert.
    #[default]
    Tumbling,
    /// Each alert moves the end, up to `cap`.
    Sliding,
    /// The first is sent at once, repeats within `look_back` are collected.
    LookBack,
    /// Ends when a window of a calendar begins.
    Schedule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Keep {
    First,
    #[default]
    Last,
    /// The most severe, later ones first among equals.
    Severest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Empty {
    #[default]
    Skip,
    Send,
}

impl Keep {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Empty {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Whether an action heeds the quiet hours of policy, channel and contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum QuietHoursFor {
    #[default]
    Respect,
    Bypass,
}

/// Whether a rule takes part in the storm breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    #[default]
    On,
    Off,
}

impl Switch {
    #[must_use]
    pub const fn is_on(&self) -> bool {
        matches!(self, Self::On)
    }
}

/// Times at which alerts wait: quiet hours of people, maintenance of systems.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct QuietHours {
    pub calendar: CalendarId,
    /// Absent: `hold` for quiet hours, `drop` for maintenance.
    pub mode: HoursMode,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bypass: Option<Bypass>,
    /// `mode: hold`: so many alerts of one action wait one by one; those after them become one digest.
    #[serde(default = "five", skip_serializing_if = "is_five")]
    pub hold_up_to: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HoursMode {
    /// Sent when they end, if it still holds then.
    Hold,
    /// Sent as one when they end.
    Digest,
    Drop,
}

impl HoursMode {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hold => "hold",
            Self::Digest => "digest",
            Self::Drop => "drop",
        }
    }
}

/// Alerts that do not wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bypass {
    /// From this severity up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<RuleId>,
}

/// At most `limit` messages at once and `limit` per `per` in the long run, across all rules.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Budget {
    pub limit: u32,
    pub per: Length,
    #[serde(default)]
    pub overflow: Overflow,
}

/// When a burst of the whole tenant becomes a storm.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Storm {
    /// More alerts than this within `per` begin a storm.
    pub alerts: u32,
    pub per: Length,
    /// Not more than this within `per` end it.
    pub ends: u32,
    /// While it lasts, each channel gets one summary this often.
    pub digest_every: Length,
}

impl Default for Storm {
    /// 200 alerts a minute begin it, 50 a minute end it, a summary every 5 minutes.
    fn default() -> Self {
        Self { alerts: 200, per: Length::from_secs(60), ends: 50, digest_every: Length::from_secs(300) }
    }
}

/// What a new action gets where it says nothing: written into the document when it is saved, so that everybody sees it.
pub mod recommended {
    use super::{Dedupe, Overflow, Throttle};
    use crate::duration::Length;

    /// An alert of the same content from the same source is the same alert for a minute. Not longer: what fails, is mended
    /// and fails again is news each time, and only incidents can tell that from a repeat.
    #[must_use]
    pub fn dedupe() -> Dedupe {
        let key = ["/source", "/type", "/subject", "/severity", "/data"].map(str::to_owned).to_vec();
        Dedupe { key, window: Length::from_secs(60) }
    }

    /// 30 alerts of one action and severity in 10 minutes, the others as a digest: many low ones do not delay a critical one.
    #[must_use]
    pub fn throttle() -> Throttle {
        Throttle {
            key: vec!["/severity".to_owned()],
            limit: 30,
            per: Length::from_secs(600),
            overflow: Overflow::Digest,
        }
    }
}

const fn ten() -> u32 {
    10
}

#[allow(clippy::trivially_copy_pass_by_ref)] // as serde asks
const fn is_ten(number: &u32) -> bool {
    *number == ten()
}

const fn five() -> u32 {
    5
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_five(number: &u32) -> bool {
    *number == five()
}

#[allow(clippy::trivially_copy_pass_by_ref)]
const fn is_false(flag: &bool) -> bool {
    !*flag
}
