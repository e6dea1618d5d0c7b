//! Questions and documents that are refused, above all backends.

use millwork_host::capability::search::entry::Entry;
use millwork_host::capability::search::{Find, SearchError};
use serde_json::{Value, json};

use super::papers;

#[track_caller]
fn refused(result: Result<impl Sized, SearchError>, expected: &str) {
    match result {
        Err(SearchError::Malformed(why) | SearchError::TooLarge(why)) => {
            assert!(why.contains(expected), "{why:?} does not say {expected:?}");
        }
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("accepted, but {expected}"),
    }
}

fn text(text: &str) -> Result<Find, SearchError> {
    Find::parse(&papers(), text, "", 10, None, Vec::new())
}

fn filter(filter: &Value) -> Result<Find, SearchError> {
    Find::parse(&papers(), "", &filter.to_string(), 10, None, Vec::new())
}

#[test]
fn texts() {
    refused(text("\"never ends"), "a quote does not end");
    refused(text(&"x".repeat(1_025)), "longer than 1024 bytes");
    refused(text(&"x ".repeat(33)), "more than 32 words");
    assert!(text(&"x ".repeat(32)).is_ok());
}

#[test]
fn filters() {
    for (json, expected) in [
        (json!([]), "must be an object"),
        (json!({ "none": 1 }), "has no field \"none\""),
        (json!({ "body": "x" }), "is text, which is searched"),
        (json!({ "total": 1 }), "must be decimal text"),
        (json!({ "total": "1e3" }), "must be decimal text"),
        (json!({ "pages": "1" }), "must be a number"),
        (json!({ "due": "tomorrow" }), "must be a day"),
        (json!({ "tags": null }), "must be text"),
        (json!({ "tags": {} }), "has no condition"),
        (
            json!({ "tags": { "$regex": ".*" } }),
            "$regex of \"tags\" is not understood",
        ),
        (json!({ "$where": "1" }), "$where is not understood"),
        (json!({ "$or": [] }), "$or needs a list"),
        (json!({ "tags": { "$in": "x" } }), "need a list"),
        (json!({ "tags": { "$exists": 1 } }), "must be true or false"),
        (
            json!({ "tags": { "$in": vec!["x"; 101] } }),
            "more than 100 values",
        ),
        (
            json!({ "$or": vec![json!({ "tags": "x" }); 65] }),
            "more than 64 conditions",
        ),
    ] {
        refused(filter(&json), expected);
    }
    let deep = (0..9).fold(json!({ "tags": "x" }), |inner, _| json!({ "$or": [inner] }));
    refused(filter(&deep), "deeper than 8");
    refused(
        Find::parse(&papers(), "", "{", 10, None, Vec::new()),
        "filter is no JSON",
    );
    let long = format!("{{\"tags\":{:?}}}", "x".repeat(20_000));
    refused(
        Find::parse(&papers(), "", &long, 10, None, Vec::new()),
        "longer than 16384 bytes",
    );
}

#[test]
fn pages() {
    let page = |limit, cursor, highlight: &str| {
        Find::parse(&papers(), "", "", limit, cursor, vec![highlight.to_owned()])
    };
    refused(page(0, None, "body"), "limit must be 1 to 100");
    refused(page(101, None, "body"), "limit must be 1 to 100");
    refused(page(1, None, "tags"), "no text field \"tags\" to highlight");
    for cursor in [
        "",
        "1",
        "zzzzzzzzid",
        "7fc00000id",
        "3f800000",
        "\u{e9}\u{e9}\u{e9}\u{e9}\u{e9}",
    ] {
        refused(
            page(1, Some(cursor), "body"),
            "cursor: it is not of a page before",
        );
    }
}

#[test]
fn documents() {
    let of = papers();
    let document = |json: Value| Entry::read(&of, "a", &json.to_string());
    refused(document(json!([])), "no JSON object");
    refused(document(json!({ "body": 1 })), "field \"body\" must be text");
    refused(
        document(json!({ "body": ["x", {}] })),
        "field \"body\" must be text",
    );
    refused(
        document(json!({ "total": 9.5 })),
        "field \"total\" must be decimal text",
    );
    refused(
        document(json!({ "due": "2026-13-01" })),
        "field \"due\" must be a day",
    );
    refused(
        document(json!({ "body": "x".repeat(1 << 20) })),
        "longer than 1048576 bytes",
    );
    refused(Entry::read(&of, "", "{}"), "1 to 512 bytes");
    refused(Entry::read(&of, &"x".repeat(513), "{}"), "1 to 512 bytes");
    assert!(document(json!({ "body": null, "tags": [null], "other": [1, "x"] })).is_ok());
}
