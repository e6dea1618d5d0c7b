//! Randomness, for what is not pure; decisions get their ids in their context.

use crate::host;

/// Bytes from the operating system's generator; asking for more than 64 KiB ends the call.
#[must_use]
pub fn bytes(length: u32) -> Vec<u8> {
    host::random::bytes(length)
}

/// A fresh UUID, version 7 (RFC 9562).
#[must_use]
pub fn uuid() -> String {
    host::random::uuid()
}
