//! Overrides against a list that is scanned override by override.

use super::{events, minute, patterns, version};
use crate::document::{Kind, Override, Version};
use crate::ids::{ChannelId, RuleId};
use crate::noise::{Control, Overrides};
use crate::pattern::Pattern;
use proptest::prelude::*;
use serde_json::{Value, json};
use std::cmp::Reverse;

prop_compose! {
    fn document()(
        pattern in prop::option::of(patterns()),
        rule in prop::option::of(0..3_u8),
        channel in prop::option::of(0..3_u8),
        from in prop::option::of(0..60_i64),
        lasts in 0..30_i64,
        controls in prop::sample::subsequence(Control::ALL.to_vec(), 1..=9),
    ) -> Value {
        let mut value = json!({
            "schema": "notify-override@1", "reason": "r", "controls": controls,
            "until": minute(from.unwrap_or_default() + lasts).to_string(),
        });
        let members = value.as_object_mut().unwrap();
        members.extend(pattern.map(|pattern| ("match".to_owned(), pattern)));
        members.extend(rule.map(|rule| ("rules".to_owned(), json!([format!("r{rule}")]))));
        members.extend(channel.map(|channel| ("channels".to_owned(), json!([format!("h{channel}")]))));
        members.extend(from.map(|from| ("from".to_owned(), minute(from).to_string().into())));
        value
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn the_same_as_looking_at_every_override(
        documents in prop::collection::vec(document(), 0..16),
        asked in prop::collection::vec((events(), 0..4_u8, 0..4_u8, -5..100_i64), 16),
    ) {
        let documents: Vec<Version<Override>> = documents
            .into_iter()
            .enumerate()
            .map(|(n, mut value)| {
                value["id"] = format!("o{n}").into();
                version(Kind::Override, &value, 1)
            })
            .collect();
        let (overrides, broken) = Overrides::compile(documents.clone());
        prop_assert!(broken.is_empty());
        for (event, rule, channel, at) in asked {
            let (rule, channel) = (RuleId::new(format!("r{rule}")).unwrap(), ChannelId::new(format!("h{channel}")).unwrap());
            let at = minute(at);
            let bypasses = overrides.of_event(&event, at);
            for control in Control::ALL {
                let about = documents.iter().map(|version| &version.document).filter(|document| {
                    document.controls.contains(&control)
                        && document.r#match.as_ref().is_none_or(|p| Pattern::compile(p).unwrap().matches(&event))
                        && (document.rules.is_empty() || document.rules.contains(&rule))
                        && (document.channels.is_empty() || document.channels.contains(&channel))
                        && document.from.is_none_or(|from| from <= at)
                        && at < document.until
                });
                let expected = about.max_by_key(|document| (document.until, Reverse(document.id.to_string())));
                let hit = bypasses.bypassed(&rule, &channel, control);
                prop_assert_eq!(
                    hit.map(|hit| (hit.id.clone(), hit.until)),
                    expected.map(|document| (document.id.clone(), Some(document.until)))
                );
            }
        }
    }
}
