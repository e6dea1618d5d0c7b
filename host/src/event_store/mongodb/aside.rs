//! Rejected commands and snapshots, written outside of transactions. Losing one loses no business.

use std::sync::atomic::{AtomicU64, Ordering};

use millwork_registry::id::TenantId;
use mongodb::bson::doc;

use super::super::{Journalled, Origin, Snapshot, StoreError, Subject};
use super::queue::Request;
use super::schema::{Entry, RejectionRow, aggregate_id, number, snapshot_id};
use super::{Shared, failed};

/// Bits of a rejection's key below its time in milliseconds: there several hosts draw lots.
const LOT_BITS: u32 = 20;

/// Keys of rejections: in the order of time, and as good as never the same on two hosts.
#[derive(Default)]
pub(super) struct RejectionKeys(AtomicU64);

impl RejectionKeys {
    /// The next key of this host.
    pub(super) fn next(&self, decided_at: u64) -> u64 {
        let lot = getrandom::u32().map_or(0, |drawn| u64::from(drawn >> (32 - LOT_BITS)));
        let drawn = (decided_at << LOT_BITS) | lot;
        let last = self.0.fetch_max(drawn, Ordering::Relaxed);
        if drawn > last {
            return drawn;
        }
        self.0.fetch_add(1, Ordering::Relaxed) + 1
    }
}

/// Writes them in their order.
pub(super) async fn write(shared: &Shared, tenant: &TenantId, requests: Vec<Request>) {
    for request in requests {
        let done = match request {
            Request::Append { .. } => Ok(()),
            Request::Rejection {
                command,
                origin,
                rejection,
            } => shared.write_rejection(tenant, &command, &origin, rejection).await,
            Request::Snapshot { of, snapshot } => shared.write_snapshot(tenant, &of, &snapshot).await,
            Request::ForgetSnapshots { module, reply } => {
                // Whoever asked may have gone.
                let _ = reply.send(shared.delete_snapshots(tenant, &module).await);
                Ok(())
            }
        };
        if let Err(error) = done {
            tracing::warn!(%tenant, %error, "what nobody waits for was not written");
            metrics::counter!("millwork_event_store_dropped_total", "why" => "failed").increment(1);
        }
    }
}

impl Shared {
    async fn write_rejection(
        &self,
        tenant: &TenantId,
        command: &Journalled,
        origin: &Origin,
        rejection: String,
    ) -> Result<(), StoreError> {
        let key = self.rejection_keys.next(command.decided_at);
        let row = RejectionRow {
            rejection,
            entry: Entry::of(tenant, key, command, origin),
        };
        let inserted = self.mongo.run(self.collections.rejections.insert_one(row)).await;
        inserted.map(drop).map_err(failed)
    }

    /// Keeps a snapshot, unless there is a newer one or its version was never reached.
    async fn write_snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        snapshot: &Snapshot,
    ) -> Result<(), StoreError> {
        let version = number(snapshot.version)?;
        let aggregate = doc! { "_id": aggregate_id(tenant, of), "tenant": tenant.as_str() };
        let found = self
            .mongo
            .run(self.collections.aggregates.find_one(aggregate))
            .await;
        if found
            .map_err(failed)?
            .is_none_or(|row| row.version < snapshot.version)
        {
            return Ok(());
        }
        let id = snapshot_id(tenant, of, snapshot.state_version);
        let older = doc! { "_id": id, "tenant": tenant.as_str(), "version": { "$lt": version } };
        let set = doc! { "version": version, "state": &*snapshot.state, "module": &of.module };
        let kept = self
            .collections
            .snapshots
            .update_one(older, doc! { "$set": set })
            .upsert(true);
        match self.mongo.run(kept).await {
            // There is a newer one: the filter found nothing, and another document has the id.
            Err(failure) if failure.is_duplicate() => Ok(()),
            done => done.map(drop).map_err(failed),
        }
    }

    async fn delete_snapshots(&self, tenant: &TenantId, module: &str) -> Result<(), StoreError> {
        let filter = doc! { "tenant": tenant.as_str(), "module": module };
        let deleted = self
            .mongo
            .run(self.collections.snapshots.delete_many(filter))
            .await;
        deleted.map(drop).map_err(failed)
    }
}
