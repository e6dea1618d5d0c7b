//! How often a tenant and a user of it may ask, before anything is done for them.

use std::sync::Arc;
use std::time::Duration;

use super::auth::Principal;
use super::problem::Problem;
use crate::capability::rate_limits::{RateLimits, Turn};
use crate::config::{HttpLimits, Rate};

/// The limits of requests.
pub(super) struct Limiter {
    store: Arc<dyn RateLimits>,
    tenant: Option<Rate>,
    user: Option<Rate>,
}

impl Limiter {
    pub(super) fn new(store: Arc<dyn RateLimits>, limits: &HttpLimits) -> Self {
        Self {
            store,
            tenant: limits.tenant_rate,
            user: limits.user_rate,
        }
    }

    /// Counts one request of a tenant's user, or refuses it. The user first: one who asks too often does not use up what
    /// the others of the tenant have.
    pub(super) async fn admit(&self, principal: &Principal) -> Result<(), Problem> {
        let Some(tenant) = &principal.tenant else {
            return Ok(());
        };
        if let Some(rate) = self.user {
            let key = format!("ratelimit:api:user:{tenant}:{}", principal.user);
            self.take(&key, rate, "user").await?;
        }
        if let Some(rate) = self.tenant {
            let key = format!("ratelimit:api:tenant:{tenant}");
            self.take(&key, rate, "tenant").await?;
        }
        Ok(())
    }

    async fn take(&self, key: &str, rate: Rate, whose: &'static str) -> Result<(), Problem> {
        match self.store.take(key, rate).await {
            Ok(Turn::Granted) => Ok(()),
            Ok(Turn::In(wait)) => {
                metrics::counter!("millwork_rate_limited_total", "limit" => whose).increment(1);
                Err(Problem::rate_limited(whose, rate, seconds(wait)))
            }
            // A limit protects the host, and must not be what stops it.
            Err(error) => {
                metrics::counter!("millwork_rate_limits_unavailable_total").increment(1);
                tracing::debug!(%error, "a request was not counted");
                Ok(())
            }
        }
    }
}

/// Whole seconds, as `Retry-After` wants them, and not before the time has come.
fn seconds(wait: Duration) -> u16 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u16::try_from(seconds).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capability::rate_limits::redis::RedisRateLimits;
    use crate::redis_link::{RedisLink, RedisSettings};

    #[tokio::test]
    async fn limits_that_cannot_be_reached_stop_nobody() {
        // Nobody listens there.
        let link = RedisLink::new(RedisSettings::new("redis://127.0.0.1:1")).unwrap();
        let limits = HttpLimits {
            tenant_rate: "1".parse().ok(),
            user_rate: "1".parse().ok(),
            ..HttpLimits::default()
        };
        let limiter = Limiter::new(Arc::new(RedisRateLimits::new(Arc::new(link))), &limits);
        let principal = Principal {
            user: "somebody".to_owned(),
            tenant: millwork_registry::id::TenantId::new("one").ok(),
            roles: Vec::new(),
            expires_at: u64::MAX,
        };
        for _ in 0..10 {
            assert!(limiter.admit(&principal).await.is_ok());
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        for (millis, expected) in [(1, 1), (1_000, 1), (1_001, 2), (u64::MAX, u16::MAX)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }
}
