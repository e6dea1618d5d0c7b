//! What orchestrators and Prometheus ask. Open to everybody who can reach the port.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderValue;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use super::problem::{self, Problem};
use super::{App, reply};

/// The text format of Prometheus.
const METRICS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The process answers.
pub(super) async fn live() -> Result<Response, Problem> {
    status("live")
}

/// Everything is set up, and the host can take requests.
pub(super) async fn ready(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    if app.host.ready() {
        status("ready")
    } else {
        Err(Problem::not_ready(app.host.unreached().first()))
    }
}

/// All metrics of the process.
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    ([(CONTENT_TYPE, METRICS)], app.metrics.render()).into_response()
}

fn status(word: &str) -> Result<Response, Problem> {
    let mut response = reply::json(problem::OK, &json!({ "status": word }))?;
    response
        .headers_mut()
        .insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}
