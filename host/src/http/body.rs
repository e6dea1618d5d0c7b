//! Reading bodies: whole, bounded, and parsed once.

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use serde_json::{Map, Value};

use super::exchange::Exchange;
use super::problem::Problem;
use crate::error::Error;

/// Media type of commands and administrative requests.
pub(super) const JSON: &str = "application/json";

/// A whole body of at most `limit` bytes. One that says it is longer is refused before it is read.
pub(super) async fn receive(
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    let announced = headers
        .get(CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).map_or(true, |length| length > limit)) {
        return Err(Problem::body_too_large(limit));
    }
    let mut request = Request::new(body);
    DefaultBodyLimit::max(limit).apply(&mut request);
    exchange.body_begins();
    let received = Bytes::from_request(request, &()).await;
    exchange.body_ends();
    received.map_err(|rejection| Problem::of_unread_body(rejection.status(), limit))
}

/// A JSON object; an empty body is an empty one.
pub(super) fn object(headers: &HeaderMap, body: &[u8]) -> Result<Map<String, Value>, Problem> {
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !has_media_type(headers, JSON) {
        return Err(Problem::media_type(JSON));
    }
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Error::Malformed("the body must be a JSON object".to_owned()).into()),
        Err(error) => Err(Error::Malformed(format!("the body is no JSON: {error}")).into()),
    }
}

/// Whether the body is announced as this media type, with whatever parameters.
pub(super) fn has_media_type(headers: &HeaderMap, expected: &str) -> bool {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    given
        .split(';')
        .next()
        .is_some_and(|essence| essence.trim().eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(content_type: Option<&'static str>, body: &str, code: Option<&str>) {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
        }
        let refused = object(&headers, body.as_bytes()).err();
        assert_eq!(
            refused.as_ref().map(Problem::code),
            code,
            "{content_type:?} {body}"
        );
    }

    #[test]
    fn only_json_objects_are_bodies() {
        check(None, "", None);
        check(Some("application/json"), "{}", None);
        check(Some("Application/JSON; charset=utf-8"), r#"{"a":1}"#, None);
        check(None, "{}", Some("media-type"));
        check(Some("text/plain"), "{}", Some("media-type"));
        check(Some("application/json"), "[]", Some("malformed"));
        check(Some("application/json"), "{", Some("malformed"));
        check(Some("application/json"), &"[".repeat(100_000), Some("malformed"));
    }
}
