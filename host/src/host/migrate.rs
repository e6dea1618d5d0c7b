//! Tenants that move: closed, exported, imported.
//!
//! An export is as of one position of the feed, whether the tenant is used meanwhile or not. One that was frozen before
//! has nothing after that position. An import is visible once all of it is there and was read back: until then its events
//! stand behind a gate, which whoever comes next for the same id clears away.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use indexmap::IndexMap;
use millwork_registry::Error as Refusal;
use millwork_registry::generation::{Generation, Installation, TenantRecord};
use millwork_registry::id::{Digest, TenantId};
use millwork_registry::manifest;
use millwork_registry::release::Release;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::cluster::Patience;
use super::moves::{exists, stopped, to_its_end};
use super::{Host, new_life};
use crate::backends::Backends;
use crate::blocking;
use crate::capability::blobs::Bucket;
use crate::capability::platform::now_ms;
use crate::config::profile::EMBEDDED;
use crate::deliver::Deliverer;
use crate::error::Error;
use crate::event_store::Position;
use crate::event_store::portable::{Gate, Portable as _};
use crate::migrate::manifest::{FORMAT, INSTALLATIONS, Manifest, Publisher, RELEASES, Whose};
use crate::migrate::messages::Readers;
use crate::migrate::pack::Packer;
use crate::migrate::unpack::Archive;
use crate::migrate::{ArchiveError, blobs, messages, records, scratch};
use crate::project;
use crate::tenant::Tenant;

/// Pieces of an archive that wait for whoever reads it.
const PIECES: usize = 4;
/// How often an import looks whether a read model has failed.
const LOOK: std::time::Duration = std::time::Duration::from_millis(200);

/// What happens to keys of publishers that are not trusted here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strangers {
    /// The import is refused.
    Refused,
    /// They are trusted from now on: the operator says so.
    Trusted,
}

/// Where an archive goes.
#[derive(Debug)]
pub struct Destination {
    /// The tenant's id here; the archive's when absent.
    pub id: Option<TenantId>,
    /// The profile; the host's own choice when absent.
    pub profile: Option<String>,
    /// See there.
    pub strangers: Strangers,
}

/// What arrived.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Imported {
    /// Its id here.
    pub id: TenantId,
    /// Where its data is.
    pub profile: String,
    /// Checksum of the archive's manifest.
    pub digest: Digest,
    /// What the archive says of itself; all that it counts of the event store was read back and is equal.
    pub archive: Manifest,
    /// Its read models; none when it has not started.
    pub read_models: Vec<ReadModel>,
    /// Why it has not started yet, if so: it is there, and starts by itself when what it needs is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
}

/// A read model that was built from the events.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ReadModel {
    /// The module.
    pub module: String,
    /// The projection.
    pub projection: String,
    /// How far it has come.
    pub position: Position,
    /// Why it stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failing: Option<String>,
}

/// What an archive's tenant runs, before it is one.
struct Coming {
    generation: Generation,
    buckets: Vec<Bucket>,
}

impl Host {
    /// Whether a tenant of this host is closed because it moves.
    #[must_use]
    pub fn is_moving(&self, id: &TenantId) -> bool {
        self.tenant(id).is_ok_and(|tenant| *tenant.moving().borrow())
    }

    /// Closes a tenant: from now on it can be read, and its commands are refused with `tenant-moving` on every host. What
    /// was acknowledged before is in every export after this. Once more changes nothing.
    ///
    /// # Errors
    /// [`Error::NoTenant`]; [`Error::SwapUnderWay`]; [`Error::Unavailable`].
    pub async fn freeze(&self, id: &TenantId) -> Result<(), Error> {
        let tenant = self.tenant(id)?;
        let _turn = self.turn(&tenant).await?;
        let was_open = tenant.check_open().is_ok();
        // First here, so that who finds the gate shut finds that nothing more is delivered. The store has the word on it.
        tenant.close();
        if let Err(error) = self.events.set_gate(id, Gate::Closed).await {
            if was_open {
                tenant.open();
            }
            return Err(error.into());
        }
        tracing::warn!(tenant = %id, "tenant is closed: it is moving");
        Ok(())
    }

