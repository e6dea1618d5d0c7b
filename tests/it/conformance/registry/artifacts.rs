//! Artifacts, on files, in chunks, and in a bucket; and those that a host keeps of what is shared.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{BehaviorVersion, Config, Credentials, Region};
use aws_smithy_http_client::tls;
use millwork_host::registry_store::cached::CachedArtifacts;
use millwork_host::registry_store::chunks::MongoArtifacts;
use millwork_host::registry_store::s3::S3Artifacts;
use millwork_registry::id::Digest;
use millwork_registry::store::{Artifacts, FileArtifacts};
use millwork_tests::servers::s3::Access;
use millwork_tests::servers::{MONGODB, S3};
use tempfile::TempDir;
use tokio::runtime::Handle;

use super::super::on_every_backend;
use super::{settings, two_stores};

/// Two hosts' handles on the same artifacts.
type Hosts = [Arc<dyn Artifacts>; 2];

struct OnFiles {
    hosts: Hosts,
    _folder: TempDir,
}

impl OnFiles {
    fn store(&self) -> &Hosts {
        &self.hosts
    }
}

async fn start_files() -> OnFiles {
    let folder = tempfile::tempdir().unwrap();
    let files: Arc<dyn Artifacts> = Arc::new(files(folder.path()));
    OnFiles {
        hosts: [Arc::clone(&files), files],
        _folder: folder,
    }
}

fn files(folder: &Path) -> FileArtifacts {
    FileArtifacts::open(folder).unwrap()
}

struct OnServer(Hosts);

impl OnServer {
    fn store(&self) -> &Hosts {
        &self.0
    }
}

async fn reach_mongodb() -> Option<OnServer> {
    let [one, other] = two_stores(&settings(MONGODB.shared()?.url()));
    Some(OnServer([
        Arc::new(MongoArtifacts::new(one)),
        Arc::new(MongoArtifacts::new(other)),
    ]))
}

async fn reach_s3() -> Option<OnServer> {
    static BUCKETS: AtomicU32 = AtomicU32::new(0);
    let access = Access::to(S3.shared()?);
    let number = BUCKETS.fetch_add(1, Ordering::Relaxed);
    let bucket = format!("millwork-artifacts-{}-{number}", std::process::id());
    let host = || {
        let what = "S3 of a test".to_owned();
        S3Artifacts::new(client(&access), bucket.clone(), what, Handle::current())
    };
    Some(OnServer([Arc::new(host()), Arc::new(host())]))
}

fn client(access: &Access) -> Client {
    let connector = aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring))
        .build_https();
    let limits = TimeoutConfig::builder()
        .operation_timeout(Duration::from_secs(60))
        .build();
    let keys = Credentials::new(&access.access_key, &access.secret_key, None, None, "tests");
    Client::from_conf(
        Config::builder()
            .behavior_version(BehaviorVersion::v2026_01_12())
            .http_client(connector)
            .endpoint_url(&access.endpoint)
            .region(Region::new(access.region.clone()))
            .credentials_provider(keys)
            .force_path_style(true)
            .timeout_config(limits)
            .build(),
    )
}

on_every_backend! {
    backends: { files: start_files },
    servers: { on_mongodb: reach_mongodb, on_s3: reach_s3 },
    cases: [
        what_was_put_is_read,
        what_was_not_put_is_not_there,
        what_is_there_may_be_put_again,
        both_may_put_the_same,
        each_host_keeps_what_it_has_seen,
    ],
}

/// A large one: several chunks, and no multiple of them.
fn large() -> Vec<u8> {
    (0..=u8::MAX).cycle().take((17 << 20) + 3).collect()
}

async fn what_was_put_is_read(hosts: &Hosts) {
    let [one, other] = hosts;
    for bytes in [large(), vec![1], Vec::new()] {
        let digest = Digest::of(&bytes);
        one.put(&digest, &bytes).unwrap();
        assert!(other.get(&digest).unwrap() == Some(bytes));
    }
}

async fn what_was_not_put_is_not_there(hosts: &Hosts) {
    let [one, other] = hosts;
    assert_eq!(one.get(&Digest::of(b"nothing")).unwrap(), None);
    one.put(&Digest::of(b"something"), b"something").unwrap();
    assert_eq!(other.get(&Digest::of(b"nothing")).unwrap(), None);
}

async fn what_is_there_may_be_put_again(hosts: &Hosts) {
    let [one, other] = hosts;
    let digest = Digest::of(b"whole");
    for _ in 0..2 {
        one.put(&digest, b"whole").unwrap();
    }
    assert_eq!(other.get(&digest).unwrap().unwrap(), b"whole");
}

async fn both_may_put_the_same(hosts: &Hosts) {
    let bytes = large();
    let digest = Digest::of(&bytes);
    std::thread::scope(|scope| {
        for host in hosts {
            scope.spawn(|| host.put(&digest, &bytes).unwrap());
        }
    });
    assert!(hosts[0].get(&digest).unwrap() == Some(bytes));
}

async fn each_host_keeps_what_it_has_seen(hosts: &Hosts) {
    let [shared, _] = hosts;
    let folder = tempfile::tempdir().unwrap();
    let cached = CachedArtifacts::new(files(folder.path()), Arc::clone(shared));
    let digest = Digest::of(b"whole");
    let file = folder.path().join(format!("sha256-{}.wasm", digest.hex()));
    shared.put(&digest, b"whole").unwrap();
    assert_eq!(cached.get(&digest).unwrap().unwrap(), b"whole");
    assert_eq!(fs::read(&file).unwrap(), b"whole");

    fs::write(&file, "broken").unwrap();
    assert_eq!(cached.get(&digest).unwrap().unwrap(), b"whole");
    assert_eq!(fs::read(&file).unwrap(), b"whole", "it was mended");

    let own = Digest::of(b"mine");
    cached.put(&own, b"mine").unwrap();
    assert_eq!(shared.get(&own).unwrap().unwrap(), b"mine");
    assert_eq!(cached.get(&Digest::of(b"nothing")).unwrap(), None);
}
