//! The cache.

use std::time::Duration;

use bytes::Bytes;
use millwork_host::capability::cache::memory::MemoryCache;
use millwork_host::capability::cache::redis::RedisCache;
use millwork_host::capability::cache::{self, Cache};

use super::redis::link;
use super::{eventually, on_every_backend};

struct Memory(MemoryCache);

impl Memory {
    fn store(&self) -> &MemoryCache {
        &self.0
    }
}

async fn start_memory() -> Memory {
    Memory(MemoryCache::new(1 << 20))
}

struct Redis(RedisCache);

impl Redis {
    fn store(&self) -> &RedisCache {
        &self.0
    }
}

async fn start_redis() -> Option<Redis> {
    Some(Redis(RedisCache::new(link()?)))
}

const LONG: Duration = Duration::from_secs(3_600);

on_every_backend! {
    backends: { memory: start_memory },
    servers: { redis: start_redis },
    cases: [
        what_is_put_is_there,
        a_value_is_any_bytes,
        no_time_is_none,
        what_is_removed_is_gone,
        an_entry_ends_with_its_time,
        a_new_value_has_its_own_time,
        a_counter_counts,
        a_value_that_is_no_counter_starts_anew,
        what_begins_so_is_forgotten,
        a_counter_keeps_the_time_it_started_with,
        a_counter_stays_within_its_type,
        racers_on_one_counter,
        keys_are_found_by_how_they_begin,
    ],
}

async fn text(cache: &dyn Cache, key: &str) -> Option<String> {
    cache
        .get(key)
        .await
        .unwrap()
        .map(|value| String::from_utf8(value.to_vec()).unwrap())
}

async fn put(cache: &dyn Cache, key: &str, value: &str, ttl: Duration) {
    cache
        .put(key, Bytes::copy_from_slice(value.as_bytes()), ttl)
        .await
        .unwrap();
}

async fn what_is_put_is_there(cache: &dyn Cache) {
    assert_eq!(text(cache, "k").await, None);
    put(cache, "k", "1", LONG).await;
    put(cache, "l", "", LONG).await;
    assert_eq!(
        (
            text(cache, "k").await.as_deref(),
            text(cache, "l").await.as_deref()
        ),
        (Some("1"), Some(""))
    );
    put(cache, "k", "2", Duration::MAX).await;
    assert_eq!(text(cache, "k").await.as_deref(), Some("2"));
}

async fn a_value_is_any_bytes(cache: &dyn Cache) {
    let bytes: Bytes = (0..=u8::MAX).collect();
    cache
        .put("any \0 key:\u{e9}\r\n", bytes.clone(), LONG)
        .await
        .unwrap();
    assert_eq!(cache.get("any \0 key:\u{e9}\r\n").await.unwrap(), Some(bytes));
}

async fn no_time_is_none(cache: &dyn Cache) {
    put(cache, "k", "1", LONG).await;
    put(cache, "k", "2", Duration::ZERO).await;
    assert_eq!(text(cache, "k").await, None);
    assert_eq!(cache.add("c", 3, Duration::ZERO).await.unwrap(), 3);
    eventually("the end of a counter", || async {
        text(cache, "c").await.is_none()
    })
    .await;
}

async fn what_is_removed_is_gone(cache: &dyn Cache) {
    put(cache, "k", "1", LONG).await;
    assert!(cache.remove("k").await.unwrap());
    assert_eq!(text(cache, "k").await, None);
    assert!(!cache.remove("k").await.unwrap());
}

async fn an_entry_ends_with_its_time(cache: &dyn Cache) {
    put(cache, "k", "1", Duration::from_millis(1)).await;
    put(cache, "l", "1", LONG).await;
    eventually("the end of an entry", || async {
        text(cache, "k").await.is_none()
    })
    .await;
    assert!(!cache.remove("k").await.unwrap());
    assert!(text(cache, "l").await.is_some());
}

async fn a_new_value_has_its_own_time(cache: &dyn Cache) {
    put(cache, "k", "1", LONG).await;
    put(cache, "k", "2", Duration::from_millis(1)).await;
    eventually("the end of an entry", || async {
        text(cache, "k").await.is_none()
    })
    .await;
}

async fn a_counter_counts(cache: &dyn Cache) {
    for (by, sum) in [(3, 3), (4, 7), (-10, -3), (0, -3)] {
        assert_eq!(cache.add("k", by, LONG).await.unwrap(), sum);
    }
    assert_eq!(text(cache, "k").await.as_deref(), Some("-3"));
}

