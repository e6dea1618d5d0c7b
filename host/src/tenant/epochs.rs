//! Epochs of read models: a value in the cache for each collection, of which kept answers carry the one they were made under.
//!
//! A collection gets another epoch after each unit of work that has written it, and no answer made before counts any more,
//! on any host. Nothing is searched for in the cache, and nothing needs to be removed. An epoch is never used twice, as it
//! is made of time and chance: one that the cache has forgotten is followed by a new one, never by an old one. So
//! whatever was made under an epoch is at least as new as the moment at which that came into use.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use millwork_registry::id::TenantId;
use uuid::Uuid;

use crate::capability::cache::{Cache, CacheError};

/// How long an epoch is kept: longer than any answer.
const TTL: Duration = Duration::from_hours(7 * 24);
/// Hexadecimal digits of an epoch.
const DIGITS: usize = 32;

/// The epochs of one tenant.
pub struct Epochs {
    cache: Arc<dyn Cache>,
    tenant: TenantId,
    /// Epochs by key that the cache did not take, with how often: who asks next must make up for it. std's lock, held for
    /// a look.
    missed: Mutex<HashMap<String, u64>>,
}

impl Epochs {
    /// The epochs of a tenant that are kept here.
    #[must_use]
    pub fn new(cache: Arc<dyn Cache>, tenant: TenantId) -> Self {
        Self {
            cache,
            tenant,
            missed: Mutex::default(),
        }
    }

    /// Ends the epoch of a collection: what was made of its documents until now does not count any more. Where the cache
    /// cannot be reached this host remembers it; others go on with what they have until its time is over, or until they
    /// see a later position of the projection.
    pub async fn raise(&self, module: &str, collection: &str) {
        let key = self.key(module, collection);
        if let Err(error) = self.begin(&key).await {
            tracing::warn!(tenant = %self.tenant, module, collection, %error, "kept answers could not be ended");
            metrics::counter!("millwork_cache_epochs_missed_total", "module" => module.to_owned())
                .increment(1);
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            *missed.entry(key).or_default() += 1;
        }
    }

    /// The epoch of a collection.
    ///
    /// # Errors
    /// [`CacheError`]: nothing that was kept may be given.
    pub async fn current(&self, module: &str, collection: &str) -> Result<String, CacheError> {
        let key = self.key(module, collection);
        if let Some(count) = self.count_missed(&key) {
            let epoch = self.begin(&key).await?;
            let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
            // One that was missed while this one was on its way is made up for by the next.
            if missed.get(&key) == Some(&count) {
                missed.remove(&key);
            }
            return Ok(epoch);
        }
        match self.cache.get(&key).await?.and_then(epoch) {
            Some(epoch) => Ok(epoch),
            None => self.begin(&key).await,
        }
    }

    async fn begin(&self, key: &str) -> Result<String, CacheError> {
        let epoch = Uuid::now_v7().simple().to_string();
        self.cache
            .put(key, Bytes::from(epoch.clone()), TTL)
            .await
            .map(|()| epoch)
    }

    fn count_missed(&self, key: &str) -> Option<u64> {
        let missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        missed.get(key).copied()
    }

    fn key(&self, module: &str, collection: &str) -> String {
        format!("t:{}:{module}:epoch:{collection}", self.tenant)
    }
}

/// What stands there, unless somebody else has written it.
fn epoch(value: Bytes) -> Option<String> {
    let text = String::from_utf8(value.into()).ok()?;
    let is_epoch = text.len() == DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_epoch.then_some(text)
}
