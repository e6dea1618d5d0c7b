//! Cache rules: which answers the host keeps, and for how long at most.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Error;

/// What makes the host keep the answers of a view or query: `cache: { ttl: 5m }`.
///
/// An answer is given from the cache until a collection behind it is written, or its time is over. It is everybody's who may
/// ask, so a query that is kept is not told who asks: its `user` is empty. What else a query may look at, such as the time
/// or another module, can be older than the answer says by at most that time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CacheRule {
    /// Longest time that an answer is kept, from [`Ttl::MIN`] to [`Ttl::MAX`].
    pub ttl: Ttl,
}

/// A time in whole seconds, minutes or hours: `30s`, `5m`, `1h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Ttl(u32);

impl Ttl {
    /// One second.
    pub const MIN: Self = Self(1);
    /// One day.
    pub const MAX: Self = Self(24 * 3_600);

    /// As a duration.
    #[must_use]
    pub fn duration(self) -> Duration {
        Duration::from_secs(self.0.into())
    }
}

impl fmt::Display for Ttl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            hours if hours > 0 && hours % 3_600 == 0 => write!(f, "{}h", hours / 3_600),
            minutes if minutes > 0 && minutes % 60 == 0 => write!(f, "{}m", minutes / 60),
            seconds => write!(f, "{seconds}s"),
        }
    }
}

impl TryFrom<String> for Ttl {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let units = [('s', 1), ('m', 60), ('h', 3_600)];
        let seconds = units.iter().find_map(|(unit, seconds)| {
            let digits = text.strip_suffix(*unit)?;
            let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let count: u32 = plain.then(|| digits.parse().ok())??;
            count.checked_mul(*seconds).map(Self)
        });
        seconds.ok_or(Error::Form {
            what: "time to live",
            text,
            expected: "a whole number and its unit, such as 30s, 5m or 1h",
        })
    }
}

impl From<Ttl> for String {
    fn from(ttl: Ttl) -> Self {
        ttl.to_string()
    }
}
