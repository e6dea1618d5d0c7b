//! The host over HTTP: routes, and the layers around every handler.
//!
//! Fixed routes are `/health`, `/metrics`, `/admin/v1`, `/blobs`, `/api/v1/sessions` and `/api/v1/marketplace`; everything else is
//! [`gateway`]'s, which answers `/api/v1` from the manifests of the tenant's modules. [`exchange`] stands around all of them, [`problem`] is how
//! failures look.

mod server;
mod exchange;
pub mod auth;
pub mod token;
mod entry;
mod sessions;
mod limits;
mod gateway;
mod commands;
mod body;
mod views;
mod queries;
mod params;
mod filter;
mod typing;
mod reply;
pub mod position;
pub mod problem;
mod openapi;
mod admin;
mod swaps;
mod letters;
mod blobs;
mod marketplace;
mod forward;
mod health;

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post, put};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate as _, SizeAbove};

pub use self::server::{Serving, listen};

use self::auth::{Door, Principal};
use self::forward::Forwarder;
use self::limits::Limiter;
use self::problem::Problem;
use self::token::Keys;
use crate::capability::blobs::link::LinkKey;
use crate::error::Error;
use crate::host::Host;

/// Below it, modules answer.
pub const PREFIX: &str = "/api/v1";
/// Answers shorter than this are sent as they are, in bytes: compressing them costs more than it saves.
const COMPRESSED_BYTES_MIN: u64 = 1_024;

/// What handlers share.
pub struct App {
    host: Arc<Host>,
    door: Door,
    links: LinkKey,
    limiter: Limiter,
    forwarder: Forwarder,
    metrics: PrometheusHandle,
}

impl App {
    /// The host behind HTTP, with its keys from the data folder, or the cluster's.
    ///
    /// # Errors
    /// When a key cannot be read, made or written.
    pub fn new(host: Arc<Host>, metrics: PrometheusHandle) -> io::Result<Arc<Self>> {
        let config = host.config();
        let door = Door::new(Keys::of(config)?, config.http.tokens_cached);
        let links = LinkKey::open(&config.data)?;
        let limiter = Limiter::new(&config.http);
        Ok(Arc::new(Self {
            host,
            door,
            links,
            limiter,
            forwarder: Forwarder::default(),
            metrics,
        }))
    }

    /// The key, to issue tokens.
    #[must_use]
    pub fn keys(&self) -> &Keys {
        self.door.keys()
    }

    /// Everything that answers, as one service.
    pub fn router(self: Arc<Self>) -> Router {
        // Server-sent events must not wait in a compressor.
        let compressed = SizeAbove::new(COMPRESSED_BYTES_MIN).and(NotForContentType::SSE);
        Router::new()
            .route("/health/live", get(health::live))
            .route("/health/ready", get(health::ready))
            .route("/metrics", get(health::metrics))
            .route(
                "/admin/v1/tenants",
                get(admin::tenants).post(admin::create_tenant),
            )
            .merge(self.at_home())
            .merge(admin::registry::routes())
            .route("/admin/v1/tokens", post(admin::issue_token))
            .merge(letters::routes())
            .merge(sessions::routes())
            .merge(blobs::routes())
            .fallback(gateway::serve)
            .layer(CatchPanicLayer::custom(panicked))
            .layer(middleware::from_fn_with_state(
                Arc::clone(&self),
                exchange::observe,
            ))
            .layer(CompressionLayer::new().compress_when(compressed))
            .with_state(self)
    }

    /// What only a tenant's home can answer.
    fn at_home(self: &Arc<Self>) -> Router<Arc<Self>> {
        Router::new()
            .route("/admin/v1/tenants/{tenant}/modules", get(admin::modules))
            .route(
                "/admin/v1/tenants/{tenant}/modules/{module}",
                put(swaps::enable).delete(swaps::disable),
            )
            .route(
                "/admin/v1/tenants/{tenant}/modules/{module}/rollback",
                post(swaps::roll_back),
            )
            .route(
                "/admin/v1/tenants/{tenant}/modules/{module}/revive",
                post(swaps::revive),
            )
            .route("/admin/v1/tenants/{tenant}/swaps", get(swaps::list))
            .route("/admin/v1/tenants/{tenant}/swaps/{number}", get(swaps::show))
            .route(
                "/admin/v1/tenants/{tenant}/swaps/{number}/events",
                get(swaps::follow),
            )
            .route(
                "/admin/v1/tenants/{tenant}/swaps/{number}/{wish}",
                post(swaps::wish),
            )
            .route(
                "/admin/v1/tenants/{tenant}/modules/{module}/replay",
                post(admin::replay),
            )
            .route(
                "/admin/v1/tenants/{tenant}/modules/{module}/projections/{projection}/rebuild",
                post(admin::rebuild),
            )
            .merge(admin::migrate::routes())
            .merge(marketplace::routes())
            .route_layer(middleware::from_fn_with_state(Arc::clone(self), forward::to_home))
    }

    fn principal(&self, headers: &HeaderMap) -> Result<Arc<Principal>, Error> {
        let principal = self.door.principal(headers, now_seconds())?;
        if let Some(Ok(tenant)) = principal.tenant.as_ref().map(|id| self.host.tenant(id)) {
            principal.check_made(tenant.record.created_at_ms / 1_000)?;
        }
        Ok(principal)
    }
}

/// Seconds since 1970.
#[must_use]
pub fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let text = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref().copied());
    Problem::bug(format!("panic: {}", text.unwrap_or("without a message"))).into_response()
}
