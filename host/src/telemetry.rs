//! Logs and metrics of the process. Both are installed once; hosts that share a process share them.

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Names what is logged, as `tracing` filters: `info`, `millwork_host=debug,warn`.
pub const FILTER_VARIABLE: &str = "MILLWORK_LOG";
const FILTER_DEFAULT: &str = "info";
/// Upper bounds of latency buckets, in seconds.
const SECONDS: [f64; 14] = [
    0.000_5, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 4.0, 16.0,
];

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

impl LogFormat {
    /// Text for a terminal, else JSON.
    #[must_use]
    pub fn suitable() -> Self {
        if io::stderr().is_terminal() {
            Self::Text
        } else {
            Self::Json
        }
    }
}

/// Sends logs to stderr. A second call changes nothing.
///
/// # Errors
/// When [`FILTER_VARIABLE`] is no filter.
pub fn log(format: LogFormat) -> Result<(), ParseError> {
    let wanted = std::env::var(FILTER_VARIABLE).unwrap_or_else(|_| FILTER_DEFAULT.to_owned());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::try_new(wanted)?)
        .with_writer(io::stderr);
    // Fails when a subscriber is there already, which is then as good.
    let _ = match format {
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .with_current_span(false)
            .with_span_list(false)
            .try_init(),
        LogFormat::Text => lines.with_ansi(io::stderr().is_terminal()).try_init(),
    };
    Ok(())
}

/// The metrics of the process, collected from the first call on.
///
/// # Errors
/// When another recorder is installed.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    static INSTALLED: Mutex<Option<PrometheusHandle>> = Mutex::new(None);
    let mut installed = INSTALLED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*installed {
        return Ok(handle.clone());
    }
    let builder =
        PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &SECONDS)?;
    Ok(installed.insert(builder.install_recorder()?).clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_of_one_process_share_their_metrics() {
        let (first, second) = (metrics().unwrap(), metrics().unwrap());
        metrics::counter!("millwork_test_total").increment(1);
        assert!(
            first.render().contains("millwork_test_total 1")
                && second.render().contains("millwork_test_total")
        );
    }
}
