//! Profiles: where the data of a tenant is. A tenant names one when it is made and keeps it; several tenants of a profile
//! share its servers, and a profile that one tenant alone names is data of its own.

use std::time::Duration;

use serde::Deserialize;

use super::Config;
use super::file::{ConfigError, Secret};

/// The profile that is always there: everything on files of this host.
pub const EMBEDDED: &str = "embedded";
/// Longest beginning of the names of buckets, in bytes: of the 63 that S3 allows, 40 stay for the tenant.
const BUCKET_PREFIX_BYTES_MAX: usize = 23;
/// Longest name of a profile, in bytes.
const NAME_BYTES_MAX: usize = 40;

/// Which backend each capability has, and where the servers are.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Profile {
    /// Where events are kept.
    pub events: Events,
    /// Where documents are kept.
    pub documents: Documents,
    /// What forgets.
    pub cache: Cache,
    /// Where components search.
    pub search: Search,
    /// Where files and other large bytes are kept.
    pub blobs: Blobs,
    /// What carries what components say to each other.
    pub messages: Messages,
    /// For [`Events::Mongodb`] and [`Documents::Mongodb`].
    pub mongodb: Option<Mongodb>,
    /// For [`Cache::Redis`].
    pub redis: Option<Redis>,
    /// For [`Search::Elasticsearch`].
    pub elasticsearch: Option<Elasticsearch>,
    /// For [`Blobs::S3`].
    pub s3: Option<S3>,
    /// For [`Messages::Nats`].
    pub nats: Option<Nats>,
}

/// Backends of the event store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Events {
    /// A file in the data folder.
    #[default]
    Sqlite,
    /// A replica set or a sharded cluster.
    Mongodb,
}

/// Backends of documents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Documents {
    /// A file for each tenant.
    #[default]
    Sqlite,
    /// A replica set or a sharded cluster.
    Mongodb,
}

/// Backends of the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cache {
    /// In this process.
    #[default]
    Memory,
    /// A server that hosts share.
    Redis,
}

/// Backends of search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Search {
    /// Files of each tenant.
    #[default]
    Tantivy,
    /// A cluster that hosts share.
    Elasticsearch,
}

/// Backends of blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Blobs {
    /// Files of each tenant.
    #[default]
    Files,
    /// A server that hosts share.
    S3,
}

/// Backends of messages.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Messages {
    /// A file in the data folder.
    #[default]
    Sqlite,
    /// JetStream, to which the feed is relayed as well.
    Nats,
}

/// A MongoDB deployment.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mongodb {
    /// `mongodb://` or `mongodb+srv://`, with credentials.
    pub url: Secret,
    /// The database; no two installations may share one.
    pub database: String,
    /// Connections to one server at most; further operations wait for one.
    pub connections_max: u32,
    /// How long one operation may take before it counts as failed.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for Mongodb {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            database: "millwork".to_owned(),
            connections_max: 50,
            timeout: Duration::from_secs(5),
        }
    }
}

/// A Redis server.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Redis {
    /// `redis://` or `rediss://`, with credentials.
    pub url: Secret,
    /// What all keys begin with, so that several installations can share a server; empty for the only one.
    pub key_prefix: String,
    /// How long one operation may take before callers go on without.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for Redis {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            key_prefix: String::new(),
            timeout: Duration::from_millis(500),
        }
    }
}

/// An Elasticsearch cluster.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Elasticsearch {
    /// `http://` or `https://`, without credentials.
    pub url: Secret,
    /// The user; none when absent.
    pub user: Option<String>,
    /// The user's password.
    pub password: Secret,
    /// What the names of all indexes begin with.
    pub prefix: String,
    /// How long one request may take before it counts as failed.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// Copies of each shard.
    pub replicas: u32,
}

impl Default for Elasticsearch {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            user: None,
            password: Secret::default(),
            prefix: "millwork-".to_owned(),
            timeout: Duration::from_secs(5),
            replicas: 1,
        }
    }
}

