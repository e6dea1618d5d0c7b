//! The tables of `events.db`, and how a tenant's position becomes a row's key.
//!
//! An event stands once, in `events`; the outcome of a command is found again by its range of positions, and what all
//! events of one command share (origin, time) stands with the command.

use rusqlite::{Connection, OptionalExtension};

use super::super::Position;

/// Positions that one tenant can have: a row's key is the tenant's number, then the position, in one integer, so that
/// the feed of a tenant is one range of the table and needs no index.
const POSITION_BITS: u32 = 40;

/// See [`crate::sqlite::Migrations`].
pub(super) const MIGRATIONS: crate::sqlite::Migrations = &["
CREATE TABLE tenants (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- What was decided, accepted only. `position_before` and `position` bound its events; `version` is the target's after it.
CREATE TABLE commands (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    origin TEXT NOT NULL,
    decided_at INTEGER NOT NULL,
    position_before INTEGER NOT NULL,
    position INTEGER NOT NULL,
    version INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    name TEXT NOT NULL,
    module TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    subject TEXT NOT NULL,
    release TEXT NOT NULL,
    input TEXT NOT NULL,
    UNIQUE (tenant, id)
) STRICT;

CREATE TABLE rejections (
    key INTEGER PRIMARY KEY,
    tenant INTEGER NOT NULL,
    id TEXT NOT NULL,
    origin TEXT NOT NULL,
    decided_at INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    name TEXT NOT NULL,
    module TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    subject TEXT NOT NULL,
    release TEXT NOT NULL,
    input TEXT NOT NULL,
    rejection TEXT NOT NULL
) STRICT;

CREATE TABLE events (
    key INTEGER PRIMARY KEY,
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    command INTEGER NOT NULL,
    id TEXT NOT NULL,
    module TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    subject TEXT NOT NULL,
    name TEXT NOT NULL,
    data TEXT NOT NULL,
    UNIQUE (stream, version)
) STRICT;

-- One row an aggregate; `stream` is the key of its first event.
CREATE TABLE streams (
    tenant INTEGER NOT NULL,
    module TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    subject TEXT NOT NULL,
    stream INTEGER NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (tenant, module, aggregate, subject)
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
    stream INTEGER NOT NULL,
    state_version INTEGER NOT NULL,
    version INTEGER NOT NULL,
    state TEXT NOT NULL,
    UNIQUE (stream, state_version)
) STRICT;

CREATE TABLE claims (
    tenant INTEGER NOT NULL,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    value TEXT NOT NULL,
    aggregate TEXT NOT NULL,
    subject TEXT NOT NULL,
    PRIMARY KEY (tenant, module, name, value)
) STRICT, WITHOUT ROWID;

CREATE TABLE sequences (
    tenant INTEGER NOT NULL,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    last INTEGER NOT NULL,
    PRIMARY KEY (tenant, module, name)
) STRICT, WITHOUT ROWID;
", "
-- For replays. Commands with events are found by their events, so that accepting one writes to no further index.
CREATE INDEX rejections_of_module ON rejections (tenant, module);
CREATE INDEX commands_without_events ON commands (tenant, module) WHERE position = position_before;
", "
-- Whether appends are taken: 0 they are, 1 the tenant is moving away, 2 it is moving here.
ALTER TABLE tenants ADD COLUMN gate INTEGER NOT NULL DEFAULT 0;
", "
-- An aggregate's version is that of its last event, which its index knows: a further event writes to no row of `streams`.
ALTER TABLE streams DROP COLUMN version;
"];

/// A tenant's number in this file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TenantKey(pub(super) i64);

impl TenantKey {
    /// The number of a tenant that has written before.
    pub(super) fn find(db: &Connection, tenant: &str) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached("SELECT key FROM tenants WHERE name = ?1")?
            .query_row([tenant], |row| row.get(0).map(Self))
            .optional()
    }

    /// The key of the event at `position`.
    pub(super) fn event(self, position: Position) -> rusqlite::Result<i64> {
        let position = to_sql(position)?;
        if self.0 >> (63 - POSITION_BITS) == 0 && position >> POSITION_BITS == 0 {
            return Ok((self.0 << POSITION_BITS) | position);
        }
        Err(rusqlite::Error::IntegralValueOutOfRange(0, position))
    }

    /// The key after all that this tenant can have.
    pub(super) fn end(self) -> rusqlite::Result<i64> {
        self.event((1 << POSITION_BITS) - 1)
    }

    /// The last position recorded.
    pub(super) fn last_position(self, db: &Connection) -> rusqlite::Result<Position> {
        let bounds = [self.event(0)?, self.end()?];
        let last: Option<i64> = db
            .prepare_cached("SELECT max(key) FROM events WHERE key > ?1 AND key <= ?2")?
            .query_row(bounds, |row| row.get(0))?;
        Ok(last.map_or(0, position))
    }
}

/// The position in an event's key.
pub(super) fn position(key: i64) -> Position {
    key.unsigned_abs() & ((1 << POSITION_BITS) - 1)
}

/// An unsigned number as SQLite can hold it.
pub(super) fn to_sql(number: u64) -> rusqlite::Result<i64> {
    i64::try_from(number).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}
