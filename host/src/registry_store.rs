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

use millwork_registry::Error as Refusal;
use millwork_registry::store::{Artifacts, FileArtifacts, Files, Store};
use tokio::runtime::Handle;

use self::cached::CachedArtifacts;
use self::chunks::MongoArtifacts;
use self::mongodb::MongoStore;
use crate::config::Config;
use crate::config::cluster::Cluster;
use crate::error::Error;
use crate::mongodb::MongoSettings;

/// Artifacts in the data folder: all there are, or those that were seen.
const ARTIFACTS: &str = "registry/artifacts";

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
        let shared = MongoArtifacts::new(Arc::clone(&records));
        Ok(Self {
            records,
            artifacts: Arc::new(CachedArtifacts::new(files, Arc::new(shared))),
        })
    }
}

/// Tells the log why, and others what: the cause may name servers.
fn unreached(what: &str, error: &dyn std::fmt::Display) -> Refusal {
    tracing::error!(%error, "{what} is not reached");
    Refusal::Unavailable(format!("{what} does not answer"))
}
