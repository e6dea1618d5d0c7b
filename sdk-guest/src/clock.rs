//! The time, for what is not pure; decisions get theirs in their context.

use crate::host;
use crate::timestamp::Timestamp;

/// Now.
#[must_use]
pub fn now() -> Timestamp {
    Timestamp::from_millis(host::clock::now())
}
