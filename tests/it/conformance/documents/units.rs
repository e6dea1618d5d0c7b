//! Units of work: all or nothing, one after the other, and each tenant its own.

use std::sync::Arc;

use millwork_host::capability::documents::{Checkpoint, DocumentStore, Line};
use serde_json::json;

use super::{
    change, find, found, get, ids, invoices, object, on_every_backend, one, open, open_for, plain, put,
    put_all, start_mongodb, start_sqlite, tenant,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: start_mongodb },
    cases: [
        a_unit_sees_its_own_writes_and_nobody_else_does,
        a_dropped_unit_leaves_no_trace,
        a_checkpoint_commits_with_the_writes,
        a_unit_tells_where_checkpoints_stand,
        a_dropped_unit_moves_no_checkpoint,
        units_wait_for_each_other,
        racing_units_lose_nothing,
        a_tenant_has_one_store,
        tenants_do_not_see_each_other,
        collections_of_one_name_do_not_meet,
        a_forgotten_tenant_has_no_documents,
    ],
}

fn checkpoint(line: Line, position: u64) -> Checkpoint {
    Checkpoint {
        projection: "sales.Invoices".to_owned(),
        line,
        version: 3,
        position,
    }
}

async fn a_unit_sees_its_own_writes_and_nobody_else_does(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut unit = documents.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), json!({"_id": "a", "due": 1}))
        .await
        .unwrap();
    assert!(unit.get(&invoices(), Line::Live, "a").await.unwrap().is_some());
    let page = unit
        .find(&invoices(), Line::Live, &find(json!({"due": 1})))
        .await
        .unwrap();
    assert_eq!(ids(&page), ["a"]);
    assert_eq!(
        unit.count(&invoices(), Line::Live, &find(json!({"due": 1})))
            .await
            .unwrap(),
        1
    );
    assert!(unit.get(&invoices(), Line::Shadow, "a").await.unwrap().is_none());
    assert!(get(documents.as_ref(), "a").await.is_none());
    assert_eq!(documents.count(&invoices(), &find(json!({}))).await.unwrap(), 0);
    unit.commit(None).await.unwrap();
    assert!(get(documents.as_ref(), "a").await.is_some());
}

async fn a_dropped_unit_leaves_no_trace(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut unit = documents.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), one("a")).await.unwrap();
    drop(unit);
    assert!(get(documents.as_ref(), "a").await.is_none());
    let mut unit = documents.begin().await.unwrap();
    assert!(unit.get(&invoices(), Line::Live, "a").await.unwrap().is_none());
    put(unit.as_mut(), &invoices(), one("b")).await.unwrap();
    unit.commit(None).await.unwrap();
    assert!(get(documents.as_ref(), "b").await.is_some());
}

async fn a_checkpoint_commits_with_the_writes(store: &dyn DocumentStore) {
    let documents = open(store).await;
    assert!(documents.checkpoints("sales.Invoices").await.unwrap().is_empty());
    for position in [5, 9] {
        let mut unit = documents.begin().await.unwrap();
        put(unit.as_mut(), &invoices(), one("a")).await.unwrap();
        unit.commit(Some(checkpoint(Line::Live, position))).await.unwrap();
        assert_eq!(
            documents.checkpoints("sales.Invoices").await.unwrap(),
            [checkpoint(Line::Live, position)]
        );
    }
    documents
        .begin()
        .await
        .unwrap()
        .commit(Some(checkpoint(Line::Shadow, 2)))
        .await
        .unwrap();
    let both = [checkpoint(Line::Live, 9), checkpoint(Line::Shadow, 2)];
    assert_eq!(documents.checkpoints("sales.Invoices").await.unwrap(), both);
    assert!(documents.checkpoints("sales.Other").await.unwrap().is_empty());
}

async fn a_unit_tells_where_checkpoints_stand(store: &dyn DocumentStore) {
    let documents = open(store).await;
    for (line, position) in [(Line::Live, 7), (Line::Shadow, 2)] {
        let mut unit = documents.begin().await.unwrap();
        assert!(unit.checkpoint("sales.Invoices", line).await.unwrap().is_none());
        unit.commit(Some(checkpoint(line, position))).await.unwrap();
        let mut unit = documents.begin().await.unwrap();
        let expected = Some(checkpoint(line, position));
        assert_eq!(unit.checkpoint("sales.Invoices", line).await.unwrap(), expected);
        assert!(unit.checkpoint("sales.Other", line).await.unwrap().is_none());
    }
    let mut unit = documents.begin().await.unwrap();
    unit.promote_shadow("sales.Invoices", &[invoices()])
        .await
        .unwrap();
    let promoted = unit.checkpoint("sales.Invoices", Line::Live).await.unwrap();
    assert_eq!(promoted, Some(checkpoint(Line::Live, 2)));
}

async fn a_dropped_unit_moves_no_checkpoint(store: &dyn DocumentStore) {
    let documents = open(store).await;
    documents
        .begin()
        .await
        .unwrap()
        .commit(Some(checkpoint(Line::Live, 5)))
        .await
        .unwrap();
    let mut unit = documents.begin().await.unwrap();
    unit.clear_shadow("sales.Invoices", &[invoices()]).await.unwrap();
    unit.promote_shadow("sales.Invoices", &[invoices()])
        .await
        .unwrap();
    drop(unit);
    assert_eq!(
        documents.checkpoints("sales.Invoices").await.unwrap(),
        [checkpoint(Line::Live, 5)]
    );
}

