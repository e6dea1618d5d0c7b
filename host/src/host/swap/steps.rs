//! What a swap does between consent and flip: load, verify by replay, activate, rebuild.

use std::sync::Arc;

use indexmap::IndexMap;
use millwork_registry::generation::Installation;
use millwork_registry::replay::{Class, Consequence, Policy, Report};
use millwork_registry::swap::{Action, Change, Options, Step, Swap};

use super::drive::Drive;
use super::plan;
use crate::blocking;
use crate::error::Error;
use crate::host::{lifecycle, unavailable};
use crate::tenant::Module;

/// Loads the modules that will be new, unless they are loaded.
pub(super) fn load(drive: &mut Drive) -> Result<(), Error> {
    if !drive.candidates.is_empty() {
        return Ok(());
    }
    let swap = drive.live.swap();
    let new = swap.changes.iter().filter_map(|change| change.to.as_ref());
    let load = |installed: &Installation| Ok((installed.name.clone(), drive.host.load(installed)?));
    let loaded: Result<IndexMap<_, _>, Error> = blocking::run(|| new.map(load).collect());
    drive.candidates = loaded?;
    Ok(())
}

/// Tries each candidate that takes another release's place on what the tenant has recorded.
pub(super) async fn verify(drive: &mut Drive) -> Result<(), Error> {
    load(drive)?;
    let swap = drive.live.swap();
    let options = &swap.request.options;
    let policy = if goes_back(drive, &swap)? {
        lenient(&options.policy)
    } else {
        options.policy.clone()
    };
    let (mut reports, mut warnings, mut blocked) = (Vec::new(), Vec::new(), Vec::new());
    let mut one_way = Vec::new();
    for change in &swap.changes {
        let Some(report) = replayed(drive, change).await? else {
            continue;
        };
        let verdict = report.judge(&policy);
        // That there is no way back has a flag of its own.
        let barring: Vec<Class> = verdict
            .blocked
            .into_iter()
            .filter(|class| *class != Class::Unread)
            .collect();
        if !barring.is_empty() {
            blocked.push(report.explain(&barring));
        }
        if !verdict.warnings.is_empty() {
            warnings.push(report.explain(&verdict.warnings));
        }
        if verdict.one_way {
            one_way.push(report.explain(&[Class::Unread]));
        }
        reports.push(report);
    }
    // Kept whatever the outcome, so that all examples can be looked at.
    let refused = refusal(blocked, &one_way, options);
    drive.record(Step::Verified {
        reports,
        warnings,
        one_way: !one_way.is_empty(),
        passed: refused.is_none(),
    })?;
    refused.map_or(Ok(()), Err)
}

fn refusal(blocked: Vec<String>, one_way: &[String], options: &Options) -> Option<Error> {
    if !blocked.is_empty() {
        return Some(Error::Diverges(blocked.join("; ")));
    }
    if one_way.is_empty() {
        return None;
    }
    if !options.one_way {
        return Some(Error::OneWay(one_way.join("; ")));
    }
    let why = "a one-way swap can have no canary, as there would be no way back from it";
    options
        .canary
        .is_some()
        .then(|| Error::OneWay(format!("{why}: {}", one_way.join("; "))))
}

/// What the replay of one module's history found; nothing when there is nothing to compare.
async fn replayed(drive: &Drive, change: &Change) -> Result<Option<Report>, Error> {
    let swap = drive.live.swap();
    let Some(candidate) = drive.candidates.get(&change.module) else {
        return Ok(None);
    };
    if swap.request.options.skip_replay {
        return Ok(None);
    }
    let serving = baseline(drive, &change.module)?;
    let Some(serving) = serving.filter(|serving| serving.digest != candidate.digest) else {
        return Ok(None);
    };
    let limits = &drive.host.config;
    let time = match swap.request.action {
        // Whoever goes back is in a hurry.
        Action::RollBack { .. } => limits.swap.roll_back_replay_max,
        _ => limits.replay.duration_max,
    };
    let replayed = drive
        .host
        .replayer
        .replay(&drive.tenant, &serving, candidate, &drive.live.counter, time);
    replayed.await.map(Some)
}

