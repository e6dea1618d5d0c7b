//! Where the registry's records and artifacts are: files of this host, or servers that the hosts of a cluster share.
//!
//! The registry blocks and knows no runtime; what stands here bridges to the drivers, which are async. Artifacts are read
//! from servers once: each host keeps those that it has seen in its data folder.

pub mod mongodb;
pub mod chunks;
pub mod s3;
pub mod cached;

use std::path::Path;
use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use millwork_registry::Error as Refusal;
use millwork_registry::store::{Artifacts, FileArtifacts, Files, Store};
use tokio::runtime::Handle;

use self::cached::CachedArtifacts;
use self::chunks::MongoArtifacts;
use self::mongodb::MongoStore;
use self::s3::S3Artifacts;
use crate::capability::blobs::s3::S3Settings;
use crate::config::cluster::Cluster;
use crate::config::{Config, profile};
use crate::error::Error;
use crate::mongodb::MongoSettings;

/// Artifacts in the data folder: all there are, or those that were seen.
const ARTIFACTS: &str = "registry/artifacts";

/// The largest artifact goes in one request, and is as much as this many of those that a profile's timeout is for.
const ARTIFACT_REQUESTS: u32 = 8;

/// What the registry is kept in.
#[derive(Debug, Clone)]
pub struct RegistryStore {
    /// Releases, keys, tenants, generations, swaps.
    pub records: Arc<dyn Store>,
    /// Components.
    pub artifacts: Arc<dyn Artifacts>,
}

impl RegistryStore {
    /// What the settings say. Servers are reached when something is asked of them, on the runtime that this is called on.
    /// Blocks.
    ///
    /// # Errors
    /// [`Error::Registry`] when the data folder cannot be used; [`Error::Unavailable`] when a secret cannot be read.
    pub fn open(config: &Config) -> Result<Self, Error> {
        let files = FileArtifacts::open(&config.data.join(ARTIFACTS))?;
        match &config.cluster {
            Some(cluster) => Self::of_cluster(config, cluster, files),
            None => Self::of_files(&config.data, files),
        }
    }

    fn of_files(data: &Path, artifacts: FileArtifacts) -> Result<Self, Error> {
        Ok(Self {
            records: Arc::new(Files::open(data)?),
            artifacts: Arc::new(artifacts),
        })
    }

    fn of_cluster(config: &Config, cluster: &Cluster, files: FileArtifacts) -> Result<Self, Error> {
        let name = &cluster.profile;
        let profile = config.find_profile(name);
        let Some(mongodb) = profile.as_ref().and_then(|profile| profile.mongodb.as_ref()) else {
            return Err(Error::Unavailable(format!("profile {name} has no MongoDB")));
        };
        let settings = MongoSettings::of(name, mongodb);
        let settings = settings.map_err(|error| Error::Unavailable(error.to_string()))?;
        let what = format!("MongoDB of profile {name}");
        let records = Arc::new(MongoStore::new(settings, what, Handle::current()));
        let shared: Arc<dyn Artifacts> = match profile.as_ref().and_then(|profile| profile.s3.as_ref()) {
            Some(s3) => Arc::new(on_s3(name, s3)?),
            None => Arc::new(MongoArtifacts::new(Arc::clone(&records))),
        };
        Ok(Self {
            records,
            artifacts: Arc::new(CachedArtifacts::new(files, shared)),
        })
    }
}

/// In a bucket beside those of tenants, whose names have a hyphen after the prefix.
fn on_s3(name: &str, s3: &profile::S3) -> Result<S3Artifacts, Error> {
    let settings = S3Settings::of(name, s3).map_err(|error| Error::Unavailable(error.to_string()))?;
    let limits = TimeoutConfig::builder()
        .connect_timeout(s3.timeout)
        .operation_timeout(s3.timeout * ARTIFACT_REQUESTS);
    let client = settings.client();
    let config = client.config().to_builder().timeout_config(limits.build());
    Ok(S3Artifacts::new(
        Client::from_conf(config.build()),
        format!("{}artifacts", settings.bucket_prefix),
        format!("S3 of profile {name}"),
        Handle::current(),
    ))
}

/// Tells the log why, and others what: the cause may name servers.
fn unreached(what: &str, error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "{what} is not reached");
    Refusal::Unavailable(format!("{what} does not answer"))
}
