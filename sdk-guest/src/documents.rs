//! Read models: typed documents by id, in collections that the manifest declares.
//!
//! For projections, which write their own collections, and queries, which read. The host checks both.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::aggregate::json_of;
use crate::bindings::lifecycle::millwork::documents::documents as wit;
use crate::host;

/// Most documents that one page may hold.
pub const PAGE_MAX: u32 = 1_000;

/// Why a document could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The manifest does not declare the collection, or the call may not write.
    #[error("denied: {0}")]
    Denied(String),
    /// The document, filter, sort or update is not understood, or a document does not fit the type asked for.
    #[error("malformed: {0}")]
    Malformed(String),
    /// Over a limit that the message names.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The store cannot be reached; the host tries the call again.
    #[error("the document store cannot be reached")]
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

/// One document, if it exists. `T` sees its id as `_id`.
///
/// # Errors
/// See [`enum@Error`].
pub fn get<T: DeserializeOwned>(collection: &str, id: &str) -> Result<Option<T>, Error> {
    host::documents::get(collection, id)?
        .as_deref()
        .map(read)
        .transpose()
}

/// Writes a whole document, new or not.
///
/// # Errors
/// See [`enum@Error`].
pub fn put<T: Serialize>(collection: &str, id: &str, document: &T) -> Result<(), Error> {
    Ok(host::documents::put(
        collection,
        id,
        &json_of(collection, document),
    )?)
}

/// Changes one document by `$set`, `$unset`, `$inc`, `$push`, `$pull`; false when there is none.
///
/// # Errors
/// See [`enum@Error`].
pub fn update(collection: &str, id: &str, change: &Value) -> Result<bool, Error> {
    Ok(host::documents::update(
        collection,
        id,
        &json_of(collection, change),
        false,
    )?)
}

/// Changes one document; a missing one is made from `{}` first.
///
/// # Errors
/// See [`enum@Error`].
pub fn upsert(collection: &str, id: &str, change: &Value) -> Result<(), Error> {
    host::documents::update(collection, id, &json_of(collection, change), true)?;
    Ok(())
}

/// Removes one document; false when there is none.
///
/// # Errors
/// See [`enum@Error`].
pub fn remove(collection: &str, id: &str) -> Result<bool, Error> {
    Ok(host::documents::remove(collection, id)?)
}

/// How many documents match a filter in MongoDB's language.
///
/// # Errors
/// See [`enum@Error`].
pub fn count(collection: &str, filter: &Value) -> Result<u64, Error> {
    Ok(host::documents::count(collection, &json_of(collection, filter))?)
}

/// Starts to look for documents; every one, by id, until told otherwise.
pub fn find(collection: &str) -> Find<'_> {
    let query = wit::Query {
        filter: "{}".to_owned(),
        sort: String::new(),
        limit: PAGE_MAX,
        skip: 0,
        cursor: None,
        fields: Vec::new(),
    };
    Find { collection, query }
}

/// What to find.
#[derive(Debug, Clone)]
#[must_use]
pub struct Find<'a> {
    collection: &'a str,
    query: wit::Query,
}

/// Some of the documents found.
#[derive(Debug, Clone)]
pub struct Page<T> {
    /// In the order asked for; equal ones by id.
    pub documents: Vec<T>,
    /// What [`Find::after`] takes for the next page; absent on the last.
    pub next: Option<String>,
}

impl Find<'_> {
    /// Only those that match, in MongoDB's query language.
    pub fn filter(mut self, filter: &Value) -> Self {
        self.query.filter = json_of(self.collection, filter);
        self
    }

    /// As in MongoDB, most significant first: `{"dueDate": 1, "total": -1}`.
    pub fn sort(mut self, sort: &Value) -> Self {
        self.query.sort = json_of(self.collection, sort);
        self
    }

    /// At most so many a page, from 1 to [`PAGE_MAX`].
    pub fn limit(mut self, limit: u32) -> Self {
        self.query.limit = limit;
        self
    }

    /// Only these fields, dotted paths, and `_id`.
    pub fn fields(mut self, fields: &[&str]) -> Self {
        self.query.fields = fields.iter().map(|f| (*f).to_owned()).collect();
        self
    }

    /// The page after the one that gave this [`Page::next`].
    pub fn after(mut self, next: String) -> Self {
        self.query.cursor = Some(next);
        self
    }

    /// One page.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn page<T: DeserializeOwned>(&self) -> Result<Page<T>, Error> {
        let page = host::documents::find(self.collection, &self.query)?;
        let documents = page.documents.iter().map(|d| read(d)).collect::<Result<_, _>>()?;
        Ok(Page {
            documents,
            next: page.next,
        })
    }

    /// Gives every document of every page to `each`, holding one page at a time.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn each<T: DeserializeOwned>(mut self, mut each: impl FnMut(T)) -> Result<(), Error> {
        loop {
            let page = self.page()?;
            page.documents.into_iter().for_each(&mut each);
            match page.next {
                Some(next) => self = self.after(next),
                None => return Ok(()),
            }
        }
    }
}

fn read<T: DeserializeOwned>(document: &str) -> Result<T, Error> {
    serde_json::from_str(document).map_err(|error| Error::Malformed(format!("document: {error}")))
}
