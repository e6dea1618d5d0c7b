//! Locks.

use std::time::Duration;

use millwork_host::capability::locks::memory::MemoryLocks;
use millwork_host::capability::locks::redis::RedisLocks;
use millwork_host::capability::locks::{Lease, Locks};

use super::redis::link;
use super::{eventually, on_every_backend};

struct Memory(MemoryLocks);

impl Memory {
    fn store(&self) -> &MemoryLocks {
        &self.0
    }
}

async fn start_memory() -> Memory {
    Memory(MemoryLocks::new())
}

struct Redis(RedisLocks);

impl Redis {
    fn store(&self) -> &RedisLocks {
        &self.0
    }
}

async fn start_redis() -> Option<Redis> {
    Some(Redis(RedisLocks::new(link()?)))
}

on_every_backend! {
    backends: { memory: start_memory },
    servers: { redis: start_redis },
    cases: [
        a_lock_is_held_once,
        a_lock_given_back_is_free,
        a_lock_ends_with_its_time,
        a_lock_renewed_is_held_on,
        a_lock_renewed_for_less_ends_sooner,
        a_lost_lock_cannot_be_renewed_or_given_back,
        tokens_grow,
        one_of_the_racers_wins,
        racers_never_hold_it_together,
    ],
}

const LONG: Duration = Duration::from_secs(3_600);
const SHORT: Duration = Duration::from_millis(1);
const KEY: &str = "lock:thing:1";

async fn acquire(locks: &dyn Locks, key: &str, ttl: Duration) -> Option<Lease> {
    locks.acquire(key, ttl).await.unwrap()
}

/// A lease of a lock that somebody else's is over with.
async fn acquire_once_free(locks: &dyn Locks, key: &str) -> Lease {
    let mut lease = None;
    eventually("the end of a lock", || async {
        locks.acquire(key, SHORT).await.unwrap().is_some()
    })
    .await;
    while lease.is_none() {
        lease = acquire(locks, key, LONG).await;
        tokio::task::yield_now().await;
    }
    lease.unwrap()
}

async fn a_lock_is_held_once(locks: &dyn Locks) {
    let lease = acquire(locks, KEY, LONG).await.unwrap();
    assert_eq!(lease.key, KEY);
    assert_eq!(acquire(locks, KEY, LONG).await, None);
    assert!(acquire(locks, "lock:thing:2", Duration::MAX).await.is_some());
}

async fn a_lock_given_back_is_free(locks: &dyn Locks) {
    let lease = acquire(locks, KEY, LONG).await.unwrap();
    assert!(locks.release(&lease).await.unwrap());
    assert!(!locks.release(&lease).await.unwrap());
    assert!(acquire(locks, KEY, LONG).await.is_some());
}

async fn a_lock_ends_with_its_time(locks: &dyn Locks) {
    acquire(locks, KEY, SHORT).await.unwrap();
    acquire_once_free(locks, KEY).await;
}

async fn a_lock_renewed_is_held_on(locks: &dyn Locks) {
    let renewed = acquire(locks, KEY, Duration::from_millis(300)).await.unwrap();
    assert!(locks.renew(&renewed, LONG).await.unwrap());
    // By the end of this one, the first would have ended as well.
    acquire(locks, "lock:clock:1", Duration::from_millis(300))
        .await
        .unwrap();
    acquire_once_free(locks, "lock:clock:1").await;
    assert_eq!(acquire(locks, KEY, LONG).await, None);
    assert!(locks.renew(&renewed, LONG).await.unwrap());
}

async fn a_lock_renewed_for_less_ends_sooner(locks: &dyn Locks) {
    let lease = acquire(locks, KEY, LONG).await.unwrap();
    assert!(locks.renew(&lease, SHORT).await.unwrap());
    acquire_once_free(locks, KEY).await;
}

async fn a_lost_lock_cannot_be_renewed_or_given_back(locks: &dyn Locks) {
    let lost = acquire(locks, KEY, SHORT).await.unwrap();
    let held = acquire_once_free(locks, KEY).await;
    assert!(!locks.renew(&lost, LONG).await.unwrap());
    assert!(!locks.release(&lost).await.unwrap());
    assert_eq!(
        acquire(locks, KEY, LONG).await,
        None,
        "the lock of the second holder"
    );
    assert!(locks.renew(&held, LONG).await.unwrap());
    let free = Lease {
        key: "lock:thing:2".to_owned(),
        token: held.token,
    };
    assert!(!locks.renew(&free, LONG).await.unwrap());
    assert!(!locks.release(&free).await.unwrap());
}

async fn tokens_grow(locks: &dyn Locks) {
    let mut last = 0;
    for at in 0..100 {
        let lease = acquire(locks, KEY, LONG).await.unwrap();
        assert!(lease.token > last, "{at}: {} after {last}", lease.token);
        last = lease.token;
        assert!(locks.release(&lease).await.unwrap());
    }
    let ended = acquire(locks, KEY, SHORT).await.unwrap();
    let next = acquire_once_free(locks, KEY).await;
    assert!(last < ended.token && ended.token < next.token);
}

async fn one_of_the_racers_wins(locks: &dyn Locks) {
    let runtime = tokio::runtime::Handle::current();
    for round in 0..20 {
        let key = format!("lock:round:{round}");
        let winners = std::thread::scope(|scope| {
            let race = || runtime.block_on(locks.acquire(&key, LONG)).unwrap().is_some();
            let racers: Vec<_> = (0..8).map(|_| scope.spawn(race)).collect();
            let won = racers.into_iter().map(|racer| usize::from(racer.join().unwrap()));
            won.sum::<usize>()
        });
        assert_eq!(winners, 1, "round {round}");
    }
}

async fn racers_never_hold_it_together(locks: &dyn Locks) {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    let runtime = tokio::runtime::Handle::current();
    let (inside, last, turns) = (AtomicUsize::new(0), AtomicU64::new(0), AtomicUsize::new(0));
    let turn = || async {
        let Some(lease) = locks.acquire(KEY, LONG).await.unwrap() else {
            return;
        };
        assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
        assert!(last.swap(lease.token, Ordering::SeqCst) < lease.token);
        turns.fetch_add(1, Ordering::SeqCst);
        assert_eq!(inside.fetch_sub(1, Ordering::SeqCst), 1);
        assert!(locks.release(&lease).await.unwrap());
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while turns.load(Ordering::SeqCst) < 100 {
                    runtime.block_on(turn());
                }
            });
        }
    });
}
