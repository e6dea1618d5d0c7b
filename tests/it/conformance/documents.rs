//! The document store.

mod filters;
mod malformed;
mod mongodb;
mod pages;
mod shadow;
mod units;
mod updates;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use millwork_host::capability::documents::mongodb::{MongoDocuments, MongoDocumentsLimits};
use millwork_host::capability::documents::query::{Filter, Find, Scope, Sort};
use millwork_host::capability::documents::sqlite::{SqliteDocuments, SqliteDocumentsLimits};
use millwork_host::capability::documents::update::Change;
use millwork_host::capability::documents::{
    Collection, Document, DocumentError, DocumentStore, Documents, Line, Page, Unit,
};
use millwork_host::mongodb::{MongoDatabase, MongoSettings};
use millwork_tests::servers::MONGODB;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::{on_every_backend, tenant};

/// A store with the folder that it lives in.
struct Sqlite {
    store: SqliteDocuments,
    _folder: TempDir,
}

impl Sqlite {
    fn store(&self) -> &SqliteDocuments {
        &self.store
    }
}

async fn start_sqlite() -> Sqlite {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteDocuments::new(folder.path(), SqliteDocumentsLimits { readers_max: 2 });
    Sqlite {
        store,
        _folder: folder,
    }
}

/// A store in a database of its own.
struct Mongo(MongoDocuments);

impl Mongo {
    fn store(&self) -> &MongoDocuments {
        &self.0
    }
}

async fn start_mongodb() -> Option<Mongo> {
    let server = MONGODB.shared()?;
    Some(Mongo(mongodb_at(server.url(), &a_database()).await))
}

/// A name that no other case has, nor another run on the same server.
fn a_database() -> String {
    static CASES: AtomicU32 = AtomicU32::new(0);
    let (process, case) = (std::process::id(), CASES.fetch_add(1, Ordering::Relaxed));
    let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    format!("millwork-test-{started}-{process}-{case}")
}

async fn mongodb_at(url: &str, database: &str) -> MongoDocuments {
    let limits = MongoDocumentsLimits {
        call_max: Duration::from_secs(10),
        turn_max: Duration::from_secs(20),
        sweep_after: Duration::from_millis(100),
    };
    MongoDocuments::new(database_at(url, database).await, limits)
}

async fn database_at(url: &str, database: &str) -> MongoDatabase {
    let settings = MongoSettings {
        url: url.to_owned(),
        database: database.to_owned(),
        connections_max: 20,
        operation_ms: 5_000,
    };
    MongoDatabase::open(&settings).await.unwrap()
}

/// Invoices, with decimals and indexes.
fn invoices() -> Arc<Collection> {
    let indexes = [
        &["status", "due"] as &[_],
        &["total"],
        &["customer.name"],
        &["n"],
        &["due"],
    ];
    Arc::new(Collection {
        module: "sales".to_owned(),
        name: "invoices".to_owned(),
        decimals: ["total", "lines.price"].map(str::to_owned).to_vec(),
        indexes: indexes
            .iter()
            .map(|fields| fields.iter().map(|field| (*field).to_owned()).collect())
            .collect(),
    })
}

/// The same without an index.
fn plain() -> Arc<Collection> {
    let of = invoices();
    let (module, decimals) = (of.module.clone(), of.decimals.clone());
    Arc::new(Collection {
        module,
        name: "plain".to_owned(),
        decimals,
        indexes: Vec::new(),
    })
}

async fn open(store: &dyn DocumentStore) -> Arc<dyn Documents> {
    open_for(store, "a").await
}

async fn open_for(store: &dyn DocumentStore, name: &str) -> Arc<dyn Documents> {
    let documents = store.open(&tenant(name)).await.unwrap();
    documents.prepare(&[invoices(), plain()]).await.unwrap();
    documents
}

fn object(json: Value) -> Document {
    match json {
        Value::Object(object) => object,
        other => panic!("{other} is no object"),
    }
}

/// Writes documents in a unit of their own; ids are their `_id`s.
async fn put_all(documents: &dyn Documents, of: &Collection, all: &[Value]) {
    let mut unit = documents.begin().await.unwrap();
    for document in all {
        put(unit.as_mut(), of, document.clone()).await.unwrap();
    }
    unit.commit(None).await.unwrap();
}

async fn put(unit: &mut dyn Unit, of: &Collection, document: Value) -> Result<(), DocumentError> {
    let id = document["_id"].as_str().unwrap().to_owned();
    unit.put(of, Line::Live, &id, object(document)).await
}

fn find(filter: Value) -> Find {
    Find::new(Filter::parse(&filter).unwrap(), Scope::whole_tenant(), 1_000)
}

fn sorted(filter: Value, sort: &str, limit: u32) -> Find {
    Find {
        sort: Sort::parse_text(sort).unwrap(),
        limit,
        ..find(filter)
    }
}

fn change(json: Value) -> Change {
    Change::parse(&json).unwrap_or_else(|error| panic!("{json}: {error}"))
}

fn ids(page: &Page) -> Vec<String> {
    page.documents
        .iter()
        .map(|document| document["_id"].as_str().unwrap().to_owned())
        .collect()
}

async fn found(documents: &dyn Documents, of: &Collection, find: &Find) -> Vec<String> {
    ids(&documents
        .find(of, find)
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", find.filter.as_json())))
}

async fn get(documents: &dyn Documents, id: &str) -> Option<Value> {
    documents.get(&invoices(), id).await.unwrap().map(Value::Object)
}

fn one(id: &str) -> Value {
    json!({ "_id": id })
}
