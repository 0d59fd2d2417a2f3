//! The body of `POST /deliveries:redrive`, strictly.

use crate::app::Call;
use crate::engine::Redrive;
use notify_core::json::{self, Limits};
use notify_core::problem::{Code, Problem};
use notify_core::time::Timestamp;
use notify_store::model::DeliveryFilter;
use serde_json::{Map, Value};
use std::str::FromStr;

/// # Errors
/// A problem that names the place; an unknown field is never ignored: it may have been meant to narrow the filter.
pub fn read(call: &Call) -> Result<Redrive, Problem> {
    let limits = Limits { max_bytes: call.body.len(), max_depth: 8 };
    let body =
        if call.body.is_empty() { Value::Object(Map::new()) } else { json::parse(&call.body, limits)? };
    parse(&body)
}

fn parse(body: &Value) -> Result<Redrive, Problem> {
    let body = object(body, "", &["filter", "ratePerSecond", "dryRun"])?;
    let mut asked =
        Redrive { filter: DeliveryFilter::default(), rate_per_second: Redrive::DEFAULT_RATE, dry_run: false };
    if let Some(filter) = body.get("filter") {
        let filter = object(filter, "/filter", &["state", "rule", "channel", "from", "to"])?;
        if filter.get("state").is_some_and(|state| state != "dead") {
            return Err(wrong("/filter/state", "only dead letters are sent again", "leave `state` out"));
        }
        asked.filter.rule = text(filter, "rule", "a rule id")?;
        asked.filter.channel = text(filter, "channel", "a channel id")?;
        asked.filter.created_from = text::<Timestamp>(filter, "from", "a time like 2026-11-22T08:00:00Z")?;
        asked.filter.created_to = text::<Timestamp>(filter, "to", "a time like 2026-11-22T08:00:00Z")?;
    }
    if let Some(rate) = body.get("ratePerSecond") {
        asked.rate_per_second =
            rate.as_f64().filter(|rate| Redrive::RATES.contains(rate)).ok_or_else(|| {
                wrong(
                    "/ratePerSecond",
                    "the rate is not a number from 0.01 to 1000",
                    "give deliveries a second",
                )
            })?;
    }
    if let Some(dry_run) = body.get("dryRun") {
        asked.dry_run = dry_run
            .as_bool()
            .ok_or_else(|| wrong("/dryRun", "`dryRun` is neither true nor false", "give true or false"))?;
    }
    Ok(asked)
}

fn object<'v>(value: &'v Value, path: &str, known: &[&str]) -> Result<&'v Map<String, Value>, Problem> {
    let Value::Object(members) = value else {
        return Err(wrong(path, "this is no JSON object", "see `/openapi.json`, RedriveRequest"));
    };
    match members.keys().find(|name| !known.contains(&name.as_str())) {
        None => Ok(members),
        Some(name) => Err(Problem::new(
            Code::UnknownField,
            format!("{path}/{}", json::pointer_token(name)),
            format!("the field `{}` is not known here", name.escape_default()),
            format!("known here: {}", known.join(", ")),
        )),
    }
}

fn text<T: FromStr>(filter: &Map<String, Value>, name: &str, expected: &str) -> Result<Option<T>, Problem> {
    let Some(value) = filter.get(name) else { return Ok(None) };
    let parsed = value.as_str().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| {
        wrong(&format!("/filter/{name}"), &format!("this is not {expected}"), &format!("give {expected}"))
    })
}

fn wrong(path: &str, reason: &str, fix: &str) -> Problem {
    Problem::new(Code::InvalidParameter, path, reason, fix)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::{Value, json};

    #[test]
    fn bodies() {
        let check = |body: Value, expected: &str| {
            let shown = match parse(&body) {
                Ok(asked) => {
                    let filter = &asked.filter;
                    let rule = filter.rule.as_ref().map_or("-", |rule| rule.as_str());
                    let channel = filter.channel.as_ref().map_or("-", |channel| channel.as_str());
                    let times =
                        [filter.created_from, filter.created_to].map(|at| at.map(|at| at.as_second()));
                    format!("{rule} {channel} {times:?} {} {}", asked.rate_per_second, asked.dry_run)
                }
                Err(problem) => format!("{} {}", problem.code, problem.path),
            };
            assert_eq!(shown, expected, "{body}");
        };
        check(json!({}), "- - [None, None] 10 false");
        check(
            json!({"filter": {"state": "dead", "rule": "r", "channel": "c", "from": "1970-01-01T00:00:01Z"},
                "ratePerSecond": 0.5, "dryRun": true}),
            "r c [Some(1), None] 0.5 true",
        );
        check(json!([]), "invalid-parameter ");
        check(json!({"filter": 1}), "invalid-parameter /filter");
        check(json!({"filter": {"state": "delivered"}}), "invalid-parameter /filter/state");
        check(json!({"filter": {"rules": "r"}}), "unknown-field /filter/rules");
        check(json!({"filter": {"rule": "No Rule"}}), "invalid-parameter /filter/rule");
        check(json!({"filter": {"rule": 7}}), "invalid-parameter /filter/rule");
        check(json!({"filter": {"to": "yesterday"}}), "invalid-parameter /filter/to");
        check(json!({"dryrun": true}), "unknown-field /dryrun");
        check(json!({"dryRun": "yes"}), "invalid-parameter /dryRun");
        for rate in [json!(0), json!(0.009), json!(1000.1), json!(-1), json!("10"), json!(null)] {
            check(json!({ "ratePerSecond": rate }), "invalid-parameter /ratePerSecond");
        }
        check(json!({"ratePerSecond": 1000}), "- - [None, None] 1000 false");
    }
}
