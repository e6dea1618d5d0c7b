//! Tenants move out of and into the stores of all profiles alike.

use async_trait::async_trait;
use millwork_registry::id::TenantId;

use super::routes::Routes;
use crate::event_store::portable::{Accepted, Each, Gate, Holding, Mark, Portable, Rejected};
use crate::event_store::{EventStore, StoreError};

#[async_trait]
impl Portable for Routes<dyn EventStore> {
    async fn gate(&self, tenant: &TenantId) -> Result<Gate, StoreError> {
        self.events_of(tenant)?.gate(tenant).await
    }

    async fn set_gate(&self, tenant: &TenantId, gate: Gate) -> Result<(), StoreError> {
        self.events_of(tenant)?.set_gate(tenant, gate).await
    }

    async fn mark(&self, tenant: &TenantId, each: Each<'_>) -> Result<Mark, StoreError> {
        self.events_of(tenant)?.mark(tenant, each).await
    }

    async fn accepted(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Accepted>, StoreError> {
        let store = self.events_of(tenant)?;
        store.accepted(tenant, after, through, limit).await
    }

    async fn rejected(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Rejected>, StoreError> {
        let store = self.events_of(tenant)?;
        store.rejected(tenant, after, through, limit).await
    }

    async fn restore_holdings(&self, tenant: &TenantId, holdings: Vec<Holding>) -> Result<(), StoreError> {
        self.events_of(tenant)?.restore_holdings(tenant, holdings).await
    }

    async fn restore_rejected(&self, tenant: &TenantId, rejected: Vec<Rejected>) -> Result<(), StoreError> {
        self.events_of(tenant)?.restore_rejected(tenant, rejected).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        self.events_of(tenant)?.forget(tenant).await
    }

    fn begin(&self, tenant: &TenantId) {
        if let Ok(store) = self.events_of(tenant) {
            store.begin(tenant);
        }
    }
}
