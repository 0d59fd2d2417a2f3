use super::support::{pattern, value};
use crate::pattern::RuleSet;

#[test]
fn pattern_rule_set_answers_in_the_order_of_keys() {
    let sources = [("z", r#"{"a":[1]}"#), ("m", r#"{"a":[2]}"#), ("a", r#"{"a":[{"exists":true}]}"#)];
    let values: Vec<_> = sources.iter().map(|(key, text)| (*key, value(text))).collect();
    let set = RuleSet::compile(values.iter().map(|(key, pattern)| (*key, pattern))).unwrap();
    let same = RuleSet::new(sources.map(|(key, text)| (key, pattern(text))));
    for (event, keys) in
        [(r#"{"a":1}"#, vec!["a", "z"]), (r#"{"a":[2,1]}"#, vec!["a", "m", "z"]), ("{}", vec![])]
    {
        for set in [&set, &same] {
            assert_eq!(set.matching(&value(event)).into_iter().copied().collect::<Vec<_>>(), keys, "{event}");
        }
    }
    assert_eq!((set.len(), set.is_empty()), (3, false));
}

#[test]
fn pattern_rule_set_names_the_rule_it_refuses() {
    let (good, bad) = (value(r#"{"a":[1]}"#), value(r#"{"a":[{"nope":1}]}"#));
    let (key, problem) = RuleSet::compile([(1, &good), (2, &bad), (3, &bad)]).unwrap_err();
    assert_eq!((key, problem.path.as_str()), (2, "/a/0/nope"));
}

/// Changes by the dozen, so that parts are made, joined and folded, against a plain map.
#[test]
fn pattern_rule_set_survives_any_number_of_changes() {
    let event = value(r#"{"a":1,"b":"x"}"#);
    let patterns =
        [r#"{"a":[1]}"#, r#"{"b":[{"prefix":"x"}]}"#, r#"{"c":[{"exists":false}]}"#, r#"{"a":[2]}"#]
            .map(pattern);
    let (mut set, mut model) = (RuleSet::new([]), std::collections::BTreeMap::new());
    let mut folds = 0;
    for round in 0_u32..120 {
        // 7, 37 or 1 keys at once, a fifth of them taken out; keys repeat after some rounds.
        let size = [7, 37, 1][round as usize % 3];
        let changes: Vec<_> = (0..size)
            .map(|i| {
                let key = (round * 31 + i * 7) % 1_500;
                (key, (key % 5 != round % 5).then(|| (key + round) as usize % patterns.len()))
            })
            .collect();
        let put = |(key, kind): &(u32, Option<usize>)| (*key, kind.map(|kind| patterns[kind].clone()));
        set = set.changed(changes.iter().map(put));
        for (key, kind) in changes {
            match kind {
                Some(kind) => drop(model.insert(key, kind)),
                None => drop(model.remove(&key)),
            }
        }
        if set.wants_folding() {
            set = set.folded();
            folds += 1;
            assert!(!set.wants_folding());
        }
        let expected: Vec<u32> = model.iter().filter(|(_, kind)| **kind < 3).map(|(key, _)| *key).collect();
        assert_eq!(set.matching(&event).into_iter().copied().collect::<Vec<_>>(), expected, "round {round}");
        assert_eq!(
            set.iter().map(|(key, _)| *key).collect::<Vec<_>>(),
            model.keys().copied().collect::<Vec<_>>()
        );
        assert_eq!(set.len(), model.len());
    }
    assert!(folds > 0, "never folded");
}
