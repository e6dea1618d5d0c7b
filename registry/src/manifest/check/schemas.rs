//! Checks of the schemas: each compiles, and refers to nothing but the manifest's own.

use std::collections::HashSet;

use serde_json::Value;

use super::form::check_pascal_case;
use crate::error::Problems;
use crate::manifest::schema::{at, compile, defaults};
use crate::manifest::{Manifest, Schema};

/// Keywords that would give `#/schemas/X` another meaning or reach outside.
const REFUSED: [&str; 7] = [
    "$id",
    "$schema",
    "$anchor",
    "$dynamicAnchor",
    "$dynamicRef",
    "$recursiveRef",
    "$vocabulary",
];
/// Keywords that hold one schema.
const ONE: [&str; 10] = [
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
];
/// Keywords that hold a list of schemas.
const LIST: [&str; 4] = ["allOf", "anyOf", "oneOf", "prefixItems"];
/// Keywords that hold schemas by name.
const NAMED: [&str; 4] = ["$defs", "dependentSchemas", "patternProperties", "properties"];

/// Most schemas of one manifest: each is compiled with all shared ones around it.
const SCHEMAS_MAX: usize = 500;

/// What a schema describes.
#[derive(PartialEq)]
enum Of {
    /// Any JSON.
    Value,
    /// What is always an object, and where the host adds properties.
    Object,
}

pub(super) fn check(manifest: &Manifest, problems: &mut Problems) {
    let schemas = schemas(manifest);
    if schemas.len() > SCHEMAS_MAX {
        return problems.add(
            "schemas",
            format_args!("at most {SCHEMAS_MAX} schemas, inner ones not counted"),
        );
    }
    for name in manifest.schemas.keys() {
        let place = format!("schemas.{name}");
        check_pascal_case(&place, name, problems);
        if is_circular(manifest, name) {
            problems.add(place, "refers to itself for one and the same value");
        }
    }
    let noted = problems.0.len();
    for (place, of, schema) in &schemas {
        check_keywords(manifest, place, schema, problems);
        if *of == Of::Object
            && manifest.resolved(schema).get("type").and_then(Value::as_str) != Some("object")
        {
            problems.add(place, "must have type: object");
        }
    }
    // What refers to nothing would only be said a second time by the compiler.
    if problems.0.len() == noted {
        check_compile(manifest, &schemas, problems);
    }
}

/// Every schema with its place, the shared ones first.
fn schemas(manifest: &Manifest) -> Vec<(String, Of, &Schema)> {
    let shared = manifest
        .schemas
        .iter()
        .map(|(name, schema)| (format!("schemas.{name}"), Of::Value, schema));
    let config = manifest
        .config
        .iter()
        .map(|schema| ("config".to_owned(), Of::Object, schema));
    let bodies = manifest.commands().filter_map(|(aggregate, name, command)| {
        Some((
            format!("aggregates.{aggregate}.commands.{name}.body"),
            Of::Object,
            command.body.as_ref()?,
        ))
    });
    let events = manifest.events().filter_map(|(aggregate, name, schema)| {
        Some((
            format!("aggregates.{aggregate}.events.{name}"),
            Of::Value,
            schema?,
        ))
    });
    let views = manifest
        .views
        .iter()
        .filter_map(|(name, view)| Some((format!("views.{name}.schema"), Of::Value, view.schema.as_ref()?)));
    let params = manifest.queries.iter().filter_map(|(name, query)| {
        Some((
            format!("queries.{name}.params"),
            Of::Object,
            query.params.as_ref()?,
        ))
    });
    let results = manifest.queries.iter().filter_map(|(name, query)| {
        Some((
            format!("queries.{name}.result"),
            Of::Value,
            query.result.as_ref()?,
        ))
    });
    let published = manifest
        .publishes
        .iter()
        .filter_map(|(name, schema)| Some((format!("publishes.{name}"), Of::Value, schema.as_ref()?)));
    shared
        .chain(config)
        .chain(bodies)
        .chain(events)
        .chain(views)
        .chain(params)
        .chain(results)
        .chain(published)
        .collect()
}

