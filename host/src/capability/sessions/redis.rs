//! Sessions in Redis, for all hosts of a cluster: each a hash `sess:{<realm>}:<handle>` that Redis forgets when it ends, and
//! for each user the set of their handles, `sess:{<realm>}:of:<user>`.
//!
//! The braces are Redis' own: what stands in them puts all of a realm on one node of a cluster of Redis, where a script can
//! reach it. What is asked is one script, which takes effect as a whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use redis::Script;

use super::{Handle, Realm, Session, SessionError, Sessions, milliseconds};
use crate::redis_link::{RedisLink, Unanswered};

/// `KEYS`: the session, and those of its user; `ARGV`: what keys of sessions begin with, most sessions, the handle, when it
/// began, when it ends, when it ends at the latest, user, roles, label. What may be refused for want of memory comes first,
/// so that nothing has ended then. A user's set outlives all sessions in it.
const BEGIN: &str = r"
local now, expires_at, ends_at = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'handle', ARGV[3], 'created_at', ARGV[4], 'seen_at', ARGV[4], 'expires_at', ARGV[5],
  'ends_at', ARGV[6], 'user', ARGV[7], 'roles', ARGV[8], 'label', ARGV[9])
redis.call('PEXPIRE', KEYS[1], math.max(expires_at - now, 1))
redis.call('SADD', KEYS[2], ARGV[3])
if redis.call('PTTL', KEYS[2]) < ends_at - now then
  redis.call('PEXPIRE', KEYS[2], math.max(ends_at - now, 1))
