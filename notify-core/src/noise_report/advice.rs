//! The score of a rule and what to do about it.

use super::RuleNoise;
use serde::Serialize;

/// Messages a day from which on a rule counts as loud, whatever was held back.
const LOUD_A_DAY: u64 = 100;
/// A rule with fewer alerts is not judged: nothing can be said about it yet.
const ENOUGH: u64 = 10;
/// What nobody needed: repeats, what another alert explains, and what went over a limit. A storm is not in it: it takes
/// the alerts of all rules, and may be another rule's doing.
const NOISE: [&str; 4] = ["dedupe", "inhibition", "throttle", "budget"];

/// What to do about a rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Suggestion {
    /// Stable, for programs.
    pub code: &'static str,
    pub text: &'static str,
}

const fn advise(code: &'static str, text: &'static str) -> Option<Suggestion> {
    Some(Suggestion { code, text })
}

/// Alerts that these controls suppressed, collected or held.
fn by(rule: &RuleNoise, controls: &[&str]) -> u64 {
    let of = |control: &&str| {
        let count =
            |all: &std::collections::BTreeMap<String, u64>| all.get(*control).copied().unwrap_or_default();
        count(&rule.suppressed) + count(&rule.digested) + count(&rule.held)
    };
    controls.iter().map(of).sum()
}

/// Part of whole in percent, rounded down; never more than 100.
fn percent(part: u64, whole: u64) -> u8 {
    let percent = part.saturating_mul(100).checked_div(whole).unwrap_or_default();
    u8::try_from(percent.min(100)).unwrap_or(100)
}

/// Messages in a day of 86,400 seconds; a period below a day counts as one.
fn messages_a_day(rule: &RuleNoise, seconds: u64) -> u64 {
    rule.messages.saturating_mul(86_400) / seconds.max(86_400)
}

/// The larger of two shares in percent: alerts that were noise, and messages a day of [`LOUD_A_DAY`].
pub(super) fn score(rule: &RuleNoise, seconds: u64) -> Option<u8> {
    let score =
        || percent(by(rule, &NOISE), rule.alerts).max(percent(messages_a_day(rule, seconds), LOUD_A_DAY));
    (rule.alerts >= ENOUGH).then(score)
}

pub(super) fn suggestion(rule: &RuleNoise, seconds: u64) -> Option<Suggestion> {
    let nowhere = by(rule, &["channel-missing", "channel-disabled"]);
    if nowhere > 0 && nowhere == rule.alerts {
        return advise(
            "goes-nowhere",
            "Its alerts go nowhere: enable or replace its channel, or disable the rule.",
        );
    }
    if rule.alerts < ENOUGH {
        return None;
    }
    let share = |controls: &[&str]| percent(by(rule, controls), rule.alerts);
    if share(&["silence", "maintenance"]) >= 50 {
        return advise(
            "mostly-silenced",
            "Half of its alerts or more are silenced: leave those events out of its `match`, or disable the rule.",
        );
    }
    if share(&["inhibition"]) >= 50 {
        return advise(
            "mostly-inhibited",
            "Half of its alerts or more are explained by other alerts: leave those events out of its `match`.",
        );
    }
    if share(&["dedupe"]) >= 50 {
        return advise(
            "mostly-repeats",
            "Half of its alerts or more are repeats: have the source report changes only, or lengthen `dedupe.window`.",
        );
    }
    if share(&["throttle", "budget"]) >= 20 {
        return advise(
            "over-its-limit",
            "A fifth of its alerts or more go over a limit: collect them with `digest`, or narrow its `match`.",
        );
    }
    if share(&["storm"]) >= 20 {
        return advise(
            "part-of-storms",
            "A fifth of its alerts or more came in storms: give it a `digest`, and an inhibition for what explains them.",
        );
    }
    if share(&["quiet-hours"]) >= 50 {
        return advise(
            "mostly-at-night",
            "Half of its alerts or more come in quiet hours: collect them with `digest` and `mode: schedule` for the morning.",
        );
    }
    if messages_a_day(rule, seconds) >= LOUD_A_DAY {
        return advise(
            "loud",
            "It sends 100 messages a day or more: raise the severity that it asks for, or collect them with `digest`.",
        );
    }
    None
}
