//! The way from a tenant to what its profile has: each tenant's calls go where its data is, and those who make them need
//! not know of profiles.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use millwork_registry::id::TenantId;

/// See the module.
pub struct Routes<T: ?Sized> {
    /// std's lock: held for a look-up only.
    routes: RwLock<HashMap<TenantId, Arc<T>>>,
}

impl<T: ?Sized> Default for Routes<T> {
    fn default() -> Self {
        Self {
            routes: RwLock::default(),
        }
    }
}

impl<T: ?Sized> Routes<T> {
    /// Says where a tenant's calls go.
    pub fn route(&self, tenant: TenantId, to: Arc<T>) {
        self.routes
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(tenant, to);
    }

    /// A tenant's calls go nowhere any more.
    pub fn unroute(&self, tenant: &TenantId) {
        let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
        routes.remove(tenant);
    }

    /// Where a tenant's calls go; says why nowhere.
    pub(super) fn of(&self, tenant: &TenantId) -> Result<Arc<T>, String> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        let to = routes.get(tenant).map(Arc::clone);
        to.ok_or_else(|| format!("tenant {tenant} has not started"))
    }

    /// Where any tenant's calls go, once for each tenant.
    pub(super) fn all(&self) -> Vec<Arc<T>> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        routes.values().map(Arc::clone).collect()
    }
}
