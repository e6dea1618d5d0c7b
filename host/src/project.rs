//! From the feed into read models.
//!
//! One projector per tenant reads the feed and hands each projection the events it asks for, in batches; a batch and the
//! checkpoint behind it commit in one unit of work, so each event takes effect once. A projection that fails stands
//! still and is tried again with backoff, apart from those that go on; its lag shows in `/metrics`.

mod follow;
pub mod progress;
pub mod rebuild;
mod repeat;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use millwork_registry::manifest::{Projection, Query, View};
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

pub use self::progress::Progress;
use crate::blocking;
use crate::capability::blobs::component::Keeping;
use crate::capability::documents::component::Access;
use crate::capability::documents::{Checkpoint, DocumentError, Line, Unit};
use crate::capability::search::component::Searching;
use crate::config::{EngineLimits, ProjectLimits};
use crate::engine::CallError;
use crate::engine::event::event_for_component;
use crate::event_store::{EventStore, Position, Recorded, StoreError};
use crate::tenant::{Module, Tenant};

/// Runs the projections of all tenants.
pub struct Projector {
    events: Arc<dyn EventStore>,
    limits: ProjectLimits,
    calls: EngineLimits,
    slots: Semaphore,
    /// For projections that failed before: they never take the place of those that work.
    failing_slots: Semaphore,
}

/// Why a step made no progress. All of it is tried again, but for what only another release can put right.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The feed cannot be read.
    #[error(transparent)]
    Feed(#[from] StoreError),
    /// The documents cannot be written.
    #[error(transparent)]
    Documents(#[from] DocumentError),
    /// The component failed.
    #[error(transparent)]
    Call(#[from] CallError),
    /// Another host has moved the projection meanwhile: it goes on from there.
    #[error("another host has brought the projection to position {at}")]
    Overtaken {
        /// Where its checkpoint is now.
        at: Position,
    },
    /// Another host runs a newer release: this one must not write into what that has made.
    #[error(
        "version {found} of the projection has made the read models, this release has version {declared}"
    )]
    Superseded {
        /// The version that the read models are of.
        found: u32,
        /// The version here.
        declared: u32,
    },
    /// The same events led to other documents the second time: a bug in the component; says where.
    #[error("{0}")]
    NotRepeatable(String),
}

/// One projection of a module, on one line.
#[derive(Clone, Copy)]
struct Step<'a> {
    tenant: &'a Tenant,
    module: &'a Module,
    name: &'a str,
    declared: &'a Projection,
    line: Line,
}

/// Events last read from the feed: most projections of a tenant stand at the same position.
#[derive(Default)]
struct Page {
    after: Option<Position>,
    events: Vec<Recorded>,
}

/// Which projections have their turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// Those that work.
    Working,
    /// Those that failed and may try again by now.
    Failing,
}

/// When a failing projection is tried again.
struct Backoff {
    failures: u32,
    until: Instant,
}

impl Projector {
    /// A projector that reads `events`.
    #[must_use]
    pub fn new(events: Arc<dyn EventStore>, limits: ProjectLimits, calls: EngineLimits) -> Self {
        let slots = Semaphore::new(limits.tenants_at_once);
        let failing_slots = Semaphore::new(limits.failing_at_once);
        Self {
            events,
            limits,
            calls,
            slots,
            failing_slots,
        }
    }

    /// What bounds it.
    #[must_use]
    pub fn limits(&self) -> &ProjectLimits {
        &self.limits
    }