/// AWS, or a server that speaks S3.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct S3 {
    /// `http://` or `https://`, without credentials; that of AWS for the region when absent.
    pub endpoint: Option<String>,
    /// The same for browsers and others who get links; `endpoint` when absent.
    pub public_endpoint: Option<String>,
    /// Where the buckets are.
    pub region: String,
    /// What the names of all buckets begin with: lowercase letters, digits and hyphens, at most 23.
    pub bucket_prefix: String,
    /// Who asks.
    pub access_key: Secret,
    /// What proves it.
    pub secret_key: Secret,
    /// Whether buckets stand in the path of URLs, as most servers but AWS want it.
    pub path_style: bool,
    /// Whether the server encrypts what it keeps.
    pub encryption: Encryption,
    /// How long one request, of up to 8 MiB, may take before it counts as failed.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

/// Encryption on the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Encryption {
    /// As the bucket's own settings say.
    #[default]
    None,
    /// With keys of the server (SSE-S3).
    Aes256,
}

impl Default for S3 {
    fn default() -> Self {
        Self {
            endpoint: None,
            public_endpoint: None,
            region: "us-east-1".to_owned(),
            bucket_prefix: "millwork-".to_owned(),
            access_key: Secret::default(),
            secret_key: Secret::default(),
            path_style: false,
            encryption: Encryption::None,
            timeout: Duration::from_secs(10),
        }
    }
}

/// NATS servers with JetStream.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Nats {
    /// `nats://` or `tls://`, several with commas between them, with credentials.
    pub url: Secret,
    /// Stands before every stream, bucket and subject: capital letters and digits, or nothing.
    pub prefix: String,
    /// Copies of everything that is kept: 1, or 3 in a cluster of servers.
    pub replicas: usize,
    /// How long one request may take before it counts as failed.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
}

impl Default for Nats {
    fn default() -> Self {
        Self {
            url: Secret::default(),
            prefix: String::new(),
            replicas: 1,
            timeout: Duration::from_secs(5),
        }
    }
}

impl Config {
    /// The profile of this name.
    #[must_use]
    pub fn find_profile(&self, name: &str) -> Option<Profile> {
        match self.profiles.get(name) {
            None if name == EMBEDDED => Some(Profile::default()),
            found => found.cloned(),
        }
    }

    /// Whether what is named is there, and what is secret can be read.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.find_profile(&self.profile).is_none() {
            return Err(ConfigError::wrong(
                "profile",
                format!("there is no profile {:?}", self.profile),
            ));
        }
        self.sessions.check()?;
        for (name, profile) in &self.profiles {
            let key = format!("profiles.{name}");
            if name == EMBEDDED {
                return Err(ConfigError::wrong(key, "is there already and is not changed"));
            }
            let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.bytes().all(allowed) {
                let why = format!("a name has 1 to {NAME_BYTES_MAX} lowercase letters, digits and hyphens");
                return Err(ConfigError::wrong(key, why));
            }
            profile.check(&key)?;
        }
        match &self.cluster {
            Some(cluster) => cluster.check(self),
            None => Ok(()),
        }
    }
}

impl Profile {
    /// Whether several hosts can work on the data of a tenant: nothing of it is on one of them.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.events == Events::Mongodb
            && self.documents == Documents::Mongodb
            && self.cache == Cache::Redis
            && self.search == Search::Elasticsearch
            && self.blobs == Blobs::S3
            && self.messages == Messages::Nats
    }

    fn check(&self, key: &str) -> Result<(), ConfigError> {
        let on_mongodb = self.events == Events::Mongodb || self.documents == Documents::Mongodb;
        match &self.mongodb {
            Some(mongodb) => mongodb.check(&format!("{key}.mongodb"))?,
            None if on_mongodb => return Err(absent(key, "mongodb")),
            None => {}
        }
        match &self.redis {
            Some(redis) => {
                let url_key = format!("{key}.redis.url");
                is_url(&url_key, &redis.url.read(&url_key)?, &["redis", "rediss"])?;
            }
            None if self.cache == Cache::Redis => return Err(absent(key, "redis")),
            None => {}
        }
        match &self.elasticsearch {
            Some(elasticsearch) => elasticsearch.check(&format!("{key}.elasticsearch"))?,
            None if self.search == Search::Elasticsearch => return Err(absent(key, "elasticsearch")),
            None => {}
        }
        match &self.s3 {
            Some(s3) => s3.check(&format!("{key}.s3"))?,
            None if self.blobs == Blobs::S3 => return Err(absent(key, "s3")),
            None => {}
        }
        match &self.nats {
            Some(nats) => nats.check(&format!("{key}.nats")),
            None if self.messages == Messages::Nats => Err(absent(key, "nats")),
            None => Ok(()),
        }
    }
}