fn check_compile(manifest: &Manifest, schemas: &[(String, Of, &Schema)], problems: &mut Problems) {
    let noted = problems.0.len();
    for (place, _, schema) in schemas {
        let Err(message) = compile(&manifest.schema_document(schema)) else {
            continue;
        };
        // A mistake in a shared schema shows in all that embed it; said once, where it stands, is enough.
        if !message.starts_with("/schemas/") || problems.0.len() == noted {
            problems.add(place, message);
        }
    }
    if problems.0.len() == noted {
        check_defaults(manifest, problems);
    }
}

fn check_keywords(manifest: &Manifest, place: &str, schema: &Schema, problems: &mut Problems) {
    let Value::Object(keywords) = schema else { return };
    for (keyword, value) in keywords {
        match keyword.as_str() {
            "$ref" => check_reference(manifest, place, value, problems),
            word if REFUSED.contains(&word) => problems.add(place, format_args!("{word} is not supported")),
            word if ONE.contains(&word) => {
                check_keywords(manifest, &format!("{place}.{word}"), value, problems)
            }
            word if LIST.contains(&word) => {
                for (index, part) in value.as_array().into_iter().flatten().enumerate() {
                    check_keywords(manifest, &format!("{place}.{word}.{index}"), part, problems);
                }
            }
            word if NAMED.contains(&word) => {
                for (name, part) in value.as_object().into_iter().flatten() {
                    check_keywords(manifest, &format!("{place}.{word}.{name}"), part, problems);
                }
            }
            _ => {}
        }
    }
}

fn check_reference(manifest: &Manifest, place: &str, target: &Value, problems: &mut Problems) {
    let name = target
        .as_str()
        .and_then(|target| target.strip_prefix("#/schemas/"));
    if !name.is_some_and(|name| manifest.schemas.contains_key(name)) {
        problems.add(
            place,
            format_args!("$ref {target} must be #/schemas/<name> with a name that stands in schemas"),
        );
    }
}

/// Whether checking a value against one shared schema leads to checking the same value against it again.
fn is_circular(manifest: &Manifest, name: &str) -> bool {
    let mut seen = HashSet::new();
    let mut pending = vec![name];
    while let Some(schema) = pending.pop().and_then(|name| manifest.schemas.get(name)) {
        let mut targets = Vec::new();
        same_value_references(schema, &mut targets);
        if targets.contains(&name) {
            return true;
        }
        pending.extend(
            targets
                .into_iter()
                .filter(|target| manifest.schemas.contains_key(*target) && seen.insert(*target)),
        );
    }
    false
}

/// Names of the shared schemas that a schema holds its own value against.
fn same_value_references<'a>(schema: &'a Schema, targets: &mut Vec<&'a str>) {
    targets.extend(
        schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix("#/schemas/")),
    );
    for part in ["if", "then", "else", "not"]
        .iter()
        .filter_map(|keyword| schema.get(keyword))
    {
        same_value_references(part, targets);
    }
    for parts in ["allOf", "anyOf", "oneOf"]
        .iter()
        .filter_map(|keyword| schema.get(keyword)?.as_array())
    {
        parts.iter().for_each(|part| same_value_references(part, targets));
    }
    if let Some(parts) = schema.get("dependentSchemas").and_then(Value::as_object) {
        parts
            .values()
            .for_each(|part| same_value_references(part, targets));
    }
}

/// Defaults are filled in without a look, so they must fit.
fn check_defaults(manifest: &Manifest, problems: &mut Problems) {
    let Some(config) = manifest.config.as_ref().map(|schema| manifest.resolved(schema)) else {
        return;
    };
    for (name, value) in defaults(config) {
        let Some(property) = config
            .get("properties")
            .and_then(|properties| properties.get(name))
        else {
            continue;
        };
        let Ok(validator) = compile(&manifest.schema_document(property)) else {
            continue;
        };
        if let Err(error) = validator.validate(value) {
            problems.add(format_args!("config.properties.{name}.default"), at(&error));
        }
    }
}
