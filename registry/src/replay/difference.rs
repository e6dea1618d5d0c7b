//! Where two JSON values differ. The order of an object's members never counts; that of a list's entries does, and is told
//! apart from other differences.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// Longest value shown, in bytes of JSON text: a report is to be read.
const VALUE_BYTES_MAX: usize = 1_024;

/// One place where two values differ.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// JSON Pointer (RFC 6901).
    pub pointer: String,
    /// The value before; absent when there was none there.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub before: Option<Value>,
    /// The value after; absent when there is none there.
    #[serde(
        default,
        deserialize_with = "present",
        skip_serializing_if = "Option::is_none"
    )]
    pub after: Option<Value>,
}

/// How two values stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Relation {
    /// The same.
    Equal,
    /// The same but for the order of entries of lists.
    Order,
    /// Not the same.
    Different,
}

/// How two values stand to each other.
#[must_use]
pub fn relation(before: &Value, after: &Value) -> Relation {
    if before == after {
        Relation::Equal
    } else if unordered(before) == unordered(after) {
        Relation::Order
    } else {
        Relation::Different
    }
}

/// Where two values differ, at most `max` places, in the order of `before`. Values that are long are shown by their start.
#[must_use]
pub fn differences(before: &Value, after: &Value, max: usize) -> Vec<Difference> {
    let mut found = Vec::new();
    collect(String::new(), Some(before), Some(after), max, &mut found);
    found
}

/// A value as text that is the same for equal values: members sorted by name, no white space.
#[must_use]
pub fn canonical(value: &Value) -> String {
    match value {
        Value::Object(members) => join('{', sorted(members).map(member), '}'),
        Value::Array(entries) => join('[', entries.iter().map(canonical), ']'),
        plain => plain.to_string(),
    }
}

/// The same, and the entries of lists are sorted too.
fn unordered(value: &Value) -> String {
    match value {
        Value::Object(members) => {
            let members =
                sorted(members).map(|(name, value)| format!("{}:{}", quoted(name), unordered(value)));
            join('{', members, '}')
        }
        Value::Array(entries) => {
            let mut entries: Vec<_> = entries.iter().map(unordered).collect();
            entries.sort_unstable();
            join('[', entries.into_iter(), ']')
        }
        plain => plain.to_string(),
    }
}

fn member((name, value): (&String, &Value)) -> String {
    format!("{}:{}", quoted(name), canonical(value))
}

fn quoted(name: &str) -> String {
    Value::String(name.to_owned()).to_string()
}

fn sorted(members: &Map<String, Value>) -> impl Iterator<Item = (&String, &Value)> {
    let mut members: Vec<_> = members.iter().collect();
    members.sort_unstable_by_key(|(name, _)| *name);
    members.into_iter()
}

fn join(open: char, parts: impl Iterator<Item = String>, close: char) -> String {
    let parts: Vec<_> = parts.collect();
    format!("{open}{}{close}", parts.join(","))
}

fn collect(
    pointer: String,
    before: Option<&Value>,
    after: Option<&Value>,
    max: usize,
    found: &mut Vec<Difference>,
) {
    if found.len() >= max || before == after {
        return;
    }
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => {
            let mut seen = BTreeSet::new();
            for name in old.keys().chain(new.keys()).filter(|name| seen.insert(*name)) {
                let pointer = format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"));
                collect(pointer, old.get(name), new.get(name), max, found);
            }
        }
        (Some(Value::Array(old)), Some(Value::Array(new))) => {
            for index in 0..old.len().max(new.len()) {
                collect(
                    format!("{pointer}/{index}"),
                    old.get(index),
                    new.get(index),
                    max,
                    found,
                );
            }
        }
        _ => found.push(Difference {
            pointer,
            before: before.map(shown),
            after: after.map(shown),
        }),
    }
}

fn shown(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= VALUE_BYTES_MAX {
        return value.clone();
    }
    let start: String = text.chars().take(VALUE_BYTES_MAX / 8).collect();
    Value::String(format!("{start}… ({} bytes)", text.len()))
}

/// A member that is there, null included.
fn present<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Value>, D::Error> {
    Value::deserialize(value).map(Some)
}

/// `/total "1.90" -> "2.00"`; what is not there is a dash.
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "-".to_owned(), Value::to_string);
        let (before, after) = (text(&self.before), text(&self.after));
        write!(f, "{} {before} -> {after}", self.pointer)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(before: Value, after: Value, expected: Relation, places: &[&str]) {
        assert_eq!(relation(&before, &after), expected, "{before} {after}");
        let found = differences(&before, &after, 10);
        let found: Vec<_> = found.iter().map(ToString::to_string).collect();
        assert_eq!(found, places, "{before} {after}");
    }

    #[test]
    fn the_order_of_members_does_not_count() {
        check(
            json!({"a": 1, "b": {"c": 2, "d": 3}}),
            json!({"b": {"d": 3, "c": 2}, "a": 1}),
            Relation::Equal,
            &[],
        );
    }

    #[test]
    fn the_order_of_entries_is_told_apart() {
        check(
            json!({"a": [{"x": 1}, {"x": 2}]}),
            json!({"a": [{"x": 2}, {"x": 1}]}),
            Relation::Order,
            &["/a/0/x 1 -> 2", "/a/1/x 2 -> 1"],
        );
        check(
            json!([1, 1, 2]),
            json!([1, 2, 2]),
            Relation::Different,
            &["/1 1 -> 2"],
        );
        check(
            json!(["1,2"]),
            json!(["1", "2"]),
            Relation::Different,
            &["/0 \"1,2\" -> \"1\"", "/1 - -> \"2\""],
        );
    }

    #[test]
    fn places_are_json_pointers() {
        check(
            json!({"a/b": {"c~d": 1}}),
            json!({"a/b": {}}),
            Relation::Different,
            &["/a~1b/c~0d 1 -> -"],
        );
        check(
            json!("119.00"),
            json!("119.0"),
            Relation::Different,
            &[" \"119.00\" -> \"119.0\""],
        );
        check(
            json!({"a": null}),
            json!({}),
            Relation::Different,
            &["/a null -> -"],
        );
    }

    #[test]
    fn there_are_bounds() {
        let before = json!((0..100).collect::<Vec<_>>());
        let after = json!((1..101).collect::<Vec<_>>());
        assert_eq!(differences(&before, &after, 3).len(), 3);
        let long = differences(&json!("x".repeat(5_000)), &json!(1), 1);
        let text = long[0].before.as_ref().unwrap().as_str().unwrap();
        assert!(text.len() < 200 && text.ends_with("… (5002 bytes)"), "{text}");
    }

    #[test]
    fn equal_values_have_one_text() {
        let (one, other) = (
            json!({"b": [1, {"d": 0, "c": "\""}], "a": null}),
            r#"{"a":null,"b":[1,{"c":"\"","d":0}]}"#,
        );
        assert_eq!(canonical(&one), other);
        assert_eq!(canonical(&serde_json::from_str(other).unwrap()), other);
    }

    #[test]
    fn what_is_not_there_stays_apart_from_null() {
        let found = differences(&json!({"a": null, "b": 1}), &json!({"b": null}), 10);
        let text = serde_json::to_string(&found).unwrap();
        assert_eq!(
            text,
            r#"[{"pointer":"/a","before":null},{"pointer":"/b","before":1,"after":null}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<Difference>>(&text).unwrap(), found);
    }
}
