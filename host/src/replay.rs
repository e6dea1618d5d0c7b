//! Recorded history, tried on a candidate before it serves: off-line and without effect.
//!
//! Aggregates are folded whole by both releases and their states compared; journalled commands are decided again by both,
//! on the same input, and their answers compared ([`trial`]); what the candidate would record is given to the release that
//! serves, to see whether there is a way back ([`read_back`]). Only pure functions are called, so nothing can happen. It
//! runs on threads of its own, of low priority, within a bound of time, and says what it did not look at.

mod answer;
mod counter;
mod decision;
mod fold;
mod input;
mod read_back;
mod speed;
mod trial;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use millwork_registry::id::TenantId;
use millwork_registry::replay::{Report, Subject as What, Why};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, oneshot};

pub use self::answer::disagreement;
pub use self::counter::Counter;
use self::trial::{Part, Task, Worker};
use crate::blocking;
use crate::config::ReplayLimits;
use crate::error::Error;
use crate::event_store::journal::Shelf;
use crate::event_store::{EventStore, StoreError};
use crate::tenant::{Module, Tenant};

/// Aggregates or commands that a thread takes at once.
const TASK_ITEMS: usize = 64;
/// All parts of the journal.
const SHELVES: [Shelf; 3] = [Shelf::Recorded, Shelf::Empty, Shelf::Rejected];

/// Replays histories of all tenants, a bounded number at once.
pub struct Replayer {
    events: Arc<dyn EventStore>,
    limits: ReplayLimits,
    slots: Arc<Semaphore>,
}

/// One replay: a tenant's history, the release that serves and the candidate.
struct Trial {
    events: Arc<dyn EventStore>,
    limits: ReplayLimits,
    tenant: TenantId,
    caller: Arc<str>,
    serving: Arc<Module>,
    candidate: Arc<Module>,
    counter: Arc<Counter>,
    until: Instant,
}

/// Why a replay has no report.
enum Stop {
    Cancelled,
    Store(StoreError),
}

impl Replayer {
    /// Replays what `events` has.
    #[must_use]
    pub fn new(events: Arc<dyn EventStore>, limits: ReplayLimits) -> Self {
        let slots = Arc::new(Semaphore::new(limits.replays_at_once.max(1)));
        Self {
            events,
            limits,
            slots,
        }
    }

    /// Replays a tenant's history of a module on `candidate`, and holds it against `serving`. Takes at most `time`, and not
    /// longer than the limits allow; what is left then is told as skipped. When the caller goes away, it stops.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store fails or the replay was cancelled.
    pub async fn replay(
        &self,
        tenant: &Tenant,
        serving: &Arc<Module>,
        candidate: &Arc<Module>,
        counter: &Arc<Counter>,
        time: Duration,
    ) -> Result<Report, Error> {
        let unavailable = |what: &str| Error::Unavailable(format!("replay: {what}"));
        let caller = CancelOnDrop(Some(Arc::clone(counter)));
        let slot = Arc::clone(&self.slots).acquire_owned().await;
        let slot = slot.map_err(|_| unavailable("the host is shutting down"))?;
        let trial = Trial {
            events: Arc::clone(&self.events),
            limits: self.limits.clone(),
            tenant: tenant.id.clone(),
            caller: Arc::clone(&tenant.caller().tenant),
            serving: Arc::clone(serving),
            candidate: Arc::clone(candidate),
            counter: Arc::clone(counter),
            until: Instant::now() + time.min(self.limits.duration_max),
        };
        let (tell, told) = oneshot::channel();
        let handle = Handle::current();
        let run = move || {
            let _slot = slot;
            // Nobody listens when the caller has gone.
            let _ = tell.send(trial.run(&handle));
        };
        std::thread::Builder::new()
            .name("replay".to_owned())
            .spawn(run)
            .map_err(|error| unavailable(&error.to_string()))?;
        let report = told.await;
        caller.disarm();
        match report {
            Ok(Ok(report)) => Ok(report),
            Ok(Err(Stop::Cancelled)) => Err(unavailable("it was cancelled")),
            Ok(Err(Stop::Store(error))) => Err(error.into()),
            Err(_) => Err(unavailable("its thread has ended")),
        }
    }
}

