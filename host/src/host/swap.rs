//! Changing what a tenant runs while it runs.
//!
//! Everything that can fail happens beside the generation that serves: loading, activation, read models in shadow. Then
//! the new generation is written down, the shadows take their place and the pointer is flipped. Whoever is in flight
//! keeps the old modules, which are told to deactivate when the last call has ended.

use std::sync::Arc;

use millwork_registry::generation::{self, Installation};
use millwork_registry::id::TenantId;
use millwork_registry::manifest::Manifest;
use semver::Version;
use serde::Serialize;
use serde_json::Value;

use super::{Host, unavailable};
use crate::bindings::types::Failure;
use crate::blocking;
use crate::capability::documents::component::Access;
use crate::capability::platform::now_ms;
use crate::error::{Error, Reason};
use crate::event_store::Position;
use crate::tenant::{Generation, Module, Tenant};

/// What a swap changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Swapped {
    /// The tenant.
    pub tenant: TenantId,
    /// The module.
    pub module: String,
    /// The version that served before.
    pub from: Option<Version>,
    /// The version that serves now.
    pub to: Option<Version>,
    /// The tenant's generation now.
    pub generation: u64,
}

impl Host {
    /// Enables a module for a tenant, or moves it to another version. Without `config` an earlier configuration stays.
    ///
    /// # Errors
    /// [`Error::Registry`] when the release is unknown or does not fit the others, [`Error::Load`] and
    /// [`Error::Activation`] when it does not start; the tenant runs what it ran before then.
    pub async fn enable(
        &self,
        tenant: &TenantId,
        module: &str,
        version: &Version,
        config: Option<Value>,
    ) -> Result<Swapped, Error> {
        let tenant = self.tenant(tenant)?;
        let _one_at_a_time = tenant.swapping.lock().await;
        let before = self.generations.load(&tenant.id)?;
        let release = self.catalog.get(module, version)?;
        let old = before.installations.get(module);
        let given = config.or_else(|| old.and_then(|old| old.given.clone()));
        let new = Installation::of(&release, given, now_ms())?;
        let serving = tenant.generation();
        let next = before.with(new.clone(), &manifests(&serving, Some(&release.manifest)))?;
        let swapped = Swapped {
            tenant: tenant.id.clone(),
            module: module.to_owned(),
            from: old.map(|old| old.version.clone()),
            to: Some(version.clone()),
            generation: next.number,
        };
        if old.is_some_and(|old| old.digest == new.digest && old.config == new.config) {
            return Ok(Swapped {
                generation: before.number,
                ..swapped
            });
        }
        let candidate = blocking::run(|| self.load(&new))?;
        self.activate(&tenant, &candidate, swapped.from.as_ref()).await?;
        self.flip(&tenant, &before, next, Some(candidate)).await?;
        tracing::info!(tenant = %tenant.id, module, from = ?swapped.from, to = %version, "module swapped");
        Ok(swapped)
    }

    /// Disables a module for a tenant. Its events and documents stay.
    ///
    /// # Errors
    /// [`Error::Registry`] when it is not enabled or others depend on it.
    pub async fn disable(&self, tenant: &TenantId, module: &str) -> Result<Swapped, Error> {
        let tenant = self.tenant(tenant)?;
        let _one_at_a_time = tenant.swapping.lock().await;
        let before = self.generations.load(&tenant.id)?;
        let from = before
            .installations
            .get(module)
            .map(|installed| installed.version.clone());
        let next = before.without(module, &manifests(&tenant.generation(), None))?;
        let generation = next.number;
        self.flip(&tenant, &before, next, None).await?;
        Ok(Swapped {
            tenant: tenant.id.clone(),
            module: module.to_owned(),
            from,
            to: None,
            generation,
        })
    }

    /// Builds one projection's read models anew, while the old ones serve. Gives the position reached.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such projection, [`Error::Unavailable`] when it cannot be built.
    pub async fn rebuild(
        &self,
        tenant: &TenantId,
        module: &str,
        projection: &str,
    ) -> Result<Position, Error> {
        let tenant = self.tenant(tenant)?;
        let _one_at_a_time = tenant.swapping.lock().await;
        let generation = tenant.generation();
        let module = generation.module(module)?;
        if !module.manifest.projections.contains_key(projection) {
            return Err(Error::NotFound {
                what: "projection".to_owned(),
                id: projection.to_owned(),
            });
        }
        self.rebuild_with(&tenant, module, projection).await
    }

    /// Why a module cannot do its work, in its own words; nothing when it can.
    pub async fn ailment(&self, tenant: &Arc<Tenant>, module: &Arc<Module>) -> Option<String> {
        let access = Access::Read(Arc::clone(&tenant.documents));
        let text = Arc::clone(&tenant.caller().tenant);
        let effects = module.effects(&text, access, &tenant.cache, self.engine.limits());
        let component = Arc::clone(&module.component);
        let asked = blocking::on_own_thread(move || async move { component.health(text, effects).await });
        match asked.await {
            Some(Ok(answer)) => answer.err(),
            Some(Err(error)) => Some(module.failed(&tenant.id, "health", error).to_string()),
            None => Some("the host is shutting down".to_owned()),
        }
    }

