//! The cache in this process: bounded by bytes, each entry with its own time to live.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use moka::Expiry;
use moka::ops::compute::Op;
use moka::sync::Cache as Moka;

use super::{Cache, CacheError, KEYS_MAX, Keys};

/// What an entry costs beside its key and value, in bytes; an estimate.
const ENTRY_BYTES: usize = 128;
/// Nothing is kept longer; a later point in time might not exist.
const TTL_MAX: Duration = Duration::from_hours(24 * 3_650);

/// See the module.
pub struct MemoryCache {
    entries: Moka<String, Entry>,
}

#[derive(Clone)]
struct Entry {
    value: Bytes,
    /// A point in time rather than a duration: who changes a counter keeps it, however long the change takes.
    until: Instant,
}

struct Until;

impl Expiry<String, Entry> for Until {
    fn expire_after_create(&self, _: &String, entry: &Entry, now: Instant) -> Option<Duration> {
        Some(entry.until.saturating_duration_since(now))
    }

    fn expire_after_update(
        &self,
        _: &String,
        entry: &Entry,
        now: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(entry.until.saturating_duration_since(now))
    }
}

impl MemoryCache {
    /// Keeps at most about `bytes_max`, and then the entries most used.
    #[must_use]
    pub fn new(bytes_max: u64) -> Self {
        let weight = |key: &String, entry: &Entry| {
            u32::try_from(key.len() + entry.value.len() + ENTRY_BYTES).unwrap_or(u32::MAX)
        };
        Self {
            entries: Moka::builder()
                .max_capacity(bytes_max)
                .weigher(weight)
                .expire_after(Until)
                .build(),
        }
    }
}

#[async_trait]
impl Cache for MemoryCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        Ok(self.entries.get(key).map(|entry| entry.value))
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        self.entries.insert(
            key.to_owned(),
            Entry {
                value,
                until: after(Instant::now(), ttl),
            },
        );
        Ok(())
    }

    async fn remove(&self, key: &str) -> Result<bool, CacheError> {
        let mut there = false;
        // `Moka::remove` would also find an entry whose time is over.
        self.entries.entry(key.to_owned()).and_compute_with(|entry| {
            there = entry.is_some();
            if there { Op::Remove } else { Op::Nop }
        });
        Ok(there)
    }

    async fn add(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        let mut sum = by;
        self.entries.entry(key.to_owned()).and_compute_with(|entry| {
            let now = Instant::now();
            let before = entry
                .map(moka::Entry::into_value)
                .filter(|entry| entry.until > now);
            let counter = before.and_then(|entry| Some((counter(&entry.value)?, entry.until)));
            let (start, until) = counter.unwrap_or((0, after(now, ttl)));
            // A counter that would pass the bounds of its type stays there.
            sum = start.saturating_add(by);
            Op::Put(Entry {
                value: Bytes::from(sum.to_string()),
                until,
            })
        });
        Ok(sum)
    }

    /// In the order of hashes, so that a place between two keys stays one, whatever comes and goes.
    async fn keys(&self, prefix: &str, after: Option<u64>) -> Result<Keys, CacheError> {
        let now = Instant::now();
        let mut found: Vec<(u64, String)> = self
            .entries
            .iter()
            .filter(|(key, entry)| key.starts_with(prefix) && entry.until > now)
            .map(|(key, _)| (hash(&key), key.to_string()))
            .filter(|(hash, _)| after.is_none_or(|after| *hash > after))
            .collect();
        found.sort_unstable();
        let last = found
            .get(KEYS_MAX - 1)
            .map(|(hash, _)| *hash)
            .filter(|_| found.len() > KEYS_MAX);
        if let Some(last) = last {
            found.retain(|(hash, _)| *hash <= last);
        }
        Ok(Keys {
            keys: found.into_iter().map(|(_, key)| key).collect(),
            next: last,
        })
    }
}

fn hash(key: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    hasher.finish()
}

fn after(now: Instant, ttl: Duration) -> Instant {
    now + ttl.min(TTL_MAX)
}

fn counter(value: &Bytes) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    // `007` may be many things to a component; Redis takes it for no counter either.
    (number.to_string() == text).then_some(number)
}
