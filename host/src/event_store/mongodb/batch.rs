//! A batch of one tenant's appends as one transaction, tried again while that may help.
//!
//! The tenant's row is the lock: every transaction that records something changes it, so of two that overlap one fails
//! with a write conflict, and what it has read is read again. That also tells how a commit without an answer ended: the
//! next transaction finds the batch recorded, or cannot commit before the earlier one has ended.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt as _;
use millwork_registry::id::TenantId;
use mongodb::bson::{Bson, Document, doc, oid::ObjectId};
use mongodb::error::UNKNOWN_TRANSACTION_COMMIT_RESULT;
use mongodb::options::{ReadConcern, TransactionOptions};
use mongodb::{ClientSession, Collection};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::super::{Append, AppendError, Appended, StoreError};
use super::ledger::{Changes, Ledger};
use super::schema::{Collections, aggregate_id, claim_id, command_id, number, sequence_id};
use super::{MongoEventsLimits, failed};
use crate::mongodb::{Failure, MongoDatabase, durable};

/// What came of an append.
pub(super) type Outcome = Result<Appended, AppendError>;

/// The wait before a transaction is tried again, doubled each time up to [`PAUSE_MAX`] and drawn by lot: two hosts that
/// have met must not meet again.
const PAUSE_MIN: Duration = Duration::from_millis(2);
/// The longest such wait.
const PAUSE_MAX: Duration = Duration::from_millis(250);

/// Why an attempt has not recorded a batch.
enum Setback {
    /// Nothing is recorded; another attempt may do better.
    Again(Failure),
    /// The commit was sent and not answered.
    Unanswered(Failure),
    /// Nothing is recorded, nor would be.
    Final(StoreError),
}

/// What a batch is about, by `_id`.
#[derive(Default)]
struct Ids {
    commands: BTreeSet<String>,
    aggregates: BTreeSet<String>,
    claims: BTreeSet<String>,
    sequences: BTreeSet<String>,
}

impl Ids {
    fn of(tenant: &TenantId, batch: &[&Append]) -> Self {
        let mut ids = Self::default();
        for append in batch {
            let module = &append.command.target.module;
            ids.commands.insert(command_id(tenant, &append.command.id));
            let expected = append.expected.iter();
            ids.aggregates
                .extend(expected.map(|(of, _)| aggregate_id(tenant, of)));
            let claims = append.claims.iter().chain(&append.releases);
            ids.claims
                .extend(claims.map(|claim| claim_id(tenant, module, claim)));
            let numbers = append.numbers.iter();
            ids.sequences
                .extend(numbers.map(|taken| sequence_id(tenant, module, &taken.sequence)));
        }
        ids
    }
}

/// Who writes batches.
pub(super) struct BatchWriter<'a> {
    /// The database.
    pub(super) mongo: &'a MongoDatabase,
    /// Its collections.
    pub(super) collections: &'a Collections,
    /// Bounds.
    pub(super) limits: &'a MongoEventsLimits,
}

