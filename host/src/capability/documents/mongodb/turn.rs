//! Whose turn it is to write: units of a tenant follow each other, on this host by a lock, between hosts by a document that
//! the transaction of each writes first. Who finds it written by another tries again.

use std::sync::Arc;
use std::time::Duration;

use ::mongodb::ClientSession;
use ::mongodb::bson::{Document as Row, doc};
use ::mongodb::options::ReadConcern;
use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

use super::super::DocumentError;
use super::connection::Connection;
use crate::mongodb::{Failure, durable};

/// First and longest pause before a turn is tried again.
const PAUSE_MIN: Duration = Duration::from_millis(5);
const PAUSE_MAX: Duration = Duration::from_millis(200);

/// A transaction that nobody else's can overtake. Dropped, it is rolled back, and the next one waits for that.
pub(super) struct Turn {
    /// Taken out when it ends.
    session: Option<ClientSession>,
    lock: Option<OwnedMutexGuard<()>>,
}

/// Makes the tenant's turn when it is not there: a transaction that makes it could meet another that does.
pub(super) async fn make(db: &Connection) -> Result<(), DocumentError> {
    let rows = db.rows::<Row>("turns");
    if rows.find_one(db.own("turn")).await?.is_some() {
        return Ok(());
    }
    let row = doc! { "_id": db.id("turn"), "tenantId": db.tenant.as_str(), "number": 0_i64 };
    match rows.insert_one(row).await {
        Err(error) if Failure::from(error.clone()).is_duplicate() => Ok(()),
        made => Ok(made.map(drop)?),
    }
}

impl Turn {
    /// Waits for it.
    pub(super) async fn take(db: &Connection, lock: &Arc<Mutex<()>>) -> Result<Self, DocumentError> {
        let limit = db.limits.turn_max;
        let late = |_| DocumentError::Failed(format!("others have written for longer than {limit:?}"));
        let until = Instant::now() + limit;
        let lock = tokio::time::timeout_at(until, Arc::clone(lock).lock_owned())
            .await
            .map_err(late)?;
        let mut pause = PAUSE_MIN;
        loop {
            match db.bounded(Self::attempt(db)).await? {
                Some(session) => {
                    return Ok(Self {
                        session: Some(session),
                        lock: Some(lock),
                    });
                }
                None if Instant::now() + pause >= until => {
                    return Err(DocumentError::Failed(format!(
                        "another host has written for longer than {limit:?}"
                    )));
                }
                None => tokio::time::sleep(pause).await,
            }
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Nothing when another host has its turn.
    async fn attempt(db: &Connection) -> Result<Option<ClientSession>, DocumentError> {
        let mut session = db.database().client().start_session().await?;
        session
            .start_transaction()
            .read_concern(ReadConcern::snapshot())
            .write_concern(durable(db.limits.call_max))
            .await?;
        let taken = db
            .rows::<Row>("turns")
            .update_one(db.own("turn"), doc! { "$inc": { "number": 1_i64 } })
            .session(&mut session)
            .await;
        match taken {
            Ok(taken) if taken.matched_count == 1 => Ok(Some(session)),
            Ok(_) => Err(DocumentError::Failed(format!("tenant {} has no turn", db.tenant))),
            Err(error)
                if Failure::from(error.clone()).is_conflict()
                    && !Failure::from(error.clone()).is_passing() =>
            {
                // The server has ended it; this only tells the session.
                let _ended = session.abort_transaction().await;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The transaction.
    pub(super) fn session(&mut self) -> Result<&mut ClientSession, DocumentError> {
        self.session
            .as_mut()
            .ok_or_else(|| DocumentError::Failed("the unit of work has ended".to_owned()))
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (session, lock) = (self.session.take(), self.lock.take());
        if let (Some(mut session), Ok(runtime)) = (session, tokio::runtime::Handle::try_current()) {
            runtime.spawn(async move {
                // After a commit there is nothing to roll back, which is an error that says nothing.
                let _rolled_back = session.abort_transaction().await;
                drop(lock);
            });
        }
    }
}
