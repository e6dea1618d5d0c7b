//! Conditions on fields that are no text.

use std::sync::Arc;

use millwork_host::capability::search::{Index, Search};
use serde_json::{Value, json};

use super::{fill, ids, on_both, papers};

on_both!(
    fields_are_compared_by_their_type,
    a_list_fits_when_one_value_does,
    a_field_without_value_is_no_value,
    conditions_combine,
    a_filter_narrows_what_a_text_finds,
);

async fn some(store: &Arc<dyn Search>) -> Index {
    let of = papers();
    let documents = [
        (
            "a",
            json!({ "body": "x", "tags": ["red", "Blue"], "total": "9.50", "pages": -3, "due": "2026-01-31" }),
        ),
        (
            "b",
            json!({ "body": "x y", "tags": "blue", "total": "10.00", "pages": 10, "due": "2026-01-31T23:00:00-05:00" }),
        ),
        (
            "c",
            json!({ "body": "y", "tags": [], "total": "100", "pages": 2.5, "due": "2026-02-01T04:00:00.000Z" }),
        ),
        ("d", json!({ "body": "x", "total": "-0.1" })),
    ];
    fill(store, &of, &documents).await;
    of
}

async fn check(store: &Arc<dyn Search>, cases: &[(Value, &str)]) {
    let of = some(store).await;
    for (filter, expected) in cases {
        let found = ids(store, &of, "", filter).await;
        assert_eq!(found.concat(), *expected, "{filter}");
    }
}

async fn fields_are_compared_by_their_type(store: &Arc<dyn Search>) {
    check(
        store,
        &[
            (json!({ "tags": "blue" }), "b"),
            (json!({ "tags": "Blue" }), "a"),
            (json!({ "total": "10" }), "b"),
            (json!({ "total": { "$gt": "9.5" } }), "bc"),
            (json!({ "total": { "$gte": "9.5" } }), "abc"),
            (json!({ "total": { "$lt": "0" } }), "d"),
            (json!({ "total": { "$lte": "10.0" } }), "abd"),
            (json!({ "pages": 2.5 }), "c"),
            (json!({ "pages": { "$lt": 3 } }), "ac"),
            (json!({ "pages": { "$gte": -3, "$lt": 10 } }), "ac"),
            (json!({ "due": "2026-01-31" }), "a"),
            (json!({ "due": { "$gt": "2026-01-31" } }), "bc"),
            (json!({ "due": "2026-02-01T04:00:00Z" }), "bc"),
            (json!({ "tags": { "$in": ["red", "blue"] } }), "ab"),
            (json!({ "tags": { "$in": [] } }), ""),
        ],
    )
    .await;
}

async fn a_list_fits_when_one_value_does(store: &Arc<dyn Search>) {
    check(
        store,
        &[
            (json!({ "tags": "red" }), "a"),
            (json!({ "tags": { "$ne": "red" } }), "bcd"),
            (json!({ "tags": { "$nin": ["red", "blue"] } }), "cd"),
            // Each condition by another value.
            (json!({ "tags": { "$gt": "blue", "$lt": "blue" } }), "a"),
        ],
    )
    .await;
}

async fn a_field_without_value_is_no_value(store: &Arc<dyn Search>) {
    check(
        store,
        &[
            (json!({ "tags": { "$exists": true } }), "ab"),
            (json!({ "tags": { "$exists": false } }), "cd"),
            (json!({ "body": { "$exists": true } }), "abcd"),
            (json!({ "pages": { "$exists": false } }), "d"),
            (json!({ "pages": { "$lt": 1e9 } }), "abc"),
            (json!({ "pages": { "$ne": 10 } }), "acd"),
        ],
    )
    .await;
}

async fn conditions_combine(store: &Arc<dyn Search>) {
    check(
        store,
        &[
            (json!({}), "abcd"),
            (json!({ "tags": "red", "pages": 10 }), ""),
            (json!({ "$or": [{ "tags": "red" }, { "pages": 10 }] }), "ab"),
            (json!({ "$and": [{ "pages": { "$gt": 0 } }, { "$or": [{ "total": "100" }, { "tags": "red" }] }] }), "c"),
            (json!({ "$or": [{ "tags": { "$exists": false } }], "total": { "$gt": "0" } }), "c"),
        ],
    )
    .await;
}

async fn a_filter_narrows_what_a_text_finds(store: &Arc<dyn Search>) {
    let of = some(store).await;
    assert_eq!(
        ids(store, &of, "x", &json!({ "tags": { "$exists": true } }))
            .await
            .len(),
        2
    );
    assert_eq!(ids(store, &of, "y", &json!({ "total": "10" })).await, ["b"]);
    assert!(ids(store, &of, "z", &json!({ "total": "10" })).await.is_empty());
}
