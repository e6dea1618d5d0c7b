//! Blobs.

mod contents;
mod differing;
mod empty;
mod expiry;
mod files;
mod keys;
mod pages;
mod s3;
mod versions;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use millwork_host::capability::blobs::body::Body;
use millwork_host::capability::blobs::files::FilesBlobs;
use millwork_host::capability::blobs::link::LinkKey;
use millwork_host::capability::blobs::s3::{S3Blobs, S3Settings};
use millwork_host::capability::blobs::{Address, BlobError, Blobs, Bucket, Content, Info, Part};
use millwork_registry::id::TenantId;
use millwork_tests::servers::s3::Access;
use millwork_tests::servers::{S3, Service};
use tempfile::TempDir;

use super::tenant;

/// A store with the folder that it lives in.
struct Files {
    store: Arc<dyn Blobs>,
    _folder: TempDir,
}

impl Files {
    fn store(&self) -> &Arc<dyn Blobs> {
        &self.store
    }
}

fn files_in(folder: &TempDir) -> FilesBlobs {
    let key = LinkKey::open(folder.path()).unwrap();
    FilesBlobs::new(folder.path().join("tenants"), key)
}

async fn start_files() -> Files {
    let folder = tempfile::tempdir().unwrap();
    Files {
        store: Arc::new(files_in(&folder)),
        _folder: folder,
    }
}

/// A prefix of its own on the server that all cases share.
struct Server(Arc<dyn Blobs>);

impl Server {
    fn store(&self) -> &Arc<dyn Blobs> {
        &self.0
    }
}

async fn reach_s3() -> Option<Server> {
    Some(Server(Arc::new(S3Blobs::new(settings_of(S3.shared()?)))))
}

fn settings_of(service: &Service) -> S3Settings {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let access = Access::to(service);
    S3Settings {
        endpoint: Some(access.endpoint),
        region: access.region,
        access_key: access.access_key,
        secret_key: access.secret_key,
        bucket_prefix: format!(
            "t{}-{}-",
            std::process::id(),
            CASES.fetch_add(1, Ordering::Relaxed)
        ),
        path_style: true,
        timeout: Duration::from_secs(20),
        ..S3Settings::default()
    }
}

/// Runs each case on both backends.
macro_rules! on_both {
    ($($case:ident),+ $(,)?) => {
        use crate::conformance::blobs::{reach_s3, start_files};
        crate::conformance::on_every_backend! {
            backends: { files: start_files },
            servers: { s3: reach_s3 },
            cases: [$($case),+],
        }
    };
}
use on_both;

/// All that a case needs to name blobs.
struct Place {
    tenant: TenantId,
    bucket: Bucket,
}

impl Place {
    fn of(tenant_name: &str, module: &str, bucket: &str) -> Self {
        Self {
            tenant: tenant(tenant_name),
            bucket: Bucket {
                module: module.to_owned(),
                name: bucket.to_owned(),
                expire_after: None,
            },
        }
    }

    fn at<'a>(&'a self, key: &'a str) -> Address<'a> {
        Address {
            tenant: &self.tenant,
            bucket: &self.bucket,
            key,
        }
    }
}

fn papers() -> Place {
    Place::of("acme", "archivist", "papers")
}

async fn put(store: &Arc<dyn Blobs>, at: Address<'_>, text: &str) -> Info {
    let bytes = Bytes::from(text.to_owned());
    let content = Content::of(&bytes, "text/plain");
    store.put(at, &content, Body::of(bytes)).await.unwrap()
}

async fn read(store: &Arc<dyn Blobs>, at: Address<'_>, version: Option<&str>) -> Result<String, BlobError> {
    let bytes = store.read(at, version, 0, 1_000).await?;
    Ok(String::from_utf8(bytes).unwrap())
}

/// Keys of one page, all that there are.
async fn keys(store: &Arc<dyn Blobs>, of: &Place, prefix: &str) -> Vec<String> {
    let page = store.page(&of.tenant, &of.bucket, prefix, whole()).await.unwrap();
    assert_eq!(page.next, None);
    page.entries.into_iter().map(|entry| entry.name).collect()
}

fn whole() -> Part<'static> {
    Part {
        cursor: None,
        limit: 1_000,
    }
}

#[track_caller]
fn assert_absent<T: std::fmt::Debug>(result: &Result<T, BlobError>) {
    assert!(matches!(result, Err(BlobError::NotFound)), "{result:?}");
}
