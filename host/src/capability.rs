//! What components may touch, one module per capability: a narrow trait, the one host implementation of the WIT
//! interface above it, and a file per backend below it. Capabilities do not know each other. Three are the host's own and
//! have no interface: [`locks`], [`rate_limits`] and [`sessions`].

pub mod documents;
pub mod cache;
pub mod locks;
pub mod rate_limits;
pub mod sessions;
pub mod messaging;
pub mod platform;
pub mod wasi_config;
pub mod search;
pub mod blobs;

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

/// What one call may still ask of the host, over all capabilities together.
#[derive(Debug)]
pub struct Budget {
    calls: AtomicU32,
    bytes: AtomicUsize,
}

/// A call has used up its budget: it ends.
#[derive(Debug, thiserror::Error)]
#[error("the call's budget of {0} is used up")]
pub struct Exhausted(pub &'static str);

impl Budget {
    /// A fresh one for each call.
    #[must_use]
    pub fn new(calls: u32, bytes: usize) -> Self {
        Self {
            calls: AtomicU32::new(calls),
            bytes: AtomicUsize::new(bytes),
        }
    }

    /// Accounts for one call into the host.
    ///
    /// # Errors
    /// [`Exhausted`] when it was one too many; returned to the engine it ends the call.
    pub fn spend_call(&self) -> Result<(), Exhausted> {
        let left = self
            .calls
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        left.map(drop).map_err(|_| Exhausted("host calls"))
    }

    /// Accounts for bytes given to the component.
    ///
    /// # Errors
    /// [`Exhausted`] when they were too many.
    pub fn spend_bytes(&self, bytes: usize) -> Result<(), Exhausted> {
        let left = self
            .bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(bytes)
            });
        left.map(drop).map_err(|_| Exhausted("returned bytes"))
    }
}
