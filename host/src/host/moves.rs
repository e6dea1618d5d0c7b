//! Tenants that are just being made or removed on this host: one thing at a time for each id.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use millwork_registry::id::TenantId;
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::config::moving::MovingLimits;
use crate::error::Error;

/// Exports, imports and removals under way.
pub(super) struct Moves {
    slots: Semaphore,
    /// std's lock: held for a look-up only.
    under_way: Mutex<BTreeMap<TenantId, Way>>,
}

/// What is done with an id.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// A tenant of it is made, or imported.
    In,
    /// The tenant of it is removed.
    Out,
}

/// Nobody else does anything with an id until it is dropped.
pub(super) struct UnderWay<'a>(&'a Moves, TenantId);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}

impl Moves {
    pub(super) fn new(limits: &MovingLimits) -> Self {
        Self {
            slots: Semaphore::new(limits.at_once.max(1)),
            under_way: Mutex::default(),
        }
    }

    /// A place among those who read or write an archive; nothing when the host stops.
    pub(super) async fn slot(&self) -> Option<SemaphorePermit<'_>> {
        self.slots.acquire().await.ok()
    }

    /// Takes an id for a tenant that is made.
    ///
    /// # Errors
    /// [`Error::Exists`] when one is being made already; [`Error::Busy`] when the one before is being removed.
    pub(super) fn arrive(&self, id: &TenantId) -> Result<UnderWay<'_>, Error> {
        self.take(id, Way::In).map_err(|way| match way {
            Way::In => exists(id),
            Way::Out => Error::Busy(id.clone()),
        })
    }

    /// Takes an id whose tenant is removed.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(super) fn leave(&self, id: &TenantId) -> Result<UnderWay<'_>, Error> {
        self.take(id, Way::Out).map_err(|_| Error::Busy(id.clone()))
    }

    /// Gives what is done with the id already, if that is so.
    fn take(&self, id: &TenantId, way: Way) -> Result<UnderWay<'_>, Way> {
        let mut under_way = self.lock();
        if let Some(other) = under_way.get(id) {
            return Err(*other);
        }
        under_way.insert(id.clone(), way);
        Ok(UnderWay(self, id.clone()))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<TenantId, Way>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

pub(super) fn exists(id: &TenantId) -> Error {
    Error::Exists {
        what: "tenant".to_owned(),
        id: id.to_string(),
    }
}

/// Does something to its end, also when whoever has asked for it goes away.
pub(super) async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, Error>> + Send + 'static,
) -> Result<T, Error> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(stopped()))
}

pub(super) fn stopped() -> Error {
    Error::Unavailable("the host is stopping".to_owned())
}
