//! Changes of what a tenant runs: asking for them, looking on, and having a say in them.
//!
//! The same answers stand under `/admin/v1/tenants/{tenant}` for operators and the tenant's admins, and under
//! [`super::marketplace`] for the latter. A change that is settled soon is answered with what it came to, one that takes
//! longer or waits for somebody with 202 and where it stands.

mod sight;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, LOCATION};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use millwork_registry::id::TenantId;
use millwork_registry::replay::Policy;
use millwork_registry::swap::{self, Action, CanaryPlan, Options};
use semver::{Version, VersionReq};
use serde::Deserialize;
use serde_json::{Value, json};

pub(super) use self::sight::Sight;
use super::admin::{Nothing, allowed, invalid, read};
use super::auth::Principal;
use super::exchange::Exchange;
use super::problem::{self, Problem};
use super::{App, reply};
use crate::error::Error;
use crate::host::swap::{Answer, Begun, Live, View, Wish};

/// How often what is measured while a swap goes on is sent anew.
const PULSE: Duration = Duration::from_millis(500);

/// Preference of those who follow a swap instead of waiting for its answer (RFC 7240, section 4.1).
const RESPOND_ASYNC: &str = "respond-async";

/// Whose modules are changed, and where whoever asks for it can look at the swap.
pub(super) struct Whose {
    pub(super) tenant: TenantId,
    /// Path of the tenant's swaps.
    pub(super) swaps: String,
    /// Who asks.
    pub(super) by: String,
}

impl Whose {
    /// A tenant that whoever sends these headers may administer.
    fn administered(app: &App, headers: &HeaderMap, tenant: &str) -> Result<Self, Problem> {
        let tenant = allowed(app, headers, tenant)?;
        Ok(Self {
            swaps: format!("/admin/v1/tenants/{tenant}/swaps"),
            by: app.principal(headers)?.user.clone(),
            tenant,
        })
    }
}

/// How carefully a change is to be made; part of the bodies that ask for one.
#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields, rename_all = "camelCase")]
pub(super) struct Asked {
    /// This version and no other. Absent: the newest that `wanted` allows, else the newest.
    version: Option<Version>,
    /// A range of versions, kept for later.
    wanted: Option<VersionReq>,
    /// The module's configuration; as it was when absent.
    config: Option<Value>,
    /// What follows from differences in the replay, by class.
    policy: Policy,
    /// Whether the history is not tried.
    skip_replay: bool,
    /// Whether it may be that there is no way back.
    one_way: bool,
    /// A share of the aggregates goes first.
    canary: Option<CanaryPlan>,
}

impl Asked {
    fn options(&mut self) -> Options {
        Options {
            policy: std::mem::take(&mut self.policy),
            skip_replay: self.skip_replay,
            one_way: self.one_way,
            canary: self.canary.take(),
        }
    }
}

/// `PUT /admin/v1/tenants/{tenant}/modules/{module}`
pub(super) async fn enable(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, module)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let whose = Whose::administered(&app, &parts.headers, &tenant)?;
    enable_for(&app, &exchange, &parts.headers, body, whose, module).await
}

/// `DELETE /admin/v1/tenants/{tenant}/modules/{module}`
pub(super) async fn disable(
    State(app): State<Arc<App>>,
    Path((tenant, module)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let whose = Whose::administered(&app, &headers, &tenant)?;
    disable_for(&app, &headers, whose, module).await
}

/// `POST /admin/v1/tenants/{tenant}/modules/{module}/rollback`
pub(super) async fn roll_back(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, module)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let whose = Whose::administered(&app, &parts.headers, &tenant)?;
    roll_back_for(&app, &exchange, &parts.headers, body, whose, module).await
}

/// `POST /admin/v1/tenants/{tenant}/modules/{module}/revive`
pub(super) async fn revive(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, module)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let tenant = allowed(&app, &parts.headers, &tenant)?;
    let Nothing {} = read(&app, &exchange, &parts.headers, body).await?;
    app.host.revive(&*app.host.tenant(&tenant)?, &module).await?;
    reply::json(
        problem::OK,
        &json!({ "tenant": tenant, "module": module, "quarantined": false }),
    )
}

