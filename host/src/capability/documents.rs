//! Read models and plugins' own data: JSON documents by id, in collections that a manifest declares.
//!
//! Guests reach this through `millwork:documents`, the gateway through views, dispatch through facts. The trait is what
//! they need; [`query`] and [`update`] give MongoDB's operators one meaning above all backends. Backends never see WIT
//! types, and no document of another tenant can be named: the tenant is fixed when a store is opened.

pub mod component;
pub mod query;
pub mod update;
pub mod key;
mod cursor;
mod document;
pub mod mongodb;
pub mod sqlite;

use std::sync::Arc;

use async_trait::async_trait;
use millwork_registry::id::TenantId;

use self::query::Find;
use self::update::Change;
use crate::event_store::Position;

/// A JSON object, always with its id as `_id`.
pub type Document = serde_json::Map<String, serde_json::Value>;

/// A collection of one module, as its manifest declares it.
#[derive(Debug, PartialEq, Eq)]
pub struct Collection {
    /// The module that owns it.
    pub module: String,
    /// Its name there.
    pub name: String,
    /// Fields (dotted paths) whose text is an exact decimal: they compare and sort as numbers.
    pub decimals: Vec<String>,
    /// Fields of each index, most significant first. An indexed field holds one value, never an array.
    pub indexes: Vec<Vec<String>>,
}

/// Which copy of a collection: readers see the live one; a rebuild fills the shadow and then takes its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Line {
    /// What readers see.
    Live,
    /// What a rebuild fills.
    Shadow,
    /// What a part of a rebuild is repeated into, to hold one against the other. Only there in between.
    Trial,
}

/// How far a projection has come, committed together with its writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkpoint {
    /// The module and name of the projection: `invoicing.Invoices`.
    pub projection: String,
    /// Which copy it fills.
    pub line: Line,
    /// The version that the manifest gave it.
    pub version: u32,
    /// The last event applied.
    pub position: Position,
}

/// One page of documents.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Page {
    /// In the order asked for; equal ones by id.
    pub documents: Vec<Document>,
    /// Opaque; absent on the last page.
    pub next: Option<String>,
}

/// Why a document operation did nothing.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// The filter, sort, update or document is not understood: the caller's mistake; says where.
    #[error("{0}")]
    Malformed(String),
    /// Over a limit that the message names: the caller's mistake.
    #[error("{0}")]
    TooLarge(String),
    /// The store cannot be reached or has failed: try again later.
    #[error("document store: {0}")]
    Failed(String),
}

/// The documents of one tenant.
#[async_trait]
pub trait Documents: Send + Sync + 'static {
    /// Makes the collections and indexes that are not there yet.
    ///
    /// # Errors
    /// [`DocumentError::Failed`].
    async fn prepare(&self, collections: &[Arc<Collection>]) -> Result<(), DocumentError>;

    /// One document of the live line.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn get(&self, of: &Collection, id: &str) -> Result<Option<Document>, DocumentError>;

    /// One page of the live line.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn find(&self, of: &Collection, find: &Find) -> Result<Page, DocumentError>;

    /// How many documents of the live line match; sort, limit, skip, cursor and fields are not looked at.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn count(&self, of: &Collection, find: &Find) -> Result<u64, DocumentError>;

    /// Checkpoints of a projection, live and shadow, as far as there are any.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn checkpoints(&self, projection: &str) -> Result<Vec<Checkpoint>, DocumentError>;

    /// Whether other hosts write them too, so that a projection may move without this one.
    fn is_shared(&self) -> bool;

    /// Starts a unit of work: it sees its own writes, nobody else does until it commits. Units of one tenant wait for
    /// each other.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn begin(&self) -> Result<Box<dyn Unit>, DocumentError>;
}

/// Writes that happen together. Dropped without [`Unit::commit`], it leaves no trace.
#[async_trait]
pub trait Unit: Send {
    /// One document.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn get(&mut self, of: &Collection, line: Line, id: &str)
    -> Result<Option<Document>, DocumentError>;

    /// One document as JSON text: a store that keeps text need not parse it.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn get_text(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
    ) -> Result<Option<String>, DocumentError> {
        document::found_text(self.get(of, line, id).await?)
    }

    /// One page.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn find(&mut self, of: &Collection, line: Line, find: &Find) -> Result<Page, DocumentError>;

    /// How many documents match.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn count(&mut self, of: &Collection, line: Line, find: &Find) -> Result<u64, DocumentError>;

    /// Writes a whole document, new or not; sets its `_id`.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn put(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
        document: Document,
    ) -> Result<(), DocumentError>;

    /// Changes one document; a missing one is made from `{}` when [`Change::upsert`] is set. False when there is none.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn update(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
        change: &Change,
    ) -> Result<bool, DocumentError>;

    /// Removes one document; false when there is none.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn remove(&mut self, of: &Collection, line: Line, id: &str) -> Result<bool, DocumentError>;

    /// Empties the shadow of these collections and forgets the projection's shadow checkpoint: a rebuild begins.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn clear_shadow(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError>;

    /// Puts the shadow of these collections, and the projection's shadow checkpoint, in the place of the live ones.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn promote_shadow(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError>;

    /// Makes the trial of these collections, empty.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn begin_trial(&mut self, collections: &[Arc<Collection>]) -> Result<(), DocumentError>;

    /// Removes the trial of these collections and the projection's checkpoint of it.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn end_trial(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError>;

    /// How far a line of a projection has come, as this unit sees it: until it ends, nobody else moves it. A projector
    /// that finds another position than it left has been overtaken, and goes on from there.
    ///
    /// # Errors
    /// See [`DocumentError`].
    async fn checkpoint(&mut self, projection: &str, line: Line)
    -> Result<Option<Checkpoint>, DocumentError>;

    /// Makes all of it visible at once. With a checkpoint the writes are derived from the feed, and a power loss may
    /// set both back together; without one they are durable when this returns.
    ///
    /// # Errors
    /// See [`DocumentError`]; then nothing was written.
    async fn commit(self: Box<Self>, checkpoint: Option<Checkpoint>) -> Result<(), DocumentError>;
}

/// Opens the documents of tenants. `Arc`s, since a tenant's store is shared by its requests and its projector.
#[async_trait]
pub trait DocumentStore: Send + Sync + 'static {
    /// The documents of one tenant, made when they are not there.
    ///
    /// # Errors
    /// [`DocumentError::Failed`].
    async fn open(&self, tenant: &TenantId) -> Result<Arc<dyn Documents>, DocumentError>;

    /// Removes all that a tenant has. Who still has it open finds no collection.
    ///
    /// # Errors
    /// [`DocumentError::Failed`]; some of it may be left then.
    async fn forget(&self, tenant: &TenantId) -> Result<(), DocumentError>;
}
