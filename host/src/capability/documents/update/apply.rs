//! One step of a change on a document in memory.

use rust_decimal::Decimal;
use serde_json::{Map, Value};

use super::super::key::{Reading, is_decimal};
use super::super::query::path::index;
use super::super::query::{Path, Test, matching};
use super::super::{Document, DocumentError};
use super::Step;

/// Makes one step.
pub(super) fn step(
    document: &mut Document,
    path: &Path,
    step: &Step,
    decimals: &[String],
) -> Result<(), DocumentError> {
    let field = Field {
        path,
        reading: path.reading("", decimals),
        decimals,
    };
    match step {
        Step::Set(value) => field.place(document).map(|place| *place = value.clone()),
        Step::Unset => {
            unset(document, path.parts());
            Ok(())
        }
        Step::Inc(by) => {
            let place = field.place(document)?;
            *place = field.sum(place, by)?;
            Ok(())
        }
        Step::Push(values) => field
            .array(document)
            .map(|array| array.extend(values.iter().cloned())),
        Step::Pull(test) => field.pull(document, test),
    }
}

struct Field<'a> {
    path: &'a Path,
    reading: Reading,
    decimals: &'a [String],
}

impl Field<'_> {
    fn malformed(&self, what: &str) -> DocumentError {
        DocumentError::Malformed(format!("{}: {what}", self.path.as_str()))
    }

    /// The value at the path, made with all objects on the way; a fresh one is null.
    fn place<'d>(&self, document: &'d mut Document) -> Result<&'d mut Value, DocumentError> {
        let Some((first, rest)) = self.path.parts().split_first() else {
            return Err(self.malformed("names no field"));
        };
        let mut place = document.entry(first.as_str()).or_insert(Value::Null);
        let mut fresh = place.is_null();
        for part in rest {
            if fresh {
                *place = Value::Object(Map::new());
            }
            place = match place {
                Value::Object(object) => object.entry(part.as_str()).or_insert(Value::Null),
                Value::Array(items) => self.element(items, part)?,
                _ => return Err(self.malformed("lies within a value that is neither object nor array")),
            };
            fresh = place.is_null();
        }
        Ok(place)
    }

    fn element<'d>(&self, items: &'d mut Vec<Value>, part: &str) -> Result<&'d mut Value, DocumentError> {
        let at = index(part).ok_or_else(|| self.malformed("names a field of an array"))?;
        if at == items.len() {
            items.push(Value::Null);
        }
        items
            .get_mut(at)
            .ok_or_else(|| self.malformed("lies beyond the end of an array"))
    }

    fn array<'d>(&self, document: &'d mut Document) -> Result<&'d mut Vec<Value>, DocumentError> {
        let place = self.place(document)?;
        if place.is_null() {
            *place = Value::Array(Vec::new());
        }
        match place {
            Value::Array(items) => Ok(items),
            _ => Err(self.malformed("is not an array")),
        }
    }

    fn pull(&self, document: &mut Document, test: &Test) -> Result<(), DocumentError> {
        let Some(place) = find(document, self.path.parts()) else {
            return Ok(());
        };
        let Value::Array(items) = place else {
            return Err(self.malformed("is not an array"));
        };
        items.retain(|item| !matching::element_fits(test, item, self.path, self.decimals));
        Ok(())
    }

    fn sum(&self, place: &Value, by: &Value) -> Result<Value, DocumentError> {
        match (place, self.reading) {
            (Value::String(_), Reading::Decimal) | (Value::Null, Reading::Decimal) => {
                let start = if place.is_null() {
                    Decimal::ZERO
                } else {
                    self.decimal(place)?
                };
                let sum = start.checked_add(self.decimal(by)?);
                sum.map(|sum| Value::String(sum.to_string()))
                    .ok_or_else(|| self.malformed("the sum is too large"))
            }
            (Value::Number(_) | Value::Null, _) => {
                let start = if place.is_null() { 0 } else { self.integer(place)? };
                let sum = start + self.integer(by)?;
                let signed = i64::try_from(sum).map(Value::from);
                signed
                    .or_else(|_| u64::try_from(sum).map(Value::from))
                    .map_err(|_| self.malformed("the sum is too large"))
            }
            _ => Err(self.malformed("is neither an integer nor a field declared as decimal")),
        }
    }

    fn integer(&self, value: &Value) -> Result<i128, DocumentError> {
        let unsigned = value.as_u64().map(i128::from);
        unsigned
            .or_else(|| value.as_i64().map(i128::from))
            .ok_or_else(|| {
                self.malformed("$inc adds exactly: integers, or decimals to a field declared as decimal")
            })
    }

    fn decimal(&self, value: &Value) -> Result<Decimal, DocumentError> {
        let text = match value {
            Value::String(text) if is_decimal(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(self.malformed("$inc needs a decimal")),
        };
        Decimal::from_str_exact(&text).map_err(|_| self.malformed("the decimal has too many digits"))
    }
}

fn find<'d>(document: &'d mut Document, parts: &[String]) -> Option<&'d mut Value> {
    let (first, rest) = parts.split_first()?;
    let mut place = document.get_mut(first)?;
    for part in rest {
        place = match place {
            Value::Object(object) => object.get_mut(part)?,
            Value::Array(items) => items.get_mut(index(part)?)?,
            _ => return None,
        };
    }
    Some(place)
}

/// An element of an array becomes null, so that the others keep their places.
fn unset(document: &mut Document, parts: &[String]) {
    let Some((last, way)) = parts.split_last() else {
        return;
    };
    if way.is_empty() {
        document.shift_remove(last);
        return;
    }
    match find(document, way) {
        Some(Value::Object(object)) => {
            object.shift_remove(last);
        }
        Some(Value::Array(items)) => {
            if let Some(item) = index(last).and_then(|at| items.get_mut(at)) {
                *item = Value::Null;
            }
        }
        _ => {}
    }
}
