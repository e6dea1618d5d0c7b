//! What the store says when the disk fails, and what it makes of older files.

use std::fs::File;
use std::sync::Arc;

use super::super::{Append, AppendError, EventStore as _, Journalled, NewEvent, Origin, StoreError, Subject};
use super::*;

const LIMITS: SqliteEventsLimits = SqliteEventsLimits {
    queue_max: 8,
    batch_max: 8,
    readers_max: 2,
};

fn tenant() -> TenantId {
    TenantId::new("acme").unwrap()
}

fn append(id: &str) -> Append {
    let of = Subject {
        module: "client".to_owned(),
        aggregate: "Client".to_owned(),
        id: id.to_owned(),
    };
    Append {
        tenant: tenant(),
        command: Journalled {
            id: format!("create-{id}"),
            fingerprint: [7; 32],
            name: "CreateClient".to_owned(),
            target: of.clone(),
            release: "client@1.0.0".into(),
            input: "{}".into(),
            decided_at: 1,
        },
        origin: Arc::new(Origin {
            user: "ada".to_owned(),
            correlation_id: "c".to_owned(),
            causation_id: "c".to_owned(),
            traceparent: None,
        }),
        expected: vec![(of.clone(), 0)],
        events: vec![NewEvent {
            id: format!("event-{id}"),
            of,
            name: "ClientCreated".to_owned(),
            data: "{}".into(),
        }],
        claims: Vec::new(),
        releases: Vec::new(),
        numbers: Vec::new(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_disk_did_not_flush_is_told_to_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let events = SqliteEvents::open(&path, &LIMITS).unwrap();
    events.append(append("first")).await.unwrap();
    events.close().await;

    let db = open_writer(&path, schema::MIGRATIONS, "normal").unwrap();
    let readers = Readers::new(path.clone(), 2, |_| Ok(()));
    // Nothing can be flushed there.
    let log = File::open("/dev/null").unwrap();
    let events = SqliteEvents::start(db, log, readers, &LIMITS).unwrap();
    let position = events.last_position(&tenant()).await.unwrap();
    assert_eq!(events.feed(&tenant(), 0, 10).await.unwrap().len(), 1);

    let failed =
        |error: &StoreError| matches!(error, StoreError::Failed(why) if why.contains("it has failed"));
    for id in ["second", "third"] {
        let refused = events.append(append(id)).await.unwrap_err();
        assert!(
            matches!(&refused, AppendError::Store(error) if failed(error)),
            "{refused}"
        );
    }
    assert!(failed(&events.feed(&tenant(), 0, 10).await.unwrap_err()));
    assert!(failed(
        &events.outcome(&tenant(), "create-second").await.unwrap_err()
    ));
    assert!(failed(&events.is_current(&tenant(), &[]).await.unwrap_err()));
    assert_eq!(*position.borrow(), 1);
    events.close().await;

    // Started anew, the host finds what the disk has: here the second, and nothing of what came after the failure.
    let events = SqliteEvents::open(&path, &LIMITS).unwrap();
    assert!(events.outcome(&tenant(), "create-third").await.unwrap().is_none());
    events.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_waits_for_a_thread_that_has_panicked() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let events = SqliteEvents::open(&path, &LIMITS).unwrap();
    events.append(append("first")).await.unwrap();

    let panics = events.work(Box::new(|_, _| panic!("as the test wants it")));
    let same_batch = events.append(append("second"));
    let (panicked, appended) = tokio::join!(panics, same_batch);
    assert!(matches!(panicked, Err(StoreError::Failed(_))), "{panicked:?}");
    // It came first, or with the panic, or after it.
    assert!(
        matches!(&appended, Ok(_) | Err(AppendError::Store(StoreError::Failed(_)))),
        "{appended:?}"
    );
    let refused = events.append(append("third")).await;
    assert!(
        matches!(&refused, Err(AppendError::Store(StoreError::Failed(_)))),
        "{refused:?}"
    );
    events.close().await;

    let events = SqliteEvents::open(&path, &LIMITS).unwrap();
    events.append(append("third")).await.unwrap();
    events.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn aggregates_of_an_older_file_keep_their_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let events = SqliteEvents::open(&path, &LIMITS).unwrap();
    events.append(append("first")).await.unwrap();
    events.close().await;
    // As format 3 had it.
    Connection::open(&path)
        .unwrap()
        .execute_batch(
            "ALTER TABLE streams ADD COLUMN version INTEGER NOT NULL DEFAULT 1; PRAGMA user_version = 3",
        )
        .unwrap();

    let events = SqliteEvents::open(&path, &LIMITS).unwrap();
    let of = append("first").command.target;
    let mut next = append("first");
    next.command.id = "update-first".to_owned();
    next.expected = vec![(of.clone(), 1)];
    next.events[0].id = "event-updated".to_owned();
    let appended = events.append(next).await.unwrap();
    assert_eq!((appended.version, appended.position), (2, 2));
    let newest = events.newest_aggregates(&tenant(), "client", 5).await.unwrap();
    assert_eq!(newest.items, vec![(of, 2)]);
    events.verify().await.unwrap();
}
