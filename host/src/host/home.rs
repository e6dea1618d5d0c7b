//! What runs once for a tenant: its projections, its subscriptions, the relay of its feed and its swaps. They run at its
//! home, the host that holds its lease.
//!
//! A host that is alone is the home of its tenants from their start to its stop. In a cluster each host asks for the lease
//! of each tenant now and then; who has it renews it and works, and whoever cannot renew it in time stops working before
//! another begins. One that works late all the same does no harm: checkpoints, generations and journals of swaps are only
//! moved on from where they were seen.

use std::sync::{Arc, PoisonError};

use indexmap::IndexMap;
use millwork_registry::Error as Refusal;
use millwork_registry::generation::Installation;
use millwork_registry::id::TenantId;
use tokio::sync::watch;

use super::cluster::Cluster;
use super::stay::Work;
use super::swap::retire_replaced;
use super::{Host, lifecycle};
use crate::blocking;
use crate::capability::locks::Lease;
use crate::capability::messaging::{Bus, Outlet};
use crate::deliver::DeliverLimits;
use crate::deliver::relay::Relay;
use crate::error::Error;
use crate::event_store::EventStore;
use crate::event_store::portable::{Gate, Portable as _};
use crate::tenant::{Broken, Generation, Module, Tenant};

/// How often a lease is asked for within its time, at most.
const ASKED: u32 = 12;

/// What is needed to make this host the home of a tenant.
#[derive(Clone)]
pub(super) struct Household {
    pub(super) host: Arc<Host>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) outlet: Arc<dyn Outlet>,
    /// The feed and the bus that it is relayed to, where others than this host listen there.
    pub(super) relayed: Option<(Arc<dyn EventStore>, Arc<dyn Bus>)>,
}

impl Host {
    /// Whether this host is the home of a tenant.
    pub(super) fn is_home(&self, tenant: &TenantId) -> bool {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        homes.contains_key(tenant)
    }

    /// Brings a tenant to what it is elsewhere: gone, perhaps, or, where its home is not here, what it is there.
    pub(super) async fn catch_up(self: &Arc<Self>, tenant: &Arc<Tenant>) {
        let followed = match self.is_home(&tenant.id) {
            true => self.check_recorded(tenant).await,
            false => self.follow(tenant).await,
        };
        if let Err(error) = followed {
            tracing::warn!(tenant = %tenant.id, %error, "cannot follow what a tenant runs");
        }
    }

