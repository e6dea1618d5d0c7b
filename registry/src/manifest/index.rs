//! Indexes: what of a component's documents can be searched.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

/// Documents that can be searched by their text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    /// What is searched, by the name of the document's field. An index whose fields change begins empty: raise the
    /// version of the projection that fills it.
    pub fields: IndexMap<String, IndexField>,
}

/// A field of an index, as text: `text`, `keyword`, `number`, `decimal` or `date`, and after it `suggested` if values are
/// to be suggested by their beginning: `keyword suggested`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IndexField {
    /// How it is understood.
    pub kind: IndexKind,
    /// Whether its values are suggested. Of text and keywords only.
    pub suggested: bool,
}

/// How the values of a field are understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum IndexKind {
    /// Text in a language: found by its words.
    Text,
    /// Text that is one value, such as a code or a state: found by equality and order.
    Keyword,
    /// A JSON number; compares as a 64-bit float, so never money.
    Number,
    /// Exact decimal text, such as an amount of money: compares as a number.
    Decimal,
    /// A day, `2026-01-31`, or a point in time as in RFC 3339.
    Date,
}

/// What follows the kind of a field whose values are suggested.
const SUGGESTED: &str = " suggested";

impl IndexKind {
    /// As manifests have it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Keyword => "keyword",
            Self::Number => "number",
            Self::Decimal => "decimal",
            Self::Date => "date",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let all = [Self::Text, Self::Keyword, Self::Number, Self::Decimal, Self::Date];
        all.into_iter().find(|kind| kind.name() == text)
    }
}

impl TryFrom<String> for IndexField {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (kind, suggested) = match text.strip_suffix(SUGGESTED) {
            Some(kind) => (kind, true),
            None => (text.as_str(), false),
        };
        match IndexKind::parse(kind) {
            Some(kind @ (IndexKind::Text | IndexKind::Keyword)) => Ok(Self { kind, suggested }),
            Some(kind) if !suggested => Ok(Self { kind, suggested }),
            _ => Err(format!(
                "field {text:?} must be text, keyword, number, decimal or date; text and keyword may be followed by suggested"
            )),
        }
    }
}

impl From<IndexField> for String {
    fn from(field: IndexField) -> Self {
        let suggested = if field.suggested { SUGGESTED } else { "" };
        format!("{}{suggested}", field.kind.name())
    }
}
