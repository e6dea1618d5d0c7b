//! One event store above those of all profiles.

use std::sync::Arc;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use tokio::sync::watch;

use super::routes::Routes;
use crate::event_store::journal::{JournalEntry, Newest, Shelf};
use crate::event_store::{
    Append, AppendError, AppendOutcome, Appended, EventStore, Journalled, Origin, Position, Recorded,
    Snapshot, StoreError, Subject,
};

impl Routes<dyn EventStore> {
    pub(super) fn events_of(&self, tenant: &TenantId) -> Result<Arc<dyn EventStore>, StoreError> {
        self.of(tenant).map_err(StoreError::Failed)
    }
}

#[async_trait]
impl EventStore for Routes<dyn EventStore> {
    fn append(&self, append: Append) -> AppendOutcome {
        match self.events_of(&append.tenant) {
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
        if let Ok(store) = self.events_of(tenant) {
            store.journal_rejection(tenant, command, origin, rejection);
        }
    }

    fn keep_snapshot(&self, tenant: &TenantId, of: &Subject, snapshot: Snapshot) {
        if let Ok(store) = self.events_of(tenant) {
            store.keep_snapshot(tenant, of, snapshot);
        }
    }

    async fn forget_snapshots(&self, tenant: &TenantId, module: &str) -> Result<(), StoreError> {
        self.events_of(tenant)?.forget_snapshots(tenant, module).await
    }

    async fn outcome(
        &self,
        tenant: &TenantId,
        command_id: &str,
    ) -> Result<Option<([u8; 32], Appended)>, StoreError> {
        self.events_of(tenant)?.outcome(tenant, command_id).await
    }

    async fn events(
        &self,
        tenant: &TenantId,
        of: &Subject,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.events_of(tenant)?.events(tenant, of, after, limit).await
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        state_version: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.events_of(tenant)?.snapshot(tenant, of, state_version).await
    }

    async fn feed(
        &self,
        tenant: &TenantId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.events_of(tenant)?.feed(tenant, after, limit).await
    }

    async fn newest_aggregates(
        &self,
        tenant: &TenantId,
        module: &str,
        limit: u32,
    ) -> Result<Newest<(Subject, u64)>, StoreError> {
        self.events_of(tenant)?
            .newest_aggregates(tenant, module, limit)
            .await
    }

    async fn newest_commands(
        &self,
        tenant: &TenantId,
        module: &str,
        shelf: Shelf,
        limit: u32,
    ) -> Result<Newest<u64>, StoreError> {
        self.events_of(tenant)?
            .newest_commands(tenant, module, shelf, limit)
            .await
    }

    async fn journal(
        &self,
        tenant: &TenantId,
        shelf: Shelf,
        keys: &[u64],
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.events_of(tenant)?.journal(tenant, shelf, keys).await
    }

    async fn next_number(&self, tenant: &TenantId, module: &str, sequence: &str) -> Result<u64, StoreError> {
        self.events_of(tenant)?
            .next_number(tenant, module, sequence)
            .await
    }

    async fn last_position(&self, tenant: &TenantId) -> Result<watch::Receiver<Position>, StoreError> {
        self.events_of(tenant)?.last_position(tenant).await
    }

    async fn is_current(&self, tenant: &TenantId, seen: &[(Subject, u64)]) -> Result<bool, StoreError> {
        self.events_of(tenant)?.is_current(tenant, seen).await
    }

    async fn close(&self) {
        for store in self.all() {
            store.close().await;
        }
    }
}
