//! A unit of work: one transaction of MongoDB, which holds the tenant's turn.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use ::mongodb::ClientSession;
use ::mongodb::bson::{Document as Row, doc};
use ::mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use async_trait::async_trait;
use tokio::task::JoinSet;

use super::super::document::{check_id, checked};
use super::super::query::Find;
use super::super::update::Change;
use super::super::{Checkpoint, Collection, Document, DocumentError, Line, Page, Unit};
use super::codec::to_row;
use super::connection::Connection;
use super::lines::{self, Lines};
use super::turn::Turn;
use super::{find, sweep};

/// How often a commit is asked for whose answer was lost.
const COMMIT_TRIES: u32 = 3;

/// See the module.
pub(super) struct MongoUnit {
    db: Arc<Connection>,
    turn: Turn,
    /// By module and collection, as this unit sees them.
    lines: HashMap<(String, String), Lines>,
    /// Whether it gave copies up.
    gave_up: bool,
    /// Why it cannot go on: the server has thrown the transaction away, or may have.
    broken: Option<String>,
    sweeping: Arc<Mutex<JoinSet<()>>>,
}

impl MongoUnit {
    /// Has its turn.
    pub(super) fn new(db: Arc<Connection>, turn: Turn, sweeping: Arc<Mutex<JoinSet<()>>>) -> Self {
        Self {
            db,
            turn,
            lines: HashMap::new(),
            gave_up: false,
            broken: None,
            sweeping,
        }
    }

    /// The transaction, for what only this backend does in one.
    pub(super) fn session(&mut self) -> Result<&mut ClientSession, DocumentError> {
        self.turn.session()
    }

    /// Fails when nothing more can be done.
    fn usable(&self) -> Result<Arc<Connection>, DocumentError> {
        match &self.broken {
            Some(why) => Err(DocumentError::Failed(format!(
                "the unit of work has failed: {why}"
            ))),
            None => Ok(Arc::clone(&self.db)),
        }
    }

    /// Remembers a failure: the server has thrown the transaction away, or may have.
    fn note<T>(&mut self, done: Result<T, DocumentError>) -> Result<T, DocumentError> {
        if let Err(DocumentError::Failed(why)) = &done {
            self.broken = Some(why.clone());
        }
        done
    }

    /// The lines of a collection, for changing them.
    pub(super) async fn lines(&mut self, of: &Collection) -> Result<&mut Lines, DocumentError> {
        let key = (of.module.clone(), of.name.clone());
        if !self.lines.contains_key(&key)
            && let Some(lines) = Lines::look_up(&self.db, of, Some(self.turn.session()?)).await?
        {
            self.lines.insert(key.clone(), lines);
        }
        self.lines.get_mut(&key).ok_or_else(|| lines::not_prepared(of))
    }

    /// The number of a line's copy. A line that is not there breaks nothing.
    async fn copy(&mut self, of: &Collection, line: Line) -> Result<i64, DocumentError> {
        let key = (of.module.clone(), of.name.clone());
        let db = self.usable()?;
        if !self.lines.contains_key(&key) {
            let work = async { Lines::look_up(&db, of, Some(self.turn.session()?)).await };
            let looked_up = db.bounded(work).await;
            if let Some(lines) = self.note(looked_up)? {
                self.lines.insert(key.clone(), lines);
            }
        }
        let lines = self.lines.get(&key).ok_or_else(|| lines::not_prepared(of))?;
        lines.number(of, line)
    }

    /// Writes the lines of a collection that were changed.
    pub(super) async fn save(&mut self, of: &Collection) -> Result<(), DocumentError> {
        let lines = self.lines(of).await?.clone();
        self.gave_up |= !lines.old.is_empty();
        lines.save(&self.db, of, self.turn.session()?).await
    }

