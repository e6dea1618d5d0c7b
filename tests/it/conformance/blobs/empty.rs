//! A bucket that is emptied has nothing left, and no other has lost anything.

use std::sync::Arc;

use millwork_host::capability::blobs::Blobs;

use super::{Place, assert_absent, keys, on_both, papers, put, read, whole};

async fn an_emptied_bucket_has_nothing(store: &Arc<dyn Blobs>) {
    let (papers, temp) = (papers(), Place::of("acme", "archivist", "temp"));
    let other_module = Place::of("acme", "clerk", "papers");
    let other_tenant = Place::of("acme-two", "archivist", "papers");
    let others = [&temp, &other_module, &other_tenant];
    for other in others {
        put(store, other.at("kept"), "kept").await;
    }
    // More than is removed at once.
    for number in 0..120 {
        put(store, papers.at(&format!("many/{number}")), "x").await;
    }
    let first = put(store, papers.at("twice"), "first").await;
    put(store, papers.at("twice"), "second").await;
    let removed = put(store, papers.at("removed"), "removed").await;
    store.remove(papers.at("removed")).await.unwrap();

    let buckets = std::slice::from_ref(&papers.bucket);
    for versions in [123, 0] {
        assert_eq!(store.forget(&papers.tenant, buckets).await.unwrap(), versions);
    }
    assert!(keys(store, &papers, "").await.is_empty());
    assert_absent(&read(store, papers.at("twice"), None).await);
    assert_absent(&read(store, papers.at("twice"), Some(&first.version)).await);
    assert_absent(&read(store, papers.at("removed"), Some(&removed.version)).await);
    for key in ["twice", "removed"] {
        let versions = store.versions(papers.at(key), whole()).await.unwrap();
        assert!(versions.entries.is_empty(), "{versions:?}");
    }
    for other in others {
        assert_eq!(read(store, other.at("kept"), None).await.unwrap(), "kept");
    }
    // It can be used again.
    put(store, papers.at("twice"), "again").await;
    let versions = store.versions(papers.at("twice"), whole()).await.unwrap();
    assert_eq!(versions.entries.len(), 1);
}

async fn what_never_was_can_be_emptied(store: &Arc<dyn Blobs>) {
    let nobodys = Place::of("nobody", "archivist", "papers");
    let buckets = std::slice::from_ref(&nobodys.bucket);
    assert_eq!(store.forget(&nobodys.tenant, buckets).await.unwrap(), 0);
}

on_both![an_emptied_bucket_has_nothing, what_never_was_can_be_emptied];
