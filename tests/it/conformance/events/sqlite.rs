//! What the SQLite backend promises beside: a file that outlives the process, a disk that fails, a queue that is full.

use millwork_host::event_store::sqlite::{SqliteEvents, SqliteEventsLimits};
use millwork_host::event_store::{AppendError, EventStore, StoreError};
use rusqlite::Connection;

use super::{Sqlite, claim, draft, feed, number, open_sqlite, start_sqlite, tenant};

/// A connection beside the store's own, to break things with.
fn beside(sqlite: &Sqlite) -> Connection {
    Connection::open(sqlite.folder.path().join("events.db")).unwrap()
}

fn full(id: &str, on: &str, taken: u64) -> super::Draft {
    draft(id, on, 0).event("Opened").event("Paid").with(|append| {
        append.claims.push(claim(on));
        append.numbers.push(number("receipt", taken));
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_is_there_after_a_restart() {
    let Sqlite { store, folder } = start_sqlite().await;
    let first = full("c1", "x", 1).must_append(&store).await;
    full("c1", "x", 1).of("b").must_append(&store).await;
    drop(store);
    let store = open_sqlite(&folder);
    store.verify().await.unwrap();
    assert_eq!(store.feed(&tenant("a"), 0, 10).await.unwrap(), first.events);
    assert_eq!(*store.last_position(&tenant("a")).await.unwrap().borrow(), 2);
    assert!(full("c1", "x", 1).must_append(&store).await.replayed);
    let second = full("c2", "y", 2).must_append(&store).await;
    assert_eq!((second.position, second.version), (4, 2));
    let taken = full("c3", "z", 3)
        .with(|append| append.claims.push(claim("x")))
        .append(&store)
        .await;
    assert!(matches!(taken, Err(AppendError::ClaimTaken { .. })), "{taken:?}");
    store.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_runtime_of_one_thread_will_do() {
    let sqlite = start_sqlite().await;
    let runtime = std::thread::scope(|scope| {
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(full("c1", "x", 1).must_append(sqlite.store()));
            runtime.block_on(feed(sqlite.store()))
        };
        scope.spawn(run).join().unwrap()
    });
    assert_eq!(runtime, ["Opened", "Paid"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn closing_serves_what_waits() {
    let sqlite = start_sqlite().await;
    let waiting: Vec<_> = (0..50)
        .map(|at| {
            sqlite
                .store
                .append(full(&format!("c{at}"), &format!("x{at}"), at + 1).0)
        })
        .collect();
    sqlite.store.close().await;
    for outcome in waiting {
        outcome.await.unwrap();
    }
    let late = full("late", "late", 51).append(sqlite.store()).await;
    assert!(
        matches!(late, Err(AppendError::Store(StoreError::Failed(_)))),
        "{late:?}"
    );
    assert_eq!(feed(sqlite.store()).await.len(), 100);
    sqlite.store.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_a_newer_release_is_refused() {
    let sqlite = start_sqlite().await;
    beside(&sqlite).pragma_update(None, "user_version", 99).unwrap();
    let Sqlite { store, folder } = sqlite;
    drop(store);
    let limits = SqliteEventsLimits {
        queue_max: 1,
        batch_max: 1,
        readers_max: 1,
    };
    let refused = SqliteEvents::open(&folder.path().join("events.db"), &limits)
        .err()
        .unwrap()
        .to_string();
    assert!(
        refused.contains("format 99") && refused.contains("newer release"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_cannot_be_written_fails_its_append_alone() {
    let sqlite = start_sqlite().await;
    beside(&sqlite)
        .execute_batch(
            "CREATE TRIGGER broken BEFORE INSERT ON events WHEN NEW.name = 'Broken' \
             BEGIN SELECT RAISE(ABORT, 'bad sector'); END",
        )
        .unwrap();
    let queued: Vec<_> = (0..30)
        .map(|at| {
            let name = if at % 10 == 5 { "Broken" } else { "Opened" };
            sqlite.store.append(
                draft(&format!("c{at}"), &format!("x{at}"), 0)
                    .event("Opened")
                    .event(name)
                    .0,
            )
        })
        .collect();
    for (at, outcome) in queued.into_iter().enumerate() {
        match outcome.await {
            Ok(_) => assert_ne!(at % 10, 5, "append {at}"),
            Err(AppendError::Store(StoreError::Failed(why))) => {
                assert_eq!(
                    (at % 10, why.contains("bad sector")),
                    (5, true),
                    "append {at}: {why}"
                );
            }
            Err(other) => panic!("append {at}: {other}"),
        }
    }
    assert_eq!(feed(sqlite.store()).await.len(), 54);
    sqlite.store.verify().await.unwrap();
}

/// A constraint that is checked when the transaction commits stands for a disk that fails then.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_fails_acknowledges_nothing() {
    let sqlite = start_sqlite().await;
    draft("c0", "x", 0)
        .event("Opened")
        .must_append(sqlite.store())
        .await;
    let position = sqlite.store.last_position(&tenant("a")).await.unwrap();
    let beside = beside(&sqlite);
    beside
        .execute_batch(
            "CREATE TABLE disk (sector INTEGER PRIMARY KEY); \
             CREATE TABLE flush (sector INTEGER REFERENCES disk DEFERRABLE INITIALLY DEFERRED); \
             CREATE TRIGGER failing AFTER INSERT ON events BEGIN INSERT INTO flush VALUES (1); END",
        )
        .unwrap();
    let queued: Vec<_> = (1..9)
        .map(|at| {
            sqlite
                .store
                .append(draft(&format!("c{at}"), "x", at).event("Paid").0)
        })
        .collect();
    for outcome in queued {
        // Those after the failed batch find the aggregate where it was.
        assert!(outcome.await.is_err());
    }
    assert_eq!((feed(sqlite.store()).await.len(), *position.borrow()), (1, 1));
    beside.execute_batch("DROP TRIGGER failing").unwrap();
    let next = draft("c1", "x", 1)
        .event("Paid")
        .must_append(sqlite.store())
        .await;
    assert_eq!((next.position, next.version, *position.borrow()), (2, 2, 2));
    sqlite.store.verify().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.db");
    let limits = SqliteEventsLimits {
        queue_max: 2,
        batch_max: 1,
        readers_max: 1,
    };
    let store = SqliteEvents::open(&path, &limits).unwrap();
    let beside = Connection::open(&path).unwrap();
    beside.execute_batch("BEGIN IMMEDIATE").unwrap();
    // The writer holds one, as soon as it gets to it, and the queue two.
    let queued: Vec<_> = (0..4)
        .map(|at| store.append(draft(&format!("c{at}"), &format!("x{at}"), 0).event("Opened").0))
        .collect();
    beside.execute_batch("ROLLBACK").unwrap();
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

#[tokio::test(flavor = "multi_thread")]
async fn verify_finds_what_is_wrong() {
    for (damage, found) in [
        ("DELETE FROM events WHERE version = 1", "missing"),
        ("UPDATE events SET version = version + 10", "version"),
        ("DELETE FROM streams", "no aggregate"),
        ("DELETE FROM commands", "no command"),
        ("UPDATE commands SET position = position + 1", "outcome"),
        ("UPDATE claims SET subject = 'nobody'", "claim"),
    ] {
        let sqlite = start_sqlite().await;
        full("c1", "x", 1).must_append(sqlite.store()).await;
        sqlite.store.verify().await.unwrap();
        beside(&sqlite).execute_batch(damage).unwrap();
        let verdict = sqlite.store.verify().await.unwrap_err().to_string();
        assert!(verdict.contains(found), "{damage}: {verdict}");
    }
}
