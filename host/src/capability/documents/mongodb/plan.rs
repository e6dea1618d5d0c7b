//! The part of a filter that the server can answer exactly as [`super::super::query`] would.
//!
//! Conditions on indexed fields and on the id become conditions on keys, which are exact since an indexed field holds one
//! value. Of the rest, equality of plain text narrows what is looked at: there MongoDB's way through documents and arrays
//! is ours, and it needs no conversion. The filter has the last word on everything that is not exact.

use ::mongodb::bson::{Bson, Document as Row, doc};

use super::super::Collection;
use super::super::key::{Reading, end_of_type, start_of_type, text};
use super::super::query::path::index;
use super::super::query::{Node, Operand, Path, Relation, Test};
use super::codec::key_text;
use super::connection::Connection;
use super::lines::key_name;

/// Conditions in MongoDB's words.
pub(super) struct Plan {
    /// All must hold.
    conditions: Vec<Row>,
    /// Whether they say the whole filter.
    pub(super) exact: bool,
}

impl Plan {
    /// Of a filter on one copy of a collection.
    pub(super) fn new(db: &Connection, of: &Collection, copy: i64, filter: &Node) -> Self {
        let mut plan = Self {
            conditions: vec![db.copy(copy)],
            exact: true,
        };
        plan.collect(db, of, copy, filter);
        plan
    }

    /// One more.
    pub(super) fn and(&mut self, condition: Row) {
        self.conditions.push(condition);
    }

    /// All of it.
    pub(super) fn into_filter(self) -> Row {
        doc! { "$and": self.conditions }
    }

    fn collect(&mut self, db: &Connection, of: &Collection, copy: i64, filter: &Node) {
        match filter {
            Node::And(parts) => parts.iter().for_each(|part| self.collect(db, of, copy, part)),
            Node::Field(path, test) if path.is_id() => self.id(db, copy, test),
            Node::Field(path, test) if is_indexed(path, of) => {
                self.key(path, path.reading("", &of.decimals), test);
            }
            Node::Field(path, test) => {
                self.exact = false;
                if path.reading("", &of.decimals) == Reading::Text {
                    self.narrow(path, test);
                }
            }
            Node::Or(_) | Node::Nor(_) => self.exact = false,
        }
    }

    fn key(&mut self, path: &Path, reading: Reading, test: &Test) {
        let name = key_field(path, reading);
        let key = |operand: &Operand| Bson::String(key_text(operand.key(reading)));
        match test {
            Test::Compare(relation, operand) => {
                let [start, end] = [start_of_type, end_of_type].map(|of| key_text(&of(operand.key(reading))));
                let range = match relation {
                    Relation::Eq => doc! { "$eq": key(operand) },
                    Relation::Gt => doc! { "$gt": key(operand), "$lt": end },
                    Relation::Gte => doc! { "$gte": key(operand), "$lt": end },
                    Relation::Lt => doc! { "$gte": start, "$lt": key(operand) },
                    Relation::Lte => doc! { "$gte": start, "$lte": key(operand) },
                };
                self.and(doc! { name: range });
            }
            Test::In(operands) => {
                self.and(doc! { name: { "$in": operands.iter().map(key).collect::<Vec<_>>() } })
            }
            _ => self.exact = false,
        }
    }

    /// Ids are strings: nothing of another type equals one or is comparable.
    fn id(&mut self, db: &Connection, copy: i64, test: &Test) {
        let place = |operand: &Operand| text(operand.key(Reading::Text)).map(|id| db.place(copy, &id));
        match test {
            Test::Compare(relation, operand) => {
                let condition = match place(operand) {
                    Some(place) => doc! { name_of(*relation): place },
                    None => doc! { "$in": Bson::Array(Vec::new()) },
                };
                self.and(doc! { "_id": condition });
            }
            Test::In(operands) => {
                self.and(doc! { "_id": { "$in": operands.iter().filter_map(place).collect::<Vec<_>>() } });
            }
            _ => self.exact = false,
        }
    }

    fn narrow(&mut self, path: &Path, test: &Test) {
        if path.parts().iter().any(|part| index(part).is_some()) {
            return;
        }
        let texts = match test {
            Test::Compare(Relation::Eq, operand) => text(operand.key(Reading::Text)).map(|text| vec![text]),
            Test::In(operands) => operands
                .iter()
                .map(|operand| text(operand.key(Reading::Text)))
                .collect(),
            _ => None,
        };
        if let Some(texts) = texts {
            self.and(doc! { format!("document.{}", path.as_str()): { "$in": texts } });
        }
    }
}

/// Where the key of an indexed field is.
pub(super) fn key_field(path: &Path, reading: Reading) -> String {
    format!("keys.{}", key_name(path, reading))
}

/// Whether an index has the field, in whatever place.
pub(super) fn is_indexed(path: &Path, of: &Collection) -> bool {
    of.indexes.iter().flatten().any(|field| field == path.as_str())
}

fn name_of(relation: Relation) -> &'static str {
    match relation {
        Relation::Eq => "$eq",
        Relation::Gt => "$gt",
        Relation::Gte => "$gte",
        Relation::Lt => "$lt",
        Relation::Lte => "$lte",
    }
}
