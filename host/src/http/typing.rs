//! Text of query strings to JSON values, by the types that a manifest's schemas declare.

use millwork_registry::manifest::{Manifest, Schema};
use serde_json::{Number, Value};

/// Most references followed from one schema to the next, so that a circle ends.
const REFERENCES_MAX: usize = 16;

/// Names of the JSON types that a place may hold; none when its schema does not say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Types<'a>(Vec<&'a str>);

impl<'a> Types<'a> {
    /// What a schema allows.
    pub(super) fn of(manifest: &'a Manifest, schema: &'a Schema) -> Self {
        let schema = resolved(manifest, schema);
        match schema.get("type") {
            Some(Value::String(name)) => Self(vec![name]),
            Some(Value::Array(names)) => Self(names.iter().filter_map(Value::as_str).collect()),
            _ => Self(
                schema
                    .get("enum")
                    .and_then(Value::as_array)
                    .into_iter()
                    .flatten()
                    .map(type_name)
                    .collect(),
            ),
        }
    }

    /// Text and nothing else.
    pub(super) fn text() -> Self {
        Self(vec!["string"])
    }

    /// Whether the schema says nothing.
    pub(super) fn unknown(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a value may be of this type.
    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains(&name)
    }

    /// The value that a text means here; when nothing fits, what would.
    pub(super) fn value(&self, text: &str) -> Result<Value, String> {
        let number = || text.parse::<Number>().ok().map(Value::Number);
        let integer = || number().filter(|value| value.is_i64() || value.is_u64());
        let fits = |name: &str| match name {
            "null" => (text == "null").then_some(Value::Null),
            "boolean" => text.parse().ok().map(Value::Bool),
            "integer" => integer(),
            "number" => number(),
            _ => None,
        };
        if let Some(value) = self.0.iter().find_map(|name| fits(name)) {
            return Ok(value);
        }
        if self.unknown() || self.has("string") {
            return Ok(Value::String(text.to_owned()));
        }
        Err(format!("{text:?} is no {}", self.0.join(" or ")))
    }

    /// Every value that a text may mean: where the schema does not say, the text itself and what it looks like.
    pub(super) fn values(&self, text: &str) -> Result<Vec<Value>, String> {
        if !self.unknown() {
            return Ok(vec![self.value(text)?]);
        }
        let mut values = vec![Value::String(text.to_owned())];
        values.extend(Types(vec!["null", "boolean", "integer"]).value(text).ok());
        Ok(values)
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// The schema of the property at a dotted path, through references and the items of lists.
pub(super) fn property<'a>(manifest: &'a Manifest, schema: &'a Schema, path: &str) -> Option<&'a Schema> {
    let mut schema = resolved(manifest, schema);
    for name in path.split('.') {
        while let Some(items) = schema.get("items") {
            schema = resolved(manifest, items);
        }
        schema = resolved(manifest, schema.get("properties")?.get(name)?);
    }
    Some(schema)
}

/// Follows `#/schemas/X`.
pub(super) fn resolved<'a>(manifest: &'a Manifest, schema: &'a Schema) -> &'a Schema {
    let mut schema = schema;
    for _ in 0..REFERENCES_MAX {
        let target = schema
            .get("$ref")
            .and_then(Value::as_str)
            .and_then(|target| target.strip_prefix("#/schemas/"));
        match target.and_then(|name| manifest.schemas.get(name)) {
            Some(next) => schema = next,
            None => break,
        }
    }
    schema
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn texts_become_what_the_schema_names() {
        let check = |types: &[&'static str], text: &str, expected: Value| {
            assert_eq!(
                Types(types.to_vec()).value(text).unwrap(),
                expected,
                "{types:?} {text}"
            );
        };
        check(&["integer"], "12", json!(12));
        check(&["number"], "1.5", json!(1.5));
        check(&["boolean"], "true", json!(true));
        check(&["string"], "12", json!("12"));
        check(&["string", "null"], "null", json!(null));
        check(&["string", "null"], "x", json!("x"));
        check(&[], "12", json!("12"));
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (name, text) in [
            ("integer", "1.5"),
            ("integer", "x"),
            ("boolean", "yes"),
            ("number", "1e"),
            ("null", ""),
        ] {
            assert!(Types(vec![name]).value(text).is_err(), "{name} {text}");
        }
    }

    #[test]
    fn without_a_schema_a_text_may_mean_more() {
        assert_eq!(Types::default().values("7").unwrap(), [json!("7"), json!(7)]);
        assert_eq!(Types::default().values("7.50").unwrap(), [json!("7.50")]);
        assert_eq!(
            Types::default().values("true").unwrap(),
            [json!("true"), json!(true)]
        );
        assert_eq!(Types::text().values("7").unwrap(), [json!("7")]);
    }
}
