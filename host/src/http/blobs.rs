//! Links to blobs on this host's files: `/blobs/<link>`, which needs no credential, since the link is one.
//!
//! What a browser gets is a download: uploads come from anybody with a link, and must not run as a page of this host.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::header::{
    ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_SECURITY_POLICY, CONTENT_TYPE,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::{StreamExt as _, stream};

use super::App;
use super::exchange::Exchange;
use super::problem::{self, Problem};
use super::reply::header;
use crate::capability::blobs::body::Body as Incoming;
use crate::capability::blobs::link::{Act, Allowed, LinkError, PREFIX, disposition};
use crate::capability::blobs::{Address, BlobError, Bucket, Info, READ_BYTES_MAX};
use crate::capability::platform::now_ms;
use crate::tenant::Tenant;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route(&format!("{PREFIX}/{{link}}"), get(download).put(upload))
}

/// A blob that a link leads to.
struct Linked {
    tenant: Arc<Tenant>,
    bucket: Bucket,
    allowed: Allowed,
}

impl Linked {
    fn follow(app: &App, exchange: &Exchange, link: &str) -> Result<Self, Problem> {
        let allowed = app.links.verify(link, now_ms())?;
        let tenant = app.host.tenant(&allowed.tenant)?;
        if allowed.made_at < tenant.record.created_at_ms {
            // It is of a tenant that had the id before.
            return Err(LinkError::Invalid.into());
        }
        exchange.belongs_to(&tenant);
        Ok(Self {
            tenant,
            bucket: allowed.bucket(),
            allowed,
        })
    }

    fn at(&self) -> Address<'_> {
        Address {
            tenant: &self.tenant.id,
            bucket: &self.bucket,
            key: &self.allowed.key,
        }
    }

    /// The bytes of a version, as its reader takes them.
    fn bytes(self, info: &Info) -> Body {
        let (version, size) = (info.version.clone(), info.content.size);
        let pieces = stream::try_unfold((self, version, 0), move |(linked, version, offset)| async move {
            if offset >= size {
                return Ok::<_, BlobError>(None);
            }
            let blobs = &linked.tenant.blobs;
            let piece = blobs
                .read(linked.at(), Some(&version), offset, READ_BYTES_MAX)
                .await?;
            if piece.is_empty() {
                return Err(BlobError::NotFound);
            }
            let next = offset + piece.len() as u64;
            Ok(Some((piece, (linked, version, next))))
        });
        Body::from_stream(pieces)
    }
}

/// `GET /blobs/<link>`
async fn download(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path(link): Path<String>,
) -> Result<Response, Problem> {
    let linked = Linked::follow(&app, &exchange, &link)?;
    let Act::Get(version) = &linked.allowed.act else {
        return Err(LinkError::Invalid.into());
    };
    let info = linked.tenant.blobs.stat(linked.at(), Some(version)).await?;
    let named = header(&disposition(&linked.allowed.key))?;
    let mut response = linked.bytes(&info).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, header(&info.content.media_type)?);
    headers.insert(CONTENT_LENGTH, HeaderValue::from(info.content.size));
    headers.insert(CONTENT_DISPOSITION, named);
    for (name, value) in [
        (ACCEPT_RANGES, "none"),
        (CACHE_CONTROL, "private"),
        (CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    Ok(response)
}

/// `PUT /blobs/<link>`
async fn upload(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path(link): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let linked = Linked::follow(&app, &exchange, &link)?;
    let content = linked.allowed.act.content().ok_or(LinkError::Invalid)?;
    if headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes) != Some(content.media_type.as_bytes()) {
        return Err(Problem::media_type(&content.media_type));
    }
    linked.tenant.check_open()?;
    exchange.body_begins();
    let unreadable = |_| BlobError::Differs("it could not be read to its end".to_owned());
    let pieces = body
        .into_data_stream()
        .map(move |piece| piece.map_err(unreadable));
    let written = linked
        .tenant
        .blobs
        .put(linked.at(), &content, Incoming::new(Box::pin(pieces)))
        .await;
    exchange.body_ends();
    written?;
    // What was closed meanwhile may have been exported without it: it is sent again when the tenant has arrived.
    linked.tenant.check_open()?;
    Ok(problem::OK.into_response())
}