    pub(super) async fn rebuild_with(
        &self,
        tenant: &Arc<Tenant>,
        module: &Arc<Module>,
        projection: &str,
    ) -> Result<Position, Error> {
        let projector = Arc::clone(&self.projector);
        let (tenant, module, projection) = (Arc::clone(tenant), Arc::clone(module), projection.to_owned());
        let rebuilt =
            blocking::on_own_thread(
                move || async move { projector.rebuild(&tenant, &module, &projection).await },
            );
        let stopped = || Error::Unavailable("the rebuild was stopped".to_owned());
        rebuilt.await.ok_or_else(stopped)?.map_err(unavailable)
    }

    async fn activate(
        &self,
        tenant: &Arc<Tenant>,
        module: &Arc<Module>,
        from: Option<&Version>,
    ) -> Result<(), Error> {
        let access = Access::Read(Arc::clone(&tenant.documents));
        let text = Arc::clone(&tenant.caller().tenant);
        let effects = module.effects(&text, access, &tenant.cache, self.engine.limits());
        let (component, from) = (Arc::clone(&module.component), from.map(ToString::to_string));
        let activated = blocking::on_own_thread(move || async move {
            component.activate(text, effects, from.as_deref()).await
        });
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

    /// Puts `next` in the place of `before`; `candidate` is the module that is new in it.
    async fn flip(
        &self,
        tenant: &Arc<Tenant>,
        before: &generation::Generation,
        next: generation::Generation,
        candidate: Option<Arc<Module>>,
    ) -> Result<(), Error> {
        let serving = tenant.generation();
        let mut modules = serving.modules.clone();
        modules.retain(|name, _| next.installations.contains_key(name));
        let mut outdated = Vec::new();
        if let Some(module) = &candidate {
            modules.insert(module.manifest.name.clone(), Arc::clone(module));
            tenant.documents.prepare(&module.all_collections()).await?;
            outdated = self
                .projector
                .outdated(tenant, module)
                .await
                .map_err(unavailable)?;
            self.fill_shadows(tenant, module, &outdated).await?;
        }
        let generation = Generation::new(next.number, modules)?;

        let still = tenant.projecting.lock().await;
        self.generations.save(&next)?;
        if let Some(module) = &candidate
            && let Err(error) = self.promote(tenant, module, &outdated).await
        {
            self.generations.save(&next.back_to(before))?;
            return Err(error);
        }
        let replaced = tenant.replace(generation);
        drop(still);
        drop(serving);
        self.drain(tenant, replaced).await;
        Ok(())
    }

    async fn fill_shadows(
        &self,
        tenant: &Arc<Tenant>,
        module: &Arc<Module>,
        names: &[String],
    ) -> Result<(), Error> {
        for name in names {
            let name = name.clone();
            let projector = Arc::clone(&self.projector);
            let (tenant, module) = (Arc::clone(tenant), Arc::clone(module));
            let filled = blocking::on_own_thread(move || async move {
                projector.fill_shadow(&tenant, &module, &name).await
            });
            let stopped = || Error::Unavailable("the rebuild was stopped".to_owned());
            filled.await.ok_or_else(stopped)?.map_err(unavailable)?;
        }
        Ok(())
    }

    async fn promote(&self, tenant: &Tenant, module: &Module, names: &[String]) -> Result<(), Error> {
        for name in names {
            self.projector
                .promote(tenant, module, name)
                .await
                .map_err(unavailable)?;
        }
        Ok(())
    }

    /// Lets the modules that are no longer served end their last calls, then tells them so.
    async fn drain(&self, tenant: &Arc<Tenant>, replaced: Arc<Generation>) {
        let serving = tenant.generation();
        let gone = replaced.modules.iter().filter(|(name, module)| {
            serving
                .modules
                .get(*name)
                .is_none_or(|serving| !Arc::ptr_eq(serving, module))
        });
        let gone: Vec<Arc<Module>> = gone.map(|(_, module)| Arc::clone(module)).collect();
        drop(replaced);
        for module in gone {
            let (mut drained, component) = (module.drained(), Arc::clone(&module.component));
            let text = Arc::clone(&tenant.caller().tenant);
            let access = Access::Read(Arc::clone(&tenant.documents));
            let effects = module.effects(&text, access, &tenant.cache, self.engine.limits());
            drop(module);
            let mut stop = self.stop.subscribe();
            self.tasks.lock().await.spawn(async move {
                tokio::select! {
                    _ = drained.changed() => {}
                    _ = stop.wait_for(|stop| *stop) => return,
                }
                let label = Arc::clone(component.label());
                let deactivate = move || async move { component.deactivate(text, effects).await };
                match blocking::on_own_thread(deactivate).await {
                    Some(Ok(Ok(()))) => tracing::info!(release = &*label, "release drained and deactivated"),
                    other => tracing::warn!(release = &*label, ?other, "release did not deactivate"),
                }
            });
        }
    }
}

/// The manifests of the modules that serve, with `candidate` in the place of its predecessor.
fn manifests(serving: &Generation, candidate: Option<&Manifest>) -> Vec<Manifest> {
    let replaced = |name: &String| candidate.is_some_and(|candidate| candidate.name == *name);
    let others = serving.modules.iter().filter(|(name, _)| !replaced(name));
    others
        .map(|(_, module)| module.manifest.clone())
        .chain(candidate.cloned())
        .collect()
}
