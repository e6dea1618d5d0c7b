//! `/admin/v1/registry`: releases, and the publishers whose releases are taken.
//!
//! Administrators of tenants may look at releases, since they choose among them; all else is the operator's.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use indexmap::IndexMap;
use millwork_registry::catalog::{Listed, Shown, Yank};
use millwork_registry::key::{KeyId, PublicKey};
use millwork_registry::manifest::{Manifest, Permission};
use millwork_registry::release::Summary;
use millwork_registry::trust::TrustedKey;
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{App, administer, invalid, read};
use crate::artifact::Place;
use crate::blocking;
use crate::capability::platform::now_ms;
use crate::error::{Error, Reason};
use crate::host::Published;
use crate::http::auth::Domain;
use crate::http::body;
use crate::http::exchange::Exchange;
use crate::http::problem::{self, Problem};
use crate::http::reply;

/// Media type of releases.
const WASM: &str = "application/wasm";

/// Everything below `/admin/v1/registry`.
pub(in crate::http) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/admin/v1/registry/releases", get(releases).post(publish))
        .route("/admin/v1/registry/releases/{name}", get(versions))
        .route("/admin/v1/registry/releases/{name}/{version}", get(show))
        .route(
            "/admin/v1/registry/releases/{name}/{version}/yank",
            post(yank_release),
        )
        .route(
            "/admin/v1/registry/releases/{name}/{version}/unyank",
            post(unyank_release),
        )
        .route("/admin/v1/registry/releases/{name}/{version}/push", post(push))
        .route("/admin/v1/registry/pull", post(pull))
        .route("/admin/v1/registry/publishers", get(publishers).post(trust))
        .route("/admin/v1/registry/publishers/{key}/revoke", post(revoke))
}

/// A release in a list.
#[derive(Serialize)]
struct Row<'a> {
    #[serde(flatten)]
    summary: &'a Summary,
    yanked: Option<&'a Yank>,
}

impl<'a> Row<'a> {
    fn of(listed: &'a Listed) -> Self {
        Self {
            summary: &listed.summary,
            yanked: listed.yanked.as_ref(),
        }
    }
}

/// What whoever publishes a release gets.
#[derive(Serialize)]
struct Receipt<'a> {
    #[serde(flatten)]
    summary: Summary,
    /// What the publisher should know, in sentences.
    notes: &'a [String],
}

impl<'a> Receipt<'a> {
    fn of(published: &'a Published) -> Self {
        Self {
            summary: published.release.summary(),
            notes: &published.notes,
        }
    }
}

/// All of a release.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Details<'a> {
    #[serde(flatten)]
    summary: Summary,
    key_id: Option<KeyId>,
    yanked: Option<&'a Yank>,
    /// Why it would not load here, if so.
    refused: Option<Reason>,
    changelog: Option<&'a str>,
    /// Each permission in words.
    meanings: IndexMap<&'a Permission, String>,
    imports: &'a [String],
    exports: &'a [String],
    manifest: &'a Manifest,
}

impl<'a> Details<'a> {
    fn of(shown: &'a Shown) -> Self {
        let manifest = &shown.release.manifest;
        let permissions = manifest.permissions.iter();
        let reason = |error: &millwork_registry::Error| Reason {
            code: error.code().to_owned(),
            message: error.to_string(),
        };
        Self {
            summary: shown.release.summary(),
            key_id: shown.release.key.map(|key| key.id()),
            yanked: shown.yanked.as_ref(),
            refused: shown.refused.as_ref().map(reason),
            changelog: manifest.changelog.as_deref(),
            meanings: permissions
                .map(|permission| (permission, permission.in_words()))
                .collect(),
            imports: &shown.interfaces.imports,
            exports: &shown.interfaces.exports,
            manifest,
        }
    }
}

/// A publisher's key.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Known<'a> {
    key_id: KeyId,
    #[serde(flatten)]
    key: &'a TrustedKey,
}

impl<'a> Known<'a> {
    fn of(key: &'a TrustedKey) -> Self {
        let key_id = key.key.id();
        Self { key_id, key }
    }
}

/// A reason, for yanking and revoking.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Why {
    reason: String,
}

/// `POST /admin/v1/registry/publishers`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPublisher {
    publisher: String,
    key: PublicKey,
}

/// `GET /admin/v1/registry/releases`
async fn releases(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    administer(&*app.principal(&headers)?, Domain::Catalog)?;
    let releases = blocking::run(|| app.host.catalog().list()).map_err(Error::from)?;
    let releases: Vec<_> = releases.iter().map(Row::of).collect();
    reply::json(problem::OK, &json!({ "releases": releases }))
}

/// `GET /admin/v1/registry/releases/{name}`
async fn versions(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    administer(&*app.principal(&headers)?, Domain::Catalog)?;
    let releases = blocking::run(|| app.host.catalog().of_name(&name)).map_err(Error::from)?;
    let releases: Vec<_> = releases.iter().map(Row::of).collect();
    reply::json(problem::OK, &json!({ "name": name, "releases": releases }))
}

/// `GET /admin/v1/registry/releases/{name}/{version}`
async fn show(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    administer(&*app.principal(&headers)?, Domain::Catalog)?;
    let version = parsed(&version)?;
    let release = blocking::run(|| app.host.catalog().show(&name, &version)).map_err(Error::from)?;
    reply::json(problem::OK, &Details::of(&release))
}

