//! See [`super::super::portable`]: the mark is read in a transaction, whose reads all see one moment, what never changes
//! outside of it. A server ends transactions that last longer than its `transactionLifetimeLimitSeconds`, a minute unless
//! it was told otherwise: time for some hundred thousand claims.

use futures_util::TryStreamExt as _;
use millwork_registry::id::TenantId;
use mongodb::bson::{Document, doc};
use mongodb::options::{ReadConcern, TransactionOptions};
use mongodb::{ClientSession, Collection};
use serde::de::DeserializeOwned;

use super::super::portable::{Accepted, Each, Gate, Holding, Mark, Rejected, disturbed};
use super::super::{Claim, StoreError, Subject};
use super::batch::row_of;
use super::schema::{
    ClaimRow, Entry, RejectionRow, SequenceRow, aggregate_id, claim_id, command_key, number, sequence_id,
};
use super::{Shared, failed};

/// Documents that are removed at once, so that each removal is done within the time of one operation.
const REMOVED_AT_ONCE: i64 = 1_000;

impl Shared {
    /// See [`super::super::portable::Portable::gate`].
    pub(super) async fn gate(&self, tenant: &TenantId) -> Result<Gate, StoreError> {
        let found = self.collections.tenants.find_one(row_of(tenant));
        let found = self.mongo.run(found).await.map_err(failed)?;
        Ok(found.map_or(Gate::Open, |row| row.gate))
    }

    /// See [`super::super::portable::Portable::set_gate`]. Every batch changes the same row, so it is before or after.
    pub(super) async fn set_gate(&self, tenant: &TenantId, gate: Gate) -> Result<(), StoreError> {
        let gate = mongodb::bson::serialize_to_bson(&gate).map_err(failed)?;
        let start = doc! { "position": 0_i64, "commands": 0_i64 };
        let change = doc! { "$set": { "gate": gate }, "$setOnInsert": start };
        let changed = self.collections.tenants.update_one(row_of(tenant), change);
        let changed = self.mongo.run(changed.upsert(true)).await;
        changed.map(drop).map_err(failed)
    }

    /// See [`super::super::portable::Portable::mark`].
    pub(super) async fn mark(&self, tenant: &TenantId, each: Each<'_>) -> Result<Mark, StoreError> {
        let started = self.mongo.run(self.mongo.client().start_session()).await;
        let mut session = started.map_err(failed)?;
        let options = TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .build();
        let begun = session.start_transaction().with_options(options);
        self.mongo.run(begun).await.map_err(failed)?;
        let mark = self.read_mark(tenant, &mut session, each).await;
        // It has changed nothing; the server ends it by itself, too.
        if let Err(failure) = self.mongo.run(session.abort_transaction()).await {
            tracing::debug!(%failure, "a transaction was not aborted");
        }
        mark
    }

    async fn read_mark(
        &self,
        tenant: &TenantId,
        session: &mut ClientSession,
        each: Each<'_>,
    ) -> Result<Mark, StoreError> {
        let found = async {
            let found = self.collections.tenants.find_one(row_of(tenant));
            found.session(&mut *session).await
        };
        let Some(row) = self.mongo.run(found).await.map_err(failed)? else {
            return Ok(Mark::default());
        };
        let newest = async {
            let filter = doc! { "tenant": tenant.as_str() };
            let newest = self.collections.rejections.find_one(filter);
            newest.sort(doc! { "key": -1 }).session(&mut *session).await
        };
        let newest = self.mongo.run(newest).await.map_err(failed)?;
        self.each_of(tenant, &self.collections.claims, session, |row| {
            each(claim_of(tenant, &row)?)
        })
        .await?;
        self.each_of(tenant, &self.collections.sequences, session, |row| {
            each(sequence_of(tenant, &row)?)
        })
        .await?;
        Ok(Mark {
            position: row.position,
            command: match row.commands {
                0 => 0,
                count => command_key(tenant, count),
            },
            rejection: newest.map_or(0, |row| row.entry.key),
        })
    }

