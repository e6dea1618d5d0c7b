//! The bus within one process: a SQLite file for what is durable, channels for questions.
//!
//! One connection writes and reads; each acceptance is one transaction that is on the disk when it returns.

mod schema;

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use millwork_registry::id::TenantId;
use rusqlite::{Connection, OptionalExtension as _, params};
use tokio::sync::{mpsc, oneshot, watch};
use uuid::Uuid;

use super::bus::{Bus, BusError, Letter, Message, Published, Question, Taken};
use crate::blocking;
use crate::capability::platform::now_ms;
use crate::sqlite::{OpenError, open_writer};

/// Rows that are removed in one transaction, so that others do not wait for all of them.
const FORGOTTEN_AT_ONCE: u32 = 5_000;

/// Bounds of the embedded bus.
#[derive(Debug, Clone)]
pub struct SqliteBusLimits {
    /// Commands of one tenant that may wait; further ones are refused.
    pub commands_max: u64,
    /// How long a command may be with its taker before it comes again.
    pub settle_within: Duration,
    /// Questions of one subject that may wait for who answers.
    pub questions_max: usize,
}

impl Default for SqliteBusLimits {
    fn default() -> Self {
        Self {
            commands_max: 100_000,
            settle_within: Duration::from_secs(60),
            questions_max: 256,
        }
    }
}

/// Who answers which questions of a tenant.
type Answering = HashMap<(TenantId, String), Vec<mpsc::Sender<Question>>>;

/// See the module.
pub struct SqliteBus {
    /// std's lock: held for one transaction, on a thread that may block.
    db: Mutex<Connection>,
    limits: SqliteBusLimits,
    news: Mutex<HashMap<TenantId, watch::Sender<u64>>>,
    answering: Mutex<Answering>,
}

impl SqliteBus {
    /// Opens the file, or makes it.
    ///
    /// # Errors
    /// [`BusError::Failed`] when it cannot be used.
    pub fn open(path: &Path, limits: SqliteBusLimits) -> Result<Self, BusError> {
        let db = open_writer(path, schema::MIGRATIONS, "full")
            .map_err(|error: OpenError| BusError::Failed(error.to_string()))?;
        Ok(Self {
            db: Mutex::new(db),
            limits,
            news: Mutex::default(),
            answering: Mutex::default(),
        })
    }

    fn with<T>(&self, work: impl FnOnce(&mut Connection) -> rusqlite::Result<T>) -> Result<T, BusError> {
        blocking::run(|| {
            let mut db = self.db.lock().unwrap_or_else(PoisonError::into_inner);
            work(&mut db).map_err(|error| BusError::Failed(error.to_string()))
        })
    }

    fn tell(&self, tenant: &TenantId) {
        let news = lock(&self.news);
        if let Some(told) = news.get(tenant) {
            told.send_modify(|count| *count += 1);
        }
    }

    fn watched(&self, tenant: &TenantId) -> watch::Receiver<u64> {
        let mut news = lock(&self.news);
        let told = news
            .entry(tenant.clone())
            .or_insert_with(|| watch::Sender::new(0));
        told.subscribe()
    }

    /// Takes what is due now.
    fn take_now(&self, tenant: &TenantId, limit: u32) -> Result<Vec<Taken>, BusError> {
        let now = sql(now_ms());
        let until = now.saturating_add(sql(millis(self.limits.settle_within)));
        self.with(|db| {
            let transaction = db.transaction()?;
            let mut taken = Vec::new();
            {
                let mut due = transaction.prepare_cached(schema::DUE)?;
                let mut rows = due.query(params![tenant.as_str(), now, limit])?;
                while let Some(row) = rows.next()? {
                    let receipt = Uuid::now_v7().to_string();
                    let number: i64 = row.get(0)?;
                    let attempt: u32 = row.get(4)?;
                    transaction
                        .prepare_cached(schema::TAKE)?
                        .execute(params![number, receipt, until])?;
                    taken.push(Taken {
                        message: message(row, 1)?,
                        attempt: attempt + 1,
                        receipt,
                    });
                }
            }
            transaction.commit()?;
            Ok(taken)
        })
    }