/// `POST /admin/v1/registry/releases`
async fn publish(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    administer(&*app.principal(&parts.headers)?, Domain::Host)?;
    if !body::has_media_type(&parts.headers, WASM) {
        return Err(Problem::media_type(WASM));
    }
    let limit = app.host.config().http.release_bytes_max;
    let wasm = body::receive(&exchange, &parts.headers, body, limit).await?;
    let published = app.host.publish(wasm.into()).await?;
    reply::json(problem::CREATED, &Receipt::of(&published))
}

/// `POST /admin/v1/registry/pull`: publishes what lies in another registry.
async fn pull(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let operator = app.principal(&parts.headers)?;
    administer(&operator, Domain::Host)?;
    let place: Place = read(&app, &exchange, &parts.headers, body).await?;
    let published = app.host.pull(&place).await?;
    let release = &published.release;
    tracing::info!(from = place.reference, name = release.name, version = %release.version, by = operator.user, "release pulled");
    reply::json(problem::CREATED, &Receipt::of(&published))
}

/// `POST /admin/v1/registry/releases/{name}/{version}/push`: puts a release into another registry.
async fn push(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let operator = app.principal(&parts.headers)?;
    administer(&operator, Domain::Host)?;
    let version = parsed(&version)?;
    let place: Place = read(&app, &exchange, &parts.headers, body).await?;
    let (shown, reference) = app.host.push(&name, &version, &place).await?;
    tracing::info!(to = reference, name, %version, by = operator.user, "release pushed");
    let digest = &shown.release.digest;
    reply::json(
        problem::OK,
        &json!({ "name": name, "version": version, "digest": digest, "reference": reference }),
    )
}

/// `POST /admin/v1/registry/releases/{name}/{version}/yank`
async fn yank_release(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((name, version)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let operator = app.principal(&parts.headers)?;
    administer(&operator, Domain::Host)?;
    let version = parsed(&version)?;
    let asked: Why = read(&app, &exchange, &parts.headers, body).await?;
    let yanked = blocking::run(|| app.host.catalog().yank(&name, &version, &asked.reason, now_ms()));
    let yanked = yanked.map_err(Error::from)?;
    tracing::warn!(release = %format_args!("{name}@{version}"), reason = yanked.reason, by = operator.user, "release yanked");
    reply::json(
        problem::OK,
        &json!({ "name": name, "version": version, "yanked": yanked }),
    )
}

/// `POST /admin/v1/registry/releases/{name}/{version}/unyank`
async fn unyank_release(
    State(app): State<Arc<App>>,
    Path((name, version)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let operator = app.principal(&headers)?;
    administer(&operator, Domain::Host)?;
    let version = parsed(&version)?;
    blocking::run(|| app.host.catalog().unyank(&name, &version)).map_err(Error::from)?;
    tracing::warn!(release = %format_args!("{name}@{version}"), by = operator.user, "release no longer yanked");
    reply::json(
        problem::OK,
        &json!({ "name": name, "version": version, "yanked": null }),
    )
}

/// `GET /admin/v1/registry/publishers`
async fn publishers(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    administer(&*app.principal(&headers)?, Domain::Host)?;
    let keys = blocking::run(|| app.host.catalog().trust().keys()).map_err(Error::from)?;
    let keys: Vec<_> = keys.all().iter().map(Known::of).collect();
    reply::json(problem::OK, &json!({ "publishers": keys }))
}

/// `POST /admin/v1/registry/publishers`
async fn trust(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let operator = app.principal(&parts.headers)?;
    administer(&operator, Domain::Host)?;
    let asked: NewPublisher = read(&app, &exchange, &parts.headers, body).await?;
    let trust = app.host.catalog().trust();
    let trusted = blocking::run(|| trust.trust(&asked.publisher, asked.key, now_ms()));
    let trusted = trusted.map_err(Error::from)?;
    tracing::warn!(publisher = trusted.publisher, key = %trusted.key, by = operator.user, "publisher's key trusted");
    reply::json(problem::CREATED, &Known::of(&trusted))
}

/// `POST /admin/v1/registry/publishers/{key}/revoke`. Says which releases the key has signed: those that run go on until
/// they are loaded again.
async fn revoke(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path(key): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let operator = app.principal(&parts.headers)?;
    administer(&operator, Domain::Host)?;
    let key = KeyId::try_from(key).map_err(Error::from)?;
    let asked: Why = read(&app, &exchange, &parts.headers, body).await?;
    let catalog = app.host.catalog();
    let revoked = blocking::run(|| catalog.trust().revoke(&key, &asked.reason, now_ms()));
    let revoked = revoked.map_err(Error::from)?;
    tracing::warn!(publisher = revoked.publisher, key = %revoked.key, by = operator.user, "publisher's key revoked");
    let releases = blocking::run(|| catalog.list()).map_err(Error::from)?;
    let signed = releases
        .iter()
        .filter(|listed| listed.summary.key == Some(revoked.key));
    let signed: Vec<_> = signed
        .map(|listed| json!({ "name": listed.summary.name, "version": listed.summary.version }))
        .collect();
    reply::json(
        problem::OK,
        &json!({ "publisher": Known::of(&revoked), "releases": signed }),
    )
}

fn parsed(version: &str) -> Result<Version, Problem> {
    Version::parse(version)
        .map_err(|error| invalid("", "version", format!("{version:?} is no version: {error}")))
}