    /// All of a tenant's documents whose `_id` begins with the tenant, in that order.
    async fn each_of<T: DeserializeOwned + Send + Sync>(
        &self,
        tenant: &TenantId,
        collection: &Collection<T>,
        session: &mut ClientSession,
        mut each: impl FnMut(T) -> Result<(), StoreError> + Send,
    ) -> Result<(), StoreError> {
        let found = async {
            let found = collection.find(of_tenant(tenant)).sort(doc! { "_id": 1 });
            found.session(&mut *session).await
        };
        let mut cursor = self.mongo.run(found).await.map_err(failed)?;
        loop {
            let next = async { cursor.next(session).await.transpose() };
            match self.mongo.run(next).await.map_err(failed)? {
                Some(row) => each(row)?,
                None => return Ok(()),
            }
        }
    }

    /// See [`super::super::portable::Portable::accepted`].
    pub(super) async fn accepted(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Accepted>, StoreError> {
        let commands = &self.collections.commands;
        let rows = self.keyed(commands, tenant, after, through, limit).await?;
        let accepted = rows.into_iter().map(|row| {
            let key = row.entry.key;
            let (command, origin) = row.entry.into_journalled()?;
            Ok(Accepted {
                key,
                command,
                origin,
                before: row.before,
                position: row.position,
                version: row.version,
            })
        });
        accepted.collect()
    }

    /// See [`super::super::portable::Portable::rejected`].
    pub(super) async fn rejected(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Rejected>, StoreError> {
        let rejections = &self.collections.rejections;
        let rows = self.keyed(rejections, tenant, after, through, limit).await?;
        let rejected = rows.into_iter().map(|row| {
            let key = row.entry.key;
            let (command, origin) = row.entry.into_journalled()?;
            Ok(Rejected {
                key,
                command,
                origin,
                rejection: row.rejection,
            })
        });
        rejected.collect()
    }

    async fn keyed<T: DeserializeOwned + Send + Sync>(
        &self,
        collection: &Collection<T>,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<T>, StoreError> {
        let between = doc! { "$gt": number(after)?, "$lte": number(through)? };
        let filter = doc! { "tenant": tenant.as_str(), "key": between };
        let found = async {
            let found = collection.find(filter).sort(doc! { "key": 1 });
            found.limit(i64::from(limit)).await?.try_collect().await
        };
        self.mongo.run(found).await.map_err(failed)
    }

    /// See [`super::super::portable::Portable::restore_holdings`].
    pub(super) async fn restore_holdings(
        &self,
        tenant: &TenantId,
        holdings: Vec<Holding>,
    ) -> Result<(), StoreError> {
        let (mut claims, mut sequences) = (Vec::new(), Vec::new());
        for holding in holdings {
            let of = tenant.to_string();
            match holding {
                Holding::Claim { holder, name, value } => claims.push(ClaimRow {
                    id: claim_id(tenant, &holder.module, &Claim { name, value }),
                    tenant: of,
                    holder: aggregate_id(tenant, &holder),
                }),
                Holding::Sequence { module, name, last } => sequences.push(SequenceRow {
                    id: sequence_id(tenant, &module, &name),
                    tenant: of,
                    last,
                }),
            }
        }
        if !claims.is_empty() {
            let inserted = self.collections.claims.insert_many(claims);
            self.mongo.run(inserted).await.map_err(failed)?;
        }
        if !sequences.is_empty() {
            let inserted = self.collections.sequences.insert_many(sequences);
            self.mongo.run(inserted).await.map_err(failed)?;
        }
        Ok(())
    }

    /// See [`super::super::portable::Portable::restore_rejected`].
    pub(super) async fn restore_rejected(
        &self,
        tenant: &TenantId,
        rejected: Vec<Rejected>,
    ) -> Result<(), StoreError> {
        if rejected.is_empty() {
            return Ok(());
        }
        let rows = rejected.into_iter().map(|kept| {
            let key = self.rejection_keys.next(kept.command.decided_at);
            RejectionRow {
                rejection: kept.rejection,
                entry: Entry::of(tenant, key, &kept.command, &kept.origin),
            }
        });
        let rows: Vec<_> = rows.collect();
        let inserted = self.collections.rejections.insert_many(rows);
        self.mongo.run(inserted).await.map(drop).map_err(failed)
    }

    /// See [`super::super::portable::Portable::forget`]. The tenant's row stays, as one that never wrote: it has the gate.
    pub(super) async fn forget(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        let (by_id, by_tenant) = (of_tenant(tenant), doc! { "tenant": tenant.as_str() });
        self.set_gate(tenant, Gate::Gone).await?;
        let from = &self.collections;
        let events = self.remove(tenant, from.events.name(), &by_tenant).await?;
        let rest = [
            (from.snapshots.name(), &by_id),
            (from.claims.name(), &by_id),
            (from.sequences.name(), &by_id),
            (from.commands.name(), &by_tenant),
            (from.rejections.name(), &by_tenant),
            (from.aggregates.name(), &by_id),
        ];
        for (name, filter) in rest {
            self.remove(tenant, name, filter).await?;
        }
        self.positions.forget(tenant);
        let mut gone = row_of(tenant);
        gone.insert(
            "gate",
            mongodb::bson::serialize_to_bson(&Gate::Gone).map_err(failed)?,
        );
        let start = doc! { "$set": { "position": 0_i64, "commands": 0_i64 } };
        let reset = from.tenants.update_one(gone, start);
        match self.mongo.run(reset).await.map_err(failed)?.matched_count {
            0 => Err(disturbed(tenant)),
            _ => Ok(events),
        }
    }

    /// Removes what is found of a tenant that has gone, some at a time; gives how much.
    async fn remove(&self, tenant: &TenantId, name: &str, filter: &Document) -> Result<u64, StoreError> {
        let from: Collection<Document> = self.mongo.collection(name);
        let mut all = 0;
        loop {
            if self.gate(tenant).await? != Gate::Gone {
                return Err(disturbed(tenant));
            }
            let found = async {
                let found = from.find(filter.clone()).projection(doc! { "_id": 1 });
                found.limit(REMOVED_AT_ONCE).await?.try_collect().await
            };
            let found: Vec<Document> = self.mongo.run(found).await.map_err(failed)?;
            let ids: Vec<_> = found.iter().filter_map(|row| row.get("_id")).collect();
            if ids.is_empty() {
                return Ok(all);
            }
            let mut removed = filter.clone();
            removed.insert("_id", doc! { "$in": ids });
            let removed = self.mongo.run(from.delete_many(removed)).await.map_err(failed)?;
            all += removed.deleted_count;
        }
    }
}

/// Finds documents whose `_id` begins with the tenant, by that index. `0` comes after the slash, and names have neither.
fn of_tenant(tenant: &TenantId) -> Document {
    let between = doc! { "$gte": format!("{tenant}/"), "$lt": format!("{tenant}0") };
    doc! { "_id": between, "tenant": tenant.as_str() }
}

/// The parts of an `_id` after the tenant's; the last may have slashes.
fn parts<'i, const N: usize>(tenant: &TenantId, id: &'i str) -> Result<[&'i str; N], StoreError> {
    let rest = id
        .strip_prefix(tenant.as_str())
        .and_then(|rest| rest.strip_prefix('/'));
    let parts = rest.map(|rest| rest.splitn(N, '/').collect::<Vec<_>>());
    parts
        .and_then(|parts| parts.try_into().ok())
        .ok_or_else(|| StoreError::Failed(format!("{id:?} is no id of tenant {tenant}")))
}

fn claim_of(tenant: &TenantId, row: &ClaimRow) -> Result<Holding, StoreError> {
    let [_, name, value] = parts(tenant, &row.id)?;
    let [module, aggregate, id] = parts(tenant, &row.holder)?.map(str::to_owned);
    Ok(Holding::Claim {
        holder: Subject {
            module,
            aggregate,
            id,
        },
        name: name.to_owned(),
        value: value.to_owned(),
    })
}

fn sequence_of(tenant: &TenantId, row: &SequenceRow) -> Result<Holding, StoreError> {
    let [module, name] = parts(tenant, &row.id)?.map(str::to_owned);
    Ok(Holding::Sequence {
        module,
        name,
        last: row.last,
    })
}
