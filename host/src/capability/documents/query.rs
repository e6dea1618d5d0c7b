//! What to find: a filter and a sort in MongoDB's language, a page, and the rows the caller may see.
//!
//! A filter is parsed once, by [`Filter::parse`], and then means the same on every backend: [`Filter::matches`] is the
//! model that they are tested against. Everything a caller can write is bounded.

pub(super) mod fields;
pub(super) mod matching;
pub(super) mod parse;
pub(super) mod path;
mod sort;

use regex::Regex;
use serde_json::{Map, Value, json};

use super::DocumentError;
use crate::config::{FIND_LIMIT_MAX, FIND_SKIP_MAX};

/// Which documents to give, and how.
#[derive(Debug, Clone)]
pub struct Find {
    /// Which documents the caller asks for.
    pub filter: Filter,
    /// Which documents the caller may see at all.
    pub scope: Scope,
    /// In which order.
    pub sort: Sort,
    /// Documents of the page, 1 to [`FIND_LIMIT_MAX`].
    pub limit: u32,
    /// Documents to pass over first, at most [`FIND_SKIP_MAX`]; not looked at with a cursor.
    pub skip: u32,
    /// [`super::Page::next`] of the page before, of the same filter, scope and sort.
    pub cursor: Option<String>,
    /// Fields to give, as dotted paths; empty is all. `_id` is always given.
    pub fields: Vec<String>,
}

impl Find {
    /// The first `limit` documents by id.
    #[must_use]
    pub fn new(filter: Filter, scope: Scope, limit: u32) -> Self {
        Self {
            filter,
            scope,
            sort: Sort::default(),
            limit,
            skip: 0,
            cursor: None,
            fields: Vec::new(),
        }
    }

    /// Checks the bounds.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] for a limit of 0, [`DocumentError::TooLarge`] for one over its bound.
    pub fn check(&self) -> Result<(), DocumentError> {
        match (self.limit, self.skip) {
            (0, _) => Err(DocumentError::Malformed("limit: must be at least 1".to_owned())),
            (FIND_LIMIT_MAX.., _) if self.limit > FIND_LIMIT_MAX => Err(DocumentError::TooLarge(format!(
                "limit: at most {FIND_LIMIT_MAX}"
            ))),
            (_, skip) if skip > FIND_SKIP_MAX => {
                Err(DocumentError::TooLarge(format!("skip: at most {FIND_SKIP_MAX}")))
            }
            _ => Ok(()),
        }
    }

    /// The filter within the scope: what a backend looks for.
    pub(super) fn within_scope(&self) -> Filter {
        Filter::and(vec![self.scope.0.clone(), self.filter.clone()])
    }
}

/// The rows that a caller may see.
///
/// A type of its own, so that no read can leave it out: for people's requests it comes from the authorization, a module's
/// own reads and the facts that the host fetches for it see the whole tenant. Rules for rows have one place to stand.
#[derive(Debug, Clone)]
pub struct Scope(Filter);

impl Scope {
    /// Everything of the tenant: for who may read the collection at all.
    #[must_use]
    pub fn whole_tenant() -> Self {
        Self(Filter::all())
    }

    /// Whether these are all rows of the tenant.
    #[must_use]
    pub fn is_whole_tenant(&self) -> bool {
        self.0.is_all()
    }

    /// Whether a document that was read by its id is one of these rows.
    #[must_use]
    pub fn admits(&self, document: &super::Document, decimals: &[String]) -> bool {
        self.0.matches(document, decimals)
    }
}

/// The document with these fields (dotted paths) and its `_id` only; all of it when there are none.
///
/// # Errors
/// [`DocumentError`] when a path is malformed or there are too many.
pub fn pick_fields(document: super::Document, fields: &[String]) -> Result<super::Document, DocumentError> {
    Ok(fields::Fields::parse(fields)?.of(document))
}

/// A condition on documents.
#[derive(Debug, Clone)]
pub struct Filter {
    /// What it means.
    pub(super) node: Node,
    /// The same in MongoDB's language.
    json: Value,
}

impl Filter {
    /// Every document.
    #[must_use]
    pub fn all() -> Self {
        Self {
            node: Node::And(Vec::new()),
            json: Value::Object(Map::new()),
        }
    }

    /// What fulfils all of these.
    #[must_use]
    pub fn and(filters: Vec<Self>) -> Self {
        let mut filters: Vec<Self> = filters.into_iter().filter(|filter| !filter.is_all()).collect();
        match (filters.len(), filters.pop()) {
            (_, None) => Self::all(),
            (1, Some(only)) => only,
            (_, Some(last)) => {
                filters.push(last);
                let (nodes, parts) = filters
                    .into_iter()
                    .map(|filter| (filter.node, filter.json))
                    .unzip();
                Self {
                    node: Node::And(nodes),
                    json: json!({ "$and": Value::Array(parts) }),
                }
            }
        }
    }

