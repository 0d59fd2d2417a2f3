//! What can be seen without the pattern.

use super::{Code, Finding};
use crate::document::Rule;
use crate::document::rule::Action;
use std::collections::BTreeMap;

pub(super) fn lint(rule: &Rule) -> Vec<Finding> {
    let mut found = Vec::new();
    if !rule.enabled {
        found.push(Finding::new(
            Code::Disabled,
            "/enabled",
            "the rule is off and matches nothing",
            format!("`notify rule enable {}`, or delete it when it is no longer wanted", rule.id),
        ));
    }
    let mut first = BTreeMap::<&str, &Action>::new();
    for (index, action) in rule.actions.iter().enumerate() {
        let Some(earlier) = first.get(action.channel.as_str()) else {
            first.insert(action.channel.as_str(), action);
            continue;
        };
        let place = format!("/actions/{index}/channel");
        let same = rule.actions.iter().take(index).find(|other| {
            other.channel == action.channel
                && other.template == action.template
                && other.locale == action.locale
        });
        found.push(match same {
            Some(other) => Finding::new(
                Code::RepeatedAction,
                place,
                format!("it sends to `{}` what the action `{}` sends there too", action.channel, other.id),
                "remove one of the two, or name another channel or template",
            ),
            None => Finding::new(
                Code::RepeatedChannel,
                place,
                format!("the action `{}` sends to `{}` too", earlier.id, action.channel),
                "nothing to do where the channel is meant to get both",
            ),
        });
    }
    found
}
