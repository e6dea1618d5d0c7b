//! Rate limits.

use std::time::{Duration, Instant};

use millwork_host::capability::rate_limits::memory::MemoryRateLimits;
use millwork_host::capability::rate_limits::redis::RedisRateLimits;
use millwork_host::capability::rate_limits::{RateLimits, Turn};
use millwork_host::config::rate::Rate;

use super::redis::link;
use super::{eventually, on_every_backend};

struct Memory(MemoryRateLimits);

impl Memory {
    fn store(&self) -> &MemoryRateLimits {
        &self.0
    }
}

async fn start_memory() -> Memory {
    Memory(MemoryRateLimits::new())
}

struct Redis(RedisRateLimits);

impl Redis {
    fn store(&self) -> &RedisRateLimits {
        &self.0
    }
}

async fn start_redis() -> Option<Redis> {
    Some(Redis(RedisRateLimits::new(link()?)))
}

on_every_backend! {
    backends: { memory: start_memory },
    servers: { redis: start_redis },
    cases: [
        as_many_at_once_as_the_rate_says,
        what_is_refused_is_not_counted,
        keys_are_apart,
        time_makes_room,
        racers_share_one_rate,
        the_highest_rate_counts,
    ],
}

fn rate(text: &str) -> Rate {
    text.parse().unwrap()
}

async fn take(limits: &dyn RateLimits, key: &str, rate: Rate) -> Turn {
    limits.take(key, rate).await.unwrap()
}

async fn as_many_at_once_as_the_rate_says(limits: &dyn RateLimits) {
    let slow = rate("1:3");
    for _ in 0..3 {
        assert_eq!(take(limits, "k", slow).await, Turn::Granted);
    }
    let Turn::In(wait) = take(limits, "k", slow).await else {
        panic!("a fourth was granted")
    };
    assert!(
        wait > Duration::ZERO && wait <= Duration::from_secs(1),
        "{wait:?}"
    );
}

async fn what_is_refused_is_not_counted(limits: &dyn RateLimits) {
    let slow = rate("1:1");
    assert_eq!(take(limits, "k", slow).await, Turn::Granted);
    for _ in 0..50 {
        if let Turn::In(wait) = take(limits, "k", slow).await {
            assert!(wait <= Duration::from_secs(1), "{wait:?}");
        }
    }
}

async fn keys_are_apart(limits: &dyn RateLimits) {
    let slow = rate("1:1");
    assert_eq!(take(limits, "k", slow).await, Turn::Granted);
    assert_eq!(take(limits, "l", slow).await, Turn::Granted);
    assert!(matches!(take(limits, "k", slow).await, Turn::In(_)));
}

async fn time_makes_room(limits: &dyn RateLimits) {
    let quick = rate("20:1");
    let started = Instant::now();
    assert_eq!(take(limits, "k", quick).await, Turn::Granted);
    for _ in 0..3 {
        eventually("room for one more", || async {
            take(limits, "k", quick).await == Turn::Granted
        })
        .await;
    }
    assert!(
        started.elapsed() >= Duration::from_millis(140),
        "{:?}",
        started.elapsed()
    );
}

async fn racers_share_one_rate(limits: &dyn RateLimits) {
    let runtime = tokio::runtime::Handle::current();
    let started = Instant::now();
    let granted = std::thread::scope(|scope| {
        let race = || {
            let turns = (0..20).map(|_| runtime.block_on(take(limits, "k", rate("1:10"))));
            turns.filter(|turn| *turn == Turn::Granted).count()
        };
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
        racers
            .into_iter()
            .map(|racer| racer.join().unwrap())
            .sum::<usize>()
    });
    let in_time = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!((10..=11 + in_time).contains(&granted), "{granted} granted");
}

async fn the_highest_rate_counts(limits: &dyn RateLimits) {
    let highest = rate("1000000:1000000");
    for _ in 0..10 {
        assert_eq!(take(limits, "k", highest).await, Turn::Granted);
    }
}
