//! What a document must be like to be written, whatever the backend.

use rust_decimal::Decimal;
use serde_json::Value;

use super::key::is_decimal;
use super::query::Path;
use super::query::path::is_name;
use super::{Collection, Document, DocumentError};
use crate::config::{DOCUMENT_BYTES_MAX, DOCUMENT_DEPTH_MAX, ID_BYTES_MAX};

/// Checks the form of an id.
pub(super) fn check_id(id: &str) -> Result<(), DocumentError> {
    match id.len() {
        0 => Err(DocumentError::Malformed(
            "the id of a document is not empty".to_owned(),
        )),
        1..=ID_BYTES_MAX => Ok(()),
        _ => Err(DocumentError::TooLarge(format!(
            "the id of a document has at most {ID_BYTES_MAX} bytes"
        ))),
    }
}

/// Gives a document its id and checks it; the second is it as JSON text.
pub(super) fn checked(
    of: &Collection,
    id: &str,
    mut document: Document,
) -> Result<(Document, String), DocumentError> {
    check_id(id)?;
    document.shift_remove("_id");
    document.shift_insert(0, "_id".to_owned(), Value::String(id.to_owned()));
    check(&document, of)?;
    let body = text(&document)?;
    if body.len() > DOCUMENT_BYTES_MAX {
        let (bytes, name) = (body.len(), &of.name);
        return Err(DocumentError::TooLarge(format!(
            "{name} {id:?} has {bytes} bytes of at most {DOCUMENT_BYTES_MAX}"
        )));
    }
    Ok((document, body))
}

/// A document as JSON text.
fn text(document: &Document) -> Result<String, DocumentError> {
    serde_json::to_string(document).map_err(|error| DocumentError::Malformed(error.to_string()))
}

/// As JSON text, what was looked for and may have been found.
pub(super) fn found_text(document: Option<Document>) -> Result<Option<String>, DocumentError> {
    document.as_ref().map(text).transpose()
}

fn check(document: &Document, of: &Collection) -> Result<(), DocumentError> {
    check_object(document, 1)?;
    for field in of.indexes.iter().flatten() {
        if Path::parse(field)?.meets_array(document) {
            return Err(DocumentError::Malformed(format!(
                "{field}: is indexed and holds an array"
            )));
        }
    }
    for field in &of.decimals {
        let malformed = Path::parse(field)?.any(document, &mut |value| match value {
            Some(Value::Array(items)) => items.iter().any(breaks_decimal),
            Some(value) => breaks_decimal(value),
            None => false,
        });
        if malformed {
            return Err(DocumentError::Malformed(format!(
                "{field}: holds text that is no decimal of up to 28 digits"
            )));
        }
    }
    Ok(())
}

fn breaks_decimal(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| !is_decimal(text) || Decimal::from_str_exact(text).is_err())
}

fn check_object(object: &Document, depth: usize) -> Result<(), DocumentError> {
    if depth > DOCUMENT_DEPTH_MAX {
        return Err(DocumentError::TooLarge(format!(
            "the document nests deeper than {DOCUMENT_DEPTH_MAX}"
        )));
    }
    for (name, value) in object {
        if !is_name(name) {
            return Err(DocumentError::Malformed(format!(
                "{name:?} is no name of a field: it is empty, starts with $ or has a point or a control character"
            )));
        }
        check_value(value, depth + 1)?;
    }
    Ok(())
}

fn check_value(value: &Value, depth: usize) -> Result<(), DocumentError> {
    match value {
        Value::Object(object) => check_object(object, depth),
        Value::Array(_) if depth > DOCUMENT_DEPTH_MAX => Err(DocumentError::TooLarge(format!(
            "the document nests deeper than {DOCUMENT_DEPTH_MAX}"
        ))),
        Value::Array(items) => items.iter().try_for_each(|item| check_value(item, depth + 1)),
        _ => Ok(()),
    }
}
