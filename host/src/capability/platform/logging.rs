//! `wasi:logging` over `millwork:platform/log`, whose limits count for both together.

use serde_json::json;

use super::PlatformCall;
use crate::bindings::imports::millwork::platform::log::{self, Host as _};
use crate::bindings::standard::wasi::logging::logging::{Host, Level};

impl Host for PlatformCall {
    fn log(&mut self, level: Level, context: String, message: String) -> wasmtime::Result<()> {
        let level = match level {
            Level::Trace => log::Level::Trace,
            Level::Debug => log::Level::Debug,
            Level::Info => log::Level::Info,
            Level::Warn => log::Level::Warn,
            Level::Error | Level::Critical => log::Level::Error,
        };
        self.write(level, message, json!({ "context": context }).to_string())
    }
}
