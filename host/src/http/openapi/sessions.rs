//! Sessions: signing in and out, and what is told of them.

use serde_json::{Map, Value, json};

use super::operations::{json_content, object, problems, shared_header};
use super::schemas::reference;
use crate::http::entry::SESSION_COOKIE;
use crate::http::problem;

/// What these operations stand under. No module's name has a capital.
const TAG: &str = "Sessions";

/// The tag of sessions.
pub(super) fn tag() -> Value {
    json!({ "name": TAG, "description": "Where a user is signed in, and how that ends" })
}

/// All paths of sessions.
pub(super) fn paths() -> Map<String, Value> {
    let handle =
        json!([{ "name": "handle", "in": "path", "required": true, "schema": { "type": "string" } }]);
    let ended = |operation, summary, parameters| {
        let responses = answers(problem::of_reads(), "200", "Ended", reference("SessionsEnded"));
        described(operation, summary, parameters, responses)
    };
    object(json!({
        "/sessions": {
            "post": begin(),
            "get": described(
                "listSessions",
                "Lists one's own sessions, the oldest first",
                json!([]),
                answers(problem::of_reads(), "200", "Found", reference("Sessions")),
            ),
            "delete": ended("endSessions", "Ends all of one's own sessions", json!([])),
        },
        "/sessions/current": {
            "delete": ended("endCurrentSession", "Ends the session that the request comes by", json!([])),
        },
        "/sessions/{handle}": {
            "delete": ended("endSession", "Ends one of one's own sessions", handle),
        },
    }))
}

/// How requests show that somebody is signed in, beside a token.
pub(super) fn cookie_scheme() -> Value {
    json!({
        "type": "apiKey", "in": "cookie", "name": SESSION_COOKIE,
        "description": "A session; changes are taken with it from pages of the same origin alone. Over plain HTTP on the \
                        client's own machine its name has no prefix. Its id may be sent as a bearer token instead",
    })
}

/// What is answered of sessions.
pub(super) fn schemas() -> Map<String, Value> {
    let begun = json!({
        "allOf": [reference("Session")],
        "required": ["id"],
        "properties": { "id": { "type": "string", "description": "The credential; told this once" } },
    });
    let sessions = json!({ "type": "array", "items": reference("Session") });
    object(json!({
        "Session": session(),
        "SessionBegun": begun,
        "Sessions": { "type": "object", "required": ["sessions"], "properties": { "sessions": sessions } },
        "SessionsEnded": {
            "type": "object", "required": ["ended"],
            "properties": { "ended": { "type": "integer", "description": "How many" } },
        },
    }))
}

fn session() -> Value {
    let time =
        |description: &str| json!({ "type": "string", "format": "date-time", "description": description });
    json!({
        "type": "object",
        "required": ["handle", "label", "createdAt", "seenAt", "expiresAt", "endsAt", "current"],
        "properties": {
            "handle": { "type": "string", "description": "What it is called by those who end it; no credential" },
            "label": { "type": "string" },
            "createdAt": time("When it began"),
            "seenAt": time("When it was last used"),
            "expiresAt": time("When it ends unless it is used before"),
            "endsAt": time("When it ends however it is used"),
            "current": { "type": "boolean", "description": "Whether the request came by it" },
        },
    })
}

fn begin() -> Map<String, Value> {
    let responses = answers(
        problem::of_commands(),
        "201",
        "Signed in",
        reference("SessionBegun"),
    );
    let summary = "Signs in: begins a session that says what the token says";
    let mut operation = described("beginSession", summary, json!([]), responses);
    let label = json!({ "type": "string", "maxLength": 200, "description": "What the user calls it, such as the device" });
    let body = json!({ "type": "object", "additionalProperties": false, "properties": { "label": label } });
    operation.insert("requestBody".to_owned(), json!({ "content": json_content(body) }));
    // A session begins no other.
    operation.insert("security".to_owned(), json!([{ "bearer": [] }]));
    operation
}

fn described(
    operation: &str,
    summary: &str,
    parameters: Value,
    responses: Map<String, Value>,
) -> Map<String, Value> {
    object(json!({
        "operationId": operation,
        "summary": summary,
        "tags": [TAG],
        "parameters": parameters,
        "responses": responses,
    }))
}

/// A success with JSON of this schema, or a refusal.
fn answers(
    refusals: impl Iterator<Item = String>,
    status: &str,
    description: &str,
    schema: Value,
) -> Map<String, Value> {
    let mut responses = problems(refusals);
    let headers = json!({ "X-Correlation-Id": shared_header("X-Correlation-Id") });
    let success = json!({ "description": description, "headers": headers, "content": json_content(schema) });
    responses.insert(status.to_owned(), success);
    responses
}
