//! Questions: declared views are answered by the host from documents, computed ones by the component.

pub mod kept;

use std::sync::Arc;
use std::time::Duration;

use millwork_registry::manifest::{Action, View};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::bindings::types;
use crate::blocking;
use crate::capability::blobs::component::Keeping;
use crate::capability::documents::component::Access;
use crate::capability::documents::query::{Find, Scope};
use crate::capability::documents::{Document, Page};
use crate::capability::messaging::Speaker;
use crate::capability::messaging::component::Speech;
use crate::capability::platform::now_ms;
use crate::capability::search::component::Searching;
use crate::config::EngineLimits;
use crate::error::{Error, Rejection};
use crate::event_store::{Origin, Position};
use crate::project::{self, Projector};
use crate::tenant::{Module, Tenant};

/// One document of a view.
///
/// # Errors
/// [`Error::NotFound`] when there is none with this id in `scope`.
pub async fn view_one(
    tenant: &Tenant,
    module: &Module,
    view: &str,
    id: &str,
    scope: &Scope,
) -> Result<Document, Error> {
    let document = module.view_document(&*tenant.documents, view, id, scope).await?;
    document.ok_or_else(|| Error::NotFound {
        what: view.to_owned(),
        id: id.to_owned(),
    })
}

/// One page of a view. Fields that the view does not give are left out whatever `find` asks for.
///
/// # Errors
/// [`Error::Malformed`] when `find` is not understood.
pub async fn view_page(tenant: &Tenant, module: &Module, view: &str, mut find: Find) -> Result<Page, Error> {
    let declared = module.view(view)?;
    if find.fields.is_empty() {
        find.fields.clone_from(&declared.fields);
    }
    check_fields(declared, &find.fields)?;
    let collection = module.collection(&declared.collection)?;
    Ok(tenant.documents.find(collection, &find).await?)
}

fn check_fields(view: &View, wanted: &[String]) -> Result<(), Error> {
    let given = |field: &String| view.fields.is_empty() || view.fields.contains(field) || field == "_id";
    match wanted.iter().find(|field| !given(field)) {
        Some(field) => Err(Error::Malformed(format!("the view has no field {field:?}"))),
        None => Ok(()),
    }
}

/// The answer of a computed query, as JSON text.
///
/// # Errors
/// [`Error::Schema`] when the parameters do not fit, [`Error::Rejected`] when the component says no.
pub async fn answer(
    tenant: &Arc<Tenant>,
    module: &Arc<Module>,
    query: &str,
    params: Value,
    origin: Origin,
    limits: &EngineLimits,
) -> Result<Box<RawValue>, Error> {
    answer_at(tenant, module, query, params, origin, limits, 0).await
}

/// The same for a component that asks, to whom `depth` questions have led.
///
/// # Errors
/// Those of [`answer`].
pub async fn answer_at(
    tenant: &Arc<Tenant>,
    module: &Arc<Module>,
    query: &str,
    params: Value,
    origin: Origin,
    limits: &EngineLimits,
    depth: u8,
) -> Result<Box<RawValue>, Error> {
    module.check_params(query, &params)?;
    module.check_admitted()?;
    let closed = |_| Error::Unavailable("the host is shutting down".to_owned());
    // Who asks has one already, and waiting for another would be waiting for itself.
    let permit = match depth {
        0 => Some(
            Arc::clone(&tenant.effects)
                .acquire_owned()
                .await
                .map_err(closed)?,
        ),
        _ => None,
    };
    let speaker = Speaker {
        component: Arc::from(module.manifest.name.as_str()),
        user: origin.user.clone(),
        correlation_id: origin.correlation_id.clone(),
        causation_id: origin.causation_id.clone(),
        depth,
    };
    let context = context(module, origin);
    let caller = tenant.caller().clone();
    let access = Access::Read(Arc::clone(&tenant.documents));
    let searching = Searching::Read(Arc::clone(&tenant.search));
    let keeping = Keeping::Read(Arc::clone(&tenant.blobs));
    let mut effects = module.effects(&caller.tenant, access, &tenant.cache, searching, keeping, limits);
    if let Some(outlet) = tenant.outlet.get() {
        let permissions = &module.manifest.permissions;
        effects
            .messaging
            .open(Arc::clone(outlet), speaker, permissions, Speech::Questions);
    }
    let (component, name, params) = (
        Arc::clone(&module.component),
        query.to_owned(),
        params.to_string(),
    );
    let answered = blocking::on_own_thread(move || async move {
        let _permit = permit;
        component
            .answer(caller.tenant, effects, &name, params, &context)
            .await
    });
    let answered = answered
        .await
        .ok_or_else(|| Error::Unavailable("the host is shutting down".to_owned()))?;
    let answer = answered.map_err(|source| module.failed(&tenant.id, query, source))?;
    module.poison.answered();
    let text = answer.map_err(|rejection| Error::Rejected(Rejection::from(rejection)))?;
    RawValue::from_string(text).map_err(|error| Error::Contract {
        component: Arc::clone(&module.release),
        detail: format!("the answer of {query} is no JSON: {error}"),
    })
}

fn context(module: &Module, origin: Origin) -> types::Context {
    types::Context {
        now: now_ms(),
        origin: types::Origin {
            user: origin.user,
            correlation_id: origin.correlation_id,
            causation_id: origin.causation_id,
        },
        ids: Vec::new(),
        facts: "{}".to_owned(),
        numbers: Vec::new(),
        config: module.config.to_string(),
    }
}

/// Waits until the projections behind a view or query have applied `after`, here or on another host; gives the position
/// they are at.
///
/// # Errors
/// [`Error::Behind`] when they have not within `limit`.
pub async fn wait(
    projector: &Projector,
    tenant: &Tenant,
    module: &Module,
    action: &Action,
    after: Position,
    limit: Duration,
) -> Result<Position, Error> {
    for projection in module.projections_behind(action) {
        projector.reach(tenant, module, projection, after, limit).await?;
    }
    Ok(position(tenant, module, action))
}

/// The position that all projections behind a view or query have reached.
#[must_use]
pub fn position(tenant: &Tenant, module: &Module, action: &Action) -> Position {
    let behind = module.projections_behind(action);
    let at = behind.iter().map(|projection| {
        tenant
            .progress
            .at(&project::key(&module.manifest.name, projection))
    });
    at.min().unwrap_or_default()
}
