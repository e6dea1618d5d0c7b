//! The event store.

mod append;
mod turns;
mod conditions;
mod mongodb;
mod portable;
mod races;
mod reads;
mod relay;
mod sqlite;
mod swallowing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use millwork_host::event_store::mongodb::{MongoEvents, MongoEventsLimits};
use millwork_host::event_store::sqlite::{SqliteEvents, SqliteEventsLimits};
use millwork_host::event_store::{
    Append, AppendError, Appended, Claim, EventStore, Journalled, NewEvent, NumberTaken, Origin, Subject,
};
use millwork_host::mongodb::MongoSettings;
use millwork_tests::servers::MONGODB;
use tempfile::TempDir;

use super::{on_every_backend, tenant};

/// A store with the folder that it lives in.
struct Sqlite {
    store: SqliteEvents,
    folder: TempDir,
}

impl Sqlite {
    fn store(&self) -> &SqliteEvents {
        &self.store
    }
}

async fn start_sqlite() -> Sqlite {
    let folder = tempfile::tempdir().unwrap();
    Sqlite {
        store: open_sqlite(&folder),
        folder,
    }
}

fn open_sqlite(folder: &TempDir) -> SqliteEvents {
    let limits = SqliteEventsLimits {
        queue_max: 1_000,
        batch_max: 100,
        readers_max: 4,
    };
    SqliteEvents::open(&folder.path().join("events.db"), &limits).unwrap()
}

/// A store in a database of its own, on the server that all cases share.
struct Mongo {
    store: MongoEvents,
}

impl Mongo {
    fn store(&self) -> &MongoEvents {
        &self.store
    }
}

async fn reach_mongodb() -> Option<Mongo> {
    let settings = mongodb_settings(MONGODB.shared()?.url());
    Some(Mongo {
        store: open_mongodb(&settings).await,
    })
}

/// A new database of the server at `url`.
fn mongodb_settings(url: &str) -> MongoSettings {
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let number = DATABASES.fetch_add(1, Ordering::Relaxed);
    MongoSettings {
        url: url.to_owned(),
        database: format!("millwork-events-{}-{number}", std::process::id()),
        connections_max: 10,
        operation_ms: 20_000,
    }
}

fn mongodb_limits() -> MongoEventsLimits {
    MongoEventsLimits {
        queue_max: 1_000,
        batch_max: 100,
        batch_bytes_max: 4 << 20,
        tenants_at_once: 4,
        append_ms: 60_000,
        poll_ms: 1_000,
    }
}

async fn open_mongodb(settings: &MongoSettings) -> MongoEvents {
    MongoEvents::open(settings, mongodb_limits()).await.unwrap()
}

fn account(id: &str) -> Subject {
    Subject {
        module: "bank".to_owned(),
        aggregate: "account".to_owned(),
        id: id.to_owned(),
    }
}

fn claim(value: &str) -> Claim {
    Claim {
        name: "iban".to_owned(),
        value: value.to_owned(),
    }
}

fn number(sequence: &str, number: u64) -> NumberTaken {
    NumberTaken {
        sequence: sequence.to_owned(),
        number,
    }
}

/// An append in the making: a command on one account of tenant `a`.
#[derive(Clone)]
struct Draft(Append);

/// Command `id` on an account that was at `version`.
fn draft(id: &str, on: &str, version: u64) -> Draft {
    let target = account(on);
    Draft(Append {
        tenant: tenant("a"),
        command: Journalled {
            id: id.to_owned(),
            fingerprint: [7; 32],
            name: "Deposit".to_owned(),
            target: target.clone(),
            release: "bank 1.0.0".into(),
            input: "{}".into(),
            decided_at: 1_700_000_000_123,
        },
        origin: Arc::new(Origin {
            user: "ann".to_owned(),
            correlation_id: format!("correlation of {id}"),
            causation_id: id.to_owned(),
            traceparent: None,
        }),
        expected: vec![(target, version)],
        events: Vec::new(),
        claims: Vec::new(),
        releases: Vec::new(),
        numbers: Vec::new(),
    })
}

impl Draft {
    fn of(mut self, tenant_name: &str) -> Self {
        self.0.tenant = tenant(tenant_name);
        self
    }

    fn event(self, name: &str) -> Self {
        let target = self.0.command.target.clone();
        self.event_of(target, name)
    }

    fn event_of(mut self, of: Subject, name: &str) -> Self {
        let id = format!("{}/{}", self.0.command.id, self.0.events.len());
        self.0.events.push(NewEvent {
            id,
            of,
            name: name.to_owned(),
            data: format!("{{\"name\":\"{name}\"}}").into(),
        });
        self
    }

    fn with(mut self, change: impl FnOnce(&mut Append)) -> Self {
        change(&mut self.0);
        self
    }

    async fn append(self, store: &dyn EventStore) -> Result<Appended, AppendError> {
        store.append(self.0).await
    }

    async fn must_append(self, store: &dyn EventStore) -> Appended {
        let id = self.0.command.id.clone();
        self.append(store)
            .await
            .unwrap_or_else(|error| panic!("{id}: {error}"))
    }
}

/// Names of the events in tenant `a`'s feed.
async fn feed(store: &dyn EventStore) -> Vec<String> {
    let events = store.feed(&tenant("a"), 0, 10_000).await.unwrap();
    events.into_iter().map(|event| event.name).collect()
}
