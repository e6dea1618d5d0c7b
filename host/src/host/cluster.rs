//! The cluster as one of its hosts sees it: leases, announcements, and which host works for which tenant.
//!
//! Every host serves every tenant, but what runs once for a tenant runs at its *home* ([`super::home`]), the host that
//! holds the tenant's lease. A host that is alone is the home of all its tenants and needs none of this.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use millwork_registry::id::TenantId;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::Host;
use crate::backends;
use crate::blocking;
use crate::capability::locks::redis::RedisLocks;
use crate::capability::locks::{Lease, LockError, Locks};
use crate::capability::messaging::announce::{Announced, Announcements, NatsAnnouncements, News};
use crate::config::Config;
use crate::config::cluster;
use crate::error::Error;
use crate::tenant::Tenant;

/// First and longest pause between tries to reach the servers that hosts share.
const RETRY_MIN: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(10);
/// Between two looks for a home that is to be found.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How often the time of a lease is waited for a lease of another's.
const LEASES_WAITED: u32 = 4;
/// Renewals within the time of a lease.
const RENEWALS: u32 = 3;

/// What this host has of its cluster.
pub(super) struct Cluster {
    locks: Arc<dyn Locks>,
    pub(super) announcements: Arc<dyn Announcements>,
    pub(super) lease: Duration,
    address: String,
    /// The address of each tenant's home, as it was announced last. std's lock: held for a look-up only.
    homes: RwLock<HashMap<TenantId, String>>,
}

/// Whether a lease that another has is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// It is not.
    None,
    /// It is, for longer than one lasts whose holder has died.
    Long,
}

/// Where a tenant's home is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Residence {
    /// Here.
    Here,
    /// At the host with this address.
    At(String),
    /// Nobody has it at this moment.
    Nowhere,
}

