//! What is not understood or too large, and says where.

use millwork_host::capability::documents::query::{Filter, Find, Sort};
use millwork_host::capability::documents::update::Change;
use millwork_host::capability::documents::{DocumentError, DocumentStore, Line};
use serde_json::{Value, json};

use super::{
    find, invoices, object, on_every_backend, one, open, plain, put_all, start_mongodb, start_sqlite,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: start_mongodb },
    cases: [documents_that_are_refused, finds_that_are_refused, collections_that_were_not_prepared],
}

/// Checks that the error is of the caller and names the place.
fn refused<T: std::fmt::Debug>(what: &dyn std::fmt::Display, outcome: Result<T, DocumentError>, place: &str) {
    match outcome {
        Err(DocumentError::Malformed(text) | DocumentError::TooLarge(text)) => {
            assert!(text.contains(place), "{what}: {text}");
        }
        other => panic!("{what}: {other:?}"),
    }
}

fn nested(depth: usize, inner: Value, wrap: impl Fn(Value) -> Value) -> Value {
    (0..depth).fold(inner, |value, _| wrap(value))
}

#[test]
fn filters() {
    let many: Vec<Value> = (0..300).map(|n| json!({"x": n})).collect();
    for (filter, place) in [
        (json!([]), "filter: must be an object"),
        (json!("x"), "filter: must be an object"),
        (json!({"$where": "1"}), "filter.$where"),
        (json!({"x": {"$near": 1}}), "filter.x.$near"),
        (json!({"x": {"$gt": 1, "y": 2}}), "filter.x.y"),
        (
            json!({"$or": [{"x": 1}, {"y": {"$size": 1}}]}),
            "filter.$or.[1].y.$size",
        ),
        (json!({"$or": []}), "filter.$or"),
        (json!({"$and": {"x": 1}}), "filter.$and"),
        (json!({"$and": [1]}), "filter.$and.[0]"),
        (json!({"x": {"$in": 1}}), "filter.x.$in"),
        (json!({"x": {"$exists": 1}}), "filter.x.$exists"),
        (json!({"x": {"$regex": 1}}), "filter.x.$regex"),
        (json!({"x": {"$regex": "("}}), "filter.x.$regex"),
        (json!({"x": {"$regex": "a", "$options": "x"}}), "$options"),
        (json!({"x": {"$options": "i"}}), "filter.x.$options"),
        (json!({"x": {"$regex": "a".repeat(1_001)}}), "filter.x.$regex"),
        (json!({"x": {"$regex": "(a{1000}){1000}"}}), "filter.x.$regex"),
        (json!({"x": {"$not": 1}}), "filter.x.$not"),
        (json!({"x": {"$not": {"y": 1}}}), "filter.x.$not"),
        (json!({"x": {"$elemMatch": 1}}), "filter.x.$elemMatch"),
        (json!({"": 1}), "filter."),
        (json!({"x..y": 1}), "filter.x..y"),
        (json!({"x.$y": 1}), "filter.x.$y"),
        (json!({"x".repeat(257): 1}), "256 bytes"),
        (json!({"x": {"$in": vec![0; 1_001]}}), "filter.x.$in"),
        (
            json!({"x": {"$in": vec![0; 600], "$nin": vec![0; 600]}}),
            "filter.x.$nin",
        ),
        (
            nested(20, json!({"x": 1}), |inner| json!({"$and": [inner]})),
            "nests deeper",
        ),
        (
            nested(20, json!({"$gt": 1}), |inner| json!({"$not": inner})),
            "filter.$not",
        ),
        (json!({"$or": many}), "conditions"),
    ] {
        refused(&filter, Filter::parse(&filter), place);
    }
}

#[test]
fn sorts() {
    for (sort, place) in [
        (json!([]), "sort"),
        (json!({"x": 2}), "sort.x"),
        (json!({"x": "asc"}), "sort.x"),
        (json!({"$x": 1}), "$x"),
        (
            json!({"a": 1, "b": 1, "c": 1, "d": 1, "e": 1, "f": 1, "g": 1, "h": 1, "i": 1}),
            "sort",
        ),
    ] {
        refused(&sort, Sort::parse(&sort), place);
    }
    for text in ["-", "a,,b", "a,-a", "a b.$c"] {
        refused(&text, Sort::parse_text(text), "sort");
    }
    assert_eq!(
        Sort::parse(&json!({"due": 1, "total": -1})).unwrap(),
        Sort::parse_text("due, -total").unwrap()
    );
    assert_eq!(Sort::parse(&json!({})).unwrap(), Sort::parse_text("").unwrap());
    assert_eq!(Sort::parse_text("-due,_id,total").unwrap().to_text(), "-due,_id");
}

