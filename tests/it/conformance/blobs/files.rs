//! What only the files promise: what a crash or a full disk leaves behind, and that space comes back.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use millwork_host::capability::blobs::body::Body;
use millwork_host::capability::blobs::{BlobError, Blobs, Content};
use tempfile::TempDir;

use super::{files_in, keys, papers, put, read};

/// Files below a tenant's folder for blobs.
fn count(folder: &TempDir) -> usize {
    fn walk(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        entries
            .map(|path| if path.is_dir() { walk(&path) } else { 1 })
            .sum()
    }
    walk(&folder.path().join("tenants/acme/blobs"))
}

#[tokio::test]
async fn all_is_there_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let papers = papers();
    let written = {
        let store: Arc<dyn Blobs> = Arc::new(files_in(&folder));
        put(&store, papers.at("a"), "old").await;
        put(&store, papers.at("a"), "new").await
    };
    let store: Arc<dyn Blobs> = Arc::new(files_in(&folder));
    assert_eq!(store.stat(papers.at("a"), None).await.unwrap(), written);
    assert_eq!(read(&store, papers.at("a"), None).await.unwrap(), "new");
    assert_eq!(count(&folder), 2);
}

#[tokio::test]
async fn what_a_crash_left_behind_is_put_in_place_or_removed() {
    let folder = tempfile::tempdir().unwrap();
    let papers = papers();
    let incoming = folder.path().join("tenants/acme/blobs/incoming");
    let version = {
        let store: Arc<dyn Blobs> = Arc::new(files_in(&folder));
        put(&store, papers.at("a"), "recorded").await.version
    };
    // As if the host had ended before it moved what it had recorded, and in the middle of another.
    let shelf = &version[version.len() - 2..];
    let place = folder
        .path()
        .join("tenants/acme/blobs")
        .join(shelf)
        .join(&version);
    fs::rename(&place, incoming.join(&version)).unwrap();
    fs::write(incoming.join("unfinished"), b"half").unwrap();
    let store: Arc<dyn Blobs> = Arc::new(files_in(&folder));
    assert_eq!(read(&store, papers.at("a"), None).await.unwrap(), "recorded");
    assert!(place.exists());
    assert_eq!(count(&folder), 1);
}

#[tokio::test]
async fn a_body_that_breaks_off_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let (store, papers) = (files_in(&folder), papers());
    let content = Content::of(b"announced", "text/plain");
    let refused = store
        .put(papers.at("a"), &content, Body::of(Bytes::from_static(b"other")))
        .await;
    assert!(matches!(refused, Err(BlobError::Differs(_))), "{refused:?}");
    assert_eq!(count(&folder), 0);
}

#[tokio::test]
async fn what_has_expired_gives_its_space_back() {
    let folder = tempfile::tempdir().unwrap();
    let files = Arc::new(files_in(&folder));
    let store: Arc<dyn Blobs> = files.clone();
    let mut temp = papers();
    temp.bucket.expire_after = Some(Duration::from_secs(3_600));
    put(&store, temp.at("a"), "old").await;
    let last = put(&store, temp.at("a"), "new").await;
    let other = super::Place::of("acme", "other", "papers");
    put(&store, other.at("a"), "stays").await;
    assert_eq!(count(&folder), 3);
    let clear = |now| files.clear(&temp.tenant, &temp.bucket, now).unwrap();
    clear(last.written_at);
    assert_eq!(count(&folder), 3);
    clear(last.written_at + 3_600_000);
    assert_eq!(count(&folder), 1);
    assert!(keys(&store, &temp, "").await.is_empty());
    assert_eq!(read(&store, other.at("a"), None).await.unwrap(), "stays");
}

#[tokio::test]
async fn a_disk_that_refuses_is_told_and_nothing_else_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Blobs> = Arc::new(files_in(&folder));
    let papers = papers();
    put(&store, papers.at("a"), "before").await;
    let incoming = folder.path().join("tenants/acme/blobs/incoming");
    fs::remove_dir(&incoming).unwrap();
    fs::write(&incoming, b"in the way").unwrap();
    let bytes = Bytes::from_static(b"x");
    let content = Content::of(&bytes, "text/plain");
    let refused = store.put(papers.at("a"), &content, Body::of(bytes)).await;
    assert!(matches!(refused, Err(BlobError::Failed(_))), "{refused:?}");
    assert_eq!(read(&store, papers.at("a"), None).await.unwrap(), "before");
    fs::remove_file(&incoming).unwrap();
    fs::create_dir(&incoming).unwrap();
    put(&store, papers.at("a"), "after").await;
    assert_eq!(read(&store, papers.at("a"), None).await.unwrap(), "after");
}
