//! What of the commits has reached the disk, and who waits for that.
//!
//! What is committed is seen by readers before it is durable. So whatever leaves the store, or is kept elsewhere, waits for
//! [`Durable::settled`] first. What only leads to a later append need not: the log that loses the one loses the other too.

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use millwork_registry::id::TenantId;
use tokio::sync::watch;

use super::super::{Position, StoreError};
use super::stopped;

/// See the module.
#[derive(Default)]
pub(super) struct Durable {
    /// The number of the last commit that was begun: who sees what it wrote finds it counted.
    begun: AtomicU64,
    /// A watch, since readers wait for it.
    flushed: watch::Sender<Flushed>,
}

/// How far the log is flushed.
#[derive(Debug, Default)]
struct Flushed {
    /// The last commit that is durable.
    through: u64,
    /// Why there will be no further one: after a flush that failed nobody can tell what the disk has.
    failed: Option<String>,
}

impl Durable {
    /// Counts a commit that is about to be made.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// Notes how the flush has ended that followed a commit.
    pub(super) fn note(&self, commit: u64, flushed: &io::Result<()>) {
        self.flushed.send_modify(|state| match flushed {
            Ok(()) if state.failed.is_none() => state.through = commit,
            Ok(()) => {}
            Err(error) => {
                let why = format!("it has failed, the host is to be started anew: {error}");
                state.failed.get_or_insert(why);
            }
        });
    }

    /// Waits until all that a reader may have seen so far is durable.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when the disk has failed.
    pub(super) async fn settled(&self) -> Result<(), StoreError> {
        let seen = self.begun.load(Ordering::SeqCst);
        let mut flushed = self.flushed.subscribe();
        let reached = flushed.wait_for(|flushed| flushed.is_past(seen));
        reached.await.map_err(|_| stopped())?.check()
    }

    /// Whether the disk takes what is written.
    ///
    /// # Errors
    /// [`StoreError::Failed`] when it has failed.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.flushed.borrow().check()
    }
}

impl Flushed {
    fn is_past(&self, commit: u64) -> bool {
        self.through >= commit || self.failed.is_some()
    }

    fn check(&self) -> Result<(), StoreError> {
        match &self.failed {
            None => Ok(()),
            Some(why) => Err(StoreError::Failed(why.clone())),
        }
    }
}

/// The last durable positions of the tenants that somebody watches.
#[derive(Default)]
pub(super) struct Positions(Mutex<HashMap<TenantId, watch::Sender<Position>>>);

impl Positions {
    /// Watches a tenant. `read` gives the position when nobody has watched it so far; flushes wait meanwhile with telling
    /// theirs, so that none is missed.
    pub(super) fn watch<E>(
        &self,
        tenant: &TenantId,
        read: impl FnOnce() -> Result<Position, E>,
    ) -> Result<watch::Receiver<Position>, E> {
        let mut watched = self.lock();
        if let Some(sender) = watched.get(tenant) {
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(read()?);
        watched.insert(tenant.clone(), sender);
        Ok(receiver)
    }

    /// Who watches a tenant from now on is told where it is then.
    pub(super) fn forget(&self, tenant: &TenantId) {
        self.lock().remove(tenant);
    }

    /// Tells what has become durable.
    pub(super) fn publish<'a>(&self, reached: impl Iterator<Item = (&'a TenantId, Position)>) {
        let watched = self.lock();
        for (tenant, position) in reached {
            if let Some(sender) = watched.get(tenant) {
                // A replayed command tells an older position.
                sender.send_if_modified(|last| {
                    let moved = position > *last;
                    *last = position.max(*last);
                    moved
                });
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, watch::Sender<Position>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
