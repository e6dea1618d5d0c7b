//! Views over HTTP: one document, or a page of them, answered by the host from read models.

use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue};
use axum::response::Response;
use millwork_registry::manifest::{Action, View};
use serde::Serialize;
use serde_json::value::RawValue;

use super::commands::{ID, POSITION, tag_of};
use super::gateway::Asked;
use super::problem::{self, Problem};
use super::{filter, position, reply};
use crate::event_store::Position;
use crate::query;
use crate::query::kept::{self, Answer, Question};
use crate::tenant::action_name;

/// Waits until the read model has come to the position of a token.
pub(super) const AFTER: &str = "after";

/// One page.
#[derive(Serialize)]
struct Items<'a> {
    items: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<&'a str>,
    position: &'a str,
}

/// Answers a view: a document where the route has `{id}`, else a page.
pub(super) async fn serve(mut asked: Asked, action: &Action) -> Result<Response, Problem> {
    let name = action_name(action);
    let view = asked
        .module
        .manifest
        .views
        .get(name)
        .ok_or_else(Problem::no_route)?
        .clone();
    let position = position(&mut asked, action).await?;
    let id = asked
        .path_params
        .iter()
        .find(|(param, _)| param == ID)
        .map(|(_, id)| id.clone());
    match id {
        Some(id) => one(asked, action, &id, position).await,
        None => page(asked, action, &view, position).await,
    }
}

/// The position that the answer is at least as new as: `?after=` is waited for, in bounds.
pub(super) async fn position(asked: &mut Asked, action: &Action) -> Result<Position, Problem> {
    let Some(token) = asked.query.take(AFTER)? else {
        return Ok(query::position(&asked.tenant, &asked.module, action));
    };
    let after = position::decode(&token)?;
    let projector = asked.app.host.projector();
    Ok(query::wait(
        projector,
        &asked.tenant,
        &asked.module,
        action,
        after,
        wait_max(asked),
    )
    .await?)
}

fn wait_max(asked: &Asked) -> Duration {
    asked.app.host.config().project.wait_max
}

async fn one(asked: Asked, action: &Action, id: &str, position: Position) -> Result<Response, Problem> {
    asked.query.finish()?;
    let (tenant, module, scope) = (&*asked.tenant, &*asked.module, &asked.scope);
    let question = Question {
        tenant,
        module,
        action,
        scope,
        what: kept::one(id),
    };
    let made = async {
        let document = query::view_one(tenant, module, action_name(action), id, scope).await?;
        Answer::of_document(&document)
    };
    let answer = kept::answer(&question, made).await?;
    let tag = answer.version.map(tag_of).transpose()?;
    let mut response = match &tag {
        Some(tag) if is_known(&asked.parts.headers, tag) => {
            let mut unchanged = Response::new(Body::empty());
            *unchanged.status_mut() = problem::NOT_MODIFIED;
            unchanged
        }
        _ => reply::of_json(problem::OK, answer.body),
    };
    let headers = response.headers_mut();
    headers.insert(POSITION, reply::header(&position::encode(position))?);
    if let Some(tag) = tag {
        headers.insert(ETAG, tag);
    }
    Ok(response)
}

/// Whether `If-None-Match` names this version: weak comparison (RFC 9110, section 13.1.2).
fn is_known(headers: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known).as_bytes() == tag.as_bytes())
}

async fn page(
    mut asked: Asked,
    action: &Action,
    view: &View,
    position: Position,
) -> Result<Response, Problem> {
    let limits = &asked.app.host.config().http;
    let find = filter::page(
        &asked.module.manifest,
        view,
        &mut asked.query,
        limits,
        asked.scope.clone(),
    )?;
    let (tenant, module) = (&*asked.tenant, &*asked.module);
    let question = Question {
        tenant,
        module,
        action,
        scope: &asked.scope,
        what: kept::page(&find),
    };
    let made = async {
        let page = query::view_page(tenant, module, action_name(action), find).await?;
        Answer::of_page(page)
    };
    let answer = kept::answer(&question, made).await?;
    let position = position::encode(position);
    let items = Items {
        items: reply::raw(&answer.body)?,
        next: answer.next.as_deref(),
        position: &position,
    };
    let mut response = reply::json(problem::OK, &items)?;
    response.headers_mut().insert(POSITION, reply::header(&position)?);
    Ok(response)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_versions_are_found_in_lists() {
        let tag = HeaderValue::from_static("\"7\"");
        let known = |value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, HeaderValue::from_static(value));
            is_known(&headers, &tag)
        };
        assert!(known("\"7\"") && known("W/\"7\"") && known("\"6\", \"7\"") && known("*"));
        assert!(!known("\"70\"") && !known("7") && !known("\"6\""));
    }
}
