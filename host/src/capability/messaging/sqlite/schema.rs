//! Tables and statements of the embedded bus.

use crate::sqlite::Migrations;

pub(super) const MIGRATIONS: Migrations = &["
    CREATE TABLE event (
        position INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, payload BLOB NOT NULL,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE INDEX event_by_tenant ON event (tenant, position);
    CREATE TABLE command (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        tenant TEXT NOT NULL, id TEXT NOT NULL, subject TEXT NOT NULL, payload BLOB NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, due_at INTEGER NOT NULL DEFAULT 0, receipt TEXT,
        UNIQUE (tenant, id)
    ) STRICT;
    CREATE INDEX command_by_due ON command (tenant, due_at);
    CREATE INDEX command_by_receipt ON command (receipt);
    CREATE TABLE checkpoint (
        tenant TEXT NOT NULL, reader TEXT NOT NULL, position INTEGER NOT NULL, PRIMARY KEY (tenant, reader)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE letter (
        number INTEGER PRIMARY KEY AUTOINCREMENT, tenant TEXT NOT NULL, letter TEXT NOT NULL
    ) STRICT;
    CREATE INDEX letter_by_tenant ON letter (tenant, number);
"];

pub(super) const PUBLISH: &str =
    "INSERT INTO event (tenant, id, subject, payload) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
pub(super) const PUBLISHED: &str = "SELECT position, id, subject, payload FROM event \
    WHERE tenant = ?1 AND position > ?2 AND substr(subject, 1, length(?3)) = ?3 ORDER BY position LIMIT ?4";
pub(super) const LAST_PUBLISHED: &str = "SELECT coalesce(max(position), 0) FROM event WHERE tenant = ?1";
/// How many wait beside the one that is sent again.
pub(super) const WAITING: &str = "SELECT count(*) FROM command WHERE tenant = ?1 AND id <> ?2";
pub(super) const ENQUEUE: &str =
    "INSERT INTO command (tenant, id, subject, payload) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING";
pub(super) const QUEUED: &str = "SELECT number, id, subject, payload FROM command \
    WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
pub(super) const DUE: &str = "SELECT number, id, subject, payload, attempts FROM command \
    WHERE tenant = ?1 AND due_at <= ?2 ORDER BY due_at, number LIMIT ?3";
pub(super) const NEXT_DUE: &str = "SELECT min(due_at) FROM command WHERE tenant = ?1";
pub(super) const TAKE: &str =
    "UPDATE command SET attempts = attempts + 1, receipt = ?2, due_at = ?3 WHERE number = ?1";
pub(super) const SETTLE: &str = "DELETE FROM command WHERE tenant = ?1 AND receipt = ?2";
pub(super) const GIVE_BACK: &str =
    "UPDATE command SET receipt = NULL, due_at = ?3 WHERE tenant = ?1 AND receipt = ?2";
pub(super) const CHECKPOINT: &str = "SELECT position FROM checkpoint WHERE tenant = ?1 AND reader = ?2";
pub(super) const KEEP_CHECKPOINT: &str = "INSERT INTO checkpoint (tenant, reader, position) VALUES (?1, ?2, ?3) \
    ON CONFLICT DO UPDATE SET position = excluded.position";
pub(super) const BURY: &str = "INSERT INTO letter (tenant, letter) VALUES (?1, ?2) RETURNING number";
pub(super) const LETTERS: &str =
    "SELECT number, letter FROM letter WHERE tenant = ?1 AND number > ?2 ORDER BY number LIMIT ?3";
pub(super) const DISCARD: &str = "DELETE FROM letter WHERE tenant = ?1 AND number = ?2";
/// Removes some of what a tenant has; again and again, until nothing is left.
pub(super) const FORGET: [&str; 4] = [
    "DELETE FROM event WHERE position IN (SELECT position FROM event WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM command WHERE number IN (SELECT number FROM command WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM letter WHERE number IN (SELECT number FROM letter WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM checkpoint WHERE (tenant, reader) IN \
     (SELECT tenant, reader FROM checkpoint WHERE tenant = ?1 LIMIT ?2)",
];
