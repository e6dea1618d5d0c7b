//! Where events are appended, loaded and fed from: the one place whose loss would lose business.
//!
//! The trait is what [`crate::dispatch`] and [`crate::project`] need and no more. Promises of every backend: an append is
//! atomic over all its parts and durable when it returns; positions of a tenant are given at commit, start at 1 and have
//! no gaps, so no reader of the feed can pass over an event; events of one aggregate stand in order of their versions.
//! Nothing here knows WIT types or what an event means.

pub mod journal;
pub mod mongodb;
pub mod portable;
pub mod sqlite;

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::journal::{JournalEntry, Newest, Shelf};
use self::portable::Portable;

/// Number of an event in its tenant's feed; 0 stands before the first.
pub type Position = u64;

/// One consistency boundary within a tenant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Subject {
    /// The module that owns it.
    pub module: String,
    /// The aggregate's name in the module's manifest.
    pub aggregate: String,
    /// Unique within the aggregate.
    pub id: String,
}

/// An event as it was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recorded {
    /// Its place in the tenant's feed.
    pub position: Position,
    /// UUID, version 7.
    pub id: String,
    /// The aggregate it belongs to.
    pub of: Subject,
    /// Its number within the aggregate, from 1.
    pub version: u64,
    /// As in the manifest.
    pub name: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub recorded_at: u64,
    /// Who caused it.
    pub origin: Arc<Origin>,
    /// JSON text.
    pub data: Arc<str>,
}

/// Who caused something, and the chain of causes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// Subject of the credential.
    pub user: String,
    /// The same for all that one request causes.
    pub correlation_id: String,
    /// Id of the command that led to it.
    pub causation_id: String,
    /// W3C Trace Context of the request, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceparent: Option<String>,
}

/// An event to record. Its version follows from its place in [`Append::events`] and the expected version.
#[derive(Debug, Clone)]
pub struct NewEvent {
    /// UUID, version 7.
    pub id: String,
    /// One of [`Append::expected`].
    pub of: Subject,
    /// As in the manifest.
    pub name: String,
    /// JSON text.
    pub data: Arc<str>,
}

/// A value that only one aggregate of a tenant's module may hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Claim {
    /// As the manifest declares it.
    pub name: String,
    /// The value.
    pub value: String,
}

/// A number handed out to a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberTaken {
    /// The sequence, with its period filled in: `invoice-2026`.
    pub sequence: String,
    /// The number; the append fails unless it follows the last one recorded.
    pub number: u64,
}

/// What the journal keeps of a command: the whole input of `decide`.
#[derive(Debug, Clone)]
pub struct Journalled {
    /// The idempotency key; unique among the accepted commands of a tenant.
    pub id: String,
    /// SHA-256 over what makes two requests the same.
    pub fingerprint: [u8; 32],
    /// The command's name.
    pub name: String,
    /// What it was asked of.
    pub target: Subject,
    /// Name, version and digest of the release that decided.
    pub release: Arc<str>,
    /// JSON text: data, context, facts, numbers, versions seen.
    pub input: Arc<str>,
    /// When it was decided, in milliseconds since 1970.
    pub decided_at: u64,
}

/// All that one decision records, or nothing of it.
#[derive(Debug, Clone)]
pub struct Append {
    /// Whose.
    pub tenant: TenantId,
    /// The command that led here.
    pub command: Journalled,
    /// Who caused it.
    pub origin: Arc<Origin>,
    /// Every aggregate that the decision saw with its version then; the target stands first.
    pub expected: Vec<(Subject, u64)>,
    /// In order.
    pub events: Vec<NewEvent>,
    /// Taken for the target.
    pub claims: Vec<Claim>,
    /// Given back by the target.
    pub releases: Vec<Claim>,
    /// In no particular order.
    pub numbers: Vec<NumberTaken>,
}

/// What an append came to, now or when the same command was first recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Appended {
    /// The events recorded, with versions and positions.
    pub events: Vec<Recorded>,
    /// The target's version after the command.
    pub version: u64,
    /// Last position of the tenant's feed after the command.
    pub position: Position,
    /// Whether this is the outcome of an earlier append of the same command.
    pub replayed: bool,
}

