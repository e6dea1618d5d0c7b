//! The canary of a swap: a share of the aggregates on the candidates until something speaks against them, the time is
//! over, or enough commands have passed.

use std::sync::Arc;
use std::time::Duration;

use millwork_registry::swap::{CanaryPlan, Step};
use tokio::time::Instant;

use super::drive::Drive;
use super::live::Wish;
use crate::error::Error;
use crate::tenant::Canary;

/// A canary needs a release that serves already and another one beside it.
pub(super) fn has_what_to_try(drive: &Drive) -> bool {
    let serving = drive.tenant.generation();
    drive
        .candidates
        .keys()
        .any(|name| serving.modules.contains_key(name))
}

/// Runs the canary to its end.
///
/// # Errors
/// [`Error::CanaryFailed`] with what spoke against the candidate.
pub(super) async fn run(drive: &Drive, plan: CanaryPlan) -> Result<(), Error> {
    let swap = drive.live.swap();
    let serving = drive.tenant.generation();
    let tried = drive.candidates.iter();
    let tried = tried.filter(|(name, _)| serving.modules.contains_key(*name));
    let canary = Arc::new(Canary::new(
        tried
            .map(|(name, module)| (name.clone(), Arc::clone(module)))
            .collect(),
        swap.request.options.policy,
        plan.percent,
        swap.number,
        drive.host.config.swap.divergences_kept,
    ));
    drive.live.show_canary(Some(Arc::clone(&canary)));
    drive.record(Step::CanaryStarted { plan: plan.clone() })?;
    drive
        .tenant
        .replace(serving.with_canary(Some(Arc::clone(&canary))));
    let by = watch(drive, &canary, &plan).await?;
    let commands = canary.pulse.read().candidate_commands;
    drive.record(Step::CanaryPassed { commands, by })
}

/// Takes a canary away, if one is on: all aggregates are the serving release's again.
pub(super) fn end(drive: &Drive) {
    drive.live.show_canary(None);
    let serving = drive.tenant.generation();
    if serving.canary.is_some() {
        drive.tenant.replace(serving.with_canary(None));
    }
}

/// Watches until it has passed; who ended it early, if somebody did.
async fn watch(drive: &Drive, canary: &Canary, plan: &CanaryPlan) -> Result<Option<String>, Error> {
    let end = Instant::now() + Duration::from_secs(plan.seconds);
    let promoted = |wish: &Wish| match wish {
        Wish::Promote { by } => Some(by.clone()),
        _ => None,
    };
    let mut ended = None;
    loop {
        let reading = canary.pulse.read();
        if let Some(why) = reading.verdict(plan.slower_max, plan.rejections_more_max) {
            return Err(Error::CanaryFailed(why));
        }
        if let Some(by) = ended {
            return Ok(by);
        }
        if plan
            .commands
            .is_some_and(|enough| reading.candidate_commands >= enough)
        {
            return Ok(None);
        }
        tokio::select! {
            () = canary.pulse.beat.notified() => {}
            // What was seen last counts too.
            () = tokio::time::sleep_until(end) => ended = Some(None),
            by = drive.live.wish(promoted) => ended = Some(Some(by)),
            cancelled = drive.live.cancelled() => return Err(cancelled),
        }
    }
}
