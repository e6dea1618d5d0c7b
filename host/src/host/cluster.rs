//! The cluster as one of its hosts sees it: leases, announcements, and which host works for which tenant.
//!
//! Every host serves every tenant, but what runs once for a tenant runs at its *home* ([`super::home`]), the host that
//! holds the tenant's lease. A host that is alone is the home of all its tenants and needs none of this.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use millwork_registry::id::TenantId;
use tokio::time::Instant;

use super::Host;
use crate::backends;
use crate::blocking;
use crate::capability::locks::Locks;
use crate::capability::locks::redis::RedisLocks;
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

/// What this host has of its cluster.
pub(super) struct Cluster {
    pub(super) locks: Arc<dyn Locks>,
    pub(super) announcements: Arc<dyn Announcements>,
    pub(super) lease: Duration,
    address: String,
    /// The address of each tenant's home, as it was announced last. std's lock: held for a look-up only.
    homes: RwLock<HashMap<TenantId, String>>,
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
    pub(super) async fn announce(&self, tenant: &TenantId, generation: u64) {
        let announced = Announced {
            tenant: tenant.clone(),
            news: News {
                generation,
                home: self.address.clone(),
            },
        };
        if let Err(error) = self.announcements.announce(&announced).await {
            tracing::warn!(%tenant, %error, "the other hosts could not be told of a generation");
        }
    }

    fn note(&self, announced: &Announced) {
        let mut homes = self.homes.write().unwrap_or_else(PoisonError::into_inner);
        homes.insert(announced.tenant.clone(), announced.news.home.clone());
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
            cluster.announce(&tenant.id, tenant.generation().number).await;
        }
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
                            match tokio::time::timeout(cluster.lease, heard.recv()).await {
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
        match self.tenant(&tenant) {
            Ok(tenant) if tenant.generation().number < news.generation => self.catch_up(&tenant).await,
            Err(Error::NoTenant(_)) => self.look_for_tenants().await,
            _ => {}
        }
    }

    /// Starts the tenants that other hosts have made.
    async fn look_for_tenants(self: &Arc<Self>) {
        match blocking::run(|| self.tenants()) {
            Ok(records) => self.start_all(records).await,
            Err(error) => tracing::warn!(%error, "cannot look for new tenants"),
        }
    }
}
