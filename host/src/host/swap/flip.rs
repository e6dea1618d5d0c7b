//! The flip: the new generation is written down, rebuilt read models take their place, and one pointer is replaced.
//!
//! The file with the generation decides whether a swap has happened. Everything before can be dropped, everything after
//! is made up for when the host starts again. Who is in flight keeps the old modules, which are told to deactivate when
//! the last call has ended.

use std::sync::Arc;

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
    let before = host.generations.load(&tenant.id)?;
    let serving = tenant.generation();
    let next = before.after(
        &swap.changes,
        &plan::manifests(&serving, drive.candidates.values()),
    )?;
    let mut modules = serving.modules.clone();
    let mut broken = serving.broken.clone();
    for change in &swap.changes {
        broken.shift_remove(&change.module);
        match drive.candidates.get(&change.module) {
            Some(module) => drop(modules.insert(change.module.clone(), Arc::clone(module))),
            None => drop(modules.shift_remove(&change.module)),
        }
    }
    let generation = Generation::new(next.number, modules)?.without(broken);
    drop(serving);
    catch_up(drive, &swap).await?;

    let still = tenant.projecting.lock().await;
    drive.record(Step::Flipping {
        generation: next.number,
    })?;
    blocking::run(|| host.generations.save(&next))?;
    for module in drive.candidates.values() {
        for projection in projections_of(module, &swap.rebuilt) {
            if let Err(error) = host.projector.promote(tenant, module, projection).await {
                blocking::run(|| host.generations.save(&next.back_to(&before)))?;
                drop(still);
                // Those that were in place already are not those of the modules that go on.
                host.resume_rebuilds(tenant).await?;
                return Err(unavailable(error));
            }
        }
    }
    let replaced = tenant.replace(generation);
    drive.live.show_canary(None);
    drop(still);
    let generation = next.number;
    if let Err(error) = drive.record(Step::Flipped { generation }) {
        // It has happened all the same: the generation's file says so when the host starts again.
        tracing::error!(tenant = %tenant.id, swap = swap.number, %error, "a flip could not be written down");
    }
    Ok(replaced)
}

/// Takes into the shadows what has happened since they were filled, so that little is left for the moment in which the
/// projector is held still.
async fn catch_up(drive: &Drive, swap: &Swap) -> Result<(), Error> {
    for module in drive.candidates.values() {
        for projection in projections_of(module, &swap.rebuilt) {
            let projector = Arc::clone(&drive.host.projector);
            let (tenant, module) = (Arc::clone(&drive.tenant), Arc::clone(module));
            let projection = projection.to_owned();
            let caught_up = blocking::on_own_thread(move || async move {
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
/// on: they stay loaded, and are told when those have ended.
pub(super) async fn retire(host: &Arc<Host>, tenant: &Arc<Tenant>, modules: Vec<Arc<Module>>) -> Vec<String> {
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
        let mut stop = host.stop.subscribe();
        tokio::select! {
            _ = drained.changed() => farewell.say().await,
            () = stopped(&mut stop) => {}
            () = tokio::time::sleep_until(bound) => {
                tracing::warn!(tenant = %tenant.id, release = &*release, "calls on a replaced release go on beyond the bound");
                resident.push(release.to_string());
                host.spawn(async move {
                    tokio::select! {
                        _ = drained.changed() => farewell.say().await,
                        () = stopped(&mut stop) => {}
                    }
                }).await;
            }
        }
    }
    resident
}

/// Waits until the host stops.
async fn stopped(stop: &mut watch::Receiver<bool>) {
    // An error means that the host is gone, which is as good.
    drop(stop.wait_for(|stop| *stop).await);
}
