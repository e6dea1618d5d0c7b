//! Rebuilds: a shadow is filled beside the live line and then takes its place.

use std::sync::Arc;

use millwork_host::capability::documents::{Checkpoint, Collection, DocumentStore, Documents, Line};
use serde_json::json;

use super::{
    find, found, invoices, object, on_every_backend, one, open, plain, put_all, sorted, start_mongodb,
    start_sqlite,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: start_mongodb },
    cases: [
        a_shadow_is_filled_unseen,
        a_promoted_shadow_is_live,
        a_rebuild_can_start_again,
        a_cleared_shadow_has_the_indexes_of_now,
        preparing_again_changes_nothing,
        a_trial_is_a_line_of_its_own_and_leaves_nothing,
    ],
}

const PROJECTION: &str = "sales.Invoices";

fn checkpoint(line: Line, version: u32, position: u64) -> Checkpoint {
    Checkpoint {
        projection: PROJECTION.to_owned(),
        line,
        version,
        position,
    }
}

async fn fill_shadow(documents: &dyn Documents, of: &Arc<Collection>, id: &str) {
    let mut unit = documents.begin().await.unwrap();
    unit.clear_shadow(PROJECTION, std::slice::from_ref(of))
        .await
        .unwrap();
    unit.put(of, Line::Shadow, id, object(json!({"due": 2})))
        .await
        .unwrap();
    unit.commit(Some(checkpoint(Line::Shadow, 2, 8))).await.unwrap();
}

async fn start(store: &dyn DocumentStore) -> Arc<dyn Documents> {
    let documents = open(store).await;
    put_all(
        documents.as_ref(),
        &invoices(),
        &[json!({"_id": "old", "due": 1})],
    )
    .await;
    put_all(documents.as_ref(), &plain(), &[one("untouched")]).await;
    documents
        .begin()
        .await
        .unwrap()
        .commit(Some(checkpoint(Line::Live, 1, 9)))
        .await
        .unwrap();
    fill_shadow(documents.as_ref(), &invoices(), "new").await;
    documents
}

async fn a_shadow_is_filled_unseen(store: &dyn DocumentStore) {
    let documents = start(store).await;
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({}))).await,
        ["old"]
    );
    let both = [checkpoint(Line::Live, 1, 9), checkpoint(Line::Shadow, 2, 8)];
    assert_eq!(documents.checkpoints(PROJECTION).await.unwrap(), both);
    let mut unit = documents.begin().await.unwrap();
    assert!(
        unit.get(&invoices(), Line::Shadow, "new")
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        unit.get(&invoices(), Line::Shadow, "old")
            .await
            .unwrap()
            .is_none()
    );
}

async fn a_promoted_shadow_is_live(store: &dyn DocumentStore) {
    let documents = start(store).await;
    let mut unit = documents.begin().await.unwrap();
    unit.promote_shadow(PROJECTION, &[invoices()]).await.unwrap();
    assert!(unit.get(&invoices(), Line::Live, "new").await.unwrap().is_some());
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({}))).await,
        ["old"],
        "not before the commit"
    );
    unit.commit(None).await.unwrap();
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({"due": {"$gt": 0}}))).await,
        ["new"]
    );
    assert_eq!(
        found(documents.as_ref(), &plain(), &find(json!({}))).await,
        ["untouched"]
    );
    assert_eq!(
        documents.checkpoints(PROJECTION).await.unwrap(),
        [checkpoint(Line::Live, 2, 8)]
    );
    fill_shadow(documents.as_ref(), &invoices(), "newer").await;
    let mut unit = documents.begin().await.unwrap();
    unit.promote_shadow(PROJECTION, &[invoices()]).await.unwrap();
    unit.commit(Some(checkpoint(Line::Live, 3, 12))).await.unwrap();
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({}))).await,
        ["newer"]
    );
    assert_eq!(
        documents.checkpoints(PROJECTION).await.unwrap(),
        [checkpoint(Line::Live, 3, 12)]
    );
}

