//! See [`super::super::portable`]: reads in one transaction of a reader, writes as work for the one writer.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use rusqlite::{Connection, OptionalExtension as _};
use tokio::sync::oneshot;

use super::super::portable::{Accepted, Each, Gate, Holding, Mark, Portable, Rejected, disturbed};
use super::super::{StoreError, Subject};
use super::append::Tenants;
use super::journal::{self, entry};
use super::request::{Request, Work};
use super::schema::{TenantKey, to_sql};
use super::{SqliteEvents, read, rows, stopped};
use crate::blocking;

/// Rows that one transaction removes, so that others' appends do not wait for all of them.
const REMOVED_AT_ONCE: u32 = 5_000;

/// Removes events, some at a time.
const REMOVE_EVENTS: &str = "DELETE FROM events WHERE key IN \
     (SELECT key FROM events WHERE key > ?1 << 40 AND key < (?1 + 1) << 40 LIMIT ?2)";

/// Removes the rest of a tenant, some rows at a time. Between two runs nobody reads it.
const REMOVE_REST: &[&str] = &[
    "DELETE FROM snapshots WHERE stream IN \
     (SELECT stream FROM snapshots WHERE stream > ?1 << 40 AND stream < (?1 + 1) << 40 LIMIT ?2)",
    "DELETE FROM commands WHERE key IN (SELECT key FROM commands WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM rejections WHERE key IN (SELECT key FROM rejections WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM streams WHERE (tenant, module, aggregate, subject) IN \
     (SELECT tenant, module, aggregate, subject FROM streams WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM claims WHERE (tenant, module, name, value) IN \
     (SELECT tenant, module, name, value FROM claims WHERE tenant = ?1 LIMIT ?2)",
    "DELETE FROM sequences WHERE (tenant, module, name) IN \
     (SELECT tenant, module, name FROM sequences WHERE tenant = ?1 LIMIT ?2)",
];

impl SqliteEvents {
    /// Has the writer do something in its turn; durable when it returns.
    pub(super) async fn work(&self, work: Work) -> Result<(), StoreError> {
        let (reply, done) = oneshot::channel();
        self.writer.push(Request::Work { work, reply })?;
        done.await.map_err(|_| stopped())?
    }

    /// Removes rows of a tenant that has gone, some at a time; gives how many.
    async fn remove(&self, tenant: &TenantId, removal: &'static str) -> Result<u64, StoreError> {
        let mut all = 0;
        loop {
            let (of, removed) = (tenant.clone(), Arc::new(AtomicUsize::new(0)));
            let count = Arc::clone(&removed);
            let work = move |db: &Connection, tenants: &mut Tenants| {
                let known = tenants.get(db, &of)?;
                if known.gate == Gate::Gone {
                    let rows = db
                        .prepare_cached(removal)?
                        .execute((known.key.0, REMOVED_AT_ONCE))?;
                    count.store(rows, Ordering::Relaxed);
                }
                // Its last position is another now.
                tenants.forget();
                Ok(())
            };
            self.work(Box::new(work)).await?;
            match removed.load(Ordering::Relaxed) {
                0 => return Ok(all),
                rows => all += rows as u64,
            }
        }
    }
}

#[async_trait]
impl Portable for SqliteEvents {
    async fn gate(&self, tenant: &TenantId) -> Result<Gate, StoreError> {
        self.read_durable(tenant, Gate::Open, gate).await
    }

