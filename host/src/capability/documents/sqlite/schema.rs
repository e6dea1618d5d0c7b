//! The tables of `documents.db`: which table holds which line of a collection, and how far projections have come.

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use super::super::query::Path;
use super::super::{Checkpoint, Collection, DocumentError, Line};
use super::functions;

/// See [`crate::sqlite::Migrations`].
pub(super) const MIGRATIONS: crate::sqlite::Migrations = &["
-- The documents are in the table `d<number>`; putting one line in the place of another changes numbers only.
CREATE TABLE collections (
    number INTEGER PRIMARY KEY,
    module TEXT NOT NULL,
    name TEXT NOT NULL,
    line INTEGER NOT NULL,
    UNIQUE (module, name, line)
) STRICT;

CREATE TABLE checkpoints (
    projection TEXT NOT NULL,
    line INTEGER NOT NULL,
    version INTEGER NOT NULL,
    position INTEGER NOT NULL,
    PRIMARY KEY (projection, line)
) STRICT, WITHOUT ROWID;

-- Written by a commit that must reach the disk by itself.
CREATE TABLE flushes (number INTEGER NOT NULL) STRICT;
INSERT INTO flushes VALUES (0);
"];

/// A table of documents: `id`, `body`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Table(i64);

impl std::fmt::Display for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "d{}", self.0)
    }
}

impl Table {
    /// Where a line's documents are.
    pub(super) fn of(db: &Connection, of: &Collection, line: Line) -> Result<Self, DocumentError> {
        Self::look_up(db, of, line)?.ok_or_else(|| {
            DocumentError::Failed(format!("collection {}.{} was not prepared", of.module, of.name))
        })
    }

    fn look_up(db: &Connection, of: &Collection, line: Line) -> rusqlite::Result<Option<Self>> {
        db.prepare_cached("SELECT number FROM collections WHERE module = ?1 AND name = ?2 AND line = ?3")?
            .query_row((&of.module, &of.name, number(line)), |row| row.get(0).map(Self))
            .optional()
    }

    /// A line that is not there yet, without indexes.
    fn add(db: &Connection, of: &Collection, line: Line) -> rusqlite::Result<Self> {
        db.prepare_cached("INSERT INTO collections (module, name, line) VALUES (?1, ?2, ?3)")?
            .execute((&of.module, &of.name, number(line)))?;
        let table = Self(db.last_insert_rowid());
        table.create(db)?;
        Ok(table)
    }

    fn create(self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(&format!(
            "CREATE TABLE {self} (key INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, body TEXT NOT NULL) STRICT"
        ))
    }

    /// Makes the indexes that are missing; the id stands last in each, since it decides between equals.
    fn index(self, db: &Connection, of: &Collection) -> Result<(), DocumentError> {
        for fields in &of.indexes {
            let mut keys = Vec::with_capacity(fields.len() + 1);
            for field in fields {
                keys.push(expression(of, field)?);
            }
            keys.push("id".to_owned());
            let keys = keys.join(", ");
            let digest: String = Sha256::digest(&keys)
                .iter()
                .take(8)
                .map(|byte| format!("{byte:02x}"))
                .collect();
            db.execute_batch(&format!(
                "CREATE INDEX IF NOT EXISTS {self}_{digest} ON {self} ({keys})"
            ))?;
        }
        Ok(())
    }
}

/// What stands in an index for a field; the id is a column of its own.
fn expression(of: &Collection, field: &str) -> Result<String, DocumentError> {
    let path = Path::parse(field)?;
    if path.is_id() {
        return Ok("id".to_owned());
    }
    Ok(functions::indexed(field, path.reading("", &of.decimals)))
}

/// Makes the tables and indexes of live line and shadow, as far as they are missing.
pub(super) fn prepare(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    for line in [Line::Live, Line::Shadow] {
        let table = match Table::look_up(db, of, line)? {
            Some(table) => table,
            None => Table::add(db, of, line)?,
        };
        table.index(db, of)?;
    }
    Ok(())
}

/// Makes the trial anew, empty and with the indexes of now: a projection finds documents as it does in the shadow.
pub(super) fn begin_trial(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    end_trial(db, of)?;
    Table::add(db, of, Line::Trial)?.index(db, of)
}

