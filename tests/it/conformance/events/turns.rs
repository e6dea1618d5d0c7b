//! Appends of several tenants to a MongoDB that is silent: whoever waits for a turn is answered in time.

use millwork_host::event_store::mongodb::{MongoEvents, MongoEventsLimits};
use millwork_host::event_store::{AppendError, EventStore, StoreError};
use millwork_host::mongodb::MongoSettings;
use millwork_tests::servers::MONGODB;

use super::{draft, mongodb_limits, mongodb_settings, open_mongodb, tenant};

const TENANTS: usize = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_waits_for_its_turn_no_longer_than_it_may() {
    let Some(mut server) = MONGODB.start() else { return };
    let settings = mongodb_settings(server.url());
    let patient = open_mongodb(&settings).await;
    let impatient = MongoSettings {
        operation_ms: 2_000,
        ..settings
    };
    let limits = MongoEventsLimits {
        tenants_at_once: 1,
        append_ms: 2_000,
        ..mongodb_limits()
    };
    let store = MongoEvents::open(&impatient, limits).await.unwrap();
    server.pause();
    let queued: Vec<_> = (0..TENANTS)
        .map(|at| store.append(draft("c1", "x", 0).of(&format!("t{at}")).event("Opened").0))
        .collect();
    let mut untried = Vec::new();
    for (at, outcome) in queued.into_iter().enumerate() {
        match outcome.await {
            Err(AppendError::Store(StoreError::Failed(why))) if why.contains("waited longer") => {
                untried.push(format!("t{at}"));
            }
            Err(AppendError::Store(StoreError::Failed(_))) => {}
            other => panic!("{other:?}"),
        }
    }
    // One is tried, and perhaps the next, which has waited for almost as long.
    assert!(untried.len() >= TENANTS - 2, "{untried:?}");
    server.resume();
    for name in untried {
        assert!(patient.feed(&tenant(&name), 0, 10).await.unwrap().is_empty());
        let again = draft("c1", "x", 0).of(&name).event("Opened");
        assert!(!again.must_append(&patient).await.replayed);
    }
}
