//! Schemas of what is said about rules: explanations, near misses, tests.

use serde_json::{Value, json};

fn text() -> Value {
    json!({ "type": "string" })
}

fn said(about: &str) -> Value {
    json!({ "type": "string", "description": about })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn list(item: &str) -> Value {
    json!({ "type": "array", "items": { "$ref": format!("#/components/schemas/{item}") } })
}

pub fn all() -> Value {
    let mut all = explanations();
    if let (Value::Object(all), Value::Object(tests)) = (&mut all, tests()) {
        all.extend(tests);
    }
    all
}

fn explanations() -> Value {
    json!({
        "Explanation": {
            "type": "object",
            "required": ["rule", "version", "enabled", "matched", "sentence", "explanation"],
            "properties": {
                "rule": text(), "version": number(), "enabled": { "type": "boolean" },
                "matched": said_flag("Whether the rule's pattern matches; a rule that is off still matches nothing."),
                "sentence": said("All of it in words."),
                "explanation": { "$ref": "#/components/schemas/PatternExplanation" },
            },
        },
        "PatternExplanation": {
            "type": "object",
            "required": ["matched", "sentence", "alternatives"],
            "properties": {
                "matched": { "type": "boolean" }, "sentence": text(),
                "alternatives": {
                    "type": "array",
                    "description": "Ways through the `$or`s of the pattern; one without `$or`. One that matches is enough.",
                    "items": { "$ref": "#/components/schemas/ExplainedAlternative" },
                },
            },
        },
        "ExplainedAlternative": {
            "type": "object",
            "required": ["matched", "clauses"],
            "properties": {
                "branches": { "type": "array", "items": text() },
                "matched": { "type": "boolean" },
                "clauses": list("ExplainedClause"),
                "conflict": { "$ref": "#/components/schemas/ExplainedConflict" },
            },
        },
        "ExplainedClause": {
            "type": "object",
            "required": ["path", "matched", "sentence", "wants", "has", "anyOf", "found", "seen", "seenTotal"],
            "properties": {
                "path": said("The field as a JSON Pointer without array positions."),
                "source": said("For a rule of filters: the filter that asks for it."),
                "matched": { "type": "boolean" },
                "sentence": text(),
                "wants": said("What the rule wants, in words."),
                "has": said("What the event has, in words."),
                "anyOf": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "required": ["operator", "operand", "matched"],
                        "properties": {
                            "operator": said("As in the pattern; `equals` for a plain value."),
                            "operand": {}, "matched": { "type": "boolean" },
                        },
                    },
                },
                "found": { "enum": ["values", "object", "empty-list", "absent"] },
                "seen": { "type": "array", "maxItems": 8, "items": { "$ref": "#/components/schemas/SeenValue" } },
                "seenTotal": number(),
            },
        },
        "SeenValue": {
            "type": "object",
            "required": ["at", "value", "matched"],
            "properties": { "at": text(), "value": {}, "matched": { "type": "boolean" } },
        },
        "ExplainedConflict": {
            "type": "object",
            "description": "Every clause holds somewhere, but no element of this array satisfies them all.",
            "required": ["array", "sentence", "elements"],
            "properties": {
                "array": text(), "sentence": text(),
                "elements": {
                    "type": "array",
                    "maxItems": 2,
                    "items": {
                        "type": "object",
                        "required": ["element", "holds", "fails"],
                        "properties": {
                            "element": text(),
                            "holds": { "type": "array", "items": text() },
                            "fails": {
                                "type": "array",
                                "items": {
                                    "type": "object",
                                    "required": ["path", "wants", "has"],
                                    "properties": {
                                        "path": text(), "at": text(), "value": {}, "matched": { "const": false },
                                        "wants": text(), "has": text(),
                                    },
                                },
                            },
                        },
                    },
                },
            },
        },
        "NearestRules": {
            "type": "object",
            "description": "Rules that do not match: by failed clauses, then priority, then id.",
            "required": ["rules", "complete", "lookedAt"],
            "properties": {
                "rules": {
                    "type": "array",
                    "maxItems": 20,
                    "items": {
                        "type": "object",
                        "required": ["rule", "name", "failed", "sentence", "reasons"],
                        "properties": {
                            "rule": text(), "version": number(), "name": text(),
                            "failed": { "type": "integer", "minimum": 1 },
                            "sentence": text(),
                            "reasons": {
                                "type": "array",
                                "maxItems": 10,
                                "items": {
                                    "type": "object",
                                    "required": ["path", "sentence"],
                                    "properties": { "path": text(), "sentence": text() },
                                },
                            },
                        },
                    },
                },
                "complete": said_flag("Whether these are the nearest of all rules; the search is bounded."),
                "lookedAt": number(),
            },
        },
        "Explained": {
            "type": "object",
            "required": ["matched", "unmatched", "matching", "nearest"],
            "properties": {
                "matched": number(), "unmatched": number(),
                "matching": {
                    "type": "array",
                    "description": "The first 100 that match, in the order in which they are planned.",
                    "maxItems": 100,
                    "items": {
                        "type": "object",
                        "required": ["rule", "version", "name", "sentence"],
                        "properties": { "rule": text(), "version": number(), "name": text(), "sentence": text() },
                    },
                },
                "nearest": { "$ref": "#/components/schemas/NearestRules" },
            },
        },
    })
}

fn said_flag(about: &str) -> Value {
    json!({ "type": "boolean", "description": about })
}

fn tests() -> Value {
    json!({
        "Shortcoming": {
            "type": "object",
            "required": ["code", "reason"],
            "properties": { "code": text(), "path": text(), "reason": text(), "fix": text() },
        },
        "RuleTestReport": {
            "type": "object",
            "required": ["rule", "passed", "failed", "tests", "hints"],
            "properties": {
                "rule": text(), "passed": number(), "failed": number(),
                "tests": {
                    "type": "array",
                    "maxItems": 50,
                    "items": {
                        "type": "object",
                        "required": ["path", "passed", "expected"],
                        "properties": {
                            "path": said("JSON Pointer into the rule."),
                            "name": text(),
                            "passed": { "type": "boolean" },
                            "expected": expectation(&["match"]),
                            "got": expectation(&["match", "channels"]),
                            "sentence": said("Why it failed."),
                            "problem": { "$ref": "#/components/schemas/Shortcoming" },
                        },
                    },
                },
                "hints": {
                    "type": "array",
                    "description": "What could be better; never a reason to refuse a rule.",
                    "items": { "$ref": "#/components/schemas/Shortcoming" },
                },
            },
        },
    })
}

fn expectation(required: &[&str]) -> Value {
    json!({
        "type": "object",
        "required": required,
        "properties": { "match": { "type": "boolean" }, "channels": { "type": "array", "items": text() } },
    })
}
