//! Rate limits of this process alone.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use moka::ops::compute::Op;
use moka::sync::Cache as Moka;

use super::{RateLimitError, RateLimits, Turn};
use crate::config::rate::Rate;

/// Keys that are remembered; one that was forgotten begins with an empty bucket.
const KEYS_MAX: u64 = 100_000;

/// See the module.
pub struct MemoryRateLimits {
    /// When each bucket would be empty.
    empty_at: Moka<String, Instant>,
}

impl MemoryRateLimits {
    /// With empty buckets.
    #[must_use]
    pub fn new() -> Self {
        Self {
            empty_at: Moka::new(KEYS_MAX),
        }
    }
}

impl Default for MemoryRateLimits {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl RateLimits for MemoryRateLimits {
    async fn take(&self, key: &str, rate: Rate) -> Result<Turn, RateLimitError> {
        let mut turn = Turn::Granted;
        self.empty_at.entry_by_ref(key).and_compute_with(|entry| {
            let now = Instant::now();
            let empty_at = entry.map_or(now, |entry| entry.into_value().max(now)) + rate.interval();
            let full = rate.interval() * rate.burst.get();
            let wait = empty_at.duration_since(now).saturating_sub(full);
            if wait == Duration::ZERO {
                Op::Put(empty_at)
            } else {
                turn = Turn::In(wait);
                Op::Nop
            }
        });
        Ok(turn)
    }
}
