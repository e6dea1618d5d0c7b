//! Reads for a replay: which aggregates and commands of a module are the newest, and the journal's entries.

use std::collections::HashMap;

use futures_util::TryStreamExt as _;
use millwork_registry::id::TenantId;
use mongodb::Collection;
use mongodb::bson::{Document, doc};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::journal::{JournalEntry, JournalOutcome, Newest, Shelf};
use super::super::{StoreError, Subject};
use super::schema::number;
use super::{Shared, failed};

/// How many documents beyond those wanted are counted: a replay must not read a whole large collection to say how much it
/// left out.
const COUNTED_BEYOND: u64 = 100_000;

/// A document's key, and no more of it.
#[derive(Deserialize)]
struct Keyed {
    key: u64,
}

impl Shared {
    /// See [`super::super::EventStore::newest_aggregates`].
    pub(super) async fn newest_aggregates(
        &self,
        tenant: &TenantId,
        module: &str,
        limit: u32,
    ) -> Result<Newest<(Subject, u64)>, StoreError> {
        let filter = doc! { "tenant": tenant.as_str(), "module": module };
        let newest = self.newest(&self.collections.aggregates, filter, doc! { "first": -1 }, limit);
        let Newest { items, left_out } = newest.await?;
        let aggregates = items.into_iter().map(|row| {
            let of = Subject {
                module: row.module,
                aggregate: row.aggregate,
                id: row.subject,
            };
            (of, row.version)
        });
        Ok(Newest {
            items: aggregates.collect(),
            left_out,
        })
    }

    /// See [`super::super::EventStore::newest_commands`].
    pub(super) async fn newest_commands(
        &self,
        tenant: &TenantId,
        module: &str,
        shelf: Shelf,
        limit: u32,
    ) -> Result<Newest<u64>, StoreError> {
        let mut filter = doc! { "tenant": tenant.as_str(), "module": module };
        let keyed: Collection<Keyed> = match shelf {
            Shelf::Rejected => self.collections.rejections.clone_with_type(),
            Shelf::Recorded | Shelf::Empty => {
                filter.insert("empty", shelf == Shelf::Empty);
                self.collections.commands.clone_with_type()
            }
        };
        let Newest { items, left_out } = self.newest(&keyed, filter, doc! { "key": -1 }, limit).await?;
        Ok(Newest {
            items: items.into_iter().map(|found| found.key).collect(),
            left_out,
        })
    }

    async fn newest<T: DeserializeOwned + Send + Sync>(
        &self,
        collection: &Collection<T>,
        filter: Document,
        order: Document,
        limit: u32,
    ) -> Result<Newest<T>, StoreError> {
        let counted = collection
            .count_documents(filter.clone())
            .limit(COUNTED_BEYOND + u64::from(limit));
        let total = self.mongo.run(counted).await.map_err(failed)?;
        let mut items = Vec::new();
        if limit > 0 {
            let found = async {
                let found = collection.find(filter).sort(order).limit(i64::from(limit));
                found.await?.try_collect::<Vec<_>>().await
            };
            items = self.mongo.run(found).await.map_err(failed)?;
            items.reverse();
        }
        let left_out = total.saturating_sub(items.len() as u64);
        Ok(Newest { items, left_out })
    }

    /// See [`super::super::EventStore::journal`].
    pub(super) async fn journal(
        &self,
        tenant: &TenantId,
        shelf: Shelf,
        keys: &[u64],
    ) -> Result<Vec<JournalEntry>, StoreError> {
        let mut wanted = Vec::with_capacity(keys.len());
        for key in keys {
            wanted.push(number(*key)?);
        }
        let filter = doc! { "tenant": tenant.as_str(), "key": { "$in": wanted } };
        let mut found = HashMap::with_capacity(keys.len());
        match shelf {
            Shelf::Rejected => {
                let rows = async {
                    self.collections
                        .rejections
                        .find(filter)
                        .await?
                        .try_collect::<Vec<_>>()
                        .await
                };
                for row in self.mongo.run(rows).await.map_err(failed)? {
                    let key = row.entry.key;
                    let (command, origin) = row.entry.into_journalled()?;
                    let outcome = JournalOutcome::Rejected(row.rejection);
                    found.insert(
                        key,
                        JournalEntry {
                            command,
                            origin,
                            outcome,
                        },
                    );
                }
            }
            Shelf::Recorded | Shelf::Empty => {
                let rows = async {
                    self.collections
                        .commands
                        .find(filter)
                        .await?
                        .try_collect::<Vec<_>>()
                        .await
                };
                for row in self.mongo.run(rows).await.map_err(failed)? {
                    let key = row.entry.key;
                    let events = match row.empty {
                        true => Vec::new(),
                        false => self.events_of(tenant, row.before, row.position).await?,
                    };
                    let (command, origin) = row.entry.into_journalled()?;
                    let outcome = JournalOutcome::Accepted(events);
                    found.insert(
                        key,
                        JournalEntry {
                            command,
                            origin,
                            outcome,
                        },
                    );
                }
            }
        }
        Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
    }
}
