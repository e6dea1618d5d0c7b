//! The part of a filter that an index can serve, as SQL.
//!
//! Conditions on indexed fields that all must hold become conditions on keys; SQLite chooses the index. Since an indexed
//! field holds one value, such a condition is exact. The rest of the filter is left to [`super::super::query`].

use std::collections::BTreeMap;

use rusqlite::types::Value;

use super::super::Collection;
use super::super::key::{Reading, end_of_type, start_of_type, text, type_beside_strings};
use super::super::query::{Node, Operand, Path, Relation, Test};
use super::functions;

/// Conditions in SQL.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    /// All must hold.
    pub(super) conditions: Vec<String>,
    /// One for each `?` in them.
    pub(super) params: Vec<Value>,
    /// Expressions that are the same for all that is found: SQLite does not see by itself that they need no sorting.
    pub(super) fixed: Vec<String>,
    /// Whether they say the whole filter.
    pub(super) exact: bool,
}

/// A range of keys, as narrow as the conditions make it.
#[derive(Debug, Default)]
struct Bounds {
    /// A key, and whether it is itself outside.
    lower: Option<(Vec<u8>, bool)>,
    /// A key, and whether it is itself inside.
    upper: Option<(Vec<u8>, bool)>,
}

impl Bounds {
    fn narrow(&mut self, lower: (Vec<u8>, bool), upper: (Vec<u8>, bool)) {
        self.lower = Some(
            self.lower
                .take()
                .map_or_else(|| lower.clone(), |known| known.max(lower.clone())),
        );
        self.upper = Some(
            self.upper
                .take()
                .map_or_else(|| upper.clone(), |known| known.min(upper.clone())),
        );
    }

    fn relate(&mut self, relation: Relation, key: &[u8]) {
        let (start, end) = ((start_of_type(key), false), (end_of_type(key), false));
        match relation {
            Relation::Eq => self.narrow((key.to_vec(), false), (key.to_vec(), true)),
            Relation::Gt => self.narrow((key.to_vec(), true), end),
            Relation::Gte => self.narrow((key.to_vec(), false), end),
            Relation::Lt => self.narrow(start, (key.to_vec(), false)),
            Relation::Lte => self.narrow(start, (key.to_vec(), true)),
        }
    }
}

/// Where a field's condition goes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Column {
    /// The document's id, which is text.
    Id,
    /// A key, by its expression.
    Key(String),
}

impl Plan {
    /// Of a filter on a collection.
    pub(super) fn new(filter: &Node, of: &Collection) -> Self {
        let mut plan = Self {
            conditions: Vec::new(),
            params: Vec::new(),
            fixed: Vec::new(),
            exact: true,
        };
        let mut bounds = BTreeMap::new();
        plan.collect(filter, of, &mut bounds);
        for (column, bounds) in bounds {
            match column {
                Column::Id => plan.id_bounds(&bounds),
                Column::Key(expression) => plan.key_bounds(&expression, bounds),
            }
        }
        plan
    }

    fn collect(&mut self, filter: &Node, of: &Collection, bounds: &mut BTreeMap<Column, Bounds>) {
        match filter {
            Node::And(parts) => parts.iter().for_each(|part| self.collect(part, of, bounds)),
            Node::Field(path, test) => {
                let reading = path.reading("", &of.decimals);
                match (column(path, reading, of), test) {
                    (Some(column), Test::Compare(relation, operand)) => {
                        bounds
                            .entry(column)
                            .or_default()
                            .relate(*relation, operand.key(reading));
                    }
                    (Some(column), Test::In(operands)) => self.one_of(&column, operands, reading),
                    _ => self.exact = false,
                }
            }
            Node::Or(_) | Node::Nor(_) => self.exact = false,
        }
    }

    fn one_of(&mut self, column: &Column, operands: &[Operand], reading: Reading) {
        let keys = operands.iter().map(|operand| operand.key(reading));
        let (name, params): (&str, Vec<Value>) = match column {
            Column::Id => ("id", keys.filter_map(text).map(Value::Text).collect()),
            Column::Key(expression) => (expression, keys.map(|key| Value::Blob(key.to_vec())).collect()),
        };
        self.conditions
            .push(format!("{name} IN ({})", vec!["?"; params.len()].join(", ")));
        self.params.extend(params);
    }

    fn key_bounds(&mut self, expression: &str, bounds: Bounds) {
        match (bounds.lower, bounds.upper) {
            (Some((lower, false)), Some((upper, true))) if lower == upper => {
                self.condition(expression, "=", Value::Blob(lower));
                self.fixed.push(expression.to_owned());
            }
            (lower, upper) => {
                if let Some((key, outside)) = lower {
                    self.condition(expression, if outside { ">" } else { ">=" }, Value::Blob(key));
                }
                if let Some((key, inside)) = upper {
                    self.condition(expression, if inside { "<=" } else { "<" }, Value::Blob(key));
                }
            }
        }
    }

    /// Ids are strings: a bound of a lesser type holds for none or for all of them.
    fn id_bounds(&mut self, bounds: &Bounds) {
        if let Some((key, outside)) = &bounds.lower {
            match (type_beside_strings(key), text(key)) {
                (std::cmp::Ordering::Greater, _) => self.conditions.push("0".to_owned()),
                (_, Some(id)) => self.condition("id", if *outside { ">" } else { ">=" }, Value::Text(id)),
                (_, None) => {}
            }
        }
        if let Some((key, inside)) = &bounds.upper {
            match (type_beside_strings(key), text(key)) {
                (std::cmp::Ordering::Less, _) => self.conditions.push("0".to_owned()),
                (_, Some(id)) => self.condition("id", if *inside { "<=" } else { "<" }, Value::Text(id)),
                (_, None) => {}
            }
        }
    }

    /// Adds one condition.
    pub(super) fn condition(&mut self, expression: &str, operator: &str, param: Value) {
        self.conditions.push(format!("{expression} {operator} ?"));
        self.params.push(param);
    }
}

fn column(path: &Path, reading: Reading, of: &Collection) -> Option<Column> {
    if path.is_id() {
        return Some(Column::Id);
    }
    is_indexed(path, of).then(|| Column::Key(functions::indexed(path.as_str(), reading)))
}

/// Whether an index has the field, in whatever place.
pub(super) fn is_indexed(path: &Path, of: &Collection) -> bool {
    of.indexes.iter().flatten().any(|field| field == path.as_str())
}
