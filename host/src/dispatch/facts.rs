//! What a decision sees: its aggregate, consistent facts, facts from read models, numbers.
//!
//! Looked up twice. First without a lane, to learn which aggregates and documents the command concerns, as their ids may
//! stand in the state; then again inside the lanes of those aggregates, where only states and numbers are new.

use std::sync::Arc;

use millwork_registry::manifest::{Action, Fact};
use serde_json::Value;

use super::job::Job;
use super::states::{State, States};
use crate::capability::documents::query::Scope;
use crate::error::Error;
use crate::event_store::{EventStore, NumberTaken, Position, Subject};
use crate::project::{self, Projector};
use crate::tenant::{Generation, Module, Tenant};

/// What an attempt saw.
pub(super) struct Seen {
    pub(super) target: State,
    pub(super) related: Vec<(Subject, State)>,
    /// JSON text of an object by the facts' names.
    pub(super) facts: Arc<str>,
    /// The position that the facts are at least as new as.
    pub(super) read_at: Position,
    pub(super) numbers: Vec<Numbered>,
    target_of: Subject,
    references: References,
}

/// A number handed out.
pub(super) struct Numbered {
    /// The name under which `decide` finds it.
    pub(super) name: String,
    /// As people read it.
    pub(super) text: String,
    pub(super) taken: NumberTaken,
}

/// How new the facts of a command are that come from read models.
#[derive(PartialEq, Eq)]
pub(super) enum Facts {
    /// As the read models have them, which are a little behind what is recorded.
    AsTheyAre,
    /// They have been waited for: what was recorded before the command came is in them, or too far away.
    WaitedFor,
}

