//! Pages and suggestions.

use std::sync::Arc;

use millwork_host::capability::search::{self, Find, Search};
use serde_json::json;

use super::{fill, on_both, papers, suggested, tenant};

on_both!(
    pages_go_through_ties_and_miss_and_repeat_nothing,
    an_index_without_documents_has_none,
    values_are_suggested_by_their_beginning,
);

async fn pages_go_through_ties_and_miss_and_repeat_nothing(store: &Arc<dyn Search>) {
    let of = papers();
    // Written in parts and out of order, so that equal ones lie in different places.
    for part in 0..3 {
        let documents: Vec<_> = (0..8)
            .map(|n| (format!("p{:02}", (7 - n) * 3 + part), json!({ "body": "same" })))
            .collect();
        let documents: Vec<_> = documents.iter().map(|(id, d)| (id.as_str(), d.clone())).collect();
        fill(store, &of, &documents).await;
    }
    fill(store, &of, &[("z", json!({ "body": "same same" }))]).await;
    for text in ["same", ""] {
        let (mut seen, mut cursor) = (Vec::new(), None);
        loop {
            let find = Find::parse(&of, text, "", 7, cursor.as_deref(), Vec::new()).unwrap();
            let page = search::find(store, &tenant("a"), &of, &find).await.unwrap();
            assert_eq!(page.total, 25, "{text}");
            seen.extend(page.hits.into_iter().map(|(found, _)| found.id));
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
            assert_eq!(seen.len() % 7, 0, "{text}");
        }
        let mut expected: Vec<_> = (0..24).map(|n| format!("p{n:02}")).collect();
        expected.insert(if text.is_empty() { 24 } else { 0 }, "z".to_owned());
        assert_eq!(seen, expected, "{text}");
    }
}

async fn an_index_without_documents_has_none(store: &Arc<dyn Search>) {
    let of = papers();
    let find = Find::parse(&of, "x", "", 10, None, Vec::new()).unwrap();
    let page = search::find(store, &tenant("nobody"), &of, &find).await.unwrap();
    assert_eq!((page.total, page.hits.len(), page.next), (0, 0, None));
    assert!(
        suggested(store, &tenant("nobody"), &of, "title", "x")
            .await
            .is_empty()
    );
}

/// Each document has one value: the emulator does not look at the pattern that leaves a document's other values out of
/// the limit, where Elasticsearch does.
async fn values_are_suggested_by_their_beginning(store: &Arc<dyn Search>) {
    let of = papers();
    let titles = [
        "Crème",
        "credit",
        "Credit",
        "Cable (long)",
        "cre.*x",
        "x".repeat(300).as_str(),
    ]
    .map(str::to_owned);
    let ids = ["a", "b", "c", "d", "e", "f"];
    let documents: Vec<_> = ids
        .into_iter()
        .zip(titles.iter().map(|title| json!({ "title": title, "tags": "t" })))
        .collect();
    fill(store, &of, &documents).await;
    fill(store, &of, &[("g", json!({ "title": "credit" }))]).await;
    let a = tenant("a");
    assert_eq!(
        suggested(store, &a, &of, "title", "CRÉ").await,
        ["cre.*x", "Credit", "credit", "Crème"]
    );
    assert_eq!(suggested(store, &a, &of, "title", "cre.").await, ["cre.*x"]);
    assert_eq!(
        suggested(store, &a, &of, "title", "cable (").await,
        ["Cable (long)"]
    );
    assert!(
        suggested(store, &a, &of, "title", "xxx").await.is_empty(),
        "too long to be suggested"
    );
    assert!(suggested(store, &a, &of, "title", ".*").await.is_empty());
    assert_eq!(suggested(store, &a, &of, "tags", "").await, ["t"]);
    let one = search::suggest(store, &a, &of, "title", "cre", 1).await.unwrap();
    assert_eq!(one, ["cre.*x"]);
    // What no document has any more is not suggested.
    fill(
        store,
        &of,
        &[
            ("e", json!({ "title": "other" })),
            ("a", json!({ "title": "other" })),
        ],
    )
    .await;
    assert_eq!(
        suggested(store, &a, &of, "title", "cre").await,
        ["Credit", "credit"]
    );
}