#[test]
fn updates() {
    for (change, place) in [
        (json!(1), "update"),
        (json!({"x": 1}), "update.x"),
        (json!({"$rename": {"x": "y"}}), "update.$rename"),
        (json!({"$set": 1}), "update.$set"),
        (json!({"$set": {"x..y": 1}}), "update.$set.x..y"),
        (json!({"$set": {"_id": 1}}), "update.$set._id"),
        (json!({"$unset": {"_id.x": 1}}), "update.$unset._id.x"),
        (json!({"$set": {"x": 1}, "$inc": {"x": 1}}), "update.$inc.x"),
        (
            json!({"$set": {"x": 1}, "$unset": {"x.y": 1}}),
            "update.$unset.x.y",
        ),
        (json!({"$set": {"x.y": 1, "x": 1}}), "update.$set.x"),
        (json!({"$inc": {"x": true}}), "update.$inc.x"),
        (json!({"$push": {"x": {"$each": 1}}}), "update.$push.x"),
        (
            json!({"$push": {"x": {"$each": [], "$slice": 1}}}),
            "update.$push.x",
        ),
        (
            json!({"$push": {"x": {"$each": vec![0; 1_001]}}}),
            "update.$push.x",
        ),
        (json!({"$pull": {"x": {"$near": 1}}}), "update.$pull.x"),
    ] {
        refused(&change, Change::parse(&change), place);
    }
}

async fn documents_that_are_refused(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut unit = documents.begin().await.unwrap();
    for (document, place) in [
        (json!({"due": [1]}), "due"),
        (json!({"customer": [{"name": "x"}]}), "customer.name"),
        (json!({"customer": {"name": []}}), "customer.name"),
        (json!({"total": "ten"}), "total"),
        (json!({"total": "1e3"}), "total"),
        (json!({"total": "1.00000000000000000000000000000000001"}), "total"),
        (json!({"lines": [{"price": "1"}, {"price": "x"}]}), "lines.price"),
        (json!({"$x": 1}), "$x"),
        (json!({"x": {"a.b": 1}}), "a.b"),
        (json!({"x": [{"": 1}]}), "name of a field"),
        (json!({"x": "x".repeat(1 << 20)}), "bytes"),
        (nested(70, json!(1), |inner| json!([inner])), "nests"),
    ] {
        let document = if document.is_object() {
            document
        } else {
            json!({ "x": document })
        };
        let text: String = document.to_string().chars().take(60).collect();
        let outcome = unit.put(&invoices(), Line::Live, "1", object(document)).await;
        refused(&text, outcome, place);
    }
    let long = "x".repeat(129);
    for id in ["", long.as_str()] {
        refused(
            &id,
            unit.put(&plain(), Line::Live, id, object(json!({}))).await,
            "the id",
        );
        refused(&id, unit.get(&plain(), Line::Live, id).await, "the id");
        refused(&id, unit.remove(&plain(), Line::Live, id).await, "the id");
        refused(&id, documents.get(&plain(), id).await, "the id");
    }
    let largest = "x".repeat((1 << 20) - "{\"_id\":\"1\",\"x\":\"\"}".len());
    unit.put(&plain(), Line::Live, "1", object(json!({ "x": largest })))
        .await
        .unwrap();
    unit.put(&plain(), Line::Live, &"x".repeat(128), object(json!({})))
        .await
        .unwrap();
    unit.commit(None).await.unwrap();
    assert_eq!(documents.count(&plain(), &find(json!({}))).await.unwrap(), 2);
    assert_eq!(documents.count(&invoices(), &find(json!({}))).await.unwrap(), 0);
}

async fn finds_that_are_refused(store: &dyn DocumentStore) {
    let documents = open(store).await;
    put_all(documents.as_ref(), &invoices(), &[one("a"), one("b")]).await;
    let all = || find(json!({}));
    let first = documents
        .find(&invoices(), &Find { limit: 1, ..all() })
        .await
        .unwrap();
    let of_another = Find {
        cursor: first.next.clone(),
        sort: Sort::parse_text("due").unwrap(),
        ..all()
    };
    let of_another_filter = Find {
        cursor: first.next.clone(),
        ..find(json!({"due": 1}))
    };
    let mut cut = first.next.clone().unwrap();
    cut.truncate(cut.len() - 2);
    let changed = |change: fn(&mut Find)| {
        let mut find = all();
        change(&mut find);
        find
    };
    let with_cursor = |cursor: &str| Find {
        cursor: Some(cursor.to_owned()),
        ..all()
    };
    for (query, place) in [
        (changed(|find| find.limit = 0), "limit"),
        (changed(|find| find.limit = 1_001), "limit"),
        (changed(|find| find.skip = 10_001), "skip"),
        (with_cursor("%"), "cursor"),
        (with_cursor(""), "cursor"),
        (with_cursor(&cut), "cursor"),
        (of_another, "cursor"),
        (of_another_filter, "cursor"),
        (changed(|find| find.fields = vec!["$x".to_owned()]), "$x"),
        (changed(|find| find.fields = vec!["x".to_owned(); 257]), "fields"),
    ] {
        refused(&place, documents.find(&invoices(), &query).await, place);
    }
    let elsewhere = documents
        .find(
            &plain(),
            &Find {
                cursor: first.next,
                ..all()
            },
        )
        .await;
    refused(&"another collection", elsewhere, "cursor");
    documents
        .find(
            &invoices(),
            &Find {
                limit: 1_000,
                skip: 10_000,
                ..all()
            },
        )
        .await
        .unwrap();
}

async fn collections_that_were_not_prepared(store: &dyn DocumentStore) {
    let documents = store.open(&super::tenant("a")).await.unwrap();
    let outcome = documents.get(&invoices(), "a").await;
    assert!(
        matches!(outcome, Err(DocumentError::Failed(ref text)) if text.contains("sales.invoices")),
        "{outcome:?}"
    );
}