/// `GET /admin/v1/tenants/{tenant}/swaps`
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = allowed(&app, &headers, &tenant)?;
    list_of(&app, &tenant, Sight::Whole)
}

/// `GET /admin/v1/tenants/{tenant}/swaps/{number}`
pub(super) async fn show(
    State(app): State<Arc<App>>,
    Path((tenant, number)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = allowed(&app, &headers, &tenant)?;
    reply::json(problem::OK, &app.host.swap_view(&tenant, parse(&number)?)?)
}

/// `GET /admin/v1/tenants/{tenant}/swaps/{number}/events`
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    Path((tenant, number)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant = allowed(&app, &headers, &tenant)?;
    events(app, tenant, parse(&number)?, Sight::Whole)
}

/// `POST /admin/v1/tenants/{tenant}/swaps/{number}/{wish}`
pub(super) async fn wish(
    State(app): State<Arc<App>>,
    Extension(exchange): Extension<Arc<Exchange>>,
    Path((tenant, number, wish)): Path<(String, String, String)>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    let tenant = allowed(&app, &parts.headers, &tenant)?;
    let Nothing {} = read(&app, &exchange, &parts.headers, body).await?;
    let principal = app.principal(&parts.headers)?;
    wish_for(&app, &principal, &tenant, &number, &wish)
}

/// Enables a module or moves it, as the body says.
pub(super) async fn enable_for(
    app: &App,
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
    whose: Whose,
    module: String,
) -> Result<Response, Problem> {
    let mut asked: Asked = read(app, exchange, headers, body).await?;
    let options = asked.options();
    let action = Action::Enable {
        version: asked.version,
        wanted: asked.wanted,
        config: asked.config,
    };
    change(app, headers, &whose, module, action, options).await
}

/// Disables a module.
pub(super) async fn disable_for(
    app: &App,
    headers: &HeaderMap,
    whose: Whose,
    module: String,
) -> Result<Response, Problem> {
    change(app, headers, &whose, module, Action::Disable, Options::default()).await
}

/// Takes a module back, to the version before or to the one that the body names.
pub(super) async fn roll_back_for(
    app: &App,
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
    whose: Whose,
    module: String,
) -> Result<Response, Problem> {
    let mut asked: Asked = read(app, exchange, headers, body).await?;
    if asked.wanted.is_some() || asked.config.is_some() {
        return Err(invalid(
            "",
            "shape",
            "a rollback takes a version, but neither a range nor a configuration".to_owned(),
        ));
    }
    let version = match asked.version.take() {
        Some(version) => version,
        None => app.host.previous_version(&whose.tenant, &module)?,
    };
    let options = asked.options();
    change(
        app,
        headers,
        &whose,
        module,
        Action::RollBack { version },
        options,
    )
    .await
}

async fn change(
    app: &App,
    headers: &HeaderMap,
    whose: &Whose,
    module: String,
    action: Action,
    options: Options,
) -> Result<Response, Problem> {
    let request = swap::Request {
        module,
        action,
        options,
        by: whose.by.clone(),
    };
    let begun: Begun = app.host.change(&whose.tenant, request).await?;
    let waits_max = if wants_to_follow(headers) {
        Duration::ZERO
    } else {
        app.host.config().swap.answer_within
    };
    match begun.answer(waits_max).await? {
        Answer::Settled(swapped) => reply::json(problem::OK, &swapped),
        Answer::UnderWay(view) => {
            let path = format!("{}/{}", whose.swaps, view.swap.number);
            let mut response = reply::json(problem::ACCEPTED, &*view)?;
            response.headers_mut().insert(LOCATION, reply::header(&path)?);
            Ok(response)
        }
    }
}

/// Whether the answer shall come as soon as the change is under way.
fn wants_to_follow(headers: &HeaderMap) -> bool {
    let lists = headers
        .get_all("prefer")
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut preferences = lists.flat_map(|list| list.split(','));
    preferences.any(|preference| preference.trim().eq_ignore_ascii_case(RESPOND_ASYNC))
}

/// The last swaps of a tenant.
pub(super) fn list_of(app: &App, tenant: &TenantId, sight: Sight) -> Result<Response, Problem> {
    let swaps = app.host.swaps_of(tenant)?;
    let swaps: Vec<Value> = swaps
        .iter()
        .map(|view| sight.of(view))
        .collect::<Result<_, _>>()?;
    reply::json(problem::OK, &json!({ "tenant": tenant, "swaps": swaps }))
}

/// Tells a swap to go on, to end well, or to be taken back.
pub(super) fn wish_for(
    app: &App,
    principal: &Principal,
    tenant: &TenantId,
    number: &str,
    wish: &str,
) -> Result<Response, Problem> {
    let by = principal.user.clone();
    let wish = match wish {
        // What a module may touch is the tenant's to say, not the operator's.
        "consent" if principal.tenant.is_none() => {
            return Err(Error::Forbidden(format!("admin of tenant {tenant}")).into());
        }
        "consent" => Wish::Consent { by },
        "cancel" => Wish::Cancel { by },
        "promote" => Wish::Promote { by },
        _ => return Err(Problem::no_route()),
    };
    let live = app.host.tell(tenant, parse(number)?, wish)?;
    reply::json(problem::ACCEPTED, &live.view())
}

pub(super) fn parse(number: &str) -> Result<u64, Error> {
    number.parse().map_err(|_| Error::NotFound {
        what: "swap".to_owned(),
        id: number.to_owned(),
    })
}

/// The swap as server-sent events (WHATWG HTML, section 9.2): one named `swap` for where it stands now and for every
/// change of that, to its end.
pub(super) fn events(
    app: Arc<App>,
    tenant: TenantId,
    number: u64,
    sight: Sight,
) -> Result<Response, Problem> {
    let first = app.host.swap_view(&tenant, number)?;
    let watch = Watch {
        live: app.host.live(&tenant).filter(|live| live.swap().number == number),
        app,
        sight,
        known: 0,
        sent: None,
        next: Some(first),
    };
    let stream = stream::unfold(watch, |watch| async move {
        let (event, watch) = watch.step().await?;
        Some((Ok::<_, Infallible>(event), watch))
    });
    let mut response = Sse::new(stream).keep_alive(KeepAlive::default()).into_response();
    // Proxies that collect answers would hold the events back.
    response
        .headers_mut()
        .insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Somebody who looks on.
struct Watch {
    app: Arc<App>,
    sight: Sight,
    live: Option<Arc<Live>>,
    /// Steps told so far.
    known: usize,
    sent: Option<Value>,
    next: Option<View>,
}

impl Watch {
    /// The next event; nothing after the last.
    async fn step(mut self) -> Option<(Event, Self)> {
        loop {
            let view = match self.next.take() {
                Some(view) => view,
                None => self.changed().await?,
            };
            let over = view.swap.stage.is_over();
            let seen = self.sight.of(&view).ok()?;
            if self.sent.as_ref() == Some(&seen) && !over {
                continue;
            }
            let event = Event::default()
                .event("swap")
                .id(view.swap.history.len().to_string())
                .data(seen.to_string());
            self.sent = Some(seen);
            self.known = view.swap.history.len();
            if over {
                self.live = None;
            }
            return Some((event, self));
        }
    }

    /// Waits for something new.
    async fn changed(&mut self) -> Option<View> {
        let live = self.live.as_ref()?;
        let mut follow = live.follow();
        let mut closing = self.app.host.closing();
        let known = self.known;
        let more = |swap: &swap::Swap| swap.history.len() > known;
        tokio::select! {
            changed = follow.wait_for(more) => drop(changed.ok()?),
            () = tokio::time::sleep(PULSE) => {}
            _ = closing.wait_for(|closing| *closing) => return None,
        }
        Some(live.view())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_prefers_to_follow_says_so() {
        let prefers = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert("prefer", HeaderValue::from_static(value));
            wants_to_follow(&headers)
        };
        assert!(prefers("respond-async") && prefers("wait=10, Respond-Async"));
        assert!(!prefers("") && !prefers("return=minimal") && !prefers("respond-async-not"));
        assert!(!wants_to_follow(&HeaderMap::new()));
    }
}
