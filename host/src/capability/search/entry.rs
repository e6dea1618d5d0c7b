//! A document as an index keeps it: the whole of it, and what its declared fields are searched by.

use millwork_registry::manifest::IndexKind;
use serde_json::Value as Json;

use super::value::Value;
use super::{Document, Index, SearchError, words};

/// Longest document, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// Longest id, in bytes.
pub const ID_BYTES_MAX: usize = 512;
/// Longest value that is suggested, in bytes.
const SUGGESTED_BYTES_MAX: usize = 256;
/// Stands between the folded form of a suggested value and the value: below whatever a value has.
const SEPARATOR: char = '\u{1}';

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// 1 to [`ID_BYTES_MAX`] bytes.
    pub id: String,
    /// As it was given.
    pub document: Document,
    /// Values of text fields.
    pub texts: Vec<(String, Vec<String>)>,
    /// Values of other fields.
    pub values: Vec<(String, Vec<Value>)>,
    /// Values of suggested fields, as [`suggestion`] writes them.
    pub suggestions: Vec<(String, Vec<String>)>,
}

impl Entry {
    /// Reads a document.
    ///
    /// # Errors
    /// [`SearchError::Malformed`] when a field does not hold what the index declares, [`SearchError::TooLarge`].
    pub fn read(of: &Index, id: &str, document: &str) -> Result<Self, SearchError> {
        check_id(id)?;
        if document.len() > DOCUMENT_BYTES_MAX {
            return Err(SearchError::TooLarge(format!(
                "the document is longer than {DOCUMENT_BYTES_MAX} bytes"
            )));
        }
        let document: Document = serde_json::from_str(document)
            .map_err(|error| SearchError::Malformed(format!("document is no JSON object: {error}")))?;
        let mut entry = Self {
            id: id.to_owned(),
            document: Document::new(),
            texts: Vec::new(),
            values: Vec::new(),
            suggestions: Vec::new(),
        };
        for (name, field) in &of.fields {
            let given = values_of(document.get(name));
            if given.is_empty() {
                continue;
            }
            let wrong = |why: String| SearchError::Malformed(format!("document: field {name:?} {why}"));
            if field.kind == IndexKind::Text {
                let texts: Option<Vec<String>> = given
                    .iter()
                    .map(|value| value.as_str().map(str::to_owned))
                    .collect();
                let texts = texts.ok_or_else(|| wrong("must be text".to_owned()))?;
                entry.texts.push((name.clone(), texts));
            } else {
                let values: Result<_, _> = given.iter().map(|value| Value::read(field.kind, value)).collect();
                entry.values.push((name.clone(), values.map_err(wrong)?));
            }
            if field.suggested {
                let short = given.iter().filter_map(|value| value.as_str());
                let short = short.filter(|text| text.len() <= SUGGESTED_BYTES_MAX);
                entry
                    .suggestions
                    .push((name.clone(), short.map(suggestion).collect()));
            }
        }
        entry.document = document;
        Ok(entry)
    }

    /// Names of the declared fields that hold something.
    pub fn present(&self) -> impl Iterator<Item = &str> {
        let texts = self.texts.iter().map(|(name, _)| name.as_str());
        texts.chain(self.values.iter().map(|(name, _)| name.as_str()))
    }
}

/// Refuses ids that a backend could not keep.
///
/// # Errors
/// [`SearchError::TooLarge`].
pub fn check_id(id: &str) -> Result<(), SearchError> {
    if id.is_empty() || id.len() > ID_BYTES_MAX {
        return Err(SearchError::TooLarge(format!(
            "an id has 1 to {ID_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

/// A value to be suggested, behind the form that it is found and sorted by.
#[must_use]
pub fn suggestion(value: &str) -> String {
    format!("{}{SEPARATOR}{value}", words::folded(value))
}

/// The value in a [`suggestion`].
#[must_use]
pub fn suggested(suggestion: &str) -> Option<&str> {
    suggestion.split_once(SEPARATOR).map(|(_, value)| value)
}

/// The values of a field: none, one or a list of them.
fn values_of(field: Option<&Json>) -> Vec<&Json> {
    match field {
        None | Some(Json::Null) => Vec::new(),
        Some(Json::Array(values)) => values.iter().filter(|value| !value.is_null()).collect(),
        Some(value) => vec![value],
    }
}
