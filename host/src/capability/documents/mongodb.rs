//! Documents in MongoDB, for several hosts over one database.
//!
//! A collection of a module is one collection there, `documents.<module>.<name>`, which all tenants of the database share:
//! thousands of tenants with a collection each would be more files and indexes than a server can hold open. The tenant is
//! in every document, stands first in `_id` and in every index, and is part of every filter; the shard key is `{tenantId:
//! 1, _id: 1}`. A tenant that must be apart has a profile of its own, with another database.
//!
//! Lines are numbered copies within a collection ([`lines`]): putting one in the place of another changes numbers in one
//! small document, in the unit's transaction. A stored document is what the guest wrote, beside the keys of its indexed
//! fields ([`super::key`], as text): MongoDB compares and sorts keys, so it never gives a value another meaning than ours.
//! What no key can answer is left to [`super::query`], over candidates.
//!
//! A unit of work is a transaction that first writes its tenant's turn, so units of a tenant follow each other on all
//! hosts. The server ends one after 60 seconds (`transactionLifetimeLimitSeconds`), that of a host that died as well. A
//! document of [`crate::config::DOCUMENT_BYTES_MAX`] is below its 16 MB in BSON whatever is in it.

mod codec;
mod connection;
mod find;
mod forget;
mod lines;
mod plan;
mod prepare;
mod sweep;
mod turn;
mod unit;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use tokio::task::JoinSet;

use self::connection::Connection;
use self::lines::Lines;
use self::turn::Turn;
use self::unit::MongoUnit;
use super::query::Find;
use super::{Checkpoint, Collection, Document, DocumentError, DocumentStore, Documents, Line, Page, Unit};
use crate::mongodb::{Failure, MongoDatabase};

/// Bounds of [`MongoDocuments`].
#[derive(Debug, Clone)]
pub struct MongoDocumentsLimits {
    /// For one operation, however often the driver tries.
    pub call_max: Duration,
    /// For a unit of work to wait until it has its turn. Above the server's `transactionLifetimeLimitSeconds`, so that a
    /// host that died in the middle of a unit delays the next one and does not fail it.
    pub turn_max: Duration,
    /// How long a copy that nobody should read any more is kept: above `call_max`, the longest that a reader can go on.
    pub sweep_after: Duration,
}

impl Default for MongoDocumentsLimits {
    fn default() -> Self {
        Self {
            call_max: Duration::from_secs(10),
            turn_max: Duration::from_secs(75),
            sweep_after: Duration::from_secs(60),
        }
    }
}

/// All tenants' documents in a deployment of MongoDB that has transactions: a replica set or a sharded cluster.
pub struct MongoDocuments {
    database: MongoDatabase,
    limits: MongoDocumentsLimits,
    /// What is open, so that the units of one host queue here and not at the server. A std mutex: no await inside.
    open: Mutex<HashMap<TenantId, Weak<TenantDocuments>>>,
}

impl MongoDocuments {
    /// Nothing is asked of the server yet.
    #[must_use]
    pub fn new(database: MongoDatabase, limits: MongoDocumentsLimits) -> Self {
        Self {
            database,
            limits,
            open: Mutex::default(),
        }
    }

    fn connection(&self, tenant: &TenantId) -> Connection {
        Connection::new(
            self.database.database().clone(),
            tenant.clone(),
            self.limits.clone(),
        )
    }
}

#[async_trait]
impl DocumentStore for MongoDocuments {
    async fn open(&self, tenant: &TenantId) -> Result<Arc<dyn Documents>, DocumentError> {
        let db = self.connection(tenant);
        // Also where it was open before: it may have been removed since.
        db.bounded(turn::make(&db)).await?;
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        // Its turn is the one that counts.
        if let Some(documents) = open.get(tenant).and_then(Weak::upgrade) {
            return Ok(documents);
        }
        let documents = Arc::new(TenantDocuments {
            db: Arc::new(db),
            turn: Arc::default(),
            sweeping: Arc::default(),
        });
        open.insert(tenant.clone(), Arc::downgrade(&documents));
        Ok(documents)
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), DocumentError> {
        forget::forget(&self.connection(tenant)).await
    }
}

/// One tenant's documents.
struct TenantDocuments {
    db: Arc<Connection>,
    /// A tokio mutex: a unit of work holds it across awaits.
    turn: Arc<tokio::sync::Mutex<()>>,
    /// What waits to remove old copies; ends with the last who uses the tenant. What is then left is removed some time after
    /// the next [`Documents::prepare`].
    sweeping: Arc<Mutex<JoinSet<()>>>,
}

impl TenantDocuments {
    async fn begin_unit(&self) -> Result<MongoUnit, DocumentError> {
        let turn = Turn::take(&self.db, &self.turn).await?;
        let sweeping = Arc::clone(&self.sweeping);
        Ok(MongoUnit::new(Arc::clone(&self.db), turn, sweeping))
    }

    /// The number of the copy that is live now.
    async fn live(&self, of: &Collection) -> Result<i64, DocumentError> {
        Lines::load(&self.db, of, None).await?.number(of, Line::Live)
    }
}

#[async_trait]
impl Documents for TenantDocuments {
    async fn prepare(&self, collections: &[Arc<Collection>]) -> Result<(), DocumentError> {
        for of in collections {
            prepare::prepare(self, of).await?;
        }
        // What a host left behind that stopped before it had removed old copies.
        let mut sweeping = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
        if sweeping.is_empty() {
            sweeping.spawn(sweep::sweep_later(Arc::clone(&self.db)));
        }
        Ok(())
    }

    async fn get(&self, of: &Collection, id: &str) -> Result<Option<Document>, DocumentError> {
        let get = async { find::get(&self.db, of, self.live(of).await?, id, None).await };
        self.db.bounded(get).await
    }

    async fn find(&self, of: &Collection, find: &Find) -> Result<Page, DocumentError> {
        let find = async { find::find(&self.db, of, self.live(of).await?, find, None).await };
        self.db.bounded(find).await
    }

    async fn count(&self, of: &Collection, find: &Find) -> Result<u64, DocumentError> {
        let count = async { find::count(&self.db, of, self.live(of).await?, find, None).await };
        self.db.bounded(count).await
    }

    async fn checkpoints(&self, projection: &str) -> Result<Vec<Checkpoint>, DocumentError> {
        self.db
            .bounded(lines::checkpoints(&self.db, projection, None))
            .await
    }

    fn is_shared(&self) -> bool {
        true
    }

    async fn begin(&self) -> Result<Box<dyn Unit>, DocumentError> {
        Ok(Box::new(self.begin_unit().await?))
    }
}

impl From<::mongodb::error::Error> for DocumentError {
    fn from(error: ::mongodb::error::Error) -> Self {
        Self::Failed(Failure::from(error).to_string())
    }
}
