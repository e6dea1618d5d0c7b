//! A command during a canary: decided by the candidate if its aggregate is in the share, and by the serving release
//! whenever the candidate fails at it or decides otherwise than it must. The client sees none of that.

use std::sync::Arc;

use millwork_registry::replay::{Class, Consequence, Policy};

use super::job::Job;
use super::{Dispatcher, Executed};
use crate::engine::CallError;
use crate::engine::component::{Asked, Verdict};
use crate::error::Error;
use crate::replay;
use crate::tenant::pulse::Side;
use crate::tenant::{Canary, Module, Tenant};

/// The release that serves, asked for a second opinion on what its candidate decides.
pub(super) struct Rival {
    module: Arc<Module>,
    policy: Policy,
}

impl Dispatcher {
    /// Executes a command while a canary is on.
    pub(super) async fn run_in_trial(
        &self,
        tenant: &Arc<Tenant>,
        canary: &Canary,
        job: Job,
    ) -> Result<Executed, Error> {
        let Some(candidate) = canary.candidate(&job.target) else {
            let done = self.run(tenant, &job).await;
            if canary.candidates.contains_key(&job.target.module) {
                note(&canary.pulse.serving, &job, &done);
            }
            return done;
        };
        let rival = Rival::of(&job.module, candidate, &job.target.aggregate, &canary.policy);
        let trial = match job.on(candidate, rival) {
            Ok(None) => return self.run(tenant, &job).await,
            Ok(Some(trial)) => trial,
            Err(error) => return self.run_instead(tenant, canary, &job, &error).await,
        };
        let done = self.run(tenant, &trial).await;
        match &done {
            Err(error) if is_suspect(error) => return self.run_instead(tenant, canary, &job, error).await,
            done => note(&canary.pulse.candidate, &trial, done),
        }
        canary.pulse.beat.notify_one();
        done
    }

    /// Executes a command that the candidate failed at on the release that serves. Only where that does better is the
    /// candidate to blame: some commands are nobody's.
    async fn run_instead(
        &self,
        tenant: &Arc<Tenant>,
        canary: &Canary,
        job: &Job,
        error: &Error,
    ) -> Result<Executed, Error> {
        metrics::counter!("millwork_canary_retries_total").increment(1);
        let done = self.run(tenant, job).await;
        if matches!(done, Ok(_) | Err(Error::Rejected(_))) {
            let told = format!("{} of {}: {error}", job.name, job.target.id);
            canary.pulse.candidate.accepted(job.decided_in());
            match error {
                Error::Diverges(told) => canary.pulse.divergence(told.clone()),
                _ => canary.pulse.fault(told),
            }
            canary.pulse.beat.notify_one();
        }
        done
    }
}

impl Rival {
    /// Nothing when the two could not be compared: their states have other shapes, or the policy lets all pass.
    fn of(serving: &Arc<Module>, candidate: &Module, aggregate: &str, policy: &Policy) -> Option<Self> {
        let shape = |module: &Module| Some(module.manifest.aggregates.get(aggregate)?.state_version);
        let same_shape = shape(serving).is_some() && shape(serving) == shape(candidate);
        let compared = [Class::Events, Class::Order, Class::Rejection];
        let matters = compared
            .into_iter()
            .any(|class| policy.of(class) == Consequence::Block);
        (same_shape && matters).then(|| Self {
            module: Arc::clone(serving),
            policy: policy.clone(),
        })
    }

    /// Asks the serving release the same and holds the answers against each other.
    ///
    /// # Errors
    /// [`Error::Diverges`] when they differ in a way that the policy bars.
    pub(super) async fn check_agrees(
        &self,
        tenant: &Tenant,
        asked: &Asked,
        verdict: &Verdict,
    ) -> Result<(), Error> {
        let mut again = asked.clone();
        again.context.config = self.module.config.to_string();
        // What the serving release fails at cannot be held against the candidate.
        let Ok((_, expected)) = self.module.component.decide(tenant.caller(), again).await else {
            return Ok(());
        };
        match replay::disagreement(&expected, verdict) {
            Some((class, difference)) if self.policy.of(class) == Consequence::Block => {
                let (name, of) = (&asked.command.name, &asked.target.of);
                Err(Error::Diverges(format!(
                    "{name} of {} {}: {difference}",
                    of.aggregate, of.id
                )))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the serving release could do better. Among these are facts and views that only the candidate's read models or
/// other candidates would have.
fn is_suspect(error: &Error) -> bool {
    match error {
        Error::Component { source, .. } => !matches!(source, CallError::Unavailable(_)),
        Error::Diverges(_) | Error::Contract { .. } | Error::Quarantined { .. } => true,
        Error::NotFound { .. } | Error::Malformed(_) | Error::ModuleBroken(_) => true,
        _ => false,
    }
}

fn note(side: &Side, job: &Job, done: &Result<Executed, Error>) {
    match done {
        Ok(executed) if executed.replayed => {}
        Ok(_) => side.accepted(job.decided_in()),
        Err(Error::Rejected(_)) => side.rejected(job.decided_in()),
        Err(_) => {}
    }
}