    /// One comparison: `compare("status", Op::Eq, json!("open"))`. [`Op::In`] and [`Op::Nin`] take an array.
    ///
    /// # Errors
    /// [`DocumentError`] when the path or the value is not understood.
    pub fn compare(path: &str, op: Op, value: Value) -> Result<Self, DocumentError> {
        let mut test = Map::new();
        test.insert(op.name().to_owned(), value);
        let mut filter = Map::new();
        filter.insert(path.to_owned(), Value::Object(test));
        Self::parse(&Value::Object(filter))
    }

    /// Parses a filter in MongoDB's language: `$eq $ne $gt $gte $lt $lte $in $nin $exists $regex $options $not $elemMatch`
    /// on fields (dotted paths), `$and $or $nor` between filters, and a plain value for equality.
    ///
    /// # Errors
    /// [`DocumentError::Malformed`] naming the place, [`DocumentError::TooLarge`] over one of the bounds.
    pub fn parse(json: &Value) -> Result<Self, DocumentError> {
        Ok(Self {
            node: parse::filter(json)?,
            json: json.clone(),
        })
    }

    /// The filter in MongoDB's language.
    #[must_use]
    pub fn as_json(&self) -> &Value {
        &self.json
    }

    /// Whether a document fulfils it. `decimals` are the fields whose text is an exact decimal.
    #[must_use]
    pub fn matches(&self, document: &super::Document, decimals: &[String]) -> bool {
        matching::node(&self.node, document, &matching::Context::new(decimals))
    }

    fn is_all(&self) -> bool {
        matches!(&self.node, Node::And(parts) if parts.is_empty())
    }
}

/// A comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Op {
    /// Equal; for an array also when one of its values is.
    Eq,
    /// Not [`Op::Eq`].
    Ne,
    /// Greater, and of the same type.
    Gt,
    /// Greater or equal, and of the same type.
    Gte,
    /// Less, and of the same type.
    Lt,
    /// Less or equal, and of the same type.
    Lte,
    /// Equal to one of an array's values.
    In,
    /// Not [`Op::In`].
    Nin,
}

impl Op {
    /// MongoDB's operator: `$gte`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Eq => "$eq",
            Self::Ne => "$ne",
            Self::Gt => "$gt",
            Self::Gte => "$gte",
            Self::Lt => "$lt",
            Self::Lte => "$lte",
            Self::In => "$in",
            Self::Nin => "$nin",
        }
    }
}

/// Fields to sort by, most significant first. Equal documents follow by id, in the direction of the last field. An array
/// counts by its least value, or, descending, by its greatest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sort {
    /// Without `_id`, which decides alone wherever it stands.
    pub(super) fields: Vec<(Path, Direction)>,
    /// The direction of `_id`.
    pub(super) id: Direction,
}

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Direction {
    /// Least first.
    #[default]
    Ascending,
    /// Greatest first.
    Descending,
}

/// A field's place in a document: `customer.address.city`, `lines.0.price`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Path {
    text: String,
    parts: Vec<String>,
    /// Without indexes of arrays: what a manifest can declare.
    declared: String,
}

/// A parsed filter. Backends read it; only this module makes it.
#[derive(Debug, Clone)]
pub(super) enum Node {
    /// All of them.
    And(Vec<Node>),
    /// At least one.
    Or(Vec<Node>),
    /// None.
    Nor(Vec<Node>),
    /// A field fulfils a test.
    Field(Path, Test),
}

/// A condition on one field.
#[derive(Debug, Clone)]
pub(super) enum Test {
    /// Compares.
    Compare(Relation, Operand),
    /// Equals one of them.
    In(Vec<Operand>),
    /// Whether the field is there.
    Exists(bool),
    /// Text that the expression finds something in.
    Regex(Regex),
    /// An array with an element that is an object and matches.
    ElementObject(Box<Node>),
    /// An array with an element that fulfils all of these.
    ElementValue(Vec<Test>),
    /// Not all of them.
    Not(Vec<Test>),
}

/// How two keys stand to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Relation {
    /// The same key.
    Eq,
    /// A greater key of the same type.
    Gt,
    /// The same or a greater key of the same type.
    Gte,
    /// A lesser key of the same type.
    Lt,
    /// The same or a lesser key of the same type.
    Lte,
}

/// A value to compare with, by its place in the order.
#[derive(Debug, Clone)]
pub(super) struct Operand {
    /// Among the values of a plain field.
    text: Vec<u8>,
    /// Among those of a field whose text is a decimal.
    decimal: Vec<u8>,
}
