//! The open transaction: requests are added to it one by one until it is committed. A request that SQLite cannot do does not
//! take others down with it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::super::{AppendError, StoreError};
use super::append::{self, Outcome, Tenants};
use super::durable::Durable;
use super::request::Request;
use super::rows;
use crate::sqlite::BUSY_TIMEOUT;

/// A request with what came of it; nothing for those that nobody waits for.
pub(super) type Served = (Request, Option<Outcome>);

/// What is committed and not yet durable.
pub(super) struct Commit {
    /// See [`Durable::begin`].
    pub(super) number: u64,
    /// Who is to be answered.
    pub(super) served: Vec<Served>,
}

/// See the module.
pub(super) struct Transaction {
    /// The only connection that writes.
    db: Connection,
    tenants: Tenants,
    durable: Arc<Durable>,
    /// In the order in which they came.
    served: Vec<Served>,
    /// How many of these are committed already or have failed. The others stand in the open transaction.
    settled: usize,
    /// The number of the last commit.
    number: u64,
    /// Why it could not be opened. Who comes until the next commit does not wait for that again.
    unopened: Option<rusqlite::Error>,
}

impl Transaction {
    /// None is open so far.
    pub(super) fn new(db: Connection, durable: Arc<Durable>) -> Self {
        Self {
            db,
            tenants: Tenants::default(),
            durable,
            served: Vec::new(),
            settled: 0,
            number: 0,
            unopened: None,
        }
    }

    /// How many requests were added since the last commit.
    pub(super) fn len(&self) -> usize {
        self.served.len()
    }

    /// Whether something can be added without waiting for another program that writes to the file.
    pub(super) fn is_open_at_once(&self) -> bool {
        if !self.db.is_autocommit() {
            return true;
        }
        if self.durable.check().is_err() || self.db.busy_timeout(Duration::ZERO).is_err() {
            return false;
        }
        let begun = self.begin().is_ok();
        self.db.busy_timeout(BUSY_TIMEOUT).is_ok() && begun
    }

    /// Does what is asked.
    pub(super) fn add(&mut self, request: Request) {
        if self.durable.check().is_err() {
            // The flusher tells them so.
            return self.settle(request, None);
        }
        if self.unopened.is_none() {
            self.unopened = self.begin().err();
        }
        if let Some(error) = &self.unopened {
            let outcome = failed(&request, error);
            return self.settle(request, outcome);
        }
        match self.request(&request) {
            Ok(outcome) => self.served.push((request, outcome)),
            Err(error) => {
                tracing::warn!(%error, "an append failed, each one of its transaction is tried alone");
                self.roll_back();
                for (request, _) in self.served.split_off(self.settled) {
                    self.alone(request);
                }
                self.alone(request);
            }
        }
    }

    /// Commits what was added, and begins anew. After a failure nothing is committed.
    pub(super) fn commit(&mut self) -> Commit {
        if self.durable.check().is_err() {
            self.roll_back();
        } else if !self.db.is_autocommit()
            && let Err(error) = self.end()
        {
            self.roll_back();
            for (request, outcome) in self.served.iter_mut().skip(self.settled) {
                *outcome = failed(request, &error);
            }
        }
        self.settled = 0;
        self.unopened = None;
        Commit {
            number: self.number,
            served: std::mem::take(&mut self.served),
        }
    }

    /// Takes back what was added and not committed; whoever waits for it is told that the store has stopped.
    pub(super) fn abandon(&mut self) {
        self.roll_back();
        self.served.clear();
        self.settled = 0;
    }

    /// Does a request in a transaction of its own.
    fn alone(&mut self, request: Request) {
        let done = self.try_alone(&request);
        let outcome = done.unwrap_or_else(|error| {
            self.roll_back();
            failed(&request, &error)
        });
        self.settle(request, outcome);
    }

    fn try_alone(&mut self, request: &Request) -> rusqlite::Result<Option<Outcome>> {
        self.begin()?;
        let outcome = self.request(request)?;
        self.end()?;
        Ok(outcome)
    }

    fn settle(&mut self, request: Request, outcome: Option<Outcome>) {
        self.served.push((request, outcome));
        self.settled = self.served.len();
    }

    fn begin(&self) -> rusqlite::Result<()> {
        if self.db.is_autocommit() {
            self.run_cached("BEGIN IMMEDIATE")?;
        }
        Ok(())
    }

    fn end(&mut self) -> rusqlite::Result<()> {
        let started = Instant::now();
        self.number = self.durable.begin();
        self.run_cached("COMMIT")?;
        metrics::histogram!("millwork_event_store_commit_seconds").record(started.elapsed().as_secs_f64());
        Ok(())
    }

    fn roll_back(&mut self) {
        self.tenants.forget();
        if !self.db.is_autocommit()
            && let Err(error) = self.db.execute_batch("ROLLBACK")
        {
            tracing::error!(%error, "the event store cannot roll back");
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
    }
}
