//! Events in MongoDB, which several hosts write to: a replica set, or a sharded cluster where a tenant lives on one shard.
//!
//! Appends of one tenant from one host wait in a queue and go into one transaction together ([`queue`], [`batch`]); the
//! tenant's row, which every such transaction changes, keeps hosts apart and gives positions without gaps. Everything is
//! read and written as a majority of the servers has it, so what was acknowledged outlives any one of them.

mod aside;
mod batch;
mod journal;
mod ledger;
mod portable;
mod positions;
mod queue;
mod read;
mod schema;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;

use self::aside::RejectionKeys;
use self::positions::Positions;
use self::queue::{Queues, Request};
use self::schema::Collections;
use super::journal::{JournalEntry, Newest, Shelf};
use super::portable::{Accepted, Each, Gate, Holding, Mark, Portable, Rejected};
use super::{
    Append, AppendOutcome, Appended, EventStore, Journalled, Origin, Position, Recorded, Snapshot,
    StoreError, Subject,
};
use crate::mongodb::{MongoDatabase, MongoSettings};

/// Bounds of [`MongoEvents`].
#[derive(Debug, Clone)]
pub struct MongoEventsLimits {
    /// Requests that may wait on this host; further ones are refused with [`StoreError::Busy`].
    pub queue_max: usize,
    /// Requests of one tenant that one transaction takes.
    pub batch_max: usize,
    /// Bytes of events and inputs that one transaction takes, unless a single append has more.
    pub batch_bytes_max: usize,
    /// Tenants whose appends are written at once; each takes a connection.
    pub tenants_at_once: usize,
    /// How long a transaction is tried again that conflicts with another host's, or that no server answers; and how long an
    /// append may wait for its turn, after which it is refused untried. In milliseconds.
    pub append_ms: u64,
    /// After how much silence of the change stream positions are asked for. In milliseconds.
    pub poll_ms: u64,
}

/// See the module.
pub struct MongoEvents {
    shared: Arc<Shared>,
    queues: Arc<Queues>,
    follower: JoinHandle<()>,
}

/// What the tasks of a store share.
struct Shared {
    mongo: MongoDatabase,
    collections: Collections,
    limits: MongoEventsLimits,
    positions: Positions,
    rejection_keys: RejectionKeys,
}

impl MongoEvents {
    /// Reaches the database, makes the collections that are not there, and begins to follow other hosts. Its tasks run on
    /// the runtime that this is called on.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the database cannot be reached or refuses.
    pub async fn open(settings: &MongoSettings, limits: MongoEventsLimits) -> Result<Self, StoreError> {
        let mongo = MongoDatabase::open(settings).await.map_err(failed)?;
        let collections = Collections::of(&mongo);
        collections.make(&mongo).await.map_err(failed)?;
        let shared = Arc::new(Shared {
            mongo,
            collections,
            limits,
            positions: Positions::default(),
            rejection_keys: RejectionKeys::default(),
        });
        let runtime = Handle::current();
        let follower = runtime.spawn(positions::follow(Arc::clone(&shared)));
        let queues = Arc::new(Queues::new(Arc::clone(&shared), runtime));
        Ok(Self {
            shared,
            queues,
            follower,
        })
    }

    /// For requests that nobody waits for.
    fn offer(&self, tenant: &TenantId, request: Request) {
        if self.queues.push(tenant, request).is_err() {
            metrics::counter!("millwork_event_store_dropped_total", "why" => "busy").increment(1);
        }
    }
}

impl Drop for MongoEvents {
    fn drop(&mut self) {
        self.follower.abort();
    }
}

#[async_trait]
impl EventStore for MongoEvents {
    fn append(&self, append: Append) -> AppendOutcome {
        let (reply, outcome) = oneshot::channel();
        let tenant = append.tenant.clone();
        let append = Box::new(append);
        let request = Request::Append {
            append,
            queued_at: Instant::now(),
            reply,
        };
        let queued = self.queues.push(&tenant, request);
        Box::pin(async move {
            queued?;
            outcome.await.map_err(|_| stopped())?
        })
    }

    fn journal_rejection(
        &self,
        tenant: &TenantId,
        command: Journalled,
        origin: Arc<Origin>,
        rejection: String,
    ) {
        let command = Box::new(command);
        self.offer(
            tenant,
            Request::Rejection {
                command,
                origin,
                rejection,
            },
        );
    }

