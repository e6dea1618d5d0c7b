//! States of aggregates in memory, and how they are loaded when they are not there.
//!
//! An entry belongs to the release that made it: another one loads the state for itself, once what is queued is durable.
//!
//! An entry may be ahead of the disk: it then carries a [`Pending`] that ends when the append behind it has. Whatever is
//! decided on it is only recorded if that append was, since the store checks versions in the order of the queue.
//!
//! An entry may be behind a store that other hosts append to as well. An append based on it is refused there; an answer
//! that appends nothing asks the store first.

use std::sync::Arc;

use moka::sync::Cache;
use tokio::sync::watch;

use super::facts::Seen;
use super::job::Job;
use super::outcome::Outcome;
use crate::bindings::types;
use crate::config::DispatchLimits;
use crate::engine::event::event_for_component;
use crate::error::Error;
use crate::event_store::{EventStore, Recorded, Snapshot, Subject};
use crate::tenant::{Module, Tenant};

/// An aggregate as it stands.
#[derive(Debug, Clone)]
pub(super) struct State {
    /// Number of events behind it.
    pub(super) version: u64,
    /// JSON text; absent before the first event.
    pub(super) json: Option<Arc<str>>,
    /// Digest of the release whose `evolve` or `decide` gave it: states of two releases may have other shapes.
    pub(super) made_by: Arc<str>,
    /// Present while the append that leads here is not known to be durable.
    pub(super) pending: Option<Pending>,
}

impl State {
    /// Before the first event.
    pub(super) fn before_all(module: &Module) -> Self {
        Self {
            version: 0,
            json: None,
            made_by: Arc::clone(&module.digest),
            pending: None,
        }
    }
}

/// Ends when an append has ended, well or not.
#[derive(Debug, Clone)]
pub(super) struct Pending(watch::Receiver<()>);

impl Pending {
    /// Whether the append has ended.
    fn is_over(&self) -> bool {
        self.0.has_changed().is_err()
    }

    /// Waits for the append's end.
    pub(super) async fn over(&mut self) {
        while self.0.changed().await.is_ok() {}
    }
}

/// All states in memory, and the next numbers of sequences.
pub(super) struct States {
    events: Arc<dyn EventStore>,
    cache: Cache<String, State>,
    numbers: Cache<String, u64>,
    load_page: u32,
    snapshot_every: u64,
}

/// An append under way. Unless it is told that the append is durable, it forgets the states that the append would have
/// led to: it has failed, was a repetition, or nobody waited for its end.
pub(super) struct Settling {
    cache: Cache<String, State>,
    numbers: Cache<String, u64>,
    keys: Vec<String>,
    sequences: Vec<String>,
    durable: bool,
    /// Dropped last: whoever waits for the end finds the states forgotten.
    _over: watch::Sender<()>,
}

impl States {
    pub(super) fn new(events: Arc<dyn EventStore>, limits: &DispatchLimits) -> Self {
        let weigh = |key: &String, state: &State| {
            let bytes = key.len() + state.json.as_ref().map_or(0, |json| json.len()) + 128;
            u32::try_from(bytes).unwrap_or(u32::MAX)
        };
        let cache = Cache::builder()
            .max_capacity(limits.state_cache_bytes)
            .weigher(weigh)
            .build();
        Self {
            events,
            cache,
            numbers: Cache::new(100_000),
            load_page: limits.load_page,
            snapshot_every: limits.snapshot_every,
        }
    }

    /// The newest state known. Outside the aggregate's lane another command may be about to change it.
    pub(super) async fn peek(
        &self,
        tenant: &Tenant,
        module: &Arc<Module>,
        of: &Subject,
    ) -> Result<State, Error> {
        match self.known(&key(tenant, of), module).await {
            Some(state) => Ok(state),
            None => self.load(tenant, module, of).await,
        }
    }

    /// The newest state known, and kept. Only inside the aggregate's lane, so that nothing older takes its place.
    pub(super) async fn get(
        &self,
        tenant: &Tenant,
        module: &Arc<Module>,
        of: &Subject,
    ) -> Result<State, Error> {
        let key = key(tenant, of);
        if let Some(state) = self.known(&key, module).await {
            return Ok(state);
        }
        let state = self.load(tenant, module, of).await?;
        if state.version > 0 {
            self.cache.insert(key, state.clone());
        }
        Ok(state)
    }

    /// The state in memory, if this release made it. One that another made is waited for to be durable, so that loading
    /// finds what it stands for.
    async fn known(&self, key: &str, module: &Module) -> Option<State> {
        let mut state = self.cache.get(key)?;
        state.pending = state.pending.filter(|pending| !pending.is_over());
        if state.made_by == module.digest {
            return Some(state);
        }
        if let Some(mut pending) = state.pending {
            pending.over().await;
        }
        None
    }

    /// From the newest snapshot and the events after it.
    async fn load(&self, tenant: &Tenant, module: &Arc<Module>, of: &Subject) -> Result<State, Error> {
        let aggregate = module.manifest.aggregates.get(&of.aggregate);
        let state_version = aggregate.map_or(1, |aggregate| aggregate.state_version);
        let snapshot = self.events.snapshot(&tenant.id, of, state_version).await?;
        let (mut version, mut json) = snapshot.map_or((0, None), |kept| (kept.version, Some(kept.state)));
        loop {
            let events = self
                .events
                .events(&tenant.id, of, version, self.load_page)
                .await?;
            let Some(last) = events.last() else { break };
            let (next, count) = (last.version, events.len());
            json = Some(fold(tenant, module, of, version, json, events).await?);
            version = next;
            if count < self.load_page as usize {
                break;
            }
        }
        Ok(State {
            version,
            json,
            made_by: Arc::clone(&module.digest),
            pending: None,
        })
    }

