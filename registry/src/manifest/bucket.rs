//! Buckets: where a component keeps blobs, and for how long.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Longest name of a bucket, in bytes.
pub const BUCKET_NAME_BYTES_MAX: usize = 20;

/// A place for blobs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Bucket {
    /// How long after it was written each version of a blob is there; for ever when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expire_after: Option<Lifetime>,
}

/// A time in hours or days, as text: `24h`, `30d`. At least an hour, at most 36,500 days.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Lifetime {
    hours: u32,
}

const HOURS_OF_DAY: u32 = 24;
const HOURS_MAX: u32 = 36_500 * HOURS_OF_DAY;

impl Lifetime {
    fn parse(text: &str) -> Option<Self> {
        let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
        let unit = match unit {
            "h" => 1,
            "d" => HOURS_OF_DAY,
            _ => return None,
        };
        if !number.bytes().all(|byte| byte.is_ascii_digit()) || number.starts_with('0') {
            return None;
        }
        let hours = number.parse::<u32>().ok()?.checked_mul(unit)?;
        (1..=HOURS_MAX).contains(&hours).then_some(Self { hours })
    }

    /// The same as a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(u64::from(self.hours) * 3_600)
    }
}

impl fmt::Display for Lifetime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.hours.is_multiple_of(HOURS_OF_DAY) {
            write!(f, "{}d", self.hours / HOURS_OF_DAY)
        } else {
            write!(f, "{}h", self.hours)
        }
    }
}

impl TryFrom<String> for Lifetime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| {
            format!("{text:?} must be hours or days, such as 24h or 30d: at least 1h, at most 36500d")
        })
    }
}

impl From<Lifetime> for String {
    fn from(lifetime: Lifetime) -> Self {
        lifetime.to_string()
    }
}

/// Lowercase letters and digits, starting with a letter: without hyphens, so that a server's name of a bucket, made of a
/// tenant's name and this one with a hyphen between them, is no other's.
pub(super) fn is_bucket_name(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
    let holds = text
        .bytes()
        .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    starts_well && holds && text.len() <= BUCKET_NAME_BYTES_MAX
}
