//! How a tenant starts: its profile's servers are reached, its modules loaded, and what works for it set going.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLockWriteGuard};

use indexmap::IndexMap;
use millwork_registry::generation::{self, TenantRecord};
use millwork_registry::id::TenantId;

use super::{Host, outlet, unavailable};
use crate::backends::Backends;
use crate::blocking;
use crate::capability::messaging::{Bus, Outlet};
use crate::config::profile::EMBEDDED;
use crate::deliver::DeliverLimits;
use crate::deliver::relay::Relay;
use crate::error::Error;
use crate::event_store::EventStore;
use crate::event_store::portable::Gate;
use crate::tenant::{Broken, Generation, Module, Stores, Tenant};

impl Host {
    /// Loads a tenant's generation and starts its projector.
    pub(super) async fn start_tenant(self: &Arc<Self>, record: TenantRecord) -> Result<(), Error> {
        let TenantRecord { id, profile, .. } = record;
        let recorded = self.generations.load(&id)?;
        let backends = self.backends_of(profile.as_deref().unwrap_or(EMBEDDED)).await?;
        let (modules, broken) = blocking::run(|| self.load_all(&recorded));
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
            cache: backends.cache,
            rate_limits: backends.rate_limits,
            search: backends.search,
        };
        let tenant = Tenant::new(id.clone(), stores, generation, slow_calls_max);
        let tenant = Arc::new(tenant);
        match backends.events.gate(&id).await? {
            Gate::Open => {}
            Gate::Closed => tenant.close(),
            // Its record is made when all has arrived.
            Gate::Arriving => backends.events.set_gate(&id, Gate::Open).await?,
        }
        if let Err(error) = self.resume_rebuilds(&tenant).await {
            // What there is of it goes on being read; the next start tries again.
            tracing::error!(tenant = %id, %error, "a read model could not be built anew");
        }
        let projector = Arc::clone(&self.projector).run(Arc::clone(&tenant), self.stop.subscribe());
        self.spawn(projector).await;
        self.start_delivery(
            &tenant,
            backends.relayed.then_some((backends.events, backends.bus)),
        )
        .await;
        self.resume_swaps(&tenant).await?;
        self.keep(id, Ok(tenant));
        Ok(())
    }

    /// Starts a tenant, again and again while the servers of its profile are not reached. What fails otherwise takes no
    /// other tenant down: asking for it says why.
    pub(super) async fn start_or_retry(self: &Arc<Self>, record: TenantRecord) {
        let Err(error) = self.start_tenant(record.clone()).await else {
            return;
        };
        tracing::error!(tenant = %record.id, %error, "tenant does not start");
        self.keep(record.id.clone(), Err(error.to_string()));
        if !matches!(error, Error::Unavailable(_)) {
            return;
        }
        let profile = record.profile.clone().unwrap_or_else(|| EMBEDDED.to_owned());
        self.waiting().insert(record.id.clone(), profile);
        let (host, mut stop) = (Arc::clone(self), self.stop.subscribe());
        self.spawn(async move {
            let (mut wait, longest) = (host.config.project.backoff_min, host.config.project.backoff_max);
            loop {
                tokio::select! {
                    () = tokio::time::sleep(wait) => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
                wait = (wait * 2).min(longest);
                if let Err(error) = host.start_tenant(record.clone()).await {
                    host.keep(record.id.clone(), Err(error.to_string()));
                } else {
                    tracing::info!(tenant = %record.id, "tenant has started");
                    host.waiting().remove(&record.id);
                    return;
                }
            }
        })
        .await;
    }

    fn waiting(&self) -> RwLockWriteGuard<'_, BTreeMap<TenantId, String>> {
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

    /// Opens a tenant's outlet, and starts what delivers to subscriptions and executes commands that were sent; and what
    /// relays a feed to a bus, where others listen there.
    async fn start_delivery(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        relayed: Option<(Arc<dyn EventStore>, Arc<dyn Bus>)>,
    ) {
        let outlet: Arc<dyn Outlet> = Arc::new(outlet::TenantOutlet::new(self, tenant));
        let outlet = Arc::clone(tenant.outlet.get_or_init(|| outlet));
        let deliverer = || Arc::clone(&self.deliverer);
        let stop = || self.stop.subscribe();
        self.spawn(deliverer().run(Arc::clone(tenant), Arc::clone(&outlet), stop()))
            .await;
        self.spawn(deliverer().work(Arc::clone(tenant), outlet, stop()))
            .await;
        if let Some((events, bus)) = relayed {
            let relay = Arc::new(Relay::new(events, bus, DeliverLimits::default()));
            self.spawn(relay.run(tenant.id.clone(), stop())).await;
        }
    }

    /// A module that does not load takes no other down.
    fn load_all(
        &self,
        recorded: &generation::Generation,
    ) -> (IndexMap<String, Arc<Module>>, IndexMap<String, Broken>) {
        let (mut modules, mut broken) = (IndexMap::new(), IndexMap::new());
        for (name, installed) in &recorded.installations {
            match self.load(installed) {
                Ok(module) => drop(modules.insert(name.clone(), module)),
                Err(error) => {
                    tracing::error!(tenant = %recorded.tenant, module = name, version = %installed.version, %error, "module does not load");
                    let why = Broken {
                        version: installed.version.clone(),
                        code: error.code().to_owned(),
                        why: error.told(),
                    };
                    broken.insert(name.clone(), why);
                }
            }
        }
        (modules, broken)
    }

    /// Builds read models anew that a swap, interrupted by a crash, left behind.
    async fn resume_rebuilds(&self, tenant: &Arc<Tenant>) -> Result<(), Error> {
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
