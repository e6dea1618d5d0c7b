//! What a component decided, held against the contract, and the append that records it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::de::IgnoredAny;
use uuid::Uuid;

use super::Executed;
use super::facts::Seen;
use super::job::Job;
use crate::bindings::aggregates::exports::millwork::module::aggregates as wit;
use crate::bindings::types;
use crate::config::{CLAIM_BYTES_MAX, DispatchLimits};
use crate::engine::component::Asked;
use crate::error::Error;
use crate::event_store::{Append, Claim, NewEvent, Recorded, Subject};
use crate::tenant::Tenant;

/// A decision that keeps the contract.
pub(super) struct Outcome {
    /// States and versions after the decision, of each aggregate that it touches.
    pub(super) states: Vec<(Subject, u64, Arc<str>)>,
    events: Vec<NewEvent>,
    counts: HashMap<Subject, u64>,
    claims: Vec<Claim>,
    releases: Vec<Claim>,
}

impl Outcome {
    /// Checks a decision: bounds, declared names, schemas, and that each touched aggregate has its new state.
    pub(super) fn check(
        job: &Job,
        seen: &Seen,
        decision: wit::Decision,
        limits: &DispatchLimits,
    ) -> Result<Self, Error> {
        check_bounds(job, &decision, limits)?;
        let mut counts: HashMap<Subject, u64> = HashMap::new();
        let mut events = Vec::with_capacity(decision.events.len());
        for event in decision.events {
            let event = checked_event(job, seen, event)?;
            *counts.entry(event.of.clone()).or_default() += 1;
            events.push(event);
        }
        let states = checked_states(job, seen, decision.states, &counts)?;
        let claims = checked_claims(job, decision.claims)?;
        let releases = checked_claims(job, decision.releases)?;
        Ok(Self {
            states,
            events,
            counts,
            claims,
            releases,
        })
    }

    /// How many events it has for one aggregate.
    pub(super) fn events_of(&self, subject: &Subject) -> u64 {
        self.counts.get(subject).copied().unwrap_or_default()
    }

    /// What is to be recorded.
    pub(super) fn append(&self, tenant: &Tenant, job: &Job, seen: &Seen, asked: &Asked) -> Append {
        let numbers = if self.events.is_empty() {
            Vec::new()
        } else {
            seen.numbers.iter().map(|number| number.taken.clone()).collect()
        };
        Append {
            tenant: tenant.id.clone(),
            command: job.journal(seen, asked),
            origin: Arc::clone(&job.origin),
            expected: seen
                .versions()
                .map(|(subject, version)| (subject.clone(), version))
                .collect(),
            events: self.events.clone(),
            claims: self.claims.clone(),
            releases: self.releases.clone(),
            numbers,
        }
    }

    /// The reply that says what would have been recorded.
    pub(super) fn dry_run(self, job: &Job, seen: &Seen) -> Executed {
        let mut versions: HashMap<&Subject, u64> = seen.versions().collect();
        let events = self.events.iter().map(|event| {
            let version = versions.entry(&event.of).or_default();
            *version += 1;
            Recorded {
                position: 0,
                id: event.id.clone(),
                of: event.of.clone(),
                version: *version,
                name: event.name.clone(),
                recorded_at: job.now,
                origin: Arc::clone(&job.origin),
                data: Arc::clone(&event.data),
            }
        });
        let events: Vec<Recorded> = events.collect();
        Executed {
            target: job.target.clone(),
            created: job.plan().is_ok_and(|plan| plan.command.creates),
            version: versions.get(&job.target).copied().unwrap_or_default(),
            position: 0,
            events,
            replayed: false,
            dry_run_states: Some(
                self.states
                    .into_iter()
                    .map(|(subject, _, state)| (subject, state))
                    .collect(),
            ),
        }
    }
}

fn check_bounds(job: &Job, decision: &wit::Decision, limits: &DispatchLimits) -> Result<(), Error> {
    let too_many =
        |what: &str, max: usize| Err(job.contract(format!("more than {max} {what} in one decision")));
    if decision.events.len() > limits.events_max {
        return too_many("events", limits.events_max);
    }
    if decision.claims.len() + decision.releases.len() > limits.claims_max {
        return too_many("claims", limits.claims_max);
    }
    if decision
        .events
        .iter()
        .any(|event| event.data.len() > limits.event_bytes_max)
    {
        return Err(job.contract(format!("an event of more than {} bytes", limits.event_bytes_max)));
    }
    if decision
        .states
        .iter()
        .any(|(_, state)| state.len() > limits.state_bytes_max)
    {
        return Err(job.contract(format!("a state of more than {} bytes", limits.state_bytes_max)));
    }
    Ok(())
}

fn checked_event(job: &Job, seen: &Seen, event: wit::NewEvent) -> Result<NewEvent, Error> {
    let of = seen_subject(job, seen, event.of)?;
    let declared = job.module.manifest.aggregates.get(&of.aggregate);
    if !declared.is_some_and(|aggregate| aggregate.events.contains_key(&event.name)) {
        return Err(job.contract(format!(
            "event {} is not one of {}'s in the manifest",
            event.name, of.aggregate
        )));
    }
    job.module
        .check_event(&event.name, &event.data)
        .map_err(|detail| job.contract(detail))?;
    Ok(NewEvent {
        id: Uuid::now_v7().to_string(),
        of,
        name: event.name,
        data: Arc::from(event.data),
    })
}

/// The aggregate named, which must be one that the decision saw: all others' versions would go unchecked.
fn seen_subject(job: &Job, seen: &Seen, of: types::SubjectId) -> Result<Subject, Error> {
    let subject = job.subject(&of.aggregate, of.id);
    if seen.subjects().any(|known| *known == subject) {
        return Ok(subject);
    }
    Err(job.contract(format!(
        "{} {} is neither target nor related",
        subject.aggregate, subject.id
    )))
}

fn checked_states(
    job: &Job,
    seen: &Seen,
    given: Vec<(types::SubjectId, String)>,
    counts: &HashMap<Subject, u64>,
) -> Result<Vec<(Subject, u64, Arc<str>)>, Error> {
    let versions: HashMap<&Subject, u64> = seen.versions().collect();
    let mut states = Vec::with_capacity(counts.len());
    for (of, state) in given {
        let subject = seen_subject(job, seen, of)?;
        let Some(count) = counts.get(&subject) else {
            continue;
        };
        serde_json::from_str::<IgnoredAny>(&state)
            .map_err(|error| job.contract(format!("state: {error}")))?;
        let version = versions.get(&subject).copied().unwrap_or_default() + count;
        states.push((subject, version, Arc::from(state)));
    }
    if states.len() == counts.len() {
        return Ok(states);
    }
    Err(job.contract("each aggregate with events must have one state"))
}

fn checked_claims(job: &Job, claims: Vec<wit::Claim>) -> Result<Vec<Claim>, Error> {
    let declared = &job.plan()?.command.claims;
    let mut checked = Vec::with_capacity(claims.len());
    for claim in claims {
        if !declared.contains(&claim.name) {
            return Err(job.contract(format!("claim {} is not in the manifest", claim.name)));
        }
        if claim.value.len() > CLAIM_BYTES_MAX {
            return Err(job.contract(format!("a claim of more than {CLAIM_BYTES_MAX} bytes")));
        }
        checked.push(Claim {
            name: claim.name,
            value: claim.value,
        });
    }
    Ok(checked)
}
