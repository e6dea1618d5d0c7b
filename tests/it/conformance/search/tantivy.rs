//! What only the embedded backend promises.

use std::sync::Arc;

use millwork_host::capability::search::Search;
use millwork_host::capability::search::tantivy::{TantivySearch, TantivySearchLimits};
use serde_json::json;

use super::{fill, found, papers, suggested, tenant};

fn open(folder: &std::path::Path, open_max: usize) -> Arc<dyn Search> {
    let limits = TantivySearchLimits {
        open_max,
        ..TantivySearchLimits::default()
    };
    Arc::new(TantivySearch::new(folder, limits))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn documents_outlive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let of = papers();
    fill(&open(folder.path(), 8), &of, &[("a", json!({ "title": "Kept" }))]).await;
    let store = open(folder.path(), 8);
    assert_eq!(found(&store, &of, "kept").await, ["a"]);
    assert_eq!(suggested(&store, &tenant("a"), &of, "title", "k").await, ["Kept"]);
    fill(&store, &of, &[("b", json!({ "title": "kept too" }))]).await;
    assert_eq!(found(&store, &of, "kept").await, ["a", "b"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_indexes_than_are_kept_open_are_served() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 2);
    let of: Vec<_> = (0..5)
        .map(|n| {
            let mut of = papers();
            of.name = format!("papers{n}");
            of
        })
        .collect();
    for of in of.iter().chain(&of) {
        fill(&store, of, &[("a", json!({ "title": "there" }))]).await;
    }
    for of in &of {
        assert_eq!(found(&store, of, "there").await, ["a"]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_stand_below_the_tenants_folder() {
    let folder = tempfile::tempdir().unwrap();
    fill(
        &open(folder.path(), 8),
        &papers(),
        &[("../a", json!({ "title": "x" }))],
    )
    .await;
    let names = |path: &std::path::Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    };
    assert_eq!(names(folder.path()), ["a"]);
    let indexes = names(&folder.path().join("a/search"));
    assert!(
        indexes.len() == 1 && indexes[0].starts_with("library.papers."),
        "{indexes:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_of_one_index_wait_for_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path(), 8);
    let writers = (0..4).map(|n| {
        let store = Arc::clone(&store);
        tokio::spawn(async move {
            let id = format!("w{n}");
            fill(&store, &papers(), &[(id.as_str(), json!({ "title": "racing" }))]).await;
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    assert_eq!(found(&store, &papers(), "racing").await, ["w0", "w1", "w2", "w3"]);
}
