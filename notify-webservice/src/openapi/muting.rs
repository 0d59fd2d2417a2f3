//! Schemas of what is said about silences.

use serde_json::{Value, json};

pub fn all() -> Value {
    let text = || json!({ "type": "string" });
    let count = |about: &str| json!({ "type": "integer", "minimum": 0, "description": about });
    let time = |about: &str| json!({ "type": "string", "format": "date-time", "description": about });
    json!({
        "SilenceImpact": {
            "type": "object",
            "required": [
                "sentence", "muted", "mutedRules", "alerts", "events", "from", "to", "complete", "unreadable", "confirm",
                "because", "rules", "samples"
            ],
            "properties": {
                "sentence": { "type": "string", "description": "The figures in words." },
                "muted": count("Alerts that the silence would have muted. Of a recurring one only those in its windows count."),
                "mutedRules": count("Rules that they are of."),
                "alerts": count("All alerts in the period: what was sent, held or put into a digest."),
                "events": count("Events that were looked at."),
                "from": time("As far as the search came."),
                "to": time("The time of the answer."),
                "complete": { "type": "boolean", "description": "Whether all of the last 7 days was looked at; the search is bounded." },
                "unreadable": count("Entries in the period whose content is kept no longer."),
                "confirm": { "type": "boolean", "description": "Whether saving it needs `confirm=true`: more than 100 muted alerts, or more than 25 % of all (what cannot be read counts as muted); when not all of the 7 days could be looked at; or for what `because` says." },
                "because": { "type": "array", "description": "Why it has to be confirmed whatever the figures say: it mutes all alerts of all rules, or lasts longer than 30 days.", "items": text() },
                "rules": {
                    "type": "array",
                    "maxItems": 50,
                    "items": {
                        "type": "object",
                        "required": ["rule", "alerts", "muted"],
                        "properties": {
                            "rule": text(), "alerts": count("All alerts of the rule."),
                            "muted": count("Those that would have been muted."),
                        },
                    },
                },
                "samples": {
                    "type": "array",
                    "description": "The latest events of which something would have been muted.",
                    "maxItems": 5,
                    "items": {
                        "type": "object",
                        "required": ["event", "at", "type", "source", "rules"],
                        "properties": {
                            "event": text(), "at": time("When it was decided about."), "type": text(), "source": text(),
                            "subject": text(), "rules": { "type": "array", "items": text() },
                        },
                    },
                },
            },
        },
    })
}
