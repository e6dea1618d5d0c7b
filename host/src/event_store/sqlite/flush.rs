//! The thread that makes commits durable: it flushes the log of the file once for all commits that wait, then answers
//! whoever asked for them. The writer prepares its next transaction meanwhile.

use std::fs::File;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Instant;

use super::super::AppendError;
use super::append::Outcome;
use super::durable::{Durable, Positions};
use super::writer::Request;

/// A request with what came of it; nothing for those that nobody waits for.
pub(super) type Served = (Request, Option<Outcome>);

/// A transaction that is committed and not yet durable.
pub(super) struct Commit {
    /// See [`Durable::begin`].
    pub(super) number: u64,
    /// Who is to be answered.
    pub(super) served: Vec<Served>,
}

/// The thread's own things.
pub(super) struct Flusher {
    /// The log of the file. SQLite has no locks on it that closing it here would drop.
    pub(super) log: File,
    /// Where commits come from.
    pub(super) commits: mpsc::Receiver<Commit>,
    /// Who waits for them.
    pub(super) durable: Arc<Durable>,
    /// Who is told of new positions.
    pub(super) positions: Arc<Positions>,
}

impl Flusher {
    /// Serves until the writer has ended.
    pub(super) fn run(self) {
        while let Ok(commit) = self.commits.recv() {
            let mut last = commit.number;
            let mut served = commit.served;
            for commit in self.commits.try_iter() {
                last = commit.number;
                served.extend(commit.served);
            }
            let started = Instant::now();
            let flushed = self.log.sync_data();
            metrics::histogram!("millwork_event_store_flush_seconds").record(started.elapsed().as_secs_f64());
            if let Err(error) = &flushed {
                tracing::error!(%error, "the event store could not flush its log");
            }
            self.durable.note(last, &flushed);
            self.answer(served);
        }
    }

    /// Tells positions before outcomes: who gets an outcome finds the position there.
    fn answer(&self, mut served: Vec<Served>) {
        for (_, outcome) in &mut served {
            if let Err(error) = self.durable.check() {
                *outcome = Some(Err(AppendError::Store(error)));
            }
        }
        let reached = served
            .iter()
            .filter_map(|(request, outcome)| match (request, outcome) {
                (Request::Append { append, .. }, Some(Ok(appended))) => {
                    Some((&append.tenant, appended.position))
                }
                _ => None,
            });
        self.positions.publish(reached);
        for (request, outcome) in served {
            request.answer(outcome);
        }
    }
}
