//! `millwork:cache` as components see it: the host makes the key from tenant and component, so nobody can name
//! another's.

use std::sync::Arc;
use std::time::Duration;

use super::{Cache, Keys};
use crate::bindings::imports::millwork::cache::cache::{Error, Host};
use crate::capability::Budget;

/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 512;
/// Longest value, in bytes.
const VALUE_BYTES_MAX: usize = 1 << 20;

/// The cache as one call sees it.
pub struct CacheCall {
    store: Option<Arc<dyn Cache>>,
    prefix: String,
    budget: Arc<Budget>,
}

impl CacheCall {
    /// For one call of a component of a tenant; without a store the manifest did not ask for it.
    #[must_use]
    pub fn new(store: Option<Arc<dyn Cache>>, tenant: &str, component: &str, budget: Arc<Budget>) -> Self {
        Self {
            store,
            prefix: format!("t:{tenant}:{component}:"),
            budget,
        }
    }

    /// The store and the complete key, as far as this call may have them.
    fn open(&self, key: &str, value_bytes: usize) -> wasmtime::Result<Result<(&dyn Cache, String), Error>> {
        self.budget.spend_call()?;
        let Some(store) = self.store.as_deref() else {
            return Ok(Err(Error::Denied(
                "the manifest does not ask for cache".to_owned(),
            )));
        };
        if key.len() > KEY_BYTES_MAX {
            return Ok(Err(Error::TooLarge(format!(
                "the key is longer than {KEY_BYTES_MAX} bytes"
            ))));
        }
        if value_bytes > VALUE_BYTES_MAX {
            return Ok(Err(Error::TooLarge(format!(
                "the value is longer than {VALUE_BYTES_MAX} bytes"
            ))));
        }
        Ok(Ok((store, format!("{}{key}", self.prefix))))
    }

    /// Whether this call may use the cache at all.
    pub(super) fn check(&self) -> wasmtime::Result<Result<(), Error>> {
        Ok(self.open("", 0)?.map(drop))
    }

    /// Some keys of this component that begin so, without that beginning.
    pub(super) async fn keys(
        &self,
        prefix: &str,
        after: Option<u64>,
    ) -> wasmtime::Result<Result<Keys, Error>> {
        let (store, prefix) = match self.open(prefix, 0)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let Ok(mut found) = store.keys(&prefix, after).await else {
            return Ok(Err(Error::Unavailable));
        };
        for key in &mut found.keys {
            drop(key.drain(..prefix.len().min(key.len())));
        }
        self.budget
            .spend_bytes(found.keys.iter().map(String::len).sum())?;
        Ok(Ok(found))
    }
}

impl Host for CacheCall {
    async fn get(&mut self, key: String) -> wasmtime::Result<Result<Option<Vec<u8>>, Error>> {
        let (store, key) = match self.open(&key, 0)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let Ok(value) = store.get(&key).await else {
            return Ok(Err(Error::Unavailable));
        };
        self.budget
            .spend_bytes(value.as_ref().map_or(0, |value| value.len()))?;
        Ok(Ok(value.map(|value| value.to_vec())))
    }

    async fn put(&mut self, key: String, value: Vec<u8>, ttl_ms: u32) -> wasmtime::Result<Result<(), Error>> {
        let (store, key) = match self.open(&key, value.len())? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let kept = store
            .put(&key, value.into(), Duration::from_millis(ttl_ms.into()))
            .await;
        Ok(kept.map_err(|_| Error::Unavailable))
    }

    async fn remove(&mut self, key: String) -> wasmtime::Result<Result<bool, Error>> {
        let (store, key) = match self.open(&key, 0)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        Ok(store.remove(&key).await.map_err(|_| Error::Unavailable))
    }

    async fn add(&mut self, key: String, by: i64, ttl_ms: u32) -> wasmtime::Result<Result<i64, Error>> {
        let (store, key) = match self.open(&key, 0)? {
            Ok(open) => open,
            Err(error) => return Ok(Err(error)),
        };
        let sum = store.add(&key, by, Duration::from_millis(ttl_ms.into())).await;
        Ok(sum.map_err(|_| Error::Unavailable))
    }
}
