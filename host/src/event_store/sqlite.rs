//! Events in one SQLite file: nothing to install, and as fast as one disk flushes.
//!
//! One connection writes, with group commit, and one thread flushes the log of the file (SQLite's WAL) after each commit, so
//! an append has reached the disk when it returns. Readers have connections of their own; what they have seen that is
//! committed and not yet flushed leaves the store when it is.

mod append;
mod check;
mod durable;
mod flush;
mod journal;
mod portable;
mod read;
mod request;
mod rows;
mod schema;
mod transaction;
mod writer;
#[cfg(test)]
mod tests;

use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use rusqlite::Connection;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};

use self::append::Tenants;
use self::durable::{Durable, Positions};
use self::flush::Flusher;
use self::request::Request;
use self::schema::TenantKey;
use self::writer::Writer;
use super::journal::{JournalEntry, Newest, Shelf};
use super::{
    Append, AppendOutcome, Appended, EventStore, Journalled, Origin, Position, Recorded, Snapshot,
    StoreError, Subject,
};
use crate::blocking;
use crate::sqlite::{Readers, open_writer};

/// Memory for pages that the writer keeps, in KiB; as SQLite has it, negative.
const WRITER_CACHE_KIB: i32 = -65_536;
/// Pages in the WAL after which they are moved to the file: rarer than SQLite's default, since each time costs flushes.
const CHECKPOINT_PAGES: u32 = 8_192;

/// Bounds of [`SqliteEvents`].
#[derive(Debug, Clone)]
pub struct SqliteEventsLimits {
    /// Requests that may wait for the writer; further ones are refused with [`StoreError::Busy`].
    pub queue_max: usize,
    /// Requests that one transaction takes.
    pub batch_max: usize,
    /// Connections that read at once; further reads wait.
    pub readers_max: usize,
}

/// See the module.
pub struct SqliteEvents {
    writer: Arc<Writer>,
    readers: Readers,
    durable: Arc<Durable>,
    positions: Arc<Positions>,
    /// The flusher's. A std mutex: taken once, by whoever closes the store.
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl SqliteEvents {
    /// Opens the file, made when it is not there, and starts the flusher. To be called within a runtime of tokio, in which
    /// appends are answered.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the file cannot be opened or a newer release has written it.
    pub fn open(path: &Path, limits: &SqliteEventsLimits) -> Result<Self, StoreError> {
        // SQLite flushes no commit: the flusher does.
        let db = open_writer(path, schema::MIGRATIONS, "normal").map_err(failed)?;
        db.pragma_update(None, "cache_size", WRITER_CACHE_KIB)
            .map_err(failed)?;
        db.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)
            .map_err(failed)?;
        settle_log(&db)?;
        let log = open_log(path).map_err(failed)?;
        let readers = Readers::new(path.to_owned(), limits.readers_max, |_| Ok(()));
        Self::start(db, log, readers, limits)
    }

    fn start(
        db: Connection,
        log: File,
        readers: Readers,
        limits: &SqliteEventsLimits,
    ) -> Result<Self, StoreError> {
        let durable = Arc::<Durable>::default();
        let positions = Arc::<Positions>::default();
        let writer = Writer::new(db, Arc::clone(&durable), limits.queue_max, limits.batch_max);
        let writer = Arc::new(writer);
        let flusher = Flusher {
            log,
            writer: Arc::clone(&writer),
            durable: Arc::clone(&durable),
            positions: Arc::clone(&positions),
            runtime: Handle::current(),
        };
        let thread = std::thread::Builder::new().name("event-flusher".to_owned());
        let thread = thread.spawn(move || flusher.run()).map_err(failed)?;
        Ok(Self {
            writer,
            readers,
            durable,
            positions,
            thread: Mutex::new(Some(thread)),
        })
    }

    fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the thread of the event store has panicked");
        }
    }

    /// Checks what a reader relies on: positions and versions without gaps, numbers and claims in their places, every
    /// outcome within the feed. It reads the whole file: for tests and for an operator in doubt.
    ///
    /// # Errors
    /// [`StoreError::Failed`] with the first thing found wrong.
    pub async fn verify(&self) -> Result<(), StoreError> {
        blocking::run(|| self.readers.with(|db| check::verify(db)))
    }

    /// Reads for a tenant what is told to others, once it is durable.
    async fn read_durable<T: Send>(
        &self,
        tenant: &TenantId,
        nothing: T,
        read: impl FnOnce(&Connection, TenantKey) -> rusqlite::Result<T> + Send,
    ) -> Result<T, StoreError> {
        let found = self.read(tenant, nothing, read)?;
        self.durable.settled().await?;
        Ok(found)
    }

    /// Reads for a tenant; `nothing` is the answer while the tenant has not written. What was found may not be durable.
    fn read<T>(
        &self,
        tenant: &TenantId,
        nothing: T,
        read: impl FnOnce(&Connection, TenantKey) -> rusqlite::Result<T>,
    ) -> Result<T, StoreError> {
        blocking::run(|| {
            self.readers
                .with(|db| match TenantKey::find(db, tenant.as_str())? {
                    Some(key) => Ok(read(db, key)?),
                    None => Ok(nothing),
                })
        })
    }

    /// For requests that nobody waits for.
    fn offer(&self, request: Request) {
        if self.writer.push(request).is_err() {
            metrics::counter!("millwork_event_store_dropped_total", "why" => "busy").increment(1);
        }
    }
}

