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
