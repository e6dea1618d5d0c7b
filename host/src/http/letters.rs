//! Dead letters over HTTP: what could not be delivered, for whoever administers the tenant.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{delete, get, post};
use serde_json::json;

use super::App;
use super::admin::{Nothing, allowed, invalid, read};
use super::exchange::Exchange;
use super::problem::{self, Problem};
use super::reply;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/admin/v1/tenants/{tenant}/letters", get(list))
        .route("/admin/v1/tenants/{tenant}/letters/{number}", delete(discard))
        .route("/admin/v1/tenants/{tenant}/letters/{number}/retry", post(retry))
}

/// `GET /admin/v1/tenants/{tenant}/letters?after=<number>`
async fn list(
    State(app): State<Arc<App>>,
    Path(tenant): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = app.host.tenant(&allowed(&app, &headers, &tenant)?)?;
    let after = match query.as_deref().unwrap_or_default() {
        "" => 0,
        given => number(given.strip_prefix("after=").unwrap_or_default())?,
    };
    let found = app.host.deliverer().letters(&tenant, after).await?;
    let letters = found.iter().map(|(number, letter)| {
        json!({
            "number": number,
            "addressee": letter.addressee,
            "kind": letter.kind,
            "name": letter.name,
            "id": letter.id,
            "code": letter.code,
            "reason": letter.reason,
            "attempts": letter.attempts,
            "buriedAt": letter.buried_at,
            "content": letter.content,
        })
    });
    let letters: Vec<_> = letters.collect();
    reply::json(problem::OK, &json!({ "letters": letters }))
}

/// `POST /admin/v1/tenants/{tenant}/letters/{number}/retry`
async fn retry(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, text)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let tenant = allowed(&app, &parts.headers, &tenant)?;
    let Nothing {} = read(&app, &exchange, &parts.headers, body).await?;
    let number = number(&text)?;
    app.host.retry_letter(&tenant, number).await?;
    reply::json(problem::OK, &json!({ "number": number, "retried": true }))
}

/// `DELETE /admin/v1/tenants/{tenant}/letters/{number}`
async fn discard(
    State(app): State<Arc<App>>,
    Path((tenant, text)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = app.host.tenant(&allowed(&app, &headers, &tenant)?)?;
    let number = number(&text)?;
    app.host.deliverer().discard(&tenant, number).await?;
    reply::json(problem::OK, &json!({ "number": number, "discarded": true }))
}

fn number(text: &str) -> Result<u64, Problem> {
    text.parse()
        .map_err(|_| invalid("", "number", format!("{text:?} is no number of a dead letter")))
}