    /// Opens a tenant again that was closed and stays here after all.
    ///
    /// # Errors
    /// [`Error::NoTenant`]; [`Error::SwapUnderWay`]; [`Error::Unavailable`].
    pub async fn thaw(&self, id: &TenantId) -> Result<(), Error> {
        let tenant = self.tenant(id)?;
        let _turn = self.turn(&tenant).await?;
        self.events.set_gate(id, Gate::Open).await?;
        tenant.open();
        tracing::warn!(tenant = %id, "tenant is open again");
        Ok(())
    }

    /// Writes the archive of a tenant, piece by piece as it is read. When an error comes instead of a piece, what came
    /// before is no archive.
    ///
    /// # Errors
    /// [`Error::NoTenant`]; [`Error::Registry`] when what it runs cannot be read.
    pub async fn export(self: &Arc<Self>, id: &TenantId) -> Result<mpsc::Receiver<io::Result<Bytes>>, Error> {
        let tenant = self.tenant(id)?;
        let record = blocking::run(|| self.generations.tenant(id))?;
        let (out, pieces) = mpsc::channel(PIECES);
        let host = Arc::clone(self);
        self.spawn(async move {
            let packer = Packer::new(out.clone());
            if let Err(error) = host.pack(&tenant, record, packer).await {
                tracing::error!(tenant = %tenant.id, %error, "an export has come to nothing");
                // Nobody hears it who has gone.
                let _ = out.send(Err(io::Error::other(error.told()))).await;
            }
        })
        .await;
        Ok(pieces)
    }

    async fn pack(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        record: TenantRecord,
        mut packer: Packer,
    ) -> Result<(), Error> {
        let _slot = self.moves.slot().await.ok_or_else(stopped)?;
        let frozen = self.events.gate(&tenant.id).await? == Gate::Closed;
        if frozen {
            // What subscriptions do just now ends first, so that their checkpoints say it.
            drop(tenant.handing_over.write().await);
        }
        let generation = blocking::run(|| self.generations.load(&tenant.id))?;
        let installations: Vec<&Installation> = generation.installations.values().collect();
        let text = serde_json::to_vec_pretty(&installations).map_err(io::Error::from);
        packer
            .file(INSTALLATIONS, text.map_err(ArchiveError::from)?)
            .await?;
        let (mut publishers, mut manifests) = (BTreeSet::new(), Vec::new());
        for installed in &installations {
            let (name, version) = (&installed.name, &installed.version);
            let (shown, wasm) = blocking::run(|| {
                let shown = self.catalog.show(name, version)?;
                Ok::<_, Refusal>((shown, self.catalog.open_artifact(&installed.digest)?))
            })?;
            let publisher = shown.release.publisher;
            publishers.extend(shown.release.key.map(|key| Publisher { publisher, key }));
            manifests.push(shown.release.manifest);
            packer.file(&release_file(&installed.digest), wasm).await?;
        }
        let readers = readers(tenant);
        let folder = self.moving_folder();
        let mark = records::pack(&*self.events, &tenant.id, &folder, &mut packer).await?;
        messages::pack(&*self.bus, &tenant.id, &readers, mark.position, &mut packer).await?;
        // After the checkpoints: what is delivered meanwhile and writes blobs is delivered again.
        let buckets = blobs::buckets_of(&manifests);
        blobs::pack(
            &tenant.blobs,
            &tenant.id,
            &buckets,
            &folder,
            now_ms(),
            &mut packer,
        )
        .await?;
        let manifest = Manifest {
            format: FORMAT,
            host: env!("CARGO_PKG_VERSION").to_owned(),
            exported_at_ms: now_ms(),
            tenant: Whose {
                id: record.id,
                name: record.name,
                created_at_ms: record.created_at_ms,
                profile: record.profile.unwrap_or_else(|| EMBEDDED.to_owned()),
            },
            generation: generation.number,
            frozen,
            position: mark.position,
            contents: std::collections::BTreeMap::new(),
            publishers: publishers.into_iter().collect(),
            parts: Vec::new(),
        };
        // Of one that is being removed, some may have been missing.
        self.check_recorded(tenant).await?;
        let (manifest, digest) = packer.finish(manifest).await?;
        tracing::info!(tenant = %tenant.id, position = manifest.position, %digest, frozen, "tenant exported");
        Ok(())
    }

