//! Commands over HTTP: body and headers in, what was recorded out.
//!
//! Headers: `Idempotency-Key` (the IETF draft's, quoted or bare), `If-Match` with one strong entity tag, and the reply's
//! `ETag`, `Location`, `Millwork-Position` and `Idempotency-Replayed`. The body is parsed once and moved on.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CONTENT_TYPE, ETAG, IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use millwork_registry::manifest::{self, Action};
use serde_json::{Map, Value};

use super::gateway::Asked;
use super::problem::{self, Problem};
use super::{PREFIX, body, position, reply};
use crate::config::COMMAND_ID_BYTES_MAX;
use crate::dispatch::{Executed, Request};
use crate::error::Error;
use crate::tenant::{Generation, Routed};

/// Names a command, so that repeating it changes nothing.
pub(super) const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that the reply is that of an earlier request with the same key.
pub(super) const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// The position token of what was recorded or read.
pub(super) const POSITION: HeaderName = HeaderName::from_static("millwork-position");
/// Asks for what would happen.
pub(super) const DRY_RUN: &str = "dry-run";
/// The path parameter that names the target.
pub(super) const ID: &str = "id";

/// Executes a command.
pub(super) async fn serve(mut asked: Asked, command: String, body: Body) -> Result<Response, Problem> {
    let dry_run = asked.query.take_flag(DRY_RUN)?;
    std::mem::take(&mut asked.query).finish()?;
    let headers = &asked.parts.headers;
    let command_id = idempotency_key(headers)?;
    let expected_version = if_match(headers)?;
    let limit = asked.app.host.config().http.body_bytes_max;
    let bytes = body::receive(&asked.exchange, headers, body, limit).await?;
    let mut data = body::object(headers, &bytes)?;
    let target = merge(&mut data, std::mem::take(&mut asked.path_params))?;
    let request = Request {
        module: Arc::clone(&asked.module),
        command,
        target,
        data: Value::Object(data),
        command_id,
        expected_version,
        origin: asked.exchange.origin(&asked.principal.user),
        dry_run,
        canary: asked.generation.canary.clone(),
    };
    let executed = asked.app.host.dispatcher.execute(&asked.tenant, request).await?;
    answer(&executed, &asked.generation, asked.parts.uri.path())
}

/// The draft's key is a structured field string; the bare form is what most clients send.
fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Error> {
    let Some(value) = one(headers, &IDEMPOTENCY_KEY)? else {
        return Ok(None);
    };
    let bare = value
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'))
        .unwrap_or(value);
    let visible = bare
        .bytes()
        .all(|byte| byte.is_ascii_graphic() && byte != b'"' && byte != b'\\');
    if visible && (1..=COMMAND_ID_BYTES_MAX).contains(&bare.len()) {
        return Ok(Some(bare.to_owned()));
    }
    let detail = format!("Idempotency-Key must be 1 to {COMMAND_ID_BYTES_MAX} visible ASCII characters");
    Err(Error::Malformed(detail))
}

/// The version of the one strong entity tag; `*` asks for nothing that a command does not ask for anyway.
fn if_match(headers: &HeaderMap) -> Result<Option<u64>, Error> {
    match one(headers, &IF_MATCH)? {
        None | Some("*") => Ok(None),
        Some(tag) => version_of(tag).map(Some).ok_or_else(|| {
            Error::Malformed("If-Match must be one strong entity tag, such as \"7\"".to_owned())
        }),
    }
}

/// The version in an entity tag: `"7"`, without leading zeros or signs.
pub(super) fn version_of(tag: &str) -> Option<u64> {
    let digits = tag.strip_prefix('"')?.strip_suffix('"')?;
    let canonical =
        digits.bytes().all(|byte| byte.is_ascii_digit()) && (digits == "0" || !digits.starts_with('0'));
    canonical.then(|| digits.parse().ok()).flatten()
}

/// The entity tag of a version.
pub(super) fn tag_of(version: u64) -> Result<HeaderValue, Problem> {
    reply::header(&format!("\"{version}\""))
}

