//! What is written is read, as often as it is written.

use std::sync::Arc;

use bytes::Bytes;
use millwork_host::capability::blobs::body::Body;
use millwork_host::capability::blobs::{Blobs, Content};

use super::{assert_absent, keys, on_both, papers, put, read, whole};

async fn what_is_written_is_read(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let at = papers.at("invoices/2026/03/INV-7.pdf");
    let bytes = Bytes::from_static(b"0123456789");
    let content = Content::of(&bytes, "application/pdf; x=\"y\"");
    let written = store.put(at, &content, Body::of(bytes)).await.unwrap();
    assert_eq!(written.content, content);
    assert_eq!(store.stat(at, None).await.unwrap(), written);
    assert_eq!(
        written.content.sha256,
        "84d89877f0d4041efb6bf91a16f0248f2fd573e6af05c19f96bedb9f882f7882"
    );
    for (offset, length, expected) in [
        (0, 10, "0123456789"),
        (0, 100, "0123456789"),
        (2, 3, "234"),
        (9, 1, "9"),
        (9, 5, "9"),
        (10, 1, ""),
        (11, 5, ""),
        (u64::from(u32::MAX) * 4, 5, ""),
    ] {
        let part = store.read(at, None, offset, length).await.unwrap();
        assert_eq!(String::from_utf8(part).unwrap(), expected, "{offset} {length}");
    }
}

async fn an_empty_blob_is_one(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let written = put(store, papers.at("empty"), "").await;
    assert_eq!(written.content.size, 0);
    assert_eq!(store.stat(papers.at("empty"), None).await.unwrap(), written);
    assert_eq!(read(store, papers.at("empty"), None).await.unwrap(), "");
    assert_eq!(keys(store, &papers, "").await, ["empty"]);
}

async fn what_was_never_written_is_absent(store: &Arc<dyn Blobs>) {
    // Before the bucket is there, and after.
    for _ in 0..2 {
        let papers = papers();
        let at = papers.at("none");
        assert_absent(&store.stat(at, None).await);
        assert_absent(&read(store, at, None).await);
        assert_absent(&store.read(at, None, 100, 1).await);
        assert_absent(&store.stat(at, Some("nothing-of-the-sort")).await);
        store.remove(at).await.unwrap();
        assert!(keys(store, &papers, "no").await.is_empty());
        assert!(store.versions(at, whole()).await.unwrap().entries.is_empty());
        put(store, papers.at("other"), "x").await;
    }
}

async fn writes_at_once_are_all_kept(store: &Arc<dyn Blobs>) {
    let mut writes = tokio::task::JoinSet::new();
    for n in 0..8 {
        let store = Arc::clone(store);
        writes.spawn(async move { put(&store, papers().at("race"), &format!("{n}")).await });
    }
    let written = writes.join_all().await;
    let papers = papers();
    let last = store.stat(papers.at("race"), None).await.unwrap();
    assert!(written.contains(&last), "{last:?} {written:?}");
    for info in &written {
        let text = read(store, papers.at("race"), Some(&info.version)).await.unwrap();
        assert_eq!(Content::of(text.as_bytes(), "text/plain"), info.content);
    }
    let versions = store.versions(papers.at("race"), whole()).await.unwrap();
    assert_eq!(versions.entries.len(), 8);
}

on_both![
    what_is_written_is_read,
    an_empty_blob_is_one,
    what_was_never_written_is_absent,
    writes_at_once_are_all_kept,
];
