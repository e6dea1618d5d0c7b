//! From JSON to a filter. Every error names its place: `filter.$or[1].status`.

use regex::{Regex, RegexBuilder};
use serde_json::{Map, Value};

use super::super::DocumentError;
use super::{Node, Operand, Path, Relation, Test};
use crate::config::{FILTER_DEPTH_MAX, FILTER_TESTS_MAX, FILTER_VALUES_MAX, REGEX_BYTES_MAX};

/// Memory for one compiled expression, in bytes; what needs more is refused.
const REGEX_MEMORY: usize = 1 << 20;

/// Parses a whole filter.
pub(super) fn filter(json: &Value) -> Result<Node, DocumentError> {
    Parser::default().filter(json, Place::ROOT)
}

/// Parses what `$pull` takes away: a value, tests on elements, or a filter on elements that are objects.
pub(in super::super) fn element(json: &Value, place: &str) -> Result<Test, DocumentError> {
    let place = Place {
        text: place.to_owned(),
        depth: 0,
    };
    match json {
        Value::Object(_) => Parser::default().element(json, place),
        _ => Ok(Test::ElementValue(vec![Test::Compare(
            Relation::Eq,
            Operand::new(json),
        )])),
    }
}

/// Where in the filter something stands.
struct Place {
    text: String,
    depth: usize,
}

impl Place {
    const ROOT: Self = Self {
        text: String::new(),
        depth: 0,
    };

    fn inner(&self, part: &str) -> Result<Self, DocumentError> {
        if self.depth >= FILTER_DEPTH_MAX {
            return Err(DocumentError::TooLarge(format!(
                "filter: nests deeper than {FILTER_DEPTH_MAX}"
            )));
        }
        Ok(Self {
            text: format!("{}.{part}", self.text),
            depth: self.depth + 1,
        })
    }

    fn malformed(&self, what: impl std::fmt::Display) -> DocumentError {
        DocumentError::Malformed(format!("filter{}: {what}", self.text))
    }
}

#[derive(Default)]
struct Parser {
    tests: usize,
    /// In all `$in` and `$nin`, since a backend may have to hand all of them over in one statement.
    values: usize,
}

impl Parser {
    fn filter(&mut self, json: &Value, place: Place) -> Result<Node, DocumentError> {
        let Value::Object(fields) = json else {
            return Err(place.malformed("must be an object"));
        };
        let mut parts = Vec::with_capacity(fields.len());
        for (name, value) in fields {
            let inner = place.inner(name)?;
            match name.as_str() {
                "$and" => parts.push(Node::And(self.filters(value, &inner)?)),
                "$or" => parts.push(Node::Or(self.filters(value, &inner)?)),
                "$nor" => parts.push(Node::Nor(self.filters(value, &inner)?)),
                operator if operator.starts_with('$') => {
                    return Err(inner.malformed("is not an operator here"));
                }
                path => self.field(path, value, &inner, &mut parts)?,
            }
        }
        Ok(Node::And(parts))
    }

    fn filters(&mut self, json: &Value, place: &Place) -> Result<Vec<Node>, DocumentError> {
        match json.as_array() {
            Some(filters) if !filters.is_empty() => {
                let at = |(at, filter)| self.filter(filter, place.inner(&format!("[{at}]"))?);
                filters.iter().enumerate().map(at).collect()
            }
            _ => Err(place.malformed("must be an array of filters, at least one")),
        }
    }

    fn field(
        &mut self,
        path: &str,
        json: &Value,
        place: &Place,
        to: &mut Vec<Node>,
    ) -> Result<(), DocumentError> {
        let path = Path::parse(path).map_err(|error| match error {
            DocumentError::Malformed(what) => place.malformed(what),
            other => other,
        })?;
        for test in self.tests(json, place)? {
            to.push(Node::Field(path.clone(), test));
        }
        Ok(())
    }

    /// A plain value for equality, or an object of operators.
    fn tests(&mut self, json: &Value, place: &Place) -> Result<Vec<Test>, DocumentError> {
        match json {
            Value::Object(operators) if has_operators(operators) => self.operators(operators, place),
            _ => {
                self.count()?;
                Ok(vec![Test::Compare(Relation::Eq, Operand::new(json))])
            }
        }
    }

