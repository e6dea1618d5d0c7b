//! What the stores on SQLite share: how a file is opened and its version checked, and a pool of readers.
//!
//! Every file is in WAL mode: one connection writes, others read what was committed when their statement began. Nothing
//! here knows a table.

use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Prepared statements that a connection remembers.
const STATEMENTS_CACHED: usize = 128;
/// How long a connection waits for another program that has a file locked.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Size that the WAL file is cut back to after a checkpoint.
const WAL_BYTES: u32 = 64 << 20;

/// Why a file was not opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// A newer program wrote it.
    #[error("{path} has format {found}, this program knows up to {known}: use a newer release")]
    Newer {
        /// The file.
        path: String,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The folder cannot be made.
    #[error("{0}")]
    Folder(#[from] std::io::Error),
    /// SQLite refuses.
    #[error("{0}")]
    Sqlite(#[from] rusqlite::Error),
}

/// How a file's tables came to be: entry `n` brings format `n` to `n + 1`.
pub(crate) type Migrations = &'static [&'static str];

/// Opens a file for its one writer, made and migrated as needed; `synchronous` is that of SQLite's pragma.
pub(crate) fn open_writer(
    path: &Path,
    migrations: Migrations,
    synchronous: &str,
) -> Result<Connection, OpenError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let flags =
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut db = Connection::open_with_flags(path, flags)?;
    db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    db.busy_timeout(BUSY_TIMEOUT)?;
    db.pragma_update(None, "journal_mode", "wal")?;
    db.pragma_update(None, "synchronous", synchronous)?;
    db.pragma_update(None, "journal_size_limit", WAL_BYTES)?;
    migrate(&mut db, path, migrations)?;
    Ok(db)
}

fn migrate(db: &mut Connection, path: &Path, migrations: Migrations) -> Result<(), OpenError> {
    let found: u32 = db.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = u32::try_from(migrations.len()).unwrap_or(u32::MAX);
    if found > known {
        return Err(OpenError::Newer {
            path: path.display().to_string(),
            found,
            known,
        });
    }
    let transaction = db.transaction()?;
    for step in migrations.iter().skip(found as usize) {
        transaction.execute_batch(step)?;
    }
    transaction.pragma_update(None, "user_version", known)?;
    Ok(transaction.commit()?)
}

/// Removes a file that nobody has open, with what stands beside it: that first, or it would be taken for a new file's.
pub(crate) fn remove(path: &Path) -> std::io::Result<()> {
    for ending in ["-wal", "-shm", ""] {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        match std::fs::remove_file(PathBuf::from(name)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Connections that only read, opened when they are first needed.
pub(crate) struct Readers {
    path: PathBuf,
    connections_max: usize,
    setup: fn(&Connection) -> rusqlite::Result<()>,
    /// A std mutex: it is held for a push or a pop only, never across a statement.
    state: Mutex<Idle>,
    returned: Condvar,
}

#[derive(Default)]
struct Idle {
    connections: Vec<Connection>,
    open: usize,
}

impl Readers {
    /// At most `connections_max` (at least one) for the file at `path`, each prepared by `setup`.
    pub(crate) fn new(
        path: PathBuf,
        connections_max: usize,
        setup: fn(&Connection) -> rusqlite::Result<()>,
    ) -> Self {
        let connections_max = connections_max.max(1);
        Self {
            path,
            connections_max,
            setup,
            state: Mutex::default(),
            returned: Condvar::new(),
        }
    }

    /// Runs `read` with a connection of its own; waits, holding the thread, while all are busy.
    pub(crate) fn with<T, E: From<rusqlite::Error>>(
        &self,
        read: impl FnOnce(&mut Connection) -> Result<T, E>,
    ) -> Result<T, E> {
        let mut lease = self.lease()?;
        match &mut lease.connection {
            Some(connection) => read(connection),
            None => Err(rusqlite::Error::InvalidQuery.into()),
        }
    }

    fn lease(&self) -> rusqlite::Result<Lease<'_>> {
        let mut state = self.lock();
        loop {
            if let Some(connection) = state.connections.pop() {
                return Ok(Lease {
                    readers: self,
                    connection: Some(connection),
                });
            }
            if state.open < self.connections_max {
                state.open += 1;
                drop(state);
                // Made before opening, so that a failure gives the place back.
                let mut lease = Lease {
                    readers: self,
                    connection: None,
                };
                lease.connection = Some(self.open()?);
                return Ok(lease);
            }
            state = self.returned.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let db = Connection::open_with_flags(&self.path, flags)?;
        db.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
        db.busy_timeout(BUSY_TIMEOUT)?;
        (self.setup)(&db)?;
        Ok(db)
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A connection on loan: it goes back even when its borrower panics.
struct Lease<'a> {
    readers: &'a Readers,
    connection: Option<Connection>,
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let mut state = self.readers.lock();
        match self.connection.take() {
            Some(connection) => state.connections.push(connection),
            None => state.open = state.open.saturating_sub(1),
        }
        drop(state);
        self.readers.returned.notify_one();
    }
}