    async fn get_in(
        &mut self,
        of: &Collection,
        copy: i64,
        id: &str,
    ) -> Result<Option<Document>, DocumentError> {
        find::get(&self.db, of, copy, id, Some(self.turn.session()?)).await
    }

    async fn put_in(
        &mut self,
        of: &Collection,
        copy: i64,
        id: &str,
        document: Document,
    ) -> Result<(), DocumentError> {
        let (document, _) = checked(of, id, document)?;
        let lines = self.lines(of).await?;
        let mut keys = Row::new();
        for key in &lines.keys {
            keys.insert(key.name.clone(), key.text(&document)?);
        }
        let (tenant, place) = (self.db.tenant.as_str(), self.db.place(copy, id));
        let row = doc! {
            "_id": &place, "tenantId": tenant, "copy": copy, "keys": keys, "document": to_row(&document),
        };
        self.db
            .documents(of)
            .replace_one(doc! { "tenantId": tenant, "_id": place }, row)
            .upsert(true)
            .session(self.turn.session()?)
            .await?;
        Ok(())
    }

    async fn update_in(
        &mut self,
        of: &Collection,
        copy: i64,
        id: &str,
        change: &Change,
    ) -> Result<bool, DocumentError> {
        let mut document = match self.get_in(of, copy, id).await? {
            Some(document) => document,
            None if change.upsert => Document::new(),
            None => return Ok(false),
        };
        change.apply(&mut document, &of.decimals)?;
        self.put_in(of, copy, id, document).await?;
        Ok(true)
    }

    async fn remove_in(&mut self, of: &Collection, copy: i64, id: &str) -> Result<bool, DocumentError> {
        check_id(id)?;
        let filter = doc! { "tenantId": self.db.tenant.as_str(), "_id": self.db.place(copy, id) };
        let removed = self
            .db
            .documents(of)
            .delete_one(filter)
            .session(self.turn.session()?)
            .await?;
        Ok(removed.deleted_count > 0)
    }

    /// Changes which copies the lines of some collections are.
    async fn relabel(
        &mut self,
        collections: &[Arc<Collection>],
        change: impl Fn(&mut Lines, &Collection) + Send + Sync,
    ) -> Result<(), DocumentError> {
        for of in collections {
            change(self.lines(of).await?, of);
            self.save(of).await?;
        }
        Ok(())
    }

    async fn forget(&mut self, projection: &str, line: Line) -> Result<(), DocumentError> {
        lines::forget_checkpoint(&self.db, projection, line, self.turn.session()?).await
    }

    async fn checkpoint_in(
        &mut self,
        projection: &str,
        line: Line,
    ) -> Result<Option<Checkpoint>, DocumentError> {
        let all = lines::checkpoints(&self.db, projection, Some(self.turn.session()?)).await?;
        Ok(all.into_iter().find(|checkpoint| checkpoint.line == line))
    }

    async fn promote_in(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        self.relabel(collections, |lines, _| lines.promote_shadow())
            .await?;
        let shadow = self.checkpoint_in(projection, Line::Shadow).await?;
        self.forget(projection, Line::Shadow).await?;
        match shadow {
            Some(shadow) => {
                let live = Checkpoint {
                    line: Line::Live,
                    ..shadow
                };
                lines::set_checkpoint(&self.db, &live, self.turn.session()?).await
            }
            None => self.forget(projection, Line::Live).await,
        }
    }

    /// Commits; an answer that was lost is asked for again, which the server takes for the same commit.
    pub(super) async fn commit_in(&mut self, checkpoint: Option<&Checkpoint>) -> Result<(), DocumentError> {
        let session = self.turn.session()?;
        if let Some(checkpoint) = checkpoint {
            lines::set_checkpoint(&self.db, checkpoint, session).await?;
        }
        let mut tries = 1;
        while let Err(error) = session.commit_transaction().await {
            if tries >= COMMIT_TRIES || !error.contains_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) {
                return Err(error.into());
            }
            tries += 1;
        }
        Ok(())
    }

    /// Lets copies that were given up be removed when nobody can be reading them any more.
    fn sweep_later(&self) {
        if self.gave_up {
            let db = Arc::clone(&self.db);
            let mut sweeping = self.sweeping.lock().unwrap_or_else(PoisonError::into_inner);
            // What has ended makes room: there are as many as units that gave copies up within the time they are kept.
            while sweeping.try_join_next().is_some() {}
            sweeping.spawn(sweep::sweep_later(db));
        }
    }
}

