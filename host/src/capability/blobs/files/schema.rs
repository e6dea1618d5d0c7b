//! Tables and statements of the file that says what the files of a tenant's blobs are.

use crate::sqlite::Migrations;

/// Keys are bytes, so that they are compared as such. `doomed` names files that no version needs any more.
pub(super) const MIGRATIONS: Migrations = &["
    CREATE TABLE version (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        module TEXT NOT NULL, bucket TEXT NOT NULL, key BLOB NOT NULL, name TEXT NOT NULL UNIQUE,
        size INTEGER NOT NULL, media_type TEXT NOT NULL, sha256 TEXT NOT NULL, written_at INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX version_by_key ON version (module, bucket, key, number);
    CREATE INDEX version_by_time ON version (module, bucket, written_at);
    CREATE TABLE blob (
        module TEXT NOT NULL, bucket TEXT NOT NULL, key BLOB NOT NULL, number INTEGER NOT NULL,
        PRIMARY KEY (module, bucket, key)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE doomed (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"];

pub(super) const ADD: &str = "INSERT INTO version (module, bucket, key, name, size, media_type, sha256, written_at) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) RETURNING number";
pub(super) const SET_LAST: &str = "INSERT INTO blob (module, bucket, key, number) VALUES (?1, ?2, ?3, ?4) \
    ON CONFLICT DO UPDATE SET number = excluded.number";
pub(super) const LAST: &str = "SELECT v.name, v.size, v.media_type, v.sha256, v.written_at \
    FROM blob b JOIN version v USING (number) WHERE b.module = ?1 AND b.bucket = ?2 AND b.key = ?3";
pub(super) const NAMED: &str = "SELECT name, size, media_type, sha256, written_at FROM version \
    WHERE module = ?1 AND bucket = ?2 AND key = ?3 AND name = ?4";
pub(super) const REMOVE: &str = "DELETE FROM blob WHERE module = ?1 AND bucket = ?2 AND key = ?3";
pub(super) const PAGE: &str = "SELECT b.key, v.size, v.written_at FROM blob b JOIN version v USING (number) \
    WHERE b.module = ?1 AND b.bucket = ?2 AND b.key >= ?3 AND b.key < ?4 AND b.key > ?5 ORDER BY b.key LIMIT ?6";
pub(super) const VERSIONS: &str = "SELECT name, size, written_at FROM version \
    WHERE module = ?1 AND bucket = ?2 AND key = ?3 AND number < ?4 ORDER BY number DESC LIMIT ?5";
pub(super) const NUMBER: &str =
    "SELECT number FROM version WHERE module = ?1 AND bucket = ?2 AND key = ?3 AND name = ?4";
pub(super) const EXPIRED: &str = "SELECT number, name FROM version \
    WHERE module = ?1 AND bucket = ?2 AND written_at <= ?3 ORDER BY written_at LIMIT ?4";
pub(super) const FORGET_BLOB: &str = "DELETE FROM blob WHERE (module, bucket, key) IN \
    (SELECT module, bucket, key FROM version WHERE number = ?1) AND number = ?1";
pub(super) const FORGET_VERSION: &str = "DELETE FROM version WHERE number = ?1";
pub(super) const DOOM: &str = "INSERT INTO doomed (name) VALUES (?1) ON CONFLICT DO NOTHING";
pub(super) const DOOMED: &str = "SELECT name FROM doomed";
pub(super) const GONE: &str = "DELETE FROM doomed WHERE name = ?1";
pub(super) const IS_KEPT: &str = "SELECT count(*) FROM version WHERE name = ?1";
pub(super) const COUNT: &str = "SELECT count(*) FROM version";
