//! How often a tenant and a user of it may ask, before anything is done for them.

use std::time::Duration;

use super::auth::Principal;
use super::problem::Problem;
use crate::capability::rate_limits::{RateLimits, Turn};
use crate::config::HttpLimits;
use crate::config::rate::Rate;

/// The limits of requests.
pub(super) struct Limiter {
    tenant: Option<Rate>,
    user: Option<Rate>,
}

impl Limiter {
    pub(super) fn new(limits: &HttpLimits) -> Self {
        Self {
            tenant: limits.tenant_rate,
            user: limits.user_rate,
        }
    }

    /// Counts one request of a tenant's user where the tenant's are counted, or refuses it. The user first: one who asks too often does not use up what
    /// the others of the tenant have.
    pub(super) async fn admit(&self, store: &dyn RateLimits, principal: &Principal) -> Result<(), Problem> {
        let Some(tenant) = &principal.tenant else {
            return Ok(());
        };
        if let Some(rate) = self.user {
            let key = format!("ratelimit:api:user:{tenant}:{}", principal.user);
            take(store, &key, rate, "user").await?;
        }
        if let Some(rate) = self.tenant {
            let key = format!("ratelimit:api:tenant:{tenant}");
            take(store, &key, rate, "tenant").await?;
        }
        Ok(())
    }
}

async fn take(store: &dyn RateLimits, key: &str, rate: Rate, whose: &'static str) -> Result<(), Problem> {
    match store.take(key, rate).await {
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

/// Whole seconds, as `Retry-After` wants them, and not before the time has come.
fn seconds(wait: Duration) -> u16 {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    u16::try_from(seconds).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

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
        let store = RedisRateLimits::new(Arc::new(link));
        let limiter = Limiter::new(&limits);
        let principal = Principal {
            user: "somebody".to_owned(),
            tenant: millwork_registry::id::TenantId::new("one").ok(),
            roles: Vec::new(),
            issued_at: 0,
            expires_at: u64::MAX,
            session: None,
        };
        for _ in 0..10 {
            assert!(limiter.admit(&store, &principal).await.is_ok());
        }
    }

    #[test]
    fn waits_are_rounded_up() {
        for (millis, expected) in [(1, 1), (1_000, 1), (1_001, 2), (u64::MAX, u16::MAX)] {
            assert_eq!(seconds(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }
}
