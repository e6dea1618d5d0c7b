//! Requests that only a tenant's home can answer, sent on to it: changes of what the tenant runs, and where they stand.
//!
//! The host that is asked checks the credential, and so does the home; the answer passes through as it comes, streams of
//! events too. A request is sent on once: a home that has moved meanwhile says so, and the client asks again. While nobody is
//! the home the request waits, for no longer than a lease.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, CONNECTION, HOST, TE, TRAILER, TRANSFER_ENCODING, UPGRADE};
use axum::http::uri::{Authority, Parts as UriParts, PathAndQuery, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use millwork_registry::id::TenantId;

use super::App;
use super::entry::cookie;
use super::exchange::{CORRELATION_ID, Exchange};
use super::problem::Problem;
use crate::error::Error;
use crate::host::Residence;

/// Says that a request was sent on already.
const FORWARDED: HeaderName = HeaderName::from_static("millwork-forwarded");
/// How long a connection to another host may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);
/// Headers of one connection (RFC 9110, section 7.6.1), which are not passed on.
const HOP_BY_HOP: [HeaderName; 7] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HOST,
    TE,
    TRAILER,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Asks other hosts.
pub(super) struct Forwarder(Client<HttpConnector, Body>);

impl Default for Forwarder {
    fn default() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT_WITHIN));
        connector.set_nodelay(true);
        Self(Client::builder(TokioExecutor::new()).build(connector))
    }
}

/// The middleware of routes that only a tenant's home answers.
pub(super) async fn to_home(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let (method, headers) = (request.method(), request.headers());
    let Some(tenant) = whose(&app, request.uri().path(), method, headers).await else {
        // Whoever this is, they are refused here.
        return next.run(request).await;
    };
    app.host.learn(&tenant).await;
    if app.host.tenant(&tenant).is_err() {
        return next.run(request).await;
    }
    match app.host.find_home(&tenant).await {
        Residence::Here => next.run(request).await,
        Residence::At(address) if !request.headers().contains_key(FORWARDED) => {
            match app.forwarder.send(&address, request).await {
                Ok(response) => response,
                Err(error) => {
                    tracing::warn!(%tenant, address, %error, "a tenant's home is not reached");
                    homeless(tenant)
                }
            }
        }
        _ => homeless(tenant),
    }
}

fn homeless(tenant: TenantId) -> Response {
    Problem::from(Error::Homeless(tenant)).into_response()
}

/// The tenant that a request is about, if its sender is known.
async fn whose(app: &App, path: &str, method: &Method, headers: &HeaderMap) -> Option<TenantId> {
    match path.strip_prefix("/admin/v1/tenants/") {
        Some(below) => {
            app.principal(headers).ok()?;
            TenantId::new(below.split('/').next()?).ok()
        }
        None => app.enter(method, headers).await.ok()?.tenant.clone(),
    }
}

impl Forwarder {
    async fn send(&self, address: &str, request: Request) -> Result<Response, String> {
        let (mut parts, body) = request.into_parts();
        parts.uri = at(address, parts.uri.path_and_query()).ok_or("the address is no URL")?;
        show_session(&mut parts.headers);
        drop_hop_by_hop(&mut parts.headers);
        parts.headers.insert(FORWARDED, HeaderValue::from_static("1"));
        // One name in the logs of both hosts.
        if let Ok(exchange) = Exchange::of(&parts.extensions)
            && let Ok(id) = HeaderValue::from_str(&exchange.correlation_id)
        {
            parts.headers.insert(CORRELATION_ID, id);
        }
        let sent = self.0.request(Request::from_parts(parts, body)).await;
        let mut response = sent.map_err(|error| error.to_string())?;
        drop_hop_by_hop(response.headers_mut());
        Ok(response.map(Body::new))
    }
}

/// Says the session of a cookie as a credential: which page sent it was asked here, and the home could not tell, since it is
/// called by another name.
fn show_session(headers: &mut HeaderMap) {
    let session = cookie(headers).and_then(|id| HeaderValue::from_str(&format!("Bearer {id}")).ok());
    if let (Some(session), false) = (session, headers.contains_key(AUTHORIZATION)) {
        headers.insert(AUTHORIZATION, session);
    }
}

fn at(address: &str, path: Option<&PathAndQuery>) -> Option<Uri> {
    let authority = address.strip_prefix("http://")?.trim_end_matches('/');
    let mut parts = UriParts::default();
    parts.scheme = Some(Scheme::HTTP);
    parts.authority = Some(authority.parse::<Authority>().ok()?);
    parts.path_and_query = Some(path?.clone());
    Uri::from_parts(parts).ok()
}

fn drop_hop_by_hop(headers: &mut HeaderMap) {
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}
