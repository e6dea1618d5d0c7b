//! Locks in Redis, for all hosts of a cluster: the lock is a key whose value is the fencing token and which ends by itself.
//!
//! A replica that takes over may not know of the last locks; whoever checks the token is safe from that too.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{Lease, LockError, Locks};
use crate::redis_link::{RedisLink, Unanswered, ttl_ms};

/// `KEYS`: the lock, and its last token; `ARGV`: how long the lock is held, and how long the token is remembered.
///
/// Tokens are microseconds of the server's clock, or one more than the last: they grow even when the server has lost the
/// last one, as long as its clock is not set back. Lua's numbers hold them exactly until the year 2255, and its own way to
/// write them would not.
const ACQUIRE: &str = r"
if redis.call('EXISTS', KEYS[1]) == 1 then
  return false
end
local time = redis.call('TIME')
local token = tonumber(time[1]) * 1000000 + tonumber(time[2])
local last = tonumber(redis.call('GET', KEYS[2]) or '0')
if token <= last then
  token = last + 1
end
local text = string.format('%.0f', token)
redis.call('SET', KEYS[2], text, 'PX', ARGV[2])
redis.call('SET', KEYS[1], text, 'PX', ARGV[1])
return text
";

/// `KEYS[1]`: the lock; `ARGV`: the token of the lease, and how long it is held from now on.
const RENEW: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])
";

/// `KEYS[1]`: the lock; `ARGV[1]`: the token of the lease.
const RELEASE: &str = r"
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
return redis.call('DEL', KEYS[1])
";

/// How long the last token of a key is remembered, for a clock that is set back; after that the time itself is greater.
const TOKEN_REMEMBERED: Duration = Duration::from_hours(24 * 30);

/// See the module.
pub struct RedisLocks {
    link: Arc<RedisLink>,
    acquire: Script,
    renew: Script,
    release: Script,
}

impl RedisLocks {
    /// Over this connection, which others may use as well.
    #[must_use]
    pub fn new(link: Arc<RedisLink>) -> Self {
        Self {
            link,
            acquire: Script::new(ACQUIRE),
            renew: Script::new(RENEW),
            release: Script::new(RELEASE),
        }
    }
}

#[async_trait]
impl Locks for RedisLocks {
    async fn acquire(&self, key: &str, ttl: Duration) -> Result<Option<Lease>, LockError> {
        let lock = self.link.key(key);
        // In a cluster of Redis both keys must be on one node: what stands in braces decides that.
        let last_token = self.link.key(&format!("fence:{{{lock}}}"));
        let mut acquire = self.acquire.prepare_invoke();
        acquire
            .key(lock)
            .key(last_token)
            .arg(ttl_ms(ttl).max(1))
            .arg(ttl_ms(TOKEN_REMEMBERED));
        let token: Option<u64> = self.link.run(&acquire).await?;
        Ok(token.map(|token| Lease {
            key: key.to_owned(),
            token,
        }))
    }

    async fn renew(&self, lease: &Lease, ttl: Duration) -> Result<bool, LockError> {
        let mut renew = self.renew.prepare_invoke();
        renew
            .key(self.link.key(&lease.key))
            .arg(lease.token)
            .arg(ttl_ms(ttl).max(1));
        Ok(self.link.run(&renew).await?)
    }

    async fn release(&self, lease: &Lease) -> Result<bool, LockError> {
        let mut release = self.release.prepare_invoke();
        release.key(self.link.key(&lease.key)).arg(lease.token);
        Ok(self.link.run(&release).await?)
    }
}

impl From<Unanswered> for LockError {
    fn from(error: Unanswered) -> Self {
        Self(error.to_string())
    }
}