impl Mongodb {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        let url_key = format!("{key}.url");
        is_url(&url_key, &self.url.read(&url_key)?, &["mongodb", "mongodb+srv"])?;
        // https://www.mongodb.com/docs/manual/reference/limits/#naming-restrictions
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if self.database.is_empty() || self.database.len() > 38 || !self.database.bytes().all(allowed) {
            let why = "is 1 to 38 letters, digits, underscores and hyphens";
            return Err(ConfigError::wrong(format!("{key}.database"), why));
        }
        Ok(())
    }
}

impl Elasticsearch {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        let url_key = format!("{key}.url");
        is_url(&url_key, &self.url.read(&url_key)?, &["http", "https"])?;
        if self.user.is_some() {
            self.password.read(&format!("{key}.password"))?;
        }
        Ok(())
    }
}

impl S3 {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        for (name, url) in [
            ("endpoint", &self.endpoint),
            ("public_endpoint", &self.public_endpoint),
        ] {
            if let Some(url) = url {
                is_url(&format!("{key}.{name}"), url, &["http", "https"])?;
            }
        }
        for (name, secret) in [("access_key", &self.access_key), ("secret_key", &self.secret_key)] {
            let key = format!("{key}.{name}");
            if secret.read(&key)?.is_empty() {
                return Err(ConfigError::wrong(key, "is missing"));
            }
        }
        if self.region.is_empty() {
            return Err(ConfigError::wrong(format!("{key}.region"), "is empty"));
        }
        // https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let (prefix, most) = (&self.bucket_prefix, BUCKET_PREFIX_BYTES_MAX);
        if prefix.len() > most || prefix.starts_with('-') || !prefix.bytes().all(allowed) {
            let why =
                format!("is at most {most} lowercase letters, digits and hyphens, a hyphen not the first");
            return Err(ConfigError::wrong(format!("{key}.bucket_prefix"), why));
        }
        Ok(())
    }
}

impl Nats {
    fn check(&self, key: &str) -> Result<(), ConfigError> {
        let url_key = format!("{key}.url");
        is_url(&url_key, &self.url.read(&url_key)?, &["nats", "tls"])?;
        let allowed = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit();
        if !self.prefix.bytes().all(allowed) {
            let why = "is capital letters and digits, or nothing";
            return Err(ConfigError::wrong(format!("{key}.prefix"), why));
        }
        Ok(())
    }
}

fn absent(profile: &str, section: &str) -> ConfigError {
    missing(
        format!("{profile}.{section}"),
        "a backend of the profile needs it",
    )
}

/// A section is not there, and who needs it.
pub(super) fn missing(key: String, who: &str) -> ConfigError {
    ConfigError::wrong(key, format!("is missing, and {who}"))
}

/// The value itself may hold a password, so it is not shown.
pub(super) fn is_url(key: &str, url: &str, schemes: &[&str]) -> Result<(), ConfigError> {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme);
    if scheme.is_some_and(|scheme| schemes.contains(&scheme)) {
        return Ok(());
    }
    let expected: Vec<String> = schemes.iter().map(|scheme| format!("{scheme}://")).collect();
    Err(ConfigError::wrong(
        key,
        format!("begins with {}", expected.join(" or ")),
    ))
}
