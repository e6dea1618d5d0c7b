//! A unit of work: one transaction on the tenant's one writing connection.

use std::sync::Arc;

use async_trait::async_trait;
use rusqlite::Connection;
use tokio::sync::OwnedMutexGuard;

use super::super::document;
use super::super::query::Find;
use super::super::update::Change;
use super::super::{Checkpoint, Collection, Document, DocumentError, Line, Page, Unit};
use super::functions::LastParsed;
use super::schema::Table;
use super::{find, schema};
use crate::blocking;

/// Holds the writer, in a transaction, until it is dropped.
pub(super) struct SqliteUnit {
    db: OwnedMutexGuard<Connection>,
    /// Of that connection.
    parsed: Arc<LastParsed>,
    changes_before: u64,
}

impl SqliteUnit {
    /// Begins; the caller has waited for its turn.
    pub(super) fn begin(
        db: OwnedMutexGuard<Connection>,
        parsed: Arc<LastParsed>,
    ) -> Result<Self, DocumentError> {
        let unit = Self {
            changes_before: db.total_changes(),
            db,
            parsed,
        };
        unit.run("BEGIN IMMEDIATE")?;
        Ok(unit)
    }

    fn run(&self, sql: &str) -> rusqlite::Result<()> {
        self.db.prepare_cached(sql)?.execute([]).map(drop)
    }

    fn update(&self, of: &Collection, line: Line, id: &str, change: &Change) -> Result<bool, DocumentError> {
        let table = Table::of(&self.db, of, line)?;
        let mut document = match find::get(&self.db, table, id)? {
            Some(document) => document,
            None if change.upsert => Document::new(),
            None => return Ok(false),
        };
        change.apply(&mut document, &of.decimals)?;
        self.put(table, of, id, document)?;
        Ok(true)
    }

    /// Writes a whole document, new or not.
    fn put(&self, table: Table, of: &Collection, id: &str, document: Document) -> Result<(), DocumentError> {
        let (document, body) = document::checked(of, id, document)?;
        let mut insert = self.db.prepare_cached(&format!(
            "INSERT INTO {table} (id, body) VALUES (?1, ?2) ON CONFLICT (id) DO UPDATE SET body = excluded.body"
        ))?;
        self.parsed.remember(body.clone(), document);
        insert.execute((id, &body))?;
        Ok(())
    }

    fn remove(&self, of: &Collection, line: Line, id: &str) -> Result<bool, DocumentError> {
        document::check_id(id)?;
        let table = Table::of(&self.db, of, line)?;
        let removed = self
            .db
            .prepare_cached(&format!("DELETE FROM {table} WHERE id = ?1"))?
            .execute([id])?;
        Ok(removed > 0)
    }

    fn commit(&self, checkpoint: Option<&Checkpoint>) -> Result<(), DocumentError> {
        if let Some(checkpoint) = checkpoint {
            schema::set_checkpoint(&self.db, checkpoint)?;
        }
        let written = self.db.total_changes() != self.changes_before;
        self.run("COMMIT")?;
        if written && checkpoint.is_none() {
            self.flush()?;
        }
        Ok(())
    }

    /// Brings the commits so far to the disk. SQLite sets how safe a transaction is before it begins, when nobody knows
    /// yet how the unit will end; but the flush of a later transaction covers all that stands before it in the WAL. When
    /// it fails, the writes are there, but the caller is told of the failure: they may be lost with the power.
    fn flush(&self) -> Result<(), DocumentError> {
        self.db.pragma_update(None, "synchronous", "full")?;
        let flushed = self.run("UPDATE flushes SET number = number + 1");
        self.db.pragma_update(None, "synchronous", "normal")?;
        Ok(flushed?)
    }
}

impl Drop for SqliteUnit {
    fn drop(&mut self) {
        if !self.db.is_autocommit()
            // On this thread as it is: a unit may be dropped while its runtime ends, and nothing waits for the disk here.
            && let Err(error) = self.run("ROLLBACK")
        {
            tracing::error!(%error, "a unit of work cannot be rolled back");
        }
    }
}

#[async_trait]
impl Unit for SqliteUnit {
    async fn get(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
    ) -> Result<Option<Document>, DocumentError> {
        blocking::run(|| find::get(&self.db, Table::of(&self.db, of, line)?, id))
    }

    async fn get_text(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
    ) -> Result<Option<String>, DocumentError> {
        blocking::run(|| find::get_text(&self.db, Table::of(&self.db, of, line)?, id))
    }

    async fn find(&mut self, of: &Collection, line: Line, find: &Find) -> Result<Page, DocumentError> {
        blocking::run(|| find::find(&self.db, Table::of(&self.db, of, line)?, of, find))
    }

    async fn count(&mut self, of: &Collection, line: Line, find: &Find) -> Result<u64, DocumentError> {
        blocking::run(|| find::count(&self.db, Table::of(&self.db, of, line)?, of, find))
    }

    async fn put(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
        document: Document,
    ) -> Result<(), DocumentError> {
        blocking::run(|| Self::put(self, Table::of(&self.db, of, line)?, of, id, document))
    }

    async fn update(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
        change: &Change,
    ) -> Result<bool, DocumentError> {
        blocking::run(|| Self::update(self, of, line, id, change))
    }

    async fn remove(&mut self, of: &Collection, line: Line, id: &str) -> Result<bool, DocumentError> {
        blocking::run(|| Self::remove(self, of, line, id))
    }

    async fn clear_shadow(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        blocking::run(|| {
            collections
                .iter()
                .try_for_each(|of| schema::clear_shadow(&self.db, of))?;
            Ok(schema::forget_checkpoint(&self.db, projection, Line::Shadow)?)
        })
    }

    async fn promote_shadow(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        blocking::run(|| {
            collections
                .iter()
                .try_for_each(|of| schema::promote_shadow(&self.db, of))?;
            Ok(schema::promote_checkpoint(&self.db, projection)?)
        })
    }

    async fn begin_trial(&mut self, collections: &[Arc<Collection>]) -> Result<(), DocumentError> {
        blocking::run(|| {
            collections
                .iter()
                .try_for_each(|of| schema::begin_trial(&self.db, of))
        })
    }

    async fn end_trial(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        blocking::run(|| {
            collections
                .iter()
                .try_for_each(|of| schema::end_trial(&self.db, of))?;
            Ok(schema::forget_checkpoint(&self.db, projection, Line::Trial)?)
        })
    }

    async fn checkpoint(
        &mut self,
        projection: &str,
        line: Line,
    ) -> Result<Option<Checkpoint>, DocumentError> {
        blocking::run(|| {
            let all = schema::checkpoints(&self.db, projection)?;
            Ok(all.into_iter().find(|checkpoint| checkpoint.line == line))
        })
    }

    async fn commit(self: Box<Self>, checkpoint: Option<Checkpoint>) -> Result<(), DocumentError> {
        blocking::run(|| Self::commit(&self, checkpoint.as_ref()))
    }
}
