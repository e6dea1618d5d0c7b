//! The cache in Redis, shared by all hosts of a cluster. What is kept is bounded by the server: `maxmemory` with
//! `maxmemory-policy allkeys-lru` or its like.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use redis::{Script, cmd};

use super::{Cache, CacheError, KEYS_MAX, Keys};
use crate::redis_link::{RedisLink, Unanswered, ttl_ms};

/// `KEYS[1]`: the counter; `ARGV`: what is added, and the time of a new one. Sums are told as text, since Lua's numbers have
/// no 64 bits. One that would pass the bounds of its type stays there; what is no counter is started anew.
const ADD: &str = r"
local sum = redis.pcall('INCRBY', KEYS[1], ARGV[1])
if type(sum) == 'table' and sum.err then
  if string.find(sum.err, 'overflow', 1, true) then
    local bound = string.sub(ARGV[1], 1, 1) == '-' and '-9223372036854775808' or '9223372036854775807'
    redis.call('SET', KEYS[1], bound, 'KEEPTTL')
    return bound
  end
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  return ARGV[1]
end
if redis.call('PTTL', KEYS[1]) == -1 then
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return redis.call('GET', KEYS[1])
";

/// See the module.
pub struct RedisCache {
    link: Arc<RedisLink>,
    add: Script,
}

impl RedisCache {
    /// Over this connection, which others may use as well.
    #[must_use]
    pub fn new(link: Arc<RedisLink>) -> Self {
        Self {
            link,
            add: Script::new(ADD),
        }
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Result<Option<Bytes>, CacheError> {
        let value: Option<Vec<u8>> = self.link.query(cmd("GET").arg(self.link.key(key))).await?;
        Ok(value.map(Bytes::from))
    }

    async fn put(&self, key: &str, value: Bytes, ttl: Duration) -> Result<(), CacheError> {
        let ttl = ttl_ms(ttl);
        if ttl == 0 {
            return self.remove(key).await.map(drop);
        }
        let key = self.link.key(key);
        let mut set = cmd("SET");
        set.arg(key).arg(value.as_ref()).arg("PX").arg(ttl);
        Ok(self.link.query(&set).await?)
    }

    async fn remove(&self, key: &str) -> Result<bool, CacheError> {
        Ok(self.link.query(cmd("DEL").arg(self.link.key(key))).await?)
    }

    async fn add(&self, key: &str, by: i64, ttl: Duration) -> Result<i64, CacheError> {
        let mut add = self.add.prepare_invoke();
        // Redis refuses a time of 0; one of a millisecond is as good as none.
        add.key(self.link.key(key)).arg(by).arg(ttl_ms(ttl).max(1));
        Ok(self.link.run(&add).await?)
    }

    async fn keys(&self, prefix: &str, after: Option<u64>) -> Result<Keys, CacheError> {
        let own = self.link.key("");
        let mut scan = cmd("SCAN");
        scan.arg(after.unwrap_or_default())
            .arg("MATCH")
            .arg(format!("{}*", literal(&self.link.key(prefix))))
            .arg("COUNT")
            .arg(KEYS_MAX);
        let (next, found): (u64, Vec<String>) = self.link.query(&scan).await?;
        let keys = found.iter().filter_map(|key| key.strip_prefix(&own));
        Ok(Keys {
            keys: keys.map(str::to_owned).collect(),
            next: (next != 0).then_some(next),
        })
    }
}

/// A pattern of Redis that stands for this text alone.
fn literal(text: &str) -> String {
    let escaped = |letter: char| {
        let mark = matches!(letter, '*' | '?' | '[' | ']' | '^' | '\\').then_some('\\');
        mark.into_iter().chain([letter])
    };
    text.chars().flat_map(escaped).collect()
}

impl From<Unanswered> for CacheError {
    fn from(error: Unanswered) -> Self {
        Self(error.to_string())
    }
}
