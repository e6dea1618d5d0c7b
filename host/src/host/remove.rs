//! Tenants that are removed, with all they have.
//!
//! The record says first that the tenant is being removed, which no host takes back: from then on it is none for those who
//! ask. What works for it ends, its stores are emptied, and its record goes last. A removal that was cut short is gone on
//! with at the next start, by another host of the cluster, when it is asked for again, or by whoever takes the id next.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use millwork_registry::generation::TenantRecord;
use millwork_registry::id::TenantId;
use serde::Serialize;

use super::Host;
use super::cluster::Patience;
use super::empty::Emptied;
use super::moves::to_its_end;
use crate::blocking;
use crate::capability::platform::now_ms;
use crate::config::profile::EMBEDDED;
use crate::error::Error;
use crate::event_store::portable::Gate;

/// What was removed.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Removed {
    /// The id, which is free now.
    pub tenant: TenantId,
    /// Where its data was.
    pub profile: String,
    /// Events that were removed. Of a removal that was cut short, those since.
    pub events: u64,
    /// Versions of blobs, likewise.
    pub blobs: u64,
}

impl Host {
    /// Removes a tenant that is closed, with all it has. It goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// [`Error::NoTenant`]; [`Error::NotFrozen`]; [`Error::SwapUnderWay`]; [`Error::Busy`] when it is being removed already.
    /// [`Error::Unavailable`] when a store does not do its work: it is being removed all the same, and gone on with as the
    /// module says.
    pub async fn remove(self: &Arc<Self>, id: &TenantId) -> Result<Removed, Error> {
        let (host, id) = (Arc::clone(self), id.clone());
        to_its_end(async move { host.see_off(&id).await }).await
    }

    async fn see_off(&self, id: &TenantId) -> Result<Removed, Error> {
        let _under_way = self.moves.leave(id)?;
        let record = blocking::run(|| self.generations.record(id))?;
        let record = record.ok_or_else(|| Error::NoTenant(id.clone()))?;
        let leaving = match record.leaving_since_ms {
            Some(_) => {
                match self.tenant(id) {
                    Ok(tenant) => self.part(&tenant).await,
                    Err(_) => self.until_left(id).await,
                }
                record
            }
            None => self.begin_removal(&record).await?,
        };
        self.clear_away(&leaving, Patience::Long).await
    }

    /// Makes a tenant none: what is recorded here is not taken back.
    async fn begin_removal(&self, record: &TenantRecord) -> Result<TenantRecord, Error> {
        let id = &record.id;
        // One that has not started is removed like any other, and does not start meanwhile.
        let creating = self.creating.lock().await;
        let running = self.tenant(id).ok();
        let creating = running.is_none().then_some(creating);
        // Held until nobody finds it any more: no swap begins, and nobody opens it.
        let mut turn = None;
        if let Some(tenant) = &running {
            turn = Some(self.turn(tenant).await?);
            self.check_home(tenant)?;
        }
        let backends = self.backends_of(profile_of(record)).await?;
        if backends.events.gate(id).await? != Gate::Closed {
            return Err(Error::NotFrozen(id.clone()));
        }
        let leaving = blocking::run(|| self.generations.begin_removal(record, now_ms()))?;
        tracing::warn!(tenant = %id, profile = profile_of(record), "tenant is being removed");
        let taken = running.filter(|tenant| self.take_out(tenant));
        if matches!(self.tenant(id), Err(Error::Unavailable(_))) {
            self.let_go(id);
        }
        drop((turn, creating));
        if let Some(cluster) = &self.cluster {
            cluster.announce_removal(id).await;
        }
        match taken {
            Some(tenant) => self.end_stay(&tenant).await,
            None => self.until_left(id).await,
        }
        self.reach("remove-all");
        Ok(leaving)
    }

    /// Empties the stores of a tenant that is being removed, and frees its id.
    async fn clear_away(&self, leaving: &TenantRecord, patience: Patience) -> Result<Removed, Error> {
        let (id, profile) = (&leaving.id, profile_of(leaving));
        let backends = self.backends_of(profile).await?;
        let cleared = self.alone(id, patience, async {
            // Another host may have done it meanwhile.
            if blocking::run(|| self.generations.record(id))?.as_ref() != Some(leaving) {
                return Ok(Emptied::default());
            }
            let emptied = self.empty(id, &backends).await?;
            self.reach("remove-record");
            blocking::run(|| {
                self.generations.end_removal(leaving)?;
                remove_empty(&self.config.data.join("tenants").join(id.as_str()));
                Ok::<_, Error>(())
            })?;
            tracing::warn!(tenant = %id, profile, events = emptied.events, blobs = emptied.blobs, "tenant is removed");
            Ok(emptied)
        });
        let Emptied { events, blobs } = cleared.await?;
        Ok(Removed {
            tenant: id.clone(),
            profile: profile.to_owned(),
            events,
            blobs,
        })
    }

    /// Goes on with the removal of a tenant of this id, if one was cut short.
    pub(super) async fn finish_removal(&self, id: &TenantId) -> Result<(), Error> {
        match blocking::run(|| self.generations.record(id))? {
            Some(leaving) if leaving.leaving_since_ms.is_some() => {
                self.clear_away(&leaving, Patience::Long).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// Goes on, apart from what the caller does, with a removal that was cut short, unless somebody is at it.
    pub(super) async fn finish_removal_aside(self: &Arc<Self>, leaving: TenantRecord) {
        // Of several hosts the one that has begun goes first.
        let for_ms = now_ms().saturating_sub(leaving.leaving_since_ms.unwrap_or_default());
        if self
            .cluster
            .as_ref()
            .is_some_and(|cluster| u128::from(for_ms) < cluster.lease.as_millis())
        {
            return;
        }
        let host = Arc::clone(self);
        self.spawn(async move {
            let Ok(_under_way) = host.moves.leave(&leaving.id) else {
                return;
            };
            let mut stop = host.stop.subscribe();
            let cleared = tokio::select! {
                cleared = host.clear_away(&leaving, Patience::None) => cleared,
                // What is left is gone on with at the next start.
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match cleared {
                Ok(_) | Err(Error::Busy(_)) => {}
                Err(error) => {
                    tracing::error!(tenant = %leaving.id, %error, "a tenant is removed later");
                }
            }
        })
        .await;
    }
}

fn profile_of(record: &TenantRecord) -> &str {
    record.profile.as_deref().unwrap_or(EMBEDDED)
}

/// Removes a folder and those in it as far as nothing is in them.
fn remove_empty(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_empty(&entry.path());
        }
    }
    // One that is not empty stays.
    let _ = fs::remove_dir(folder);
}