#[async_trait]
impl Unit for MongoUnit {
    async fn get(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
    ) -> Result<Option<Document>, DocumentError> {
        let copy = self.copy(of, line).await?;
        let done = self.usable()?.bounded(self.get_in(of, copy, id)).await;
        self.note(done)
    }

    async fn find(&mut self, of: &Collection, line: Line, find: &Find) -> Result<Page, DocumentError> {
        let copy = self.copy(of, line).await?;
        let db = self.usable()?;
        let work = async { find::find(&db, of, copy, find, Some(self.turn.session()?)).await };
        let done = db.bounded(work).await;
        self.note(done)
    }

    async fn count(&mut self, of: &Collection, line: Line, find: &Find) -> Result<u64, DocumentError> {
        let copy = self.copy(of, line).await?;
        let db = self.usable()?;
        let work = async { find::count(&db, of, copy, find, Some(self.turn.session()?)).await };
        let done = db.bounded(work).await;
        self.note(done)
    }

    async fn put(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
        document: Document,
    ) -> Result<(), DocumentError> {
        let copy = self.copy(of, line).await?;
        let done = self.usable()?.bounded(self.put_in(of, copy, id, document)).await;
        self.note(done)
    }

    async fn update(
        &mut self,
        of: &Collection,
        line: Line,
        id: &str,
        change: &Change,
    ) -> Result<bool, DocumentError> {
        let copy = self.copy(of, line).await?;
        let done = self.usable()?.bounded(self.update_in(of, copy, id, change)).await;
        self.note(done)
    }

    async fn remove(&mut self, of: &Collection, line: Line, id: &str) -> Result<bool, DocumentError> {
        let copy = self.copy(of, line).await?;
        let done = self.usable()?.bounded(self.remove_in(of, copy, id)).await;
        self.note(done)
    }

    async fn clear_shadow(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        let db = self.usable()?;
        let work = async {
            self.relabel(collections, Lines::clear_shadow).await?;
            self.forget(projection, Line::Shadow).await
        };
        let done = db.bounded(work).await;
        self.note(done)
    }

    async fn promote_shadow(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        let done = self
            .usable()?
            .bounded(self.promote_in(projection, collections))
            .await;
        self.note(done)
    }

    async fn begin_trial(&mut self, collections: &[Arc<Collection>]) -> Result<(), DocumentError> {
        let done = self
            .usable()?
            .bounded(self.relabel(collections, Lines::begin_trial))
            .await;
        self.note(done)
    }

    async fn end_trial(
        &mut self,
        projection: &str,
        collections: &[Arc<Collection>],
    ) -> Result<(), DocumentError> {
        let db = self.usable()?;
        let work = async {
            self.relabel(collections, Lines::end_trial).await?;
            self.forget(projection, Line::Trial).await
        };
        let done = db.bounded(work).await;
        self.note(done)
    }

    async fn checkpoint(
        &mut self,
        projection: &str,
        line: Line,
    ) -> Result<Option<Checkpoint>, DocumentError> {
        let done = self.usable()?.bounded(self.checkpoint_in(projection, line)).await;
        self.note(done)
    }

    async fn commit(mut self: Box<Self>, checkpoint: Option<Checkpoint>) -> Result<(), DocumentError> {
        let db = self.usable()?;
        db.bounded(self.commit_in(checkpoint.as_ref())).await?;
        self.sweep_later();
        Ok(())
    }
}