    /// Takes over what another host may have done: whether the tenant is there, whether it is closed, and the generation
    /// that it runs.
    async fn follow(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<(), Error> {
        self.check_recorded(tenant).await?;
        match self.events.gate(&tenant.id).await? {
            Gate::Closed | Gate::Gone => tenant.close(),
            Gate::Open | Gate::Arriving => tenant.open(),
        }
        self.follow_generation(tenant).await
    }

    /// Loads the generation that is written down, if it is newer than the one that serves here.
    async fn follow_generation(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<(), Error> {
        let _turn = tenant.swapping.lock().await;
        let recorded = blocking::run(|| self.generations.load(&tenant.id))?;
        let serving = tenant.generation();
        if recorded.number <= serving.number {
            return Ok(());
        }
        let mut fresh = Vec::new();
        let (mut modules, mut broken) = (IndexMap::new(), IndexMap::new());
        for (name, installed) in &recorded.installations {
            let module = match serving.modules.get(name) {
                Some(module) if is_same(module, installed) => Ok(Arc::clone(module)),
                _ => blocking::run(|| self.load(installed)).inspect(|module| fresh.push(Arc::clone(module))),
            };
            match module {
                Ok(module) => drop(modules.insert(name.clone(), module)),
                Err(error @ Error::Registry(Refusal::Unavailable(_))) => return Err(error),
                Err(error) => {
                    tracing::error!(tenant = %tenant.id, module = name, %error, "module does not load");
                    broken.insert(name.clone(), Broken::of(installed, &error));
                }
            }
        }
        for module in &fresh {
            let from = serving.modules.get(&module.manifest.name);
            let from = from.map(|module| &module.manifest.version);
            // It serves elsewhere already; that it is unwell here shows in its health.
            if let Err(error) = lifecycle::activate(self, tenant, module, from).await {
                tracing::error!(tenant = %tenant.id, release = &*module.release, %error, "release does not start here");
            }
        }
        let generation = Generation::new(recorded.number, modules)?.without(broken);
        let replaced = tenant.replace(generation);
        tracing::info!(tenant = %tenant.id, generation = recorded.number, "follows a swap of another host");
        let (host, tenant) = (Arc::clone(self), Arc::clone(tenant));
        self.spawn(async move { retire_replaced(&host, &tenant, &replaced).await })
            .await;
        Ok(())
    }
}

fn is_same(module: &Module, installed: &Installation) -> bool {
    *module.digest == *installed.digest.hex() && *module.config == *installed.config.to_string()
}

impl Household {
    /// Makes this host the tenant's home at once, for good.
    ///
    /// # Errors
    /// When what a swap has left behind cannot be taken up.
    pub(super) async fn settle(&self) -> Result<(), Error> {
        self.move_in(&Work::new()).await
    }

    /// Makes this host the tenant's home whenever it gets the lease, until the tenant's stay here ends.
    pub(super) async fn keep(self, cluster: Arc<Cluster>, mut stop: watch::Receiver<bool>) {
        while !*stop.borrow() {
            match cluster.ask(&self.tenant.id).await {
                Ok(Some(lease)) => self.live_here(&cluster, lease, &mut stop).await,
                Ok(None) => self.host.catch_up(&self.tenant).await,
                Err(error) => {
                    tracing::warn!(tenant = %self.tenant.id, %error, "cannot ask for a lease");
                    self.host.catch_up(&self.tenant).await;
                }
            }
            // Who has many tenants already lets others go first.
            let many = u32::try_from(self.host.homes_count()).unwrap_or(u32::MAX);
            let pause = cluster.lease / ASKED * many.clamp(1, 4);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => {}
            }
        }
    }

    /// Works until the lease is lost or the tenant's stay here ends.
    async fn live_here(&self, cluster: &Arc<Cluster>, lease: Lease, stop: &mut watch::Receiver<bool>) {
        let home = Work::new();
        tracing::info!(tenant = %self.tenant.id, "this host is the tenant's home now");
        let moving = tokio::spawn(self.clone().move_in_whatever_comes(Arc::clone(&home)));
        let held = tokio::select! {
            () = cluster.renew(&self.tenant.id, &lease) => false,
            _ = stop.wait_for(|stop| *stop) => true,
        };
        self.host.leave(&self.tenant);
        home.tell();
        // What it does last, it does to its end: it may be about to start something.
        let _ = moving.await;
        home.end().await;
        // Should it have become the home in between.
        self.host.leave(&self.tenant);
        tracing::info!(tenant = %self.tenant.id, "this host is not the tenant's home any more");
        if held {
            cluster.give_back(&self.tenant.id, &lease).await;
        }
    }

    /// Moves in, again and again while that fails and nobody stops it.
    async fn move_in_whatever_comes(self, home: Arc<Work>) {
        let mut stop = home.stop();
        let limits = &self.host.config.project;
        let mut pause = limits.backoff_min;
        while let Err(error) = self.move_in(&home).await {
            if matches!(error, Error::NoTenant(_)) {
                return;
            }
            tracing::error!(tenant = %self.tenant.id, %error, "the work for a tenant does not start");
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            pause = (pause * 2).min(limits.backoff_max);
        }
    }

    /// Starts all that runs once for the tenant, where the one before left off.
    async fn move_in(&self, home: &Arc<Work>) -> Result<(), Error> {
        let Self { host, tenant, .. } = self;
        if host.cluster.is_some() {
            host.follow(tenant).await?;
        }
        // Waits for the end of what was begun when this was the home before.
        let turn = Arc::clone(&tenant.swapping).lock_owned().await;
        if let Err(error) = host.resume_rebuilds(tenant).await {
            // What there is of it goes on being read; the next start tries again.
            tracing::error!(tenant = %tenant.id, %error, "a read model could not be built anew");
        }
        if *home.stop().borrow() {
            return Ok(());
        }
        host.note_home(tenant, home);
        host.resume_swaps(tenant, turn).await?;
        let projector = Arc::clone(&host.projector);
        home.spawn(projector.run(Arc::clone(tenant), home.stop())).await;
        let deliverer = Arc::clone(&host.deliverer);
        home.spawn(deliverer.run(Arc::clone(tenant), Arc::clone(&self.outlet), home.stop()))
            .await;
        if let Some((events, bus)) = &self.relayed {
            let relay = Relay::new(Arc::clone(events), Arc::clone(bus), DeliverLimits::default());
            home.spawn(Arc::new(relay).run(tenant.id.clone(), home.stop()))
                .await;
        }
        if !*home.stop().borrow() {
            host.announce(tenant).await;
        }
        Ok(())
    }
}

impl Host {
    fn note_home(&self, tenant: &Tenant, home: &Arc<Work>) {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        homes.insert(tenant.id.clone(), Arc::clone(home));
    }

    pub(super) fn leave(&self, tenant: &Tenant) {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        homes.remove(&tenant.id);
    }

    fn homes_count(&self) -> usize {
        self.homes.read().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Turns true when the work for a tenant is to end here; at once when this is not its home.
    pub(super) fn home_stop(&self, tenant: &Tenant) -> watch::Receiver<bool> {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        match homes.get(&tenant.id) {
            Some(home) => home.stop(),
            None => watch::Sender::new(true).subscribe(),
        }
    }
}