    /// A file for an archive that comes in.
    ///
    /// # Errors
    /// [`Error::Archive`] when the disk fails.
    pub fn archive_file(&self) -> Result<File, Error> {
        Ok(scratch(&self.moving_folder()).map_err(ArchiveError::from)?)
    }

    fn moving_folder(&self) -> PathBuf {
        self.config.data.join("moving")
    }

    /// Makes a tenant of an archive. It goes on to its end when the caller goes away.
    ///
    /// # Errors
    /// [`Error::Archive`] when the archive is not taken; [`Error::Exists`] when there is such a tenant;
    /// [`Error::NotFound`] when there is no such profile; [`Error::Registry`] when a release of it is not trusted or does
    /// not fit those that are here; [`Error::Unavailable`]. Nothing of the tenant is left then; releases that were new
    /// here, and keys that were to be trusted, stay.
    pub async fn import(self: &Arc<Self>, file: File, to: Destination) -> Result<Imported, Error> {
        let host = Arc::clone(self);
        to_its_end(async move { host.arrive(file, to).await }).await
    }

    async fn arrive(self: &Arc<Self>, file: File, to: Destination) -> Result<Imported, Error> {
        let _slot = self.moves.slot().await.ok_or_else(stopped)?;
        let archive = blocking::run(|| Archive::open(file))?;
        let from = &archive.manifest().tenant;
        let id = to.id.unwrap_or_else(|| from.id.clone());
        // Under another id nobody has a token of it, and those of one that had the id before are none of its.
        let created_at_ms = if id == from.id {
            from.created_at_ms
        } else {
            now_ms()
        };
        let record = TenantRecord {
            id: id.clone(),
            name: from.name.clone(),
            created_at_ms,
            profile: Some(to.profile.unwrap_or_else(|| self.config.profile.clone())),
            life: Some(new_life()),
            leaving_since_ms: None,
        };
        let _under_way = self.moves.arrive(&id)?;
        self.check_free(&id).await?;
        let profile = record.profile.clone().unwrap_or_default();
        let backends = self.backends_of(&profile).await?;
        let coming = self.take_releases(&archive, &id, to.strangers).await?;
        let settled = self.settle_or_leave(&archive, &record, coming, &backends);
        self.alone(&id, Patience::Long, settled).await?;
        tracing::info!(tenant = %id, digest = %archive.digest(), "tenant imported");
        self.start_all(vec![record]).await;
        // It is a tenant of this host, so whatever keeps it from starting is no failure of the import.
        let (read_models, waiting) = match self.tenant(&id) {
            Ok(tenant) => (self.read_models(&tenant, archive.manifest().position).await, None),
            Err(error) => (Vec::new(), Some(error.told())),
        };
        Ok(Imported {
            read_models,
            waiting,
            id,
            profile,
            digest: archive.digest().clone(),
            archive: archive.manifest().clone(),
        })
    }

    /// Puts everything down, or nothing.
    async fn settle_or_leave(
        &self,
        archive: &Archive,
        record: &TenantRecord,
        coming: Coming,
        backends: &Backends,
    ) -> Result<(), Error> {
        let id = &record.id;
        // Another host of a cluster may have been faster.
        if blocking::run(|| self.generations.record(id))?.is_some() {
            return Err(exists(id));
        }
        let Err(error) = self.settle_in(archive, record, coming, backends).await else {
            return Ok(());
        };
        // One that is recorded all the same is a tenant, and stays.
        let left = match blocking::run(|| self.generations.record(id)) {
            Ok(None) => self.empty(id, backends).await.map(drop),
            Ok(Some(_)) => Ok(()),
            Err(unknown) => Err(unknown.into()),
        };
        if let Err(left) = left {
            tracing::error!(tenant = %id, %left, "what is left of an import is cleared away by the next one");
        }
        Err(error)
    }