    fn operators(
        &mut self,
        operators: &Map<String, Value>,
        place: &Place,
    ) -> Result<Vec<Test>, DocumentError> {
        let mut tests = Vec::with_capacity(operators.len());
        for (name, value) in operators {
            if name == "$options" && operators.contains_key("$regex") {
                continue;
            }
            self.count()?;
            let inner = place.inner(name)?;
            tests.push(match name.as_str() {
                "$regex" => Test::Regex(regex(value, operators.get("$options"), &inner)?),
                _ => self.operator(name, value, inner)?,
            });
        }
        Ok(tests)
    }

    fn operator(&mut self, name: &str, value: &Value, place: Place) -> Result<Test, DocumentError> {
        let compare = |relation| Test::Compare(relation, Operand::new(value));
        Ok(match name {
            "$eq" => compare(Relation::Eq),
            "$ne" => Test::Not(vec![compare(Relation::Eq)]),
            "$gt" => compare(Relation::Gt),
            "$gte" => compare(Relation::Gte),
            "$lt" => compare(Relation::Lt),
            "$lte" => compare(Relation::Lte),
            "$in" => Test::In(self.operands(value, &place)?),
            "$nin" => Test::Not(vec![Test::In(self.operands(value, &place)?)]),
            "$exists" => Test::Exists(
                value
                    .as_bool()
                    .ok_or_else(|| place.malformed("must be true or false"))?,
            ),
            "$not" => match value.as_object() {
                Some(operators) if has_operators(operators) => Test::Not(self.operators(operators, &place)?),
                _ => return Err(place.malformed("must be an object of operators")),
            },
            "$elemMatch" => self.element(value, place)?,
            _ => return Err(place.malformed("is not an operator here")),
        })
    }

    fn element(&mut self, json: &Value, place: Place) -> Result<Test, DocumentError> {
        let Value::Object(fields) = json else {
            return Err(place.malformed("must be an object"));
        };
        let logical = |name: &str| matches!(name, "$and" | "$or" | "$nor");
        if has_operators(fields) && !fields.keys().any(|name| logical(name)) {
            return Ok(Test::ElementValue(self.operators(fields, &place)?));
        }
        Ok(Test::ElementObject(Box::new(self.filter(json, place)?)))
    }

    fn operands(&mut self, json: &Value, place: &Place) -> Result<Vec<Operand>, DocumentError> {
        let values = json
            .as_array()
            .ok_or_else(|| place.malformed("must be an array"))?;
        self.values += values.len();
        if self.values > FILTER_VALUES_MAX {
            return Err(DocumentError::TooLarge(format!(
                "filter{}: more than {FILTER_VALUES_MAX} values in all",
                place.text
            )));
        }
        Ok(values.iter().map(Operand::new).collect())
    }

    fn count(&mut self) -> Result<(), DocumentError> {
        self.tests += 1;
        if self.tests > FILTER_TESTS_MAX {
            return Err(DocumentError::TooLarge(format!(
                "filter: more than {FILTER_TESTS_MAX} conditions"
            )));
        }
        Ok(())
    }
}

fn has_operators(fields: &Map<String, Value>) -> bool {
    fields.keys().next().is_some_and(|name| name.starts_with('$'))
}

fn regex(pattern: &Value, options: Option<&Value>, place: &Place) -> Result<Regex, DocumentError> {
    let pattern = pattern
        .as_str()
        .ok_or_else(|| place.malformed("must be a string"))?;
    if pattern.len() > REGEX_BYTES_MAX {
        return Err(DocumentError::TooLarge(format!(
            "filter{}: more than {REGEX_BYTES_MAX} bytes",
            place.text
        )));
    }
    let ignore_case = match options.map(Value::as_str) {
        None | Some(Some("")) => false,
        Some(Some("i")) => true,
        _ => return Err(place.malformed("of $options only \"i\" is known")),
    };
    RegexBuilder::new(pattern)
        .case_insensitive(ignore_case)
        .size_limit(REGEX_MEMORY)
        .dfa_size_limit(REGEX_MEMORY)
        .build()
        .map_err(|error| place.malformed(error.to_string().replace('\n', " ")))
}
