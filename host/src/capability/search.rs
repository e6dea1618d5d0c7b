//! Full text: JSON documents by id, in indexes that a manifest declares.
//!
//! Guests reach this through `millwork:search`. What a text, a filter, a value or a fragment means stands here, once for
//! all backends: [`words`] splits text, [`text`] and [`filter`] read questions, [`entry`] reads documents, [`fragment`]
//! marks matches. Backends keep entries and find them; they never see WIT types or the languages of guests.

pub mod component;
pub mod cursor;
pub mod elasticsearch;
pub mod entry;
pub mod filter;
pub mod fragment;
pub mod tantivy;
pub mod text;
pub mod value;
pub mod words;

use std::sync::Arc;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use millwork_registry::manifest::{self, IndexField, IndexKind};
use sha2::{Digest, Sha256};

use self::cursor::Cursor;
use self::entry::Entry;
use self::filter::Filter;
use self::text::Clause;

/// A JSON object.
pub type Document = serde_json::Map<String, serde_json::Value>;

/// Most hits of one page.
pub const LIMIT_MAX: u32 = 100;
/// Most suggestions of one answer.
pub const SUGGESTIONS_MAX: u32 = 50;
/// Longest beginning of a value to be suggested, in bytes.
pub const PREFIX_BYTES_MAX: usize = 256;

/// An index of one module, as its manifest declares it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// The module that owns it.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// What is searched, in the manifest's order.
    pub fields: Vec<(String, IndexField)>,
}

/// A change of one document.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Writes it, new or not.
    Put(Entry),
    /// Removes it, if it is there.
    Remove(String),
}

/// What to find, understood and within its bounds.
#[derive(Debug, Clone)]
pub struct Find {
    /// What must be in the text; nothing is every document.
    pub clauses: Vec<Clause>,
    /// What must hold of the other fields.
    pub filter: Filter,
    /// 1 to [`LIMIT_MAX`].
    pub limit: u32,
    /// The last hit of the page before.
    pub after: Option<Cursor>,
    /// The text fields of which fragments are wanted.
    pub highlight: Vec<String>,
}

/// A document that a backend has found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// Its id.
    pub id: String,
    /// By BM25, the sum over clauses and fields. 0 without clauses.
    pub score: f32,
    /// As it was indexed.
    pub document: Document,
}

/// What a backend has found: the best first, equal ones by id.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Matches {
    /// How many match, on all pages together.
    pub total: u64,
    /// At most one more than asked for, which says that there is a next page.
    pub found: Vec<Found>,
}

/// Pieces of HTML, by field.
pub type Fragments = Vec<(String, Vec<String>)>;

/// One page of hits.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Hits {
    /// How many match, on all pages together.
    pub total: u64,
    /// With their fragments: by field, HTML.
    pub hits: Vec<(Found, Fragments)>,
    /// Opaque; absent on the last page.
    pub next: Option<String>,
}

/// Why a search did nothing.
#[derive(Debug, thiserror::Error)]
pub enum SearchError {
    /// Text, filter, cursor, field or document is not understood: the caller's mistake; says where.
    #[error("{0}")]
    Malformed(String),
    /// Over a limit that the message names: the caller's mistake.
    #[error("{0}")]
    TooLarge(String),
    /// The index cannot be reached or has failed: try again later.
    #[error("search: {0}")]
    Failed(String),
}

/// The indexes of all tenants. An index comes to be with its first document, and an absent one has none.
#[async_trait]
pub trait Search: Send + Sync + 'static {
    /// Carries out changes in their order; durable when this returns, and found by what is asked of this host after it.
    ///
    /// # Errors
    /// [`SearchError::Failed`]; some may have taken effect then, and all may be sent again.
    async fn write(&self, tenant: &TenantId, of: &Index, changes: &[Change]) -> Result<(), SearchError>;

    /// The documents that match, from the cursor on.
    ///
    /// # Errors
    /// [`SearchError::Failed`].
    async fn find(&self, tenant: &TenantId, of: &Index, find: &Find) -> Result<Matches, SearchError>;

    /// Removes these indexes of a tenant, as far as they are there.
    ///
    /// # Errors
    /// [`SearchError::Failed`]; some may be left then.
    async fn forget(&self, tenant: &TenantId, indexes: &[Index]) -> Result<(), SearchError>;

    /// A tenant of this id begins on this host: what is remembered here of one before is no longer so.
    fn begin(&self, tenant: &TenantId);

    /// Values of a suggested field whose [`words::folded`] form begins with `folded`, each once, by that form.
    ///
    /// # Errors
    /// [`SearchError::Failed`].
    async fn suggest(
        &self,
        tenant: &TenantId,
        of: &Index,
        field: &str,
        folded: &str,
        limit: u32,
    ) -> Result<Vec<String>, SearchError>;
}

