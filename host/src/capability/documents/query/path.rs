//! A dotted path into documents, with MongoDB's way through arrays: a name looks into every object of an array, an index
//! into one element.

use serde_json::{Map, Value};

use super::super::DocumentError;
use super::super::key::Reading;
use super::Path;
use crate::config::PATH_BYTES_MAX;

/// The field that holds a document's id.
const ID: &str = "_id";

impl Path {
    /// Checks the form.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] for an empty part, one that starts with `$` or a control character;
    /// [`DocumentError::TooLarge`] over [`PATH_BYTES_MAX`].
    pub fn parse(text: &str) -> Result<Self, DocumentError> {
        if text.len() > PATH_BYTES_MAX {
            return Err(DocumentError::TooLarge(format!(
                "a field's path has at most {PATH_BYTES_MAX} bytes"
            )));
        }
        let parts: Vec<String> = text.split('.').map(str::to_owned).collect();
        if parts.iter().any(|part| !is_name(part)) {
            return Err(DocumentError::Malformed(format!(
                "{text:?} is not the path of a field"
            )));
        }
        let names: Vec<&str> = parts
            .iter()
            .map(String::as_str)
            .filter(|part| index(part).is_none())
            .collect();
        Ok(Self {
            text: text.to_owned(),
            declared: names.join("."),
            parts,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Names and indexes, outermost first.
    pub(in super::super) fn parts(&self) -> &[String] {
        &self.parts
    }

    /// Whether it is the document's id.
    pub(in super::super) fn is_id(&self) -> bool {
        self.text == ID
    }

    /// How text there is read, below `prefix`, which is empty or a path.
    pub(in super::super) fn reading(&self, prefix: &str, decimals: &[String]) -> Reading {
        let declared = |field: &String| match prefix {
            "" => *field == self.declared,
            _ => field.strip_prefix(prefix).and_then(|rest| rest.strip_prefix('.')) == Some(&self.declared),
        };
        if decimals.iter().any(declared) {
            Reading::Decimal
        } else {
            Reading::Text
        }
    }

    /// The same path as seen from the document's root, given where `self` starts.
    pub(super) fn below(&self, prefix: &str) -> String {
        if prefix.is_empty() {
            self.declared.clone()
        } else {
            format!("{prefix}.{}", self.declared)
        }
    }

    /// Whether there is an array at the path or on the way.
    pub(in super::super) fn meets_array(&self, document: &Map<String, Value>) -> bool {
        let mut object = Some(document);
        for part in &self.parts {
            let value = object.and_then(|object| object.get(part));
            if value.is_some_and(Value::is_array) {
                return true;
            }
            object = value.and_then(Value::as_object);
        }
        false
    }

    /// Shows every value that the path leads to, `None` for a missing one, until `seen` says true; whether it did.
    pub(in super::super) fn any<'a>(
        &self,
        document: &'a Map<String, Value>,
        seen: &mut dyn FnMut(Option<&'a Value>) -> bool,
    ) -> bool {
        in_object(document, &self.parts, seen)
    }
}

/// Whether a path can name it.
pub(in super::super) fn is_name(part: &str) -> bool {
    !part.is_empty() && !part.starts_with('$') && !part.contains('.') && !part.contains(char::is_control)
}

/// The index that a part of a path may be.
pub(in super::super) fn index(part: &str) -> Option<usize> {
    let canonical = part == "0" || !part.starts_with('0');
    if canonical && part.bytes().all(|byte| byte.is_ascii_digit()) {
        part.parse().ok()
    } else {
        None
    }
}

fn in_object<'a>(
    object: &'a Map<String, Value>,
    parts: &[String],
    seen: &mut dyn FnMut(Option<&'a Value>) -> bool,
) -> bool {
    let Some((name, rest)) = parts.split_first() else {
        return false;
    };
    match object.get(name) {
        Some(value) => in_value(value, rest, seen),
        None => seen(None),
    }
}

fn in_value<'a>(value: &'a Value, parts: &[String], seen: &mut dyn FnMut(Option<&'a Value>) -> bool) -> bool {
    let Some((next, rest)) = parts.split_first() else {
        return seen(Some(value));
    };
    match value {
        Value::Object(object) => in_object(object, parts, seen),
        Value::Array(items) => {
            let named = items
                .iter()
                .filter_map(Value::as_object)
                .any(|object| in_object(object, parts, seen));
            let indexed = index(next).and_then(|at| items.get(at));
            named || indexed.is_some_and(|item| in_value(item, rest, seen))
        }
        _ => seen(None),
    }
}
