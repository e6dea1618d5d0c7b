//! What the store is asked to write, and how whoever asked is told.

use std::sync::Arc;

use millwork_registry::id::TenantId;
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::super::{Append, AppendError, Journalled, Origin, Snapshot, StoreError, Subject};
use super::append::{Outcome, Tenants};

/// What is asked.
pub(super) enum Request {
    /// Somebody waits for it.
    Append {
        /// What to record.
        append: Box<Append>,
        /// Where the outcome goes.
        reply: oneshot::Sender<Outcome>,
    },
    /// Nobody waits for it.
    Rejection {
        /// Whose.
        tenant: TenantId,
        /// What was rejected.
        command: Box<Journalled>,
        /// Who asked for it.
        origin: Arc<Origin>,
        /// JSON text.
        rejection: String,
    },
    /// Nobody waits for it.
    Snapshot {
        /// Whose.
        tenant: TenantId,
        /// The aggregate.
        of: Subject,
        /// Its state.
        snapshot: Snapshot,
    },
    /// Somebody waits for it.
    Work {
        /// What to do.
        work: Work,
        /// Told when it is durable.
        reply: oneshot::Sender<Result<(), StoreError>>,
    },
}

/// Something to do within the open transaction; done again when that has to be.
pub(super) type Work = Box<dyn Fn(&Connection, &mut Tenants) -> rusqlite::Result<()> + Send>;

impl Request {
    /// Whether it may take longer than an append. Few ask for such, one thing at a time.
    pub(super) fn is_work(&self) -> bool {
        matches!(self, Self::Work { .. })
    }

    /// Whether somebody waits for it.
    pub(super) fn is_awaited(&self) -> bool {
        matches!(self, Self::Append { .. } | Self::Work { .. })
    }

    /// Tells whoever waits for it what came of it.
    pub(super) fn answer(self, outcome: Option<Outcome>) {
        // Whoever asked may have gone; the command's id leads to the outcome.
        let _ = match (self, outcome) {
            (Self::Append { reply, .. }, Some(outcome)) => reply.send(outcome).is_ok(),
            (Self::Work { reply, .. }, Some(Err(AppendError::Store(error)))) => {
                reply.send(Err(error)).is_ok()
            }
            (Self::Work { reply, .. }, _) => reply.send(Ok(())).is_ok(),
            _ => true,
        };
    }
}
