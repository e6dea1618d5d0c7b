//! `/api/v1/sessions`: signing in with a token, looking at where one is signed in, and signing out, here or everywhere.
//!
//! A session takes the place of the token that began it ([`super::entry`]), and says what that said: user, tenant, roles. It
//! has a length of its own, so that a token which is valid for minutes is enough to sign in. A session begins no other:
//! whoever has taken one can use it until it ends, and no longer.

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{CACHE_CONTROL, HeaderValue, SET_COOKIE};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{delete, post};
use axum::{Extension, Router};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::admin::{allowed, invalid, read};
use super::auth::Principal;
use super::entry::{id_of, set_cookie};
use super::exchange::Exchange;
use super::params::Params;
use super::problem::{self, Problem};
use super::{App, reply};
use crate::capability::platform::now_ms;
use crate::capability::sessions::{Handle, Realm, Session};
use crate::error::Error;
use crate::tenant::Tenant;

/// Longest label, in bytes.
const LABEL_BYTES_MAX: usize = 200;
/// Bytes of randomness in an id.
const SECRET_BYTES: usize = 32;

/// Everything below `/api/v1/sessions`, and what administrators may do to them.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/sessions", post(begin).get(list).delete(end_all))
        .route("/api/v1/sessions/current", delete(end_current))
        .route("/api/v1/sessions/{handle}", delete(end_one))
        .route("/admin/v1/tenants/{tenant}/sessions", delete(end_of_user))
}

/// `POST /api/v1/sessions`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewSession {
    /// What the user calls it: "phone".
    #[serde(default)]
    label: String,
}

/// A session as its user sees it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Shown<'a> {
    handle: &'a Handle,
    label: &'a str,
    #[serde(serialize_with = "reply::rfc3339")]
    created_at: u64,
    #[serde(serialize_with = "reply::rfc3339")]
    seen_at: u64,
    #[serde(serialize_with = "reply::rfc3339")]
    expires_at: u64,
    #[serde(serialize_with = "reply::rfc3339")]
    ends_at: u64,
    /// Whether this request came by it.
    current: bool,
}

/// The one answer that has an id.
#[derive(Serialize)]
struct Begun<'a> {
    id: &'a str,
    #[serde(flatten)]
    session: Shown<'a>,
}

/// Somebody of a tenant.
struct Person {
    principal: Arc<Principal>,
    tenant: Arc<Tenant>,
}

impl Person {
    async fn of(app: &App, parts: &Parts) -> Result<Self, Problem> {
        let principal = app.enter(&parts.method, &parts.headers).await?;
        let tenant = app.own_tenant(&principal).await?;
        Exchange::of(&parts.extensions)?.belongs_to(&tenant);
        app.limiter.admit(&*tenant.rate_limits, &principal).await?;
        Ok(Self { principal, tenant })
    }

    fn show<'a>(&self, session: &'a Session) -> Shown<'a> {
        Shown {
            handle: &session.handle,
            label: &session.label,
            created_at: session.created_at,
            seen_at: session.seen_at,
            expires_at: session.expires_at,
            ends_at: session.ends_at,
            current: self.came_by(&session.handle),
        }
    }

    fn came_by(&self, handle: &Handle) -> bool {
        self.principal.session.as_ref() == Some(handle)
    }

    async fn end(&self, handle: &Handle, sent: &HeaderMap) -> Result<Response, Problem> {
        let (tenant, user) = (&self.tenant.id, &self.principal.user);
        let realm = Realm::of(&self.tenant.record);
        if !self.tenant.sessions.end(&realm, user, handle).await? {
            return Err(no_session(handle.as_str()).into());
        }
        tracing::info!(%tenant, user, handle = handle.as_str(), "a session was ended");
        let response = reply::json(problem::OK, &json!({ "ended": 1 }))?;
        if self.came_by(handle) {
            return without_cookie(response, sent);
        }
        Ok(response)
    }
}

