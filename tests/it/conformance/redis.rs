//! What is Redis' alone: a server that dies, comes back, or is silent. Nothing waits for it longer than was said.

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use millwork_host::capability::cache::Cache as _;
use millwork_host::capability::cache::redis::RedisCache;
use millwork_host::capability::locks::Locks as _;
use millwork_host::capability::locks::redis::RedisLocks;
use millwork_host::capability::rate_limits::redis::RedisRateLimits;
use millwork_host::capability::rate_limits::{RateLimits as _, Turn};
use millwork_host::redis_link::{RedisLink, RedisSettings};
use millwork_tests::servers::REDIS;

use super::eventually;
use crate::servers::redis as say;

/// A link to the server of all cases, with keys of its own; nothing when there is no server.
pub(super) fn link() -> Option<Arc<RedisLink>> {
    static CASES: AtomicUsize = AtomicUsize::new(0);
    let mut settings = RedisSettings::new(REDIS.shared()?.url());
    let case = CASES.fetch_add(1, Ordering::Relaxed);
    settings.key_prefix = format!("tests:{}:{case}:", std::process::id());
    // Cases are about answers, on a machine that others keep busy.
    settings.answer_timeout = Duration::from_secs(20);
    settings.connect_timeout = Duration::from_secs(20);
    Some(Arc::new(RedisLink::new(settings).unwrap()))
}

/// With the bounds that a host has by default.
fn link_to(url: &str) -> Arc<RedisLink> {
    Arc::new(RedisLink::new(RedisSettings::new(url)).unwrap())
}

const LONG: Duration = Duration::from_secs(3_600);
/// Time to connect and time to answer, and as much again for a busy machine.
const BOUND: Duration = Duration::from_secs(2);