impl Drop for SqliteEvents {
    fn drop(&mut self) {
        self.writer.close();
        self.join();
    }
}

#[async_trait]
impl EventStore for SqliteEvents {
    fn append(&self, append: Append) -> AppendOutcome {
        let (reply, outcome) = oneshot::channel();
        let queued = self.writer.push(Request::Append {
            append: Box::new(append),
            reply,
        });
        Box::pin(async move {
            queued?;
            outcome.await.map_err(|_| stopped())?
        })
    }

    fn journal_rejection(
        &self,
        tenant: &TenantId,
        command: Journalled,
        origin: Arc<Origin>,
        rejection: String,
    ) {
        self.offer(Request::Rejection {
            tenant: tenant.clone(),
            command: Box::new(command),
            origin,
            rejection,
        });
    }

    async fn outcome(
        &self,
        tenant: &TenantId,
        command_id: &str,
    ) -> Result<Option<([u8; 32], Appended)>, StoreError> {
        let found = self.read(tenant, None, |db, key| read::outcome(db, key, command_id))?;
        if found.is_some() {
            self.durable.settled().await?;
        }
        Ok(found)
    }

    async fn events(
        &self,
        tenant: &TenantId,
        of: &Subject,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.read(tenant, Vec::new(), |db, key| {
            read::events(db, key, of, after, limit)
        })
    }

    async fn is_current(&self, _: &TenantId, _: &[(Subject, u64)]) -> Result<bool, StoreError> {
        // Nobody else writes; but what was seen may not be durable yet.
        self.durable.settled().await?;
        Ok(true)
    }

    async fn snapshot(
        &self,
        tenant: &TenantId,
        of: &Subject,
        state_version: u32,
    ) -> Result<Option<Snapshot>, StoreError> {
        self.read(tenant, None, |db, key| read::snapshot(db, key, of, state_version))
    }

    fn keep_snapshot(&self, tenant: &TenantId, of: &Subject, snapshot: Snapshot) {
        self.offer(Request::Snapshot {
            tenant: tenant.clone(),
            of: of.clone(),
            snapshot,
        });
    }

    async fn forget_snapshots(&self, tenant: &TenantId, module: &str) -> Result<(), StoreError> {
        let (tenant, module) = (tenant.clone(), module.to_owned());
        let forget = move |db: &Connection, tenants: &mut Tenants| {
            rows::forget_snapshots(db, tenants, &tenant, &module)
        };
        self.work(Box::new(forget)).await
    }

    async fn feed(
        &self,
        tenant: &TenantId,
        after: Position,
        limit: u32,
    ) -> Result<Vec<Recorded>, StoreError> {
        self.read_durable(tenant, Vec::new(), |db, key| read::feed(db, key, after, limit))
            .await
    }

    async fn newest_aggregates(
        &self,
        tenant: &TenantId,
        module: &str,
        limit: u32,
    ) -> Result<Newest<(Subject, u64)>, StoreError> {
        self.read_durable(tenant, Newest::none(), |db, key| {
            journal::newest_aggregates(db, key, module, limit)
        })
        .await
    }

    async fn newest_commands(
        &self,
        tenant: &TenantId,
        module: &str,
        shelf: Shelf,
        limit: u32,
    ) -> Result<Newest<u64>, StoreError> {
        self.read_durable(tenant, Newest::none(), |db, key| {
            journal::newest_commands(db, key, module, shelf, limit)
        })
        .await
    }

    async fn journal(
        &self,
        tenant: &TenantId,
        shelf: Shelf,
        keys: &[u64],
    ) -> Result<Vec<JournalEntry>, StoreError> {
        self.read_durable(tenant, Vec::new(), |db, key| {
            journal::entries(db, key, shelf, keys)
        })
        .await
    }

    async fn next_number(&self, tenant: &TenantId, module: &str, sequence: &str) -> Result<u64, StoreError> {
        self.read(tenant, 1, |db, key| {
            Ok(read::last_number(db, key, module, sequence)? + 1)
        })
    }

    async fn last_position(&self, tenant: &TenantId) -> Result<watch::Receiver<Position>, StoreError> {
        let read = || self.read(tenant, 0, |db, key| key.last_position(db));
        let position = self.positions.watch(tenant, read)?;
        self.durable.settled().await?;
        Ok(position)
    }

    async fn close(&self) {
        self.writer.close();
        blocking::run(|| self.join());
    }
}

impl From<rusqlite::Error> for StoreError {
    fn from(error: rusqlite::Error) -> Self {
        failed(error)
    }
}

/// Moves what an earlier life of the host left in the log into the file, and flushes that. After a flush that failed some of
/// it may be in the kernel's memory alone, and nothing may follow it in the log.
fn settle_log(db: &Connection) -> Result<(), StoreError> {
    let busy: bool = db.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    if busy {
        tracing::warn!("another program reads the events, so their log is not moved into the file");
    }
    Ok(())
}

/// The log of a file that is open. That it is there is durable when this returns.
fn open_log(path: &Path) -> io::Result<File> {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let log = File::open(log)?;
    log.sync_data()?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(log)
}

fn failed(error: impl std::fmt::Display) -> StoreError {
    StoreError::Failed(error.to_string())
}

fn stopped() -> StoreError {
    StoreError::Failed("the writer has stopped".to_owned())
}