impl Index {
    /// As a manifest declares it.
    #[must_use]
    pub fn declared(module: &str, name: &str, index: &manifest::Index) -> Self {
        Self {
            module: module.to_owned(),
            name: name.to_owned(),
            fields: index
                .fields
                .iter()
                .map(|(name, field)| (name.clone(), *field))
                .collect(),
        }
    }

    /// A field by name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<IndexField> {
        let found = self.fields.iter().find(|(own, _)| own == name);
        found.map(|(_, field)| *field)
    }

    /// Names of its text fields.
    pub fn texts(&self) -> impl Iterator<Item = &str> {
        let texts = self
            .fields
            .iter()
            .filter(|(_, field)| field.kind == IndexKind::Text);
        texts.map(|(name, _)| name.as_str())
    }

    /// Stands for its fields in the names of files and of a server's indexes: what was written for other fields cannot be
    /// searched by these.
    #[must_use]
    pub fn shape(&self) -> String {
        let mut hash = Sha256::new();
        for (name, field) in &self.fields {
            hash.update(format!("{name}={};", String::from(*field)));
        }
        hash.finalize()
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

/// One page of what a text and a filter find, with its fragments.
///
/// # Errors
/// See [`SearchError`].
pub async fn find(
    store: &Arc<dyn Search>,
    tenant: &TenantId,
    of: &Index,
    find: &Find,
) -> Result<Hits, SearchError> {
    let mut matches = store.find(tenant, of, find).await?;
    let limit = usize::try_from(find.limit).unwrap_or(usize::MAX);
    let more = matches.found.len() > limit;
    matches.found.truncate(limit);
    let next = matches
        .found
        .last()
        .filter(|_| more)
        .map(|last| Cursor::of(last).to_text());
    let with_fragments = |found: Found| {
        let fragments = fragment::of(&found.document, &find.highlight, &find.clauses);
        (found, fragments)
    };
    Ok(Hits {
        total: matches.total,
        hits: matches.found.into_iter().map(with_fragments).collect(),
        next,
    })
}

/// Values of a field that begin with a text.
///
/// # Errors
/// See [`SearchError`].
pub async fn suggest(
    store: &Arc<dyn Search>,
    tenant: &TenantId,
    of: &Index,
    field: &str,
    prefix: &str,
    limit: u32,
) -> Result<Vec<String>, SearchError> {
    if !of.field(field).is_some_and(|field| field.suggested) {
        let why = format!(
            "field {field:?} of index {:?} is not declared as suggested",
            of.name
        );
        return Err(SearchError::Malformed(why));
    }
    if prefix.len() > PREFIX_BYTES_MAX {
        return Err(SearchError::TooLarge(format!(
            "the prefix is longer than {PREFIX_BYTES_MAX} bytes"
        )));
    }
    if limit == 0 || limit > SUGGESTIONS_MAX {
        return Err(SearchError::TooLarge(format!(
            "limit must be 1 to {SUGGESTIONS_MAX}"
        )));
    }
    store
        .suggest(tenant, of, field, &words::folded(prefix), limit)
        .await
}

impl Find {
    /// Reads a question.
    ///
    /// # Errors
    /// [`SearchError::Malformed`] and [`SearchError::TooLarge`] with what is wrong.
    pub fn parse(
        of: &Index,
        text: &str,
        filter: &str,
        limit: u32,
        cursor: Option<&str>,
        highlight: Vec<String>,
    ) -> Result<Self, SearchError> {
        if limit == 0 || limit > LIMIT_MAX {
            return Err(SearchError::TooLarge(format!("limit must be 1 to {LIMIT_MAX}")));
        }
        if let Some(name) = highlight
            .iter()
            .find(|name| !of.texts().any(|text| text == *name))
        {
            let why = format!("index {:?} has no text field {name:?} to highlight", of.name);
            return Err(SearchError::Malformed(why));
        }
        Ok(Self {
            clauses: text::parse(text)?,
            filter: filter::parse(of, filter)?,
            limit,
            after: cursor.map(Cursor::parse).transpose()?,
            highlight,
        })
    }
}