/// Removes the trial, if there is one.
pub(super) fn end_trial(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    if let Some(table) = Table::look_up(db, of, Line::Trial)? {
        db.execute_batch(&format!("DROP TABLE {table}"))?;
        db.execute("DELETE FROM collections WHERE number = ?1", [table.0])?;
    }
    Ok(())
}

/// Makes the shadow anew, empty and with the indexes of now.
pub(super) fn clear_shadow(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    let table = Table::of(db, of, Line::Shadow)?;
    db.execute_batch(&format!("DROP TABLE {table}"))?;
    table.create(db)?;
    table.index(db, of)
}

/// Removes all tables of documents, and how far projections have come.
pub(super) fn clear(db: &Connection) -> rusqlite::Result<()> {
    let numbers: Vec<i64> = {
        let mut all = db.prepare("SELECT number FROM collections")?;
        let rows = all.query_map([], |row| row.get(0))?;
        rows.collect::<Result<_, _>>()?
    };
    for number in numbers {
        db.execute_batch(&format!("DROP TABLE {}", Table(number)))?;
    }
    db.execute_batch("DELETE FROM collections; DELETE FROM checkpoints")
}

/// Exchanges the lines: the former live one waits as shadow until the next rebuild clears it.
pub(super) fn promote_shadow(db: &Connection, of: &Collection) -> Result<(), DocumentError> {
    Table::of(db, of, Line::Shadow)?;
    // By way of numbers that no line has, since a line may not be there twice even for a moment.
    for sql in [
        "UPDATE collections SET line = line + 2 WHERE module = ?1 AND name = ?2 AND line < 2",
        "UPDATE collections SET line = 3 - line WHERE module = ?1 AND name = ?2 AND line < 4",
    ] {
        db.execute(sql, (&of.module, &of.name))?;
    }
    Ok(())
}

/// Keeps how far a projection has come.
pub(super) fn set_checkpoint(db: &Connection, at: &Checkpoint) -> rusqlite::Result<()> {
    let position =
        i64::try_from(at.position).map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
    db.prepare_cached(
        "INSERT OR REPLACE INTO checkpoints (projection, line, version, position) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((&at.projection, number(at.line), at.version, position))?;
    Ok(())
}

/// Forgets how far a line has come.
pub(super) fn forget_checkpoint(db: &Connection, projection: &str, line: Line) -> rusqlite::Result<()> {
    db.prepare_cached("DELETE FROM checkpoints WHERE projection = ?1 AND line = ?2")?
        .execute((projection, number(line)))?;
    Ok(())
}

/// Puts the shadow's checkpoint in the place of the live one; both are gone when a rebuild kept none.
pub(super) fn promote_checkpoint(db: &Connection, projection: &str) -> rusqlite::Result<()> {
    db.execute(
        "DELETE FROM checkpoints WHERE projection = ?1 AND line = ?2",
        (projection, number(Line::Live)),
    )?;
    db.execute(
        "UPDATE checkpoints SET line = ?2 WHERE projection = ?1 AND line = ?3",
        (projection, number(Line::Live), number(Line::Shadow)),
    )?;
    Ok(())
}

/// See [`super::super::Documents::checkpoints`].
pub(super) fn checkpoints(db: &Connection, projection: &str) -> Result<Vec<Checkpoint>, DocumentError> {
    let mut statement = db.prepare_cached(
        "SELECT line, version, position FROM checkpoints WHERE projection = ?1 ORDER BY line",
    )?;
    let rows = statement.query_map([projection], |row| {
        Ok(Checkpoint {
            projection: projection.to_owned(),
            line: match row.get::<_, u8>(0)? {
                0 => Line::Live,
                1 => Line::Shadow,
                _ => Line::Trial,
            },
            version: row.get(1)?,
            position: row.get::<_, i64>(2)?.unsigned_abs(),
        })
    })?;
    Ok(rows.collect::<Result<_, _>>()?)
}

fn number(line: Line) -> u8 {
    match line {
        Line::Live => 0,
        Line::Shadow => 1,
        // Beyond the numbers that a promotion uses in between.
        Line::Trial => 4,
    }
}
