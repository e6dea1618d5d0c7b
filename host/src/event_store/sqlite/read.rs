//! What is read, by readers and by the writer alike.

use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::super::{Appended, Origin, Position, Recorded, Snapshot, Subject};
use super::schema::{TenantKey, position, to_sql};

/// Columns of an event with what it shares with its command. `CROSS JOIN` keeps SQLite from starting at the commands.
macro_rules! select_events {
    ($rest:literal) => {
        concat!(
            "SELECT e.key, e.id, e.module, e.aggregate, e.subject, e.version, e.name, e.data, ",
            "e.command, c.decided_at, c.origin FROM events e CROSS JOIN commands c ON c.key = e.command ",
            $rest
        )
    };
}

/// See [`super::super::EventStore::feed`].
pub(super) fn feed(
    db: &Connection,
    tenant: TenantKey,
    after: Position,
    limit: u32,
) -> rusqlite::Result<Vec<Recorded>> {
    let sql = select_events!("WHERE e.key > ?1 AND e.key <= ?2 ORDER BY e.key LIMIT ?3");
    events_of(db, sql, (tenant.event(after)?, tenant.end()?, limit))
}

/// See [`super::super::EventStore::events`].
pub(super) fn events(
    db: &Connection,
    tenant: TenantKey,
    of: &Subject,
    after: u64,
    limit: u32,
) -> rusqlite::Result<Vec<Recorded>> {
    let Some(stream) = stream(db, tenant, of)? else {
        return Ok(Vec::new());
    };
    let sql = select_events!("WHERE e.stream = ?1 AND e.version > ?2 ORDER BY e.version LIMIT ?3");
    events_of(db, sql, (stream, to_sql(after)?, limit))
}

fn events_of(db: &Connection, sql: &str, params: impl Params) -> rusqlite::Result<Vec<Recorded>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut events: Vec<Recorded> = Vec::new();
    let mut command = None;
    while let Some(row) = rows.next()? {
        let of_command: i64 = row.get(8)?;
        // Events of one command stand together and share one origin.
        let origin = match events.last() {
            Some(before) if command == Some(of_command) => Arc::clone(&before.origin),
            _ => Arc::new(origin(row, 10)?),
        };
        command = Some(of_command);
        events.push(recorded(row, origin)?);
    }
    Ok(events)
}

fn recorded(row: &Row<'_>, origin: Arc<Origin>) -> rusqlite::Result<Recorded> {
    Ok(Recorded {
        position: position(row.get(0)?),
        id: row.get(1)?,
        of: Subject {
            module: row.get(2)?,
            aggregate: row.get(3)?,
            id: row.get(4)?,
        },
        version: unsigned(row, 5)?,
        name: row.get(6)?,
        recorded_at: unsigned(row, 9)?,
        origin,
        data: Arc::from(row.get_ref(7)?.as_str()?),
    })
}

/// Who caused a command, from its column.
pub(super) fn origin(row: &Row<'_>, column: usize) -> rusqlite::Result<Origin> {
    serde_json::from_str(row.get_ref(column)?.as_str()?)
        .map_err(|error| rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error)))
}

/// A number that is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

/// The key of an aggregate's events, if it has any.
pub(super) fn stream(db: &Connection, tenant: TenantKey, of: &Subject) -> rusqlite::Result<Option<i64>> {
    db.prepare_cached(
        "SELECT stream FROM streams WHERE tenant = ?1 AND module = ?2 AND aggregate = ?3 AND subject = ?4",
    )?
    .query_row((tenant.0, &of.module, &of.aggregate, &of.id), |row| row.get(0))
    .optional()
}

/// The version of the aggregate that has these events.
pub(super) fn version(db: &Connection, stream: i64) -> rusqlite::Result<u64> {
    db.prepare_cached("SELECT ifnull(max(version), 0) FROM events WHERE stream = ?1")?
        .query_row([stream], |row| unsigned(row, 0))
}

/// See [`super::super::EventStore::outcome`].
pub(super) fn outcome(
    db: &Connection,
    tenant: TenantKey,
    command_id: &str,
) -> rusqlite::Result<Option<([u8; 32], Appended)>> {
    let found = db
        .prepare_cached(
            "SELECT fingerprint, position_before, position, version FROM commands WHERE tenant = ?1 AND id = ?2",
        )?
        .query_row((tenant.0, command_id), |row| {
            Ok((row.get(0)?, unsigned(row, 1)?, unsigned(row, 2)?, unsigned(row, 3)?))
        })
        .optional()?;
    let Some((fingerprint, before, position, version)) = found else {
        return Ok(None);
    };
    let count = u32::try_from(position.saturating_sub(before)).unwrap_or(u32::MAX);
    let events = feed(db, tenant, before, count)?;
    Ok(Some((
        fingerprint,
        Appended {
            events,
            version,
            position,
            replayed: true,
        },
    )))
}

/// See [`super::super::EventStore::snapshot`].
pub(super) fn snapshot(
    db: &Connection,
    tenant: TenantKey,
    of: &Subject,
    state_version: u32,
) -> rusqlite::Result<Option<Snapshot>> {
    let Some(stream) = stream(db, tenant, of)? else {
        return Ok(None);
    };
    db.prepare_cached("SELECT version, state FROM snapshots WHERE stream = ?1 AND state_version = ?2")?
        .query_row((stream, state_version), |row| {
            let state = Arc::from(row.get_ref(1)?.as_str()?);
            Ok(Snapshot {
                version: unsigned(row, 0)?,
                state_version,
                state,
            })
        })
        .optional()
}

/// The last number that a sequence gave, 0 before the first.
pub(super) fn last_number(
    db: &Connection,
    tenant: TenantKey,
    module: &str,
    sequence: &str,
) -> rusqlite::Result<u64> {
    let last = db
        .prepare_cached("SELECT last FROM sequences WHERE tenant = ?1 AND module = ?2 AND name = ?3")?
        .query_row((tenant.0, module, sequence), |row| unsigned(row, 0))
        .optional()?;
    Ok(last.unwrap_or(0))
}
