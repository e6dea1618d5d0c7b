//! Changes of what a tenant runs, as they are asked for and as they are told.

use millwork_registry::replay::Class;
use serde_json::{Map, Value, json};

use super::operations::object;
use super::schemas::reference;

/// All stages of a swap, in the order in which they come.
const STAGES: [&str; 12] = [
    "resolving",
    "verifying",
    "awaiting-consent",
    "activating",
    "rebuilding",
    "ready",
    "canary",
    "flipping",
    "draining",
    "completed",
    "failed",
    "cancelled",
];

/// What changes are asked for with and answered with.
pub(super) fn schemas() -> Map<String, Value> {
    object(json!({
        "ChangeRequest": request(&["version", "wanted", "config", "policy", "skipReplay", "oneWay", "canary"]),
        "RollBackRequest": request(&["version", "policy", "skipReplay", "oneWay", "canary"]),
        "Canary": canary(),
        "Swapped": swapped(),
        "Swap": swap(),
    }))
}

fn request(members: &[&str]) -> Value {
    let all = object(json!({
        "version": { "type": "string", "description": "This version and no other" },
        "wanted": { "type": "string", "description": "A range of versions, kept for later", "example": "^1.2" },
        "config": { "type": "object", "description": "The configuration; as it was when absent" },
        "policy": {
            "type": "object",
            "description": "What follows from differences in the replay of the tenant's history, by class",
            "propertyNames": { "enum": Class::ALL.map(Class::word) },
            "additionalProperties": { "enum": ["allow", "warn", "block"] },
        },
        "skipReplay": { "type": "boolean", "description": "Whether the history is not tried" },
        "oneWay": { "type": "boolean", "description": "Whether it may be that there is no way back" },
        "canary": reference("Canary"),
    }));
    let properties: Map<String, Value> = all
        .into_iter()
        .filter(|(name, _)| members.contains(&name.as_str()))
        .collect();
    json!({ "type": "object", "additionalProperties": false, "properties": properties })
}

fn canary() -> Value {
    json!({
        "type": "object",
        "required": ["percent", "seconds"],
        "description": "A share of the aggregates goes first",
        "properties": {
            "percent": { "type": "integer", "minimum": 1, "maximum": 99 },
            "seconds": { "type": "integer", "minimum": 1 },
            "commands": { "type": ["integer", "null"], "description": "It ends before its time after so many commands" },
            "slowerMax": { "type": "number", "minimum": 1, "default": 2.0 },
            "rejectionsMoreMax": { "type": "number", "minimum": 0, "maximum": 100, "default": 5.0 },
        },
    })
}

fn swapped() -> Value {
    json!({
        "type": "object",
        "required": ["tenant", "module", "from", "to", "generation"],
        "properties": {
            "tenant": { "type": "string" },
            "module": { "type": "string" },
            "from": { "type": ["string", "null"], "description": "The version that served before" },
            "to": { "type": ["string", "null"], "description": "The version that serves now" },
            "generation": { "type": "integer", "minimum": 0 },
            "swap": { "type": "integer", "description": "Absent when there was nothing to change" },
        },
    })
}

fn swap() -> Value {
    let change = json!({
        "type": "object",
        "required": ["module", "from", "to"],
        "properties": {
            "module": { "type": "string" },
            "from": { "type": ["string", "null"] },
            "to": {
                "type": ["object", "null"],
                "required": ["name", "version"],
                "properties": { "name": { "type": "string" }, "version": { "type": "string" } },
            },
        },
    });
    json!({
        "type": "object",
        "required": [
            "tenant", "number", "request", "stage", "changes", "wider", "consented", "verified", "rebuilt", "oneWay",
            "generation", "history",
        ],
        "properties": {
            "tenant": { "type": "string" },
            "number": { "type": "integer", "minimum": 1 },
            "request": {
                "type": "object",
                "required": ["module", "action", "by"],
                "properties": {
                    "module": { "type": "string" },
                    "action": {
                        "type": "object",
                        "required": ["kind"],
                        "properties": { "kind": { "enum": ["enable", "disable", "roll-back"] } },
                    },
                    "options": { "type": "object" },
                    "by": { "type": "string" },
                },
            },
            "stage": { "enum": STAGES },
            "changes": { "type": "array", "items": change },
            "wider": { "type": "array", "items": difference() },
            "consented": { "type": "boolean" },
            "verified": { "type": "boolean" },
            "rebuilt": { "type": "array", "items": { "type": "string" } },
            "oneWay": { "type": "boolean", "description": "Whether there is no way back" },
            "generation": { "type": ["integer", "null"] },
            "history": { "type": "array", "items": step(), "description": "Every step so far" },
            "replay": { "type": "object", "description": "How far the replay has come, while there is one" },
            "pulse": { "type": "object", "description": "What the canary shows, while there is one" },
        },
    })
}

fn difference() -> Value {
    let permissions = json!({ "type": "array", "items": reference("Permission") });
    json!({
        "type": "object",
        "description": "What the tenant has to agree to",
        "required": ["module", "version", "from", "new", "dropped"],
        "properties": {
            "module": { "type": "string" },
            "version": { "type": "string" },
            "from": { "type": ["string", "null"] },
            "new": permissions,
            "dropped": permissions,
        },
    })
}

fn step() -> Value {
    json!({
        "type": "object",
        "required": ["atMs", "step"],
        "properties": {
            "atMs": { "type": "integer", "description": "Milliseconds since 1970" },
            "step": { "type": "string" },
            "code": { "type": "string", "description": "Why it failed, for programs" },
            "message": { "type": "string", "description": "Why it failed, for people" },
        },
    })
}

#[cfg(test)]
mod tests {
    use millwork_registry::swap::Stage;

    use super::STAGES;

    #[test]
    fn stages_are_those_of_the_machine() {
        for stage in STAGES {
            let known: Stage = serde_json::from_value(stage.into()).unwrap();
            assert_eq!(known.as_str(), stage);
        }
    }
}
