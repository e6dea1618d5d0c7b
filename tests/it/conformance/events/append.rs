//! What one append records, and what the same command gives a second time.

use std::sync::Arc;

use millwork_host::event_store::{AppendError, EventStore, Origin, StoreError};

use super::{account, draft, feed, on_every_backend, reach_mongodb, start_sqlite, tenant};

on_every_backend! {
    backends: { sqlite: start_sqlite },
    servers: { mongodb: reach_mongodb },
    cases: [
        versions_and_positions_start_at_one,
        what_is_recorded_is_what_was_appended,
        one_append_spans_aggregates,
        a_decision_without_events_is_kept,
        the_same_command_gives_the_first_outcome,
        a_command_id_is_not_used_twice,
        a_replay_comes_before_all_other_conditions,
        tenants_do_not_see_each_other,
        a_bug_of_the_caller_is_refused,
        appends_are_tried_in_the_order_of_the_queue,
        a_refused_append_leaves_its_neighbours_alone,
        an_append_nobody_waits_for_is_recorded,
    ],
}

async fn versions_and_positions_start_at_one(store: &dyn EventStore) {
    let first = draft("c1", "x", 0)
        .event("Opened")
        .event("Paid")
        .must_append(store)
        .await;
    assert_eq!((first.version, first.position, first.replayed), (2, 2, false));
    let places: Vec<_> = first
        .events
        .iter()
        .map(|event| (event.position, event.version))
        .collect();
    assert_eq!(places, [(1, 1), (2, 2)]);
    let second = draft("c2", "y", 0).event("Opened").must_append(store).await;
    assert_eq!((second.version, second.position), (1, 3));
    let third = draft("c3", "x", 2).event("Closed").must_append(store).await;
    assert_eq!((third.version, third.position), (3, 4));
}