async fn a_value_that_is_no_counter_starts_anew(cache: &dyn Cache) {
    put(cache, "k", "many", LONG).await;
    assert_eq!(cache.add("k", 2, LONG).await.unwrap(), 2);
    put(cache, "k", "007", LONG).await;
    assert_eq!(cache.add("k", 2, LONG).await.unwrap(), 2);
}

async fn a_counter_stays_within_its_type(cache: &dyn Cache) {
    // Beyond what a float can hold exactly.
    assert_eq!(cache.add("k", i64::MAX - 2, LONG).await.unwrap(), i64::MAX - 2);
    for sum in [i64::MAX - 1, i64::MAX, i64::MAX] {
        assert_eq!(cache.add("k", 1, LONG).await.unwrap(), sum);
    }
    assert_eq!(cache.add("l", i64::MIN + 1, LONG).await.unwrap(), i64::MIN + 1);
    for sum in [i64::MIN, i64::MIN] {
        assert_eq!(cache.add("l", -1, LONG).await.unwrap(), sum);
    }
    assert_eq!(cache.add("l", 1, LONG).await.unwrap(), i64::MIN + 1);
}

async fn a_counter_keeps_the_time_it_started_with(cache: &dyn Cache) {
    cache.add("k", 1, Duration::from_millis(50)).await.unwrap();
    // Were each addition to renew the time, the sum would grow for ever.
    eventually("the end of a counter", || async {
        cache.add("k", 1, LONG).await.unwrap() == 1
    })
    .await;
}

async fn racers_on_one_counter(cache: &dyn Cache) {
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..100 {
                    runtime.block_on(cache.add("k", 1, LONG)).unwrap();
                }
            });
        }
    });
    assert_eq!(cache.add("k", 0, LONG).await.unwrap(), 800);
}

async fn keys_beginning(cache: &dyn Cache, prefix: &str) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = cache.keys(prefix, after).await.unwrap();
        found.extend(page.keys);
        after = page.next;
        if after.is_none() {
            found.sort();
            found.dedup();
            return found;
        }
    }
}

async fn keys_are_found_by_how_they_begin(cache: &dyn Cache) {
    assert_eq!(keys_beginning(cache, "many:").await, Vec::<String>::new());
    let mut many: Vec<String> = (0..2_500).map(|at| format!("many:{at}")).collect();
    for key in &many {
        put(cache, key, "1", LONG).await;
    }
    for key in ["man", "a*:1", "aa:1", "[a]*:2", "many?:1"] {
        put(cache, key, "1", LONG).await;
    }
    many.sort();
    assert_eq!(keys_beginning(cache, "many:").await, many);
    assert_eq!(keys_beginning(cache, "a*:").await, ["a*:1"]);
    assert_eq!(keys_beginning(cache, "[a]*").await, ["[a]*:2"]);
    assert_eq!(keys_beginning(cache, "many?").await, ["many?:1"]);
    let _ = cache.remove("man").await.unwrap();
    put(cache, "short", "1", Duration::from_millis(20)).await;
    eventually("the end of a key", || async {
        keys_beginning(cache, "short").await.is_empty()
    })
    .await;
    assert_eq!(keys_beginning(cache, "man").await.len(), many.len() + 1);
}

/// A Redis forgets as its operator has told it to.
#[tokio::test]
async fn a_full_cache_forgets() {
    let memory = start_memory().await;
    let cache: &dyn Cache = memory.store();
    let large = "x".repeat(10_000);
    for at in 0..1_000 {
        put(cache, &format!("k{at}"), &large, LONG).await;
    }
    eventually("forgetting", || async {
        let mut there = 0;
        for at in 0..1_000 {
            there += usize::from(text(cache, &format!("k{at}")).await.is_some());
        }
        there <= 105
    })
    .await;
}

async fn what_begins_so_is_forgotten(cache: &dyn Cache) {
    for number in 0..2_500 {
        let key = format!("t:gone:x:{number}");
        cache.put(&key, Bytes::from_static(b"x"), LONG).await.unwrap();
    }
    let others = ["t:gone-not:x:1", "t:gon", "s:t:gone:x:1"];
    for other in others {
        cache.put(other, Bytes::from_static(b"x"), LONG).await.unwrap();
    }
    cache::clear(cache, "t:gone:").await.unwrap();
    for number in 0..2_500 {
        assert_eq!(cache.get(&format!("t:gone:x:{number}")).await.unwrap(), None);
    }
    for other in others {
        assert!(cache.get(other).await.unwrap().is_some(), "{other}");
    }
}
