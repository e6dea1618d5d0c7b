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
use crate::tenant::pulse::{Pulse, Side};
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
        let Some(trial) = job.on(candidate, rival)? else {
            return self.run(tenant, &job).await;
        };
        let done = self.run(tenant, &trial).await;
        let failed = done
            .as_ref()
            .err()
            .is_some_and(|error| is_fault(&canary.pulse, &trial, error));
        note(&canary.pulse.candidate, &trial, &done);
        canary.pulse.beat.notify_one();
        if failed {
            metrics::counter!("millwork_canary_retries_total").increment(1);
            return self.run(tenant, &job).await;
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

/// Whether the candidate is to blame; if so, the pulse has it.
fn is_fault(pulse: &Pulse, trial: &Job, error: &Error) -> bool {
    match error {
        Error::Diverges(told) => pulse.divergence(told.clone()),
        Error::Component {
            source: CallError::Unavailable(_),
            ..
        } => return false,
        Error::Component { .. } | Error::Contract { .. } | Error::Quarantined { .. } => {
            pulse.fault(format!("{} of {}: {error}", trial.name, trial.target.id));
        }
        _ => return false,
    }
    true
}

fn note(side: &Side, job: &Job, done: &Result<Executed, Error>) {
    match done {
        Ok(executed) if executed.replayed => {}
        Ok(_) | Err(Error::Diverges(_) | Error::Component { .. } | Error::Contract { .. }) => {
            side.accepted(job.decided_in());
        }
        Err(Error::Rejected(_)) => side.rejected(job.decided_in()),
        Err(_) => {}
    }
}