    async fn set_gate(&self, tenant: &TenantId, gate: Gate) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        self.work(Box::new(move |db, tenants| set_gate(db, tenants, &tenant, gate)))
            .await
    }

    async fn mark(&self, tenant: &TenantId, each: Each<'_>) -> Result<Mark, StoreError> {
        let marked = blocking::run(|| {
            self.readers.with(|db| {
                let moment = db.transaction()?;
                match TenantKey::find(&moment, tenant.as_str())? {
                    Some(key) => mark(&moment, key, each),
                    None => Ok(Mark::default()),
                }
            })
        })?;
        self.durable.settled().await?;
        Ok(marked)
    }

    async fn accepted(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Accepted>, StoreError> {
        self.read_durable(tenant, Vec::new(), |db, key| {
            let sql = concat!(
                journal::select_entries!("position_before, position, version", "commands"),
                // Without the index of the tenant, which has another order.
                " WHERE key > ?2 AND key <= ?3 AND +tenant = ?1 ORDER BY key LIMIT ?4"
            );
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map((key.0, to_sql(after)?, to_sql(through)?, limit), |row| {
                let (command, origin) = entry(row)?;
                Ok(Accepted {
                    key: read::unsigned(row, 10)?,
                    command,
                    origin,
                    before: read::unsigned(row, 11)?,
                    position: read::unsigned(row, 12)?,
                    version: read::unsigned(row, 13)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    async fn rejected(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Rejected>, StoreError> {
        self.read_durable(tenant, Vec::new(), |db, key| {
            let sql = concat!(
                journal::select_entries!("rejection", "rejections"),
                " WHERE key > ?2 AND key <= ?3 AND +tenant = ?1 ORDER BY key LIMIT ?4"
            );
            let mut statement = db.prepare_cached(sql)?;
            let rows = statement.query_map((key.0, to_sql(after)?, to_sql(through)?, limit), |row| {
                let (command, origin) = entry(row)?;
                Ok(Rejected {
                    key: read::unsigned(row, 10)?,
                    command,
                    origin,
                    rejection: row.get(11)?,
                })
            })?;
            rows.collect()
        })
        .await
    }

    async fn restore_holdings(&self, tenant: &TenantId, holdings: Vec<Holding>) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        let work = move |db: &Connection, tenants: &mut Tenants| {
            let key = tenants.get(db, &tenant)?.key;
            holdings.iter().try_for_each(|holding| hold(db, key, holding))
        };
        self.work(Box::new(work)).await
    }

    async fn restore_rejected(&self, tenant: &TenantId, rejected: Vec<Rejected>) -> Result<(), StoreError> {
        let tenant = tenant.clone();
        let work = move |db: &Connection, tenants: &mut Tenants| {
            rejected.iter().try_for_each(|kept| {
                rows::rejection(db, tenants, &tenant, &kept.command, &kept.origin, &kept.rejection)
            })
        };
        self.work(Box::new(work)).await
    }

    async fn forget(&self, tenant: &TenantId) -> Result<u64, StoreError> {
        self.set_gate(tenant, Gate::Gone).await?;
        let events = self.remove(tenant, REMOVE_EVENTS).await?;
        for removal in REMOVE_REST {
            self.remove(tenant, removal).await?;
        }
        self.begin(tenant);
        match self.gate(tenant).await? {
            Gate::Gone => Ok(events),
            _ => Err(disturbed(tenant)),
        }
    }

    fn begin(&self, tenant: &TenantId) {
        self.positions.forget(tenant);
    }
}

/// Whether appends of a tenant are taken.
pub(super) fn gate(db: &Connection, tenant: TenantKey) -> rusqlite::Result<Gate> {
    let found: Option<i64> = db
        .prepare_cached("SELECT gate FROM tenants WHERE key = ?1")?
        .query_row([tenant.0], |row| row.get(0))
        .optional()?;
    match found {
        None | Some(0) => Ok(Gate::Open),
        Some(1) => Ok(Gate::Closed),
        Some(2) => Ok(Gate::Arriving),
        Some(3) => Ok(Gate::Gone),
        Some(other) => Err(rusqlite::Error::IntegralValueOutOfRange(0, other)),
    }
}

fn set_gate(db: &Connection, tenants: &mut Tenants, tenant: &TenantId, gate: Gate) -> rusqlite::Result<()> {
    let known = tenants.get(db, tenant)?;
    let number = match gate {
        Gate::Open => 0,
        Gate::Closed => 1,
        Gate::Arriving => 2,
        Gate::Gone => 3,
    };
    db.prepare_cached("UPDATE tenants SET gate = ?2 WHERE key = ?1")?
        .execute((known.key.0, number))?;
    known.gate = gate;
    Ok(())
}

fn mark(db: &Connection, tenant: TenantKey, each: Each<'_>) -> Result<Mark, StoreError> {
    let newest = |sql: &str| -> rusqlite::Result<u64> {
        let newest: Option<i64> = db.prepare_cached(sql)?.query_row([tenant.0], |row| row.get(0))?;
        Ok(newest.map_or(0, i64::unsigned_abs))
    };
    let mark = Mark {
        position: tenant.last_position(db)?,
        command: newest("SELECT max(key) FROM commands WHERE tenant = ?1")?,
        rejection: newest("SELECT max(key) FROM rejections WHERE tenant = ?1")?,
    };
    let mut claims = db.prepare_cached(
        "SELECT module, aggregate, subject, name, value FROM claims WHERE tenant = ?1 \
         ORDER BY module || '/' || name || '/' || value",
    )?;
    let mut rows = claims.query([tenant.0])?;
    while let Some(row) = rows.next()? {
        each(Holding::Claim {
            holder: Subject {
                module: row.get(0)?,
                aggregate: row.get(1)?,
                id: row.get(2)?,
            },
            name: row.get(3)?,
            value: row.get(4)?,
        })?;
    }
    let mut sequences = db.prepare_cached(
        "SELECT module, name, last FROM sequences WHERE tenant = ?1 ORDER BY module || '/' || name",
    )?;
    let mut rows = sequences.query([tenant.0])?;
    while let Some(row) = rows.next()? {
        each(Holding::Sequence {
            module: row.get(0)?,
            name: row.get(1)?,
            last: read::unsigned(row, 2)?,
        })?;
    }
    Ok(mark)
}

fn hold(db: &Connection, tenant: TenantKey, holding: &Holding) -> rusqlite::Result<()> {
    match holding {
        Holding::Claim { holder, name, value } => db
            .prepare_cached(
                "INSERT INTO claims (tenant, module, name, value, aggregate, subject) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?
            .execute((
                tenant.0,
                &holder.module,
                name,
                value,
                &holder.aggregate,
                &holder.id,
            )),
        Holding::Sequence { module, name, last } => db
            .prepare_cached("INSERT INTO sequences (tenant, module, name, last) VALUES (?1, ?2, ?3, ?4)")?
            .execute((tenant.0, module, name, to_sql(*last)?)),
    }
    .map(drop)
}
