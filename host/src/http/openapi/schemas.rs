//! Components: the host's own schemas, and those of modules under names of their own.

use millwork_registry::manifest::{Manifest, Schema};
use serde_json::{Map, Value, json};

/// Keywords whose values are data, in which nothing is a reference.
const DATA: [&str; 5] = ["const", "default", "enum", "example", "examples"];

/// What a component is made from.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// A definition that the manifest shares.
    Shared,
    /// A command's body.
    Body,
    /// One document of a view.
    Item,
    /// A query's answer.
    Result,
}

/// The name of a component: `client.Address`, `client.CreateClient.Body`.
pub(super) fn name(manifest: &Manifest, part: Part, name: &str) -> String {
    let suffix = match part {
        Part::Shared => "",
        Part::Body => ".Body",
        Part::Item => ".Item",
        Part::Result => ".Result",
    };
    format!("{}.{name}{suffix}", manifest.name)
}

/// A reference to a component.
pub(super) fn reference(component: &str) -> Value {
    json!({ "$ref": format!("#/components/schemas/{component}") })
}

/// A module's schemas as components.
pub(super) fn of_module(manifest: &Manifest) -> Map<String, Value> {
    let shared = manifest
        .schemas
        .iter()
        .map(|(key, schema)| (Part::Shared, key.as_str(), schema));
    let commands = manifest
        .aggregates
        .values()
        .flat_map(|aggregate| &aggregate.commands);
    let bodies =
        commands.filter_map(|(key, command)| Some((Part::Body, key.as_str(), command.body.as_ref()?)));
    let views = manifest.views.iter();
    let items = views.filter_map(|(key, view)| Some((Part::Item, key.as_str(), view.schema.as_ref()?)));
    let queries = manifest.queries.iter();
    let results =
        queries.filter_map(|(key, query)| Some((Part::Result, key.as_str(), query.result.as_ref()?)));
    let all = shared.chain(bodies).chain(items).chain(results);
    all.map(|(part, key, schema)| {
        let component = name(manifest, part, key);
        let rewritten = rewritten(manifest, &component, schema);
        (component, rewritten)
    })
    .collect()
}

/// A schema of a manifest as it stands in the document: `#/schemas/X` is where the module's components are, any other
/// local reference is within the component.
pub(super) fn rewritten(manifest: &Manifest, component: &str, schema: &Schema) -> Value {
    match schema {
        Value::Object(keywords) => {
            let rewrite = |(keyword, value): (&String, &Value)| {
                let value = match value {
                    Value::String(target) if keyword == "$ref" => {
                        Value::String(redirected(manifest, component, target))
                    }
                    data if DATA.contains(&keyword.as_str()) && !is_schema_map(data) => data.clone(),
                    other => rewritten(manifest, component, other),
                };
                (keyword.clone(), value)
            };
            Value::Object(keywords.iter().map(rewrite).collect())
        }
        Value::Array(items) => items
            .iter()
            .map(|item| rewritten(manifest, component, item))
            .collect(),
        other => other.clone(),
    }
}

/// Properties may be called like keywords; then their schema is an object with keywords of its own.
fn is_schema_map(value: &Value) -> bool {
    value
        .as_object()
        .is_some_and(|object| object.contains_key("type") || object.contains_key("$ref"))
}

fn redirected(manifest: &Manifest, component: &str, target: &str) -> String {
    match (target.strip_prefix("#/schemas/"), target.strip_prefix('#')) {
        (Some(shared), _) => format!("#/components/schemas/{}.{shared}", manifest.name),
        (None, Some(local)) => format!("#/components/schemas/{component}{local}"),
        (None, None) => target.to_owned(),
    }
}

/// What the host itself answers with.
pub(super) fn of_host() -> Map<String, Value> {
    let schemas = [
        ("Problem", problem()),
        ("Reply", command_reply()),
        ("Event", event()),
        ("State", state()),
    ];
    schemas
        .into_iter()
        .map(|(name, schema)| (name.to_owned(), schema))
        .collect()
}

fn problem() -> Value {
    json!({
        "type": "object",
        "required": ["type", "title", "status", "detail", "code", "instance"],
        "properties": {
            "type": { "type": "string", "format": "uri" },
            "title": { "type": "string" },
            "status": { "type": "integer" },
            "detail": { "type": "string", "description": "One sentence for people" },
            "code": { "type": "string", "description": "Stable, for programs" },
            "instance": { "type": "string", "description": "The correlation id, under which the log has more" },
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "code", "message"],
                    "properties": {
                        "pointer": { "type": "string", "description": "JSON Pointer into the request" },
                        "code": { "type": "string" },
                        "message": { "type": "string" },
                    },
                },
            },
        },
    })
}

fn command_reply() -> Value {
    json!({
        "type": "object",
        "required": ["id", "version", "position", "events"],
        "properties": {
            "id": { "type": "string", "description": "The aggregate that the command was for" },
            "version": { "type": "integer", "minimum": 0, "description": "Its version now" },
            "position": { "type": "string", "description": "Give it as `after` to read what was written" },
            "events": { "type": "array", "items": { "$ref": "#/components/schemas/Event" } },
            "dryRun": { "const": true, "description": "Nothing was recorded" },
            "states": {
                "type": "array",
                "description": "What a dry run would make of the aggregates",
                "items": { "$ref": "#/components/schemas/State" },
            },
        },
    })
}

fn event() -> Value {
    json!({
        "type": "object",
        "required": ["id", "name", "aggregate", "aggregateId", "version", "recordedAt", "data"],
        "properties": {
            "id": { "type": "string", "format": "uuid" },
            "name": { "type": "string" },
            "aggregate": { "type": "string" },
            "aggregateId": { "type": "string" },
            "version": { "type": "integer", "minimum": 1 },
            "recordedAt": { "type": "string", "format": "date-time" },
            "data": { "type": "object" },
        },
    })
}

fn state() -> Value {
    json!({
        "type": "object",
        "required": ["aggregate", "aggregateId", "state"],
        "properties": {
            "aggregate": { "type": "string" },
            "aggregateId": { "type": "string" },
            "state": { "type": "object" },
        },
    })
}
