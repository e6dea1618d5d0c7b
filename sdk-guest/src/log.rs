//! The host's structured log; every line carries tenant, component and version. Allowed in pure calls.

use serde::Serialize;

use crate::aggregate::json_of;
pub use crate::bindings::lifecycle::millwork::platform::log::Level;
use crate::host;

/// Writes one line with fields, an object; message and fields together are cut at 8 KiB.
pub fn write<T: Serialize>(level: Level, message: &str, fields: &T) {
    host::log::write(level, message, &json_of("log fields", fields));
}

/// What helps to follow a single call.
pub fn debug(message: &str) {
    host::log::write(Level::Debug, message, "");
}

/// What an operator wants to know.
pub fn info(message: &str) {
    host::log::write(Level::Info, message, "");
}

/// What is odd and harmless.
pub fn warn(message: &str) {
    host::log::write(Level::Warn, message, "");
}

/// What went wrong.
pub fn error(message: &str) {
    host::log::write(Level::Error, message, "");
}
