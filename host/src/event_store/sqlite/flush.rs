//! The thread that commits and makes commits durable: it flushes the log of the file after each, then answers whoever asked.
//! The next transaction is filled meanwhile.

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::time::Instant;

use tokio::runtime::Handle;

use super::super::AppendError;
use super::durable::{Durable, Positions};
use super::request::Request;
use super::transaction::Served;
use super::writer::Writer;

/// The thread's own things.
pub(super) struct Flusher {
    /// The log of the file. SQLite has no locks on it that closing it here would drop.
    pub(super) log: File,
    /// What is to be written.
    pub(super) writer: Arc<Writer>,
    /// Who waits for it.
    pub(super) durable: Arc<Durable>,
    /// Who is told of new positions.
    pub(super) positions: Arc<Positions>,
    /// Where they are told: waking one of its threads for all of them costs less than one for each.
    pub(super) runtime: Handle,
}

impl Flusher {
    /// Serves until there is nothing more to write.
    pub(super) fn run(self) {
        while let Some(commit) = self.writer.commit() {
            let started = Instant::now();
            let flushed = self.log.sync_data();
            let took = started.elapsed();
            metrics::histogram!("millwork_event_store_flush_seconds").record(took.as_secs_f64());
            if let Err(error) = &flushed {
                tracing::error!(%error, "the event store could not flush its log");
            }
            self.durable.note(commit.number, &flushed);
            self.writer.expect(&commit);
            self.answer(commit.served);
            self.writer.gather(took);
        }
    }

    fn answer(&self, mut served: Vec<Served>) {
        for (_, outcome) in &mut served {
            if let Err(error) = self.durable.check() {
                *outcome = Some(Err(AppendError::Store(error)));
            }
        }
        let positions = Arc::clone(&self.positions);
        self.runtime.spawn(async move { tell(&positions, served) });
    }
}

/// When it ends, be it by a panic, nobody waits for what it will not do.
impl Drop for Flusher {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.durable
                .note(0, &Err(io::Error::other("its thread has panicked")));
        }
        self.writer.abandon();
    }
}

/// Tells positions before outcomes: who gets an outcome finds the position there.
fn tell(positions: &Positions, served: Vec<Served>) {
    let reached = served
        .iter()
        .filter_map(|(request, outcome)| match (request, outcome) {
            (Request::Append { append, .. }, Some(Ok(appended))) => Some((&append.tenant, appended.position)),
            _ => None,
        });
    positions.publish(reached);
    for (request, outcome) in served {
        request.answer(outcome);
    }
}
