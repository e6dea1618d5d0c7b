//! Locks that end by themselves: what must run once in a cluster runs where the lease is. For the host alone; no component
//! reaches them.
//!
//! A lease can end while its holder still believes in it: a pause, a lost connection, a clock. So each carries a fencing
//! token, greater than that of every lease of the same key before it. What the holder changes is to refuse a token smaller
//! than one it has seen; a lock alone keeps nobody from acting late.

pub mod memory;
pub mod redis;

use std::time::Duration;

use async_trait::async_trait;

/// The locks cannot be reached, so nothing is known of any: who needs one to act must not act.
#[derive(Debug, thiserror::Error)]
#[error("locks: {0}")]
pub struct LockError(pub String);

/// A lock that is held, at most until its time is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// What is locked.
    pub key: String,
    /// The fencing token; see the module.
    pub token: u64,
}

/// See the module. Keys are complete: `lock:<noun>:<id>`.
#[async_trait]
pub trait Locks: Send + Sync + 'static {
    /// Takes a lock for `ttl`; `None` when somebody holds it, be it the caller itself.
    ///
    /// # Errors
    /// [`LockError`]; it may have been taken all the same, and then ends by itself.
    async fn acquire(&self, key: &str, ttl: Duration) -> Result<Option<Lease>, LockError>;

    /// Keeps a lock for `ttl` from now on; false when it is not held any more, and then never again by this lease.
    ///
    /// # Errors
    /// [`LockError`]; it may have been renewed all the same.
    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, LockError>;

    /// Gives a lock back; false when it was not held any more.
    ///
    /// # Errors
    /// [`LockError`]; it then ends by itself if it was not given back.
    async fn release(&self, lease: &Lease) -> Result<bool, LockError>;
}
