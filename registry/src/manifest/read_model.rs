//! Collections, the projections that write them, and the views and queries that read them.

use serde::{Deserialize, Serialize};

use super::{CacheRule, Schema};

/// Where documents are kept.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Collection {
    /// Fields (dotted paths) whose text is an exact decimal: they compare and sort as numbers.
    #[serde(default)]
    pub decimals: Vec<String>,
    /// Fields of each index, most significant first. An indexed field holds one value, never an array.
    #[serde(default)]
    pub indexes: Vec<Vec<String>>,
}

/// What turns events into documents.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Projection {
    /// Raised when documents must be built again from the first event.
    pub version: u32,
    /// Own events (`InvoiceCreated`) and other modules' (`client.ClientUpdated`, needs the permission).
    pub events: Vec<String>,
    /// The collections it alone writes.
    pub collections: Vec<String>,
}

/// A question that the host answers from one collection.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct View {
    /// One sentence for the API's documentation.
    #[serde(default)]
    pub summary: String,
    /// The collection it reads.
    pub collection: String,
    /// Fields it gives, dotted paths; empty is all.
    #[serde(default)]
    pub fields: Vec<String>,
    /// Fields by which callers may filter.
    #[serde(default)]
    pub filter: Vec<String>,
    /// Fields by which callers may sort.
    #[serde(default)]
    pub sort: Vec<String>,
    /// Order when the caller does not say: `-issuedAt,_id`.
    #[serde(default)]
    pub default_sort: String,
    /// Schema of one document, for the API's documentation.
    #[serde(default)]
    pub schema: Option<Schema>,
    /// Whether its answers are kept.
    #[serde(default)]
    pub cache: Option<CacheRule>,
    /// What the caller's roles must allow; default `<module>.read`.
    #[serde(default)]
    pub permission: Option<String>,
}

/// A question that the component answers.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Query {
    /// One sentence for the API's documentation.
    #[serde(default)]
    pub summary: String,
    /// Schema of its parameters, an object; query strings are turned into the types it names.
    #[serde(default)]
    pub params: Option<Schema>,
    /// Own collections it reads: `?after=` waits for the projections that write them, and an answer is kept until one of them
    /// is written. For what it finds in an index, name the collection of the projection that writes the index.
    #[serde(default)]
    pub collections: Vec<String>,
    /// Schema of the answer, for the API's documentation.
    #[serde(default)]
    pub result: Option<Schema>,
    /// Whether its answers are kept.
    #[serde(default)]
    pub cache: Option<CacheRule>,
    /// What the caller's roles must allow; default `<module>.read`.
    #[serde(default)]
    pub permission: Option<String>,
}