async fn what_is_recorded_is_what_was_appended(store: &dyn EventStore) {
    let origin = Arc::new(Origin {
        user: "ann@example.com".to_owned(),
        correlation_id: "r-1".to_owned(),
        causation_id: "c1".to_owned(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
    });
    let append = draft("c1", "ключ \"0\"", 0).event("Opened").with(|append| {
        append.origin = Arc::clone(&origin);
        append.events[0].data = "{\"a\":\"ü\\u0000\",\"n\":1e400}".into();
    });
    let appended = append.must_append(store).await;
    let event = &appended.events[0];
    assert_eq!(
        (event.recorded_at, &event.origin, event.id.as_str()),
        (1_700_000_000_123, &origin, "c1/0")
    );
    assert_eq!(store.feed(&tenant("a"), 0, 10).await.unwrap(), appended.events);
    assert_eq!(
        store
            .events(&tenant("a"), &account("ключ \"0\""), 0, 10)
            .await
            .unwrap(),
        appended.events
    );
    let (fingerprint, outcome) = store.outcome(&tenant("a"), "c1").await.unwrap().unwrap();
    assert_eq!((fingerprint, outcome.events), ([7; 32], appended.events));
}

async fn one_append_spans_aggregates(store: &dyn EventStore) {
    draft("c1", "to", 0).event("Opened").must_append(store).await;
    let transfer = draft("c2", "from", 0)
        .with(|append| append.expected.push((account("to"), 1)))
        .event("Opened")
        .event_of(account("to"), "Received")
        .event("Sent");
    let appended = transfer.must_append(store).await;
    assert_eq!((appended.version, appended.position), (2, 4));
    let versions: Vec<_> = appended.events.iter().map(|event| event.version).collect();
    assert_eq!(versions, [1, 2, 2]);
}

async fn a_decision_without_events_is_kept(store: &dyn EventStore) {
    let nothing = draft("c1", "x", 0).must_append(store).await;
    assert_eq!(
        (nothing.version, nothing.position, nothing.events.len()),
        (0, 0, 0)
    );
    draft("c2", "x", 0).event("Opened").must_append(store).await;
    let nothing = draft("c3", "x", 1).must_append(store).await;
    assert_eq!((nothing.version, nothing.position), (1, 1));
    let again = draft("c1", "x", 0).must_append(store).await;
    assert_eq!((again.version, again.position, again.replayed), (0, 0, true));
}

async fn the_same_command_gives_the_first_outcome(store: &dyn EventStore) {
    let first = draft("c1", "x", 0)
        .event("Opened")
        .event("Paid")
        .must_append(store)
        .await;
    draft("c2", "x", 2).event("Closed").must_append(store).await;
    let mut again = draft("c1", "x", 0)
        .event("Opened")
        .event("Paid")
        .must_append(store)
        .await;
    assert!(std::mem::take(&mut again.replayed));
    assert_eq!(again, first);
    assert_eq!(feed(store).await, ["Opened", "Paid", "Closed"]);
    assert!(store.outcome(&tenant("a"), "c9").await.unwrap().is_none());
}

async fn a_command_id_is_not_used_twice(store: &dyn EventStore) {
    draft("c1", "x", 0).event("Opened").must_append(store).await;
    let other = draft("c1", "y", 0)
        .event("Opened")
        .with(|append| append.command.fingerprint = [8; 32]);
    let refused = other.append(store).await;
    assert!(
        matches!(refused, Err(AppendError::CommandIdReused { ref id }) if id == "c1"),
        "{refused:?}"
    );
    assert_eq!(feed(store).await.len(), 1);
}

async fn a_replay_comes_before_all_other_conditions(store: &dyn EventStore) {
    draft("c1", "x", 0).event("Opened").must_append(store).await;
    let again = draft("c1", "x", 17).event("Else").must_append(store).await;
    assert!(again.replayed);
    assert_eq!(again.events[0].name, "Opened");
}

async fn tenants_do_not_see_each_other(store: &dyn EventStore) {
    draft("c1", "x", 0).event("Opened").must_append(store).await;
    let other = draft("c1", "x", 0)
        .of("b")
        .event("Opened")
        .must_append(store)
        .await;
    assert_eq!((other.position, other.version, other.replayed), (1, 1, false));
    let nobody = tenant("nobody");
    assert!(store.feed(&nobody, 0, 10).await.unwrap().is_empty());
    assert!(
        store
            .events(&nobody, &account("x"), 0, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert!(store.outcome(&nobody, "c1").await.unwrap().is_none());
    assert!(store.snapshot(&nobody, &account("x"), 1).await.unwrap().is_none());
    assert_eq!(store.next_number(&nobody, "bank", "receipt").await.unwrap(), 1);
    assert_eq!(*store.last_position(&nobody).await.unwrap().borrow(), 0);
}

async fn a_bug_of_the_caller_is_refused(store: &dyn EventStore) {
    let target_not_first = draft("c1", "x", 0).with(|append| append.expected[0].0 = account("y"));
    let stray_event = draft("c2", "x", 0).event_of(account("y"), "Opened");
    for bug in [target_not_first, stray_event] {
        let refused = bug.append(store).await;
        assert!(
            matches!(refused, Err(AppendError::Store(StoreError::Failed(_)))),
            "{refused:?}"
        );
    }
    assert!(feed(store).await.is_empty());
}

async fn appends_are_tried_in_the_order_of_the_queue(store: &dyn EventStore) {
    let first = store.append(draft("c1", "x", 0).event("Opened").0);
    let second = store.append(draft("c2", "x", 1).event("Paid").0);
    let fails = store.append(draft("c3", "x", 1).event("Paid").0);
    let on_failed = store.append(draft("c4", "x", 3).event("Closed").0);
    assert_eq!(first.await.unwrap().version, 1);
    assert_eq!(second.await.unwrap().version, 2);
    assert!(matches!(
        fails.await,
        Err(AppendError::Version {
            expected: 1,
            actual: 2,
            ..
        })
    ));
    assert!(matches!(
        on_failed.await,
        Err(AppendError::Version {
            expected: 3,
            actual: 2,
            ..
        })
    ));
}

async fn a_refused_append_leaves_its_neighbours_alone(store: &dyn EventStore) {
    let queued: Vec<_> = (0..60)
        .map(|at| {
            let wrong = u64::from(at % 3 == 1);
            store.append(
                draft(&format!("c{at}"), &format!("x{at}"), wrong)
                    .event("Opened")
                    .0,
            )
        })
        .collect();
    for (at, outcome) in queued.into_iter().enumerate() {
        assert_eq!(outcome.await.is_ok(), at % 3 != 1, "append {at}");
    }
    let positions: Vec<_> = store
        .feed(&tenant("a"), 0, 100)
        .await
        .unwrap()
        .iter()
        .map(|event| event.position)
        .collect();
    assert_eq!(positions, (1..=40).collect::<Vec<_>>());
}

async fn an_append_nobody_waits_for_is_recorded(store: &dyn EventStore) {
    drop(store.append(draft("c1", "x", 0).event("Opened").0));
    draft("c2", "x", 1).event("Paid").must_append(store).await;
    assert_eq!(feed(store).await, ["Opened", "Paid"]);
}
