//! What only a store has that several hosts write to: they race and follow each other, and its server may be away.

use std::sync::Arc;
use std::time::Duration;

use millwork_host::event_store::mongodb::{MongoEvents, MongoEventsLimits};
use millwork_host::event_store::{AppendError, Appended, EventStore, StoreError};
use millwork_host::mongodb::MongoSettings;
use millwork_tests::servers::MONGODB;
use tokio::sync::watch;

use super::races::{RACERS, all, race};
use super::swallowing::Swallowing;
use super::{
    Draft, account, claim, draft, feed, mongodb_limits, mongodb_settings, number, open_mongodb, tenant,
};

/// Two hosts' stores over one database.
async fn two_stores() -> Option<[MongoEvents; 2]> {
    let settings = mongodb_settings(MONGODB.shared()?.url());
    Some([open_mongodb(&settings).await, open_mongodb(&settings).await])
}

fn half(stores: &[MongoEvents; 2], at: u64) -> &MongoEvents {
    if at.is_multiple_of(2) {
        &stores[0]
    } else {
        &stores[1]
    }
}

/// Both stores feed the same events of tenant `a`, at positions without gaps.
async fn check_feeds(stores: &[MongoEvents; 2], events: u64) {
    let first = stores[0].feed(&tenant("a"), 0, 10_000).await.unwrap();
    assert_eq!(stores[1].feed(&tenant("a"), 0, 10_000).await.unwrap(), first);
    assert!(first.iter().map(|event| event.position).eq(1..=events));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_race_on_one_aggregate() {
    let Some(stores) = two_stores().await else { return };
    let versions = race(|at| {
        let store = half(&stores, at);
        async move {
            let mut version = 0;
            loop {
                let paid = draft(&format!("c{at}"), "x", version).event("Paid");
                match paid.append(store).await {
                    Ok(appended) => return appended.version,
                    Err(AppendError::Version { actual, .. }) => version = actual,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    });
    all(versions.await);
    check_feeds(&stores, RACERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_race_on_one_claim() {
    let Some(stores) = two_stores().await else { return };
    let outcomes = race(|at| {
        let claiming = draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened");
        claiming
            .with(|append| append.claims.push(claim("DE1")))
            .append(half(&stores, at))
    });
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let taken = |outcome: &&Result<_, _>| matches!(outcome, Err(AppendError::ClaimTaken { .. }));
    assert_eq!(outcomes.iter().filter(taken).count(), 63);
    check_feeds(&stores, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_race_on_one_sequence() {
    let Some(stores) = two_stores().await else { return };
    let numbers = race(|at| {
        let store = half(&stores, at);
        async move {
            let mut taken = store.next_number(&tenant("a"), "bank", "receipt").await.unwrap();
            loop {
                let numbered = draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened");
                let numbered = numbered.with(|append| append.numbers.push(number("receipt", taken)));
                match numbered.append(store).await {
                    Ok(_) => return taken,
                    Err(AppendError::Number { next, .. }) => taken = next,
                    Err(other) => panic!("{other}"),
                }
            }
        }
    });
    all(numbers.await);
    check_feeds(&stores, RACERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_race_with_one_command() {
    let Some(stores) = two_stores().await else { return };
    let outcomes = race(|at| draft("c1", "x", 0).event("Opened").must_append(half(&stores, at)));
    let outcomes = outcomes.await;
    assert_eq!(outcomes.iter().filter(|outcome| !outcome.replayed).count(), 1);
    assert!(
        outcomes
            .iter()
            .all(|outcome| outcome.events == outcomes[0].events)
    );
    check_feeds(&stores, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn hosts_append_for_one_tenant_without_gaps() {
    let Some(stores) = two_stores().await else { return };
    let positions = race(|at| {
        let store = half(&stores, at);
        async move {
            let id = format!("{at}");
            let opened = draft(&id, &id, 0).event("Opened").must_append(store).await;
            let then = draft(&format!("{at}b"), &id, 1).event("Paid").event("Closed");
            assert_eq!(then.must_append(store).await.version, 3);
            opened.position
        }
    });
    let mut positions = positions.await;
    positions.sort_unstable();
    positions.dedup();
    assert_eq!(positions.len() as u64, RACERS);
    check_feeds(&stores, 3 * RACERS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_append_of_one_host_moves_the_watch_of_another() {
    let Some(stores) = two_stores().await else { return };
    let mut watched = stores[1].last_position(&tenant("a")).await.unwrap();
    assert_eq!(*watched.borrow_and_update(), 0);
    for at in 1..=3 {
        draft(&format!("c{at}"), &format!("x{at}"), 0)
            .event("Opened")
            .must_append(&stores[0])
            .await;
        let moved = tokio::time::timeout(Duration::from_secs(20), watched.wait_for(|last| *last >= at));
        moved.await.expect("the watch moves").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_host_has_moved_is_not_current() {
    let Some(stores) = two_stores().await else { return };
    let current = async |seen: &[(&str, u64)]| {
        let seen: Vec<_> = seen.iter().map(|(id, version)| (account(id), *version)).collect();
        stores[1].is_current(&tenant("a"), &seen).await.unwrap()
    };
    assert!(current(&[("x", 0), ("y", 0)]).await);
    draft("c1", "x", 0).event("Opened").must_append(&stores[0]).await;
    assert!(!current(&[("y", 0), ("x", 0)]).await);
    assert!(current(&[("x", 1), ("y", 0)]).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn closing_serves_what_waits() {
    let Some(stores) = two_stores().await else { return };
    let waiting: Vec<_> = (0..50)
        .map(|at| stores[0].append(draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened").0))
        .collect();
    stores[0].close().await;
    for outcome in waiting {
        outcome.await.unwrap();
    }
    let late = draft("late", "late", 0).event("Opened").append(&stores[0]).await;
    assert!(
        matches!(late, Err(AppendError::Store(StoreError::Failed(_)))),
        "{late:?}"
    );
    check_feeds(&stores, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_queue_refuses() {
    let Some(server) = MONGODB.shared() else { return };
    let limits = MongoEventsLimits {
        queue_max: 2,
        batch_max: 1,
        ..mongodb_limits()
    };
    let store = MongoEvents::open(&mongodb_settings(server.url()), limits)
        .await
        .unwrap();
    let queued: Vec<_> = (0..200)
        .map(|at| store.append(draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened").0))
        .collect();
    let (mut served, mut refused) = (0, 0);
    for outcome in queued {
        match outcome.await {
            Ok(_) => served += 1,
            Err(AppendError::Store(StoreError::Busy)) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(served >= 2 && refused > 0, "{served} served, {refused} refused");
    assert_eq!(feed(&store).await.len(), served);
}

/// Appends with patience: while the server is away the same command is sent again.
async fn insist(store: &MongoEvents, command: &Draft) -> Appended {
    let sent_again = async {
        loop {
            match command.clone().append(store).await {
                Ok(appended) => return appended,
                Err(AppendError::Store(_)) => tokio::task::yield_now().await,
                Err(other) => panic!("{other}"),
            }
        }
    };
    let appended = tokio::time::timeout(Duration::from_secs(120), sent_again).await;
    appended.expect("the server comes back")
}

/// A store that gives up soon, on a server of its own.
async fn impatient(url: &str) -> MongoEvents {
    let settings = MongoSettings {
        operation_ms: 3_000,
        ..mongodb_settings(url)
    };
    let limits = MongoEventsLimits {
        append_ms: 6_000,
        ..mongodb_limits()
    };
    MongoEvents::open(&settings, limits).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_when_the_server_is_killed() {
    let Some(mut server) = MONGODB.start() else { return };
    let store = Arc::new(impatient(server.url()).await);
    let (tell, mut acknowledged) = watch::channel(0);
    let appending = tokio::spawn({
        let store = Arc::clone(&store);
        async move {
            for at in 0..60 {
                let paid = draft(&format!("c{at}"), "x", at).event("Paid");
                assert_eq!(insist(&store, &paid).await.version, at + 1);
                tell.send_replace(at + 1);
            }
        }
    });
    acknowledged.wait_for(|count| *count >= 20).await.unwrap();
    tokio::task::block_in_place(|| {
        server.kill();
        server.run();
    });
    appending.await.unwrap();
    let events = store.feed(&tenant("a"), 0, 100).await.unwrap();
    let places = events.iter().map(|event| (event.position, event.version));
    assert!(places.eq((1..=60).map(|at| (at, at))));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_server_is_not_waited_for_without_end() {
    let Some(mut server) = MONGODB.start() else { return };
    let store = impatient(server.url()).await;
    insist(&store, &draft("c1", "x", 0).event("Opened")).await;
    server.pause();
    let paid = draft("c2", "x", 1).event("Paid");
    let answers = async {
        let refused = paid.clone().append(&store).await;
        assert!(
            matches!(refused, Err(AppendError::Store(StoreError::Failed(_)))),
            "{refused:?}"
        );
        store.feed(&tenant("a"), 0, 10).await.unwrap_err();
        store
            .is_current(&tenant("a"), &[(account("x"), 1)])
            .await
            .unwrap_err();
    };
    let answered = tokio::time::timeout(Duration::from_secs(60), answers).await;
    server.resume();
    answered.expect("an answer while the server is silent");
    assert_eq!(insist(&store, &paid).await.version, 2);
    assert_eq!(feed(&store).await, ["Opened", "Paid"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_without_an_answer_is_found_out() {
    let Some(server) = MONGODB.shared() else { return };
    // The driver asks a second time by itself.
    let swallowing = Swallowing::start(server.url(), 3);
    let store = open_mongodb(&mongodb_settings(swallowing.url())).await;
    let first = draft("c1", "x", 0).event("Opened").must_append(&store).await;
    assert_eq!((first.version, first.position, first.replayed), (1, 1, false));
    assert_eq!(swallowing.left(), 0, "commits went unanswered");
    assert!(
        draft("c1", "x", 0)
            .event("Opened")
            .must_append(&store)
            .await
            .replayed
    );
    assert_eq!(feed(&store).await, ["Opened"]);
}
