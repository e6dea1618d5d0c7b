//! How long users stay signed in.

use std::time::Duration;

use serde::Deserialize;

use super::file::ConfigError;

/// Longest life of a session that can be set: that of a token.
const LONGEST_MAX: Duration = Duration::from_hours(24 * 366);
/// Most sessions of one user that can be set: all of them are looked at when one begins.
const PER_USER_MAX: usize = 1_000;

/// When sessions end by themselves.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionLimits {
    /// How long a session may be unused.
    #[serde(with = "humantime_serde")]
    pub idle: Duration,
    /// How long a session may last, however much it is used.
    #[serde(with = "humantime_serde")]
    pub longest: Duration,
    /// Sessions of one user of a tenant; the oldest ends when there would be more.
    pub per_user_max: usize,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            idle: Duration::from_hours(1),
            longest: Duration::from_hours(12),
            per_user_max: 10,
        }
    }
}

impl SessionLimits {
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.idle < Duration::from_millis(1) {
            return Err(ConfigError::wrong("sessions.idle", "is one millisecond or more"));
        }
        if self.longest < self.idle || self.longest > LONGEST_MAX {
            let why = "is at least sessions.idle, and at most 366 days";
            return Err(ConfigError::wrong("sessions.longest", why));
        }
        if !(1..=PER_USER_MAX).contains(&self.per_user_max) {
            let why = format!("is 1 to {PER_USER_MAX}");
            return Err(ConfigError::wrong("sessions.per_user_max", why));
        }
        Ok(())
    }
}
