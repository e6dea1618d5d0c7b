//! Order, pages and fields.

use millwork_host::capability::documents::query::{Filter, Find, Op, Scope};
use millwork_host::capability::documents::{Collection, DocumentStore, Documents};
use serde_json::{Value, json};

use super::{
    find, found, ids, invoices, on_every_backend, open, plain, put_all, sorted, start_mongodb, start_sqlite,
};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: start_mongodb },
    cases: [
        order_of_types,
        order_of_decimals,
        order_of_arrays,
        order_on_several_fields,
        pages_make_up_the_whole,
        pages_stay_when_documents_come_and_go,
        documents_passed_over,
        the_last_page_says_so,
        fields_asked_for,
    ],
}

async fn check_order(store: &dyn DocumentStore, sort: &str, values: &[Value]) {
    let documents = open(store).await;
    for of in [invoices(), plain()] {
        let all: Vec<Value> = values
            .iter()
            .enumerate()
            .map(|(at, fields)| {
                let mut all = fields.clone();
                all["_id"] = json!(format!("{at:02}"));
                all
            })
            .collect();
        let shuffled: Vec<Value> = (0..all.len())
            .map(|at| all[(at * 7 + 3) % all.len()].clone())
            .collect();
        put_all(documents.as_ref(), &of, &shuffled).await;
        let expected: Vec<String> = (0..all.len()).map(|at| format!("{at:02}")).collect();
        assert_eq!(
            found(documents.as_ref(), &of, &sorted(json!({}), sort, 1_000)).await,
            expected,
            "{sort} of {}",
            of.name
        );
    }
}

async fn order_of_types(store: &dyn DocumentStore) {
    let ordered = [
        json!({}),
        json!({"n": null}),
        json!({"n": -5}),
        json!({"n": 0.5}),
        json!({"n": 3}),
        json!({"n": ""}),
        json!({"n": "10"}),
        json!({"n": "9"}),
        json!({"n": {}}),
        json!({"n": {"a": 1}}),
        json!({"n": false}),
        json!({"n": true}),
    ];
    check_order(store, "n", &ordered).await;
}

async fn order_of_decimals(store: &dyn DocumentStore) {
    let ordered = [
        "-10.5",
        "-9.99",
        "0",
        "0.1",
        "9.99",
        "10.5",
        "100",
        "1000000000000000000000000000",
        "1000000000000000000000000000.1",
    ];
    check_order(store, "total", &ordered.map(|total| json!({ "total": total }))).await;
    let descending: Vec<Value> = ordered
        .iter()
        .rev()
        .map(|total| json!({ "total": total }))
        .collect();
    check_order(store, "-total,_id", &descending).await;
}

async fn order_of_arrays(store: &dyn DocumentStore) {
    check_order(
        store,
        "t",
        &[
            json!({"t": []}),
            json!({"t": [9, 1]}),
            json!({"t": 2}),
            json!({"t": [3]}),
        ],
    )
    .await;
    check_order(
        store,
        "-t",
        &[
            json!({"t": [9, 1]}),
            json!({"t": [3]}),
            json!({"t": 2}),
            json!({"t": []}),
        ],
    )
    .await;
    check_order(
        store,
        "l.p",
        &[
            json!({"l": [1]}),
            json!({"l": [{"p": 5}, {"p": 1}]}),
            json!({"l": {"p": 2}}),
            json!({"l": [{"p": 3}]}),
        ],
    )
    .await;
}

async fn order_on_several_fields(store: &dyn DocumentStore) {
    let at = |status: &str, due: i64| json!({"status": status, "due": due});
    check_order(
        store,
        "status,due",
        &[at("a", 1), at("a", 2), at("b", 1), at("b", 2), at("c", 0)],
    )
    .await;
    check_order(
        store,
        "status,-due",
        &[at("a", 2), at("a", 1), at("b", 2), at("b", 1), at("c", 0)],
    )
    .await;
    check_order(
        store,
        "-status,due",
        &[at("c", 0), at("b", 1), at("b", 2), at("a", 1), at("a", 2)],
    )
    .await;
}

/// Sixty documents with many equals.
fn many() -> Vec<Value> {
    let one = |at: usize| {
        let mut one = json!({
            "_id": format!("{:02}", (at * 37) % 60), "status": (["open", "paid"][at % 2]), "due": at % 5, "note": at % 3,
            "total": format!("{}.{}", at % 4, at % 10), "tags": [at % 7, at % 2],
        });
        if at.is_multiple_of(6) {
            one.as_object_mut().unwrap().remove("due");
        }
        one
    };
    (0..60).map(one).collect()
}

async fn walk(documents: &dyn Documents, of: &Collection, mut query: Find) -> Vec<String> {
    let mut walked = Vec::new();
    loop {
        let page = documents.find(of, &query).await.unwrap();
        assert!(page.documents.len() <= query.limit as usize);
        walked.extend(ids(&page));
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => return walked,
        }
    }
}

