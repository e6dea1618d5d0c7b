//! Lists: by the beginning of keys, in the order of their bytes, in pages.

use std::sync::Arc;

use millwork_host::capability::blobs::{Blobs, Part};

use super::{keys, on_both, papers, put};

async fn keys_are_found_by_their_beginning(store: &Arc<dyn Blobs>) {
    let papers = papers();
    for key in ["a/1", "a/2", "ab", "b/1/x", "b/10", "B"] {
        put(store, papers.at(key), key).await;
    }
    for (prefix, expected) in [
        ("", vec!["B", "a/1", "a/2", "ab", "b/1/x", "b/10"]),
        ("a", vec!["a/1", "a/2", "ab"]),
        ("a/", vec!["a/1", "a/2"]),
        ("b/1", vec!["b/1/x", "b/10"]),
        ("b/1/", vec!["b/1/x"]),
        ("c", vec![]),
        ("a/1", vec!["a/1"]),
        ("a/11", vec![]),
    ] {
        assert_eq!(keys(store, &papers, prefix).await, expected, "{prefix:?}");
    }
}

async fn the_order_is_that_of_bytes(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let mut all = [
        "a/b",
        "a-b",
        "a.b",
        "a0",
        "A",
        "z",
        "ä",
        "Z/z",
        "\u{1F4C4}",
        "\u{FF5E}",
    ];
    for key in all {
        put(store, papers.at(key), "x").await;
    }
    all.sort_unstable();
    assert_eq!(keys(store, &papers, "").await, all);
}

async fn pages_follow_each_other(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let mut all: Vec<String> = (0..7).map(|n| format!("d{}/f{n}", n % 3)).collect();
    for key in &all {
        put(store, papers.at(key), key).await;
    }
    all.sort();
    let (mut cursor, mut seen) = (None, Vec::new());
    for _ in 0..10 {
        let part = Part {
            cursor: cursor.as_deref(),
            limit: 3,
        };
        let page = store
            .page(&papers.tenant, &papers.bucket, "d", part)
            .await
            .unwrap();
        assert!(page.entries.len() <= 3);
        seen.extend(page.entries.into_iter().map(|entry| entry.name));
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!((seen, cursor), (all, None));
}

async fn a_list_tells_sizes_and_times(store: &Arc<dyn Blobs>) {
    let papers = papers();
    put(store, papers.at("grown"), "x").await;
    let last = put(store, papers.at("grown"), "xyz").await;
    let page = store
        .page(&papers.tenant, &papers.bucket, "", super::whole())
        .await
        .unwrap();
    let [entry] = page.entries.as_slice() else {
        panic!("{page:?}");
    };
    assert_eq!((entry.name.as_str(), entry.size), ("grown", 3));
    assert_eq!(entry.written_at / 1_000, last.written_at / 1_000);
}

on_both![
    keys_are_found_by_their_beginning,
    the_order_is_that_of_bytes,
    pages_follow_each_other,
    a_list_tells_sizes_and_times,
];