/// What a candidate is held against: the release that serves, or, for a module that was disabled, the last that did.
fn baseline(drive: &Drive, module: &str) -> Result<Option<Arc<Module>>, Error> {
    let serving = drive.tenant.generation();
    if let Some(serving) = serving.modules.get(module) {
        return Ok(Some(Arc::clone(serving)));
    }
    blocking::run(|| {
        let now = drive.host.generations.load(&drive.tenant.id)?;
        let last = plan::last_installation(&drive.host, &now, module, |_| true)?;
        let Some(last) = last else { return Ok(None) };
        match drive.host.load(&last) {
            Ok(module) => Ok(Some(module)),
            Err(error) => {
                tracing::warn!(tenant = %drive.tenant.id, module, version = %last.version, %error, "what served last does not load, so there is nothing to compare with");
                Ok(None)
            }
        }
    })
}

/// Whether the swap goes back to a version that the tenant has run, and not under that name to any other.
fn goes_back(drive: &Drive, swap: &Swap) -> Result<bool, Error> {
    let Action::RollBack { version } = &swap.request.action else {
        return Ok(false);
    };
    blocking::run(|| {
        let now = drive.host.generations.load(&drive.tenant.id)?;
        let is_it = |past: &Installation| past.version == *version;
        Ok(plan::last_installation(&drive.host, &now, &swap.request.module, is_it)?.is_some())
    })
}

/// A rollback goes to a release because the one that serves decides wrongly: that the two differ is no surprise.
fn lenient(asked: &Policy) -> Policy {
    let expected = [
        Class::Events,
        Class::State,
        Class::Order,
        Class::Rejection,
        Class::Slower,
    ];
    let allow = |policy: Policy, class| policy.with(class, Consequence::Allow);
    expected.into_iter().fold(asked.clone(), allow)
}

/// Tells the candidates that they will serve.
pub(super) async fn activate(drive: &mut Drive) -> Result<(), Error> {
    load(drive)?;
    let swap = drive.live.swap();
    for change in &swap.changes {
        if let Some(module) = drive.candidates.get(&change.module) {
            // It may look at its own collections, which are not there yet when it is new.
            drive.tenant.documents.prepare(&module.all_collections()).await?;
            lifecycle::activate(&drive.host, &drive.tenant, module, change.from.as_ref()).await?;
        }
    }
    drive.record(Step::Activated)
}

/// Builds, in shadow, the read models that other versions of their projections have made.
pub(super) async fn rebuild(drive: &mut Drive) -> Result<(), Error> {
    load(drive)?;
    let mut rebuilt = Vec::new();
    for module in drive.candidates.values() {
        let outdated = drive.host.projector.outdated(&drive.tenant, module).await;
        for projection in outdated.map_err(unavailable)? {
            fill(drive, module, &projection).await?;
            rebuilt.push(format!("{}.{projection}", module.manifest.name));
        }
    }
    drive.record(Step::Rebuilt { projections: rebuilt })
}

async fn fill(drive: &Drive, module: &Arc<Module>, projection: &str) -> Result<(), Error> {
    let projector = Arc::clone(&drive.host.projector);
    let (tenant, module, projection) = (
        Arc::clone(&drive.tenant),
        Arc::clone(module),
        projection.to_owned(),
    );
    let niceness = drive.host.config.swap.rebuild_niceness;
    let filled = blocking::in_background(niceness, move || async move {
        projector.fill_shadow_checked(&tenant, &module, &projection).await
    });
    let stopped = || Error::Unavailable("the rebuild was stopped".to_owned());
    filled.await.ok_or_else(stopped)?.map_err(unavailable)
}
