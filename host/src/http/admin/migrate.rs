//! Tenants that move and go: `/admin/v1/tenants/{tenant}/export`, `/admin/v1/tenants/{tenant}/freeze`,
//! `/admin/v1/tenants/import`, and `/admin/v1/tenants/{tenant}` itself. All of it is the operator's.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::{delete, get, post, put};
use axum::{Extension, Router};
use futures_util::stream;
use millwork_registry::id::TenantId;
use serde_json::json;

use super::{App, administer};
use crate::error::Error;
use crate::host::migrate::{Destination, Strangers};
use crate::http::auth::Domain;
use crate::http::exchange::Exchange;
use crate::http::params::{self, Params};
use crate::http::problem::{self, Problem};
use crate::http::{body, reply};
use crate::migrate::MEDIA_TYPE;

/// Path of imports, which may take longer than other requests.
pub(in crate::http) const IMPORT: &str = "/admin/v1/tenants/import";

/// Path of a tenant, whose removal may take as long.
pub(in crate::http) const TENANT: &str = "/admin/v1/tenants/{tenant}";

pub(in crate::http) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route(TENANT, delete(remove))
        .route("/admin/v1/tenants/{tenant}/export", get(export))
        .route("/admin/v1/tenants/{tenant}/freeze", put(freeze).delete(thaw))
        // A tenant may be called so, too.
        .route(IMPORT, post(import).delete(remove))
}

/// The tenant in the path of an operator's request.
fn tenant(app: &App, headers: &HeaderMap, tenant: String) -> Result<TenantId, Problem> {
    administer(&*app.principal(headers)?, Domain::Host)?;
    Ok(TenantId::new(tenant).map_err(Error::from)?)
}

/// `GET /admin/v1/tenants/{tenant}/export`: the archive as a stream. A connection that ends early has brought no archive.
async fn export(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let id = tenant(&app, &headers, id)?;
    Params::parse(uri.query())?.finish()?;
    let pieces = app.host.export(&id).await?;
    let pieces = stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    });
    let mut response = Response::new(Body::from_stream(pieces));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    let name = reply::header(&format!("attachment; filename=\"{id}.tar\""))?;
    headers.insert(CONTENT_DISPOSITION, name);
    Ok(response)
}

/// `PUT /admin/v1/tenants/{tenant}/freeze`
async fn freeze(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = tenant(&app, &headers, id)?;
    app.host.freeze(&id).await?;
    reply::json(problem::OK, &json!({ "tenant": id, "moving": true }))
}

/// `DELETE /admin/v1/tenants/{tenant}/freeze`
async fn thaw(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let id = tenant(&app, &headers, id)?;
    app.host.thaw(&id).await?;
    reply::json(problem::OK, &json!({ "tenant": id, "moving": false }))
}

/// `DELETE /admin/v1/tenants/{tenant}`: a closed tenant with all it has.
async fn remove(State(app): State<Arc<App>>, uri: Uri, headers: HeaderMap) -> Result<Response, Problem> {
    let id = uri.path().rsplit('/').next().unwrap_or_default();
    let id = tenant(&app, &headers, params::decode(id.to_owned())?)?;
    let operator = app.principal(&headers)?;
    tracing::warn!(by = operator.user, tenant = %id, "a tenant is to be removed");
    reply::json(problem::OK, &app.host.remove(&id).await?)
}

/// `POST /admin/v1/tenants/import?as=<id>&profile=<name>&trust-keys`: the body is an archive.
async fn import(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, received) = request.into_parts();
    let operator = app.principal(&parts.headers)?;
    administer(&operator, Domain::Host)?;
    let mut params = Params::parse(parts.uri.query())?;
    let id = params.take("as")?;
    let to = Destination {
        id: id.map(TenantId::new).transpose().map_err(Error::from)?,
        profile: params.take("profile")?,
        strangers: match params.take_flag("trust-keys")? {
            true => Strangers::Trusted,
            false => Strangers::Refused,
        },
    };
    params.finish()?;
    if !body::has_media_type(&parts.headers, MEDIA_TYPE) {
        return Err(Problem::media_type(MEDIA_TYPE));
    }
    tracing::warn!(by = operator.user, ?to, "a tenant is imported");
    let limit = app.host.config().moving.archive_bytes_max;
    let file = app.host.archive_file()?;
    let file = body::spool(&exchange, received, limit, file).await?;
    let imported = app.host.import(file, to).await?;
    reply::json(problem::CREATED, &imported)
}