    /// Publishes what the tenant runs where it is not here yet, and gives its generation here with its buckets. Nothing is published when
    /// one of them is not trusted or they do not go together.
    async fn take_releases(
        &self,
        archive: &Archive,
        id: &TenantId,
        strangers: Strangers,
    ) -> Result<Coming, Error> {
        let installed: Vec<Installation> = archive.json(INSTALLATIONS)?;
        let (mut missing, mut manifests) = (Vec::new(), Vec::<manifest::Manifest>::new());
        for installation in &installed {
            let release = blocking::run(|| {
                let wasm = archive.read(&release_file(&installation.digest))?;
                let release = Release::read(&wasm, now_ms())?;
                if (&release.name, &release.version, &release.digest)
                    != (&installation.name, &installation.version, &installation.digest)
                {
                    let detail = format!("it has another release than {}", installation.name);
                    return Err(Error::from(ArchiveError::Damaged(detail)));
                }
                let trust = self.catalog.trust();
                if let (Strangers::Trusted, Some(key)) = (strangers, release.key) {
                    trust.trust(&release.publisher, key, now_ms())?;
                }
                self.catalog.admit(&release)?;
                Ok(release)
            })?;
            if !self.has(&release) {
                missing.push(release.digest.clone());
            }
            manifests.push(release.manifest);
        }
        let installations = installed
            .into_iter()
            .map(|installation| (installation.name.clone(), installation))
            .collect::<IndexMap<_, _>>();
        let generation = Generation {
            installations,
            ..Generation::first(id.clone())
        };
        generation.check(&manifests)?;
        for digest in missing {
            let wasm = blocking::run(|| archive.read(&release_file(&digest)))?;
            self.publish(wasm).await?;
        }
        let buckets = blobs::buckets_of(&manifests);
        Ok(Coming { generation, buckets })
    }

    fn has(&self, release: &Release) -> bool {
        let shown = blocking::run(|| self.catalog.show(&release.name, &release.version));
        shown.is_ok_and(|shown| shown.release.digest == release.digest)
    }

    /// Puts everything down, reads it back, and makes the tenant known.
    async fn settle_in(
        &self,
        archive: &Archive,
        record: &TenantRecord,
        coming: Coming,
        backends: &Backends,
    ) -> Result<(), Error> {
        let (id, events, folder) = (&record.id, &*backends.events, self.moving_folder());
        let Coming { generation, buckets } = coming;
        self.empty(id, backends).await?;
        backends.begin(record);
        events.set_gate(id, Gate::Arriving).await?;
        records::unpack(archive, events, id).await?;
        records::verify(archive.manifest(), events, id, &folder).await?;
        blobs::unpack(archive, &backends.blobs, id, &buckets).await?;
        blobs::verify(archive.manifest(), &backends.blobs, id, &buckets, &folder).await?;
        messages::unpack(archive, &*backends.bus, id).await?;
        blocking::run(|| {
            let number = self.generations.load(id)?.number + 1;
            self.generations.save(&Generation { number, ..generation })?;
            // From here on it is a tenant of this host, whatever happens.
            self.generations.create_tenant(record)
        })?;
        if let Err(error) = events.set_gate(id, Gate::Open).await {
            tracing::warn!(tenant = %id, %error, "the tenant is opened when it starts");
        }
        Ok(())
    }

    /// Waits until all read models are there, within a bound; one that fails is not waited for.
    async fn read_models(&self, tenant: &Tenant, position: Position) -> Vec<ReadModel> {
        let until = Instant::now() + self.config.moving.rebuild_wait_max;
        let mut models = Vec::new();
        for (module, running) in &tenant.generation().modules {
            for projection in running.manifest.projections.keys() {
                let key = project::key(module, projection);
                let progress = &tenant.progress;
                let reach = || self.projector.reach(tenant, running, projection, position, LOOK);
                while progress.why_failing(&key).is_none() && Instant::now() < until && reach().await.is_err()
                {
                }
                models.push(ReadModel {
                    module: module.clone(),
                    projection: projection.clone(),
                    position: progress.at(&key),
                    failing: progress.why_failing(&key),
                });
            }
        }
        models
    }
}

fn readers(tenant: &Tenant) -> Readers {
    let mut readers = Readers::default();
    for module in tenant.generation().modules.values() {
        let (feed, published) = Deliverer::readers(&module.manifest);
        readers.feed.extend(feed);
        readers.published.extend(published);
    }
    readers
}

fn release_file(digest: &Digest) -> String {
    format!("{RELEASES}/{}.wasm", digest.hex())
}
