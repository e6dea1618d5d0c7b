//! Removes copies that are no line any more, some time after, so that who still reads one reads all of it.
//!
//! A copy is removed in small parts outside of transactions, and then its number is forgotten; a host that stops in between
//! leaves the number there, and the next one to prepare the tenant's collections goes on.

use std::sync::Arc;

use ::mongodb::bson::{Document as Row, doc};

use super::super::{Collection, DocumentError};
use super::connection::Connection;
use super::forget::remove_part;
use super::lines::{Lines, Old};
use crate::capability::platform::now_ms;

/// Waits as long as readers may take, then sweeps.
pub(super) async fn sweep_later(db: Arc<Connection>) {
    tokio::time::sleep(db.limits.sweep_after).await;
    if let Err(error) = sweep(&db).await {
        tracing::warn!(tenant = %db.tenant, %error, "old copies of read models are removed later");
    }
}

/// Removes the tenant's copies that were given up long enough ago.
pub(super) async fn sweep(db: &Connection) -> Result<(), DocumentError> {
    let kept = i64::try_from(db.limits.sweep_after.as_millis()).unwrap_or(i64::MAX);
    let before = i64::try_from(now_ms()).unwrap_or(i64::MAX).saturating_sub(kept);
    for old in db.bounded(given_up(db)).await? {
        if old.since <= before {
            remove(db, &old).await?;
        }
    }
    Ok(())
}

async fn given_up(db: &Connection) -> Result<Vec<Old>, DocumentError> {
    let mut cursor = db
        .rows::<Lines>("lines")
        .find(doc! { "tenantId": db.tenant.as_str(), "old.0": { "$exists": true } })
        .await?;
    let mut old = Vec::new();
    while cursor.advance().await? {
        old.extend(cursor.deserialize_current()?.old);
    }
    Ok(old)
}

async fn remove(db: &Connection, old: &Old) -> Result<(), DocumentError> {
    let of = Collection {
        module: old.module.clone(),
        name: old.name.clone(),
        decimals: Vec::new(),
        indexes: Vec::new(),
    };
    while db
        .bounded(remove_part(db, &db.documents(&of), db.copy(old.copy)))
        .await?
    {}
    let forget = async {
        // A unit that changes the lines meanwhile fails with a conflict, and is tried again like after any other failure.
        db.rows::<Row>("lines")
            .update_one(
                db.own(&format!("{}.{}", of.module, of.name)),
                doc! { "$pull": { "old": { "copy": old.copy } } },
            )
            .await?;
        Ok(())
    };
    db.bounded(forget).await
}
