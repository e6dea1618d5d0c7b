//! What only documents in MongoDB promise: several hosts over one database, and a server that comes and goes.

use std::sync::Arc;
use std::time::Duration;

use millwork_host::capability::documents::mongodb::{MongoDocuments, MongoDocumentsLimits};
use millwork_host::capability::documents::{Checkpoint, DocumentError, DocumentStore, Documents, Line, Unit};
use millwork_tests::servers::MONGODB;
use serde_json::json;

use super::super::eventually;
use super::{
    a_database, change, database_at, find, found, get, invoices, mongodb_at, object, one, open, plain, put,
    put_all, sorted,
};

const PROJECTION: &str = "sales.Invoices";

fn checkpoint(line: Line, position: u64) -> Checkpoint {
    Checkpoint {
        projection: PROJECTION.to_owned(),
        line,
        version: 1,
        position,
    }
}

/// The same tenant on two hosts.
async fn two_hosts() -> Option<[Arc<dyn Documents>; 2]> {
    Some(hosts_of(MONGODB.shared()?.url(), &a_database()).await)
}

async fn hosts_of(url: &str, database: &str) -> [Arc<dyn Documents>; 2] {
    let first = open(&mongodb_at(url, database).await).await;
    let second = open(&mongodb_at(url, database).await).await;
    [first, second]
}

