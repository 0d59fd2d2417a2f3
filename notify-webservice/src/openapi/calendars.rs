//! Schemas of what is said about calendars.

use serde_json::{Value, json};

pub fn all() -> Value {
    let time = json!({ "type": "string", "format": "date-time" });
    json!({
        "CalendarWindows": {
            "type": "object",
            "required": ["calendar", "version", "timeZone", "dst", "tzdb", "from", "inside", "horizonDays", "windows", "warnings"],
            "properties": {
                "calendar": { "type": "string" },
                "version": { "type": "integer", "minimum": 0 },
                "timeZone": { "type": "string", "description": "Of the local times." },
                "dst": { "enum": ["wall-clock", "instants"] },
                "tzdb": { "type": "string", "description": "Version of the IANA database." },
                "from": { "$ref": "#/components/schemas/LocalMoment" },
                "inside": { "type": "boolean", "description": "Whether `from` is inside a window." },
                "horizonDays": { "type": "integer", "description": "How far ahead is looked for the next window." },
                "windows": { "type": "array", "items": { "$ref": "#/components/schemas/CalendarWindow" } },
                "warnings": {
                    "type": "array",
                    "description": "What is valid and probably not meant.",
                    "items": {
                        "type": "object",
                        "required": ["path", "reason", "fix"],
                        "properties": {
                            "path": { "type": "string" }, "reason": { "type": "string" }, "fix": { "type": "string" },
                        },
                    },
                },
            },
        },
        "CalendarWindow": {
            "type": "object",
            "required": ["from"],
            "properties": {
                "from": { "$ref": "#/components/schemas/LocalMoment" },
                "to": { "$ref": "#/components/schemas/LocalMoment" },
                "seconds": { "type": "integer" },
                "clocksChange": { "type": "boolean", "description": "Clocks are set while it lasts." },
            },
        },
        "LocalMoment": {
            "type": "object",
            "required": ["utc", "local", "zone"],
            "properties": {
                "utc": time, "local": time,
                "zone": { "type": "string", "description": "What clocks there are called then: `CET`." },
            },
        },
    })
}