/// Stops a replay that nobody waits for any more.
struct CancelOnDrop(Option<Arc<Counter>>);

impl CancelOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        if let Some(counter) = &self.0 {
            counter.cancel();
        }
    }
}

impl Trial {
    fn run(&self, handle: &Handle) -> Result<Report, Stop> {
        let started = Instant::now();
        let mut report = self.empty_report();
        let tasks = handle.block_on(self.tasks(&mut report))?;
        let next = AtomicUsize::new(0);
        let mut parts = std::thread::scope(|scope| {
            let workers = (0..self.limits.workers.max(1)).map(|_| {
                let work = || self.work(handle, &tasks, &next);
                std::thread::Builder::new()
                    .name("replay-worker".to_owned())
                    .spawn_scoped(scope, work)
            });
            let workers: Vec<_> = workers.collect();
            let mut parts = Vec::with_capacity(tasks.len());
            for worker in workers {
                let ended = worker.map(std::thread::ScopedJoinHandle::join);
                let Ok(Ok(done)) = ended else {
                    return Err(Stop::Store(StoreError::Failed("a thread has ended".to_owned())));
                };
                parts.extend(done?);
            }
            Ok(parts)
        })?;
        // In the order of the history, whoever was faster.
        parts.sort_by_key(|(index, _)| *index);
        let mut samples = Vec::new();
        for (_, part) in parts {
            report.merge(part.report, self.limits.examples_max);
            samples.extend(part.samples);
        }
        speed::judge(&mut report, samples, &self.limits);
        report.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(report)
    }

    /// All that is to be done, oldest first; what lies beyond the bounds is told in the report.
    async fn tasks(&self, report: &mut Report) -> Result<Vec<Task>, Stop> {
        let module = &self.serving.manifest.name;
        let limit = self.limits.aggregates_max;
        let newest = self.events.newest_aggregates(&self.tenant, module, limit).await?;
        report.skip(What::Aggregates, Why::OverBound, newest.left_out);
        let aggregates = newest.items.len() as u64;
        let mut tasks: Vec<_> = newest
            .items
            .chunks(TASK_ITEMS)
            .map(|chunk| Task::Aggregates(chunk.to_vec()))
            .collect();
        let mut commands = 0;
        for shelf in SHELVES {
            let limit = self.limits.commands_max;
            let newest = self
                .events
                .newest_commands(&self.tenant, module, shelf, limit)
                .await?;
            report.skip(What::Commands, Why::OverBound, newest.left_out);
            commands += newest.items.len() as u64;
            let chunks = newest.items.chunks(TASK_ITEMS);
            tasks.extend(chunks.map(|chunk| Task::Commands(shelf, chunk.to_vec())));
        }
        self.counter.start(aggregates, commands);
        Ok(tasks)
    }

    fn work(&self, handle: &Handle, tasks: &[Task], next: &AtomicUsize) -> Result<Vec<(usize, Part)>, Stop> {
        blocking::step_back(self.limits.niceness);
        let mut worker = Worker::new(self);
        let mut parts = Vec::new();
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(task) = tasks.get(index) else {
                return Ok(parts);
            };
            parts.push((index, handle.block_on(worker.run(task))?));
        }
    }

    fn is_over(&self) -> bool {
        Instant::now() >= self.until
    }

    fn empty_report(&self) -> Report {
        let (serving, candidate) = (&self.serving.manifest, &self.candidate.manifest);
        Report::new(
            serving.name.clone(),
            serving.version.clone(),
            candidate.version.clone(),
        )
    }
}

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