async fn position(unit: &mut dyn Unit) -> Option<u64> {
    let checkpoint = unit.checkpoint(PROJECTION, Line::Live).await.unwrap();
    checkpoint.map(|checkpoint| checkpoint.position)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_of_two_hosts_wait_for_each_other() {
    let Some([first, second]) = two_hosts().await else {
        return;
    };
    let mut unit = first.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), one("a")).await.unwrap();
    let waiting = tokio::spawn(async move {
        let mut unit = second.begin().await.unwrap();
        unit.get(&invoices(), Line::Live, "a").await.unwrap()
    });
    assert!(get(first.as_ref(), "a").await.is_none());
    assert!(!waiting.is_finished());
    unit.commit(None).await.unwrap();
    assert_eq!(waiting.await.unwrap(), Some(object(one("a"))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_units_of_two_hosts_lose_nothing() {
    let Some(hosts) = two_hosts().await else {
        return;
    };
    let racers: Vec<_> = (0..24)
        .map(|at| {
            let documents = Arc::clone(&hosts[at % 2]);
            tokio::spawn(async move {
                let mut counting = change(json!({"$inc": {"n": 1}}));
                counting.upsert = true;
                let mut unit = documents.begin().await.unwrap();
                let at = position(unit.as_mut()).await.unwrap_or_default();
                unit.update(&invoices(), Line::Live, "a", &counting)
                    .await
                    .unwrap();
                unit.commit(Some(checkpoint(Line::Live, at + 1))).await.unwrap();
            })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    assert_eq!(
        get(hosts[0].as_ref(), "a").await,
        Some(json!({"_id": "a", "n": 24}))
    );
    assert_eq!(
        hosts[1].checkpoints(PROJECTION).await.unwrap(),
        [checkpoint(Line::Live, 24)]
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_host_that_was_overtaken_sees_it_before_it_writes() {
    let Some([first, second]) = two_hosts().await else {
        return;
    };
    let unit = first.begin().await.unwrap();
    unit.commit(Some(checkpoint(Line::Live, 5))).await.unwrap();
    let mut unit = second.begin().await.unwrap();
    assert_eq!(position(unit.as_mut()).await, Some(5));
    unit.commit(Some(checkpoint(Line::Live, 9))).await.unwrap();
    let mut unit = first.begin().await.unwrap();
    assert_eq!(position(unit.as_mut()).await, Some(9));
    assert!(unit.checkpoint(PROJECTION, Line::Shadow).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promotion_is_seen_by_other_hosts_and_old_copies_go() {
    let Some(server) = MONGODB.shared() else {
        return;
    };
    let (url, name) = (server.url().to_owned(), a_database());
    let [first, second] = hosts_of(&url, &name).await;
    put_all(first.as_ref(), &invoices(), &[json!({"_id": "old", "due": 1})]).await;
    for round in ["new", "newer"] {
        let mut unit = first.begin().await.unwrap();
        unit.clear_shadow(PROJECTION, &[invoices()]).await.unwrap();
        unit.put(&invoices(), Line::Shadow, round, object(json!({"due": 2})))
            .await
            .unwrap();
        unit.commit(Some(checkpoint(Line::Shadow, 3))).await.unwrap();
        let mut unit = first.begin().await.unwrap();
        unit.promote_shadow(PROJECTION, &[invoices()]).await.unwrap();
        assert_ne!(
            found(second.as_ref(), &invoices(), &find(json!({}))).await,
            [round]
        );
        unit.commit(None).await.unwrap();
        assert_eq!(
            found(second.as_ref(), &invoices(), &find(json!({}))).await,
            [round]
        );
    }
    assert_eq!(
        second.checkpoints(PROJECTION).await.unwrap(),
        [checkpoint(Line::Live, 3)]
    );
    let mut unit = second.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), one("more")).await.unwrap();
    unit.commit(None).await.unwrap();
    let all = sorted(json!({}), "due", 9);
    assert_eq!(found(first.as_ref(), &invoices(), &all).await, ["more", "newer"]);
    let rows = database_at(&url, &name)
        .await
        .collection("documents.sales.invoices");
    // The live two, and one in the shadow, which was live before; the copy of the very first document goes.
    eventually("old copies are removed", || async {
        rows.count_documents(Default::default()).await.unwrap() == 3
    })
    .await;
    assert_eq!(found(second.as_ref(), &invoices(), &all).await, ["more", "newer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_stopped_host_left_behind_is_removed_by_another() {
    let Some(server) = MONGODB.shared() else {
        return;
    };
    let name = a_database();
    let first = open(&mongodb_at(server.url(), &name).await).await;
    put_all(first.as_ref(), &invoices(), &[one("a"), one("b")]).await;
    let mut unit = first.begin().await.unwrap();
    unit.promote_shadow(PROJECTION, &[invoices()]).await.unwrap();
    unit.clear_shadow(PROJECTION, &[invoices()]).await.unwrap();
    unit.commit(None).await.unwrap();
    drop(first);
    let second = open(&mongodb_at(server.url(), &name).await).await;
    let rows = database_at(server.url(), &name)
        .await
        .collection("documents.sales.invoices");
    eventually("old copies are removed", || async {
        rows.count_documents(Default::default()).await.unwrap() == 0
    })
    .await;
    assert!(
        found(second.as_ref(), &invoices(), &find(json!({})))
            .await
            .is_empty()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_unit_that_loses_its_server_leaves_no_trace() {
    let Some(mut server) = MONGODB.start() else {
        return;
    };
    let documents = open(&mongodb_at(server.url(), "killed").await).await;
    put_all(documents.as_ref(), &plain(), &[one("before")]).await;
    let mut unit = documents.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), one("a")).await.unwrap();
    put(unit.as_mut(), &plain(), one("b")).await.unwrap();
    server.kill();
    server.run();
    let outcome = unit.commit(Some(checkpoint(Line::Live, 5))).await;
    assert!(matches!(outcome, Err(DocumentError::Failed(_))), "{outcome:?}");
    eventually("the store goes on", || async {
        documents.checkpoints(PROJECTION).await.is_ok()
    })
    .await;
    assert!(documents.checkpoints(PROJECTION).await.unwrap().is_empty());
    assert_eq!(
        found(documents.as_ref(), &plain(), &find(json!({}))).await,
        ["before"]
    );
    assert!(get(documents.as_ref(), "a").await.is_none());
    put_all(documents.as_ref(), &invoices(), &[one("c")]).await;
    assert!(get(documents.as_ref(), "c").await.is_some());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_there_is_told_in_time() {
    let Some(mut server) = MONGODB.start() else {
        return;
    };
    let limits = MongoDocumentsLimits {
        call_max: Duration::from_secs(3),
        turn_max: Duration::from_secs(6),
        ..MongoDocumentsLimits::default()
    };
    let database = database_at(server.url(), "stopped").await;
    let store = MongoDocuments::new(database, limits);
    let documents = open(&store).await;
    let mut unit = documents.begin().await.unwrap();
    server.pause();
    let failed = |outcome: Result<(), DocumentError>| {
        assert!(matches!(outcome, Err(DocumentError::Failed(_))), "{outcome:?}");
    };
    failed(put(unit.as_mut(), &invoices(), one("a")).await);
    failed(put(unit.as_mut(), &invoices(), one("a")).await);
    failed(documents.get(&invoices(), "a").await.map(drop));
    server.resume();
    drop(unit);
    server.kill();
    failed(documents.find(&invoices(), &find(json!({}))).await.map(drop));
    failed(documents.begin().await.map(drop));
    failed(store.open(&super::tenant("b")).await.map(drop));
}