/// Why an append recorded nothing.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// An aggregate has moved on: load and decide again.
    #[error("{} {} is at version {actual}, not {expected}", subject.aggregate, subject.id)]
    Version {
        /// Which aggregate.
        subject: Subject,
        /// The version the decision saw.
        expected: u64,
        /// The version it has.
        actual: u64,
    },
    /// Another aggregate holds the value: the command is rejected.
    #[error("{} {:?} is already taken", claim.name, claim.value)]
    ClaimTaken {
        /// The value asked for.
        claim: Claim,
    },
    /// The number is not the next one: decide again with that one.
    #[error("the next number of {sequence} is {next}")]
    Number {
        /// Which sequence.
        sequence: String,
        /// The number it would give.
        next: u64,
    },
    /// The command's id was used for another content: the caller's mistake.
    #[error("command id {id:?} was used before for another command")]
    CommandIdReused {
        /// The id.
        id: String,
    },
    /// The tenant is moving: ask again later, here or where it is then.
    #[error("tenant {0} is moving and records nothing")]
    Closed(TenantId),
    /// The tenant was removed.
    #[error("tenant {0} is not here any more")]
    Gone(TenantId),
    /// The store could not do its work; nothing is recorded.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How an append ends: [`AppendError`] says why nothing was recorded.
pub type AppendOutcome = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>>;

/// The world failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The queue of the writer is full: try again later.
    #[error("the event store has too much to write")]
    Busy,
    /// The store cannot be reached or has failed.
    #[error("event store: {0}")]
    Failed(String),
}

/// A state as of a version, so that not all events need folding.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The version of the aggregate.
    pub version: u64,
    /// The `stateVersion` of the manifest that wrote it; another one does not read it.
    pub state_version: u32,
    /// JSON text.
    pub state: Arc<str>,
}

/// See the module.
#[async_trait]
pub trait EventStore: Portable {
    /// Records a decision whole or not at all. The same command id with the same fingerprint gives the first outcome.
    ///
    /// The append is queued when this returns, and appends queued by one host are tried in the order of the queue: so a
    /// decision may build on one that is not durable yet, and fails with it. What is given says how it ended; dropping
    /// it does not take the append back.
    fn append(&self, append: Append) -> AppendOutcome;

    /// Keeps a rejected command for later replay, without waiting for the disk: losing one loses no business.
    /// `rejection` is JSON text.
    fn journal_rejection(
        &self,
        tenant: &TenantId,
        command: Journalled,
        origin: Arc<Origin>,
        rejection: String,
    );

    /// The outcome of an accepted command and its fingerprint, if the id is known.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn outcome(
        &self,
        tenant: &TenantId,
        command_id: &str,
    ) -> Result<Option<([u8; 32], Appended)>, StoreError>;

    /// Events of one aggregate with versions above `after`, oldest first, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn events(
        &self,
        tenant: &TenantId,
        of: &Subject,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError>;

    /// Whether aggregates are still at the versions seen: what a host remembers of an aggregate may be old where others
    /// append to the same store. One that has a single writer knows that they are, and does not look.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn is_current(&self, tenant: &TenantId, seen: &[(Subject, u64)]) -> Result<bool, StoreError>;

    /// The newest snapshot that `state_version` can read.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        state_version: u32,
    ) -> Result<Option<Snapshot>, StoreError>;

    /// Keeps a snapshot when there is time for it.
    fn keep_snapshot(&self, tenant: &TenantId, of: &Subject, snapshot: Snapshot);

    /// Forgets, after all that is queued here, the snapshots of a module's aggregates: a release made them whose states are
    /// not to be gone on from. Only time is lost.
    ///
    /// # Errors
    /// [`StoreError`] when it is not known that they are forgotten.
    async fn forget_snapshots(&self, tenant: &TenantId, module: &str) -> Result<(), StoreError>;

    /// Events of a tenant at positions above `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn feed(&self, tenant: &TenantId, after: Position, limit: u32)
    -> Result<Vec<Recorded>, StoreError>;

    /// The aggregates of a module that were started last, with their versions, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn newest_aggregates(
        &self,
        tenant: &TenantId,
        module: &str,
        limit: u32,
    ) -> Result<Newest<(Subject, u64)>, StoreError>;

    /// The store's keys of a module's last commands on a shelf of the journal, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn newest_commands(
        &self,
        tenant: &TenantId,
        module: &str,
        shelf: Shelf,
        limit: u32,
    ) -> Result<Newest<u64>, StoreError>;

    /// What the journal has of these commands, by the store's keys, in their order. What is not there any more is left
    /// out.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn journal(
        &self,
        tenant: &TenantId,
        shelf: Shelf,
        keys: &[u64],
    ) -> Result<Vec<JournalEntry>, StoreError>;

    /// The number that a sequence would give next; the first is 1.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn next_number(&self, tenant: &TenantId, module: &str, sequence: &str) -> Result<u64, StoreError>;

    /// The last durable position of a tenant, and every change of it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn last_position(&self, tenant: &TenantId) -> Result<watch::Receiver<Position>, StoreError>;

    /// Writes what still waits and stops; appends that come later fail. A second time does nothing.
    async fn close(&self);
}
