//! How tenants are moved between hosts and profiles.

use std::time::Duration;

use serde::Deserialize;

/// Bounds of exports and imports.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MovingLimits {
    /// Bytes of an archive that is imported. It is kept on the disk of the data folder while it is.
    pub archive_bytes_max: u64,
    /// Time for a whole import, from the first byte of the archive to the last read model.
    #[serde(with = "humantime_serde")]
    pub import_timeout: Duration,
    /// How long of that an import waits for read models; they go on being built after it.
    #[serde(with = "humantime_serde")]
    pub rebuild_wait_max: Duration,
    /// Exports and imports at once; more wait.
    pub at_once: usize,
}

impl Default for MovingLimits {
    fn default() -> Self {
        Self {
            archive_bytes_max: 64 << 30,
            import_timeout: Duration::from_secs(6 * 3_600),
            rebuild_wait_max: Duration::from_secs(1_800),
            at_once: 2,
        }
    }
}
