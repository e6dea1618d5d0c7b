//! Rate limits in Redis: one for all hosts of a cluster, by the clock of the server.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{RateLimitError, RateLimits, Turn};
use crate::config::rate::Rate;
use crate::redis_link::{RedisLink, Unanswered};

/// `KEYS[1]`: when the bucket would be empty, in microseconds of the server's clock; `ARGV`: microseconds that one request adds,
/// and those of a full bucket. Answers the microseconds to wait. Lua's numbers hold all of them exactly, and its own way to
/// write them would not.
const TAKE: &str = r"
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local empty_at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now) + tonumber(ARGV[1])
local wait = empty_at - now - tonumber(ARGV[2])
if wait > 0 then
  return wait
end
redis.call('SET', KEYS[1], string.format('%.0f', empty_at), 'PX', math.ceil((empty_at - now) / 1000))
return 0
";

/// See the module.
pub struct RedisRateLimits {
    link: Arc<RedisLink>,
    take: Script,
}

impl RedisRateLimits {
    /// Over this connection, which others may use as well.
    #[must_use]
    pub fn new(link: Arc<RedisLink>) -> Self {
        Self {
            link,
            take: Script::new(TAKE),
        }
    }
}

#[async_trait]
impl RateLimits for RedisRateLimits {
    async fn take(&self, key: &str, rate: Rate) -> Result<Turn, RateLimitError> {
        let interval = u64::try_from(rate.interval().as_micros()).unwrap_or(u64::MAX);
        let mut take = self.take.prepare_invoke();
        take.key(self.link.key(key))
            .arg(interval)
            .arg(interval.saturating_mul(rate.burst.get().into()));
        Ok(match self.link.run(&take).await? {
            0 => Turn::Granted,
            wait => Turn::In(Duration::from_micros(wait)),
        })
    }
}

impl From<Unanswered> for RateLimitError {
    fn from(error: Unanswered) -> Self {
        Self(error.to_string())
    }
}
