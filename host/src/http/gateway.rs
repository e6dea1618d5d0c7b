//! `/api/v1`: from a request to the action of a module.
//!
//! Credential, tenant, rate limits, generation, route, permission, in this order; then [`super::commands`] or [`super::views`]. What is
//! fetched here stays with the request to its end, so that a swap meanwhile changes nothing for it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::Method;
use axum::http::request::Parts;
use axum::response::Response;
use millwork_registry::manifest::Method::{Delete, Get, Patch, Post, Put};
use millwork_registry::manifest::{self, Action};

use super::auth::{Need, Principal, authorize};
use super::exchange::Exchange;
use super::params::{self, Params};
use super::problem::Problem;
use super::{App, PREFIX, commands, openapi, queries, views};
use crate::capability::documents::query::Scope;
use crate::error::Error;
use crate::tenant::{Generation, Module, Routed, Tenant};

/// The one path below the prefix that is no action of a module.
const OPENAPI: &str = "/openapi.json";

/// A request whose action is known and allowed.
pub(super) struct Asked {
    pub(super) app: Arc<App>,
    pub(super) exchange: Arc<Exchange>,
    pub(super) principal: Arc<Principal>,
    pub(super) tenant: Arc<Tenant>,
    pub(super) generation: Arc<Generation>,
    pub(super) module: Arc<Module>,
    pub(super) scope: Scope,
    /// Of the path, percent-decoded.
    pub(super) path_params: Vec<(String, String)>,
    pub(super) query: Params,
    pub(super) parts: Parts,
}

/// Answers every request that no fixed route takes.
pub(super) async fn serve(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let path = below_prefix(parts.uri.path()).ok_or_else(Problem::no_route)?;
    let exchange = Exchange::of(&parts.extensions)?;
    let principal = app.enter(&parts.method, &parts.headers).await?;
    let tenant = app.own_tenant(&principal).await?;
    exchange.belongs_to(&tenant);
    app.limiter.admit(&*tenant.rate_limits, &principal).await?;
    let generation = tenant.generation();
    if path == OPENAPI {
        return openapi::serve(&exchange, &generation, &parts.method);
    }
    let routed = method_of(&parts.method).map(|method| generation.route(method, path));
    let Some(Routed::Found {
        module,
        action,
        params: path_params,
        pattern,
    }) = routed
    else {
        return Err(refusal(&generation, path));
    };
    exchange.routed(pattern);
    let scope = authorize(&principal, &module.manifest, need(&module, &action))?;
    let query = Params::parse(parts.uri.query())?;
    let path_params = decoded(path_params)?;
    let asked = Asked {
        app,
        exchange,
        principal,
        tenant,
        generation,
        module,
        scope,
        path_params,
        query,
        parts,
    };
    let tenant = Arc::clone(&asked.tenant);
    let answer = match action {
        Action::Command(name) => commands::serve(asked, name, body).await,
        Action::View(_) => views::serve(asked, &action).await,
        Action::Query(_) => queries::serve(asked, &action).await,
    };
    // What was read while it was removed is not what it had.
    tenant.check_here()?;
    answer
}

/// The path below the prefix, with its slash.
fn below_prefix(path: &str) -> Option<&str> {
    path.strip_prefix(PREFIX).filter(|rest| rest.starts_with('/'))
}

/// HEAD is GET without the body, which the server leaves out.
fn method_of(method: &Method) -> Option<manifest::Method> {
    match *method {
        Method::GET | Method::HEAD => Some(Get),
        Method::POST => Some(Post),
        Method::PUT => Some(Put),
        Method::PATCH => Some(Patch),
        Method::DELETE => Some(Delete),
        _ => None,
    }
}

/// The path is unknown, or has other methods.
fn refusal(generation: &Generation, path: &str) -> Problem {
    let found = |method: &manifest::Method| matches!(generation.route(*method, path), Routed::Found { .. });
    let allow: Vec<_> = [Get, Post, Put, Patch, Delete]
        .into_iter()
        .filter(found)
        .map(manifest::Method::as_str)
        .collect();
    if let (true, Some((name, broken))) = (allow.is_empty(), generation.broken.first()) {
        // Its manifest could not be read either, so the path may have been its.
        Error::ModuleBroken(format!("{name} {}: {}", broken.version, broken.why)).into()
    } else if allow.is_empty() {
        Problem::no_route()
    } else {
        Problem::method_not_allowed(&allow.join(", "))
    }
}

fn need<'a>(module: &'a Module, action: &Action) -> Need<'a> {
    let manifest = &module.manifest;
    match action {
        Action::Command(name) => Need::Write(
            manifest
                .command(name)
                .and_then(|(_, command)| command.permission.as_deref()),
        ),
        Action::View(name) => Need::Read(
            manifest
                .views
                .get(name)
                .and_then(|view| view.permission.as_deref()),
        ),
        Action::Query(name) => Need::Read(
            manifest
                .queries
                .get(name)
                .and_then(|query| query.permission.as_deref()),
        ),
    }
}

fn decoded(path_params: Vec<(String, String)>) -> Result<Vec<(String, String)>, Error> {
    let decode = |(name, value): (String, String)| Ok((name, params::decode(value)?));
    path_params.into_iter().map(decode).collect()
}
