//! What filters find: MongoDB's semantics in one-line cases, and every comparison of every type against the model.

use millwork_host::capability::documents::query::{Filter, Op};
use millwork_host::capability::documents::{DocumentStore, Documents};
use serde_json::{Value, json};

use super::{
    find, found, invoices, object, on_every_backend, open, plain, put_all, start_mongodb, start_sqlite,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: start_mongodb },
    cases: [
        comparisons,
        missing_and_null,
        sets,
        text,
        logic,
        arrays,
        elements,
        paths,
        decimals,
        every_comparison_of_every_type,
        conditions_on_several_fields,
        ids_are_a_field,
        comparisons_made_by_hand,
    ],
}

/// Checks each filter against the ids it finds; with and without indexes, by `find`, by `count` and by the model.
async fn check(store: &dyn DocumentStore, all: &[Value], cases: &[(Value, &[&str])]) {
    let documents = open(store).await;
    put_all(documents.as_ref(), &plain(), all).await;
    for (filter, expected) in cases {
        assert_eq!(
            found(documents.as_ref(), &plain(), &find(filter.clone())).await,
            *expected,
            "{filter}"
        );
        agree(documents.as_ref(), all, filter).await;
    }
}

/// `find` and `count` agree with the model on a filter.
async fn agree(documents: &dyn Documents, all: &[Value], filter: &Value) {
    let parsed = Filter::parse(filter).unwrap();
    let mut expected: Vec<&str> = all
        .iter()
        .filter(|document| parsed.matches(&object((*document).clone()), &invoices().decimals))
        .map(|document| document["_id"].as_str().unwrap())
        .collect();
    expected.sort_unstable();
    assert_eq!(
        found(documents, &plain(), &find(filter.clone())).await,
        expected,
        "{filter}"
    );
    let count = documents.count(&plain(), &find(filter.clone())).await.unwrap();
    assert_eq!(count, expected.len() as u64, "{filter}");
}

async fn comparisons(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "n": 1, "s": "x"}),
        json!({"_id": "b", "n": 2.0, "s": "y"}),
        json!({"_id": "c", "n": 3, "s": "xy"}),
        json!({"_id": "d", "n": "2"}),
    ];
    check(
        store,
        &all,
        &[
            (json!({}), &["a", "b", "c", "d"]),
            (json!({"n": 2}), &["b"]),
            (json!({"n": {"$eq": 2.0}}), &["b"]),
            (json!({"n": {"$ne": 2}}), &["a", "c", "d"]),
            (json!({"n": {"$gt": 1}}), &["b", "c"]),
            (json!({"n": {"$gte": 2, "$lt": 3}}), &["b"]),
            (json!({"n": {"$lte": 2}}), &["a", "b"]),
            (json!({"n": {"$lt": "3"}}), &["d"]),
            (json!({"s": {"$gt": "x"}}), &["b", "c"]),
            (json!({"n": 2, "s": "x"}), &[]),
        ],
    )
    .await;
}

async fn missing_and_null(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a"}),
        json!({"_id": "b", "x": null}),
        json!({"_id": "c", "x": 0}),
        json!({"_id": "d", "x": {}}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"x": null}), &["a", "b"]),
            (json!({"x": {"$ne": null}}), &["c", "d"]),
            (json!({"x": {"$exists": true}}), &["b", "c", "d"]),
            (json!({"x": {"$exists": false}}), &["a"]),
            (json!({"x": {"$gte": null}}), &["a", "b"]),
            (json!({"x": {"$gt": null}}), &[]),
            (json!({"x": {"$in": [null, 0]}}), &["a", "b", "c"]),
            (json!({"x": {"$lt": 1}}), &["c"]),
            (json!({"x.y": null}), &["a", "b", "c", "d"]),
            (json!({"x.y": {"$exists": false}}), &["a", "b", "c", "d"]),
        ],
    )
    .await;
}

async fn sets(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "x": 1}),
        json!({"_id": "b", "x": "1"}),
        json!({"_id": "c", "x": [1, 2]}),
        json!({"_id": "d"}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"x": {"$in": [1, "2"]}}), &["a", "c"]),
            (json!({"x": {"$in": []}}), &[]),
            (json!({"x": {"$in": [[1, 2]]}}), &["c"]),
            (json!({"x": {"$nin": [1]}}), &["b", "d"]),
            (json!({"x": {"$nin": []}}), &["a", "b", "c", "d"]),
        ],
    )
    .await;
}

