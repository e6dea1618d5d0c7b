//! How documents change.

use millwork_host::capability::documents::{DocumentError, DocumentStore, Line};
use serde_json::{Value, json};

use super::{
    change, get, invoices, object, on_every_backend, one, open, put_all, start_mongodb, start_sqlite,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: start_mongodb },
    cases: [
        changes_of_fields,
        changes_of_numbers,
        changes_of_arrays,
        changes_that_are_refused,
        a_missing_document,
        a_document_is_replaced_as_a_whole,
        indexes_follow,
        documents_come_back_as_they_were_written,
    ],
}

/// Each: a document, a change, what becomes of it.
async fn check(store: &dyn DocumentStore, cases: &[(Value, Value, Value)]) {
    let documents = open(store).await;
    for (before, json, after) in cases {
        let mut unit = documents.begin().await.unwrap();
        unit.put(&invoices(), Line::Live, "a", object(before.clone()))
            .await
            .unwrap();
        let changed = unit
            .update(&invoices(), Line::Live, "a", &change(json.clone()))
            .await;
        assert!(changed.unwrap_or_else(|error| panic!("{json}: {error}")));
        unit.commit(None).await.unwrap();
        let mut expected = after.clone();
        expected["_id"] = json!("a");
        assert_eq!(
            get(documents.as_ref(), "a").await,
            Some(expected),
            "{before} and {json}"
        );
    }
}

async fn changes_of_fields(store: &dyn DocumentStore) {
    check(
        store,
        &[
            (json!({}), json!({}), json!({})),
            (
                json!({"x": 1}),
                json!({"$set": {"x": 2, "y": [1]}}),
                json!({"x": 2, "y": [1]}),
            ),
            (
                json!({}),
                json!({"$set": {"a.b.c": 1}}),
                json!({"a": {"b": {"c": 1}}}),
            ),
            (
                json!({"a": {"x": 1}}),
                json!({"$set": {"a.b": {"c": 1}}}),
                json!({"a": {"x": 1, "b": {"c": 1}}}),
            ),
            (
                json!({"l": [{"p": 1}, {"p": 2}]}),
                json!({"$set": {"l.1.p": 9}}),
                json!({"l": [{"p": 1}, {"p": 9}]}),
            ),
            (
                json!({"l": [1]}),
                json!({"$set": {"l.1": 2}}),
                json!({"l": [1, 2]}),
            ),
            (json!({}), json!({"$set": {"l.0": 2}}), json!({"l": {"0": 2}})),
            (
                json!({"x": 1, "y": {"z": 1, "w": 2}}),
                json!({"$unset": {"x": "", "y.z": 1, "no.way": 1}}),
                json!({"y": {"w": 2}}),
            ),
            (
                json!({"l": [1, 2, 3]}),
                json!({"$unset": {"l.1": 1}}),
                json!({"l": [1, null, 3]}),
            ),
            (
                json!({"x": 1}),
                json!({"$set": {"y": 1}, "$unset": {"x": 1}, "$inc": {"n": 2}}),
                json!({"y": 1, "n": 2}),
            ),
        ],
    )
    .await;
}

async fn changes_of_numbers(store: &dyn DocumentStore) {
    check(
        store,
        &[
            (json!({"n": 1}), json!({"$inc": {"n": 2}}), json!({"n": 3})),
            (json!({"n": 1}), json!({"$inc": {"n": -2}}), json!({"n": -1})),
            (
                json!({}),
                json!({"$inc": {"n": 5, "a.b": 1}}),
                json!({"n": 5, "a": {"b": 1}}),
            ),
            (
                json!({"n": i64::MAX}),
                json!({"$inc": {"n": 1}}),
                json!({"n": 9_223_372_036_854_775_808_u64}),
            ),
            (
                json!({"total": "10.50"}),
                json!({"$inc": {"total": "0.5"}}),
                json!({"total": "11.00"}),
            ),
            (
                json!({"total": "10.50"}),
                json!({"$inc": {"total": "-20"}}),
                json!({"total": "-9.50"}),
            ),
            (
                json!({"total": "0.1"}),
                json!({"$inc": {"total": "0.2"}}),
                json!({"total": "0.3"}),
            ),
            (
                json!({"total": "1"}),
                json!({"$inc": {"total": 2}}),
                json!({"total": "3"}),
            ),
            (
                json!({}),
                json!({"$inc": {"total": "2.50"}}),
                json!({"total": "2.50"}),
            ),
            (
                json!({"total": "9999999999999999999999999.99"}),
                json!({"$inc": {"total": "0.01"}}),
                json!({"total": "10000000000000000000000000.00"}),
            ),
            (
                json!({"lines": [{"price": "1.1"}]}),
                json!({"$inc": {"lines.0.price": "2.2"}}),
                json!({"lines": [{"price": "3.3"}]}),
            ),
        ],
    )
    .await;
}

