//! What only a server brings with it: that it is gone, silent or starts anew, and that it encrypts.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use millwork_host::capability::blobs::body::Body;
use millwork_host::capability::blobs::s3::{S3Blobs, S3Settings};
use millwork_host::capability::blobs::{BlobError, Blobs, Content};
use millwork_tests::servers::S3;

use super::{assert_absent, keys, papers, put, read, settings_of, whole};

const TIMEOUT: Duration = Duration::from_millis(500);
/// As long as a busy machine may take over it.
const WITHIN: Duration = Duration::from_secs(30);

async fn fails_in_time(endpoint: String) {
    let store = S3Blobs::new(S3Settings {
        endpoint: Some(endpoint),
        access_key: "a".to_owned(),
        secret_key: "s".to_owned(),
        path_style: true,
        timeout: TIMEOUT,
        ..S3Settings::default()
    });
    let (papers, started) = (papers(), Instant::now());
    let at = papers.at("a");
    let content = Content::of(b"x", "text/plain");
    let failed = |what: &str, error: Option<BlobError>| {
        assert!(matches!(error, Some(BlobError::Failed(_))), "{what}: {error:?}");
    };
    let body = Body::of(Bytes::from_static(b"x"));
    failed("put", store.put(at, &content, body).await.err());
    failed("read", store.read(at, None, 0, 1).await.err());
    failed("stat", store.stat(at, None).await.err());
    failed("remove", store.remove(at).await.err());
    let page = store.page(&papers.tenant, &papers.bucket, "", whole());
    failed("page", page.await.err());
    failed("versions", store.versions(at, whole()).await.err());
    assert!(started.elapsed() < WITHIN, "{:?}", started.elapsed());
}

#[tokio::test]
async fn a_server_that_is_gone() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    fails_in_time(url).await;
}

#[tokio::test]
async fn a_server_that_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    fails_in_time(format!("http://{}", listener.local_addr().unwrap())).await;
}

#[tokio::test]
async fn a_server_that_starts_anew() {
    let Some(mut server) = S3.start() else { return };
    let settings = S3Settings {
        timeout: Duration::from_secs(5),
        ..settings_of(&server)
    };
    let store: Arc<dyn Blobs> = Arc::new(S3Blobs::new(settings));
    let papers = papers();
    let before = put(&store, papers.at("a"), "before").await;
    server.stop();
    let gone = store.stat(papers.at("a"), None).await;
    assert!(matches!(gone, Err(BlobError::Failed(_))), "{gone:?}");
    server.run();
    assert_eq!(store.stat(papers.at("a"), None).await.unwrap(), before);
    put(&store, papers.at("a"), "after").await;
    assert_eq!(read(&store, papers.at("a"), None).await.unwrap(), "after");
    let version = Some(before.version.as_str());
    assert_eq!(read(&store, papers.at("a"), version).await.unwrap(), "before");
}

#[tokio::test]
async fn what_is_encrypted_is_read_as_it_was() {
    let Some(server) = S3.shared() else { return };
    let store: Arc<dyn Blobs> = Arc::new(S3Blobs::new(S3Settings {
        encrypted: true,
        ..settings_of(server)
    }));
    let papers = papers();
    let written = put(&store, papers.at("secret"), "plain").await;
    assert_eq!(store.stat(papers.at("secret"), None).await.unwrap(), written);
    assert_eq!(read(&store, papers.at("secret"), None).await.unwrap(), "plain");
    let part = store.read(papers.at("secret"), None, 2, 2).await.unwrap();
    assert_eq!(part, b"ai");
}

#[tokio::test]
async fn wrong_keys_are_unavailable_and_not_absent() {
    let Some(server) = S3.shared() else { return };
    let settings = settings_of(server);
    let right: Arc<dyn Blobs> = Arc::new(S3Blobs::new(settings.clone()));
    let papers = papers();
    put(&right, papers.at("a"), "x").await;
    let wrong = S3Blobs::new(S3Settings {
        secret_key: "wrong".to_owned(),
        ..settings
    });
    let stat = wrong.stat(papers.at("a"), None).await;
    assert!(matches!(stat, Err(BlobError::Failed(_))), "{stat:?}");
}

#[tokio::test]
async fn a_second_host_finds_what_the_first_has_made() {
    let Some(server) = S3.shared() else { return };
    let settings = settings_of(server);
    let one: Arc<dyn Blobs> = Arc::new(S3Blobs::new(settings.clone()));
    let other: Arc<dyn Blobs> = Arc::new(S3Blobs::new(settings));
    let papers = papers();
    put(&one, papers.at("a"), "one").await;
    assert_eq!(read(&other, papers.at("a"), None).await.unwrap(), "one");
    put(&other, papers.at("a"), "other").await;
    assert_eq!(read(&one, papers.at("a"), None).await.unwrap(), "other");
    other.remove(papers.at("a")).await.unwrap();
    assert_absent(&one.stat(papers.at("a"), None).await);
    assert!(keys(&one, &papers, "").await.is_empty());
}
