//! The bus on NATS JetStream, the announcements of generations, and what is to be seen when the server is killed.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use millwork_host::capability::messaging::Bus;
use millwork_host::capability::messaging::announce::{Announced, Announcements, NatsAnnouncements, News};
use millwork_host::capability::messaging::nats::{NatsBus, NatsLimits, NatsSettings};
use millwork_tests::servers::{NATS, Service};

use super::{COMMANDS_MAX, SETTLE_WITHIN, SOON, eventually, ids, message, tenant};

/// Makes the prefixes of this run's cases different.
static CASES: AtomicU32 = AtomicU32::new(0);

pub(super) struct Nats(NatsBus);

impl Nats {
    pub(super) fn store(&self) -> &dyn Bus {
        &self.0
    }
}

fn settings(server: &Service) -> NatsSettings {
    let number = CASES.fetch_add(1, Ordering::Relaxed);
    NatsSettings {
        url: server.url().to_owned(),
        // A user's own server keeps what other runs have left.
        prefix: format!("T{}X{number}", std::process::id()),
        replicas: 1,
        limits: NatsLimits {
            commands_max: COMMANDS_MAX.into(),
            settle_within: SETTLE_WITHIN,
            request_timeout: Duration::from_secs(2),
            ..NatsLimits::default()
        },
    }
}

pub(super) async fn start() -> Option<Nats> {
    let server = NATS.shared()?;
    Some(Nats(NatsBus::connect(&settings(server)).await.unwrap()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_killed_keeps_what_it_accepted() {
    let Some(mut server) = NATS.start() else {
        return;
    };
    let settings = settings(&server);
    let bus = NatsBus::connect(&settings).await.unwrap();
    let of = tenant("killed");
    bus.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    bus.publish(&of, &[message("e", "plugin.x.A")]).await.unwrap();
    bus.keep_checkpoint(&of, "r", 5).await.unwrap();
    server.kill();
    let lost = bus.enqueue(&of, &message("lost", "client.Do")).await;
    assert!(lost.is_err(), "nobody was there to accept it");
    server.run();
    // The same connection finds the server again.
    eventually("reconnecting", || async {
        bus.checkpoint(&of, "r").await == Ok(Some(5))
    })
    .await;
    let taken = bus.take(&of, 1, SOON).await.unwrap().remove(0);
    assert_eq!(taken.message, message("c", "client.Do"));
    bus.settle(&of, &taken).await.unwrap();
    assert_eq!(ids(&bus, "killed", 0).await, ["e"]);
    // What one publishes again after a doubt is there once.
    bus.publish(&of, &[message("e", "plugin.x.A")]).await.unwrap();
    assert_eq!(ids(&bus, "killed", 0).await, ["e"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hosts_share_one_queue_and_one_memory() {
    let Some(server) = NATS.shared() else {
        return;
    };
    let settings = settings(server);
    let one = NatsBus::connect(&settings).await.unwrap();
    let two = NatsBus::connect(&settings).await.unwrap();
    let of = tenant("both");
    one.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    two.enqueue(&of, &message("c", "client.Do")).await.unwrap();
    let taken = one.take(&of, 10, SOON).await.unwrap();
    assert_eq!(taken.len(), 1);
    assert_eq!(two.take(&of, 10, Duration::ZERO).await.unwrap(), []);
    // The first dies with it.
    drop(one);
    let again = two.take(&of, 10, SOON).await.unwrap().remove(0);
    assert_eq!((again.attempt, again.message.id.as_str()), (2, "c"));
    two.settle(&of, &again).await.unwrap();
}

async fn check_announcements(one: &dyn Announcements, two: &dyn Announcements) {
    let mut heard = [one.listen().await.unwrap(), two.listen().await.unwrap()];
    let news = News {
        generation: 7,
        life: Some("first".to_owned()),
        home: "http://127.0.0.1:1".to_owned(),
        revived: Some("client".to_owned()),
    };
    for news in [Some(news), None] {
        let announced = Announced {
            tenant: tenant("told"),
            news,
        };
        one.announce(&announced).await.unwrap();
        for heard in &mut heard {
            let told = tokio::time::timeout(SOON, heard.recv()).await.unwrap();
            assert_eq!(told.as_ref(), Some(&announced));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_hosts_hear_of_a_generation() {
    let Some(server) = NATS.shared() else {
        return;
    };
    let settings = settings(server);
    let one = NatsAnnouncements::connect(&settings).await.unwrap();
    let two = NatsAnnouncements::connect(&settings).await.unwrap();
    check_announcements(&one, &two).await;
}
