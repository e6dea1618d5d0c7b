//! What waits to be written on this host: a queue per tenant, each written in its order, several tenants at once.
//!
//! A tenant's queue is served by a task that takes all that waits, up to a bound, into one transaction (group commit),
//! and ends when nothing waits any more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millwork_registry::id::TenantId;
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::super::{Append, Journalled, Origin, Snapshot, StoreError, Subject};
use super::aside;
use super::batch::{BatchWriter, Outcome};
use super::{Shared, stopped};

/// What is asked.
pub(super) enum Request {
    /// Somebody waits for it.
    Append {
        /// What to record.
        append: Box<Append>,
        /// Since when it waits.
        queued_at: Instant,
        /// Where the outcome goes.
        reply: oneshot::Sender<Outcome>,
    },
    /// Nobody waits for it.
    Rejection {
        /// What was rejected.
        command: Box<Journalled>,
        /// Who asked for it.
        origin: Arc<Origin>,
        /// JSON text.
        rejection: String,
    },
    /// Nobody waits for it.
    Snapshot {
        /// The aggregate.
        of: Subject,
        /// Its state.
        snapshot: Snapshot,
    },
    /// Somebody waits for it.
    ForgetSnapshots {
        /// Of which module.
        module: String,
        /// Told when they are forgotten.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

impl Request {
    /// About how much of a transaction it takes.
    fn bytes(&self) -> usize {
        let Self::Append { append, .. } = self else {
            return 0;
        };
        let events: usize = append.events.iter().map(|event| event.data.len()).sum();
        events + append.command.input.len()
    }
}

/// All queues.
pub(super) struct Queues {
    /// A std mutex: it is held for a push or a few pops, never across an await.
    waiting: Mutex<Waiting>,
    /// Tenants that are written at once.
    turns: Semaphore,
    /// Told whenever a tenant's queue has been served.
    idle: Notify,
    runtime: Handle,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Waiting {
    /// A tenant is in here while a task serves it.
    queues: HashMap<TenantId, VecDeque<Request>>,
    requests: usize,
    closed: bool,
}

impl Queues {
    /// Empty queues, served on `runtime`.
    pub(super) fn new(shared: Arc<Shared>, runtime: Handle) -> Self {
        Self {
            waiting: Mutex::default(),
            turns: Semaphore::new(shared.limits.tenants_at_once.max(1)),
            idle: Notify::new(),
            runtime,
            shared,
        }
    }

    /// Lines a request up; one that is rare and must be done also when too much waits.
    ///
    /// # Errors
    /// [`StoreError::Busy`] when too much waits.
    pub(super) fn push(self: &Arc<Self>, tenant: &TenantId, request: Request) -> Result<(), StoreError> {
        let mut waiting = self.lock();
        if waiting.closed {
            return Err(stopped());
        }
        let must_be_done = matches!(request, Request::ForgetSnapshots { .. });
        if waiting.requests >= self.shared.limits.queue_max && !must_be_done {
            return Err(StoreError::Busy);
        }
        waiting.requests += 1;
        if let Some(queue) = waiting.queues.get_mut(tenant) {
            queue.push_back(request);
            return Ok(());
        }
        waiting.queues.insert(tenant.clone(), VecDeque::from([request]));
        drop(waiting);
        let (queues, tenant) = (Arc::clone(self), tenant.clone());
        self.runtime.spawn(async move { queues.serve(tenant).await });
        Ok(())
    }

    /// Refuses what comes from now on and waits until all that has come before is written.
    pub(super) async fn close(&self) {
        self.lock().closed = true;
        loop {
            let idle = self.idle.notified();
            if self.lock().queues.is_empty() {
                return;
            }
            idle.await;
        }
    }

    async fn serve(&self, tenant: TenantId) {
        loop {
            let Ok(_turn) = self.turns.acquire().await else {
                return;
            };
            let batch = self.take(&tenant);
            if batch.is_empty() {
                self.idle.notify_waiters();
                return;
            }
            self.write(&tenant, batch).await;
        }
    }

    /// The next batch; an empty one ends the queue.
    fn take(&self, tenant: &TenantId) -> Vec<Request> {
        let limits = &self.shared.limits;
        let mut waiting = self.lock();
        let Some(queue) = waiting.queues.get_mut(tenant) else {
            return Vec::new();
        };
        let (mut batch, mut bytes) = (Vec::new(), 0);
        while batch.len() < limits.batch_max.max(1)
            && let Some(next) = queue.front()
        {
            bytes += next.bytes();
            if bytes > limits.batch_bytes_max && !batch.is_empty() {
                break;
            }
            batch.extend(queue.pop_front());
        }
        if batch.is_empty() {
            waiting.queues.remove(tenant);
        }
        waiting.requests -= batch.len();
        batch
    }

    /// Writes a batch: first the appends, then what is written outside of transactions.
    async fn write(&self, tenant: &TenantId, batch: Vec<Request>) {
        let patience = Duration::from_millis(self.shared.limits.append_ms);
        let (mut appends, mut replies, mut rest) = (Vec::new(), Vec::new(), Vec::new());
        for request in batch {
            match request {
                // While no server answers, what waits is not tried one after the other, each for as long as it may take.
                Request::Append { queued_at, reply, .. } if queued_at.elapsed() > patience => {
                    // Whoever asked may have gone.
                    let _ = reply.send(Err(waited(patience).into()));
                }
                Request::Append { append, reply, .. } => {
                    appends.push(append);
                    replies.push(reply);
                }
                other => rest.push(other),
            }
        }
        if !appends.is_empty() {
            #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
            metrics::histogram!("millwork_event_store_batch_requests").record(appends.len() as f64);
            let writer = BatchWriter {
                mongo: &self.shared.mongo,
                collections: &self.shared.collections,
                limits: &self.shared.limits,
            };
            let appends: Vec<&Append> = appends.iter().map(|append| &**append).collect();
            let outcomes = writer.write(tenant, &appends).await;
            self.answer(tenant, replies, outcomes);
        }
        aside::write(&self.shared, tenant, rest).await;
    }

    /// Tells the position before the outcomes: who gets an outcome finds the position there.
    fn answer(&self, tenant: &TenantId, replies: Vec<oneshot::Sender<Outcome>>, outcomes: Vec<Outcome>) {
        let positions = outcomes.iter().flatten().map(|appended| appended.position);
        if let Some(position) = positions.max() {
            self.shared.positions.publish(tenant, position);
        }
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            // Whoever asked may have gone; the command's id leads to the outcome.
            let _ = reply.send(outcome);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn waited(patience: Duration) -> StoreError {
    StoreError::Failed(format!(
        "nothing was recorded; it has waited longer than {patience:?} for others"
    ))
}
