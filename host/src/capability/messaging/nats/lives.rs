//! Tenants that come and go: what one has on the servers is removed, and the next of its id is not taken for it.

use std::sync::PoisonError;

use async_nats::jetstream::ErrorCode;
use async_nats::jetstream::stream::{ConsumerError, ConsumerErrorKind};
use millwork_registry::id::TenantId;

use super::{NatsBus, failed, queue_name};
use crate::capability::messaging::bus::BusError;

impl NatsBus {
    /// What stands before the ids of a tenant's messages, for the server.
    pub(super) fn before_id(&self, tenant: &TenantId) -> String {
        let lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        match lives.get(tenant) {
            Some(life) => format!("{tenant}/{life}/"),
            None => format!("{tenant}/"),
        }
    }

    /// See [`crate::capability::messaging::Bus::begin`].
    pub(super) fn begin_life(&self, tenant: &TenantId, life: Option<&str>) {
        self.forget_queue(tenant);
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        match life {
            Some(life) => drop(lives.insert(tenant.clone(), life.to_owned())),
            None => drop(lives.remove(tenant)),
        }
    }

    /// See [`crate::capability::messaging::Bus::forget`].
    pub(super) async fn remove_all(&self, tenant: &TenantId) -> Result<(), BusError> {
        match self.commands.delete_consumer(&queue_name(tenant)).await {
            Err(error) if !is_absent(&error) => return Err(failed(error)),
            _ => self.forget_queue(tenant),
        }
        let checkpoints = format!("{}{tenant}.>", self.checkpoints.prefix);
        for (stream, subject) in [
            (&self.commands, self.subject("cmd", tenant, ">")),
            (&self.events, self.subject("evt", tenant, ">")),
            (&self.letters, self.subject("dlq", tenant, ">")),
            (&self.checkpoints.stream, checkpoints),
        ] {
            stream.purge().filter(subject).await.map_err(failed)?;
        }
        Ok(())
    }

    /// The next one who takes commands finds the consumer that is there then.
    fn forget_queue(&self, tenant: &TenantId) {
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.remove(tenant);
    }
}

/// Whether there is no such consumer.
fn is_absent(error: &ConsumerError) -> bool {
    match error.kind() {
        ConsumerErrorKind::JetStream(error) => error.error_code() == ErrorCode::CONSUMER_NOT_FOUND,
        _ => false,
    }
}
