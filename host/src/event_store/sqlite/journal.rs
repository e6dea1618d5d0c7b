//! Reads for a replay: which aggregates and commands of a module are the newest, and the journal's entries.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension, Params, Row};

use super::super::journal::{JournalEntry, JournalOutcome, Newest, Shelf};
use super::super::{Journalled, Origin, Subject};
use super::read;
use super::schema::TenantKey;

/// How many rows beyond those wanted are counted: a replay must not read a whole large file to say how much it left out.
const COUNTED_BEYOND: u64 = 100_000;

/// Columns of a journalled command, and further ones from the eleventh on.
macro_rules! select_entries {
    ($further:literal, $table:literal) => {
        concat!(
            "SELECT id, fingerprint, name, module, aggregate, subject, release, input, decided_at, origin, key, ",
            $further,
            " FROM ",
            $table
        )
    };
}
pub(super) use select_entries;

/// See [`super::super::EventStore::newest_aggregates`].
pub(super) fn newest_aggregates(
    db: &Connection,
    tenant: TenantKey,
    module: &str,
    limit: u32,
) -> rusqlite::Result<Newest<(Subject, u64)>> {
    let total: i64 = db
        .prepare_cached("SELECT count(*) FROM streams WHERE tenant = ?1 AND module = ?2")?
        .query_row((tenant.0, module), |row| row.get(0))?;
    let mut statement = db.prepare_cached(
        "SELECT aggregate, subject, (SELECT max(version) FROM events WHERE events.stream = streams.stream) \
         FROM streams WHERE tenant = ?1 AND module = ?2 ORDER BY stream DESC LIMIT ?3",
    )?;
    let rows = statement.query_map((tenant.0, module, limit), |row| {
        let of = Subject {
            module: module.to_owned(),
            aggregate: row.get(0)?,
            id: row.get(1)?,
        };
        Ok((of, read::unsigned(row, 2)?))
    })?;
    let mut items = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    items.reverse();
    let left_out = total.unsigned_abs().saturating_sub(items.len() as u64);
    Ok(Newest { items, left_out })
}

/// See [`super::super::EventStore::newest_commands`].
pub(super) fn newest_commands(
    db: &Connection,
    tenant: TenantKey,
    module: &str,
    shelf: Shelf,
    limit: u32,
) -> rusqlite::Result<Newest<u64>> {
    match shelf {
        // By way of the tenant's events, which are one range of their table; commands have no index by module.
        Shelf::Recorded => newest_keys(
            db,
            "SELECT command FROM events WHERE key > ?1 AND key <= ?2 AND module = ?3 ORDER BY key DESC",
            (tenant.event(0)?, tenant.end()?, module),
            limit,
        ),
        Shelf::Empty => newest_keys(
            db,
            "SELECT key FROM commands WHERE tenant = ?1 AND module = ?2 AND position = position_before \
             ORDER BY key DESC",
            (tenant.0, module),
            limit,
        ),
        Shelf::Rejected => newest_keys(
            db,
            "SELECT key FROM rejections WHERE tenant = ?1 AND module = ?2 ORDER BY key DESC",
            (tenant.0, module),
            limit,
        ),
    }
}

/// Keys in descending order, where equal ones stand together.
fn newest_keys(db: &Connection, sql: &str, params: impl Params, limit: u32) -> rusqlite::Result<Newest<u64>> {
    let mut statement = db.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let (mut items, mut left_out, mut beyond, mut last) = (Vec::new(), 0, 0, None);
    while beyond < COUNTED_BEYOND
        && let Some(row) = rows.next()?
    {
        let key = read::unsigned(row, 0)?;
        if items.len() >= limit as usize {
            beyond += 1;
        }
        if last.replace(key) == Some(key) {
            continue;
        }
        if items.len() < limit as usize {
            items.push(key);
        } else {
            left_out += 1;
        }
    }
    items.reverse();
    Ok(Newest { items, left_out })
}

/// See [`super::super::EventStore::journal`].
pub(super) fn entries(
    db: &Connection,
    tenant: TenantKey,
    shelf: Shelf,
    keys: &[u64],
) -> rusqlite::Result<Vec<JournalEntry>> {
    let mut entries = Vec::with_capacity(keys.len());
    for key in keys {
        let key = super::schema::to_sql(*key)?;
        let entry = match shelf {
            Shelf::Rejected => rejected(db, tenant, key)?,
            Shelf::Recorded | Shelf::Empty => accepted(db, tenant, key)?,
        };
        entries.extend(entry);
    }
    Ok(entries)
}

fn accepted(db: &Connection, tenant: TenantKey, key: i64) -> rusqlite::Result<Option<JournalEntry>> {
    let found = db
        .prepare_cached(concat!(
            select_entries!("position_before, position", "commands"),
            " WHERE key = ?1 AND tenant = ?2"
        ))?
        .query_row((key, tenant.0), |row| {
            Ok((entry(row)?, read::unsigned(row, 11)?, read::unsigned(row, 12)?))
        })
        .optional()?;
    let Some(((command, origin), before, position)) = found else {
        return Ok(None);
    };
    let count = u32::try_from(position.saturating_sub(before)).unwrap_or(u32::MAX);
    let outcome = JournalOutcome::Accepted(read::feed(db, tenant, before, count)?);
    Ok(Some(JournalEntry {
        command,
        origin,
        outcome,
    }))
}

fn rejected(db: &Connection, tenant: TenantKey, key: i64) -> rusqlite::Result<Option<JournalEntry>> {
    db.prepare_cached(concat!(
        select_entries!("rejection", "rejections"),
        " WHERE key = ?1 AND tenant = ?2"
    ))?
    .query_row((key, tenant.0), |row| {
        let (command, origin) = entry(row)?;
        let outcome = JournalOutcome::Rejected(row.get(11)?);
        Ok(JournalEntry {
            command,
            origin,
            outcome,
        })
    })
    .optional()
}

/// A journalled command and who caused it.
pub(super) fn entry(row: &Row<'_>) -> rusqlite::Result<(Journalled, Arc<Origin>)> {
    let text = |column| -> rusqlite::Result<Arc<str>> { Ok(Arc::from(row.get_ref(column)?.as_str()?)) };
    let command = Journalled {
        id: row.get(0)?,
        fingerprint: row.get(1)?,
        name: row.get(2)?,
        target: Subject {
            module: row.get(3)?,
            aggregate: row.get(4)?,
            id: row.get(5)?,
        },
        release: text(6)?,
        input: text(7)?,
        decided_at: read::unsigned(row, 8)?,
    };
    Ok((command, Arc::new(read::origin(row, 9)?)))
}
