//! Reading bodies: whole, bounded, and parsed once.

use std::fs::File;
use std::future::poll_fn;
use std::io::Write as _;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use bytes::{Bytes, BytesMut};
use hyper::body::{Body as _, Frame, SizeHint};
use serde_json::{Map, Value};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::exchange::Exchange;
use super::problem::Problem;
use crate::blocking;
use crate::error::Error;
use crate::migrate::ArchiveError;

/// Media type of commands and administrative requests.
pub(super) const JSON: &str = "application/json";

/// How much of a refused body is still read, in bytes. A connection that is closed while its client sends may lose the
/// answer on the way.
const DISCARDED_BYTES_MAX: usize = 32 << 20;
/// Longest time for that.
const DISCARD_TIME_MAX: Duration = Duration::from_secs(5);
/// A client that sends nothing for so long waits for the answer.
const DISCARD_PAUSE_MAX: Duration = Duration::from_millis(250);

/// A request whose body is read on, within bounds, when its handler answers without having read it: the connection can
/// then serve the next request, and the answer is not lost.
pub(super) fn read_to_the_end(request: Request) -> Request {
    // Who waits for leave to send is not given it.
    if request.body().is_end_stream() || request.headers().contains_key(EXPECT) {
        return request;
    }
    request.map(|body| Body::new(Unread(Some(body))))
}

/// What is left of a body; nothing once its end was seen.
struct Unread(Option<Body>);

impl hyper::body::Body for Unread {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else {
            return Poll::Ready(None);
        };
        let frame = ready!(Pin::new(body).poll_frame(context));
        if !matches!(frame, Some(Ok(_))) {
            self.0 = None;
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(hyper::body::Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0
            .as_ref()
            .map_or_else(|| SizeHint::with_exact(0), hyper::body::Body::size_hint)
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        let left = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (left, Handle::try_current()) {
            runtime.spawn(discard(body));
        }
    }
}

/// A whole body of at most `limit` bytes.
pub(super) async fn receive(
    exchange: &Exchange,
    headers: &HeaderMap,
    body: Body,
    limit: usize,
) -> Result<Bytes, Problem> {
    if announced(headers).is_some_and(|length| length > limit) {
        // Who waits for leave to send is not given it.
        if !headers.contains_key(EXPECT) {
            discard(body).await;
        }
        return Err(Problem::body_too_large(limit));
    }
    exchange.body_begins();
    let received = collect(body, limit).await;
    exchange.body_ends();
    received
}

/// Writes a body of at most `limit` bytes to a file, piece by piece.
pub(super) async fn spool(
    exchange: &Exchange,
    mut body: Body,
    limit: u64,
    mut file: File,
) -> Result<File, Problem> {
    exchange.body_begins();
    let mut bytes = 0;
    while let Some(piece) = next(&mut body).await? {
        bytes += piece.len() as u64;
        if bytes > limit {
            return Err(Error::from(ArchiveError::TooLarge(limit)).into());
        }
        blocking::run(|| file.write_all(&piece)).map_err(|error| Error::from(ArchiveError::from(error)))?;
    }
    exchange.body_ends();
    Ok(file)
}

fn announced(headers: &HeaderMap) -> Option<usize> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Most bodies come in one piece, which is given as it is.
async fn collect(mut body: Body, limit: usize) -> Result<Bytes, Problem> {
    let mut whole = Bytes::new();
    while let Some(piece) = next(&mut body).await? {
        if whole.len() + piece.len() > limit {
            discard(body).await;
            return Err(Problem::body_too_large(limit));
        }
        whole = if whole.is_empty() {
            piece
        } else {
            joined(whole, &piece)
        };
    }
    Ok(whole)
}

/// Appends in place when nobody else holds the bytes, as is the case from the second piece on.
fn joined(whole: Bytes, piece: &[u8]) -> Bytes {
    let mut all = whole
        .try_into_mut()
        .unwrap_or_else(|shared| BytesMut::from(shared.as_ref()));
    all.extend_from_slice(piece);
    all.freeze()
}

/// Reads what a client is still sending, as long as it does, in bounds.
async fn discard(mut body: Body) {
    let reading = async {
        let mut discarded = 0;
        while let Ok(Ok(Some(piece))) = timeout(DISCARD_PAUSE_MAX, next(&mut body)).await {
            discarded += piece.len();
            if discarded > DISCARDED_BYTES_MAX {
                break;
            }
        }
    };
    // The answer is the same, however far this came.
    let _ = timeout(DISCARD_TIME_MAX, reading).await;
}

/// The next piece; trailers are passed over.
async fn next(body: &mut Body) -> Result<Option<Bytes>, Problem> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await {
            None => return Ok(None),
            Some(Err(_)) => return Err(Problem::body_unreadable()),
            Some(Ok(frame)) => {
                if let Ok(piece) = frame.into_data() {
                    return Ok(Some(piece));
                }
            }
        }
    }
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

    #[tokio::test]
    async fn bodies_end_at_the_limit() {
        let sized = |length: usize| collect(Body::from(vec![b'x'; length]), 10);
        assert_eq!(sized(0).await.unwrap().len(), 0);
        assert_eq!(sized(10).await.unwrap().len(), 10);
        assert_eq!(sized(11).await.unwrap_err().code(), "body-too-large");
    }

    #[test]
    fn pieces_are_joined_in_order() {
        let whole = [b"cd".as_slice(), b"ef"]
            .into_iter()
            .fold(Bytes::from_static(b"ab"), joined);
        assert_eq!(whole, "abcdef");
    }
}