async fn units_wait_for_each_other(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let first = documents.begin().await.unwrap();
    let mut second = Box::pin(documents.begin());
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(second.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    drop(first);
    second.await.unwrap().commit(None).await.unwrap();
}

async fn racing_units_lose_nothing(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let racers: Vec<_> = (0..64)
        .map(|_| {
            let documents = Arc::clone(&documents);
            tokio::spawn(async move {
                let mut counting = change(json!({"$inc": {"n": 1, "total": "0.10"}}));
                counting.upsert = true;
                let mut unit = documents.begin().await.unwrap();
                unit.update(&invoices(), Line::Live, "a", &counting)
                    .await
                    .unwrap();
                unit.commit(Some(checkpoint(Line::Live, 1))).await.unwrap();
            })
        })
        .collect();
    for racer in racers {
        racer.await.unwrap();
    }
    assert_eq!(
        get(documents.as_ref(), "a").await,
        Some(json!({"_id": "a", "n": 64, "total": "6.40"}))
    );
}

async fn a_tenant_has_one_store(store: &dyn DocumentStore) {
    let (first, second) = (open(store).await, open(store).await);
    let mut unit = first.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), one("a")).await.unwrap();
    let mut waiting = Box::pin(second.begin());
    let waits = std::future::poll_fn(|cx| std::task::Poll::Ready(waiting.as_mut().poll(cx).is_pending()));
    assert!(waits.await);
    unit.commit(None).await.unwrap();
    assert!(
        waiting
            .await
            .unwrap()
            .get(&invoices(), Line::Live, "a")
            .await
            .unwrap()
            .is_some()
    );
    drop((first, second));
    assert!(
        get(open(store).await.as_ref(), "a").await.is_some(),
        "it is there when opened again"
    );
}

async fn tenants_do_not_see_each_other(store: &dyn DocumentStore) {
    let (a, b) = (open_for(store, "a").await, open_for(store, "b").await);
    let mut unit = a.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), json!({"_id": "x", "due": 1}))
        .await
        .unwrap();
    // A unit of another tenant does not wait for this one.
    let mut other = b.begin().await.unwrap();
    assert!(other.get(&invoices(), Line::Live, "x").await.unwrap().is_none());
    other.commit(Some(checkpoint(Line::Live, 7))).await.unwrap();
    unit.commit(None).await.unwrap();
    assert!(b.get(&invoices(), "x").await.unwrap().is_none());
    assert!(found(b.as_ref(), &invoices(), &find(json!({}))).await.is_empty());
    assert!(a.checkpoints("sales.Invoices").await.unwrap().is_empty());
}

async fn collections_of_one_name_do_not_meet(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut unit = documents.begin().await.unwrap();
    put(unit.as_mut(), &invoices(), one("a")).await.unwrap();
    assert!(unit.get(&plain(), Line::Live, "a").await.unwrap().is_none());
    unit.put(&plain(), Line::Live, "a", object(json!({"plain": true})))
        .await
        .unwrap();
    unit.commit(None).await.unwrap();
    assert_eq!(get(documents.as_ref(), "a").await, Some(one("a")));
}

async fn a_forgotten_tenant_has_no_documents(store: &dyn DocumentStore) {
    // Names that begin alike.
    for of in ["a", "a-b", "a0"] {
        let documents = open_for(store, of).await;
        let mut unit = documents.begin().await.unwrap();
        for of in [invoices(), plain()] {
            put(unit.as_mut(), &of, one("a")).await.unwrap();
        }
        let collections = [invoices()];
        unit.clear_shadow("sales.Invoices", &collections).await.unwrap();
        unit.commit(Some(checkpoint(Line::Live, 7))).await.unwrap();
    }
    // Once while somebody has it open, and once while nobody has.
    let held = open(store).await;
    store.forget(&tenant("a")).await.unwrap();
    assert!(
        held.get(&invoices(), "a").await.is_err(),
        "there is no collection"
    );
    assert!(held.checkpoints("sales.Invoices").await.unwrap().is_empty());
    let anew = open(store).await;
    assert!(get(anew.as_ref(), "a").await.is_none());
    put_all(anew.as_ref(), &invoices(), &[one("b")]).await;
    drop((held, anew));
    for _ in 0..2 {
        store.forget(&tenant("a")).await.unwrap();
    }
    let anew = open(store).await;
    assert_eq!(found(anew.as_ref(), &invoices(), &find(json!({}))).await, [""; 0]);
    assert!(anew.checkpoints("sales.Invoices").await.unwrap().is_empty());
    put_all(anew.as_ref(), &plain(), &[one("c")]).await;
    for of in ["a-b", "a0"] {
        let other = open_for(store, of).await;
        assert_eq!(found(other.as_ref(), &plain(), &find(json!({}))).await, ["a"]);
        assert_eq!(other.checkpoints("sales.Invoices").await.unwrap().len(), 1);
    }
}
