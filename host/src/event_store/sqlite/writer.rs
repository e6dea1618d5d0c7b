//! The one thread that writes: it takes all that waits, up to a bound, into one transaction, so that one flush of the
//! disk serves many appends (group commit), and answers when that is durable.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use millwork_registry::id::TenantId;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot, watch};

use super::super::{Append, AppendError, Journalled, Origin, Position, Snapshot, StoreError, Subject};
use super::append::{self, Outcome, Tenants};
use super::rows;

/// What the writer is asked.
pub(super) enum Request {
    /// Somebody waits for it.
    Append {
        /// What to record.
        append: Box<Append>,
        /// Where the outcome goes.
        reply: oneshot::Sender<Outcome>,
    },
    /// Nobody waits for it.
    Rejection {
        /// Whose.
        tenant: TenantId,
        /// What was rejected.
        command: Box<Journalled>,
        /// Who asked for it.
        origin: Arc<Origin>,
        /// JSON text.
        rejection: String,
    },
    /// Nobody waits for it.
    ForgetSnapshots {
        /// Whose.
        tenant: TenantId,
        /// Of which module.
        module: String,
    },
    /// Nobody waits for it.
    Snapshot {
        /// Whose.
        tenant: TenantId,
        /// The aggregate.
        of: Subject,
        /// Its state.
        snapshot: Snapshot,
    },
    /// Somebody waits for it.
    Work {
        /// What to do.
        work: Work,
        /// Told when it is durable.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
    /// Finish what waits and stop.
    Close,
}

/// Something to do within the writer's transaction; done again when that has to be.
pub(super) type Work = Box<dyn Fn(&Connection, &mut Tenants) -> rusqlite::Result<()> + Send>;

/// The last durable positions of the tenants that somebody watches.
#[derive(Default)]
pub(super) struct Positions(Mutex<HashMap<TenantId, watch::Sender<Position>>>);

impl Positions {
    /// Watches a tenant. `read` gives the position when nobody has watched it so far; commits wait meanwhile with
    /// telling theirs, so that none is missed.
    pub(super) fn watch<E>(
        &self,
        tenant: &TenantId,
        read: impl FnOnce() -> Result<Position, E>,
    ) -> Result<watch::Receiver<Position>, E> {
        let mut watched = self.lock();
        if let Some(sender) = watched.get(tenant) {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(read()?);
        watched.insert(tenant.clone(), sender);
        Ok(receiver)
    }

    /// Who watches a tenant from now on is told where it is then.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    fn publish<'a>(&self, batch: impl Iterator<Item = (&'a TenantId, Position)>) {
        let watched = self.lock();
        for (tenant, position) in batch {
            if let Some(sender) = watched.get(tenant) {
                // A replayed command tells an older position.
                sender.send_if_modified(|last| {
                    let moved = position > *last;
                    *last = position.max(*last);
                    moved
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, watch::Sender<Position>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's own things.
pub(super) struct Writer {
    /// The only connection that writes.
    pub(super) db: Connection,
    /// Where requests come from.
    pub(super) queue: mpsc::Receiver<Request>,
    /// Who is told of new positions.
    pub(super) positions: Arc<Positions>,
    /// Requests in one transaction.
    pub(super) batch_max: usize,
    /// See there.
    pub(super) tenants: Tenants,
    /// What the last batch tells of the next one.
    pub(super) pace: Pace,
}

/// How many will probably ask again at once, and how long a commit makes them wait.
#[derive(Default)]
pub(super) struct Pace {
    requests: usize,
    commit: Duration,
}

/// The part of a commit's time that the writer waits for those whom it has just answered. They will ask again soon, and
/// whoever comes too late for one flush of the disk waits for a second one; without this wait callers fall into two
/// halves that take turns.
const GATHER_SHARE: u32 = 4;
/// The longest such wait: a commit that had to move the WAL into the file says nothing of the next one.
const GATHER_MAX: Duration = Duration::from_millis(2);
/// How often it looks meanwhile.
const GATHER_STEP: Duration = Duration::from_micros(50);

/// Why a batch was not written.
enum Failure {
    /// A statement of one request: the others may do without it.
    Statement(rusqlite::Error),
    /// The transaction as a whole.
    Transaction(rusqlite::Error),
}

impl Writer {
    /// Serves until it is told to close or nobody can ask any more; what waits then is still served.
    pub(super) fn run(mut self) {
        let mut batch = Vec::with_capacity(self.batch_max);
        while self.queue.blocking_recv_many(&mut batch, self.batch_max) > 0 {
            self.gather(&mut batch);
            if batch.iter().any(|request| matches!(request, Request::Close)) {
                self.queue.close();
            }
            #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
            {
                metrics::histogram!("millwork_event_store_batch_requests").record(batch.len() as f64);
                metrics::gauge!("millwork_event_store_queue_requests").set(self.queue.len() as f64);
            }
            let outcomes = self.write(&batch);
            self.pace.requests = batch.len() + self.queue.len();
            self.answer(batch.drain(..).zip(outcomes).collect());
        }
    }

    /// Waits a little for requests that will come anyway.
    fn gather(&mut self, batch: &mut Vec<Request>) {
        let expected = self.pace.requests.min(self.batch_max);
        let until = Instant::now() + (self.pace.commit / GATHER_SHARE).min(GATHER_MAX);
        while batch.len() < expected && Instant::now() < until {
            std::thread::sleep(GATHER_STEP);
            while batch.len() < self.batch_max
                && let Ok(request) = self.queue.try_recv()
            {
                batch.push(request);
            }
        }
    }

    /// Writes a batch; an append that SQLite cannot do does not take others down with it.
    fn write(&mut self, batch: &[Request]) -> Vec<Option<Outcome>> {
        match self.transaction(batch) {
            Ok(outcomes) => outcomes,
            Err(Failure::Transaction(error)) => batch.iter().map(|request| failed(request, &error)).collect(),
            Err(Failure::Statement(error)) if batch.len() > 1 => {
                tracing::warn!(%error, requests = batch.len(), "a batch of appends failed, each is tried alone");
                batch.chunks(1).flat_map(|request| self.write(request)).collect()
            }
            Err(Failure::Statement(error)) => batch.iter().map(|request| failed(request, &error)).collect(),
        }
    }

    fn transaction(&mut self, batch: &[Request]) -> Result<Vec<Option<Outcome>>, Failure> {
        let outcomes = self.try_transaction(batch);
        if outcomes.is_err() {
            self.tenants.forget();
            if !self.db.is_autocommit()
                && let Err(error) = self.db.execute_batch("ROLLBACK")
            {
                tracing::error!(%error, "the event store cannot roll back");
            }
        }
        outcomes
    }

    fn try_transaction(&mut self, batch: &[Request]) -> Result<Vec<Option<Outcome>>, Failure> {
        self.run_cached("BEGIN IMMEDIATE").map_err(Failure::Transaction)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        for request in batch {
            outcomes.push(self.request(request).map_err(Failure::Statement)?);
        }
        let started = Instant::now();
        self.run_cached("COMMIT").map_err(Failure::Transaction)?;
        self.pace.commit = started.elapsed();
        metrics::histogram!("millwork_event_store_commit_seconds").record(self.pace.commit.as_secs_f64());
        Ok(outcomes)
    }

    fn run_cached(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn request(&mut self, request: &Request) -> rusqlite::Result<Option<Outcome>> {
        match request {
            Request::Append { append, .. } => append::append(&self.db, &mut self.tenants, append).map(Some),
            Request::Rejection {
                tenant,
                command,
                origin,
                rejection,
            } => rows::rejection(&self.db, &mut self.tenants, tenant, command, origin, rejection)
                .map(|()| None),
            Request::Snapshot { tenant, of, snapshot } => {
                rows::snapshot(&self.db, &mut self.tenants, tenant, of, snapshot).map(|()| None)
            }
            Request::ForgetSnapshots { tenant, module } => {
                rows::forget_snapshots(&self.db, &mut self.tenants, tenant, module).map(|()| None)
            }
            Request::Work { work, .. } => work(&self.db, &mut self.tenants).map(|()| None),
            Request::Close => Ok(None),
        }
    }

    /// Tells positions before outcomes: who gets an outcome finds the position there.
    fn answer(&self, served: Vec<(Request, Option<Outcome>)>) {
        self.positions.publish(
            served
                .iter()
                .filter_map(|(request, outcome)| match (request, outcome) {
                    (Request::Append { append, .. }, Some(Ok(appended))) => {
                        Some((&append.tenant, appended.position))
                    }
                    _ => None,
                }),
        );
        for (request, outcome) in served {
            // Whoever asked may have gone; the command's id leads to the outcome.
            let _ = match (request, outcome) {
                (Request::Append { reply, .. }, Some(outcome)) => reply.send(outcome).is_ok(),
                (Request::Work { reply, .. }, Some(Err(AppendError::Store(error)))) => {
                    reply.send(Err(error)).is_ok()
                }
                (Request::Work { reply, .. }, _) => reply.send(Ok(())).is_ok(),
                _ => true,
            };
        }
    }
}

fn failed(request: &Request, error: &rusqlite::Error) -> Option<Outcome> {
    tracing::error!(%error, "the event store could not write");
    match request {
        Request::Append { .. } | Request::Work { .. } => {
            Some(Err(AppendError::Store(StoreError::Failed(error.to_string()))))
        }
        Request::Rejection { .. } | Request::Snapshot { .. } | Request::ForgetSnapshots { .. } => {
            metrics::counter!("millwork_event_store_dropped_total", "why" => "failed").increment(1);
            None
        }
        Request::Close => None,
    }
}