end
local others = {}
for _, handle in ipairs(redis.call('SMEMBERS', KEYS[2])) do
  local times = redis.call('HMGET', ARGV[1] .. handle, 'created_at', 'expires_at')
  if not times[1] then
    redis.call('SREM', KEYS[2], handle)
  elseif handle ~= ARGV[3] then
    local key = tonumber(times[2]) <= now and -1 or tonumber(times[1])
    others[#others + 1] = { key, handle }
  end
end
table.sort(others, function(a, b) return a[1] < b[1] or (a[1] == b[1] and a[2] < b[2]) end)
for at = 1, #others - tonumber(ARGV[2]) + 1 do
  redis.call('DEL', ARGV[1] .. others[at][2])
  redis.call('SREM', KEYS[2], others[at][2])
end
return 1
";

/// `KEYS[1]`: the session; `ARGV`: the time, and how long it may then be unused. Where memory is wanting it is found all the
/// same, and ends when it would have.
const TOUCH: &str = r"
local times = redis.call('HMGET', KEYS[1], 'expires_at', 'ends_at')
local now = tonumber(ARGV[1])
if not times[1] or tonumber(times[1]) <= now then
  return false
end
local expires_at = math.min(now + tonumber(ARGV[2]), tonumber(times[2]))
local written = redis.pcall('HSET', KEYS[1], 'seen_at', ARGV[1], 'expires_at', string.format('%.0f', expires_at))
if type(written) ~= 'table' then
  redis.call('PEXPIRE', KEYS[1], math.max(expires_at - now, 1))
end
return redis.call('HGETALL', KEYS[1])
";

/// `KEYS[1]`: those of the user; `ARGV[1]`: what keys of sessions begin with.
const LIST: &str = r"
local found = {}
for _, handle in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local session = redis.call('HGETALL', ARGV[1] .. handle)
  if #session > 0 then
    found[#found + 1] = session
  end
end
return found
";

/// `KEYS`: the session, and those of the user; `ARGV`: the user, and the handle.
const END: &str = r"
if redis.call('HGET', KEYS[1], 'user') ~= ARGV[1] then
  return 0
end
redis.call('SREM', KEYS[2], ARGV[2])
return redis.call('DEL', KEYS[1])
";

/// `KEYS[1]`: those of the user; `ARGV`: what keys of sessions begin with, and the time.
const END_ALL: &str = r"
local ended = 0
for _, handle in ipairs(redis.call('SMEMBERS', KEYS[1])) do
  local expires_at = redis.call('HGET', ARGV[1] .. handle, 'expires_at')
  if expires_at and tonumber(expires_at) > tonumber(ARGV[2]) then
    ended = ended + 1
  end
  redis.call('DEL', ARGV[1] .. handle)
end
redis.call('DEL', KEYS[1])
return ended
";

/// See the module.
pub struct RedisSessions {
    link: Arc<RedisLink>,
    begin: Script,
    touch: Script,
    list: Script,
    end: Script,
    end_all: Script,
}

impl RedisSessions {
    /// Over this connection, which others may use as well.
    #[must_use]
    pub fn new(link: Arc<RedisLink>) -> Self {
        Self {
            link,
            begin: Script::new(BEGIN),
            touch: Script::new(TOUCH),
            list: Script::new(LIST),
            end: Script::new(END),
            end_all: Script::new(END_ALL),
        }
    }

    /// What keys of the realm's sessions begin with.
    fn beginning(&self, realm: &Realm) -> String {
        self.link.key(&format!("sess:{{{realm}}}:"))
    }

    fn session(&self, realm: &Realm, handle: &Handle) -> String {
        format!("{}{}", self.beginning(realm), handle.as_str())
    }

    /// No handle begins so.
    fn of_user(&self, realm: &Realm, user: &str) -> String {
        format!("{}of:{user}", self.beginning(realm))
    }
}

#[async_trait]
impl Sessions for RedisSessions {
    async fn begin(&self, realm: &Realm, session: &Session, per_user_max: usize) -> Result<(), SessionError> {
        let roles = serde_json::to_string(&session.roles);
        let mut begin = self.begin.prepare_invoke();
        begin
            .key(self.session(realm, &session.handle))
            .key(self.of_user(realm, &session.user))
            .arg(self.beginning(realm))
            .arg(per_user_max)
            .arg(session.handle.as_str())
            .arg(session.created_at)
            .arg(session.expires_at)
            .arg(session.ends_at)
            .arg(&session.user)
            .arg(roles.map_err(|error| SessionError(error.to_string()))?)
            .arg(&session.label);
        let _: i64 = self.link.run(&begin).await?;
        Ok(())
    }

    async fn touch(
        &self,
        realm: &Realm,
        handle: &Handle,
        now: u64,
        idle: Duration,
    ) -> Result<Option<Session>, SessionError> {
        let mut touch = self.touch.prepare_invoke();
        touch
            .key(self.session(realm, handle))
            .arg(now)
            .arg(milliseconds(idle));
        let found: Option<HashMap<String, String>> = self.link.run(&touch).await?;
        found.map(read).transpose()
    }

    async fn list(&self, realm: &Realm, user: &str, now: u64) -> Result<Vec<Session>, SessionError> {
        let mut list = self.list.prepare_invoke();
        list.key(self.of_user(realm, user)).arg(self.beginning(realm));
        let found: Vec<HashMap<String, String>> = self.link.run(&list).await?;
        let mut sessions = found.into_iter().map(read).collect::<Result<Vec<_>, _>>()?;
        sessions.retain(|session| !session.is_over(now));
        sessions.sort_by(|a, b| (a.created_at, &a.handle).cmp(&(b.created_at, &b.handle)));
        Ok(sessions)
    }

    async fn end(&self, realm: &Realm, user: &str, handle: &Handle) -> Result<bool, SessionError> {
        let mut end = self.end.prepare_invoke();
        end.key(self.session(realm, handle))
            .key(self.of_user(realm, user))
            .arg(user)
            .arg(handle.as_str());
        Ok(self.link.run(&end).await?)
    }

    async fn end_all(&self, realm: &Realm, user: &str, now: u64) -> Result<usize, SessionError> {
        let mut end_all = self.end_all.prepare_invoke();
        end_all
            .key(self.of_user(realm, user))
            .arg(self.beginning(realm))
            .arg(now);
        Ok(self.link.run(&end_all).await?)
    }
}

/// A session as [`BEGIN`] has written it.
fn read(mut fields: HashMap<String, String>) -> Result<Session, SessionError> {
    let mut take = |name: &str| {
        let field = fields.remove(name);
        field.ok_or_else(|| SessionError(format!("a session in redis has no {name}")))
    };
    let damaged = |name: &str| SessionError(format!("{name} of a session in redis is damaged"));
    let mut time = |name: &str| take(name)?.parse::<u64>().map_err(|_| damaged(name));
    let (created_at, seen_at) = (time("created_at")?, time("seen_at")?);
    let (expires_at, ends_at) = (time("expires_at")?, time("ends_at")?);
    Ok(Session {
        handle: Handle::parse(&take("handle")?).ok_or_else(|| damaged("handle"))?,
        user: take("user")?,
        roles: serde_json::from_str(&take("roles")?).map_err(|_| damaged("roles"))?,
        label: take("label")?,
        created_at,
        seen_at,
        expires_at,
        ends_at,
    })
}

impl From<Unanswered> for SessionError {
    fn from(error: Unanswered) -> Self {
        Self(error.to_string())
    }
}
