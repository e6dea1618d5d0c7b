//! The order of a page.

use serde_json::Value;

use super::super::key::{self, Reading};
use super::super::{Document, DocumentError};
use super::{Direction, Path, Sort};
use crate::config::SORT_FIELDS_MAX;

impl Sort {
    /// Parses MongoDB's form: `{"dueDate": 1, "total": -1}`; `{}` is by id.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] naming the field, [`DocumentError::TooLarge`] over [`SORT_FIELDS_MAX`].
    pub fn parse(json: &Value) -> Result<Self, DocumentError> {
        let Value::Object(fields) = json else {
            return Err(DocumentError::Malformed("sort: must be an object".to_owned()));
        };
        let direction = |(name, value): (&String, &Value)| match value.as_f64() {
            Some(1.0) => Ok((name.clone(), Direction::Ascending)),
            Some(-1.0) => Ok((name.clone(), Direction::Descending)),
            _ => Err(DocumentError::Malformed(format!("sort.{name}: must be 1 or -1"))),
        };
        Self::of(fields.iter().map(direction).collect::<Result<_, _>>()?)
    }

    /// Parses the form of URLs: `-dueDate,total`; empty is by id.
    ///
    /// # Errors
    /// As [`Sort::parse`].
    pub fn parse_text(text: &str) -> Result<Self, DocumentError> {
        let direction = |field: &str| match field.trim().strip_prefix('-') {
            Some(name) => (name.to_owned(), Direction::Descending),
            None => (field.trim().to_owned(), Direction::Ascending),
        };
        let fields = if text.trim().is_empty() {
            Vec::new()
        } else {
            text.split(',').map(direction).collect()
        };
        Self::of(fields)
    }

    fn of(fields: Vec<(String, Direction)>) -> Result<Self, DocumentError> {
        if fields.len() > SORT_FIELDS_MAX {
            return Err(DocumentError::TooLarge(format!(
                "sort: more than {SORT_FIELDS_MAX} fields"
            )));
        }
        let mut sort = Self::default();
        for (name, direction) in fields {
            let path = Path::parse(&name).map_err(|_| {
                DocumentError::Malformed(format!("sort: {name:?} is not the path of a field"))
            })?;
            sort.id = direction;
            if path.is_id() {
                break;
            }
            if sort.fields.iter().any(|(known, _)| *known == path) {
                return Err(DocumentError::Malformed(format!(
                    "sort.{name}: stands there twice"
                )));
            }
            sort.fields.push((path, direction));
        }
        Ok(sort)
    }

    /// The form of URLs.
    #[must_use]
    pub fn to_text(&self) -> String {
        let field = |(path, direction): &(Path, Direction)| format!("{}{}", direction.sign(), path.as_str());
        let id = format!("{}_id", self.id.sign());
        self.fields
            .iter()
            .map(field)
            .chain([id])
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl Direction {
    fn sign(self) -> &'static str {
        match self {
            Self::Ascending => "",
            Self::Descending => "-",
        }
    }

    /// The key by which a document is sorted on a field.
    pub(in super::super) fn key(self, path: &Path, document: &Document, reading: Reading) -> Vec<u8> {
        let mut best: Option<Vec<u8>> = None;
        let mut consider = |value: Option<&Value>| {
            let key = key::encode(value, reading);
            let better = match (&best, self) {
                (None, _) => true,
                (Some(best), Self::Ascending) => key < *best,
                (Some(best), Self::Descending) => key > *best,
            };
            if better {
                best = Some(key);
            }
        };
        path.any(document, &mut |value| {
            match value {
                Some(Value::Array(items)) => items.iter().for_each(|item| consider(Some(item))),
                other => consider(other),
            }
            false
        });
        best.unwrap_or_else(|| key::encode(None, reading))
    }
}
