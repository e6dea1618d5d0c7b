//! Full text over indexes that the manifest declares.
//!
//! Projections and lifecycle write and search, queries search. What a call writes is found by others when it has ended
//! well.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aggregate::json_of;
use crate::bindings::lifecycle::millwork::search::search as wit;
use crate::{documents, host};

/// Most hits that one page may hold.
pub const PAGE_MAX: u32 = 100;

/// Why the index did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The manifest does not declare the index, or the call may not write or not search.
    #[error("denied: {0}")]
    Denied(String),
    /// Text, filter, cursor or document is not understood, or a document does not fit the type asked for.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Over a limit that the message names.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The index cannot be reached.
    #[error("the index cannot be reached")]
    Unavailable,
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(m) => Self::Denied(m),
            wit::Error::Malformed(m) => Self::Malformed(m),
            wit::Error::TooLarge(m) => Self::TooLarge(m),
            wit::Error::Unavailable => Self::Unavailable,
        }
    }
}

/// So that a projection can end with it.
impl From<Error> for documents::Error {
    fn from(error: Error) -> Self {
        match error {
            Error::Denied(m) => Self::Denied(m),
            Error::Malformed(m) => Self::Malformed(m),
            Error::TooLarge(m) => Self::TooLarge(m),
            Error::Unavailable => Self::Unavailable,
        }
    }
}

/// Writes a whole document, new or not.
///
/// # Errors
/// See [`enum@Error`].
pub fn index<T: Serialize>(name: &str, id: &str, document: &T) -> Result<(), Error> {
    Ok(host::search::index(name, id, &json_of(name, document))?)
}

/// Removes a document, if it is there.
///
/// # Errors
/// See [`enum@Error`].
pub fn remove(name: &str, id: &str) -> Result<(), Error> {
    Ok(host::search::remove(name, id)?)
}

/// Values of a field declared for it that begin with `prefix`, in the order of the alphabet; at most 50.
///
/// # Errors
/// See [`enum@Error`].
pub fn suggest(name: &str, field: &str, prefix: &str, limit: u32) -> Result<Vec<String>, Error> {
    Ok(host::search::suggest(name, field, prefix, limit)?)
}

/// Starts to look for documents in which all words of `text` are. `"words in quotes"` follow each other, `word*` is the
/// beginning of a word; empty text is every document.
pub fn find<'a>(name: &'a str, text: &str) -> Find<'a> {
    let query = wit::Query {
        text: text.to_owned(),
        filter: String::new(),
        limit: 20,
        cursor: None,
        highlight: Vec::new(),
    };
    Find { name, query }
}

/// What to find.
#[derive(Debug, Clone)]
#[must_use]
pub struct Find<'a> {
    name: &'a str,
    query: wit::Query,
}

/// Some of the documents found.
#[derive(Debug, Clone)]
pub struct Hits<T> {
    /// How many match, on all pages together.
    pub total: u64,
    /// The best first; equal ones by id.
    pub hits: Vec<Hit<T>>,
    /// What [`Find::after`] takes for the next page; absent on the last.
    pub next: Option<String>,
}

/// A document found.
#[derive(Debug, Clone)]
pub struct Hit<T> {
    /// Its id.
    pub id: String,
    /// How well the text fits; to be compared within one question only.
    pub score: f32,
    /// As it was indexed.
    pub document: T,
    /// By field: pieces of HTML in which matches stand in `<em>` and everything else is escaped.
    pub fragments: Vec<(String, Vec<String>)>,
}

impl Find<'_> {
    /// Only those of which this holds, in MongoDB's query language, on fields that are no text.
    pub fn filter(mut self, filter: &Value) -> Self {
        self.query.filter = json_of(self.name, filter);
        self
    }

    /// At most so many a page, from 1 to [`PAGE_MAX`]; 20 until told otherwise.
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.limit = limit;
        self
    }

    /// With fragments of these text fields.
    pub fn highlight(mut self, fields: &[&str]) -> Self {
        self.query.highlight = fields.iter().map(|f| (*f).to_owned()).collect();
        self
    }

    /// The page after the one that gave this [`Hits::next`].
    pub fn after(mut self, next: String) -> Self {
        self.query.cursor = Some(next);
        self
    }

    /// One page.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn page<T: DeserializeOwned>(&self) -> Result<Hits<T>, Error> {
        let page = host::search::find(self.name, &self.query)?;
        let read = |hit: wit::Hit| {
            let document = serde_json::from_str(&hit.document)
                .map_err(|error| Error::Malformed(format!("document: {error}")))?;
            Ok(Hit {
                id: hit.id,
                score: hit.score,
                document,
                fragments: hit.fragments,
            })
        };
        Ok(Hits {
            total: page.total,
            hits: page.hits.into_iter().map(read).collect::<Result<_, Error>>()?,
            next: page.next,
        })
    }
}
