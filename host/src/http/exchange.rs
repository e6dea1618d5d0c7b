//! One request and its answer as the log, the metrics and the client's correlation id see them.
//!
//! [`observe`] stands around every handler: it gives the correlation id, bounds the time, turns each [`Problem`] into its
//! response, and writes one log line and two metrics. Labels are route patterns, never paths, so that their number is
//! bounded.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use metrics::SharedString;

use super::App;
use super::admin::migrate;
use super::body;
use super::problem::{self, Problem};
use crate::event_store::Origin;
use crate::tenant::Tenant;

/// Names what belongs together in logs of several systems; accepted from clients, always answered.
pub(super) const CORRELATION_ID: HeaderName = HeaderName::from_static("x-correlation-id");
/// W3C Trace Context, level 1.
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
/// Longest correlation id that is accepted, in bytes.
const CORRELATION_ID_BYTES_MAX: usize = 128;
/// Label of requests that no route answers.
const NO_ROUTE: &str = "none";

/// What is known of a request so far. Shared with its handler through the request's extensions.
pub(super) struct Exchange {
    pub(super) correlation_id: String,
    traceparent: Option<String>,
    receiving: AtomicBool,
    tenant: OnceLock<Arc<Tenant>>,
    route: OnceLock<Arc<str>>,
}

impl Exchange {
    fn new(headers: &HeaderMap) -> Self {
        let text = |name| {
            headers
                .get(name)
                .and_then(|value: &HeaderValue| value.to_str().ok())
        };
        let given = text(CORRELATION_ID)
            .filter(|id| is_correlation_id(id))
            .map(str::to_owned);
        Self {
            correlation_id: given.unwrap_or_else(|| uuid::Uuid::now_v7().to_string()),
            traceparent: text(TRACEPARENT)
                .filter(|parent| is_traceparent(parent))
                .map(str::to_owned),
            receiving: AtomicBool::new(false),
            tenant: OnceLock::new(),
            route: OnceLock::new(),
        }
    }

    /// The exchange that [`observe`] put into a request's extensions.
    pub(super) fn of(extensions: &Extensions) -> Result<Arc<Self>, Problem> {
        extensions
            .get()
            .cloned()
            .ok_or_else(|| Problem::bug("a handler outside of the middleware".to_owned()))
    }

    /// Notes whose request it is.
    pub(super) fn belongs_to(&self, tenant: &Arc<Tenant>) {
        // Only the first one counts; a request has one tenant.
        let _ = self.tenant.set(Arc::clone(tenant));
    }

    /// Notes which route answers.
    pub(super) fn routed(&self, pattern: Arc<str>) {
        let _ = self.route.set(pattern);
    }

    /// Notes that the body is arriving: a timeout is the client's from now on.
    pub(super) fn body_begins(&self) {
        self.receiving.store(true, Ordering::Relaxed);
    }

    /// Notes that the body is there.
    pub(super) fn body_ends(&self) {
        self.receiving.store(false, Ordering::Relaxed);
    }

    /// Who caused what this request causes.
    pub(super) fn origin(&self, user: &str) -> Origin {
        Origin {
            user: user.to_owned(),
            correlation_id: self.correlation_id.clone(),
            causation_id: String::new(),
            traceparent: self.traceparent.clone(),
        }
    }

    fn timed_out(&self) -> Problem {
        if self.receiving.load(Ordering::Relaxed) {
            Problem::body_timeout()
        } else {
            Problem::timeout()
        }
    }

    fn route(&self, matched: Option<&MatchedPath>) -> SharedString {
        match (self.route.get(), matched) {
            (Some(pattern), _) => Arc::clone(pattern).into(),
            (None, Some(matched)) => matched.as_str().to_owned().into(),
            (None, None) => SharedString::const_str(NO_ROUTE),
        }
    }
}

/// Unreserved characters of a URI (RFC 3986), so that it needs no escaping anywhere.
fn is_correlation_id(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    (1..=CORRELATION_ID_BYTES_MAX).contains(&text.len()) && text.bytes().all(fits)
}

