//! Whether a file holds what the store promises. Each check is a query that finds an offender.

use rusqlite::{Connection, OptionalExtension};

use super::super::StoreError;

/// What must not be found, and a query that would find it and say where.
const OFFENDERS: &[(&str, &str)] = &[
    (
        "a position is missing before",
        "SELECT tenants.name || ' ' || (events.key & 0xffffffffff) FROM events \
         JOIN tenants ON tenants.key = events.key >> 40 \
         WHERE events.key & 0xffffffffff > 1 \
         AND NOT EXISTS (SELECT 1 FROM events AS before WHERE before.key = events.key - 1)",
    ),
    (
        "a version is missing, or an aggregate has no events:",
        "SELECT streams.subject FROM streams LEFT JOIN events ON events.stream = streams.stream \
         GROUP BY streams.tenant, streams.module, streams.aggregate, streams.subject \
         HAVING min(events.version) IS NOT 1 OR max(events.version) IS NOT count(events.version)",
    ),
    (
        "an event belongs to no aggregate or to no command:",
        "SELECT events.id FROM events \
         WHERE NOT EXISTS (SELECT 1 FROM commands WHERE commands.key = events.command \
         AND commands.tenant = events.key >> 40 AND events.key & 0xffffffffff > commands.position_before \
         AND events.key & 0xffffffffff <= commands.position) \
         OR NOT EXISTS (SELECT 1 FROM streams WHERE streams.tenant = events.key >> 40 \
         AND streams.module = events.module AND streams.aggregate = events.aggregate \
         AND streams.subject = events.subject AND streams.stream = events.stream)",
    ),
    (
        "a command's outcome is not in the feed:",
        "SELECT commands.id FROM commands WHERE commands.position > commands.position_before \
         AND NOT EXISTS (SELECT 1 FROM events WHERE events.key = (commands.tenant << 40) + commands.position \
         AND events.command = commands.key)",
    ),
    (
        "a claim is held by an aggregate that does not exist:",
        "SELECT claims.name || ' ' || claims.value FROM claims \
         WHERE NOT EXISTS (SELECT 1 FROM commands WHERE commands.tenant = claims.tenant \
         AND commands.module = claims.module AND commands.aggregate = claims.aggregate \
         AND commands.subject = claims.subject)",
    ),
];

/// Finds the first thing wrong.
pub(super) fn verify(db: &Connection) -> Result<(), StoreError> {
    let state: String = db.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0))?;
    if state != "ok" {
        return Err(StoreError::Failed(state));
    }
    for (what, query) in OFFENDERS {
        let found: Option<String> = db
            .prepare(&format!("{query} LIMIT 1"))?
            .query_row([], |row| row.get(0))
            .optional()?;
        if let Some(place) = found {
            return Err(StoreError::Failed(format!("{what} {place}")));
        }
    }
    Ok(())
}