impl Facts {
    /// Whether a refusal must not rest on the facts, and the command is to be decided again: read models that they came
    /// from had not applied all that is recorded, and have now. Only without a lane.
    pub(super) async fn were_behind(
        &mut self,
        projector: &Projector,
        events: &Arc<dyn EventStore>,
        tenant: &Tenant,
        job: &Job,
        read_at: Position,
    ) -> Result<bool, Error> {
        let sources = sources(tenant, job)?;
        if sources.is_empty() || std::mem::replace(self, Self::WaitedFor) == Self::WaitedFor {
            return Ok(false);
        }
        let last = *events.last_position(&tenant.id).await?.borrow();
        if read_at >= last {
            return Ok(false);
        }
        for (module, projection) in &sources {
            // One that stands still is not waited for: the refusal is the best there is.
            let key = project::key(&module.manifest.name, projection);
            if tenant.progress.at(&key) >= last {
                continue;
            }
            let limit = projector.limits().wait_max;
            if tenant.progress.why_failing(&key).is_some()
                || projector
                    .reach(tenant, module, projection, last, limit)
                    .await
                    .is_err()
            {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The projections that the facts of a command come from, each with its module.
fn sources(tenant: &Tenant, job: &Job) -> Result<Vec<(Arc<Module>, String)>, Error> {
    let generation = tenant.generation();
    let mut sources = Vec::new();
    for fact in job.plan()?.command.facts.values() {
        let (module, view) = source(&generation, job, fact)?;
        let behind = module.projections_behind(&Action::View(view.to_owned()));
        sources.extend(
            behind
                .into_iter()
                .map(|name| (Arc::clone(module), name.to_owned())),
        );
    }
    Ok(sources)
}

/// The position that all facts of a command are at least as new as.
fn read_at(tenant: &Tenant, job: &Job) -> Result<Position, Error> {
    let sources = sources(tenant, job)?;
    let at = sources.iter().map(|(module, projection)| {
        let key = project::key(&module.manifest.name, projection);
        tenant.progress.at(&key)
    });
    Ok(at.min().unwrap_or_default())
}

/// The ids that a command's references resolve to.
#[derive(PartialEq, Eq)]
struct References {
    related: Vec<Subject>,
    facts: Vec<Option<String>>,
}

/// Looks without a lane. Nothing when what this host remembers of the target gives no references, and was not durable yet or
/// another host has gone on from there.
pub(super) async fn look(states: &States, tenant: &Tenant, job: &Job) -> Result<Option<Seen>, Error> {
    let target = if job.target_is_fresh {
        State::before_all(&job.module)
    } else {
        states.peek(tenant, &job.module, &job.target).await?
    };
    job.check_exists(&target)?;
    let references = match References::resolve(job, &target) {
        Ok(references) => references,
        Err(_) if states.is_old(tenant, &job.target, &target).await? => return Ok(None),
        Err(error) => return Err(error),
    };
    let read_at = read_at(tenant, job)?;
    let facts = fetch(tenant, job, &references.facts).await?;
    let target_of = job.target.clone();
    Ok(Some(Seen {
        target,
        related: Vec::new(),
        facts,
        read_at,
        numbers: Vec::new(),
        target_of,
        references,
    }))
}

impl Seen {
    /// Looks again, inside the lanes. Nothing when other aggregates or facts are concerned by now.
    pub(super) async fn look_again(
        self,
        states: &States,
        tenant: &Tenant,
        job: &Job,
    ) -> Result<Option<Self>, Error> {
        let target = if job.target_is_fresh {
            State::before_all(&job.module)
        } else {
            states.get(tenant, &job.module, &job.target).await?
        };
        // What gives no references any more is refused by the next attempt, which may wait for it to be durable.
        let unchanged = || References::resolve(job, &target).is_ok_and(|now| now == self.references);
        if target.version != self.target.version && !unchanged() {
            return Ok(None);
        }
        let related = related_states(states, tenant, job, &self.references.related).await?;
        let numbers = numbers(states, tenant, job).await?;
        Ok(Some(Self {
            target,
            related,
            numbers,
            ..self
        }))
    }

    /// The aggregates concerned, the target first.
    pub(super) fn subjects(&self) -> impl Iterator<Item = &Subject> {
        std::iter::once(&self.target_of).chain(&self.references.related)
    }

    /// The aggregates concerned and the versions seen, the target first.
    pub(super) fn versions(&self) -> impl Iterator<Item = (&Subject, u64)> {
        let related = self
            .related
            .iter()
            .map(|(subject, state)| (subject, state.version));
        std::iter::once((&self.target_of, self.target.version)).chain(related)
    }

    /// Whether one of the states seen was not known to be durable.
    pub(super) fn is_pending(&self) -> bool {
        let related = self.related.iter().map(|(_, state)| state);
        std::iter::once(&self.target)
            .chain(related)
            .any(|state| state.pending.is_some())
    }

    /// Waits until all states seen are durable or known to be wrong.
    pub(super) async fn settle(self) {
        for state in std::iter::once(self.target).chain(self.related.into_iter().map(|(_, state)| state)) {
            if let Some(mut pending) = state.pending {
                pending.over().await;
            }
        }
    }
}

impl References {
    fn resolve(job: &Job, target: &State) -> Result<Self, Error> {
        let command = &job.plan()?.command;
        if command.facts.is_empty() && command.related.is_empty() {
            return Ok(Self {
                related: Vec::new(),
                facts: Vec::new(),
            });
        }
        let state: Value = match &target.json {
            Some(json) => {
                serde_json::from_str(json).map_err(|error| job.contract(format!("state: {error}")))?
            }
            None => Value::Null,
        };
        let facts = command
            .facts
            .values()
            .map(|fact| fact.id.resolve(&job.data, &state).map(str::to_owned));
        let mut related = Vec::with_capacity(command.related.len());
        for (name, declared) in &command.related {
            let id = declared.id.resolve(&job.data, &state).ok_or_else(|| {
                Error::Malformed(format!(
                    "{} needs {name}, but {} gives no id",
                    job.name, declared.id
                ))
            })?;
            related.push(job.subject(&declared.aggregate, id.to_owned()));
        }
        Ok(Self {
            related,
            facts: facts.collect(),
        })
    }
}

async fn related_states(
    states: &States,
    tenant: &Tenant,
    job: &Job,
    subjects: &[Subject],
) -> Result<Vec<(Subject, State)>, Error> {
    let mut related = Vec::with_capacity(subjects.len());
    for subject in subjects {
        related.push((subject.clone(), states.get(tenant, &job.module, subject).await?));
    }
    Ok(related)
}

/// One JSON object of all facts, by name; a missing document is null.
async fn fetch(tenant: &Tenant, job: &Job, ids: &[Option<String>]) -> Result<Arc<str>, Error> {
    if ids.is_empty() {
        return Ok(Arc::from("{}"));
    }
    let mut facts = serde_json::Map::new();
    for ((name, fact), id) in job.plan()?.command.facts.iter().zip(ids) {
        let document = match id {
            Some(id) => document(tenant, job, fact, id).await?,
            None => Value::Null,
        };
        facts.insert(name.clone(), document);
    }
    Ok(Arc::from(Value::Object(facts).to_string()))
}

async fn document(tenant: &Tenant, job: &Job, fact: &Fact, id: &str) -> Result<Value, Error> {
    let generation = tenant.generation();
    let (module, view) = source(&generation, job, fact)?;
    let rows = Scope::whole_tenant();
    let document = module.view_document(&*tenant.documents, view, id, &rows).await?;
    Ok(document.map_or(Value::Null, Value::Object))
}

/// The view that a fact comes from, and whose it is.
fn source<'a>(
    generation: &'a Generation,
    job: &'a Job,
    fact: &'a Fact,
) -> Result<(&'a Arc<Module>, &'a str), Error> {
    match fact.view.split_once('.') {
        Some((other, view)) => Ok((generation.module(other)?, view)),
        None => Ok((&job.module, fact.view.as_str())),
    }
}

async fn numbers(states: &States, tenant: &Tenant, job: &Job) -> Result<Vec<Numbered>, Error> {
    let command = &job.plan()?.command;
    let mut numbers = Vec::with_capacity(command.numbers.len());
    for (name, declared) in &command.numbers {
        let sequence = declared.sequence_at(job.now);
        let number = states
            .next_number(tenant, &job.module.manifest.name, &sequence)
            .await?;
        let text = declared.render(job.now, number);
        numbers.push(Numbered {
            name: name.clone(),
            text,
            taken: NumberTaken { sequence, number },
        });
    }
    Ok(numbers)
}
