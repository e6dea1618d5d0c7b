//! `/admin/v1`: tenants, modules and tokens; releases and publishers are [`registry`]'s, moving tenants is [`migrate`]'s.
//! Each handler asks [`administer`] first.

pub(super) mod registry;
pub(super) mod migrate;

use std::sync::Arc;
use std::time::Instant;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::response::Response;
use millwork_registry::id::TenantId;
use millwork_registry::replay::Policy;
use semver::Version;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::auth::{Domain, administer, is_role};
use super::exchange::Exchange;
use super::problem::{self, Problem};
use super::token::{Claims, TTL_SECONDS_MAX};
use super::{App, body, now_seconds, position, reply};
use crate::error::{Error, Violation};
use crate::project;

/// Longest subject of a token and longest name of a tenant, in bytes.
const NAME_BYTES_MAX: usize = 200;
/// Most roles of one token.
const ROLES_MAX: usize = 64;

/// `POST /admin/v1/tenants`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewTenant {
    id: TenantId,
    #[serde(default)]
    name: String,
    /// The host's profile that says where its data is.
    #[serde(default)]
    profile: Option<String>,
}

/// `POST /admin/v1/tenants/{tenant}/modules/{module}/replay`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Replay {
    version: Version,
    /// Classes that are to differ from the default.
    #[serde(default)]
    policy: Policy,
}

/// A body that says nothing. It is read all the same: a connection with an unread body serves no further request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// `POST /admin/v1/tokens`
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewToken {
    tenant: Option<TenantId>,
    subject: String,
    roles: Vec<String>,
    /// Seconds.
    ttl: u64,
}

/// A module as a tenant runs it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ModuleStatus<'a> {
    name: &'a str,
    version: &'a Version,
    release: &'a str,
    description: &'a str,
    /// Why it cannot do its work, if it says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    ailment: Option<String>,
    /// Calls of it that failed since it was loaded.
    failures: u64,
    /// How long calls to it are refused yet, since too many failed in a row.
    #[serde(skip_serializing_if = "Option::is_none")]
    quarantined_seconds: Option<u64>,
    projections: Vec<ProjectionStatus<'a>>,
}

/// A module that is enabled but did not load.
#[derive(Serialize)]
struct BrokenStatus<'a> {
    name: &'a str,
    version: &'a Version,
    code: &'a str,
    why: &'a str,
}

#[derive(Serialize)]
struct ProjectionStatus<'a> {
    name: &'a str,
    version: u32,
    /// Why it stands still, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    failing: Option<String>,
}

/// `GET /admin/v1/tenants`
pub(super) async fn tenants(State(app): State<Arc<App>>, headers: HeaderMap) -> Result<Response, Problem> {
    administer(&*app.principal(&headers)?, Domain::Host)?;
    let tenants = app.host.tenants()?;
    let tenants: Vec<_> = tenants
        .iter()
        .map(|tenant| {
            let (home, moving) = (app.host.home_of(&tenant.id), app.host.is_moving(&tenant.id));
            json!({ "id": tenant.id, "name": tenant.name, "profile": tenant.profile, "home": home, "moving": moving })
        })
        .collect();
    reply::json(problem::OK, &json!({ "tenants": tenants }))
}

/// `POST /admin/v1/tenants`
pub(super) async fn create_tenant(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    administer(&*app.principal(&parts.headers)?, Domain::Host)?;
    let asked: NewTenant = read(&app, &exchange, &parts.headers, body).await?;
    let name = if asked.name.is_empty() {
        asked.id.to_string()
    } else {
        asked.name
    };
    if name.len() > NAME_BYTES_MAX {
        return Err(invalid(
            "/name",
            "too-long",
            format!("a name has at most {NAME_BYTES_MAX} bytes"),
        ));
    }
    app.host
        .create_tenant(asked.id.clone(), name.clone(), asked.profile)
        .await?;
    reply::json(problem::CREATED, &json!({ "id": asked.id, "name": name }))
}

/// `GET /admin/v1/tenants/{tenant}/modules`
pub(super) async fn modules(
    State(app): State<Arc<App>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = allowed(&app, &headers, &tenant)?;
    let running = app.host.tenant(&tenant)?;
    let generation = running.generation();
    let mut modules = Vec::with_capacity(generation.modules.len());
    for (name, module) in &generation.modules {
        let projections = module.manifest.projections.iter();
        let quarantined = module.poison.barred(Instant::now());
        modules.push(ModuleStatus {
            name,
            version: &module.manifest.version,
            release: &module.release,
            description: &module.manifest.description,
            ailment: app.host.ailment(&running, module).await,
            failures: module.poison.failures(),
            quarantined_seconds: quarantined.map(|left| left.as_secs() + 1),
            projections: projections
                .map(|(projection, declared)| ProjectionStatus {
                    name: projection,
                    version: declared.version,
                    failing: running.progress.why_failing(&project::key(name, projection)),
                })
                .collect(),
        });
    }
    let broken = generation.broken.iter().map(|(name, broken)| BrokenStatus {
        name,
        version: &broken.version,
        code: &broken.code,
        why: &broken.why,
    });
    let broken: Vec<_> = broken.collect();
    let swap = app.host.live(&tenant).map(|live| live.view());
    reply::json(
        problem::OK,
        &json!({ "tenant": tenant, "generation": generation.number, "modules": modules, "broken": broken, "swap": swap }),
    )
}

