//! What is read outside of appends.

use futures_util::TryStreamExt as _;
use millwork_registry::id::TenantId;
use mongodb::ClientSession;
use mongodb::bson::{Document, doc};
use mongodb::error::Error;

use super::super::{Appended, Position, Recorded, Snapshot, StoreError, Subject};
use super::schema::{Collections, aggregate_id, command_id, number, sequence_id, snapshot_id};
use super::{Shared, failed};

/// Events of a command, within the transaction that wants to know what came of it.
pub(super) async fn events_between(
    collections: &Collections,
    session: &mut ClientSession,
    tenant: &TenantId,
    (before, position): (Position, Position),
) -> Result<Vec<Recorded>, Error> {
    if before >= position {
        return Ok(Vec::new());
    }
    let bounds = [before, position]
        .map(i64::try_from)
        .map(Result::unwrap_or_default);
    let [before, position] = bounds;
    let filter = doc! { "tenant": tenant.as_str(), "position": { "$gt": before, "$lte": position } };
    let found = collections.events.find(filter).sort(doc! { "position": 1 });
    let mut cursor = found.session(&mut *session).await?;
    let rows: Vec<_> = cursor.stream(session).try_collect().await?;
    Ok(rows
        .into_iter()
        .map(super::schema::EventRow::into_recorded)
        .collect())
}

impl Shared {
    /// See [`super::super::EventStore::outcome`].
    pub(super) async fn outcome(
        &self,
        tenant: &TenantId,
        id: &str,
    ) -> Result<Option<([u8; 32], Appended)>, StoreError> {
        let filter = doc! { "_id": command_id(tenant, id), "tenant": tenant.as_str() };
        let found = self.mongo.run(self.collections.commands.find_one(filter)).await;
        let Some(row) = found.map_err(failed)? else {
            return Ok(None);
        };
        let events = self.events_of(tenant, row.before, row.position).await?;
        Ok(Some((row.entry.fingerprint()?, row.appended(events))))
    }

    /// The events at positions above `before` up to `position`.
    pub(super) async fn events_of(
        &self,
        tenant: &TenantId,
        before: Position,
        position: Position,
    ) -> Result<Vec<Recorded>, StoreError> {
        let count = u32::try_from(position.saturating_sub(before)).unwrap_or(u32::MAX);
        self.feed(tenant, before, count).await
    }

    /// See [`super::super::EventStore::feed`].
    pub(super) async fn feed(
        &self,
        tenant: &TenantId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let filter = doc! { "tenant": tenant.as_str(), "position": { "$gt": number(after)? } };
        self.find_events(filter, "position", limit).await
    }

    /// See [`super::super::EventStore::events`].
    pub(super) async fn events(
        &self,
        tenant: &TenantId,
        of: &Subject,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        let filter = doc! {
            "tenant": tenant.as_str(), "module": &of.module, "aggregate": &of.aggregate, "subject": &of.id,
            "version": { "$gt": number(after)? },
        };
        self.find_events(filter, "version", limit).await
    }

    async fn find_events(
        &self,
        filter: Document,
        order: &str,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        // MongoDB takes 0 for no bound.
        if limit == 0 {
            return Ok(Vec::new());
        }
        let found = async {
            let found = self.collections.events.find(filter);
            let cursor = found.sort(doc! { order: 1 }).limit(i64::from(limit)).await?;
            cursor.try_collect::<Vec<_>>().await
        };
        let rows = self.mongo.run(found).await.map_err(failed)?;
        Ok(rows
            .into_iter()
            .map(super::schema::EventRow::into_recorded)
            .collect())
    }

    /// See [`super::super::EventStore::snapshot`].
    pub(super) async fn snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        state_version: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        let filter = doc! { "_id": snapshot_id(tenant, of, state_version), "tenant": tenant.as_str() };
        let found = self.mongo.run(self.collections.snapshots.find_one(filter)).await;
        Ok(found.map_err(failed)?.map(|row| Snapshot {
            version: row.version,
            state_version,
            state: row.state.into(),
        }))
    }

    /// See [`super::super::EventStore::next_number`].
    pub(super) async fn next_number(
        &self,
        tenant: &TenantId,
        module: &str,
        sequence: &str,
    ) -> Result<u64, StoreError> {
        let filter = doc! { "_id": sequence_id(tenant, module, sequence), "tenant": tenant.as_str() };
        let found = self.mongo.run(self.collections.sequences.find_one(filter)).await;
        Ok(found.map_err(failed)?.map_or(0, |row| row.last) + 1)
    }

    /// See [`super::super::EventStore::is_current`].
    pub(super) async fn is_current(
        &self,
        tenant: &TenantId,
        seen: &[(Subject, u64)],
    ) -> Result<bool, StoreError> {
        let ids: Vec<String> = seen.iter().map(|(of, _)| aggregate_id(tenant, of)).collect();
        let filter = doc! { "tenant": tenant.as_str(), "_id": { "$in": &ids } };
        let found = async {
            self.collections
                .aggregates
                .find(filter)
                .await?
                .try_collect::<Vec<_>>()
                .await
        };
        let rows = self.mongo.run(found).await.map_err(failed)?;
        let version = |id: &String| rows.iter().find(|row| row.id == *id).map_or(0, |row| row.version);
        Ok(ids.iter().zip(seen).all(|(id, (_, seen))| version(id) == *seen))
    }

    /// The last position recorded.
    pub(super) async fn position(&self, tenant: &TenantId) -> Result<Position, StoreError> {
        let filter = doc! { "_id": tenant.as_str(), "tenant": tenant.as_str() };
        let found = self.mongo.run(self.collections.tenants.find_one(filter)).await;
        Ok(found.map_err(failed)?.map_or(0, |row| row.position))
    }
}
