//! `/api/v1/marketplace`: what a tenant could run, what it runs, and how it gets from the one to the other.
//!
//! Everybody of a tenant may look; its admins change it, with the same requests and answers as under
//! `/admin/v1/tenants/{tenant}` ([`super::swaps`]). What is shown is read from the records of releases ([`shelf`]); nothing
//! here opens a component.

mod shelf;
mod item;
mod wanted;

use std::sync::Arc;

use axum::extract::{Path, Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::{get, post};
use axum::{Extension, Router};
use millwork_registry::Error as Refusal;

use self::shelf::Shelf;
use self::wanted::Wanted;
use super::admin::{Nothing, read};
use super::auth::{Principal, manage};
use super::exchange::Exchange;
use super::params::Params;
use super::problem::{self, Problem};
use super::swaps::{self, Sight, Whose};
use super::{App, reply};
use crate::blocking;
use crate::error::Error;
use crate::tenant::Tenant;

/// Path of a tenant's swaps, for its own people.
const SWAPS: &str = "/api/v1/marketplace/swaps";

/// Everything below `/api/v1/marketplace`.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/marketplace", get(list))
        .route("/api/v1/marketplace/{name}", get(show))
        .route("/api/v1/marketplace/{name}/enable", post(enable))
        .route("/api/v1/marketplace/{name}/upgrade", post(upgrade))
        .route("/api/v1/marketplace/{name}/disable", post(disable))
        .route("/api/v1/marketplace/{name}/rollback", post(roll_back))
        .route("/api/v1/marketplace/swaps", get(list_swaps))
        .route("/api/v1/marketplace/swaps/{number}", get(show_swap))
        .route("/api/v1/marketplace/swaps/{number}/events", get(follow_swap))
        .route("/api/v1/marketplace/swaps/{number}/{wish}", post(wish))
}

/// Somebody of a tenant.
struct Visitor {
    principal: Arc<Principal>,
    tenant: Arc<Tenant>,
    sight: Sight,
}

impl Visitor {
    /// Whoever sends these headers, if they belong to a tenant.
    async fn of(app: &App, parts: &Parts) -> Result<Self, Problem> {
        let principal = app.enter(&parts.method, &parts.headers).await?;
        let tenant = app.own_tenant(&principal).await?;
        Exchange::of(&parts.extensions)?.belongs_to(&tenant);
        let sight = match manage(&principal) {
            Ok(()) => Sight::Whole,
            Err(_) => Sight::Outline,
        };
        Ok(Self {
            principal,
            tenant,
            sight,
        })
    }

    /// The same, if they may change what the tenant runs.
    async fn managing(app: &App, parts: &Parts) -> Result<Self, Problem> {
        let visitor = Self::of(app, parts).await?;
        manage(&visitor.principal)?;
        Ok(visitor)
    }

    fn whose(&self) -> Whose {
        Whose {
            tenant: self.tenant.id.clone(),
            swaps: SWAPS.to_owned(),
            by: self.principal.user.clone(),
        }
    }

    /// What the tenant has and could have. Blocks.
    fn shelf<'a>(&self, app: &'a App) -> Result<Shelf<'a>, Error> {
        Ok(Shelf {
            catalog: app.host.catalog(),
            keys: app.host.catalog().trust().keys()?,
            installed: app.host.installed(&self.tenant.id)?,
            serving: self.tenant.generation(),
            live: app.host.live(&self.tenant.id).map(|live| live.view()),
        })
    }
}

/// `GET /api/v1/marketplace`
async fn list(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let visitor = Visitor::of(&app, &parts).await?;
    let mut params = Params::parse(parts.uri.query())?;
    let wanted = Wanted::take(&mut params, &app.host.config().http)?;
    params.finish()?;
    let page = blocking::run(|| {
        let shelf = visitor.shelf(&app)?;
        reply::bytes(&shelf.page(&wanted)?)
    })?;
    Ok(reply::of_json(problem::OK, page))
}

/// `GET /api/v1/marketplace/{name}`
async fn show(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let visitor = Visitor::of(&app, &parts).await?;
    Params::parse(parts.uri.query())?.finish()?;
    let page = blocking::run(|| {
        let shelf = visitor.shelf(&app)?;
        let mut details = shelf.details(&name)?;
        if visitor.sight == Sight::Whole {
            details.configuration = shelf.configuration(&name);
        }
        details.under_way = shelf
            .swap_of(&name)
            .map(|view| visitor.sight.of(view))
            .transpose()?;
        reply::bytes(&details)
    })?;
    Ok(reply::of_json(problem::OK, page))
}

/// `POST /api/v1/marketplace/{name}/enable`
async fn enable(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let whose = Visitor::managing(&app, &parts).await?.whose();
    swaps::enable_for(&app, &exchange, &parts.headers, body, whose, name).await
}

/// `POST /api/v1/marketplace/{name}/upgrade`
async fn upgrade(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let visitor = Visitor::managing(&app, &parts).await?;
    let installed = app.host.installed(&visitor.tenant.id)?;
    if !installed.installations.contains_key(&name) {
        let tenant = installed.tenant;
        return Err(Error::from(Refusal::NotEnabled { name, tenant }).into());
    }
    swaps::enable_for(&app, &exchange, &parts.headers, body, visitor.whose(), name).await
}

/// `POST /api/v1/marketplace/{name}/disable`
async fn disable(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let whose = Visitor::managing(&app, &parts).await?.whose();
    swaps::disable_for(&app, &parts.headers, whose, name).await
}

/// `POST /api/v1/marketplace/{name}/rollback`
async fn roll_back(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let whose = Visitor::managing(&app, &parts).await?.whose();
    swaps::roll_back_for(&app, &exchange, &parts.headers, body, whose, name).await
}

/// `GET /api/v1/marketplace/swaps`
async fn list_swaps(State(app): State<Arc<App>>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let visitor = Visitor::of(&app, &parts).await?;
    swaps::list_of(&app, &visitor.tenant.id, visitor.sight)
}

/// `GET /api/v1/marketplace/swaps/{number}`
async fn show_swap(
    State(app): State<Arc<App>>,
    Path(number): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let visitor = Visitor::of(&app, &parts).await?;
    let view = app.host.swap_view(&visitor.tenant.id, swaps::parse(&number)?)?;
    reply::json(problem::OK, &visitor.sight.of(&view)?)
}

/// `GET /api/v1/marketplace/swaps/{number}/events`
async fn follow_swap(
    State(app): State<Arc<App>>,
    Path(number): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let visitor = Visitor::of(&app, &parts).await?;
    let tenant = visitor.tenant.id.clone();
    swaps::events(app, tenant, swaps::parse(&number)?, visitor.sight)
}

/// `POST /api/v1/marketplace/swaps/{number}/{wish}`
async fn wish(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((number, wish)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let visitor = Visitor::managing(&app, &parts).await?;
    let Nothing {} = read(&app, &exchange, &parts.headers, body).await?;
    swaps::wish_for(&app, &visitor.principal, &visitor.tenant.id, &number, &wish)
}
