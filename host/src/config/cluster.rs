//! Several hosts over the same servers. Each serves any tenant; what runs once for a tenant runs on the host that holds its
//! lease, and the others send there what only that one can answer.

use std::time::Duration;

use serde::Deserialize;

use super::Config;
use super::file::{ConfigError, Secret};
use super::profile::{is_url, missing};

/// Shortest lease: a renewal must have its time even when a server is slow.
const LEASE_MIN: Duration = Duration::from_secs(1);

/// What a host is told about the cluster that it is part of.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Cluster {
    /// The profile whose servers keep what hosts share: releases and what tenants run (MongoDB and S3), leases (Redis) and
    /// announcements (NATS). The same on all hosts.
    pub profile: String,
    /// Where the others reach this host, `http://host:port`, in a network that is the cluster's own. Empty is where it
    /// listens, and by its name where it listens everywhere.
    pub address: String,
    /// How long a host that has died keeps the tenants that it worked for: the lease is renewed three times as often.
    #[serde(with = "humantime_serde")]
    pub lease: Duration,
    /// The key that signs tokens, as PEM (PKCS #8, Ed25519), so that a token is good at every host.
    pub host_key: Secret,
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            profile: String::new(),
            address: String::new(),
            lease: Duration::from_secs(10),
            host_key: Secret::default(),
        }
    }
}

impl Cluster {
    /// Whether a host can join with this.
    ///
    /// # Errors
    /// [`ConfigError::Wrong`].
    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        let Some(profile) = config.profiles.get(&self.profile) else {
            let why = format!("there is no profile {:?}", self.profile);
            return Err(ConfigError::wrong("cluster.profile", why));
        };
        let section = |name: &str| format!("profiles.{}.{name}", self.profile);
        for (name, there) in [
            ("mongodb", profile.mongodb.is_some()),
            ("redis", profile.redis.is_some()),
            ("nats", profile.nats.is_some()),
        ] {
            if !there {
                return Err(missing(section(name), "the cluster needs it"));
            }
        }
        if !self.address.is_empty() {
            is_url("cluster.address", &self.address, &["http"])?;
        }
        self.host_key.read("cluster.host_key")?;
        if self.lease < LEASE_MIN {
            return Err(ConfigError::wrong("cluster.lease", "is one second or more"));
        }
        match config.find_profile(&config.profile) {
            Some(profile) if !profile.is_shared() => {
                let why = "is on files of one host, which the others of a cluster cannot read";
                Err(ConfigError::wrong(
                    "profile",
                    format!("{:?} {why}", config.profile),
                ))
            }
            _ => Ok(()),
        }
    }
}