impl BatchWriter<'_> {
    /// Writes a batch of one tenant; an append that MongoDB cannot do does not take others down with it.
    pub(super) async fn write(&self, tenant: &TenantId, batch: &[&Append]) -> Vec<Outcome> {
        match self.try_write(tenant, batch).await {
            Ok(outcomes) => outcomes,
            Err(Setback::Final(error)) if batch.len() > 1 => {
                tracing::warn!(%tenant, %error, appends = batch.len(), "a batch of appends failed, each is tried alone");
                let mut outcomes = Vec::with_capacity(batch.len());
                for append in batch {
                    match self.try_write(tenant, &[*append]).await {
                        Ok(outcome) => outcomes.extend(outcome),
                        Err(setback) => outcomes.push(Err(setback.into_error().into())),
                    }
                }
                outcomes
            }
            Err(setback) => {
                let error = setback.into_error().to_string();
                tracing::error!(%tenant, error, "the event store could not write");
                let refuse = |_: &&Append| Err(StoreError::Failed(error.clone()).into());
                batch.iter().map(refuse).collect()
            }
        }
    }

    async fn try_write(&self, tenant: &TenantId, batch: &[&Append]) -> Result<Vec<Outcome>, Setback> {
        let until = Instant::now() + Duration::from_millis(self.limits.append_ms);
        let (id, mut pause, mut unanswered) = (ObjectId::new(), PAUSE_MIN, false);
        loop {
            let started = Instant::now();
            let setback = match self.attempt(tenant, id, batch).await {
                Ok(outcomes) => {
                    let took = started.elapsed().as_secs_f64();
                    metrics::histogram!("millwork_event_store_commit_seconds").record(took);
                    return Ok(outcomes);
                }
                Err(setback) => setback,
            };
            let failure = match setback {
                Setback::Again(failure) => failure,
                Setback::Unanswered(failure) => {
                    unanswered = true;
                    failure
                }
                Setback::Final(error) => return Err(Setback::Final(error)),
            };
            metrics::counter!("millwork_event_store_retries_total").increment(1);
            if Instant::now() + pause >= until {
                return Err(if unanswered {
                    Setback::Unanswered(failure)
                } else {
                    Setback::Again(failure)
                });
            }
            tokio::time::sleep(by_lot(pause)).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    async fn attempt(
        &self,
        tenant: &TenantId,
        id: ObjectId,
        batch: &[&Append],
    ) -> Result<Vec<Outcome>, Setback> {
        let started = self.mongo.run(self.mongo.client().start_session()).await;
        let mut session = started.map_err(before_commit)?;
        let options = TransactionOptions::builder()
            .read_concern(ReadConcern::snapshot())
            .write_concern(durable(self.mongo.patience()))
            .max_commit_time(self.mongo.patience())
            .build();
        let begun = session.start_transaction().with_options(options);
        self.mongo.run(begun).await.map_err(before_commit)?;
        let outcomes = match self.enter(&mut session, tenant, id, batch).await {
            Ok(outcomes) => outcomes,
            Err(setback) => {
                self.abort(session, &setback).await;
                return Err(setback);
            }
        };
        match self.mongo.run(session.commit_transaction()).await {
            Ok(()) => Ok(outcomes),
            Err(failure @ Failure::Slow(_)) => Err(Setback::Unanswered(failure)),
            Err(failure) if failure.has_label(UNKNOWN_TRANSACTION_COMMIT_RESULT) => {
                Err(Setback::Unanswered(failure))
            }
            Err(failure) => Err(before_commit(failure)),
        }
    }

    /// Ends a transaction, so that nobody waits for it. A server that does not answer is not asked: it ends
    /// transactions that nobody goes on with by itself.
    async fn abort(&self, mut session: ClientSession, setback: &Setback) {
        if let Setback::Again(Failure::Slow(_)) = setback {
            return;
        }
        if let Err(failure) = self.mongo.run(session.abort_transaction()).await {
            tracing::debug!(%failure, "a transaction was not aborted");
        }
    }

    async fn enter(
        &self,
        session: &mut ClientSession,
        tenant: &TenantId,
        id: ObjectId,
        batch: &[&Append],
    ) -> Result<Vec<Outcome>, Setback> {
        let mut ledger = self.read(session, tenant, id, batch).await?;
        let before = ledger.position;
        let outcomes: Vec<_> = batch.iter().map(|append| ledger.enter(append)).collect();
        if !ledger.changes.commands.is_empty() {
            self.move_tenant(session, tenant, before, &ledger).await?;
            self.write_changes(session, tenant, ledger.changes).await?;
        }
        Ok(outcomes)
    }

    /// Reads all that the batch is checked against.
    async fn read(
        &self,
        session: &mut ClientSession,
        tenant: &TenantId,
        id: ObjectId,
        batch: &[&Append],
    ) -> Result<Ledger, Setback> {
        let found = self.collections.tenants.find_one(row_of(tenant));
        let found = self
            .mongo
            .run(found.session(&mut *session))
            .await
            .map_err(before_commit)?;
        let Some(row) = found else {
            return Err(self.make_tenant(tenant).await);
        };
        let ids = Ids::of(tenant, batch);
        let from = self.collections;
        let commands = self.find(session, tenant, &from.commands, ids.commands).await?;
        let aggregates = self
            .find(session, tenant, &from.aggregates, ids.aggregates)
            .await?;
        let claims = self.find(session, tenant, &from.claims, ids.claims).await?;
        let sequences = self.find(session, tenant, &from.sequences, ids.sequences).await?;
        let mut outcomes = HashMap::with_capacity(commands.len());
        for command in commands {
            let events = super::read::events_between(
                self.collections,
                session,
                tenant,
                (command.before, command.position),
            );
            let mut appended = command.appended(self.mongo.run(events).await.map_err(before_commit)?);
            appended.replayed = command.batch != id;
            let fingerprint = command.entry.fingerprint().map_err(Setback::Final)?;
            outcomes.insert(command.entry.command, (fingerprint, appended));
        }
        Ok(Ledger {
            batch: id,
            position: row.position,
            commands: row.commands,
            gate: row.gate,
            outcomes,
            aggregates: aggregates.into_iter().map(|row| (row.id.clone(), row)).collect(),
            claims: claims.into_iter().map(|row| (row.id, row.holder)).collect(),
            sequences: sequences.into_iter().map(|row| (row.id, row.last)).collect(),
            changes: Changes::default(),
        })
    }

    /// Makes the row of a tenant that has none, outside the transaction: the batch is tried again then.
    async fn make_tenant(&self, tenant: &TenantId) -> Setback {
        let start = doc! { "position": 0_i64, "commands": 0_i64 };
        let made = self
            .collections
            .tenants
            .update_one(row_of(tenant), doc! { "$setOnInsert": start })
            .upsert(true);
        match self.mongo.run(made).await {
            Err(failure) if !failure.is_duplicate() => before_commit(failure),
            _ => Setback::Again(Failure::Slow(PAUSE_MIN)),
        }
    }

    async fn find<T: DeserializeOwned + Send + Sync>(
        &self,
        session: &mut ClientSession,
        tenant: &TenantId,
        collection: &Collection<T>,
        ids: BTreeSet<String>,
    ) -> Result<Vec<T>, Setback> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let found = async {
            let filter = doc! { "tenant": tenant.as_str(), "_id": { "$in": Vec::from_iter(ids) } };
            let mut cursor = collection.find(filter).session(&mut *session).await?;
            cursor.stream(session).try_collect().await
        };
        self.mongo.run(found).await.map_err(before_commit)
    }

    async fn move_tenant(
        &self,
        session: &mut ClientSession,
        tenant: &TenantId,
        before: u64,
        ledger: &Ledger,
    ) -> Result<(), Setback> {
        let (before, position, commands) = (
            number(before).map_err(Setback::Final)?,
            number(ledger.position).map_err(Setback::Final)?,
            number(ledger.commands).map_err(Setback::Final)?,
        );
        let mut row = row_of(tenant);
        row.insert("position", before);
        let set = doc! { "$set": { "position": position, "commands": commands } };
        let moved = self.collections.tenants.update_one(row, set).session(session);
        let moved = self.mongo.run(moved).await.map_err(before_commit)?;
        match moved.matched_count {
            1 => Ok(()),
            _ => Err(Setback::Again(Failure::Slow(PAUSE_MIN))),
        }
    }

    async fn write_changes(
        &self,
        session: &mut ClientSession,
        tenant: &TenantId,
        changes: Changes,
    ) -> Result<(), Setback> {
        let to = self.collections;
        self.insert(session, &to.commands, &changes.commands).await?;
        self.insert(session, &to.events, &changes.events).await?;
        let started: Vec<_> = changes.started.into_values().collect();
        self.insert(session, &to.aggregates, &started).await?;
        let mut moved = Vec::with_capacity(changes.moved.len());
        for (id, version) in changes.moved {
            let version = number(version).map_err(Setback::Final)?;
            moved.push(update(tenant, &id, doc! { "version": version }));
        }
        self.update(session, to.aggregates.name(), moved).await?;
        let mut numbers = Vec::with_capacity(changes.sequences.len());
        for (id, row) in changes.sequences {
            let last = number(row.last).map_err(Setback::Final)?;
            let mut change = update(tenant, &id, doc! { "last": last });
            change.insert("upsert", true);
            numbers.push(change);
        }
        self.update(session, to.sequences.name(), numbers).await?;
        if !changes.claims.is_empty() {
            let ids: Vec<&String> = changes.claims.keys().collect();
            let given_back = doc! { "tenant": tenant.as_str(), "_id": { "$in": ids } };
            let deleted = to.claims.delete_many(given_back).session(&mut *session);
            self.mongo.run(deleted).await.map_err(before_commit)?;
        }
        let claims: Vec<_> = changes.claims.into_values().flatten().collect();
        self.insert(session, &to.claims, &claims).await
    }

    async fn insert<T: Serialize + Send + Sync>(
        &self,
        session: &mut ClientSession,
        collection: &Collection<T>,
        rows: &[T],
    ) -> Result<(), Setback> {
        if rows.is_empty() {
            return Ok(());
        }
        let inserted = collection.insert_many(rows).session(session);
        self.mongo.run(inserted).await.map(drop).map_err(before_commit)
    }

    /// Several updates in one command, which the driver has no call for that servers before 8.0 understand.
    async fn update(
        &self,
        session: &mut ClientSession,
        collection: &str,
        updates: Vec<Document>,
    ) -> Result<(), Setback> {
        if updates.is_empty() {
            return Ok(());
        }
        let command = doc! { "update": collection, "updates": updates };
        let sent = self.mongo.database().run_command(command).session(session);
        let reply = self.mongo.run(sent).await.map_err(before_commit)?;
        match reply.get_array("writeErrors") {
            Ok(errors) if !errors.is_empty() => {
                let told = errors.iter().map(Bson::to_string).collect::<Vec<_>>().join(", ");
                Err(Setback::Final(StoreError::Failed(format!("MongoDB: {told}"))))
            }
            _ => Ok(()),
        }
    }
}