/// `POST /api/v1/sessions`
async fn begin(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let person = Person::of(&app, &parts).await?;
    if person.principal.session.is_some() {
        return Err(Problem::token_needed());
    }
    let asked: NewSession = read(&app, &exchange, &parts.headers, body).await?;
    if asked.label.len() > LABEL_BYTES_MAX {
        let rule = format!("a label has at most {LABEL_BYTES_MAX} bytes");
        return Err(invalid("/label", "too-long", rule));
    }
    let Person { principal, tenant } = &person;
    let limits = &app.host.config().sessions;
    let id = id_of(&tenant.id, &secret()?);
    let now = now_ms();
    let lasts_ms = u64::try_from(limits.longest.as_millis()).unwrap_or(u64::MAX);
    let mut session = Session {
        handle: Handle::of(&id),
        user: principal.user.clone(),
        roles: principal.roles.clone(),
        label: asked.label,
        created_at: now,
        seen_at: now,
        expires_at: now,
        ends_at: now.saturating_add(lasts_ms),
    };
    session.see(now, limits.idle);
    tenant
        .sessions
        .begin(&Realm::of(&tenant.record), &session, limits.per_user_max)
        .await?;
    tracing::info!(
        correlation_id = %exchange.correlation_id,
        tenant = %tenant.id,
        user = session.user,
        handle = session.handle.as_str(),
        "a session has begun"
    );
    let begun = Begun {
        id: &id,
        session: person.show(&session),
    };
    let mut response = reply::json(problem::CREATED, &begun)?;
    let cookie = set_cookie(&parts.headers, &id, limits.longest.as_secs());
    let headers = response.headers_mut();
    headers.insert(SET_COOKIE, reply::header(&cookie)?);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// `GET /api/v1/sessions`
async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let person = Person::of(&app, &parts).await?;
    Params::parse(parts.uri.query())?.finish()?;
    let Person { principal, tenant } = &person;
    let sessions = tenant
        .sessions
        .list(&Realm::of(&tenant.record), &principal.user, now_ms())
        .await?;
    let shown: Vec<_> = sessions.iter().map(|session| person.show(session)).collect();
    reply::json(problem::OK, &json!({ "sessions": shown }))
}

/// `DELETE /api/v1/sessions/current`
async fn end_current(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let person = Person::of(&app, &parts).await?;
    let current = person.principal.session.clone();
    let current = current.ok_or_else(|| no_session("current"))?;
    person.end(&current, &parts.headers).await
}

/// `DELETE /api/v1/sessions/{handle}`
async fn end_one(
    State(app): State<Arc<App>>,
    Path(handle): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let person = Person::of(&app, &parts).await?;
    let handle = Handle::parse(&handle).ok_or_else(|| no_session(&handle))?;
    person.end(&handle, &parts.headers).await
}

/// `DELETE /api/v1/sessions`
async fn end_all(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let person = Person::of(&app, &parts).await?;
    let response = end_all_of(&person.tenant, &person.principal.user).await?;
    if person.principal.session.is_some() {
        return without_cookie(response, &parts.headers);
    }
    Ok(response)
}

/// `DELETE /admin/v1/tenants/{tenant}/sessions?user=<user>`
async fn end_of_user(
    State(app): State<Arc<App>>,
    Path(tenant): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let tenant = allowed(&app, &parts.headers, &tenant)?;
    let mut params = Params::parse(parts.uri.query())?;
    let user = params.take("user")?;
    params.finish()?;
    let user =
        user.ok_or_else(|| Error::Malformed("parameter \"user\" says whose sessions end".to_owned()))?;
    app.host.learn(&tenant).await;
    // Once more: only now it is known since when there is this tenant.
    app.principal(&parts.headers)?;
    end_all_of(&*app.host.tenant(&tenant)?, &user).await
}

async fn end_all_of(tenant: &Tenant, user: &str) -> Result<Response, Problem> {
    let realm = Realm::of(&tenant.record);
    let ended = tenant.sessions.end_all(&realm, user, now_ms()).await?;
    tracing::info!(tenant = %tenant.id, user, ended, "all sessions of a user were ended");
    reply::json(problem::OK, &json!({ "ended": ended }))
}

/// Has the browser that has sent this forget its session.
fn without_cookie(mut response: Response, sent: &HeaderMap) -> Result<Response, Problem> {
    let forgotten = reply::header(&set_cookie(sent, "", 0))?;
    response.headers_mut().insert(SET_COOKIE, forgotten);
    Ok(response)
}

fn no_session(handle: &str) -> Error {
    Error::NotFound {
        what: "session".to_owned(),
        id: handle.to_owned(),
    }
}

fn secret() -> Result<String, Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes).map_err(|error| Error::Unavailable(format!("randomness: {error}")))?;
    Ok(URL_SAFE_NO_PAD.encode(bytes))
}
