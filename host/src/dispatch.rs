//! START HERE: what happens to a command, on one screen in [`Dispatcher::execute`].
//!
//! Loaded, decided, appended; on a version conflict loaded and decided again. Commands that touch the same aggregate or
//! sequence line up in [`lanes`] only until their append is queued, not until it is durable: the next one decides on the
//! state that the append will lead to ([`states`]), and the store's version check makes it decide again if that append
//! fails. So one aggregate takes as many commands per write to the disk as come in, and still each reply waits for the
//! disk.

mod job;
mod facts;
mod states;
mod lanes;
mod outcome;
mod trial;

use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;

use self::facts::{Facts, Seen};
use self::job::Job;
use self::lanes::{Lanes, Passage};
use self::outcome::Outcome;
use self::states::States;
use crate::bindings::types;
use crate::config::DispatchLimits;
use crate::error::{Error, Rejection};
use crate::event_store::{AppendError, EventStore, Journalled, Origin, Position, Recorded, Subject};
use crate::project::Projector;
use crate::tenant::{Canary, Module, Tenant};

/// Executes commands of all tenants.
pub struct Dispatcher {
    events: Arc<dyn EventStore>,
    projector: Arc<Projector>,
    states: States,
    lanes: Lanes,
    limits: DispatchLimits,
}

/// A command as a caller asks for it.
pub struct Request {
    /// The module whose command it is.
    pub module: Arc<Module>,
    /// The command's name.
    pub command: String,
    /// The aggregate's id; a command that creates may leave it to the host.
    pub target: Option<String>,
    /// The body, an object.
    pub data: Value,
    /// The caller's idempotency key.
    pub command_id: Option<String>,
    /// The version that the aggregate must be at.
    pub expected_version: Option<u64>,
    /// Who asks. The command's id becomes the causation.
    pub origin: Origin,
    /// Whether nothing is to be recorded.
    pub dry_run: bool,
    /// Candidates that may have to decide in the module's place.
    pub canary: Option<Arc<Canary>>,
}

/// What a command led to.
#[derive(Debug)]
pub struct Executed {
    /// The aggregate.
    pub target: Subject,
    /// Whether the command created it.
    pub created: bool,
    /// Its version now.
    pub version: u64,
    /// Last position of the tenant's feed with this command in it; 0 in a dry run.
    pub position: Position,
    /// The events recorded, or that would be; those have position 0.
    pub events: Vec<Recorded>,
    /// Whether this is the outcome of an earlier request with the same idempotency key.
    pub replayed: bool,
    /// In a dry run, the states that would be.
    pub dry_run_states: Option<Vec<(Subject, Arc<str>)>>,
}

/// How one attempt ended.
enum Attempt {
    Done(Executed),
    /// What was seen has changed: once more.
    Again,
}

impl Dispatcher {
    /// A dispatcher that appends to `events`, and waits for read models that `projector` builds of them.
    #[must_use]
    pub fn new(events: Arc<dyn EventStore>, projector: Arc<Projector>, limits: DispatchLimits) -> Self {
        let states = States::new(Arc::clone(&events), &limits);
        Self {
            events,
            projector,
            states,
            lanes: Lanes::default(),
            limits,
        }
    }

    /// Executes a command. A success is durable.
    ///
    /// # Errors
    /// See [`Error`]; nothing is recorded then.
    pub async fn execute(&self, tenant: &Arc<Tenant>, mut request: Request) -> Result<Executed, Error> {
        let canary = request.canary.take();
        let job = Job::new(request)?;
        match canary {
            None => self.run(tenant, &job).await,
            Some(canary) => self.run_in_trial(tenant, &canary, job).await,
        }
    }

    async fn run(&self, tenant: &Arc<Tenant>, job: &Job) -> Result<Executed, Error> {
        job.module.check_admitted()?;
        let mut facts = Facts::AsTheyAre;
        for _ in 0..self.limits.attempts_max {
            if let Some(first) = self.first_outcome(tenant, job).await? {
                return Ok(first);
            }
            tenant.check_open()?;
            if let Attempt::Done(executed) = self.attempt(tenant, job, &mut facts).await? {
                return Ok(executed);
            }
            metrics::counter!("millwork_command_conflicts_total").increment(1);
        }
        Err(Error::Contention(self.limits.attempts_max))
    }

    /// The outcome of an earlier request with the same idempotency key.
    async fn first_outcome(&self, tenant: &Tenant, job: &Job) -> Result<Option<Executed>, Error> {
        let Some(key) = job.idempotency_key() else {
            return Ok(None);
        };
        match self.events.outcome(&tenant.id, key).await? {
            None => Ok(None),
            Some((fingerprint, appended)) if fingerprint == job.fingerprint => {
                Ok(Some(job.replayed(appended)))
            }
            Some(_) => Err(Error::KeyReused(key.to_owned())),
        }
    }

