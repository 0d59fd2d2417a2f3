//! A channel's `config` against the connector's JSON Schema, in words for the person who wrote it.

use crate::manifest::Manifest;
use notify_core::json::pointer_token;
use notify_core::problem::{Code, Problem};

pub(crate) fn schema_of(manifest: &Manifest) -> Result<jsonschema::Validator, String> {
    jsonschema::validator_for(&manifest.config_schema).map_err(|error| format!("its configSchema: {error}"))
}

pub(crate) fn unknown_type(channel_type: &str, mut known: Vec<&str>) -> Problem {
    known.sort_unstable();
    let fix = if known.is_empty() {
        "install the connector's plug-in and restart".to_owned()
    } else {
        format!("use one of: {}", known.join(", "))
    };
    let reason = format!("no connector is installed for channel type `{channel_type}`");
    Problem::new(Code::UnknownReference, "", reason, fix)
}

pub(crate) fn schema_problem(error: &jsonschema::ValidationError<'_>) -> Problem {
    use jsonschema::error::ValidationErrorKind as Kind;
    let at = error.instance_path().to_string();
    let below = |key: &str| format!("{at}/{}", pointer_token(key));
    match error.kind() {
        Kind::Required { property } => {
            let key = property.as_str().unwrap_or_default();
            Problem::new(Code::InvalidChannel, below(key), format!("`{key}` is missing"), "add it")
        }
        Kind::AdditionalProperties { unexpected } => {
            let path = unexpected.first().map_or_else(|| at.clone(), |key| below(key));
            let reason = format!("this connector does not know {}", unexpected.join(", "));
            Problem::new(Code::UnknownField, path, reason, "remove it, or correct the spelling")
        }
        _ => {
            // The library quotes the value; a secret pasted into the wrong field must not travel on.
            let masked = error.masked_with("the value").to_string();
            Problem::new(Code::InvalidChannel, at, masked, "see the connector's configSchema")
        }
    }
}

/// What a plug-in's `validate` says, at most 20 of them and each cut to what a person reads.
pub(crate) fn plugin_problems(json: &[u8]) -> Result<Vec<Problem>, serde_json::Error> {
    #[derive(serde::Deserialize)]
    struct Said {
        path: String,
        reason: String,
        fix: String,
    }
    let short = |text: String| text.chars().filter(|c| !c.is_control()).take(300).collect::<String>();
    let said: Vec<Said> = serde_json::from_slice(json)?;
    let problem = |said: Said| {
        Problem::new(Code::InvalidChannel, short(said.path), short(said.reason), short(said.fix))
    };
    Ok(said.into_iter().take(20).map(problem).collect())
}
