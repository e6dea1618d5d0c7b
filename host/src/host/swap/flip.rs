//! The flip: the new generation is written down, rebuilt read models take their place, and one pointer is replaced.
//!
//! The file with the generation decides whether a swap has happened. Everything before can be dropped, everything after
//! is made up for when the host starts again. Who is in flight keeps the old modules, which are told to deactivate when
//! the last call has ended.

use std::sync::Arc;

use millwork_registry::generation;
use millwork_registry::swap::{Step, Swap};
use tokio::sync::watch;

use super::drive::Drive;
use super::plan;
use crate::blocking;
use crate::error::Error;
use crate::host::{Host, lifecycle, unavailable};
use crate::tenant::{Generation, Module, Tenant};

/// Flips, and gives the generation replaced.
pub(super) async fn flip(drive: &Drive) -> Result<Arc<Generation>, Error> {
    let (host, tenant, swap) = (&drive.host, &drive.tenant, drive.live.swap());
    catch_up(drive, &swap).await?;
    host.deliverer.begin(tenant, drive.candidates.values()).await?;

    let still = tenant.projecting.lock().await;
    let serving = tenant.generation();
    let (before, next) = blocking::run(|| next(drive, &swap, &serving))?;
    let generation = generation(drive, &swap, &serving, next.number)?;
    // The last moment: what follows is not taken back by anybody.
    if let Some(cancelled) = drive.live.is_cancelled() {
        return Err(cancelled);
    }
    let number = next.number;
    drive.record(Step::Flipping { generation: number })?;
    blocking::run(|| save(host, &next))?;
    if let Err(error) = promote(drive, &swap, &serving).await {
        blocking::run(|| host.generations.save(&next.back_to(&before)))?;
        return Err(error);
    }
    let replaced = tenant.replace(generation);
    drive.live.show_canary(None);
    drop(still);
    host.announce(tenant).await;
    if let Err(error) = drive.record(Step::Flipped { generation: number }) {
        // It has happened all the same: the generation's file says so when the host starts again.
        tracing::error!(tenant = %tenant.id, swap = swap.number, %error, "a flip could not be written down");
    }
    Ok(replaced)
}

/// The generation that runs, and the one that follows it. Releases that were revoked or withdrawn since the swap was
/// planned are refused here. Blocks.
fn next(
    drive: &Drive,
    swap: &Swap,
    serving: &Generation,
) -> Result<(generation::Generation, generation::Generation), Error> {
    let host = &drive.host;
    let before = host.generations.load(&swap.tenant)?;
    for change in &swap.changes {
        if let Some(new) = &change.to {
            let installed = before.installations.get(&new.name).map(|old| &old.digest);
            host.catalog.installable(&new.name, &new.version, installed)?;
        }
    }
    let mut manifests = plan::manifests(host, &before, serving, &swap.changes);
    manifests.extend(drive.candidates.values().map(|module| module.manifest.clone()));
    let next = before.after(&swap.changes, &manifests)?;
    Ok((before, next))
}

/// The generation as the host runs it.
fn generation(drive: &Drive, swap: &Swap, serving: &Generation, number: u64) -> Result<Generation, Error> {
    let mut modules = serving.modules.clone();
    let mut broken = serving.broken.clone();
    for change in &swap.changes {
        broken.shift_remove(&change.module);
        match drive.candidates.get(&change.module) {
            Some(module) => drop(modules.insert(change.module.clone(), Arc::clone(module))),
            None => drop(modules.shift_remove(&change.module)),
        }
    }
    Ok(Generation::new(number, modules)?.without(broken))
}

/// Writes the generation down. An error after the record is in place is none: the record decides. Blocks.
fn save(host: &Host, next: &generation::Generation) -> Result<(), Error> {
    let saved = host.generations.save(next);
    match host.generations.load(&next.tenant) {
        Ok(current) if current == *next => {
            if let Err(error) = saved {
                tracing::error!(tenant = %next.tenant, %error, "a generation is in place, but not all was done for it");
            }
            Ok(())
        }
        _ => Ok(saved?),
    }
}