    /// The next number of a sequence, as far as this host knows.
    pub(super) async fn next_number(
        &self,
        tenant: &Tenant,
        module: &str,
        sequence: &str,
    ) -> Result<u64, Error> {
        let key = sequence_key(tenant, module, sequence);
        if let Some(next) = self.numbers.get(&key) {
            return Ok(next);
        }
        let next = self.events.next_number(&tenant.id, module, sequence).await?;
        self.numbers.insert(key, next);
        Ok(next)
    }

    /// Puts the states in place that a queued append will lead to.
    pub(super) fn expect(&self, tenant: &Tenant, job: &Job, seen: &Seen, outcome: &Outcome) -> Settling {
        let (over, pending) = watch::channel(());
        let mut keys = Vec::with_capacity(outcome.states.len());
        for (subject, version, json) in &outcome.states {
            let key = key(tenant, subject);
            let state = State {
                version: *version,
                json: Some(Arc::clone(json)),
                made_by: Arc::clone(&job.module.digest),
                pending: Some(Pending(pending.clone())),
            };
            self.cache.insert(key.clone(), state);
            keys.push(key);
        }
        let mut sequences = Vec::with_capacity(seen.numbers.len());
        for number in &seen.numbers {
            let key = sequence_key(tenant, &job.module.manifest.name, &number.taken.sequence);
            self.numbers.insert(key.clone(), number.taken.number + 1);
            sequences.push(key);
        }
        Settling {
            cache: self.cache.clone(),
            numbers: self.numbers.clone(),
            keys,
            sequences,
            durable: false,
            _over: over,
        }
    }

    /// Keeps snapshots of aggregates that an append has brought far since their last.
    pub(super) fn snapshot(&self, tenant: &Tenant, job: &Job, outcome: &Outcome) {
        // A candidate's states must not outlive its canary.
        if job.on_trial {
            return;
        }
        for (subject, version, state) in &outcome.states {
            let recorded = outcome.events_of(subject);
            if version / self.snapshot_every > (version - recorded) / self.snapshot_every {
                let aggregate = job.module.manifest.aggregates.get(&subject.aggregate);
                let state_version = aggregate.map_or(1, |aggregate| aggregate.state_version);
                let snapshot = Snapshot {
                    version: *version,
                    state_version,
                    state: Arc::clone(state),
                };
                self.events.keep_snapshot(&tenant.id, subject, snapshot);
            }
        }
    }

    /// Whether a refusal must not rest on a state, and the command is to be decided again: it is not durable yet, which is
    /// waited for, or another host has gone on from it, and it is forgotten. Only without a lane.
    pub(super) async fn is_old(&self, tenant: &Tenant, of: &Subject, state: &State) -> Result<bool, Error> {
        if let Some(mut pending) = state.pending.clone() {
            pending.over().await;
            return Ok(true);
        }
        let seen = [(of.clone(), state.version)];
        if self.events.is_current(&tenant.id, &seen).await? {
            return Ok(false);
        }
        self.cache.invalidate(&key(tenant, of));
        Ok(true)
    }

    /// Forgets everything that an attempt saw: the store has told that some of it is old.
    pub(super) fn forget_seen(&self, tenant: &Tenant, job: &Job, seen: &Seen) {
        seen.subjects()
            .for_each(|subject| self.cache.invalidate(&key(tenant, subject)));
        for number in &seen.numbers {
            self.numbers.invalidate(&sequence_key(
                tenant,
                &job.module.manifest.name,
                &number.taken.sequence,
            ));
        }
    }
}

impl Settling {
    /// The append is durable, and so are the states that it has led to.
    pub(super) fn durable(mut self) {
        self.durable = true;
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        if !self.durable {
            self.keys.iter().for_each(|key| self.cache.invalidate(key));
            self.sequences.iter().for_each(|key| self.numbers.invalidate(key));
        }
    }
}

async fn fold(
    tenant: &Tenant,
    module: &Arc<Module>,
    of: &Subject,
    version: u64,
    json: Option<Arc<str>>,
    events: Vec<Recorded>,
) -> Result<Arc<str>, Error> {
    let subject = types::Subject {
        of: types::SubjectId {
            aggregate: of.aggregate.clone(),
            id: of.id.clone(),
        },
        version,
        state: json.map(|json| json.to_string()),
    };
    let events = events
        .iter()
        .map(|event| event_for_component(event, &module.manifest))
        .collect();
    let folded = module.component.evolve(tenant.caller(), subject, events).await;
    folded.map(Arc::from).map_err(|source| Error::Component {
        component: Arc::clone(&module.release),
        source,
    })
}

fn key(tenant: &Tenant, of: &Subject) -> String {
    format!("{}/{}/{}/{}", life(tenant), of.module, of.aggregate, of.id)
}

fn sequence_key(tenant: &Tenant, module: &str, sequence: &str) -> String {
    format!("{}/{module}/{sequence}", life(tenant))
}

/// What tells a tenant from all others, those among them that had its id before. No id has the form of a life.
fn life(tenant: &Tenant) -> &str {
    tenant.record.life.as_deref().unwrap_or(tenant.id.as_str())
}