async fn a_rebuild_can_start_again(store: &dyn DocumentStore) {
    let documents = start(store).await;
    let mut unit = documents.begin().await.unwrap();
    unit.clear_shadow(PROJECTION, &[invoices()]).await.unwrap();
    assert!(
        unit.get(&invoices(), Line::Shadow, "new")
            .await
            .unwrap()
            .is_none()
    );
    unit.commit(None).await.unwrap();
    assert_eq!(
        documents.checkpoints(PROJECTION).await.unwrap(),
        [checkpoint(Line::Live, 1, 9)]
    );
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({}))).await,
        ["old"]
    );
}

/// A field that was indexed may hold an array in the next version of a projection.
async fn a_cleared_shadow_has_the_indexes_of_now(store: &dyn DocumentStore) {
    let documents = start(store).await;
    let mut next = with_indexes(&[&["customer"]]);
    next.decimals.clear();
    let next = Arc::new(next);
    documents.prepare(&[Arc::clone(&next)]).await.unwrap();
    let mut unit = documents.begin().await.unwrap();
    unit.clear_shadow(PROJECTION, std::slice::from_ref(&next))
        .await
        .unwrap();
    unit.put(
        &next,
        Line::Shadow,
        "b",
        object(json!({"due": [1, 2], "total": "ten", "customer": "x"})),
    )
    .await
    .unwrap();
    unit.put(
        &next,
        Line::Shadow,
        "a",
        object(json!({"due": 3, "customer": "y"})),
    )
    .await
    .unwrap();
    unit.promote_shadow(PROJECTION, std::slice::from_ref(&next))
        .await
        .unwrap();
    unit.commit(None).await.unwrap();
    assert_eq!(
        found(
            documents.as_ref(),
            &next,
            &sorted(json!({"due": {"$gt": 1}}), "customer", 10)
        )
        .await,
        ["b", "a"]
    );
}

async fn preparing_again_changes_nothing(store: &dyn DocumentStore) {
    let documents = start(store).await;
    documents.prepare(&[invoices(), plain()]).await.unwrap();
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({}))).await,
        ["old"]
    );
    let more = Arc::new(with_indexes(&[&["status", "due"], &["note"]]));
    documents.prepare(&[Arc::clone(&more)]).await.unwrap();
    assert_eq!(
        found(
            documents.as_ref(),
            &more,
            &sorted(json!({"note": null}), "note", 10)
        )
        .await,
        ["old"]
    );
}

/// The invoices of another release.
fn with_indexes(indexes: &[&[&str]]) -> Collection {
    let of = invoices();
    let (module, name, decimals) = (of.module.clone(), of.name.clone(), of.decimals.clone());
    let fields = |fields: &&[&str]| fields.iter().map(|field| (*field).to_owned()).collect();
    Collection {
        module,
        name,
        decimals,
        indexes: indexes.iter().map(fields).collect(),
    }
}

async fn a_trial_is_a_line_of_its_own_and_leaves_nothing(store: &dyn DocumentStore) {
    let documents = start(store).await;
    let collections = [invoices()];
    for round in ["first", "second"] {
        let mut unit = documents.begin().await.unwrap();
        unit.begin_trial(&collections).await.unwrap();
        assert!(
            unit.get(&invoices(), Line::Trial, "first")
                .await
                .unwrap()
                .is_none(),
            "it starts empty"
        );
        unit.put(&invoices(), Line::Trial, round, object(json!({"due": 3})))
            .await
            .unwrap();
        unit.commit(Some(checkpoint(Line::Trial, 2, 7))).await.unwrap();
    }
    let all = [
        checkpoint(Line::Live, 1, 9),
        checkpoint(Line::Shadow, 2, 8),
        checkpoint(Line::Trial, 2, 7),
    ];
    assert_eq!(documents.checkpoints(PROJECTION).await.unwrap(), all);

    let mut unit = documents.begin().await.unwrap();
    unit.promote_shadow(PROJECTION, &collections).await.unwrap();
    unit.commit(None).await.unwrap();
    assert_eq!(
        found(documents.as_ref(), &invoices(), &find(json!({}))).await,
        ["new"]
    );

    let mut unit = documents.begin().await.unwrap();
    unit.end_trial(PROJECTION, &collections).await.unwrap();
    assert!(
        unit.get(&invoices(), Line::Trial, "second").await.is_err(),
        "it is gone"
    );
    unit.commit(None).await.unwrap();
    assert_eq!(
        documents.checkpoints(PROJECTION).await.unwrap(),
        [checkpoint(Line::Live, 2, 8)]
    );
}