async fn text(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "s": "Müller & Co"}),
        json!({"_id": "b", "s": "müller"}),
        json!({"_id": "c", "s": 5}),
        json!({"_id": "d", "s": ["x", "MÜLLER"]}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"s": {"$regex": "^M"}}), &["a", "d"]),
            (
                json!({"s": {"$regex": "müll", "$options": "i"}}),
                &["a", "b", "d"],
            ),
            (json!({"s": {"$options": "i", "$regex": "^MÜLLER$"}}), &["b", "d"]),
            (json!({"s": {"$regex": "5"}}), &[]),
            (json!({"s": {"$not": {"$regex": "ü"}}}), &["c", "d"]),
        ],
    )
    .await;
}

async fn logic(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "x": 1, "y": 1}),
        json!({"_id": "b", "x": 1, "y": 2}),
        json!({"_id": "c", "x": 2}),
        json!({"_id": "d"}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"$or": [{"x": 2}, {"y": 2}]}), &["b", "c"]),
            (json!({"$and": [{"x": 1}, {"y": {"$gt": 1}}]}), &["b"]),
            (json!({"$nor": [{"x": 2}, {"y": 2}]}), &["a", "d"]),
            (json!({"x": {"$not": {"$gt": 1}}}), &["a", "b", "d"]),
            (json!({"x": {"$not": {"$gte": 1, "$lt": 2}}}), &["c", "d"]),
            (
                json!({"x": 1, "$or": [{"y": 1}, {"y": {"$exists": false}}]}),
                &["a"],
            ),
            (
                json!({"$or": [{"$and": [{"x": 1}, {"y": 1}]}, {"$nor": [{"x": {"$exists": true}}]}]}),
                &["a", "d"],
            ),
        ],
    )
    .await;
}

async fn arrays(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "t": [1, 5]}),
        json!({"_id": "b", "t": [3]}),
        json!({"_id": "c", "t": []}),
        json!({"_id": "d", "t": [[3], "x"]}),
        json!({"_id": "e", "t": 3}),
        json!({"_id": "f", "t": [null]}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"t": 3}), &["b", "e"]),
            (json!({"t": [3]}), &["b", "d"]),
            (json!({"t": []}), &["c"]),
            (json!({"t": {"$gt": 2, "$lt": 4}}), &["a", "b", "e"]),
            (json!({"t": {"$ne": 3}}), &["a", "c", "d", "f"]),
            (json!({"t": null}), &["f"]),
            (json!({"t.0": 1}), &["a"]),
            (json!({"t.1": {"$exists": true}}), &["a", "d"]),
            (json!({"t": {"$elemMatch": {"$gt": 2, "$lt": 4}}}), &["b"]),
            (
                json!({"t": {"$not": {"$elemMatch": {"$gte": 1}}}}),
                &["c", "d", "e", "f"],
            ),
        ],
    )
    .await;
}

async fn elements(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "lines": [{"sku": "x", "n": 1}, {"sku": "y", "n": 9}]}),
        json!({"_id": "b", "lines": [{"sku": "x", "n": 9}]}),
        json!({"_id": "c", "lines": {"sku": "x", "n": 9}}),
        json!({"_id": "d", "lines": []}),
        json!({"_id": "e", "lines": ["x", 9, {"n": 3}]}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"lines.sku": "x"}), &["a", "b", "c"]),
            (json!({"lines.sku": "x", "lines.n": 9}), &["a", "b", "c"]),
            (json!({"lines": {"$elemMatch": {"sku": "x", "n": 9}}}), &["b"]),
            (
                json!({"lines": {"$elemMatch": {"$or": [{"n": 3}, {"sku": "y"}]}}}),
                &["a", "e"],
            ),
            (json!({"lines.sku": {"$ne": "x"}}), &["d", "e"]),
            (json!({"lines.0.n": 9}), &["b"]),
            (json!({"lines.sku": null}), &["e"]),
            (json!({"lines.sku": {"$exists": false}}), &["d", "e"]),
            (json!({"lines": {"sku": "x", "n": 9}}), &["b", "c"]),
            (json!({"lines": {"n": 9, "sku": "x"}}), &[]),
        ],
    )
    .await;
}

