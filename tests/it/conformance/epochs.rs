//! The epochs of kept answers, on every cache: none comes back.

use std::collections::HashSet;
use std::sync::Arc;

use millwork_host::capability::cache::Cache;
use millwork_host::capability::cache::memory::MemoryCache;
use millwork_host::capability::cache::redis::RedisCache;
use millwork_host::redis_link::{RedisLink, RedisSettings};
use millwork_host::tenant::epochs::Epochs;
use millwork_tests::servers::REDIS;

use super::redis::link;
use super::{eventually, on_every_backend, tenant};

/// The caches of two hosts.
struct Caches([Arc<dyn Cache>; 2]);

impl Caches {
    fn store(&self) -> &Self {
        self
    }

    fn hosts(&self) -> [Epochs; 2] {
        let [one, other] = &self.0;
        [one, other].map(|cache| Epochs::new(Arc::clone(cache), tenant("acme")))
    }
}

/// One process has one cache: both hosts are the same.
async fn start_memory() -> Caches {
    let cache: Arc<dyn Cache> = Arc::new(MemoryCache::new(1 << 20));
    Caches([Arc::clone(&cache), cache])
}

async fn start_redis() -> Option<Caches> {
    let link = link()?;
    let cache = || -> Arc<dyn Cache> { Arc::new(RedisCache::new(Arc::clone(&link))) };
    Some(Caches([cache(), cache()]))
}

on_every_backend! {
    backends: { memory: start_memory },
    servers: { redis: start_redis },
    cases: [
        an_epoch_stays_until_it_is_raised,
        collections_and_tenants_have_their_own,
        what_is_forgotten_or_spoilt_is_followed_by_another,
        racers_agree_in_the_end,
    ],
}

async fn current(epochs: &Epochs) -> String {
    epochs.current("client", "clients").await.unwrap()
}

async fn an_epoch_stays_until_it_is_raised(caches: &Caches) {
    let [one, other] = caches.hosts();
    let mut seen = HashSet::new();
    for _ in 0..10 {
        let epoch = current(&one).await;
        assert_eq!(current(&other).await, epoch);
        assert_eq!(current(&one).await, epoch);
        assert!(seen.insert(epoch), "no epoch comes twice");
        other.raise("client", "clients").await;
    }
}

async fn collections_and_tenants_have_their_own(caches: &Caches) {
    let [epochs, _] = caches.hosts();
    let stranger = Epochs::new(Arc::clone(&caches.0[0]), tenant("other"));
    let all = [
        current(&epochs).await,
        epochs.current("client", "others").await.unwrap(),
        epochs.current("invoicing", "clients").await.unwrap(),
        current(&stranger).await,
    ];
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
    stranger.raise("client", "clients").await;
    assert_eq!(current(&epochs).await, all[0]);
}

async fn what_is_forgotten_or_spoilt_is_followed_by_another(caches: &Caches) {
    let [one, other] = caches.hosts();
    let first = current(&one).await;
    let key = "t:acme:client:epoch:clients";
    assert!(caches.0[0].remove(key).await.unwrap());
    let second = current(&other).await;
    assert_ne!(first, second);
    let day = std::time::Duration::from_secs(3_600);
    caches.0[0].put(key, "1".into(), day).await.unwrap();
    let third = current(&one).await;
    assert!(third != first && third != second && third != "1");
    assert_eq!(current(&other).await, third);
}

async fn racers_agree_in_the_end(caches: &Caches) {
    let hosts = caches.hosts().map(Arc::new);
    let racers = (0..20).map(|number| {
        let host = Arc::clone(&hosts[number % 2]);
        tokio::spawn(async move {
            let epoch = current(&host).await;
            host.raise("client", "clients").await;
            epoch
        })
    });
    let racers: Vec<_> = racers.collect();
    for racer in racers {
        racer.await.unwrap();
    }
    assert_eq!(current(&hosts[0]).await, current(&hosts[1]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_epoch_that_could_not_be_raised_is_made_up_for() {
    let Some(mut service) = REDIS.start() else { return };
    let link = Arc::new(RedisLink::new(RedisSettings::new(service.url())).unwrap());
    let epochs = Epochs::new(Arc::new(RedisCache::new(link)), tenant("acme"));
    let before = current(&epochs).await;
    service.kill();
    epochs.raise("client", "clients").await;
    assert!(epochs.current("client", "clients").await.is_err());
    // It comes back with the epoch that it had.
    service.run();
    eventually("the server is used again", || async {
        epochs.current("client", "clients").await.is_ok()
    })
    .await;
    let after = current(&epochs).await;
    assert_ne!(before, after);
    assert_eq!(current(&epochs).await, after, "once is enough");
}