    async fn outcome(
        &self,
        tenant: &TenantId,
        command_id: &str,
    ) -> Result<Option<([u8; 32], Appended)>, StoreError> {
        self.shared.outcome(tenant, command_id).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        of: &Subject,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.shared.events(tenant, of, after, limit).await
    }

    async fn is_current(&self, tenant: &TenantId, seen: &[(Subject, u64)]) -> Result<bool, StoreError> {
        self.shared.is_current(tenant, seen).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        state_version: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.shared.snapshot(tenant, of, state_version).await
    }

    fn keep_snapshot(&self, tenant: &TenantId, of: &Subject, snapshot: Snapshot) {
        let of = of.clone();
        self.offer(tenant, Request::Snapshot { of, snapshot });
    }

    async fn forget_snapshots(&self, tenant: &TenantId, module: &str) -> Result<(), StoreError> {
        let (reply, forgotten) = oneshot::channel();
        let module = module.to_owned();
        self.queues
            .push(tenant, Request::ForgetSnapshots { module, reply })?;
        forgotten.await.map_err(|_| stopped())?
    }

    async fn feed(
        &self,
        tenant: &TenantId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.shared.feed(tenant, after, limit).await
    }

    async fn newest_aggregates(
        &self,
        tenant: &TenantId,
        module: &str,
        limit: u32,
    ) -> Result<Newest<(Subject, u64)>, StoreError> {
        self.shared.newest_aggregates(tenant, module, limit).await
    }

    async fn newest_commands(
        &self,
        tenant: &TenantId,
        module: &str,
        shelf: Shelf,
        limit: u32,
    ) -> Result<Newest<u64>, StoreError> {
        self.shared.newest_commands(tenant, module, shelf, limit).await
    }

    async fn journal(
        &self,
        tenant: &TenantId,
        shelf: Shelf,
        keys: &[u64],
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.shared.journal(tenant, shelf, keys).await
    }

    async fn next_number(&self, tenant: &TenantId, module: &str, sequence: &str) -> Result<u64, StoreError> {
        self.shared.next_number(tenant, module, sequence).await
    }

    async fn last_position(&self, tenant: &TenantId) -> Result<watch::Receiver<Position>, StoreError> {
        if let Some(watched) = self.shared.positions.watched(tenant) {
            return Ok(watched);
        }
        let position = self.shared.position(tenant).await?;
        let watched = self.shared.positions.watch(tenant, position);
        // What was told while nobody watched was missed.
        self.shared
            .positions
            .publish(tenant, self.shared.position(tenant).await?);
        Ok(watched)
    }

    async fn close(&self) {
        self.queues.close().await;
        self.follower.abort();
    }
}

#[async_trait]
impl Portable for MongoEvents {
    async fn gate(&self, tenant: &TenantId) -> Result<Gate, StoreError> {
        self.shared.gate(tenant).await
    }

    async fn set_gate(&self, tenant: &TenantId, gate: Gate) -> Result<(), StoreError> {
        self.shared.set_gate(tenant, gate).await
    }

    async fn mark(&self, tenant: &TenantId, each: Each<'_>) -> Result<Mark, StoreError> {
        self.shared.mark(tenant, each).await
    }

    async fn accepted(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Accepted>, StoreError> {
        self.shared.accepted(tenant, after, through, limit).await
    }

    async fn rejected(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Rejected>, StoreError> {
        self.shared.rejected(tenant, after, through, limit).await
    }

    async fn restore_holdings(&self, tenant: &TenantId, holdings: Vec<Holding>) -> Result<(), StoreError> {
        self.shared.restore_holdings(tenant, holdings).await
    }

    async fn restore_rejected(&self, tenant: &TenantId, rejected: Vec<Rejected>) -> Result<(), StoreError> {
        self.shared.restore_rejected(tenant, rejected).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        self.shared.forget(tenant).await
    }

    fn begin(&self, tenant: &TenantId) {
        self.shared.positions.forget(tenant);
    }
}

fn failed(error: impl Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn stopped() -> StoreError {
    StoreError::Failed("the writer has stopped".to_owned())
}
