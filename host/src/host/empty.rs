//! What a tenant has is removed from all stores of its profile: of one that is removed, and of one that has only begun to
//! arrive.
//!
//! Its gate in the event store is set first, so that no host records anything for it any more, and its events go last. Each
//! step may be done again, so that what was cut short is simply begun anew.

use millwork_registry::Error as Refusal;
use millwork_registry::id::TenantId;
use millwork_registry::manifest::Manifest;

use super::Host;
use crate::backends::Backends;
use crate::blocking;
use crate::capability::cache;
use crate::capability::search::Index;
use crate::config::crash::{self, Moment};
use crate::error::Error;
use crate::event_store::portable::Gate;
use crate::migrate::blobs;

/// How much was removed.
#[derive(Debug, Default)]
pub(super) struct Emptied {
    pub(super) events: u64,
    /// In versions.
    pub(super) blobs: u64,
}

impl Host {
    /// Removes what there is of a tenant that no host serves. Blobs and indexes are those that any release declares which
    /// is known here: whatever the tenant ran is published.
    pub(super) async fn empty(&self, id: &TenantId, backends: &Backends) -> Result<Emptied, Error> {
        let manifests = blocking::run(|| self.manifests())?;
        backends.events.set_gate(id, Gate::Gone).await?;
        self.reach("remove-search");
        let indexes = indexes_of(&manifests);
        backends.search.forget(id, &indexes).await.map_err(failed)?;
        self.reach("remove-documents");
        backends.documents.forget(id).await?;
        self.reach("remove-blobs");
        let buckets = blobs::buckets_of(&manifests);
        let blobs = backends.blobs.forget(id, &buckets).await.map_err(failed)?;
        self.reach("remove-cache");
        let cleared = cache::clear(&*backends.cache, &format!("t:{id}:")).await;
        cleared.map_err(failed)?;
        self.reach("remove-messages");
        backends.bus.forget(id).await?;
        self.reach("remove-generations");
        blocking::run(|| {
            self.swaps.clear(id)?;
            self.generations.clear(id)
        })?;
        self.reach("remove-events");
        let events = backends.events.forget(id).await?;
        Ok(Emptied { events, blobs })
    }

    /// Those of all releases.
    fn manifests(&self) -> Result<Vec<Manifest>, Refusal> {
        let releases = self.catalog.list()?.into_iter();
        let manifests = releases.map(|release| {
            let (name, version) = (&release.summary.name, &release.summary.version);
            Ok(self.catalog.get(name, version)?.manifest)
        });
        manifests.collect()
    }

    /// Where tests let a removal end.
    pub(super) fn reach(&self, step: &str) {
        crash::reach(self.config.swap.crash.as_ref(), Moment::Before, step);
    }
}

/// The indexes that modules declare.
fn indexes_of(manifests: &[Manifest]) -> Vec<Index> {
    let declared = manifests.iter().flat_map(|module| {
        let own = module.indexes.iter();
        own.map(|(name, index)| Index::declared(&module.name, name, index))
    });
    let mut indexes: Vec<_> = declared.collect();
    indexes.sort_by_cached_key(|index| (index.module.clone(), index.name.clone(), index.shape()));
    indexes.dedup();
    indexes
}

fn failed(error: impl std::fmt::Display) -> Error {
    Error::Unavailable(error.to_string())
}