impl Cluster {
    /// Joins the cluster that the settings name; none for a host that is alone. Waits until the servers are reached.
    pub(super) async fn join(config: &Config) -> Option<Arc<Self>> {
        let settings = config.cluster.as_ref()?;
        let mut pause = RETRY_MIN;
        loop {
            match Self::connect(config, settings).await {
                Ok(cluster) => return Some(Arc::new(cluster)),
                Err(error) => tracing::error!(%error, "the cluster is not reached"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(RETRY_MAX);
        }
    }

    async fn connect(config: &Config, settings: &cluster::Cluster) -> Result<Self, String> {
        let name = &settings.profile;
        let profile = config.find_profile(name).unwrap_or_default();
        let (Some(redis), Some(nats)) = (&profile.redis, &profile.nats) else {
            return Err(format!("profile {name} has no Redis or no NATS"));
        };
        let link = backends::redis_link(name, redis)?;
        let announcements = NatsAnnouncements::connect(&backends::nats_settings(name, nats)?).await;
        Ok(Self {
            locks: Arc::new(RedisLocks::new(link)),
            announcements: Arc::new(announcements.map_err(|error| error.to_string())?),
            lease: settings.lease,
            address: settings.address.clone(),
            homes: RwLock::default(),
        })
    }

    /// Tells the others what the tenant, whose home this is, runs. One that is not told is found out by a look.
    async fn announce(&self, tenant: &Tenant, revived: Option<&str>) {
        let news = News {
            generation: tenant.generation().number,
            life: tenant.record.life.clone(),
            home: self.address.clone(),
            revived: revived.map(str::to_owned),
        };
        self.tell(&tenant.id, Some(news)).await;
    }

    /// Tells the others that a tenant is none any more, likewise.
    pub(super) async fn announce_removal(&self, tenant: &TenantId) {
        self.tell(tenant, None).await;
    }

    async fn tell(&self, tenant: &TenantId, news: Option<News>) {
        let tenant = tenant.clone();
        let announced = Announced { tenant, news };
        if let Err(error) = self.announcements.announce(&announced).await {
            tracing::warn!(tenant = %announced.tenant, %error, "the other hosts could not be told of a tenant");
        }
    }

    fn note(&self, announced: &Announced) {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        match &announced.news {
            Some(news) => drop(homes.insert(announced.tenant.clone(), news.home.clone())),
            None => drop(homes.remove(&announced.tenant)),
        }
    }

    /// Asks for a tenant's lease.
    pub(super) async fn ask(&self, tenant: &TenantId) -> Result<Option<Lease>, LockError> {
        let key = format!("lock:tenant:{tenant}");
        self.locks.acquire(&key, self.lease).await
    }

    /// A tenant's lease, as soon as nobody else has it.
    async fn wait(&self, tenant: &TenantId, patience: Patience) -> Result<Lease, Error> {
        let until = match patience {
            Patience::None => Instant::now(),
            Patience::Long => Instant::now() + self.lease * LEASES_WAITED,
        };
        loop {
            match self.ask(tenant).await {
                Ok(Some(lease)) => return Ok(lease),
                Ok(None) if Instant::now() < until => tokio::time::sleep(LOOK_EVERY).await,
                Ok(None) => return Err(Error::Busy(tenant.clone())),
                Err(error) => return Err(Error::Unavailable(error.to_string())),
            }
        }
    }

    /// Renews a lease for as long as it cannot be another's.
    pub(super) async fn renew(&self, tenant: &TenantId, lease: &Lease) {
        let pause = self.lease / RENEWALS;
        let mut held_from = Instant::now();
        loop {
            tokio::time::sleep(pause).await;
            let asked = Instant::now();
            match timeout(pause / 2, self.locks.renew(lease, self.lease)).await {
                Ok(Ok(true)) => held_from = asked,
                Ok(Ok(false)) => {
                    tracing::warn!(%tenant, "the lease was lost");
                    return;
                }
                Ok(Err(error)) => tracing::warn!(%tenant, %error, "a lease was not renewed"),
                Err(_) => tracing::warn!(%tenant, "a lease was not renewed in time"),
            }
            // A renewal more would come too late.
            if held_from.elapsed() + pause + pause / 2 > self.lease {
                return;
            }
        }
    }

    /// Gives a lease back.
    pub(super) async fn give_back(&self, tenant: &TenantId, lease: &Lease) {
        if let Err(error) = self.locks.release(lease).await {
            tracing::warn!(%tenant, %error, "a lease ends by itself");
        }
    }

    /// Where others say that a tenant's home is. What says that it is here is of an earlier life of this host.
    fn elsewhere(&self, tenant: &TenantId) -> Residence {
        let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
        match homes.get(tenant) {
            Some(address) if *address != self.address => Residence::At(address.clone()),
            _ => Residence::Nowhere,
        }
    }
}

impl Host {
    /// Where the home of a tenant is.
    #[must_use]
    pub fn residence(&self, tenant: &TenantId) -> Residence {
        match &self.cluster {
            Some(cluster) if !self.is_home(tenant) => cluster.elsewhere(tenant),
            _ => Residence::Here,
        }
    }

    /// Where the home of a tenant is, given that it is found within the time of a lease: that of a new tenant, or of one whose
    /// home has gone, is soon.
    pub async fn find_home(&self, tenant: &TenantId) -> Residence {
        let patience = self
            .cluster
            .as_ref()
            .map_or(Duration::ZERO, |cluster| cluster.lease);
        let until = Instant::now() + patience;
        loop {
            match self.residence(tenant) {
                Residence::Nowhere if Instant::now() < until => tokio::time::sleep(LOOK_EVERY).await,
                found => return found,
            }
        }
    }

    /// The address of the host that works for a tenant, as far as it is known; nothing without a cluster.
    #[must_use]
    pub fn home_of(&self, tenant: &TenantId) -> Option<String> {
        let cluster = self.cluster.as_ref()?;
        match self.residence(tenant) {
            Residence::Here => Some(cluster.address.clone()),
            Residence::At(address) => Some(address),
            Residence::Nowhere => None,
        }
    }

    /// What only a tenant's home may do.
    ///
    /// # Errors
    /// [`Error::Homeless`] when it is not here: it has just moved.
    pub(super) fn check_home(&self, tenant: &Tenant) -> Result<(), Error> {
        if self.is_home(&tenant.id) {
            return Ok(());
        }
        Err(Error::Homeless(tenant.id.clone()))
    }

    /// Tells the other hosts, if there are any, what a tenant runs.
    pub(super) async fn announce(&self, tenant: &Tenant) {
        if let Some(cluster) = &self.cluster {
            cluster.announce(tenant, None).await;
        }
    }

    /// Lets calls of a module through again that was quarantined, on every host. Called at the tenant's home.
    ///
    /// # Errors
    /// [`Error::NotFound`] when the tenant has no such module.
    pub async fn revive(&self, tenant: &Tenant, module: &str) -> Result<(), Error> {
        tenant.generation().module(module)?.poison.revive();
        if let Some(cluster) = &self.cluster {
            cluster.announce(tenant, Some(module)).await;
        }
        Ok(())
    }

    /// Does what no other host may do to a tenant of this id meanwhile: under its lease, where there are others.
    ///
    /// # Errors
    /// [`Error::Busy`] when another host has the lease, or it was lost in the middle of the work; those of `work`.
    pub(super) async fn alone<T>(
        &self,
        tenant: &TenantId,
        patience: Patience,
        work: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let Some(cluster) = &self.cluster else {
            return work.await;
        };
        let lease = cluster.wait(tenant, patience).await?;
        // A task of its own, since the work blocks now and then; it ends with this, however this ends.
        let mut renewing = JoinSet::new();
        {
            let (cluster, tenant, lease) = (Arc::clone(cluster), tenant.clone(), lease.clone());
            renewing.spawn(async move { cluster.renew(&tenant, &lease).await });
        }
        let done = tokio::select! {
            done = work => done,
            _ = renewing.join_next() => Err(Error::Busy(tenant.clone())),
        };
        drop(renewing);
        cluster.give_back(tenant, &lease).await;
        done
    }

    /// Starts a tenant that another host has only just made, before this one has heard of it.
    pub async fn learn(self: &Arc<Self>, tenant: &TenantId) {
        let stranger = matches!(self.tenant(tenant), Err(Error::NoTenant(_)));
        if self.cluster.is_none() || !stranger {
            return;
        }
        // One that is not there is told by whoever looks for it next.
        if let Ok(record) = blocking::run(|| self.generations.tenant(tenant)) {
            self.start_all(vec![record]).await;
        }
    }

    /// Does what other hosts announce, and looks for tenants that nobody has announced, until the host stops.
    pub(super) async fn hear_of_others(self: Arc<Self>, cluster: Arc<Cluster>) {
        let mut stop = self.stop.subscribe();
        loop {
            let heard = async {
                match cluster.announcements.listen().await {
                    Ok(mut heard) => {
                        loop {
                            match timeout(cluster.lease, heard.recv()).await {
                                Ok(Some(announced)) => self.hear(&cluster, announced).await,
                                // Nobody tells any more: listen anew.
                                Ok(None) => return,
                                Err(_) => self.look_for_tenants().await,
                            }
                        }
                    }
                    Err(error) => tracing::warn!(%error, "the other hosts are not heard"),
                }
            };
            tokio::select! {
                () = heard => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            tokio::select! {
                () = tokio::time::sleep(RETRY_MIN) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            self.look_for_tenants().await;
        }
    }

    async fn hear(self: &Arc<Self>, cluster: &Cluster, announced: Announced) {
        cluster.note(&announced);
        let Announced { tenant, news } = announced;
        match (self.tenant(&tenant), news) {
            (Ok(tenant), Some(news)) if is_run_so(&tenant, &news) => {
                let generation = tenant.generation();
                let revived = news.revived.map(|module| generation.module(&module));
                if let Some(Ok(module)) = revived {
                    module.poison.revive();
                }
            }
            (Ok(tenant), _) => self.catch_up(&tenant).await,
            (Err(Error::NoTenant(_)), Some(_)) => self.look_for_tenants().await,
            _ => {}
        }
    }

    /// Starts the tenants that other hosts have made.
    async fn look_for_tenants(self: &Arc<Self>) {
        match blocking::run(|| self.generations.records()) {
            Ok(records) => self.start_all(records).await,
            Err(error) => tracing::warn!(%error, "cannot look for new tenants"),
        }
    }
}

/// Whether a tenant that runs here is the one that is told of, and runs at least what that runs.
fn is_run_so(tenant: &Tenant, news: &News) -> bool {
    tenant.record.life == news.life && tenant.generation().number >= news.generation
}
