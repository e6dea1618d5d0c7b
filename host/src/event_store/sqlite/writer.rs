//! The one thread that writes: it takes all that comes while the transaction before is flushed, up to a bound, into the next
//! one, so that one flush of the disk serves many appends (group commit). Who asked is answered by the flusher.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use millwork_registry::id::TenantId;
use rusqlite::Connection;
use tokio::runtime::Runtime;
use tokio::sync::{mpsc, oneshot};

use super::super::{Append, AppendError, Journalled, Origin, Snapshot, StoreError, Subject};
use super::append::{self, Outcome, Tenants};
use super::durable::Durable;
use super::flush::{Commit, Served};
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

impl Request {
    /// Tells whoever waits for it what came of it.
    pub(super) fn answer(self, outcome: Option<Outcome>) {
        // Whoever asked may have gone; the command's id leads to the outcome.
        let _ = match (self, outcome) {
            (Self::Append { reply, .. }, Some(outcome)) => reply.send(outcome).is_ok(),
            (Self::Work { reply, .. }, Some(Err(AppendError::Store(error)))) => {
                reply.send(Err(error)).is_ok()
            }
            (Self::Work { reply, .. }, _) => reply.send(Ok(())).is_ok(),
            _ => true,
        };
    }
}

/// The thread's own things.
pub(super) struct Writer {
    /// The only connection that writes.
    pub(super) db: Connection,
    /// Where requests come from.
    pub(super) queue: mpsc::Receiver<Request>,
    /// Where commits go.
    pub(super) commits: SyncSender<Commit>,
    /// What of them is durable.
    pub(super) durable: Arc<Durable>,
    /// Waits for several things at once.
    pub(super) runtime: Runtime,
    /// Requests in one transaction.
    pub(super) batch_max: usize,
    /// See there.
    pub(super) tenants: Tenants,
    /// What the last batch tells of the next one.
    pub(super) pace: Pace,
}

/// What the last commit tells of the next one.
pub(super) struct Pace {
    /// Its number.
    commit: u64,
    /// How many will probably ask again at once.
    requests: usize,
    /// How long its transaction took.
    took: Duration,
    /// When the transaction under way was begun.
    began: Instant,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            commit: 0,
            requests: 0,
            took: Duration::ZERO,
            began: Instant::now(),
        }
    }
}

/// Adds to the batch of an open transaction; false when there is to be no more.
type More = fn(&mut Writer, &mut Vec<Request>) -> bool;

/// The part of a transaction's time that the writer waits for those whom it has just answered. They will ask again soon, and
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
        loop {
            let mut batch = Vec::new();
            if self.queue.blocking_recv_many(&mut batch, self.batch_max) == 0 {
                return;
            }
            self.write(batch, Self::gather);
        }
    }

    /// Writes a batch with what `more` adds to it, and hands it on. An append that SQLite cannot do does not take others
    /// down with it.
    fn write(&mut self, mut batch: Vec<Request>, more: More) {
        if self.durable.check().is_err() {
            // The flusher tells them so.
            return self.hand_over(batch.into_iter().map(|request| (request, None)).collect());
        }
        let outcomes = match self.transaction(&mut batch, more) {
            Ok(outcomes) => outcomes,
            Err(Failure::Statement(error)) if batch.len() > 1 => {
                tracing::warn!(%error, requests = batch.len(), "a batch of appends failed, each is tried alone");
                for request in batch {
                    self.write(vec![request], |_, _| false);
                }
                return;
            }
            Err(Failure::Statement(error) | Failure::Transaction(error)) => {
                batch.iter().map(|request| failed(request, &error)).collect()
            }
        };
        self.hand_over(batch.into_iter().zip(outcomes).collect());
    }

    fn transaction(&mut self, batch: &mut Vec<Request>, more: More) -> Result<Vec<Option<Outcome>>, Failure> {
        let outcomes = self.try_transaction(batch, more);
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

    fn try_transaction(
        &mut self,
        batch: &mut Vec<Request>,
        more: More,
    ) -> Result<Vec<Option<Outcome>>, Failure> {
        self.pace.began = Instant::now();
        self.run_cached("BEGIN IMMEDIATE").map_err(Failure::Transaction)?;
        let mut outcomes = Vec::with_capacity(batch.len());
        loop {
            for request in batch.iter().skip(outcomes.len()) {
                outcomes.push(self.request(request).map_err(Failure::Statement)?);
            }
            if !more(self, batch) {
                break;
            }
        }
        let started = Instant::now();
        self.pace.commit = self.durable.begin();
        self.run_cached("COMMIT").map_err(Failure::Transaction)?;
        metrics::histogram!("millwork_event_store_commit_seconds").record(started.elapsed().as_secs_f64());
        self.pace.took = self.pace.began.elapsed();
        Ok(outcomes)
    }

    /// Waits for requests while the commit before is not durable, and then a little for those that will come anyway. False
    /// when it is time to commit.
    fn gather(&mut self, batch: &mut Vec<Request>) -> bool {
        let room = self.batch_max.saturating_sub(batch.len());
        if room == 0 {
            return false;
        }
        if !self.durable.is_past(self.pace.commit) {
            let Self {
                runtime,
                queue,
                durable,
                pace,
                ..
            } = self;
            return runtime.block_on(async {
                tokio::select! {
                    biased;
                    // None when nobody can ask any more.
                    count = queue.recv_many(batch, room) => count > 0,
                    _ = durable.reach(pace.commit) => true,
                }
            });
        }
        let before = batch.len();
        while batch.len() < self.batch_max
            && let Ok(request) = self.queue.try_recv()
        {
            batch.push(request);
        }
        if batch.len() > before {
            return true;
        }
        let expects = batch.len() < self.pace.requests.min(self.batch_max);
        let patient = self.pace.began.elapsed() < (self.pace.took / GATHER_SHARE).min(GATHER_MAX);
        if expects && patient {
            std::thread::sleep(GATHER_STEP);
        }
        expects && patient
    }

    fn hand_over(&mut self, served: Vec<Served>) {
        #[expect(clippy::cast_precision_loss, reason = "a count for a graph")]
        {
            metrics::histogram!("millwork_event_store_batch_requests").record(served.len() as f64);
            metrics::gauge!("millwork_event_store_queue_requests").set(self.queue.len() as f64);
        }
        if served
            .iter()
            .any(|(request, _)| matches!(request, Request::Close))
        {
            self.queue.close();
        }
        self.pace.requests = served.len() + self.queue.len();
        let number = self.pace.commit;
        if self.commits.send(Commit { number, served }).is_err() {
            tracing::error!("the event store has nobody who flushes its log");
            self.queue.close();
        }
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
            Request::Work { work, .. } => work(&self.db, &mut self.tenants).map(|()| None),
            Request::Close => Ok(None),
        }
    }
}

fn failed(request: &Request, error: &rusqlite::Error) -> Option<Outcome> {
    tracing::error!(%error, "the event store could not write");
    match request {
        Request::Append { .. } | Request::Work { .. } => {
            Some(Err(AppendError::Store(StoreError::Failed(error.to_string()))))
        }
        Request::Rejection { .. } | Request::Snapshot { .. } => {
            metrics::counter!("millwork_event_store_dropped_total", "why" => "failed").increment(1);
            None
        }
        Request::Close => None,
    }
}