    /// When the next command is due, if one waits.
    fn next_due(&self, tenant: &TenantId) -> Result<Option<Duration>, BusError> {
        let at: Option<i64> = self.with(|db| {
            db.prepare_cached(schema::NEXT_DUE)?
                .query_row(params![tenant.as_str()], |row| row.get(0))
        })?;
        Ok(at.map(|at| Duration::from_millis(at.unsigned_abs().saturating_sub(now_ms()))))
    }
}

/// Id, subject and payload, from column `first` on.
fn message(row: &rusqlite::Row<'_>, first: usize) -> rusqlite::Result<Message> {
    let payload: Vec<u8> = row.get(first + 2)?;
    Ok(Message {
        id: row.get(first)?,
        subject: row.get(first + 1)?,
        payload: Bytes::from(payload),
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// SQLite's integers have a sign.
fn sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The number in the first column.
fn unsigned(row: &rusqlite::Row<'_>) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(0)?.unsigned_abs())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX >> 1)
}

#[async_trait]
impl Bus for SqliteBus {
    async fn publish(&self, tenant: &TenantId, events: &[Message]) -> Result<(), BusError> {
        self.with(|db| {
            let transaction = db.transaction()?;
            for event in events {
                transaction.prepare_cached(schema::PUBLISH)?.execute(params![
                    tenant.as_str(),
                    event.id,
                    event.subject,
                    &event.payload[..]
                ])?;
            }
            transaction.commit()
        })?;
        self.tell(tenant);
        Ok(())
    }

    async fn published(
        &self,
        tenant: &TenantId,
        first: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Published>, BusError> {
        let beginning = format!("{first}.");
        self.with(|db| {
            let mut read = db.prepare_cached(schema::PUBLISHED)?;
            let rows = read.query_map(params![tenant.as_str(), sql(after), beginning, limit], |row| {
                Ok(Published {
                    position: unsigned(row)?,
                    message: message(row, 1)?,
                })
            })?;
            rows.collect()
        })
    }

    async fn last_published(&self, tenant: &TenantId) -> Result<u64, BusError> {
        self.with(|db| {
            db.prepare_cached(schema::LAST_PUBLISHED)?
                .query_row(params![tenant.as_str()], unsigned)
        })
    }

    async fn news(&self, tenant: &TenantId) -> Result<watch::Receiver<u64>, BusError> {
        Ok(self.watched(tenant))
    }

    async fn enqueue(&self, tenant: &TenantId, command: &Message) -> Result<(), BusError> {
        let accepted = self.with(|db| {
            let transaction = db.transaction()?;
            let waiting: u64 = transaction
                .prepare_cached(schema::WAITING)?
                .query_row(params![tenant.as_str(), command.id], unsigned)?;
            if waiting >= self.limits.commands_max {
                return Ok(false);
            }
            transaction.prepare_cached(schema::ENQUEUE)?.execute(params![
                tenant.as_str(),
                command.id,
                command.subject,
                &command.payload[..]
            ])?;
            transaction.commit()?;
            Ok(true)
        })?;
        if !accepted {
            return Err(BusError::Full);
        }
        self.tell(tenant);
        Ok(())
    }

    async fn queued(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Published>, BusError> {
        self.with(|db| {
            let mut read = db.prepare_cached(schema::QUEUED)?;
            let rows = read.query_map(params![tenant.as_str(), sql(after), limit], |row| {
                Ok(Published {
                    position: unsigned(row)?,
                    message: message(row, 1)?,
                })
            })?;
            rows.collect()
        })
    }

    async fn take(&self, tenant: &TenantId, limit: u32, wait: Duration) -> Result<Vec<Taken>, BusError> {
        let end = Instant::now() + wait;
        let mut news = self.watched(tenant);
        loop {
            news.mark_unchanged();
            let taken = self.take_now(tenant, limit)?;
            let left = end.saturating_duration_since(Instant::now());
            if !taken.is_empty() || left.is_zero() {
                return Ok(taken);
            }
            let due = self.next_due(tenant)?.unwrap_or(left).min(left);
            // Either way it is looked again: for what came, or for what has become due.
            let _ = tokio::time::timeout(due.max(Duration::from_millis(1)), news.changed()).await;
        }
    }

    async fn settle(&self, tenant: &TenantId, taken: &Taken) -> Result<(), BusError> {
        self.with(|db| {
            db.prepare_cached(schema::SETTLE)?
                .execute(params![tenant.as_str(), taken.receipt])
        })
        .map(drop)
    }

    async fn give_back(&self, tenant: &TenantId, taken: &Taken, wait: Duration) -> Result<(), BusError> {
        let at = now_ms().saturating_add(millis(wait));
        self.with(|db| {
            db.prepare_cached(schema::GIVE_BACK)?
                .execute(params![tenant.as_str(), taken.receipt, sql(at)])
        })?;
        self.tell(tenant);
        Ok(())
    }

    async fn checkpoint(&self, tenant: &TenantId, reader: &str) -> Result<Option<u64>, BusError> {
        self.with(|db| {
            db.prepare_cached(schema::CHECKPOINT)?
                .query_row(params![tenant.as_str(), reader], unsigned)
                .optional()
        })
    }

    async fn keep_checkpoint(&self, tenant: &TenantId, reader: &str, position: u64) -> Result<(), BusError> {
        self.with(|db| {
            db.prepare_cached(schema::KEEP_CHECKPOINT)?.execute(params![
                tenant.as_str(),
                reader,
                sql(position)
            ])
        })
        .map(drop)
    }

    async fn bury(&self, tenant: &TenantId, letter: &Letter) -> Result<u64, BusError> {
        let text = serde_json::to_string(letter).map_err(|error| BusError::Failed(error.to_string()))?;
        self.with(|db| {
            db.prepare_cached(schema::BURY)?
                .query_row(params![tenant.as_str(), text], unsigned)
        })
    }

    async fn letters(
        &self,
        tenant: &TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Letter)>, BusError> {
        let rows: Vec<(u64, String)> = self.with(|db| {
            let mut read = db.prepare_cached(schema::LETTERS)?;
            let rows = read.query_map(params![tenant.as_str(), sql(after), limit], |row| {
                Ok((unsigned(row)?, row.get(1)?))
            })?;
            rows.collect()
        })?;
        rows.into_iter()
            .map(|(number, text)| match serde_json::from_str(&text) {
                Ok(letter) => Ok((number, letter)),
                Err(error) => Err(BusError::Failed(format!("dead letter {number}: {error}"))),
            })
            .collect()
    }

    async fn discard(&self, tenant: &TenantId, number: u64) -> Result<bool, BusError> {
        let gone = self.with(|db| {
            db.prepare_cached(schema::DISCARD)?
                .execute(params![tenant.as_str(), sql(number)])
        })?;
        Ok(gone > 0)
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), BusError> {
        for removal in schema::FORGET {
            while self.with(|db| {
                db.prepare_cached(removal)?
                    .execute(params![tenant.as_str(), FORGOTTEN_AT_ONCE])
            })? > 0
            {}
        }
        Ok(())
    }

    fn begin(&self, _: &TenantId, _: Option<&str>) {}

    async fn ask(
        &self,
        tenant: &TenantId,
        subject: &str,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, BusError> {
        let (answer, answered) = oneshot::channel();
        let to = {
            let mut answering = lock(&self.answering);
            let Some(all) = answering.get_mut(&(tenant.clone(), subject.to_owned())) else {
                return Err(BusError::Timeout);
            };
            all.retain(|one| !one.is_closed());
            // The next question goes to the next of them.
            if all.len() > 1 {
                all.rotate_left(1);
            }
            all.first().cloned()
        };
        let Some(to) = to else {
            return Err(BusError::Timeout);
        };
        let asked = async {
            to.send(Question { payload, answer }).await.ok()?;
            answered.await.ok()
        };
        match tokio::time::timeout(limit, asked).await {
            Ok(Some(answer)) => Ok(answer),
            Ok(None) | Err(_) => Err(BusError::Timeout),
        }
    }

    async fn answer(&self, tenant: &TenantId, subject: &str) -> Result<mpsc::Receiver<Question>, BusError> {
        let (send, receive) = mpsc::channel(self.limits.questions_max);
        let mut answering = lock(&self.answering);
        let all = answering.entry((tenant.clone(), subject.to_owned())).or_default();
        all.retain(|one| !one.is_closed());
        all.push(send);
        Ok(receive)
    }
}
