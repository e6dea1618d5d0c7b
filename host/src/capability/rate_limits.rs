//! How often somebody may ask: for the host's own doors; no component reaches this.
//!
//! The algorithm on every backend is the generic cell rate algorithm (ITU-T I.371, appendix A), a leaky bucket that needs one
//! number a key: the time at which the bucket would be empty. It forgets a key by itself.

pub mod memory;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;

use crate::config::rate::Rate;

/// The limits cannot be reached. Callers go on without: a limit protects the host, and must not be what stops it.
#[derive(Debug, thiserror::Error)]
#[error("rate limits: {0}")]
pub struct RateLimitError(pub String);

/// What comes of asking for one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// It is granted, and counted.
    Granted,
    /// It is not, and not counted; it would be granted after this time.
    In(Duration),
}

/// See the module. Keys are complete: `ratelimit:api:tenant:<tenant>`.
#[async_trait]
pub trait RateLimits: Send + Sync + 'static {
    /// Asks for one more under this key. One key has the same rate at every call; a new rate holds from then on.
    ///
    /// # Errors
    /// [`RateLimitError`].
    async fn take(&self, key: &str, rate: Rate) -> Result<Turn, RateLimitError>;
}
