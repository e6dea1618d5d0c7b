//! A tenant's stay on this host: from its start here to the end of the host, or until the tenant has gone.
//!
//! A tenant has gone when its record is no more the one that it was started with: it was removed, or another has come to
//! have its id. Each host finds that out by itself, ends what works for the one, and starts the other.

use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use millwork_registry::Error as Refusal;
use millwork_registry::id::TenantId;
use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::{Host, Known};
use crate::blocking;
use crate::error::Error;
use crate::tenant::Tenant;

/// Between two looks whether somebody still uses a tenant that goes.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// Tasks that work for a tenant.
pub(super) struct Work {
    stop: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
}

impl Work {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self {
            stop: watch::Sender::new(false),
            tasks: Mutex::default(),
        })
    }

    /// Turns true when the work is to end.
    pub(super) fn stop(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    pub(super) async fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.tasks.lock().await.spawn(task);
    }

    /// Tells the work to end.
    pub(super) fn tell(&self) {
        self.stop.send_replace(true);
    }

    /// Ends the work, and waits until it has ended.
    pub(super) async fn end(&self) {
        self.tell();
        let mut tasks = std::mem::take(&mut *self.tasks.lock().await);
        while tasks.join_next().await.is_some() {}
    }
}

impl Host {
    /// Tells all work for tenants to end; gives what is to be waited for.
    pub(super) fn end_work(&self) -> Vec<Arc<Work>> {
        let mut all = Vec::new();
        for works in [&self.homes, &self.stays] {
            let works = works.read().unwrap_or_else(PoisonError::into_inner);
            all.extend(works.values().cloned());
        }
        all.iter().for_each(|work| work.tell());
        all
    }

    /// Whether a tenant that runs here is still the one that is recorded.
    pub(super) fn is_recorded(&self, tenant: &Tenant) -> Result<bool, Error> {
        match blocking::run(|| self.generations.tenant(&tenant.id)) {
            Ok(record) => Ok(record == tenant.record),
            Err(Refusal::NoTenant(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// The same; one that is not leaves, apart from what the caller does, and the one that is starts.
    ///
    /// # Errors
    /// [`Error::NoTenant`] when it is not; [`Error::Registry`] when that cannot be told.
    pub(super) async fn check_recorded(self: &Arc<Self>, tenant: &Arc<Tenant>) -> Result<(), Error> {
        if self.is_recorded(tenant)? {
            return Ok(());
        }
        self.spawn(succeed(Arc::clone(self), Arc::clone(tenant))).await;
        Err(Error::NoTenant(tenant.id.clone()))
    }

    /// Has a tenant leave this host.
    pub(super) async fn part(&self, tenant: &Arc<Tenant>) {
        match self.take_out(tenant) {
            true => self.end_stay(tenant).await,
            false => self.until_left(&tenant.id).await,
        }
    }

    /// Takes a tenant from those that are asked for: whoever does so from now on finds none, and what works for it is about
    /// to end. False when somebody else has done that.
    pub(super) fn take_out(&self, tenant: &Arc<Tenant>) -> bool {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        match tenants.get(&tenant.id) {
            Some(Known::Here(known)) if Arc::ptr_eq(known, tenant) => {}
            _ => return false,
        }
        // Its place is kept, so that no other of its id starts before it has ended.
        tenants.insert(tenant.id.clone(), Known::Leaving);
        tenant.leave();
        true
    }

    /// Waits until what was taken out by somebody else has ended.
    pub(super) async fn until_left(&self, id: &TenantId) {
        while matches!(self.tenant(id), Err(Error::Busy(_))) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Ends what works for a tenant that was taken out, and waits until nobody uses it any more, within a bound.
    pub(super) async fn end_stay(&self, tenant: &Arc<Tenant>) {
        let home = {
            let homes = self.homes.read().unwrap_or_else(PoisonError::into_inner);
            homes.get(&tenant.id).cloned()
        };
        if let Some(home) = home {
            home.end().await;
        }
        let stay = {
            let mut stays = self.stays.write().unwrap_or_else(PoisonError::into_inner);
            stays.remove(&tenant.id)
        };
        if let Some(stay) = stay {
            stay.end().await;
        }
        self.leave(tenant);
        let until = Instant::now() + self.config.swap.drain_max;
        while Arc::strong_count(tenant) > 1 && Instant::now() < until {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        self.events.unroute(&tenant.id);
        self.bus.unroute(&tenant.id);
        self.let_go(&tenant.id);
    }
}

/// Ends the stay of a tenant that has gone, and begins that of the one that has its id now, if there is one. Boxed, since
/// that one will do the same.
fn succeed(host: Arc<Host>, tenant: Arc<Tenant>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
    Box::pin(async move {
        if host.take_out(&tenant) {
            tracing::warn!(tenant = %tenant.id, "tenant is here no more: another host has removed it");
            host.end_stay(&tenant).await;
            host.learn(&tenant.id).await;
        }
    })
}