/// Finds a tenant's row: with the shard key, without which a sharded cluster takes no upsert and asks every shard.
pub(super) fn row_of(tenant: &TenantId) -> Document {
    doc! { "_id": tenant.as_str(), "tenant": tenant.as_str() }
}

/// A statement of an `update` command.
fn update(tenant: &TenantId, id: &str, set: Document) -> Document {
    doc! { "q": { "_id": id, "tenant": tenant.as_str() }, "u": { "$set": set } }
}

/// What an error means that comes before the commit is sent, or says that the commit has not happened.
fn before_commit(failure: Failure) -> Setback {
    if failure.is_conflict() || failure.is_passing() {
        return Setback::Again(failure);
    }
    Setback::Final(failed(&failure))
}

impl Setback {
    fn into_error(self) -> StoreError {
        match self {
            Self::Again(failure) => failed(format!("nothing was recorded after several attempts; {failure}")),
            Self::Unanswered(failure) => failed(format!(
                "whether it was recorded is not known, asking with the same command id tells; {failure}"
            )),
            Self::Final(error) => error,
        }
    }
}

/// Between a half and the whole of a wait.
fn by_lot(pause: Duration) -> Duration {
    let share = getrandom::u32().map_or(500, |drawn| 500 + drawn % 500);
    pause * share / 1_000
}
