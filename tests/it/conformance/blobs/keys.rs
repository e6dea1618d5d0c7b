//! Whatever keys hold, and whose they are.

use std::sync::Arc;

use millwork_host::capability::blobs::{Blobs, key};

use super::{Place, assert_absent, keys, on_both, papers, put, read};

async fn keys_may_hold_anything_that_is_allowed(store: &Arc<dyn Blobs>) {
    let papers = papers();
    let long = format!("{}/{}", "l".repeat(200), "k/".repeat(349) + "k");
    assert_eq!(long.len(), key::KEY_BYTES_MAX);
    let all = [
        "a b",
        "a+b",
        "a%2Fb",
        "a%b",
        "q?x=1&y=2",
        "f#g",
        "ünï/çödé",
        "\u{1F4C4}.pdf",
        "it's \"quoted\" <and> *more*",
        "...",
        "~!@$^()[]{}|;,=",
        &long,
    ];
    for name in all {
        key::check(name).unwrap();
        put(store, papers.at(name), name).await;
    }
    for name in all {
        assert_eq!(read(store, papers.at(name), None).await.unwrap(), name);
        assert_eq!(keys(store, &papers, name).await, [name]);
    }
}

async fn tenants_modules_and_buckets_are_apart(store: &Arc<dyn Blobs>) {
    let places = [
        Place::of("acme", "archivist", "papers"),
        Place::of("acme", "archivist", "temp"),
        Place::of("acme", "other", "papers"),
        Place::of("acme-archivist", "archivist", "papers"),
        Place::of("globex", "archivist", "papers"),
        // Names that are too long for a server's bucket as they are.
        Place::of(&"a".repeat(40), "archivist", "papersofthelastyear"),
        Place::of(&"a".repeat(40), "archivist", "papersofthelastyeah"),
    ];
    let mut versions = Vec::new();
    for (n, place) in places.iter().enumerate() {
        versions.push(put(store, place.at("same"), &format!("{n}")).await.version);
    }
    for (n, place) in places.iter().enumerate() {
        assert_eq!(read(store, place.at("same"), None).await.unwrap(), format!("{n}"));
        assert_eq!(keys(store, place, "").await, ["same"]);
        for (other, version) in versions.iter().enumerate().filter(|(other, _)| *other != n) {
            let theirs = read(store, place.at("same"), Some(version)).await;
            assert!(theirs.is_err(), "{n} reads of {other}: {theirs:?}");
            assert_absent(&theirs);
        }
    }
    let [first, second, ..] = &places;
    store.remove(first.at("same")).await.unwrap();
    assert_eq!(read(store, second.at("same"), None).await.unwrap(), "1");
}

on_both![
    keys_may_hold_anything_that_is_allowed,
    tenants_modules_and_buckets_are_apart
];
