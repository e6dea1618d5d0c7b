//! Locks within this process, which is the whole cluster where nothing else is configured.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::{Lease, LockError, Locks};

/// No lock is held longer; a later point in time might not exist.
const TTL_MAX: Duration = Duration::from_hours(24 * 3_650);

/// See the module.
pub struct MemoryLocks {
    /// Std's Mutex: nothing waits while it is held.
    held: Mutex<Held>,
}

struct Held {
    by_key: HashMap<String, Holder>,
    /// Of all keys together, which is more than is promised.
    last_token: u64,
}

struct Holder {
    token: u64,
    until: Instant,
}

impl MemoryLocks {
    /// Tokens begin with the time, so that they are greater than those of the process before this one.
    #[must_use]
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            held: Mutex::new(Held {
                by_key: HashMap::new(),
                last_token: u64::try_from(since.as_micros()).unwrap_or_default(),
            }),
        }
    }

    /// Those that are held now.
    fn held(&self, now: Instant) -> MutexGuard<'_, Held> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.by_key.retain(|_, holder| holder.until > now);
        held
    }
}

impl Default for MemoryLocks {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl Locks for MemoryLocks {
    async fn acquire(&self, key: &str, ttl: Duration) -> Result<Option<Lease>, LockError> {
        let now = Instant::now();
        let mut held = self.held(now);
        if held.by_key.contains_key(key) {
            return Ok(None);
        }
        held.last_token += 1;
        let token = held.last_token;
        let until = now + ttl.min(TTL_MAX);
        held.by_key.insert(key.to_owned(), Holder { token, until });
        Ok(Some(Lease {
            key: key.to_owned(),
            token,
        }))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, LockError> {
        let now = Instant::now();
        let mut held = self.held(now);
        let holder = held.by_key.get_mut(&lease.key);
        let Some(holder) = holder.filter(|holder| holder.token == lease.token) else {
            return Ok(false);
        };
        holder.until = now + ttl.min(TTL_MAX);
        Ok(true)
    }

    async fn release(&self, lease: &Lease) -> Result<bool, LockError> {
        let mut held = self.held(Instant::now());
        let is_held = held
            .by_key
            .get(&lease.key)
            .is_some_and(|holder| holder.token == lease.token);
        if is_held {
            held.by_key.remove(&lease.key);
        }
        Ok(is_held)
    }
}
