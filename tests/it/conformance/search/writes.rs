//! Documents come, change and go; nobody sees another's.

use std::sync::Arc;

use millwork_host::capability::search::{Change, Search};
use serde_json::json;

use super::{fill, found, index, on_both, papers, put, suggested, tenant};

on_both!(
    what_is_written_is_found_and_what_is_replaced_is_not,
    changes_take_effect_in_their_order,
    writing_again_changes_nothing,
    tenants_and_indexes_do_not_see_each_other,
    other_fields_make_another_index,
    ids_may_be_any_text,
    a_forgotten_index_is_none,
);

async fn what_is_written_is_found_and_what_is_replaced_is_not(store: &Arc<dyn Search>) {
    let of = papers();
    fill(
        store,
        &of,
        &[("a", json!({ "body": "first", "free": { "of": ["form"] } }))],
    )
    .await;
    assert_eq!(found(store, &of, "first").await, ["a"]);
    fill(store, &of, &[("a", json!({ "body": "second" }))]).await;
    assert!(found(store, &of, "first").await.is_empty());
    assert_eq!(found(store, &of, "second").await, ["a"]);
    store
        .write(&tenant("a"), &of, &[Change::Remove("a".to_owned())])
        .await
        .unwrap();
    assert!(found(store, &of, "").await.is_empty());
    // It is gone already.
    store
        .write(&tenant("a"), &of, &[Change::Remove("a".to_owned())])
        .await
        .unwrap();
}

async fn changes_take_effect_in_their_order(store: &Arc<dyn Search>) {
    let of = papers();
    let changes = [
        put(&of, "a", &json!({ "body": "one" })),
        put(&of, "b", &json!({ "body": "one" })),
        put(&of, "a", &json!({ "body": "two" })),
        Change::Remove("b".to_owned()),
        Change::Remove("c".to_owned()),
        put(&of, "c", &json!({ "body": "one" })),
    ];
    store.write(&tenant("a"), &of, &changes).await.unwrap();
    assert_eq!(found(store, &of, "one").await, ["c"]);
    assert_eq!(found(store, &of, "two").await, ["a"]);
}

async fn writing_again_changes_nothing(store: &Arc<dyn Search>) {
    let of = papers();
    for _ in 0..3 {
        fill(
            store,
            &of,
            &[("a", json!({ "body": "same" })), ("b", json!({ "body": "same" }))],
        )
        .await;
    }
    assert_eq!(found(store, &of, "same").await, ["a", "b"]);
}

async fn tenants_and_indexes_do_not_see_each_other(store: &Arc<dyn Search>) {
    let of = papers();
    fill(store, &of, &[("a", json!({ "title": "mine" }))]).await;
    let theirs = [put(&of, "a", &json!({ "title": "theirs" }))];
    store.write(&tenant("b"), &of, &theirs).await.unwrap();
    let mut other = papers();
    other.module = "archive".to_owned();
    fill(store, &other, &[("a", json!({ "title": "elsewhere" }))]).await;
    assert_eq!(found(store, &of, "mine").await, ["a"]);
    assert!(found(store, &of, "theirs").await.is_empty());
    assert!(found(store, &of, "elsewhere").await.is_empty());
    assert_eq!(suggested(store, &tenant("a"), &of, "title", "").await, ["mine"]);
    assert_eq!(suggested(store, &tenant("b"), &of, "title", "").await, ["theirs"]);
    store
        .write(&tenant("b"), &of, &[Change::Remove("a".to_owned())])
        .await
        .unwrap();
    assert_eq!(found(store, &of, "mine").await, ["a"]);
}

async fn other_fields_make_another_index(store: &Arc<dyn Search>) {
    let (before, after) = (
        index(&[("body", "text"), ("n", "keyword")]),
        index(&[("body", "text"), ("n", "number")]),
    );
    fill(store, &before, &[("a", json!({ "body": "x", "n": "1" }))]).await;
    assert_eq!(
        store
            .find(&tenant("a"), &after, &all(&after))
            .await
            .unwrap()
            .total,
        0
    );
    let change = [put(&after, "a", &json!({ "body": "x", "n": 1 }))];
    store.write(&tenant("a"), &after, &change).await.unwrap();
    assert_eq!(
        store
            .find(&tenant("a"), &after, &all(&after))
            .await
            .unwrap()
            .total,
        1
    );
}

fn all(of: &millwork_host::capability::search::Index) -> millwork_host::capability::search::Find {
    millwork_host::capability::search::Find::parse(of, "", "", 10, None, Vec::new()).unwrap()
}

async fn ids_may_be_any_text(store: &Arc<dyn Search>) {
    let of = papers();
    let long = "é".repeat(256);
    let all = ["../../etc/passwd", "a\"b\\c\n", "ü b", long.as_str()];
    for id in all {
        fill(store, &of, &[(id, json!({ "body": "x" }))]).await;
    }
    let mut expected = all.map(str::to_owned).to_vec();
    expected.sort();
    assert_eq!(found(store, &of, "x").await, expected);
    for id in all {
        store
            .write(&tenant("a"), &of, &[Change::Remove(id.to_owned())])
            .await
            .unwrap();
    }
    assert!(found(store, &of, "x").await.is_empty());
}

async fn a_forgotten_index_is_none(store: &Arc<dyn Search>) {
    let (of, other) = (papers(), index(&[("title", "text"), ("body", "text")]));
    let paper = put(&of, "a", &json!({ "body": "first" }));
    for tenant in [tenant("a"), tenant("a-b")] {
        store
            .write(&tenant, &of, std::slice::from_ref(&paper))
            .await
            .unwrap();
    }
    fill(store, &other, &[("b", json!({ "body": "first" }))]).await;
    assert_eq!(found(store, &of, "first").await, ["a"]);
    for _ in 0..2 {
        store
            .forget(&tenant("a"), std::slice::from_ref(&of))
            .await
            .unwrap();
        assert!(found(store, &of, "first").await.is_empty());
    }
    assert_eq!(found(store, &other, "first").await, ["b"]);
    assert_eq!(suggested(store, &tenant("a-b"), &of, "title", "").await, [""; 0]);
    // It comes to be again, with its fields.
    store.begin(&tenant("a"));
    fill(
        store,
        &of,
        &[("c", json!({ "title": "Second", "body": "painting" }))],
    )
    .await;
    assert_eq!(found(store, &of, "paint").await, ["c"]);
    assert_eq!(
        suggested(store, &tenant("a"), &of, "title", "sec").await,
        ["Second"]
    );
    store.forget(&tenant("a"), &[of, other]).await.unwrap();
}
