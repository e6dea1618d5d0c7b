//! One event store above those of all profiles: each tenant's calls go where its events are.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use tokio::sync::watch;

use crate::event_store::journal::{JournalEntry, Newest, Shelf};
use crate::event_store::{
    Append, AppendError, AppendOutcome, Appended, EventStore, Journalled, Origin, Position, Recorded,
    Snapshot, StoreError, Subject,
};

/// See the module.
#[derive(Default)]
pub struct RoutedEvents {
    /// std's lock: held for a look-up only.
    routes: RwLock<HashMap<TenantId, Arc<dyn EventStore>>>,
}

impl RoutedEvents {
    /// Says where a tenant's events are.
    pub fn route(&self, tenant: TenantId, store: Arc<dyn EventStore>) {
        self.routes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant, store);
    }

    fn of(&self, tenant: &TenantId) -> Result<Arc<dyn EventStore>, StoreError> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let store = routes.get(tenant).map(Arc::clone);
        store.ok_or_else(|| StoreError::Failed(format!("tenant {tenant} has not started")))
    }
}

#[async_trait]
impl EventStore for RoutedEvents {
    fn append(&self, append: Append) -> AppendOutcome {
        match self.of(&append.tenant) {
            Ok(store) => store.append(append),
            Err(error) => Box::pin(async { Err(AppendError::Store(error)) }),
        }
    }

    fn journal_rejection(
        &self,
        tenant: &TenantId,
        command: Journalled,
        origin: Arc<Origin>,
        rejection: String,
    ) {
        if let Ok(store) = self.of(tenant) {
            store.journal_rejection(tenant, command, origin, rejection);
        }
    }

    fn keep_snapshot(&self, tenant: &TenantId, of: &Subject, snapshot: Snapshot) {
        if let Ok(store) = self.of(tenant) {
            store.keep_snapshot(tenant, of, snapshot);
        }
    }

    fn forget_snapshots(&self, tenant: &TenantId, module: &str) {
        if let Ok(store) = self.of(tenant) {
            store.forget_snapshots(tenant, module);
        }
    }

    async fn outcome(
        &self,
        tenant: &TenantId,
        command_id: &str,
    ) -> Result<Option<([u8; 32], Appended)>, StoreError> {
        self.of(tenant)?.outcome(tenant, command_id).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        of: &Subject,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.of(tenant)?.events(tenant, of, after, limit).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        state_version: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.of(tenant)?.snapshot(tenant, of, state_version).await
    }

    async fn feed(
        &self,
        tenant: &TenantId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.of(tenant)?.feed(tenant, after, limit).await
    }

    async fn newest_aggregates(
        &self,
        tenant: &TenantId,
        module: &str,
        limit: u32,
    ) -> Result<Newest<(Subject, u64)>, StoreError> {
        self.of(tenant)?.newest_aggregates(tenant, module, limit).await
    }

    async fn newest_commands(
        &self,
        tenant: &TenantId,
        module: &str,
        shelf: Shelf,
        limit: u32,
    ) -> Result<Newest<u64>, StoreError> {
        self.of(tenant)?
            .newest_commands(tenant, module, shelf, limit)
            .await
    }

    async fn journal(
        &self,
        tenant: &TenantId,
        shelf: Shelf,
        keys: &[u64],
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.of(tenant)?.journal(tenant, shelf, keys).await
    }

    async fn next_number(&self, tenant: &TenantId, module: &str, sequence: &str) -> Result<u64, StoreError> {
        self.of(tenant)?.next_number(tenant, module, sequence).await
    }

    async fn last_position(&self, tenant: &TenantId) -> Result<watch::Receiver<Position>, StoreError> {
        self.of(tenant)?.last_position(tenant).await
    }

    async fn is_current(&self, tenant: &TenantId, seen: &[(Subject, u64)]) -> Result<bool, StoreError> {
        self.of(tenant)?.is_current(tenant, seen).await
    }

    async fn close(&self) {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner).clone();
        for store in routes.into_values() {
            store.close().await;
        }
    }
}