async fn changes_of_arrays(store: &dyn DocumentStore) {
    let lines = || json!({"lines": [{"sku": "x", "price": "5.0"}, {"sku": "y", "price": "50"}]});
    check(
        store,
        &[
            (json!({}), json!({"$push": {"t": 1}}), json!({"t": [1]})),
            (
                json!({"t": [1]}),
                json!({"$push": {"t": [2]}}),
                json!({"t": [1, [2]]}),
            ),
            (
                json!({"t": [1]}),
                json!({"$push": {"t": {"$each": [2, 3]}}}),
                json!({"t": [1, 2, 3]}),
            ),
            (
                json!({"a": {"t": [1]}}),
                json!({"$push": {"a.t": {"x": 1}}}),
                json!({"a": {"t": [1, {"x": 1}]}}),
            ),
            (
                json!({"t": [1, 2, 1, "1"]}),
                json!({"$pull": {"t": 1}}),
                json!({"t": [2, "1"]}),
            ),
            (
                json!({"t": [1, 5, 9]}),
                json!({"$pull": {"t": {"$gt": 1, "$lt": 9}}}),
                json!({"t": [1, 9]}),
            ),
            (
                json!({"t": [1, 5, 9]}),
                json!({"$pull": {"t": {"$in": [1, 9]}}}),
                json!({"t": [5]}),
            ),
            (
                json!({"t": [[1], [2]]}),
                json!({"$pull": {"t": [1]}}),
                json!({"t": [[2]]}),
            ),
            (json!({"x": 1}), json!({"$pull": {"t": 1}}), json!({"x": 1})),
            (
                lines(),
                json!({"$pull": {"lines": {"sku": "x"}}}),
                json!({"lines": [{"sku": "y", "price": "50"}]}),
            ),
            (
                lines(),
                json!({"$pull": {"lines": {"price": {"$gt": "9"}}}}),
                json!({"lines": [{"sku": "x", "price": "5.0"}]}),
            ),
        ],
    )
    .await;
}

async fn changes_that_are_refused(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let before = json!({"_id": "a", "n": 1, "f": 1.5, "s": "1", "total": "1", "t": [1], "due": 1});
    put_all(documents.as_ref(), &invoices(), std::slice::from_ref(&before)).await;
    for (json, place) in [
        (json!({"$inc": {"f": 1}}), "f"),
        (json!({"$inc": {"n": 1.5}}), "n"),
        (json!({"$inc": {"n": "1"}}), "n"),
        (json!({"$inc": {"s": "1"}}), "s"),
        (json!({"$inc": {"t": 1}}), "t"),
        (json!({"$inc": {"total": "x"}}), "total"),
        (
            json!({"$inc": {"total": "79228162514264337593543950335"}}),
            "total",
        ),
        (json!({"$set": {"n.x": 1}}), "n.x"),
        (json!({"$set": {"t.x": 1}}), "t.x"),
        (json!({"$set": {"t.5": 1}}), "t.5"),
        (json!({"$push": {"n": 1}}), "n"),
        (json!({"$pull": {"n": 1}}), "n"),
        (json!({"$set": {"total": "ten"}}), "total"),
        (json!({"$push": {"customer.name": 1}}), "customer.name"),
    ] {
        let mut unit = documents.begin().await.unwrap();
        match unit
            .update(&invoices(), Line::Live, "a", &change(json.clone()))
            .await
        {
            Err(DocumentError::Malformed(text)) => assert!(text.contains(place), "{json}: {text}"),
            other => panic!("{json}: {other:?}"),
        }
        unit.commit(None).await.unwrap();
        assert_eq!(
            get(documents.as_ref(), "a").await.as_ref(),
            Some(&before),
            "{json}"
        );
    }
}

