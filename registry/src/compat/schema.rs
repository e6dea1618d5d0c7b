//! What readers of a value lose when its schema changes: a property that is gone or may be absent now, a type that is
//! another one. Values that readers have not seen before are theirs to bear, as with any API.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::manifest::{Manifest, Schema};

/// How deep schemas are compared. Schemas may refer to themselves.
const DEPTH_MAX: usize = 12;
/// Most losses that are told of one schema.
const TOLD_MAX: usize = 8;

/// Each loss with its place: `address.city is gone`.
pub(super) fn narrowed(before: (&Manifest, &Schema), after: (&Manifest, &Schema)) -> Vec<String> {
    let mut told = Vec::new();
    compare(before, after, "", 0, &mut told);
    told
}

fn compare(
    (old, before): (&Manifest, &Schema),
    (new, after): (&Manifest, &Schema),
    place: &str,
    depth: usize,
    told: &mut Vec<String>,
) {
    if depth > DEPTH_MAX || told.len() >= TOLD_MAX {
        return;
    }
    let (before, after) = (old.resolved(before), new.resolved(after));
    let (had, has) = (types(before), types(after));
    if !had.is_empty() && (has.is_empty() || !has.is_subset(&had)) {
        let (had, has) = (
            list(&had),
            if has.is_empty() {
                "anything".to_owned()
            } else {
                list(&has)
            },
        );
        told.push(format!("{} was {had} and is {has}", named(place)));
        return;
    }
    let properties = |schema: &Schema| schema.get("properties").and_then(Value::as_object).cloned();
    let (had, has) = (
        properties(before).unwrap_or_default(),
        properties(after).unwrap_or_default(),
    );
    for (name, property) in &had {
        let place = if place.is_empty() {
            name.clone()
        } else {
            format!("{place}.{name}")
        };
        match has.get(name) {
            None if told.len() < TOLD_MAX => told.push(format!("{place} is gone")),
            None => {}
            Some(other) => {
                if is_required(before, name) && !is_required(after, name) {
                    told.push(format!("{place} may be absent"));
                }
                compare((old, property), (new, other), &place, depth + 1, told);
            }
        }
    }
    if let (Some(before), Some(after)) = (before.get("items"), after.get("items")) {
        compare(
            (old, before),
            (new, after),
            &format!("{place}[]"),
            depth + 1,
            told,
        );
    }
}

fn is_required(schema: &Schema, name: &str) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    required.is_some_and(|required| required.iter().any(|known| known == name))
}

/// The types that a schema allows; none stands for all. An integer is a number.
fn types(schema: &Schema) -> BTreeSet<&str> {
    let mut types: BTreeSet<_> = match schema.get("type") {
        Some(Value::String(one)) => [one.as_str()].into(),
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => BTreeSet::new(),
    };
    if types.contains("number") {
        types.insert("integer");
    }
    types
}

fn list(types: &BTreeSet<&str>) -> String {
    let is_told = |name: &&&str| !(**name == "integer" && types.contains("number"));
    types
        .iter()
        .filter(is_told)
        .copied()
        .collect::<Vec<_>>()
        .join(" or ")
}

fn named(place: &str) -> &str {
    if place.is_empty() { "the whole" } else { place }
}
