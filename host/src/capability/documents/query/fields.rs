//! The fields of a document that a find asks for.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::super::{Document, DocumentError};
use super::Path;
use crate::config::FIELDS_MAX;

/// A tree of names; empty is everything below.
#[derive(Debug, Default)]
pub(in super::super) struct Fields(BTreeMap<String, Fields>);

impl Fields {
    /// From dotted paths; names look into every object of an array.
    pub(in super::super) fn parse(paths: &[String]) -> Result<Self, DocumentError> {
        if paths.len() > FIELDS_MAX {
            return Err(DocumentError::TooLarge(format!("fields: more than {FIELDS_MAX}")));
        }
        let mut tree = Self::default();
        if !paths.is_empty() {
            tree.0.insert("_id".to_owned(), Self::default());
        }
        let mut parsed = paths
            .iter()
            .map(|path| Path::parse(path))
            .collect::<Result<Vec<_>, _>>()?;
        // The shorter path first: it gives all that a longer one below it would.
        parsed.sort_by_key(|path| path.parts().len());
        for path in parsed {
            tree.insert(path.parts());
        }
        Ok(tree)
    }

    fn insert(&mut self, parts: &[String]) {
        let Some((name, rest)) = parts.split_first() else {
            return;
        };
        match self.0.get_mut(name) {
            // Already given as a whole.
            Some(below) if below.0.is_empty() => {}
            Some(below) => below.insert(rest),
            None => self.0.entry(name.clone()).or_default().insert(rest),
        }
    }

    /// The document with these fields only.
    pub(in super::super) fn of(&self, document: Document) -> Document {
        if self.0.is_empty() {
            return document;
        }
        document
            .into_iter()
            .filter_map(|(name, value)| {
                let value = self.0.get(&name)?.of_value(value)?;
                Some((name, value))
            })
            .collect::<Map<_, _>>()
    }

    fn of_value(&self, value: Value) -> Option<Value> {
        match value {
            whole if self.0.is_empty() => Some(whole),
            Value::Object(object) => Some(Value::Object(self.of(object))),
            Value::Array(items) => Some(Value::Array(
                items.into_iter().filter_map(|item| self.of_value(item)).collect(),
            )),
            _ => None,
        }
    }
}
