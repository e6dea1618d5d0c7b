//! Each write makes a version, which stays.

use std::sync::Arc;

use millwork_host::capability::blobs::{Blobs, Part};

use super::{assert_absent, keys, on_both, papers, put, read, whole};

async fn each_write_makes_a_version(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let at = papers.at("contract");
    let first = put(store, at, "first").await;
    let second = put(store, at, "second").await;
    let third = put(store, at, "third").await;
    assert_eq!(store.stat(at, None).await.unwrap(), third);
    assert_eq!(store.stat(at, Some(&second.version)).await.unwrap(), second);
    assert_eq!(read(store, at, Some(&first.version)).await.unwrap(), "first");
    assert_eq!(read(store, at, Some(&third.version)).await.unwrap(), "third");
    let listed = store.versions(at, whole()).await.unwrap();
    let names: Vec<_> = listed.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, [&third.version, &second.version, &first.version]);
    let sizes: Vec<_> = listed.entries.iter().map(|entry| entry.size).collect();
    assert_eq!((sizes, listed.next), (vec![5, 6, 5], None));
}

async fn the_same_content_twice_is_two_versions(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let one = put(store, papers.at("same"), "same").await;
    let two = put(store, papers.at("same"), "same").await;
    assert_ne!(one.version, two.version);
    assert_eq!(one.content, two.content);
}

async fn a_version_is_of_one_blob(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let one = put(store, papers.at("one"), "one").await;
    put(store, papers.at("two"), "two").await;
    assert_absent(&store.stat(papers.at("two"), Some(&one.version)).await);
    assert_absent(&read(store, papers.at("two"), Some(&one.version)).await);
    assert_absent(
        &store
            .stat(papers.at("one"), Some("00000000000000000000000000000000"))
            .await,
    );
}

async fn what_is_removed_is_gone_and_its_versions_stay(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let at = papers.at("draft");
    let first = put(store, at, "first").await;
    store.remove(at).await.unwrap();
    assert_absent(&store.stat(at, None).await);
    assert_absent(&read(store, at, None).await);
    assert!(keys(store, &papers, "").await.is_empty());
    assert_eq!(read(store, at, Some(&first.version)).await.unwrap(), "first");
    // Twice is once.
    store.remove(at).await.unwrap();
    let second = put(store, at, "second").await;
    assert_eq!(read(store, at, None).await.unwrap(), "second");
    assert_eq!(keys(store, &papers, "").await, ["draft"]);
    let listed = store.versions(at, whole()).await.unwrap();
    let names: Vec<_> = listed.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, [&second.version, &first.version]);
}

async fn versions_come_in_pages(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let mut written = Vec::new();
    for n in 0..5 {
        written.push(put(store, papers.at("paged"), &format!("{n}")).await.version);
        // Keys that begin with this one are others'.
        put(store, papers.at("paged-too"), "x").await;
    }
    written.reverse();
    let (mut cursor, mut seen) = (None, Vec::new());
    for _ in 0..10 {
        let part = Part {
            cursor: cursor.as_deref(),
            limit: 2,
        };
        let page = store.versions(papers.at("paged"), part).await.unwrap();
        assert!(page.entries.len() <= 2);
        seen.extend(page.entries.into_iter().map(|entry| entry.name));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, cursor), (written, None));
}

on_both![
    each_write_makes_a_version,
    the_same_content_twice_is_two_versions,
    a_version_is_of_one_blob,
    what_is_removed_is_gone_and_its_versions_stay,
    versions_come_in_pages,
];
