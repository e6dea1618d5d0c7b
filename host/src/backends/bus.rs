//! One bus above those of all profiles.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millwork_registry::id::TenantId;
use tokio::sync::{mpsc, watch};

use super::routes::Routes;
use crate::capability::messaging::bus::{Bus, BusError, Letter, Message, Published, Question, Taken};

impl Routes<dyn Bus> {
    fn bus_of(&self, tenant: &TenantId) -> Result<Arc<dyn Bus>, BusError> {
        self.of(tenant).map_err(BusError::Failed)
    }
}

#[async_trait]
impl Bus for Routes<dyn Bus> {
    async fn publish(&self, tenant: &TenantId, events: &[Message]) -> Result<(), BusError> {
        self.bus_of(tenant)?.publish(tenant, events).await
    }

    async fn published(
        &self,
        tenant: &TenantId,
        first: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Published>, BusError> {
        self.bus_of(tenant)?.published(tenant, first, after, limit).await
    }

    async fn last_published(&self, tenant: &TenantId) -> Result<u64, BusError> {
        self.bus_of(tenant)?.last_published(tenant).await
    }

    async fn news(&self, tenant: &TenantId) -> Result<watch::Receiver<u64>, BusError> {
        self.bus_of(tenant)?.news(tenant).await
    }

    async fn enqueue(&self, tenant: &TenantId, command: &Message) -> Result<(), BusError> {
        self.bus_of(tenant)?.enqueue(tenant, command).await
    }

    async fn queued(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Published>, BusError> {
        self.bus_of(tenant)?.queued(tenant, after, limit).await
    }

    async fn take(&self, tenant: &TenantId, limit: u32, wait: Duration) -> Result<Vec<Taken>, BusError> {
        self.bus_of(tenant)?.take(tenant, limit, wait).await
    }

    async fn settle(&self, tenant: &TenantId, taken: &Taken) -> Result<(), BusError> {
        self.bus_of(tenant)?.settle(tenant, taken).await
    }

    async fn give_back(&self, tenant: &TenantId, taken: &Taken, wait: Duration) -> Result<(), BusError> {
        self.bus_of(tenant)?.give_back(tenant, taken, wait).await
    }

    async fn checkpoint(&self, tenant: &TenantId, reader: &str) -> Result<Option<u64>, BusError> {
        self.bus_of(tenant)?.checkpoint(tenant, reader).await
    }

    async fn keep_checkpoint(&self, tenant: &TenantId, reader: &str, position: u64) -> Result<(), BusError> {
        self.bus_of(tenant)?
            .keep_checkpoint(tenant, reader, position)
            .await
    }

    async fn bury(&self, tenant: &TenantId, letter: &Letter) -> Result<u64, BusError> {
        self.bus_of(tenant)?.bury(tenant, letter).await
    }

    async fn letters(
        &self,
        tenant: &TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Letter)>, BusError> {
        self.bus_of(tenant)?.letters(tenant, after, limit).await
    }

    async fn discard(&self, tenant: &TenantId, number: u64) -> Result<bool, BusError> {
        self.bus_of(tenant)?.discard(tenant, number).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), BusError> {
        self.bus_of(tenant)?.forget(tenant).await
    }

    fn begin(&self, tenant: &TenantId, life: Option<&str>) {
        if let Ok(bus) = self.bus_of(tenant) {
            bus.begin(tenant, life);
        }
    }

    async fn ask(
        &self,
        tenant: &TenantId,
        subject: &str,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, BusError> {
        self.bus_of(tenant)?.ask(tenant, subject, payload, limit).await
    }

    async fn answer(&self, tenant: &TenantId, subject: &str) -> Result<mpsc::Receiver<Question>, BusError> {
        self.bus_of(tenant)?.answer(tenant, subject).await
    }
}