/// Asks until it fails, which it must within the bound; then a hundred times more, which must not wait again and again.
async fn check_that_nobody_waits(cache: &RedisCache) {
    let started = Instant::now();
    eventually("a failure", || async { cache.get("k").await.is_err() }).await;
    let one = started.elapsed();
    assert!(one < BOUND, "the first one took {one:?}");
    let started = Instant::now();
    let mut served = 0;
    for _ in 0..100 {
        served += usize::from(cache.get("k").await.is_ok());
    }
    assert_eq!(served, 0);
    let all = started.elapsed();
    assert!(all < BOUND, "a hundred more took {all:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_dies_is_done_without_until_it_is_back() {
    let Some(mut service) = REDIS.start() else { return };
    let cache = RedisCache::new(link_to(service.url()));
    cache.put("k", Bytes::from_static(b"1"), LONG).await.unwrap();
    service.kill();
    check_that_nobody_waits(&cache).await;
    assert!(cache.put("k", Bytes::from_static(b"2"), LONG).await.is_err());
    assert!(cache.add("n", 1, LONG).await.is_err());
    assert!(cache.remove("k").await.is_err());
    service.run();
    eventually("the server is used again", || async {
        cache.get("k").await.is_ok()
    })
    .await;
    assert_eq!(cache.get("k").await.unwrap().unwrap(), "1");
    assert_eq!(cache.add("n", 1, LONG).await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_done_without_until_it_speaks() {
    let Some(mut service) = REDIS.start() else { return };
    let link = link_to(service.url());
    let (cache, locks) = (
        RedisCache::new(Arc::clone(&link)),
        RedisLocks::new(Arc::clone(&link)),
    );
    let limits = RedisRateLimits::new(link);
    cache.put("k", Bytes::from_static(b"1"), LONG).await.unwrap();
    let lease = locks.acquire("lock:thing:1", LONG).await.unwrap().unwrap();
    service.pause();
    check_that_nobody_waits(&cache).await;
    assert!(locks.acquire("lock:thing:2", LONG).await.is_err());
    assert!(locks.renew(&lease, LONG).await.is_err());
    assert!(locks.release(&lease).await.is_err());
    assert!(limits.take("k", "1".parse().unwrap()).await.is_err());
    service.resume();
    eventually("the server is used again", || async {
        cache.get("k").await.is_ok()
    })
    .await;
    assert_eq!(cache.get("k").await.unwrap().unwrap(), "1");
    assert!(locks.renew(&lease, LONG).await.unwrap());
    assert_eq!(
        limits.take("k", "1".parse().unwrap()).await.unwrap(),
        Turn::Granted
    );
}

#[tokio::test]
async fn whoever_accepts_and_never_speaks_holds_nobody_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let cache = RedisCache::new(link_to(&format!("redis://{}", listener.local_addr().unwrap())));
    check_that_nobody_waits(&cache).await;
}

/// Those who wait for one connection give up together, not one after another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_does_not_wait_longer_than_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let link = link_to(&format!("redis://{}", listener.local_addr().unwrap()));
    let started = Instant::now();
    let ask = || {
        let cache = RedisCache::new(Arc::clone(&link));
        tokio::spawn(async move { cache.get("k").await.is_err() })
    };
    let crowd: Vec<_> = (0..100).map(|_| ask()).collect();
    for one in crowd {
        assert!(one.await.unwrap());
    }
    let all = started.elapsed();
    assert!(all < BOUND, "a crowd took {all:?}");
}

#[tokio::test]
async fn nobody_at_the_address_holds_nobody_up() {
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    check_that_nobody_waits(&RedisCache::new(link_to(&format!("redis://{address}")))).await;
}

#[test]
fn an_address_that_is_none_is_refused() {
    let refused = RedisLink::new(RedisSettings::new("http://127.0.0.1"));
    assert!(
        refused
            .err()
            .unwrap()
            .to_string()
            .contains("the address of redis")
    );
}

#[test]
fn the_password_is_not_shown() {
    let shown = format!("{:?}", RedisSettings::new("redis://:secret@host"));
    assert!(!shown.contains("secret"), "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_outlives_the_server() {
    let Some(mut service) = REDIS.start() else { return };
    let locks = RedisLocks::new(link_to(service.url()));
    let lease = locks.acquire("lock:thing:1", LONG).await.unwrap().unwrap();
    service.kill();
    service.run();
    eventually("the server is used again", || async {
        locks.renew(&lease, LONG).await.is_ok()
    })
    .await;
    assert!(locks.renew(&lease, LONG).await.unwrap());
    assert_eq!(locks.acquire("lock:thing:1", LONG).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_grow_even_when_the_server_has_lost_everything() {
    let Some(service) = REDIS.start() else { return };
    let locks = RedisLocks::new(link_to(service.url()));
    let lost = locks.acquire("lock:thing:1", LONG).await.unwrap().unwrap();
    assert_eq!(say(service.url(), "FLUSHALL"), "+OK");
    let next = locks.acquire("lock:thing:1", LONG).await.unwrap().unwrap();
    assert!(next.token > lost.token, "{} after {}", next.token, lost.token);
    assert!(!locks.renew(&lost, LONG).await.unwrap());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_are_those_of_the_specification() {
    let Some(service) = REDIS.start() else { return };
    let mut settings = RedisSettings::new(service.url());
    settings.key_prefix = "one:".to_owned();
    let link = Arc::new(RedisLink::new(settings).unwrap());
    RedisCache::new(Arc::clone(&link))
        .put("t:abc:client:detail:1", Bytes::from_static(b"1"), LONG)
        .await
        .unwrap();
    let lease = RedisLocks::new(Arc::clone(&link))
        .acquire("lock:thing:1", LONG)
        .await
        .unwrap()
        .unwrap();
    let rate = "1".parse().unwrap();
    RedisRateLimits::new(link)
        .take("ratelimit:api:tenant:abc", rate)
        .await
        .unwrap();
    assert_eq!(say(service.url(), "GET one:t:abc:client:detail:1"), "1");
    assert_eq!(
        say(service.url(), "GET one:lock:thing:1"),
        lease.token.to_string()
    );
    assert_eq!(say(service.url(), "EXISTS one:ratelimit:api:tenant:abc"), ":1");
    // All of it ends by itself.
    for key in [
        "t:abc:client:detail:1",
        "lock:thing:1",
        "fence:{one:lock:thing:1}",
        "ratelimit:api:tenant:abc",
    ] {
        let left = say(service.url(), &format!("PTTL one:{key}"));
        assert!(
            left.trim_start_matches(':').parse::<i64>().unwrap() > 0,
            "{key}: {left}"
        );
    }
    assert_eq!(say(service.url(), "DBSIZE"), ":4");
}
