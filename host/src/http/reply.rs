//! Bodies and headers of answers.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::problem::Problem;
use crate::dispatch::Executed;
use crate::event_store::Recorded;

/// Media type of answers.
pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// Answer to a command.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Reply<'a> {
    id: &'a str,
    version: u64,
    position: &'a str,
    events: Vec<Event<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dry_run: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    states: Option<Vec<State<'a>>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Event<'a> {
    id: &'a str,
    name: &'a str,
    aggregate: &'a str,
    aggregate_id: &'a str,
    version: u64,
    #[serde(serialize_with = "rfc3339")]
    recorded_at: u64,
    data: &'a RawValue,
}

/// What an aggregate would be after a dry run.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct State<'a> {
    aggregate: &'a str,
    aggregate_id: &'a str,
    state: &'a RawValue,
}

/// The body that answers a command.
pub(super) fn command(executed: &Executed, position: &str) -> Result<Vec<u8>, Problem> {
    let states = executed
        .dry_run_states
        .as_ref()
        .map(|states| states.iter().map(state).collect())
        .transpose()?;
    let reply = Reply {
        id: &executed.target.id,
        version: executed.version,
        position,
        events: executed.events.iter().map(event).collect::<Result<_, _>>()?,
        dry_run: states.is_some().then_some(true),
        states,
    };
    bytes(&reply)
}

fn event(recorded: &Recorded) -> Result<Event<'_>, Problem> {
    Ok(Event {
        id: &recorded.id,
        name: &recorded.name,
        aggregate: &recorded.of.aggregate,
        aggregate_id: &recorded.of.id,
        version: recorded.version,
        recorded_at: recorded.recorded_at,
        data: raw(recorded.data.as_bytes())?,
    })
}

fn state(
    (subject, state): &(crate::event_store::Subject, std::sync::Arc<str>),
) -> Result<State<'_>, Problem> {
    Ok(State {
        aggregate: &subject.aggregate,
        aggregate_id: &subject.id,
        state: raw(state.as_bytes())?,
    })
}

/// JSON text as it stands.
pub(super) fn raw(text: &[u8]) -> Result<&RawValue, Problem> {
    serde_json::from_slice(text).map_err(|error| Problem::bug(format!("recorded text is no JSON: {error}")))
}

/// Any body as JSON.
pub(super) fn bytes(body: &impl Serialize) -> Result<Vec<u8>, Problem> {
    serde_json::to_vec(body).map_err(|error| Problem::bug(format!("writing an answer: {error}")))
}

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Result<Response, Problem> {
    Ok(of_json(status, bytes(body)?))
}

/// An answer with a body that is JSON already.
pub(super) fn of_json(status: StatusCode, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, JSON);
    response
}

/// A header of text that the host made.
pub(super) fn header(text: &str) -> Result<HeaderValue, Problem> {
    HeaderValue::from_str(text).map_err(|_| Problem::bug(format!("{text:?} cannot stand in a header")))
}

/// Milliseconds since 1970 as RFC 3339, UTC, always with three digits behind the second so that texts sort as times.
pub(super) fn rfc3339<S: Serializer>(ms: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    let text = time_text(*ms).ok_or_else(|| serde::ser::Error::custom(format!("{ms} ms is no time")))?;
    serializer.serialize_str(&text)
}

fn time_text(ms: u64) -> Option<String> {
    const FORM: &[BorrowedFormatItem<'_>] =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000)
        .ok()?
        .format(FORM)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339() {
        assert_eq!(time_text(0).unwrap(), "1970-01-01T00:00:00.000Z");
        assert_eq!(time_text(1_790_000_000_123).unwrap(), "2026-09-21T14:13:20.123Z");
        assert_eq!(time_text(u64::MAX), None);
    }
}
