//! What is read: events of an aggregate, the feed, snapshots, the last position.

use std::sync::Arc;

use millwork_host::event_store::journal::{JournalEntry, JournalOutcome, Newest, Shelf};
use millwork_host::event_store::{EventStore, Snapshot};

use super::super::eventually;
use super::{account, draft, feed, on_every_backend, reach_mongodb, start_sqlite, tenant};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: reach_mongodb },
    cases: [
        events_come_in_pages,
        the_feed_comes_in_pages,
        the_newest_snapshot_is_kept,
        snapshots_of_a_module_are_forgotten_after_those_queued,
        a_snapshot_of_a_version_never_reached_is_not_kept,
        the_last_position_is_watched,
        a_rejected_command_can_be_sent_again,
        the_newest_aggregates_are_found,
        the_newest_commands_are_found_with_what_they_led_to,
    ],
}

async fn fill(store: &dyn EventStore) {
    for at in 0..5 {
        let id = format!("c{at}");
        draft(&id, "x", at)
            .event("Paid")
            .with(|append| {
                append.expected.push((account(&id), 0));
            })
            .event_of(account(&id), "Opened")
            .must_append(store)
            .await;
    }
}

async fn events_come_in_pages(store: &dyn EventStore) {
    fill(store).await;
    for (after, limit, versions) in [
        (0, 10, vec![1, 2, 3, 4, 5]),
        (0, 2, vec![1, 2]),
        (2, 2, vec![3, 4]),
        (4, 9, vec![5]),
        (5, 9, vec![]),
    ] {
        let events = store
            .events(&tenant("a"), &account("x"), after, limit)
            .await
            .unwrap();
        assert!(
            events
                .iter()
                .all(|event| event.of == account("x") && event.name == "Paid")
        );
        let found: Vec<u64> = events.iter().map(|event| event.version).collect();
        assert_eq!(found, versions, "after {after}, at most {limit}");
    }
    let mut other = account("x");
    other.aggregate = "loan".to_owned();
    assert!(
        store
            .events(&tenant("a"), &other, 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
}

async fn the_feed_comes_in_pages(store: &dyn EventStore) {
    fill(store).await;
    draft("c1", "x", 0)
        .of("b")
        .event("Opened")
        .must_append(store)
        .await;
    for (after, limit, positions) in [
        (0, 3, vec![1, 2, 3]),
        (3, 3, vec![4, 5, 6]),
        (9, 3, vec![10]),
        (10, 3, vec![]),
    ] {
        let events = store.feed(&tenant("a"), after, limit).await.unwrap();
        let found: Vec<u64> = events.iter().map(|event| event.position).collect();
        assert_eq!(found, positions, "after {after}");
        assert!(
            events
                .iter()
                .all(|event| event.origin.causation_id == event.id.split('/').next().unwrap())
        );
    }
}

fn snapshot(version: u64, state_version: u32) -> Snapshot {
    Snapshot {
        version,
        state_version,
        state: Arc::from(format!("{{\"at\":{version}}}")),
    }
}

/// Whether the snapshot kept for `state_version` is as of `version`.
async fn kept(store: &dyn EventStore, state_version: u32, version: Option<u64>) -> bool {
    let found = store
        .snapshot(&tenant("a"), &account("x"), state_version)
        .await
        .unwrap();
    assert!(
        found
            .iter()
            .all(|found| *found == snapshot(found.version, state_version)),
        "{found:?}"
    );
    found.map(|found| found.version) == version
}

async fn the_newest_snapshot_is_kept(store: &dyn EventStore) {
    fill(store).await;
    let keep = |version, state_version| {
        store.keep_snapshot(&tenant("a"), &account("x"), snapshot(version, state_version));
    };
    assert!(kept(store, 1, None).await);
    keep(2, 1);
    eventually("the first snapshot", || kept(store, 1, Some(2))).await;
    keep(4, 1);
    eventually("a newer snapshot", || kept(store, 1, Some(4))).await;
    keep(3, 1);
    keep(3, 2);
    eventually("a snapshot of another shape", || kept(store, 2, Some(3))).await;
    assert!(
        kept(store, 1, Some(4)).await,
        "an older snapshot replaced a newer one"
    );
    assert!(kept(store, 3, None).await);
}

async fn snapshots_of_a_module_are_forgotten_after_those_queued(store: &dyn EventStore) {
    fill(store).await;
    store.keep_snapshot(&tenant("a"), &account("x"), snapshot(2, 1));
    store
        .forget_snapshots(&tenant("a"), "another")
        .await
        .expect("it forgets");
    eventually("a snapshot", || kept(store, 1, Some(2))).await;
    store.keep_snapshot(&tenant("a"), &account("x"), snapshot(4, 1));
    store
        .forget_snapshots(&tenant("a"), &account("x").module)
        .await
        .expect("it forgets");
    store.keep_snapshot(&tenant("a"), &account("x"), snapshot(3, 2));
    eventually("the last of them", || kept(store, 2, Some(3))).await;
    assert!(kept(store, 1, None).await);
}

async fn a_snapshot_of_a_version_never_reached_is_not_kept(store: &dyn EventStore) {
    fill(store).await;
    store.keep_snapshot(&tenant("a"), &account("x"), snapshot(6, 1));
    store.keep_snapshot(&tenant("a"), &account("nobody"), snapshot(1, 1));
    store.keep_snapshot(&tenant("a"), &account("x"), snapshot(5, 2));
    eventually("the last of them", || kept(store, 2, Some(5))).await;
    assert!(kept(store, 1, None).await);
}

async fn the_last_position_is_watched(store: &dyn EventStore) {
    let mut early = store.last_position(&tenant("a")).await.unwrap();
    assert_eq!(*early.borrow_and_update(), 0);
    let first = draft("c1", "x", 0)
        .event("Opened")
        .event("Paid")
        .must_append(store)
        .await;
    assert_eq!(*early.borrow_and_update(), first.position);
    let late = store.last_position(&tenant("a")).await.unwrap();
    assert_eq!(*late.borrow(), 2);
    draft("c1", "x", 0)
        .of("b")
        .event("Opened")
        .must_append(store)
        .await;
    draft("c1", "x", 0).event("Opened").must_append(store).await;
    draft("c2", "x", 0)
        .event("Opened")
        .append(store)
        .await
        .unwrap_err();
    assert!(
        !early.has_changed().unwrap(),
        "another tenant, a replay or a refusal moved the position"
    );
    draft("c3", "x", 2).event("Closed").must_append(store).await;
    early.changed().await.unwrap();
    assert_eq!((*early.borrow(), *late.borrow()), (3, 3));
}

async fn a_rejected_command_can_be_sent_again(store: &dyn EventStore) {
    let sent = draft("c1", "x", 0).event("Opened");
    let (command, origin) = (sent.0.command.clone(), Arc::clone(&sent.0.origin));
    store.journal_rejection(&tenant("a"), command, origin, "{\"code\":\"closed\"}".to_owned());
    assert!(store.outcome(&tenant("a"), "c1").await.unwrap().is_none());
    assert!(!sent.must_append(store).await.replayed);
    assert_eq!(feed(store).await, ["Opened"]);
}

async fn the_newest_aggregates_are_found(store: &dyn EventStore) {
    fill(store).await;
    draft("b1", "y", 0)
        .of("b")
        .event("Opened")
        .must_append(store)
        .await;
    for (limit, ids, left_out) in [
        (2, vec!["c3", "c4"], 4),
        (6, vec!["x", "c0", "c1", "c2", "c3", "c4"], 0),
        (0, vec![], 6),
    ] {
        let newest = store
            .newest_aggregates(&tenant("a"), "bank", limit)
            .await
            .unwrap();
        let found: Vec<_> = newest.items.iter().map(|(of, _)| of.id.as_str()).collect();
        assert_eq!((found, newest.left_out), (ids, left_out), "at most {limit}");
    }
    let newest = store.newest_aggregates(&tenant("a"), "bank", 6).await.unwrap();
    assert_eq!(newest.items[0], (account("x"), 5), "with their versions");
    let other = store.newest_aggregates(&tenant("a"), "shop", 6).await.unwrap();
    assert_eq!(other, Newest::none());
}

/// What the journal has of the newest commands of a shelf, and how many it left out.
async fn newest(store: &dyn EventStore, shelf: Shelf, limit: u32) -> (Vec<JournalEntry>, u64) {
    let newest = store
        .newest_commands(&tenant("a"), "bank", shelf, limit)
        .await
        .unwrap();
    let entries = store.journal(&tenant("a"), shelf, &newest.items).await.unwrap();
    let elsewhere = store.journal(&tenant("b"), shelf, &newest.items).await.unwrap();
    assert!(elsewhere.is_empty(), "another tenant's keys give nothing");
    (entries, newest.left_out)
}

async fn the_newest_commands_are_found_with_what_they_led_to(store: &dyn EventStore) {
    fill(store).await;
    draft("nothing", "x", 5).must_append(store).await;
    draft("b1", "x", 0)
        .of("b")
        .event("Opened")
        .must_append(store)
        .await;
    let refused = draft("refused", "x", 5);
    let (command, origin) = (refused.0.command.clone(), Arc::clone(&refused.0.origin));
    store.journal_rejection(&tenant("a"), command, origin, "{\"code\":\"closed\"}".to_owned());
    eventually("the rejection", async || {
        newest(store, Shelf::Rejected, 1).await.0.len() == 1
    })
    .await;

    let ids = |entries: &[JournalEntry]| -> Vec<String> {
        entries.iter().map(|entry| entry.command.id.clone()).collect()
    };
    for (shelf, limit, expected, left_out) in [
        (Shelf::Recorded, 2, vec!["c3", "c4"], 3),
        (Shelf::Recorded, 9, vec!["c0", "c1", "c2", "c3", "c4"], 0),
        (Shelf::Empty, 9, vec!["nothing"], 0),
        (Shelf::Rejected, 9, vec!["refused"], 0),
        (Shelf::Rejected, 0, vec![], 1),
    ] {
        let (entries, left) = newest(store, shelf, limit).await;
        assert_eq!(
            (ids(&entries), left),
            (expected.iter().map(ToString::to_string).collect(), left_out),
            "{shelf:?}"
        );
    }
    let (entries, _) = newest(store, Shelf::Recorded, 1).await;
    let sent = draft("c4", "x", 4).0;
    assert_eq!(
        (&entries[0].command.target, &*entries[0].command.input),
        (&sent.command.target, "{}")
    );
    assert_eq!(entries[0].origin, sent.origin);
    let JournalOutcome::Accepted(events) = &entries[0].outcome else {
        panic!("{entries:?}")
    };
    let names: Vec<_> = events
        .iter()
        .map(|event| (event.name.as_str(), event.version))
        .collect();
    assert_eq!(names, [("Paid", 5), ("Opened", 1)]);
    let (entries, _) = newest(store, Shelf::Rejected, 1).await;
    assert!(matches!(&entries[0].outcome, JournalOutcome::Rejected(text) if text.contains("closed")));
}