/// Puts the shadows in place. When one cannot be, those before it are built anew by the modules that go on, before
/// anything else is projected.
async fn promote(drive: &Drive, swap: &Swap, serving: &Generation) -> Result<(), Error> {
    let (projector, tenant) = (&drive.host.projector, &drive.tenant);
    let mut promoted: Vec<(&String, &str)> = Vec::new();
    for (name, module) in &drive.candidates {
        for projection in projections_of(module, &swap.rebuilt) {
            if let Err(error) = projector.promote(tenant, module, projection).await {
                for (name, projection) in promoted {
                    if let Some(old) = serving.modules.get(name) {
                        projector
                            .fill_shadow(tenant, old, projection)
                            .await
                            .map_err(unavailable)?;
                        projector
                            .promote(tenant, old, projection)
                            .await
                            .map_err(unavailable)?;
                    }
                }
                return Err(unavailable(error));
            }
            promoted.push((name, projection));
        }
    }
    Ok(())
}

/// Takes into the shadows what has happened since they were filled, so that little is left for the moment in which the
/// projector is held still.
async fn catch_up(drive: &Drive, swap: &Swap) -> Result<(), Error> {
    for module in drive.candidates.values() {
        for projection in projections_of(module, &swap.rebuilt) {
            let projector = Arc::clone(&drive.host.projector);
            let (tenant, module) = (Arc::clone(&drive.tenant), Arc::clone(module));
            let projection = projection.to_owned();
            let niceness = drive.host.config.swap.rebuild_niceness;
            let caught_up = blocking::in_background(niceness, move || async move {
                projector.catch_up_shadow(&tenant, &module, &projection).await
            });
            let stopped = || Error::Unavailable("the rebuild was stopped".to_owned());
            caught_up.await.ok_or_else(stopped)?.map_err(unavailable)?;
        }
    }
    Ok(())
}

/// Names of the projections of a module among those that were rebuilt, `<module>.<Projection>`.
fn projections_of<'a>(module: &'a Module, rebuilt: &'a [String]) -> impl Iterator<Item = &'a str> {
    rebuilt.iter().filter_map(|key| {
        let (name, projection) = key.split_once('.')?;
        (name == module.manifest.name).then_some(projection)
    })
}

/// The modules of a generation that was replaced which the one that serves does not have.
pub(super) fn gone(tenant: &Tenant, replaced: &Generation) -> Vec<Arc<Module>> {
    let serving = tenant.generation();
    let kept = |name: &str, module: &Arc<Module>| {
        let serving = serving.modules.get(name);
        serving.is_some_and(|serving| Arc::ptr_eq(serving, module))
    };
    let gone = replaced
        .modules
        .iter()
        .filter(|(name, module)| !kept(name, module));
    gone.map(|(_, module)| Arc::clone(module)).collect()
}

/// Waits, within bounds, until modules have ended their last calls and tells each so. Gives the releases whose calls go
/// on: they stay loaded, and are told when those have ended. Nothing when the host stops before.
pub(super) async fn retire(
    host: &Arc<Host>,
    tenant: &Arc<Tenant>,
    modules: Vec<Arc<Module>>,
) -> Option<Vec<String>> {
    let mut resident = Vec::new();
    let waiting: Vec<_> = modules
        .iter()
        .map(|module| {
            (
                Arc::clone(&module.release),
                module.drained(),
                lifecycle::farewell(host, tenant, module),
            )
        })
        .collect();
    drop(modules);
    let bound = tokio::time::Instant::now() + host.config.swap.drain_max;
    for (release, mut drained, farewell) in waiting {
        let (mut stop, mut left) = (host.stop.subscribe(), tenant.left());
        tokio::select! {
            _ = drained.changed() => farewell.say().await,
            () = stopped(&mut stop) => return None,
            () = stopped(&mut left) => return None,
            () = tokio::time::sleep_until(bound) => {
                tracing::warn!(tenant = %tenant.id, release = &*release, "calls on a replaced release go on beyond the bound");
                resident.push(release.to_string());
                host.spawn(async move {
                    tokio::select! {
                        _ = drained.changed() => farewell.say().await,
                        () = stopped(&mut stop) => {}
                        () = stopped(&mut left) => {}
                    }
                }).await;
            }
        }
    }
    Some(resident)
}

/// Waits until the host stops, or the tenant leaves it.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the host is gone, which is as good.
    drop(stop.wait_for(|stop| *stop).await);
}
