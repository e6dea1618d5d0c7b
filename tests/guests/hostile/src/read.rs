//! Attacks from projections and queries, which may use capabilities within limits.

use serde_json::{Value, json};

use crate::bindings::millwork::cache::cache;
use crate::bindings::millwork::documents::documents::{self, Error};
use crate::bindings::millwork::module::types::Event;
use crate::bindings::millwork::platform::random;
use crate::excess;

const HOST_CALLS: usize = 1_000_000;
/// For cached values, in milliseconds.
const TTL_MS: u32 = 60_000;

/// Writes down what came of an event, unless it is one of those that end the call.
pub(crate) fn apply(projection: &str, event: &Event) {
    match projection {
        "Poison" => excess::trap("the message of a deliberate panic in a projection"),
        "Stall" => excess::spin(),
        _ => {}
    }
    let outcome = if event.name == "Trespassed" {
        trespass(&event.data)
    } else {
        json!({ "behaved": true })
    };
    if let Err(error) = documents::put("outcomes", &event.of.id, &outcome.to_string()) {
        excess::trap(&format!("outcomes cannot be written: {error:?}"));
    }
}

/// Writes and reads a collection that is named by the event.
fn trespass(place: &str) -> Value {
    let (collection, id) = place_of(place);
    let write = documents::put(&collection, &id, r#"{"by":"hostile"}"#).map(|()| json!("done"));
    json!({ "write": outcome(write), "read": read(&collection, &id) })
}

/// Carries out the attack that the query names; `outcome` of the answer says how far it came.
pub(crate) fn answer(query: &str, params: &str) -> String {
    let outcome = match query {
        "LoopInQuery" => excess::spin(),
        "TrapInQuery" => excess::trap("the message of a deliberate panic in a query"),
        "AnswerNoJson" => return "{nothing".to_owned(),
        "AnswerHugeText" => return excess::huge_json(),
        "FloodHost" => flood(),
        "DrawTooMuch" => json!(random::bytes(u32::MAX).len()),
        "ReadDocument" => {
            let (collection, id) = place_of(params);
            read(&collection, &id)
        }
        "WriteDocument" => {
            let (collection, id) = place_of(params);
            outcome(documents::put(&collection, &id, r#"{"by":"hostile"}"#).map(|()| json!("done")))
        }
        "ReadCache" => read_cache(&parsed(params)),
        "WriteCache" => write_cache(&parsed(params)),
        other => excess::trap(&format!("there is no query {other}")),
    };
    json!({ "outcome": outcome }).to_string()
}

fn flood() -> Value {
    for _ in 0..HOST_CALLS {
        drop(documents::get("outcomes", "any"));
    }
    json!(HOST_CALLS)
}

fn read(collection: &str, id: &str) -> Value {
    outcome(documents::get(collection, id).map(|found| found.map_or(json!("nothing"), |text| parsed(&text))))
}

fn read_cache(params: &Value) -> Value {
    match cache::get(text(params, "key")) {
        Ok(Some(value)) => json!(value.len()),
        Ok(None) => json!("nothing"),
        Err(error) => cache_error(&error),
    }
}

fn write_cache(params: &Value) -> Value {
    let bytes = params
        .get("bytes")
        .and_then(Value::as_u64)
        .and_then(|bytes| usize::try_from(bytes).ok());
    match cache::put(text(params, "key"), &vec![0; bytes.unwrap_or_default()], TTL_MS) {
        Ok(()) => json!("done"),
        Err(error) => cache_error(&error),
    }
}

/// The document, or the name of the error.
fn outcome(result: Result<Value, Error>) -> Value {
    result.unwrap_or_else(|error| match error {
        Error::Denied(_) => json!("denied"),
        Error::Malformed(_) => json!("malformed"),
        Error::TooLarge(_) => json!("too-large"),
        Error::Unavailable => json!("unavailable"),
    })
}

fn cache_error(error: &cache::Error) -> Value {
    match error {
        cache::Error::Denied(_) => json!("denied"),
        cache::Error::TooLarge(_) => json!("too-large"),
        cache::Error::Unavailable => json!("unavailable"),
    }
}

fn place_of(params: &str) -> (String, String) {
    let place = parsed(params);
    (
        text(&place, "collection").to_owned(),
        text(&place, "id").to_owned(),
    )
}

fn parsed(json: &str) -> Value {
    serde_json::from_str(json).unwrap_or_default()
}

fn text<'a>(object: &'a Value, name: &str) -> &'a str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}