async fn a_missing_document(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut unit = documents.begin().await.unwrap();
    let mut counting = change(json!({"$inc": {"n": 1}}));
    assert!(
        !unit
            .update(&invoices(), Line::Live, "a", &counting)
            .await
            .unwrap()
    );
    assert!(!unit.remove(&invoices(), Line::Live, "a").await.unwrap());
    counting.upsert = true;
    assert!(
        unit.update(&invoices(), Line::Live, "a", &counting)
            .await
            .unwrap()
    );
    assert!(
        unit.update(&invoices(), Line::Live, "a", &counting)
            .await
            .unwrap()
    );
    unit.commit(None).await.unwrap();
    assert_eq!(
        get(documents.as_ref(), "a").await,
        Some(json!({"_id": "a", "n": 2}))
    );
}

async fn a_document_is_replaced_as_a_whole(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut unit = documents.begin().await.unwrap();
    unit.put(
        &invoices(),
        Line::Live,
        "a",
        object(json!({"x": 1, "_id": "another"})),
    )
    .await
    .unwrap();
    assert_eq!(
        unit.get(&invoices(), Line::Live, "a").await.unwrap(),
        Some(object(json!({"_id": "a", "x": 1})))
    );
    unit.put(&invoices(), Line::Live, "a", object(json!({"y": 1})))
        .await
        .unwrap();
    unit.commit(None).await.unwrap();
    assert_eq!(
        get(documents.as_ref(), "a").await,
        Some(json!({"_id": "a", "y": 1}))
    );
    assert_eq!(get(documents.as_ref(), "another").await, None);
}

async fn indexes_follow(store: &dyn DocumentStore) {
    let documents = open(store).await;
    put_all(
        documents.as_ref(),
        &invoices(),
        &[json!({"_id": "a", "due": 1}), one("b")],
    )
    .await;
    let due = |due: Value| super::find(json!({ "due": due }));
    let mut unit = documents.begin().await.unwrap();
    unit.update(&invoices(), Line::Live, "a", &change(json!({"$set": {"due": 2}})))
        .await
        .unwrap();
    unit.remove(&invoices(), Line::Live, "b").await.unwrap();
    unit.commit(None).await.unwrap();
    for (value, expected) in [(json!(1), vec![]), (json!(2), vec!["a"]), (json!(null), vec![])] {
        assert_eq!(
            super::found(documents.as_ref(), &invoices(), &due(value)).await,
            expected
        );
    }
}

async fn documents_come_back_as_they_were_written(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let body = json!({
        "z": null, "a": [true, [], {}, [[1]]], "Name Müller": "\u{0}x", "n": u64::MAX, "least": i64::MIN, "whole": 2.0,
        "minus": -0.0, "small": 5e-324, "large": 1e300, "total": "10.50", "inner": {"b": {"_id": 1}, "a": "$x.y"},
    });
    let ids = ["a$b.c", "x/y", "0", "{}", "Ü ", "$", "..", "%00"];
    let mut all = Vec::new();
    for id in ids {
        let mut document = json!({ "_id": id });
        document.as_object_mut().unwrap().extend(object(body.clone()));
        all.push(document);
    }
    put_all(documents.as_ref(), &invoices(), &all).await;
    for (id, written) in ids.iter().zip(&all) {
        let read = get(documents.as_ref(), id).await.unwrap();
        assert_eq!(
            read.to_string(),
            written.to_string(),
            "fields keep their order and numbers their kind"
        );
        let filter = json!({"_id": {"$in": [id]}, "n": u64::MAX});
        assert_eq!(
            super::found(documents.as_ref(), &invoices(), &super::find(filter)).await,
            [*id]
        );
    }
}
