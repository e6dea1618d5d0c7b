//! What every component gets without asking: `millwork:platform` with log, clock and random.
//!
//! A log line always carries tenant and component, which the guest cannot set. Clock and random are host functions,
//! since several toolchains stub WASI's with frozen values.

mod logging;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use uuid::Uuid;

use super::Exhausted;
use crate::bindings::imports::millwork::platform::{clock, log, random};

/// Most random bytes of one call.
pub const RANDOM_BYTES_MAX: u32 = 64 << 10;

/// The platform as one call sees it.
#[derive(Debug)]
pub struct PlatformCall {
    tenant: Arc<str>,
    component: Arc<str>,
    lines_left: u32,
    line_bytes_max: usize,
    last_error: Option<String>,
    /// What a trial says is for its report, not for the log.
    on_trial: bool,
}

impl PlatformCall {
    /// For one call of `component` on behalf of `tenant`.
    #[must_use]
    pub fn new(tenant: Arc<str>, component: Arc<str>, lines_max: u32, line_bytes_max: usize) -> Self {
        Self {
            tenant,
            component,
            lines_left: lines_max,
            line_bytes_max,
            last_error: None,
            on_trial: false,
        }
    }

    /// The same for a call whose lines reach no log; its last error is kept.
    #[must_use]
    pub fn on_trial(self) -> Self {
        Self {
            on_trial: true,
            ..self
        }
    }

    /// The last line of level `error`: a panicking guest leaves its message there.
    #[must_use]
    pub fn last_error(&self) -> Option<&str> {
        self.last_error.as_deref()
    }
}

impl log::Host for PlatformCall {
    fn write(&mut self, level: log::Level, mut message: String, mut fields: String) -> wasmtime::Result<()> {
        let Some(left) = self.lines_left.checked_sub(1) else {
            metrics::counter!("millwork_component_log_lines_dropped_total").increment(1);
            return Ok(());
        };
        self.lines_left = left;
        cut(&mut message, self.line_bytes_max);
        cut(&mut fields, self.line_bytes_max - message.len());
        if self.on_trial {
            if matches!(level, log::Level::Error) {
                self.last_error = Some(message);
            }
            return Ok(());
        }
        let (tenant, component) = (&*self.tenant, &*self.component);
        match level {
            log::Level::Trace => tracing::trace!(target: "component", tenant, component, fields, "{message}"),
            log::Level::Debug => tracing::debug!(target: "component", tenant, component, fields, "{message}"),
            log::Level::Info => tracing::info!(target: "component", tenant, component, fields, "{message}"),
            log::Level::Warn => tracing::warn!(target: "component", tenant, component, fields, "{message}"),
            log::Level::Error => {
                tracing::error!(target: "component", tenant, component, fields, "{message}");
                self.last_error = Some(message);
            }
        }
        Ok(())
    }
}

/// Shortens text to at most `bytes_max`, at a character's end.
fn cut(text: &mut String, bytes_max: usize) {
    let mut end = bytes_max.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.truncate(end);
}

impl clock::Host for PlatformCall {
    fn now(&mut self) -> wasmtime::Result<u64> {
        Ok(now_ms())
    }
}

impl random::Host for PlatformCall {
    fn bytes(&mut self, length: u32) -> wasmtime::Result<Vec<u8>> {
        if length > RANDOM_BYTES_MAX {
            return Err(Exhausted("random bytes").into());
        }
        let mut bytes = vec![0; length as usize];
        getrandom::fill(&mut bytes)?;
        Ok(bytes)
    }

    fn uuid(&mut self) -> wasmtime::Result<String> {
        Ok(Uuid::now_v7().to_string())
    }
}

/// The host's clock: milliseconds since 1970-01-01T00:00:00Z.
#[must_use]
pub fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
