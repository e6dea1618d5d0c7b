//! The way of events from the store to the bus: each is there once, whatever is relayed again.

use std::sync::Arc;

use millwork_host::capability::messaging::Bus;
use millwork_host::capability::messaging::nats::{NatsBus, NatsLimits, NatsSettings};
use millwork_host::capability::messaging::sqlite::{SqliteBus, SqliteBusLimits};
use millwork_host::deliver::DeliverLimits;
use millwork_host::deliver::relay::Relay;
use millwork_host::event_store::sqlite::SqliteEvents;
use millwork_tests::servers::NATS;
use serde_json::Value;

use super::{draft, open_sqlite, tenant};

async fn check(bus: Arc<dyn Bus>) {
    let folder = tempfile::tempdir().unwrap();
    let events: Arc<SqliteEvents> = Arc::new(open_sqlite(&folder));
    let limits = DeliverLimits {
        page_events_max: 2,
        ..DeliverLimits::default()
    };
    let relay = || {
        Relay::new(
            Arc::<SqliteEvents>::clone(&events),
            Arc::clone(&bus),
            limits.clone(),
        )
    };
    for at in 0..5 {
        let one = draft(&format!("c{at}"), &format!("a{at}"), 0).event("Opened");
        one.must_append(&*events).await;
    }
    let a = tenant("a");
    let (one, two) = (relay(), relay());
    let (by_one, by_two) = tokio::join!(one.sweep(&a), two.sweep(&a));
    assert!(by_one.unwrap() + by_two.unwrap() >= 5);
    // As after a crash between publishing and keeping the position.
    bus.keep_checkpoint(&a, "relay", 1).await.unwrap();
    assert_eq!(relay().sweep(&a).await.unwrap(), 4);
    assert_eq!(relay().sweep(&a).await.unwrap(), 0);
    let feed = super::EventStore::feed(&*events, &a, 0, 10).await.unwrap();
    let published = bus.published(&a, &feed[0].of.module, 0, 100).await.unwrap();
    let positions: Vec<String> = published.iter().map(|event| event.message.id.clone()).collect();
    assert_eq!(positions, ["1", "2", "3", "4", "5"]);
    let subject = format!("{}.{}.Opened", feed[0].of.module, feed[0].of.aggregate);
    assert_eq!(published[0].message.subject, subject);
    let told: Value = serde_json::from_slice(&published[0].message.payload).unwrap();
    assert_eq!(told["aggregateId"], feed[0].of.id.as_str());
    assert_eq!(told["id"], feed[0].id.as_str());
    assert_eq!(
        told["data"],
        serde_json::from_str::<Value>(&feed[0].data).unwrap()
    );
    super::EventStore::close(&*events).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_the_embedded_bus() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("messages.db");
    check(Arc::new(
        SqliteBus::open(&file, SqliteBusLimits::default()).unwrap(),
    ))
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn to_nats() {
    let Some(server) = NATS.shared() else {
        return;
    };
    let settings = NatsSettings {
        url: server.url().to_owned(),
        prefix: format!("T{}R", std::process::id()),
        replicas: 1,
        limits: NatsLimits::default(),
    };
    check(Arc::new(NatsBus::connect(&settings).await.unwrap())).await;
}
