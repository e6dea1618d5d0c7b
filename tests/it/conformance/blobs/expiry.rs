//! What expires, bounds of what is asked, and what links say: above the backends, and so the same on all.

use std::sync::Arc;
use std::time::Duration;

use millwork_host::capability::blobs::{self, BlobError, Blobs, Content, Part};

use super::{Place, assert_absent, on_both, papers, put, whole};

const HOUR_MS: u64 = 3_600_000;

fn temp() -> Place {
    let mut place = papers();
    place.bucket.name = "temp".to_owned();
    place.bucket.expire_after = Some(Duration::from_secs(24 * 3_600));
    place
}

async fn blobs_expire(store: &Arc<dyn Blobs>) {
    let temp = temp();
    let at = temp.at("upload/part");
    let written = put(store, at, "x").await;
    let (before, after) = (
        written.written_at + 24 * HOUR_MS - 1,
        written.written_at + 24 * HOUR_MS,
    );
    assert_eq!(blobs::stat(store, at, None, before).await.unwrap(), written);
    let page = |now| blobs::page(store, &temp.tenant, &temp.bucket, "", whole(), now);
    assert_eq!(page(before).await.unwrap().entries.len(), 1);
    assert_absent(&blobs::stat(store, at, None, after).await);
    assert_absent(&blobs::stat(store, at, Some(&written.version), after).await);
    assert_absent(&blobs::read(store, at, None, (0, 1), after).await);
    assert_absent(&blobs::link_get(store, at, None, 60, after).await);
    assert!(page(after).await.unwrap().entries.is_empty());
    let versions = blobs::versions(store, at, whole(), after).await.unwrap();
    assert!(versions.entries.is_empty());
    // What does not expire stays, whatever the time.
    let papers = papers();
    put(store, papers.at("kept"), "x").await;
    blobs::stat(store, papers.at("kept"), None, u64::MAX)
        .await
        .unwrap();
}

async fn a_link_ends_with_its_blob(store: &Arc<dyn Blobs>) {
    let temp = temp();
    let at = temp.at("short");
    let written = put(store, at, "x").await;
    let end = written.written_at + 24 * HOUR_MS;
    let now = end - 10 * 60_000;
    let link = blobs::link_get(store, at, None, 3_600, now).await.unwrap();
    assert_eq!(link.ends_at, end);
    let link = blobs::link_get(store, at, None, 60, now).await.unwrap();
    assert_eq!(link.ends_at, now + 60_000);
    assert!(link.headers.is_empty(), "{link:?}");
}

async fn what_is_asked_has_bounds(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let (at, now) = (
        papers.at("bounded"),
        put(store, papers.at("bounded"), "x").await.written_at,
    );
    for length in [0, blobs::READ_BYTES_MAX + 1] {
        let read = blobs::read(store, at, None, (0, length), now).await;
        assert!(matches!(read, Err(BlobError::TooLarge(_))), "{read:?}");
    }
    for limit in [0, blobs::LIMIT_MAX + 1] {
        let part = Part { cursor: None, limit };
        let page = blobs::page(store, &papers.tenant, &papers.bucket, "", part, now).await;
        assert!(matches!(page, Err(BlobError::TooLarge(_))), "{page:?}");
        let versions = blobs::versions(store, at, part, now).await;
        assert!(matches!(versions, Err(BlobError::TooLarge(_))), "{versions:?}");
    }
    for cursor in ["", "../x", "a\nb"] {
        let part = Part {
            cursor: Some(cursor),
            limit: 1,
        };
        let page = blobs::page(store, &papers.tenant, &papers.bucket, "", part, now).await;
        assert!(matches!(page, Err(BlobError::Malformed(_))), "{page:?}");
    }
    for seconds in [0, blobs::LINK_SECONDS_MAX + 1] {
        let link = blobs::link_get(store, at, None, seconds, now).await;
        assert!(matches!(link, Err(BlobError::TooLarge(_))), "{link:?}");
    }
    let content = Content::of(b"x", "text/plain");
    let too_large = Content {
        size: blobs::UPLOAD_BYTES_MAX + 1,
        ..content.clone()
    };
    let link = blobs::link_put(store, at, &too_large, 60, now).await;
    assert!(matches!(link, Err(BlobError::TooLarge(_))), "{link:?}");
    let no_digest = Content {
        sha256: "ABC".to_owned(),
        ..content
    };
    let link = blobs::link_put(store, at, &no_digest, 60, now).await;
    assert!(matches!(link, Err(BlobError::Malformed(_))), "{link:?}");
}

on_both![blobs_expire, a_link_ends_with_its_blob, what_is_asked_has_bounds];
