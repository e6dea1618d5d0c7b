//! How a tenant starts: its profile's servers are reached, its modules loaded, and what works for it set going.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, RwLockWriteGuard};
use std::time::Duration;

use indexmap::IndexMap;
use millwork_registry::Error as Refusal;
use millwork_registry::generation::{self, TenantRecord};
use millwork_registry::id::TenantId;
use tokio::sync::watch;

use super::home::Household;
use super::stay::Work;
use super::{Host, Known, outlet, unavailable};
use crate::backends::Backends;
use crate::blocking;
use crate::capability::messaging::Outlet;
use crate::config::profile::EMBEDDED;
use crate::error::Error;
use crate::event_store::portable::Gate;
use crate::tenant::{Broken, Generation, Module, Stores, Tenant};

/// Modules that are ready, and those that did not load.
type Loaded = (IndexMap<String, Arc<Module>>, IndexMap<String, Broken>);

/// Growing pauses between attempts to reach a server.
struct Pauses {
    next: Duration,
    longest: Duration,
    stop: watch::Receiver<bool>,
}

impl Pauses {
    fn of(host: &Host) -> Self {
        let limits = &host.config.project;
        Self {
            next: limits.backoff_min,
            longest: limits.backoff_max,
            stop: host.stop.subscribe(),
        }
    }

    /// Lets one pass; false when the host stops.
    async fn pass(&mut self) -> bool {
        tokio::select! {
            () = tokio::time::sleep(self.next) => {}
            _ = self.stop.wait_for(|stop| *stop) => return false,
        }
        self.next = (self.next * 2).min(self.longest);
        true
    }

    /// Whether the host stops.
    fn are_over(&self) -> bool {
        *self.stop.borrow()
    }
}

impl Host {
    /// Starts all tenants of this host; later, when what keeps the registry is not reached.
    pub(super) async fn start_all_or_wait(self: &Arc<Self>) -> Result<(), Error> {
        let error = match self.recorded() {
            Ok(records) => {
                self.start_all(records).await;
                return Ok(());
            }
            Err(error) if error.is_passing() => error,
            Err(error) => return Err(error),
        };
        tracing::error!(%error, "the tenants are not known");
        self.unread.store(true, Ordering::Release);
        let host = Arc::clone(self);
        self.spawn(async move {
            let mut pauses = Pauses::of(&host);
            while pauses.pass().await {
                match host.recorded() {
                    Ok(records) => {
                        host.start_all(records).await;
                        host.unread.store(false, Ordering::Release);
                        return;
                    }
                    Err(error) => tracing::error!(%error, "the tenants are not known"),
                }
            }
        })
        .await;
        Ok(())
    }

    /// All tenants, given that it can be told whose releases they may run.
    fn recorded(&self) -> Result<Vec<TenantRecord>, Error> {
        blocking::run(|| self.catalog.trust().keys())?;
        Ok(self.generations.records()?)
    }

    /// Starts those that this host serves and does not know yet, and goes on with removals that were cut short.
    pub(super) async fn start_all(self: &Arc<Self>, records: Vec<TenantRecord>) {
        // One that is just being made here is no stranger.
        let _creating = self.creating.lock().await;
        for record in records {
            self.let_go_broken(&record.id, Some(&record));
            let stranger = matches!(self.tenant(&record.id), Err(Error::NoTenant(_)));
            if !stranger || !self.config.serves(&record.id) {
                continue;
            }
            match record.leaving_since_ms {
                None => self.start_or_retry(record).await,
                Some(_) => self.finish_removal_aside(record).await,
            }
        }
    }

    /// Loads a tenant's generation, and has this host ask for what runs once for it.
    pub(super) async fn start_tenant(self: &Arc<Self>, record: TenantRecord) -> Result<(), Error> {
        let id = record.id.clone();
        if blocking::run(|| self.generations.record(&id))?.as_ref() != Some(&record) {
            return Err(Error::NoTenant(id));
        }
        let recorded = blocking::run(|| self.generations.load(&id))?;
        let backends = self
            .backends_of(record.profile.as_deref().unwrap_or(EMBEDDED))
            .await?;
        let (modules, broken) = blocking::run(|| self.load_all(&recorded))?;
        backends.begin(&record);
        self.events.route(id.clone(), Arc::clone(&backends.events));
        self.bus.route(id.clone(), Arc::clone(&backends.bus));
        let documents = backends.documents.open(&id).await?;
        for module in modules.values() {
            documents.prepare(&module.all_collections()).await?;
        }
        let generation = Generation::new(recorded.number, modules)?.without(broken);
        let slow_calls_max = self.config.engine.slow_calls_max;
        let stores = Stores {
            documents,
            cache: Arc::clone(&backends.cache),
            rate_limits: Arc::clone(&backends.rate_limits),
            sessions: Arc::clone(&backends.sessions),
            search: Arc::clone(&backends.search),
            blobs: Arc::clone(&backends.blobs),
        };
        let tenant = Arc::new(Tenant::new(record, stores, generation, slow_calls_max));
        match backends.events.gate(&id).await? {
            Gate::Open => {}
            // Its record goes, or has gone, as this host is about to find out.
            Gate::Closed | Gate::Gone => tenant.close(),
            // Its record is made when all has arrived.
            Gate::Arriving => backends.events.set_gate(&id, Gate::Open).await?,
        }
        self.set_going(&tenant, backends).await?;
        self.keep(id, Known::Here(tenant));
        Ok(())
    }

