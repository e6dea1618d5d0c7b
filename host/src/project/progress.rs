//! How far a tenant's projections have come, for those who wait for it.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;

use crate::error::Error;
use crate::event_store::Position;

/// Positions of projections by their name within the tenant. std's lock, since it is never held across an await.
#[derive(Default)]
pub struct Progress {
    projections: RwLock<HashMap<String, Entry>>,
}

struct Entry {
    at: watch::Sender<Position>,
    saved: Position,
    failing: Option<String>,
}

impl Progress {
    /// The last position applied, and the last one saved as a checkpoint.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<(Position, Position)> {
        let projections = self.projections.read().unwrap_or_else(PoisonError::into_inner);
        projections
            .get(key)
            .map(|entry| (*entry.at.borrow(), entry.saved))
    }

    /// The last position applied; 0 when the projection has not started.
    #[must_use]
    pub fn at(&self, key: &str) -> Position {
        self.get(key).map_or(0, |(at, _)| at)
    }

    /// Moves a projection on and wakes who waits for it.
    pub fn set(&self, key: &str, at: Position, saved: Option<Position>) {
        let mut projections = self.projections.write().unwrap_or_else(PoisonError::into_inner);
        let entry = projections.entry(key.to_owned()).or_insert_with(Entry::start);
        entry.saved = saved.unwrap_or(entry.saved);
        entry.failing = None;
        entry.at.send_replace(at);
    }

    /// Notes how far another host has brought a projection; what is known to be further stays.
    pub fn seen(&self, key: &str, at: Position, saved: Position) {
        let mut projections = self.projections.write().unwrap_or_else(PoisonError::into_inner);
        let entry = projections.entry(key.to_owned()).or_insert_with(Entry::start);
        if at > *entry.at.borrow() {
            entry.saved = saved;
            entry.at.send_replace(at);
        }
    }

    /// Notes why a projection stands still.
    pub fn failing(&self, key: &str, why: String) {
        let mut projections = self.projections.write().unwrap_or_else(PoisonError::into_inner);
        projections
            .entry(key.to_owned())
            .or_insert_with(Entry::start)
            .failing = Some(why);
    }

    /// Why a projection stands still, if it does.
    #[must_use]
    pub fn why_failing(&self, key: &str) -> Option<String> {
        let projections = self.projections.read().unwrap_or_else(PoisonError::into_inner);
        projections.get(key).and_then(|entry| entry.failing.clone())
    }

    /// Waits until a projection has applied `after`.
    ///
    /// # Errors
    /// [`Error::Behind`] when it has not within `limit`.
    pub async fn reach(&self, key: &str, after: Position, limit: Duration) -> Result<(), Error> {
        let mut at = self.subscribe(key);
        let reached = tokio::time::timeout(limit, at.wait_for(|at| *at >= after)).await;
        match reached {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Behind {
                after,
                at: self.at(key),
            }),
        }
    }

    fn subscribe(&self, key: &str) -> watch::Receiver<Position> {
        if let Some(entry) = self
            .projections
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
        {
            return entry.at.subscribe();
        }
        let mut projections = self.projections.write().unwrap_or_else(PoisonError::into_inner);
        projections
            .entry(key.to_owned())
            .or_insert_with(Entry::start)
            .at
            .subscribe()
    }
}

impl Entry {
    fn start() -> Self {
        Self {
            at: watch::Sender::new(0),
            saved: 0,
            failing: None,
        }
    }
}
