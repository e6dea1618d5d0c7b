//! How a document changes: MongoDB's `$set $unset $inc $push $pull`, with one meaning above all backends.
//!
//! A change is parsed once and then applied to documents in memory; a backend that can say the same to its server may
//! translate it instead.

mod apply;

use serde_json::{Map, Value};

use super::query::{Path, Test, parse};
use super::{Document, DocumentError};
use crate::config::{FILTER_TESTS_MAX, FILTER_VALUES_MAX};

/// A change of one document. A null on the way to a value counts as missing.
#[derive(Debug, Clone)]
pub struct Change {
    /// On paths of which none lies within another, so their order does not matter.
    steps: Vec<(Path, Step)>,
    /// Whether a missing document is made from `{}`; not, unless it is set.
    pub upsert: bool,
}

/// What happens at one path.
#[derive(Debug, Clone)]
enum Step {
    /// Puts a value there.
    Set(Value),
    /// Takes the value away.
    Unset,
    /// Adds to a number.
    Inc(Value),
    /// Appends to an array.
    Push(Vec<Value>),
    /// Takes elements out of an array.
    Pull(Test),
}

impl Change {
    /// Parses a change: `{"$set": {"status": "paid"}, "$inc": {"total": "10.50"}}`. `$push` takes a value or `{"$each":
    /// [...]}`, `$pull` a value, tests on elements or a filter on elements.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] naming the place, also when two operators touch one path;
    /// [`DocumentError::TooLarge`] over one of the bounds.
    pub fn parse(json: &Value) -> Result<Self, DocumentError> {
        let Value::Object(operators) = json else {
            return Err(DocumentError::Malformed("update: must be an object".to_owned()));
        };
        let mut steps: Vec<(Path, Step)> = Vec::new();
        for (operator, fields) in operators {
            let fields = fields_of(operator, fields)?;
            for (name, operand) in fields {
                let place = format!("update.{operator}.{name}");
                let path = Path::parse(name).map_err(|_| malformed(&place, "is not the path of a field"))?;
                check_path(&path, &steps, &place)?;
                steps.push((path, step(operator, operand, &place)?));
            }
        }
        Ok(Self { steps, upsert: false })
    }

    /// Makes the change. `decimals` are the fields whose text is an exact decimal. After an error the document may be
    /// changed in part and must be thrown away.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] when a value is not what the operator needs, or a sum cannot be exact.
    pub fn apply(&self, document: &mut Document, decimals: &[String]) -> Result<(), DocumentError> {
        for (path, step) in &self.steps {
            apply::step(document, path, step, decimals)?;
        }
        Ok(())
    }
}

fn fields_of<'a>(operator: &str, fields: &'a Value) -> Result<&'a Map<String, Value>, DocumentError> {
    if !matches!(operator, "$set" | "$unset" | "$inc" | "$push" | "$pull") {
        return Err(malformed(
            &format!("update.{operator}"),
            "is not an operator of updates",
        ));
    }
    fields
        .as_object()
        .ok_or_else(|| malformed(&format!("update.{operator}"), "must be an object"))
}

fn check_path(path: &Path, steps: &[(Path, Step)], place: &str) -> Result<(), DocumentError> {
    if steps.len() >= FILTER_TESTS_MAX {
        return Err(DocumentError::TooLarge(format!(
            "update: more than {FILTER_TESTS_MAX} changes"
        )));
    }
    if path.parts().first().is_some_and(|part| part == "_id") {
        return Err(malformed(place, "the id of a document does not change"));
    }
    let overlaps =
        |other: &Path| other.parts().starts_with(path.parts()) || path.parts().starts_with(other.parts());
    match steps.iter().find(|(other, _)| overlaps(other)) {
        Some((other, _)) => Err(malformed(
            place,
            &format!("conflicts with the change of {}", other.as_str()),
        )),
        None => Ok(()),
    }
}

fn step(operator: &str, operand: &Value, place: &str) -> Result<Step, DocumentError> {
    match operator {
        "$set" => Ok(Step::Set(operand.clone())),
        "$unset" => Ok(Step::Unset),
        "$inc" if operand.is_number() || operand.is_string() => Ok(Step::Inc(operand.clone())),
        "$inc" => Err(malformed(place, "must be a number, or the text of a decimal")),
        "$push" => push(operand, place).map(Step::Push),
        _ => parse::element(operand, place).map(Step::Pull),
    }
}

fn push(operand: &Value, place: &str) -> Result<Vec<Value>, DocumentError> {
    let modifiers = operand
        .as_object()
        .filter(|fields| fields.keys().any(|name| name.starts_with('$')));
    let Some(modifiers) = modifiers else {
        return Ok(vec![operand.clone()]);
    };
    match (modifiers.len(), modifiers.get("$each").and_then(Value::as_array)) {
        (1, Some(values)) if values.len() <= FILTER_VALUES_MAX => Ok(values.clone()),
        (1, Some(_)) => Err(DocumentError::TooLarge(format!(
            "{place}: more than {FILTER_VALUES_MAX} values"
        ))),
        _ => Err(malformed(place, "must be a value or {\"$each\": [...]}")),
    }
}

fn malformed(place: &str, what: &str) -> DocumentError {
    DocumentError::Malformed(format!("{place}: {what}"))
}