    /// Starts what works for a tenant here.
    async fn set_going(self: &Arc<Self>, tenant: &Arc<Tenant>, backends: Backends) -> Result<(), Error> {
        let outlet: Arc<dyn Outlet> = Arc::new(outlet::TenantOutlet::new(self, tenant));
        let outlet = Arc::clone(tenant.outlet.get_or_init(|| outlet));
        let household = Household {
            host: Arc::clone(self),
            tenant: Arc::clone(tenant),
            outlet: Arc::clone(&outlet),
            relayed: backends.relayed.then_some((backends.events, backends.bus)),
        };
        let stay = Work::new();
        match &self.cluster {
            None => household.settle().await?,
            Some(cluster) => stay.spawn(household.keep(Arc::clone(cluster), stay.stop())).await,
        }
        let worker = Arc::clone(&self.deliverer);
        stay.spawn(worker.work(Arc::clone(tenant), outlet, stay.stop()))
            .await;
        let mut stays = self.stays.write().unwrap_or_else(PoisonError::into_inner);
        stays.insert(tenant.id.clone(), stay);
        Ok(())
    }

    /// Starts a tenant, again and again while the servers of its profile are not reached. What fails otherwise takes no
    /// other tenant down: asking for it says why.
    pub(super) async fn start_or_retry(self: &Arc<Self>, record: TenantRecord) {
        let Err(error) = self.start_tenant(record.clone()).await else {
            return;
        };
        if matches!(error, Error::NoTenant(_)) {
            return;
        }
        tracing::error!(tenant = %record.id, %error, "tenant does not start");
        let why = error.to_string();
        let broken = Known::Broken {
            record: record.clone(),
            why,
        };
        self.keep(record.id.clone(), broken);
        if !error.is_passing() {
            return;
        }
        let profile = record.profile.clone().unwrap_or_else(|| EMBEDDED.to_owned());
        self.waiting().insert(record.id.clone(), profile.clone());
        let host = Arc::clone(self);
        self.spawn(async move {
            let mut pauses = Pauses::of(&host);
            while pauses.pass().await && host.is_broken(&record) {
                // Opened before, since that may take its time.
                if host.backends_of(&profile).await.is_err() {
                    continue;
                }
                // Nobody makes or removes one of its id meanwhile.
                let _creating = host.creating.lock().await;
                if !host.is_broken(&record) || pauses.are_over() {
                    return;
                }
                match host.start_tenant(record.clone()).await {
                    Ok(()) => {
                        host.waiting().remove(&record.id);
                        tracing::info!(tenant = %record.id, "tenant has started");
                    }
                    Err(Error::NoTenant(_)) => host.let_go(&record.id),
                    Err(error) => {
                        let (record, why) = (record.clone(), error.to_string());
                        host.keep(record.id.clone(), Known::Broken { record, why });
                        continue;
                    }
                }
                return;
            }
        })
        .await;
    }

    /// The profiles that tenants which have not started wait for.
    pub(super) fn waiting(&self) -> RwLockWriteGuard<'_, BTreeMap<TenantId, String>> {
        self.waiting.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The backends of a profile, opened by whoever needs them first.
    pub(super) async fn backends_of(&self, name: &str) -> Result<Backends, Error> {
        let mut opened = self.backends.lock().await;
        if let Some(backends) = opened.get(name) {
            return Ok(backends.clone());
        }
        let profile = self.config.find_profile(name).ok_or_else(|| Error::NotFound {
            what: "profile".to_owned(),
            id: name.to_owned(),
        })?;
        let backends = Backends::open(&self.config, name, &profile, &self.embedded).await?;
        opened.insert(name.to_owned(), backends.clone());
        Ok(backends)
    }

    /// A module that does not load takes no other down; one that cannot be read now may be later.
    fn load_all(&self, recorded: &generation::Generation) -> Result<Loaded, Error> {
        let (mut modules, mut broken) = (IndexMap::new(), IndexMap::new());
        for (name, installed) in &recorded.installations {
            match self.load(installed) {
                Ok(module) => drop(modules.insert(name.clone(), module)),
                Err(error @ Error::Registry(Refusal::Unavailable(_))) => return Err(error),
                Err(error) => {
                    tracing::error!(tenant = %recorded.tenant, module = name, version = %installed.version, %error, "module does not load");
                    broken.insert(name.clone(), Broken::of(installed, &error));
                }
            }
        }
        Ok((modules, broken))
    }

    /// Builds read models anew that a swap, interrupted by a crash, left behind.
    pub(super) async fn resume_rebuilds(&self, tenant: &Arc<Tenant>) -> Result<(), Error> {
        for module in tenant.generation().modules.values() {
            for projection in self
                .projector
                .outdated(tenant, module)
                .await
                .map_err(unavailable)?
            {
                tracing::info!(tenant = %tenant.id, projection, "building a read model anew");
                self.rebuild_with(tenant, module, &projection, None).await?;
            }
        }
        Ok(())
    }
}