async fn paths(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "x": {"y": {"z": 1}}}),
        json!({"_id": "b", "x": {"y": 1}}),
        json!({"_id": "c", "x": [{"y": [{"z": 1}, {"z": 2}]}]}),
        json!({"_id": "d", "x": {"0": {"y": 1}}}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"x.y.z": 1}), &["a", "c"]),
            (json!({"x.y.z": {"$gt": 1}}), &["c"]),
            (json!({"x.0.y": 1}), &["d"]),
            (json!({"x.0.y.1.z": 2}), &["c"]),
            (json!({"x.y": {"z": 1}}), &["a", "c"]),
        ],
    )
    .await;
}

async fn decimals(store: &dyn DocumentStore) {
    let all = [
        json!({"_id": "a", "total": "10.50", "other": "10.50", "lines": [{"price": "9.00"}]}),
        json!({"_id": "b", "total": "9.99", "other": "9.99", "lines": [{"price": "100"}]}),
        json!({"_id": "c", "total": 10.5, "other": 10.5}),
        json!({"_id": "d", "total": "-0.0000000000000000000000000001"}),
        json!({"_id": "e", "total": "79228162514264337593543950335"}),
        json!({"_id": "f", "total": null}),
    ];
    check(
        store,
        &all,
        &[
            (json!({"total": "10.5"}), &["a", "c"]),
            (json!({"total": 10.5}), &["a", "c"]),
            (json!({"total": {"$gt": "9.99", "$lt": 11}}), &["a", "c"]),
            (json!({"total": {"$lt": 0}}), &["d"]),
            (
                json!({"total": {"$gte": "79228162514264337593543950334.9"}}),
                &["e"],
            ),
            (json!({"total": {"$in": ["9.990", "10.500"]}}), &["a", "b", "c"]),
            (json!({"other": "10.5"}), &[]),
            (json!({"other": {"$gt": "10"}}), &["a", "b"]),
            (json!({"lines.price": {"$lt": "10"}}), &["a"]),
            (
                json!({"lines": {"$elemMatch": {"price": {"$gt": "10.0"}}}}),
                &["b"],
            ),
            (json!({"lines.0.price": "100.00"}), &["b"]),
        ],
    )
    .await;
}

/// One value of each kind, in order and with neighbours.
fn values() -> Vec<Value> {
    [
        "null",
        "-1e300",
        "-1",
        "0",
        "0.5",
        "1",
        "9007199254740993",
        "18446744073709551615",
        "\"\"",
        "\"-1.5\"",
        "\"0.50\"",
        "\"1\"",
        "\"10\"",
        "\"9\"",
        "\"1\\u0000\"",
        "{}",
        "{\"a\":1}",
        "{\"a\":2}",
        "false",
        "true",
    ]
    .iter()
    .map(|text| serde_json::from_str(text).unwrap())
    .collect()
}

/// On plain and on indexed fields, of which one is a decimal.
async fn every_comparison_of_every_type(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let decimal = |value: &Value| value.as_str().is_none_or(|text| text.parse::<f64>().is_ok());
    let fill = |value: Value| match decimal(&value) {
        true => json!({"n": value, "total": value}),
        false => json!({"n": value}),
    };
    let mut all: Vec<Value> = values().into_iter().map(fill).chain([json!({})]).collect();
    for (at, document) in all.iter_mut().enumerate() {
        document["_id"] = json!(format!("{at:02}"));
    }
    put_all(documents.as_ref(), &invoices(), &all).await;
    for field in ["n", "total"] {
        for op in ["$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin"] {
            for value in values().into_iter().chain([json!([]), json!([1])]) {
                let value = if op.ends_with("in") {
                    json!([value, 7])
                } else {
                    value
                };
                let filter = json!({field: {op: value}});
                let parsed = Filter::parse(&filter).unwrap();
                let matches =
                    |document: &&Value| parsed.matches(&object((*document).clone()), &invoices().decimals);
                let expected: Vec<&str> = all
                    .iter()
                    .filter(matches)
                    .map(|document| document["_id"].as_str().unwrap())
                    .collect();
                assert_eq!(
                    found(documents.as_ref(), &invoices(), &find(filter.clone())).await,
                    expected,
                    "{filter}"
                );
                let count = documents.count(&invoices(), &find(filter.clone())).await.unwrap();
                assert_eq!(count, expected.len() as u64, "{filter}");
            }
        }
    }
}

