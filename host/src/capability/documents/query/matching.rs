//! Whether a document fulfils a filter: the model of what every backend finds.

use serde_json::{Map, Value};

use super::super::key::{self, Reading};
use super::{Node, Operand, Path, Relation, Test};

/// Where a filter looks: at a document, or at an element of an array within.
pub(in super::super) struct Context<'a> {
    decimals: &'a [String],
    /// Path to the array that the element belongs to.
    prefix: String,
}

impl<'a> Context<'a> {
    /// At documents of a collection with these decimal fields.
    pub(in super::super) fn new(decimals: &'a [String]) -> Self {
        Self {
            decimals,
            prefix: String::new(),
        }
    }

    fn below(&self, path: &Path) -> Self {
        Self {
            decimals: self.decimals,
            prefix: path.below(&self.prefix),
        }
    }
}

impl Operand {
    /// A value to compare with.
    pub(in super::super) fn new(value: &Value) -> Self {
        let value = Some(value);
        Self {
            text: key::encode(value, Reading::Text),
            decimal: key::encode(value, Reading::Decimal),
        }
    }

    /// Its place in the order of a field's values.
    pub(in super::super) fn key(&self, reading: Reading) -> &[u8] {
        match reading {
            Reading::Text => &self.text,
            Reading::Decimal => &self.decimal,
        }
    }
}

/// Whether an object fulfils a filter.
pub(in super::super) fn node(filter: &Node, object: &Map<String, Value>, context: &Context<'_>) -> bool {
    let holds = |part: &Node| node(part, object, context);
    match filter {
        Node::And(parts) => parts.iter().all(holds),
        Node::Or(parts) => parts.iter().any(holds),
        Node::Nor(parts) => !parts.iter().any(holds),
        Node::Field(path, test) => field(path, test, object, context),
    }
}

fn field(path: &Path, test: &Test, object: &Map<String, Value>, context: &Context<'_>) -> bool {
    match test {
        Test::Not(tests) => !tests.iter().all(|test| field(path, test, object, context)),
        Test::Exists(wanted) => path.any(object, &mut |value| value.is_some()) == *wanted,
        Test::ElementObject(filter) => {
            let context = context.below(path);
            let fits = |item: &Value| item.as_object().is_some_and(|item| node(filter, item, &context));
            path.any(object, &mut |value| elements(value).iter().any(fits))
        }
        Test::ElementValue(tests) => {
            let reading = path.reading(&context.prefix, context.decimals);
            let fits = |item: &Value| tests.iter().all(|test| value_fits(test, Some(item), reading));
            path.any(object, &mut |value| elements(value).iter().any(fits))
        }
        Test::Compare(..) | Test::In(_) | Test::Regex(_) => {
            let reading = path.reading(&context.prefix, context.decimals);
            path.any(object, &mut |value| {
                value_fits(test, value, reading)
                    || elements(value)
                        .iter()
                        .any(|item| value_fits(test, Some(item), reading))
            })
        }
    }
}

fn elements(value: Option<&Value>) -> &[Value] {
    value
        .and_then(Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default()
}

/// Whether `$pull` takes an element out of the array at `path`.
pub(in super::super) fn element_fits(test: &Test, item: &Value, path: &Path, decimals: &[String]) -> bool {
    let context = Context::new(decimals);
    match test {
        Test::ElementObject(filter) => item
            .as_object()
            .is_some_and(|item| node(filter, item, &context.below(path))),
        Test::ElementValue(tests) => {
            let reading = path.reading("", decimals);
            tests.iter().all(|test| value_fits(test, Some(item), reading))
        }
        other => value_fits(other, Some(item), Reading::Text),
    }
}

/// Whether one value, taken as a whole, passes a test.
fn value_fits(test: &Test, value: Option<&Value>, reading: Reading) -> bool {
    match test {
        Test::Compare(relation, operand) => {
            relation.holds(&key::encode(value, reading), operand.key(reading))
        }
        Test::In(operands) => {
            let key = key::encode(value, reading);
            operands.iter().any(|operand| operand.key(reading) == key)
        }
        Test::Exists(wanted) => value.is_some() == *wanted,
        Test::Regex(regex) => value
            .and_then(Value::as_str)
            .is_some_and(|text| regex.is_match(text)),
        Test::Not(tests) => !tests.iter().all(|test| value_fits(test, value, reading)),
        Test::ElementObject(filter) => {
            let fits = |item: &Value| {
                item.as_object()
                    .is_some_and(|item| node(filter, item, &Context::new(&[])))
            };
            elements(value).iter().any(fits)
        }
        Test::ElementValue(tests) => elements(value)
            .iter()
            .any(|item| tests.iter().all(|test| value_fits(test, Some(item), reading))),
    }
}

impl Relation {
    fn holds(self, key: &[u8], operand: &[u8]) -> bool {
        let same_type = key.first() == operand.first();
        match self {
            Self::Eq => key == operand,
            Self::Gt => same_type && key > operand,
            Self::Gte => same_type && key >= operand,
            Self::Lt => same_type && key < operand,
            Self::Lte => same_type && key <= operand,
        }
    }
}