/// `POST /admin/v1/tenants/{tenant}/modules/{module}/projections/{projection}/rebuild`
pub(super) async fn rebuild(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, module, projection)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let tenant = allowed(&app, &parts.headers, &tenant)?;
    let Nothing {} = read(&app, &exchange, &parts.headers, body).await?;
    let position = app.host.rebuild(&tenant, &module, &projection).await?;
    let answer =
        json!({ "module": module, "projection": projection, "position": position::encode(position) });
    reply::json(problem::OK, &answer)
}

/// `POST /admin/v1/tenants/{tenant}/modules/{module}/replay`
pub(super) async fn replay(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, module)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let tenant = allowed(&app, &parts.headers, &tenant)?;
    let asked: Replay = read(&app, &exchange, &parts.headers, body).await?;
    let tried = app
        .host
        .try_release(&tenant, &module, &asked.version, asked.policy)
        .await?;
    reply::json(problem::OK, &tried)
}

/// `POST /admin/v1/tokens`
pub(super) async fn issue_token(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    administer(&*app.principal(&parts.headers)?, Domain::Host)?;
    let asked: NewToken = read(&app, &exchange, &parts.headers, body).await?;
    check(&asked)?;
    if let Some(tenant) = &asked.tenant {
        app.host.tenant(tenant)?;
    }
    let claims = Claims::new(
        &asked.subject,
        asked.tenant,
        asked.roles,
        now_seconds(),
        asked.ttl,
    );
    let token = app.keys().sign(&claims)?;
    tracing::info!(
        correlation_id = %exchange.correlation_id,
        jti = %claims.jti,
        subject = %claims.sub,
        tenant = claims.tenant.as_ref().map(TenantId::as_str),
        "token issued"
    );
    reply::json(
        problem::CREATED,
        &json!({ "token": token, "expiresAt": claims.exp, "id": claims.jti }),
    )
}

fn check(asked: &NewToken) -> Result<(), Problem> {
    if asked.subject.is_empty() || asked.subject.len() > NAME_BYTES_MAX {
        return Err(invalid(
            "/subject",
            "length",
            format!("a subject has 1 to {NAME_BYTES_MAX} bytes"),
        ));
    }
    if !(1..=TTL_SECONDS_MAX).contains(&asked.ttl) {
        return Err(invalid(
            "/ttl",
            "range",
            format!("a token lives 1 to {TTL_SECONDS_MAX} seconds"),
        ));
    }
    if asked.roles.is_empty() || asked.roles.len() > ROLES_MAX {
        return Err(invalid(
            "/roles",
            "length",
            format!("a token has 1 to {ROLES_MAX} roles"),
        ));
    }
    match asked
        .roles
        .iter()
        .position(|role| !is_role(role, asked.tenant.as_ref()))
    {
        Some(index) => Err(invalid(
            &format!("/roles/{index}"),
            "unknown-role",
            role_rules().to_owned(),
        )),
        None => Ok(()),
    }
}

fn role_rules() -> &'static str {
    "with a tenant a role is admin, editor, viewer or <module>.<role>; without one it is operator"
}

/// A tenant whose modules the caller may administer.
pub(super) fn allowed(app: &App, headers: &HeaderMap, tenant: &str) -> Result<TenantId, Problem> {
    let principal = app.principal(headers)?;
    // A malformed name is nobody's tenant; the answer must not differ from that for another's.
    let tenant = TenantId::new(tenant).map_err(|refusal| match administer(&principal, Domain::Host) {
        Ok(()) => Error::from(refusal),
        Err(forbidden) => forbidden,
    })?;
    administer(&principal, Domain::Modules(&tenant))?;
    Ok(tenant)
}

/// A JSON body of a known shape; what does not fit is told in the words of the parser.
pub(super) async fn read<T: DeserializeOwned>(
    app: &App,
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
) -> Result<T, Problem> {
    let bytes = body::receive(exchange, headers, body, app.host.config().http.body_bytes_max).await?;
    let object = body::object(headers, &bytes)?;
    serde_json::from_value(Value::Object(object)).map_err(|error| invalid("", "shape", error.to_string()))
}

pub(super) fn invalid(pointer: &str, code: &str, message: String) -> Problem {
    Error::Schema(vec![Violation {
        pointer: pointer.to_owned(),
        code: code.to_owned(),
        message,
    }])
    .into()
}