async fn pages_make_up_the_whole(store: &dyn DocumentStore) {
    let documents = open(store).await;
    for of in [invoices(), plain()] {
        put_all(documents.as_ref(), &of, &many()).await;
        for filter in [
            json!({}),
            json!({"status": "open"}),
            json!({"note": 1}),
            json!({"status": "open", "due": {"$gte": 1}, "note": {"$ne": 2}}),
        ] {
            for sort in [
                "",
                "-_id",
                "due",
                "-due",
                "status,due",
                "-status,-due",
                "due,-status",
                "-total,note",
                "tags",
                "-tags,due",
            ] {
                let whole = found(documents.as_ref(), &of, &sorted(filter.clone(), sort, 1_000)).await;
                let count = documents.count(&of, &find(filter.clone())).await.unwrap();
                assert_eq!(whole.len() as u64, count);
                for limit in [1, 7, 60] {
                    let walked = walk(documents.as_ref(), &of, sorted(filter.clone(), sort, limit)).await;
                    assert_eq!(walked, whole, "{filter} by {sort:?} in pages of {limit}");
                }
            }
        }
    }
}

async fn pages_stay_when_documents_come_and_go(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let at = |id: &str, due: i64| json!({"_id": id, "due": due});
    put_all(
        documents.as_ref(),
        &invoices(),
        &[at("a", 1), at("b", 2), at("c", 3), at("d", 3), at("e", 4)],
    )
    .await;
    let mut query = sorted(json!({}), "due", 3);
    let first = documents.find(&invoices(), &query).await.unwrap();
    assert_eq!(ids(&first), ["a", "b", "c"]);
    let mut unit = documents.begin().await.unwrap();
    unit.remove(&invoices(), millwork_host::capability::documents::Line::Live, "c")
        .await
        .unwrap();
    unit.commit(None).await.unwrap();
    put_all(
        documents.as_ref(),
        &invoices(),
        &[at("0", 0), at("ca", 3), at("z", 1), at("f", 9)],
    )
    .await;
    query.cursor = first.next;
    let second = documents.find(&invoices(), &query).await.unwrap();
    assert_eq!(ids(&second), ["ca", "d", "e"]);
    query.cursor = second.next;
    let third = documents.find(&invoices(), &query).await.unwrap();
    assert_eq!((ids(&third), third.next), (vec!["f".to_owned()], None));
}

async fn documents_passed_over(store: &dyn DocumentStore) {
    let documents = open(store).await;
    put_all(documents.as_ref(), &invoices(), &many()).await;
    for filter in [json!({"status": "open"}), json!({"note": 1})] {
        let whole = found(
            documents.as_ref(),
            &invoices(),
            &sorted(filter.clone(), "due", 1_000),
        )
        .await;
        let skipping = |skip, limit| Find {
            skip,
            ..sorted(filter.clone(), "due", limit)
        };
        assert_eq!(
            found(documents.as_ref(), &invoices(), &skipping(5, 4)).await,
            whole[5..9]
        );
        assert!(
            found(documents.as_ref(), &invoices(), &skipping(60, 4))
                .await
                .is_empty()
        );
        assert_eq!(
            walk(documents.as_ref(), &invoices(), skipping(5, 4)).await,
            whole[5..],
            "a cursor already stands behind"
        );
    }
}

async fn the_last_page_says_so(store: &dyn DocumentStore) {
    let documents = open(store).await;
    put_all(
        documents.as_ref(),
        &plain(),
        &["a", "b", "c"].map(|id| json!({"_id": id, "n": 1})),
    )
    .await;
    for (limit, more) in [(2, true), (3, false), (4, false)] {
        let page = documents
            .find(
                &plain(),
                &Find {
                    limit,
                    ..find(json!({"n": 1}))
                },
            )
            .await
            .unwrap();
        assert_eq!(page.next.is_some(), more, "{limit}");
    }
    let none = Filter::compare("n", Op::Eq, json!(2)).unwrap();
    let page = documents
        .find(&plain(), &Find::new(none, Scope::whole_tenant(), 10))
        .await
        .unwrap();
    assert_eq!((page.documents.len(), page.next), (0, None));
}

async fn fields_asked_for(store: &dyn DocumentStore) {
    let documents = open(store).await;
    let whole =
        json!({"_id": "a", "x": 1, "y": {"z": 2, "w": [3]}, "l": [{"p": 1, "q": 2}, {"q": 3}, 7], "s": "t"});
    put_all(documents.as_ref(), &plain(), std::slice::from_ref(&whole)).await;
    for (fields, expected) in [
        (vec![], whole.clone()),
        (vec!["x"], json!({"_id": "a", "x": 1})),
        (vec!["_id"], json!({"_id": "a"})),
        (vec!["y.z", "s"], json!({"_id": "a", "y": {"z": 2}, "s": "t"})),
        (vec!["y.z", "y"], json!({"_id": "a", "y": {"z": 2, "w": [3]}})),
        (vec!["l.p"], json!({"_id": "a", "l": [{"p": 1}, {}]})),
        (vec!["nothing", "x.deeper"], json!({"_id": "a"})),
    ] {
        let query = Find {
            fields: fields.iter().map(|field| (*field).to_owned()).collect(),
            ..find(json!({}))
        };
        let page = documents.find(&plain(), &query).await.unwrap();
        assert_eq!(Value::Object(page.documents[0].clone()), expected, "{fields:?}");
    }
    let query = Find {
        fields: vec!["x".to_owned()],
        ..sorted(json!({}), "s", 1)
    };
    put_all(
        documents.as_ref(),
        &plain(),
        &[json!({"_id": "b", "x": 2, "s": "u"})],
    )
    .await;
    assert_eq!(
        walk(documents.as_ref(), &plain(), query).await,
        ["a", "b"],
        "the cursor needs fields that are not given"
    );
}
