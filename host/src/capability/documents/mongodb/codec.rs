//! Documents as BSON and back without a loss, and keys as text that MongoDB sorts as we do.

use std::sync::LazyLock;

use ::mongodb::bson::{Bson, Decimal128, Document as Row};
use base64::Engine;
use base64::alphabet::Alphabet;
use base64::engine::{GeneralPurpose, general_purpose::NO_PAD};
use serde_json::{Map, Number, Value};

use super::super::{Document, DocumentError};

/// Sixty-four characters in the order of their bytes, so that texts sort as the bytes they stand for.
const ORDERED: &str = "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz";

/// A key as text. MongoDB compares binary data by its length first, but text by its bytes.
pub(super) fn key_text(key: &[u8]) -> String {
    static ENGINE: LazyLock<Option<GeneralPurpose>> =
        LazyLock::new(|| Some(GeneralPurpose::new(&Alphabet::new(ORDERED).ok()?, NO_PAD)));
    match &*ENGINE {
        Some(engine) => engine.encode(key),
        None => key.iter().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// A document as it is stored.
pub(super) fn to_row(document: &Document) -> Row {
    document
        .iter()
        .map(|(name, value)| (name.clone(), to_bson(value)))
        .collect()
}

fn to_bson(value: &Value) -> Bson {
    match value {
        Value::Null => Bson::Null,
        Value::Bool(value) => Bson::Boolean(*value),
        Value::Number(number) => number_to_bson(number),
        Value::String(text) => Bson::String(text.clone()),
        Value::Array(items) => Bson::Array(items.iter().map(to_bson).collect()),
        Value::Object(fields) => Bson::Document(to_row(fields)),
    }
}

/// The integers that 64 bits with a sign do not hold are decimals of twenty digits, which nothing else is.
fn number_to_bson(number: &Number) -> Bson {
    if let Some(integer) = number.as_i64() {
        return Bson::Int64(integer);
    }
    let decimal = number
        .as_u64()
        .and_then(|large| large.to_string().parse::<Decimal128>().ok());
    match (decimal, number.as_f64()) {
        (Some(decimal), _) => Bson::Decimal128(decimal),
        (None, Some(float)) => Bson::Double(float),
        (None, None) => Bson::Null,
    }
}

/// A stored document as it was written.
pub(super) fn from_row(row: Row) -> Result<Document, DocumentError> {
    row.into_iter()
        .map(|(name, value)| Ok((name, from_bson(value)?)))
        .collect::<Result<Map<_, _>, _>>()
}

fn from_bson(value: Bson) -> Result<Value, DocumentError> {
    let unknown = |what: &Bson| {
        DocumentError::Failed(format!(
            "a document holds what no host wrote: {:?}",
            what.element_type()
        ))
    };
    Ok(match value {
        Bson::Null => Value::Null,
        Bson::Boolean(value) => Value::Bool(value),
        Bson::Int32(integer) => Value::from(integer),
        Bson::Int64(integer) => Value::from(integer),
        Bson::Double(float) => Value::from(float),
        Bson::Decimal128(decimal) => match decimal.to_string().parse::<u64>() {
            Ok(large) => Value::from(large),
            Err(_) => return Err(unknown(&value)),
        },
        Bson::String(text) => Value::String(text),
        Bson::Array(items) => Value::Array(items.into_iter().map(from_bson).collect::<Result<_, _>>()?),
        Bson::Document(fields) => Value::Object(from_row(fields)?),
        other => return Err(unknown(&other)),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, prop_assert_eq, proptest};
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_come_back_as_they_went() {
        let all = json!({
            "_id": "a$b.c", "z": null, "a": [true, [], {}, [[1]]], "name": "M\u{fc}ller\u{0}",
            "large": u64::MAX, "larger": 9_223_372_036_854_775_808_u64, "least": i64::MIN, "small": 5e-324,
            "whole": 2.0, "minus": -0.0, "float": 1e300, "text": "10.50", "inner": {"b": 1, "a": 2},
        });
        let Value::Object(document) = &all else {
            panic!("an object")
        };
        let back = from_row(to_row(document)).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), all.to_string());
    }

    #[test]
    fn what_no_host_wrote_is_told() {
        let date = Row::from_iter([("at".to_owned(), Bson::DateTime(::mongodb::bson::DateTime::now()))]);
        assert!(matches!(from_row(date), Err(DocumentError::Failed(_))));
        let fraction = Row::from_iter([("at".to_owned(), Bson::Decimal128("1.5".parse().unwrap()))]);
        assert!(matches!(from_row(fraction), Err(DocumentError::Failed(_))));
    }

    proptest! {
        #[test]
        fn texts_of_keys_sort_as_keys(a in any::<Vec<u8>>(), b in any::<Vec<u8>>(), shared in any::<Vec<u8>>()) {
            let with = |end: &[u8]| key_text(&[&shared, end].concat());
            prop_assert_eq!(with(&a).as_bytes().cmp(with(&b).as_bytes()), a.cmp(&b));
        }
    }
}
