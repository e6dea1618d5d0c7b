//! What a component is told and asked apart from its work: that it starts to serve, that it has ended, how it is.

use std::sync::Arc;

use semver::Version;

use super::Host;
use crate::bindings::types::Failure;
use crate::blocking;
use crate::capability::blobs::component::Keeping;
use crate::capability::documents::component::Access;
use crate::capability::search::component::Searching;
use crate::engine::Component;
use crate::engine::call::Effects;
use crate::error::{Error, Reason};
use crate::tenant::{Module, Tenant};

/// Tells a module that it starts to serve a tenant, in the place of `from` if there is one.
///
/// # Errors
/// [`Error::Activation`] when it says that it cannot.
pub(super) async fn activate(
    host: &Host,
    tenant: &Tenant,
    module: &Module,
    from: Option<&Version>,
) -> Result<(), Error> {
    let effects = effects(host, tenant, module);
    let text = Arc::clone(&tenant.caller().tenant);
    let (component, from) = (Arc::clone(&module.component), from.map(ToString::to_string));
    let activated =
        blocking::on_own_thread(
            move || async move { component.activate(text, effects, from.as_deref()).await },
        );
    let stopped = || Error::Unavailable("the activation was stopped".to_owned());
    let answer = activated.await.ok_or_else(stopped)?;
    let answer = answer.map_err(|error| module.failed(&tenant.id, "activate", error))?;
    answer.map_err(
        |(Failure::Retry(reason) | Failure::GiveUp(reason))| Error::Activation {
            release: module.release.to_string(),
            reason: Reason::from(reason),
        },
    )
}

/// Why a module cannot do its work, in its own words; nothing when it can.
pub(super) async fn ailment(host: &Host, tenant: &Tenant, module: &Module) -> Option<String> {
    let effects = effects(host, tenant, module);
    let text = Arc::clone(&tenant.caller().tenant);
    let component = Arc::clone(&module.component);
    let asked = blocking::on_own_thread(move || async move { component.health(text, effects).await });
    match asked.await {
        Some(Ok(answer)) => answer.err(),
        Some(Err(error)) => Some(module.failed(&tenant.id, "health", error).to_string()),
        None => Some("the host is shutting down".to_owned()),
    }
}

/// What is needed to tell a component that it has ended, without keeping its module alive.
pub(super) struct Farewell {
    component: Arc<Component>,
    tenant: Arc<str>,
    effects: Effects,
}

/// Prepares to tell a module that its last call has ended.
pub(super) fn farewell(host: &Host, tenant: &Tenant, module: &Module) -> Farewell {
    Farewell {
        component: Arc::clone(&module.component),
        tenant: Arc::clone(&tenant.caller().tenant),
        effects: effects(host, tenant, module),
    }
}

impl Farewell {
    /// Tells it. That it does not take it well is logged and changes nothing.
    pub(super) async fn say(self) {
        let (component, tenant) = (self.component, self.tenant);
        let label = Arc::clone(component.label());
        let effects = self.effects;
        let told =
            blocking::on_own_thread(move || async move { component.deactivate(tenant, effects).await });
        match told.await {
            Some(Ok(Ok(()))) => tracing::info!(release = &*label, "release drained and deactivated"),
            other => tracing::warn!(release = &*label, ?other, "release did not deactivate"),
        }
    }
}

fn effects(host: &Host, tenant: &Tenant, module: &Module) -> Effects {
    let access = Access::Read(Arc::clone(&tenant.documents));
    module.effects(
        &tenant.caller().tenant,
        access,
        &tenant.cache,
        Searching::Write(Arc::clone(&tenant.search)),
        Keeping::Write(Arc::clone(&tenant.blobs)),
        host.engine.limits(),
    )
}