/// The value of a header that may stand there once.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Error> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(Error::Malformed(format!(
            "header {name} stands there more than once"
        )));
    }
    value
        .to_str()
        .map(Some)
        .map_err(|_| Error::Malformed(format!("header {name} is no visible ASCII")))
}

/// Adds the path's parameters to the body and gives the target; a body that contradicts its path is refused.
fn merge(data: &mut Map<String, Value>, path_params: Vec<(String, String)>) -> Result<Option<String>, Error> {
    let mut target = None;
    for (name, value) in path_params {
        if name == ID {
            target = Some(value);
            continue;
        }
        if data
            .get(&name)
            .is_some_and(|given| given.as_str() != Some(&value))
        {
            return Err(Error::Malformed(format!("the body's {name:?} is not the path's")));
        }
        data.insert(name, Value::String(value));
    }
    Ok(target)
}

fn answer(executed: &Executed, generation: &Generation, path: &str) -> Result<Response, Problem> {
    let position = position::encode(executed.position);
    let mut response = Response::new(Body::from(reply::command(executed, &position)?));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, reply::JSON);
    headers.insert(ETAG, tag_of(executed.version)?);
    headers.insert(POSITION, reply::header(&position)?);
    if executed.replayed {
        headers.insert(REPLAYED, HeaderValue::from_static("true"));
    }
    if executed.created && executed.dry_run_states.is_none() {
        if let Some(location) = location(generation, path, &executed.target.id) {
            headers.insert(LOCATION, reply::header(&location)?);
        }
        *response.status_mut() = problem::CREATED;
    }
    Ok(response)
}

/// Where the created aggregate can be read: below the path that it was created at, when a route answers there.
fn location(generation: &Generation, path: &str, id: &str) -> Option<String> {
    let plain = id
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    let location = plain.then(|| format!("{}/{id}", path.trim_end_matches('/')))?;
    let routed = generation.route(manifest::Method::Get, location.strip_prefix(PREFIX)?);
    matches!(
        routed,
        Routed::Found {
            action: Action::View(_) | Action::Query(_),
            ..
        }
    )
    .then_some(location)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(&name, value.parse().unwrap());
        }
        headers
    }

    #[test]
    fn keys_may_be_quoted_or_bare() {
        let key = |values: &[&str]| idempotency_key(&headers(IDEMPOTENCY_KEY, values));
        assert_eq!(key(&[]).unwrap(), None);
        assert_eq!(key(&["abc-1"]).unwrap().unwrap(), "abc-1");
        assert_eq!(key(&["\"abc-1\""]).unwrap().unwrap(), "abc-1");
        assert_eq!(
            key(&["k".repeat(COMMAND_ID_BYTES_MAX).as_str()])
                .unwrap()
                .unwrap()
                .len(),
            COMMAND_ID_BYTES_MAX
        );
        let long = "k".repeat(COMMAND_ID_BYTES_MAX + 1);
        for refused in [&[""][..], &["\"\""], &["a b"], &["a\"b"], &["a", "a"], &[&long]] {
            assert!(key(refused).is_err(), "{refused:?}");
        }
    }

    #[test]
    fn one_strong_tag_names_a_version() {
        let version = |value: &str| if_match(&headers(IF_MATCH, &[value]));
        assert_eq!(version("\"7\"").unwrap(), Some(7));
        assert_eq!(version("*").unwrap(), None);
        for refused in [
            "7",
            "W/\"7\"",
            "\"\"",
            "\"07\"",
            "\"+7\"",
            "\"7\", \"8\"",
            "\"99999999999999999999\"",
        ] {
            assert!(version(refused).is_err(), "{refused}");
        }
    }

    #[test]
    fn the_path_completes_the_body() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let mut data = Map::new();
        let target = merge(&mut data, vec![pair("id", "i1"), pair("lineId", "l1")]).unwrap();
        assert_eq!(
            (target.as_deref(), data["lineId"].as_str()),
            (Some("i1"), Some("l1"))
        );
        assert!(!data.contains_key("id"));
        assert!(merge(&mut data, vec![pair("lineId", "l1")]).is_ok());
        assert!(merge(&mut data, vec![pair("lineId", "l2")]).is_err());
    }
}
