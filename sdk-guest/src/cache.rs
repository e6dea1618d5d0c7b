//! Fast storage that may forget: bytes that may vanish at any moment, so callers can always do without.

use std::time::Duration;

use crate::bindings::lifecycle::millwork::cache::cache as wit;
use crate::host;

/// Why the cache did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The manifest does not ask for `cache`.
    #[error("denied: {0}")]
    Denied(String),
    /// Key over 512 bytes or value over 1 MiB.
    #[error("too large: {0}")]
    TooLarge(String),
    /// The server cannot be reached: go on without.
    #[error("the cache cannot be reached")]
    Unavailable,
}

impl From<wit::Error> for Error {
    fn from(error: wit::Error) -> Self {
        match error {
            wit::Error::Denied(m) => Self::Denied(m),
            wit::Error::TooLarge(m) => Self::TooLarge(m),
            wit::Error::Unavailable => Self::Unavailable,
        }
    }
}

/// The value, if it is still there.
///
/// # Errors
/// See [`enum@Error`].
pub fn get(key: &str) -> Result<Option<Vec<u8>>, Error> {
    Ok(host::cache::get(key)?)
}

/// Keeps a value for at most this long; over 49 days counts as that.
///
/// # Errors
/// See [`enum@Error`].
pub fn put(key: &str, value: &[u8], ttl: Duration) -> Result<(), Error> {
    Ok(host::cache::put(key, value, millis(ttl))?)
}

/// Forgets a value; false when there was none.
///
/// # Errors
/// See [`enum@Error`].
pub fn remove(key: &str) -> Result<bool, Error> {
    Ok(host::cache::remove(key)?)
}

/// Adds to a counter, atomically, and gives the sum; a missing one starts at 0 with this time to live.
///
/// # Errors
/// See [`enum@Error`].
pub fn add(key: &str, by: i64, ttl: Duration) -> Result<i64, Error> {
    Ok(host::cache::add(key, by, millis(ttl))?)
}

fn millis(ttl: Duration) -> u32 {
    u32::try_from(ttl.as_millis()).unwrap_or(u32::MAX)
}
