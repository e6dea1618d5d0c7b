//! How releases travel.

use std::time::Duration;

use serde::Deserialize;

/// How releases are taken from and to other registries. They may be as large as those that are sent here.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ArtifactLimits {
    /// How long a connection may take to be made.
    #[serde(with = "humantime_serde")]
    pub connect_timeout: Duration,
    /// How long a registry may be silent.
    #[serde(with = "humantime_serde")]
    pub silence_timeout: Duration,
    /// How long all of a transfer may take: less than a request may, so that the answer says what was slow.
    #[serde(with = "humantime_serde")]
    pub transfer_timeout: Duration,
}

impl Default for ArtifactLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            silence_timeout: Duration::from_secs(10),
            transfer_timeout: Duration::from_secs(20),
        }
    }
}