async fn conditions_on_several_fields(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let mut all = Vec::new();
    for at in 0..60 {
        all.push(json!({
            "_id": format!("{at:02}"), "status": (["open", "paid", "void"][at % 3]), "due": at / 6, "total": format!("{at}.50"),
            "note": format!("note {}", at % 7),
        }));
    }
    put_all(documents.as_ref(), &invoices(), &all).await;
    for filter in [
        json!({"status": "open", "due": {"$gte": 2, "$lt": 5}}),
        json!({"status": "open", "due": {"$gte": 2, "$gt": 2, "$lte": 8, "$lt": 8}, "total": {"$gt": "30"}}),
        json!({"status": {"$in": ["open", "void"]}, "due": 3}),
        json!({"status": "open", "note": {"$regex": "[1-3]"}}),
        json!({"$and": [{"status": "open"}, {"$and": [{"due": {"$gt": 1}}, {"due": {"$lt": 4}}]}]}),
        json!({"status": "open", "$or": [{"due": 1}, {"due": 2}]}),
        json!({"status": "open", "due": {"$gt": 5, "$lt": 2}}),
        json!({"status": "open", "$and": [{"status": "paid"}]}),
        json!({"status": {"$ne": "open"}, "due": {"$not": {"$gt": 3}}}),
    ] {
        let parsed = Filter::parse(&filter).unwrap();
        let matches = |document: &&Value| parsed.matches(&object((*document).clone()), &invoices().decimals);
        let expected: Vec<&str> = all
            .iter()
            .filter(matches)
            .map(|document| document["_id"].as_str().unwrap())
            .collect();
        assert_eq!(
            found(documents.as_ref(), &invoices(), &find(filter.clone())).await,
            expected,
            "{filter}"
        );
    }
}

async fn ids_are_a_field(store: &dyn DocumentStore) {
    let all = ["a", "b", "c", "d"].map(|id| json!({ "_id": id }));
    check(
        store,
        &all,
        &[
            (json!({"_id": "b"}), &["b"]),
            (json!({"_id": {"$gt": "b"}}), &["c", "d"]),
            (json!({"_id": {"$gte": "b", "$lt": "d"}}), &["b", "c"]),
            (json!({"_id": {"$in": ["a", "d", 5]}}), &["a", "d"]),
            (json!({"_id": {"$ne": "a"}}), &["b", "c", "d"]),
            (json!({"_id": 5}), &[]),
            (json!({"_id": {"$gt": 5}}), &[]),
            (json!({"_id": {"$lt": true}}), &[]),
            (json!({"_id": null}), &[]),
            (json!({"_id": {"$exists": true}}), &["a", "b", "c", "d"]),
            (json!({"_id": {"$regex": "[bc]"}}), &["b", "c"]),
        ],
    )
    .await;
}

async fn comparisons_made_by_hand(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let all = [
        json!({"_id": "a", "n": 1}),
        json!({"_id": "b", "n": 2}),
        json!({"_id": "c", "n": 3}),
    ];
    put_all(documents.as_ref(), &plain(), &all).await;
    for (op, value, expected) in [
        (Op::Eq, json!(2), vec!["b"]),
        (Op::Ne, json!(2), vec!["a", "c"]),
        (Op::Gt, json!(2), vec!["c"]),
        (Op::Gte, json!(2), vec!["b", "c"]),
        (Op::Lt, json!(2), vec!["a"]),
        (Op::Lte, json!(2), vec!["a", "b"]),
        (Op::In, json!([1, 3]), vec!["a", "c"]),
        (Op::Nin, json!([1, 3]), vec!["b"]),
    ] {
        let filter = Filter::compare("n", op, value).unwrap();
        let within = Filter::and(vec![
            filter,
            Filter::all(),
            Filter::compare("n", Op::Gt, json!(0)).unwrap(),
        ]);
        let mut query = find(json!({}));
        query.filter = within;
        assert_eq!(
            found(documents.as_ref(), &plain(), &query).await,
            expected,
            "{op:?}"
        );
    }
    assert!(Filter::compare("n", Op::In, json!(1)).is_err());
    assert!(Filter::compare("n..x", Op::Eq, json!(1)).is_err());
}
