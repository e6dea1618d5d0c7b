//! The health of modules: each is asked how it is, now and then, and activated anew when it stays unwell.
//!
//! What it says shows in module status and in `/metrics`. Failing calls are another matter, see
//! [`crate::tenant::poison`]: they need no asking.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millwork_registry::id::TenantId;
use tokio::time::Instant;

use super::{Host, lifecycle};
use crate::tenant::{Module, Tenant};

/// Unwell modules, by tenant and release.
type Unwell = HashMap<(TenantId, Arc<str>), Restarts>;

/// How often a module has said that it is unwell, and when it is next activated anew.
struct Restarts {
    in_a_row: u32,
    next: Instant,
    pause: Duration,
}

/// Asks all modules of all tenants, again and again, until the host stops.
pub(super) async fn watch(host: Arc<Host>) {
    let mut stop = host.stop.subscribe();
    let mut unwell = Unwell::new();
    loop {
        tokio::select! {
            () = tokio::time::sleep(host.config.health.every) => {}
            _ = stop.wait_for(|stop| *stop) => return,
        }
        unwell = tokio::select! {
            unwell = round(&host, unwell) => unwell,
            _ = stop.wait_for(|stop| *stop) => return,
        };
    }
}

async fn round(host: &Host, mut before: Unwell) -> Unwell {
    let mut unwell = Unwell::new();
    for tenant in host.running() {
        let generation = tenant.generation();
        for module in generation.broken.keys() {
            healthy(&tenant, module).set(0.0);
        }
        for module in generation.modules.values() {
            let ailment = lifecycle::ailment(host, &tenant, module).await;
            report(&tenant, module, ailment.as_deref());
            module.note_ailment(ailment.clone());
            let key = (tenant.id.clone(), Arc::clone(&module.release));
            let Some(why) = ailment else { continue };
            tracing::warn!(tenant = %tenant.id, release = &*module.release, why, "module is unwell");
            let restarts = before.remove(&key).unwrap_or_else(|| Restarts {
                in_a_row: 0,
                next: Instant::now(),
                pause: host.config.health.every,
            });
            unwell.insert(key, restarts.one_more(host, &tenant, module).await);
        }
    }
    unwell
}

impl Restarts {
    /// Counts one more bad answer; activates the module anew when there were enough and the pause is over.
    async fn one_more(mut self, host: &Host, tenant: &Tenant, module: &Module) -> Self {
        self.in_a_row = self.in_a_row.saturating_add(1);
        let limits = &host.config.health;
        if self.in_a_row < limits.unhealthy_in_a_row_max || self.next > Instant::now() {
            return self;
        }
        let version = &module.manifest.version;
        let activated = lifecycle::activate(host, tenant, module, Some(version)).await;
        metrics::counter!("millwork_module_restarts_total", "tenant" => tenant.id.to_string(), "module" => module.manifest.name.clone())
            .increment(1);
        match activated {
            Ok(()) => {
                tracing::warn!(tenant = %tenant.id, release = &*module.release, "unwell module activated anew");
                module.poison.revive();
            }
            Err(error) => {
                tracing::error!(tenant = %tenant.id, release = &*module.release, %error, "unwell module does not start");
            }
        }
        self.next = Instant::now() + self.pause;
        self.pause = (self.pause * 2).min(limits.restart_max);
        self
    }
}

fn report(tenant: &Tenant, module: &Module, ailment: Option<&str>) {
    let name = &module.manifest.name;
    healthy(tenant, name).set(f64::from(u8::from(ailment.is_none())));
    let (id, name) = (tenant.id.to_string(), name.clone());
    let barred = module.poison.barred(std::time::Instant::now()).is_some();
    metrics::gauge!("millwork_module_quarantined", "tenant" => id, "module" => name)
        .set(f64::from(u8::from(barred)));
}

/// 1 while a module says that it can do its work, 0 while it says that it cannot, or did not load.
fn healthy(tenant: &Tenant, module: &str) -> metrics::Gauge {
    let (tenant, module) = (tenant.id.to_string(), module.to_owned());
    metrics::gauge!("millwork_module_healthy", "tenant" => tenant, "module" => module)
}