/// `00-<trace id>-<parent id>-<flags>` in lowercase hex; ids of zeros are invalid.
fn is_traceparent(text: &str) -> bool {
    let mut parts = text.split('-');
    let mut hex = |length: usize| {
        parts.next().is_some_and(|part| {
            part.len() == length
                && part
                    .bytes()
                    .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
        })
    };
    let formed = hex(2) && hex(32) && hex(16) && hex(2) && parts.next().is_none();
    let zeros = |start: usize, end: usize| {
        text.get(start..end)
            .is_some_and(|id| id.bytes().all(|b| b == b'0'))
    };
    formed && text.starts_with("00") && !zeros(3, 35) && !zeros(36, 52)
}

/// The middleware around all handlers.
pub(super) async fn observe(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let started = Instant::now();
    let exchange = Arc::new(Exchange::new(request.headers()));
    let method = request.method().clone();
    let matched = request.extensions().get::<MatchedPath>().cloned();
    request.extensions_mut().insert(Arc::clone(&exchange));
    let limit = time_for(&app, matched.as_ref());
    let response = match tokio::time::timeout(limit, next.run(body::read_to_the_end(request))).await {
        Ok(response) => response,
        Err(_) => exchange.timed_out().into_response(),
    };
    let response = finish(response, &exchange);
    record(
        &exchange,
        &method,
        matched.as_ref(),
        response.status(),
        started.elapsed(),
    );
    response
}

/// How long a request may take: one that brings a tenant or removes one has time of its own.
fn time_for(app: &App, matched: Option<&MatchedPath>) -> Duration {
    let config = app.host.config();
    match matched.map(MatchedPath::as_str) {
        Some(migrate::IMPORT | migrate::TENANT) => config.moving.import_timeout,
        _ => config.http.request_timeout,
    }
}

/// Renders a problem, and gives every answer its correlation id.
fn finish(mut response: Response, exchange: &Exchange) -> Response {
    // What another host has said of a request that was sent on stays as it is.
    let is_told = response.headers().get(CONTENT_TYPE) == Some(&problem::MEDIA_TYPE);
    let bare = |status: StatusCode| !is_told && (status.is_client_error() || status.is_server_error());
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => Some(problem),
        None if bare(response.status()) => Some(Problem::of_status(response.status())),
        None => None,
    };
    if let Some(problem) = problem {
        if let Some(cause) = problem.cause() {
            let code = problem.code();
            tracing::error!(correlation_id = %exchange.correlation_id, code, cause, "request failed");
        }
        response = problem.render(&exchange.correlation_id);
    }
    if let Ok(id) = HeaderValue::from_str(&exchange.correlation_id) {
        response.headers_mut().insert(CORRELATION_ID, id);
    }
    response
}

fn record(
    exchange: &Exchange,
    method: &Method,
    matched: Option<&MatchedPath>,
    status: StatusCode,
    took: Duration,
) {
    let route = exchange.route(matched);
    let tenant = exchange.tenant.get().map(|tenant| tenant.id.as_str());
    tracing::info!(
        target: "millwork::request",
        correlation_id = %exchange.correlation_id,
        tenant,
        method = method.as_str(),
        route = &*route,
        status = status.as_u16(),
        ms = took.as_micros() as f64 / 1_000.0,
        "request"
    );
    let labels = [
        metrics::Label::new("method", method_label(method)),
        metrics::Label::new("route", route),
        metrics::Label::new("status", status_label(status)),
    ];
    metrics::counter!("millwork_http_requests_total", labels.iter()).increment(1);
    metrics::histogram!("millwork_http_request_duration_seconds", labels.iter()).record(took.as_secs_f64());
}

/// Methods that clients invent are one label.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::PUT => "PUT",
        Method::PATCH => "PATCH",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

fn status_label(status: StatusCode) -> SharedString {
    SharedString::from_owned(status.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sane_correlation_ids_are_kept() {
        let of = |id: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(CORRELATION_ID, HeaderValue::from_static(id));
            Exchange::new(&headers).correlation_id
        };
        assert_eq!(of("order-7.retry_2"), "order-7.retry_2");
        for insane in ["", "a b", "a\"b", "a/b", "<script>"] {
            assert_eq!(of(insane).len(), 36, "{insane}");
        }
        let long: &'static str = Box::leak("x".repeat(CORRELATION_ID_BYTES_MAX + 1).into_boxed_str());
        assert_eq!(of(long).len(), 36);
    }

    #[test]
    fn trace_parents_have_one_form() {
        assert!(is_traceparent(
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        ));
        for wrong in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(!is_traceparent(wrong), "{wrong}");
        }
    }
}