    async fn attempt(&self, tenant: &Arc<Tenant>, job: &Job, facts: &mut Facts) -> Result<Attempt, Error> {
        let Some(before) = facts::look(&self.states, tenant, job).await? else {
            return Ok(Attempt::Again);
        };
        let lane = self.lanes.enter(tenant, job, &before).await;
        let Some(seen) = before.look_again(&self.states, tenant, job).await? else {
            return Ok(Attempt::Again);
        };
        if let Err(error) = job.check(&seen) {
            return match self.is_outdated(tenant, job, seen, lane).await? {
                true => Ok(Attempt::Again),
                false => Err(error),
            };
        }

        let asked = job.ask(&seen);
        let started = Instant::now();
        let decided = job.module.component.decide(tenant.caller(), asked).await;
        let (asked, verdict) = decided.map_err(|error| job.module.failed(&tenant.id, &job.name, error))?;
        job.module.poison.answered();
        job.note_decision(started.elapsed());
        if let Some(rival) = &job.rival {
            rival.check_agrees(tenant, &asked, &verdict).await?;
        }
        let decision = match verdict {
            Ok(decision) => decision,
            Err(rejection) => {
                let (entry, read_at) = (job.journal(&seen, &asked), seen.read_at);
                if self.is_outdated(tenant, job, seen, lane).await?
                    || facts
                        .were_behind(&self.projector, &self.events, tenant, job, read_at)
                        .await?
                {
                    return Ok(Attempt::Again);
                }
                return Err(self.reject(tenant, job, entry, rejection));
            }
        };
        let outcome = Outcome::check(job, &seen, decision, &self.limits)?;
        if job.dry_run {
            let would_be = outcome.dry_run(job, &seen);
            // What this host is just recording is new enough for what is not recorded.
            let outdated = !seen.is_pending() && self.is_outdated(tenant, job, seen, lane).await?;
            return Ok(if outdated {
                Attempt::Again
            } else {
                Attempt::Done(would_be)
            });
        }

        let append = outcome.append(tenant, job, &seen, &asked);
        let queued = self.events.append(append);
        let settling = self.states.expect(tenant, job, &seen, &outcome);
        drop(lane);
        match queued.await {
            // Another request with the same key was faster: what this one decided was not recorded.
            Ok(appended) if appended.replayed => Ok(Attempt::Done(job.executed(appended))),
            Ok(appended) => {
                settling.durable();
                self.states.snapshot(tenant, job, &outcome);
                Ok(Attempt::Done(job.executed(appended)))
            }
            Err(error) => {
                drop(settling);
                self.states.forget_seen(tenant, job, &seen);
                after(error)
            }
        }
    }

    /// Whether a refusal or a dry run must not rest on what an attempt saw, and the command is to be decided again: some of it was not
    /// durable yet, or another host has appended since.
    ///
    /// The lane is kept while the store is asked, so that this host's own appends are not taken for another's.
    async fn is_outdated(
        &self,
        tenant: &Tenant,
        job: &Job,
        seen: Seen,
        lane: Passage,
    ) -> Result<bool, Error> {
        if seen.is_pending() {
            drop(lane);
            seen.settle().await;
            return Ok(true);
        }
        let versions: Vec<_> = seen
            .versions()
            .map(|(of, version)| (of.clone(), version))
            .collect();
        if self.events.is_current(&tenant.id, &versions).await? {
            return Ok(false);
        }
        self.states.forget_seen(tenant, job, &seen);
        Ok(true)
    }

    /// Keeps a rejected command in the journal, unless nothing is to be recorded.
    fn reject(&self, tenant: &Tenant, job: &Job, entry: Journalled, rejection: types::Rejection) -> Error {
        let rejection = Rejection::from(rejection);
        if !job.dry_run {
            let kept = serde_json::to_string(&rejection).unwrap_or_default();
            self.events
                .journal_rejection(&tenant.id, entry, Arc::clone(&job.origin), kept);
        }
        Error::Rejected(rejection)
    }
}

/// What a refused append means for the command.
fn after(error: AppendError) -> Result<Attempt, Error> {
    match error {
        AppendError::Version { .. } | AppendError::Number { .. } => Ok(Attempt::Again),
        AppendError::ClaimTaken { claim } => Err(Error::ClaimTaken(claim)),
        AppendError::CommandIdReused { id } => Err(Error::KeyReused(id)),
        AppendError::Closed(tenant) => Err(Error::Moving(tenant)),
        AppendError::Gone(tenant) => Err(Error::NoTenant(tenant)),
        AppendError::Store(error) => Err(error.into()),
    }
}
