//! Conditions on fields that are no text: the part of MongoDB's language in which an index can answer.

use millwork_registry::manifest::IndexKind;
use serde_json::{Map, Value as Json};

use super::value::Value;
use super::{Index, SearchError};

/// Longest filter, in bytes.
const FILTER_BYTES_MAX: usize = 16 << 10;
/// How deep `$and` and `$or` may stand in each other.
const DEPTH_MAX: usize = 8;
/// Most values of one `$in` or `$nin`.
const VALUES_MAX: usize = 100;
/// Most conditions in all.
const CONDITIONS_MAX: usize = 64;

/// What must hold of a document.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// Each of these; of none, every document.
    All(Vec<Self>),
    /// One of these.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// The field has one of these values.
    OneOf(String, Vec<Value>),
    /// One value of the field compares so with this one.
    Compare(String, Order, Value),
    /// The field has a value.
    Exists(String),
}

/// How two values compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// `$lt`
    Less,
    /// `$lte`
    AtMost,
    /// `$gt`
    Greater,
    /// `$gte`
    AtLeast,
}

/// Reads a filter; empty text is every document.
///
/// # Errors
/// [`SearchError::Malformed`] with the place, [`SearchError::TooLarge`].
pub fn parse(of: &Index, text: &str) -> Result<Filter, SearchError> {
    if text.len() > FILTER_BYTES_MAX {
        return Err(SearchError::TooLarge(format!(
            "the filter is longer than {FILTER_BYTES_MAX} bytes"
        )));
    }
    if text.is_empty() {
        return Ok(Filter::All(Vec::new()));
    }
    let json: Json =
        serde_json::from_str(text).map_err(|error| malformed(format!("filter is no JSON: {error}")))?;
    let mut parser = Parser {
        of,
        left: CONDITIONS_MAX,
    };
    parser.object(&json, DEPTH_MAX)
}

struct Parser<'a> {
    of: &'a Index,
    /// How many conditions there may still be.
    left: usize,
}

impl Parser<'_> {
    fn object(&mut self, json: &Json, depth: usize) -> Result<Filter, SearchError> {
        if depth == 0 {
            return Err(SearchError::TooLarge(format!("filter: deeper than {DEPTH_MAX}")));
        }
        let fields = json
            .as_object()
            .ok_or_else(|| malformed("filter: must be an object".to_owned()))?;
        let mut all = Vec::new();
        for (name, condition) in fields {
            all.push(match name.as_str() {
                "$and" => Filter::All(self.list(name, condition, depth)?),
                "$or" => Filter::Any(self.list(name, condition, depth)?),
                _ => self.field(name, condition)?,
            });
        }
        Ok(Filter::All(all))
    }

    fn list(&mut self, name: &str, json: &Json, depth: usize) -> Result<Vec<Filter>, SearchError> {
        match json.as_array() {
            Some(parts) if !parts.is_empty() => {
                parts.iter().map(|part| self.object(part, depth - 1)).collect()
            }
            _ => Err(malformed(format!("filter: {name} needs a list of filters"))),
        }
    }

    fn field(&mut self, name: &str, condition: &Json) -> Result<Filter, SearchError> {
        if name.starts_with('$') {
            return Err(malformed(format!("filter: {name} is not understood")));
        }
        let declared = self.of.field(name);
        let declared = declared
            .ok_or_else(|| malformed(format!("filter: index {:?} has no field {name:?}", self.of.name)))?;
        match condition {
            Json::Object(operators) => self.operators(name, declared.kind, operators),
            value => self.operator(name, declared.kind, "$eq", value),
        }
    }

    fn operators(
        &mut self,
        name: &str,
        kind: IndexKind,
        operators: &Map<String, Json>,
    ) -> Result<Filter, SearchError> {
        if operators.is_empty() {
            return Err(malformed(format!("filter: {name:?} has no condition")));
        }
        let all: Result<_, _> = operators
            .iter()
            .map(|(operator, operand)| self.operator(name, kind, operator, operand))
            .collect();
        all.map(Filter::All)
    }

    fn operator(
        &mut self,
        name: &str,
        kind: IndexKind,
        operator: &str,
        operand: &Json,
    ) -> Result<Filter, SearchError> {
        let too_many = || SearchError::TooLarge(format!("filter: more than {CONDITIONS_MAX} conditions"));
        self.left = self.left.checked_sub(1).ok_or_else(too_many)?;
        let one = || read(name, kind, operand);
        let compare = |order| Ok(Filter::Compare(name.to_owned(), order, one()?));
        match operator {
            "$eq" => Ok(Filter::OneOf(name.to_owned(), vec![one()?])),
            "$ne" => Ok(not(Filter::OneOf(name.to_owned(), vec![one()?]))),
            "$in" => Ok(Filter::OneOf(name.to_owned(), many(name, kind, operand)?)),
            "$nin" => Ok(not(Filter::OneOf(name.to_owned(), many(name, kind, operand)?))),
            "$lt" => compare(Order::Less),
            "$lte" => compare(Order::AtMost),
            "$gt" => compare(Order::Greater),
            "$gte" => compare(Order::AtLeast),
            "$exists" => match operand.as_bool() {
                Some(true) => Ok(Filter::Exists(name.to_owned())),
                Some(false) => Ok(not(Filter::Exists(name.to_owned()))),
                None => Err(malformed(format!(
                    "filter: $exists of {name:?} must be true or false"
                ))),
            },
            other => Err(malformed(format!(
                "filter: {other} of {name:?} is not understood"
            ))),
        }
    }
}

fn not(filter: Filter) -> Filter {
    Filter::Not(Box::new(filter))
}

fn read(name: &str, kind: IndexKind, json: &Json) -> Result<Value, SearchError> {
    Value::read(kind, json).map_err(|why| malformed(format!("filter: the value of {name:?} {why}")))
}

fn many(name: &str, kind: IndexKind, json: &Json) -> Result<Vec<Value>, SearchError> {
    let values = json
        .as_array()
        .ok_or_else(|| malformed(format!("filter: $in and $nin of {name:?} need a list")))?;
    if values.len() > VALUES_MAX {
        return Err(SearchError::TooLarge(format!(
            "filter: more than {VALUES_MAX} values of {name:?}"
        )));
    }
    values.iter().map(|value| read(name, kind, value)).collect()
}

fn malformed(why: String) -> SearchError {
    SearchError::Malformed(why)
}
