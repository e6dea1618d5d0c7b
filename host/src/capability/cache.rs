//! Bytes that may vanish at any moment. Guests reach this through `millwork:cache`; keys are made by the host from
//! tenant and component, so nobody can name another's.

pub mod component;
pub mod keyvalue;
pub mod memory;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

/// Why the cache did nothing: it cannot be reached. Callers go on without.
#[derive(Debug, thiserror::Error)]
#[error("cache: {0}")]
pub struct CacheError(pub String);

/// Keys that one look gives at most, but for those that cannot be told from the last.
const KEYS_MAX: usize = 1_000;

/// Some keys, and how to get more.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// In no order; perhaps none although there are more. One may come twice.
    pub keys: Vec<String>,
    /// What to ask the next ones with; absent when these were the last.
    pub next: Option<u64>,
}

/// See the module. Keys are complete: `t:<tenant>:<component>:<key>`.
#[async_trait]
pub trait Cache: Send + Sync + 'static {
    /// The value, if it is still there.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError>;

    /// Keeps a value for at most `ttl`.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError>;

    /// Forgets a value; false when there was none.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn remove(&self, key: &str) -> Result<bool, CacheError>;

    /// Adds to a counter, atomically, and gives the sum; a missing one starts at 0 with this time to live. A value that
    /// is no counter is started anew. Counters read as decimal text through `get`.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn add(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError>;

    /// Keys that begin so. Those that are there from the first look, without `after`, to the last one come at least
    /// once. Looks through a part of all that is kept.
    ///
    /// # Errors
    /// [`CacheError`].
    async fn keys(&self, prefix: &str, after: Option<u64>) -> Result<Keys, CacheError>;
}

/// Forgets all values whose keys begin so.
///
/// # Errors
/// [`CacheError`]; some may be left then.
pub async fn clear(cache: &dyn Cache, prefix: &str) -> Result<(), CacheError> {
    let mut after = None;
    loop {
        let Keys { keys, next } = cache.keys(prefix, after).await?;
        for key in keys {
            cache.remove(&key).await?;
        }
        if next.is_none() {
            return Ok(());
        }
        after = next;
    }
}