    /// Runs a tenant's projections until `stop` turns true or its sender is gone.
    pub async fn run(self: Arc<Self>, tenant: Arc<Tenant>, mut stop: watch::Receiver<bool>) {
        let mut last = loop {
            match self.events.last_position(&tenant.id).await {
                Ok(last) => break last,
                Err(error) => tracing::error!(tenant = %tenant.id, %error, "cannot follow the feed"),
            }
            tokio::select! {
                () = tokio::time::sleep(self.limits.backoff_max) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        };
        let mut failing = HashMap::new();
        loop {
            last.mark_unchanged();
            failing = self.pass(&tenant, failing).await;
            let retry = failing.values().map(|backoff: &Backoff| backoff.until).min();
            let retry = retry.unwrap_or_else(|| Instant::now() + Duration::from_secs(3_600));
            tokio::select! {
                changed = last.changed() => if changed.is_err() { return },
                () = tenant.changed.notified() => failing.clear(),
                () = tokio::time::sleep_until(retry) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Brings every projection as far as it goes, on a thread that may block.
    async fn pass(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        mut failing: HashMap<String, Backoff>,
    ) -> HashMap<String, Backoff> {
        loop {
            (failing, _) = self.turn(tenant, failing, Turn::Working).await;
            if !failing.values().any(Backoff::is_over) {
                return failing;
            }
            let recovered;
            (failing, recovered) = self.turn(tenant, failing, Turn::Failing).await;
            if !recovered {
                return failing;
            }
        }
    }

    /// Gives all projections of one kind their turn; whether one moved.
    async fn turn(
        self: &Arc<Self>,
        tenant: &Arc<Tenant>,
        failing: HashMap<String, Backoff>,
        turn: Turn,
    ) -> (HashMap<String, Backoff>, bool) {
        let slots = match turn {
            Turn::Working => &self.slots,
            Turn::Failing => &self.failing_slots,
        };
        let Ok(_slot) = slots.acquire().await else {
            return (failing, false);
        };
        let (projector, tenant) = (Arc::clone(self), Arc::clone(tenant));
        let turn = blocking::on_own_thread(move || async move {
            let (mut failing, mut moved) = (failing, false);
            while projector.round(&tenant, &mut failing, turn).await {
                moved = true;
                if turn == Turn::Failing {
                    break;
                }
            }
            (failing, moved)
        });
        turn.await.unwrap_or_default()
    }

    /// One batch for each projection that has its turn and is behind; whether there is more to do.
    async fn round(&self, tenant: &Tenant, failing: &mut HashMap<String, Backoff>, turn: Turn) -> bool {
        if tenant.check_here().is_err() {
            return false;
        }
        let _projecting = tenant.projecting.lock().await;
        let generation = tenant.generation();
        let mut more = false;
        let mut page = Page::default();
        for module in generation.modules.values() {
            for (name, declared) in &module.manifest.projections {
                let step = Step {
                    tenant,
                    module,
                    name,
                    declared,
                    line: Line::Live,
                };
                let key = step.key();
                let its_turn = match failing.get(&key) {
                    None => turn == Turn::Working,
                    Some(backoff) => turn == Turn::Failing && backoff.is_over(),
                };
                if !its_turn {
                    continue;
                }
                let started = Instant::now();
                match self.advance(step, &mut page).await {
                    Ok(moved) => {
                        failing.remove(&key);
                        more |= moved;
                    }
                    Err(error) => {
                        let backoff = failing.entry(key).or_insert_with(Backoff::first);
                        self.failed(step, &error, started.elapsed(), backoff);
                        self.report_lag(step, tenant.progress.at(&step.key())).await;
                    }
                }
            }
        }
        more
    }

    fn failed(&self, step: Step<'_>, error: &StepError, took: Duration, backoff: &mut Backoff) {
        let factor = 1_u32.checked_shl(backoff.failures).unwrap_or(u32::MAX);
        let wait = self
            .limits
            .backoff_min
            .saturating_mul(factor)
            .max(took.saturating_mul(self.limits.backoff_share))
            .min(self.limits.backoff_max);
        backoff.failures = (backoff.failures + 1).min(16);
        backoff.until = Instant::now() + wait;
        let (release, projection, backtrace) = (&*step.module.release, step.name, backtrace(error));
        tracing::error!(tenant = %step.tenant.id, release, projection, backtrace, "projection failed: {error}");
        metrics::counter!("millwork_projection_failures_total", "projection" => step.key()).increment(1);
        step.tenant.progress.failing(&step.key(), error.to_string());
    }

    /// Applies the next batch of the live line; whether there was one.
    async fn advance(&self, step: Step<'_>, page: &mut Page) -> Result<bool, StepError> {
        let key = step.key();
        let (at, saved) = match step.tenant.progress.get(&key) {
            Some(known) => known,
            None => {
                let start = step
                    .checkpoint()
                    .await?
                    .map_or(0, |checkpoint| checkpoint.position);
                // Who wrote last may have ended before it could say so.
                step.end_kept_answers().await;
                step.tenant.progress.set(&key, start, Some(start));
                (start, start)
            }
        };
        if page.after != Some(at) {
            let events = self
                .events
                .feed(&step.tenant.id, at, self.limits.batch_events_max)
                .await?;
            *page = Page {
                after: Some(at),
                events,
            };
        }
        let events = &page.events;
        let Some(end) = events.last().map(|event| event.position) else {
            return Ok(false);
        };
        let wrote = match self.apply(step, events, end, saved).await {
            Err(StepError::Overtaken { at }) => {
                step.tenant.progress.set(&key, at, Some(at));
                return Ok(true);
            }
            applied => applied?,
        };
        // Before anybody who waits for it goes on, and looks.
        if wrote {
            step.end_kept_answers().await;
        }
        self.report_lag(step, end).await;
        step.tenant.progress.set(&key, end, wrote.then_some(end));
        Ok(true)
    }

    /// Applies a batch and commits it with its checkpoint; whether there was anything to commit. A batch without events
    /// for the projection moves its checkpoint, `saved` the last time, only now and then. Where other hosts write the same
    /// documents, the batch is thrown away if one of them has moved the checkpoint since: within the unit nobody can.
    async fn apply(
        &self,
        step: Step<'_>,
        events: &[Recorded],
        end: Position,
        saved: Position,
    ) -> Result<bool, StepError> {
        let manifest = &step.module.manifest;
        let wanted = events.iter().filter(|event| step.wants(event));
        let wanted: Vec<_> = wanted.map(|event| event_for_component(event, manifest)).collect();
        if wanted.is_empty() && end - saved < self.limits.checkpoint_every {
            return Ok(false);
        }
        let mut unit = step.tenant.documents.begin().await?;
        step.check_position(&mut *unit, saved).await?;
        if !wanted.is_empty() {
            let writable = step.declared.collections.clone();
            let access = Access::Project {
                unit,
                line: step.line,
                writable,
            };
            let caller = step.tenant.caller();
            let search = Arc::clone(&step.tenant.search);
            let searching = match step.line {
                Line::Live | Line::Shadow => Searching::Write(search),
                // Its writes are looked at and thrown away.
                Line::Trial => Searching::Rehearse(search),
            };
            // What they hold may be another when a read model is built anew.
            let keeping = Keeping::Denied("a projection may not use blobs");
            let cache = &step.tenant.cache;
            let effects = step
                .module
                .effects(&caller.tenant, access, cache, searching, keeping, &self.calls);
            let applied = step
                .module
                .component
                .apply(Arc::clone(&caller.tenant), effects, step.name, &wanted)
                .await?;
            let lost = || CallError::Unavailable("the unit of work is gone".to_owned());
            unit = applied.documents.into_unit().ok_or_else(lost)?;
        }
        unit.commit(Some(step.checkpoint_at(end))).await?;
        metrics::counter!("millwork_projected_events_total").increment(wanted.len() as u64);
        Ok(true)
    }

    async fn report_lag(&self, step: Step<'_>, at: Position) {
        if let Ok(last) = self.events.last_position(&step.tenant.id).await {
            let lag = last.borrow().saturating_sub(at);
            let (tenant, projection) = (step.tenant.id.to_string(), step.key());
            #[expect(
                clippy::cast_precision_loss,
                reason = "a lag beyond 2^52 events is not shown exactly"
            )]
            metrics::gauge!("millwork_projection_lag_events", "tenant" => tenant, "projection" => projection)
                .set(lag as f64);
        }
    }
}

impl Step<'_> {
    /// The projection's name within the tenant: `invoicing.Invoices`.
    fn key(&self) -> String {
        key(&self.module.manifest.name, self.name)
    }

    fn wants(&self, event: &Recorded) -> bool {
        let own = event.of.module == self.module.manifest.name;
        self.declared
            .events
            .iter()
            .any(|wanted| match wanted.split_once('.') {
                Some((module, name)) => event.of.module == module && event.name == name,
                None => own && event.name == *wanted,
            })
    }

    /// Ends the epochs of the collections that it writes, as far as answers made of them are kept.
    async fn end_kept_answers(&self) {
        let manifest = &self.module.manifest;
        for collection in &self.declared.collections {
            let viewed = |view: &View| view.cache.is_some() && view.collection == *collection;
            let asked = |query: &Query| query.cache.is_some() && query.collections.contains(collection);
            if manifest.views.values().any(viewed) || manifest.queries.values().any(asked) {
                self.tenant.epochs.raise(&manifest.name, collection).await;
            }
        }
    }

    fn checkpoint_at(&self, position: Position) -> Checkpoint {
        Checkpoint {
            projection: self.key(),
            line: self.line,
            version: self.declared.version,
            position,
        }
    }

    /// Whether the projection still is where this host has left it, and of this release.
    async fn check_position(&self, unit: &mut dyn Unit, saved: Position) -> Result<(), StepError> {
        let found = unit.checkpoint(&self.key(), self.line).await?;
        let (at, version) = found.map_or((0, 0), |found| (found.position, found.version));
        let declared = self.declared.version;
        match at {
            _ if version > declared => Err(StepError::Superseded {
                found: version,
                declared,
            }),
            at if at != saved => Err(StepError::Overtaken { at }),
            _ => Ok(()),
        }
    }

    async fn checkpoint(&self) -> Result<Option<Checkpoint>, DocumentError> {
        let all = self.tenant.documents.checkpoints(&self.key()).await?;
        Ok(all.into_iter().find(|checkpoint| checkpoint.line == self.line))
    }
}

impl Backoff {
    fn first() -> Self {
        Self {
            failures: 0,
            until: Instant::now(),
        }
    }

    /// Whether the wait has ended.
    fn is_over(&self) -> bool {
        self.until <= Instant::now()
    }
}

fn backtrace(error: &StepError) -> &str {
    match error {
        StepError::Call(CallError::Trap { backtrace, .. }) => backtrace,
        _ => "",
    }
}

/// A projection's name within its tenant: `invoicing.Invoices`.
#[must_use]
pub fn key(module: &str, projection: &str) -> String {
    format!("{module}.{projection}")
}
