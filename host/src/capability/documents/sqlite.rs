//! Documents in SQLite: one file a tenant, one table a line of a collection, nothing to install.
//!
//! Documents are JSON text; a declared index stands on the key of its fields ([`super::key`]), computed by a function of
//! ours. One connection writes, one unit of work at a time; readers have their own and see what is committed.

mod find;
mod functions;
mod plan;
mod schema;
mod unit;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use rusqlite::Connection;

use self::functions::LastParsed;
use self::schema::Table;
use self::unit::SqliteUnit;
use super::query::Find;
use super::{Checkpoint, Collection, Document, DocumentError, DocumentStore, Documents, Line, Page, Unit};
use crate::blocking;
use crate::sqlite::{self, Readers, open_writer};

/// Bounds of [`SqliteDocuments`].
#[derive(Debug, Clone)]
pub struct SqliteDocumentsLimits {
    /// Connections of one tenant that read at once; further reads wait.
    pub readers_max: usize,
}

/// All tenants' documents: `<folder>/<tenant>/documents.db`.
pub struct SqliteDocuments {
    folder: PathBuf,
    limits: SqliteDocumentsLimits,
    /// What is open, so that a tenant has one writer; it closes with the last who uses it. A std mutex: no await inside.
    open: Mutex<HashMap<TenantId, Weak<TenantDocuments>>>,
}

impl SqliteDocuments {
    /// Files are made below `folder` when a tenant is first opened.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, limits: SqliteDocumentsLimits) -> Self {
        Self {
            folder: folder.into(),
            limits,
            open: Mutex::default(),
        }
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join(tenant.as_str()).join("documents.db")
    }

    /// A tenant's documents, which others may have open. Blocks.
    fn opened(&self, tenant: &TenantId) -> Result<Arc<TenantDocuments>, DocumentError> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(documents) = open.get(tenant).and_then(Weak::upgrade) {
            return Ok(documents);
        }
        let documents = Arc::new(TenantDocuments::open(self.path(tenant), &self.limits)?);
        open.insert(tenant.clone(), Arc::downgrade(&documents));
        Ok(documents)
    }

    /// Removes a tenant's file, unless somebody else has it open: then it stays, empty. Blocks.
    fn remove_file(&self, tenant: &TenantId, documents: Arc<TenantDocuments>) -> Result<(), DocumentError> {
        // Nobody opens it meanwhile.
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&documents) > 1 || Arc::strong_count(&documents.writer) > 1 {
            return Ok(());
        }
        open.remove(tenant);
        drop(documents);
        sqlite::remove(&self.path(tenant)).map_err(|error| DocumentError::Failed(error.to_string()))
    }
}

#[async_trait]
impl DocumentStore for SqliteDocuments {
    async fn open(&self, tenant: &TenantId) -> Result<Arc<dyn Documents>, DocumentError> {
        Ok(blocking::run(|| self.opened(tenant))?)
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), DocumentError> {
        if !self.path(tenant).exists() {
            return Ok(());
        }
        let documents = blocking::run(|| self.opened(tenant))?;
        documents.clear().await?;
        blocking::run(|| self.remove_file(tenant, documents))
    }
}

/// One tenant's documents.
struct TenantDocuments {
    /// A tokio mutex: a unit of work holds it across awaits.
    writer: Arc<tokio::sync::Mutex<Connection>>,
    /// What the writer's functions parsed last.
    parsed: Arc<LastParsed>,
    readers: Readers,
}

impl TenantDocuments {
    fn open(path: PathBuf, limits: &SqliteDocumentsLimits) -> Result<Self, DocumentError> {
        let writer = open_writer(&path, schema::MIGRATIONS, "normal")
            .map_err(|error| DocumentError::Failed(error.to_string()))?;
        let parsed = functions::register(&writer)?;
        let readers = Readers::new(path, limits.readers_max, |db| functions::register(db).map(drop));
        Ok(Self {
            writer: Arc::new(tokio::sync::Mutex::new(writer)),
            parsed,
            readers,
        })
    }

    /// Removes all collections and checkpoints.
    async fn clear(&self) -> Result<(), DocumentError> {
        let mut writer = self.writer.lock().await;
        blocking::run(|| {
            let transaction = writer.transaction()?;
            schema::clear(&transaction)?;
            Ok(transaction.commit()?)
        })
    }

    /// Reads one committed state, however many statements it takes.
    fn read<T>(
        &self,
        read: impl FnOnce(&Connection) -> Result<T, DocumentError>,
    ) -> Result<T, DocumentError> {
        blocking::run(|| self.readers.with(|db| read(&*db.transaction()?)))
    }
}

#[async_trait]
impl Documents for TenantDocuments {
    async fn prepare(&self, collections: &[Arc<Collection>]) -> Result<(), DocumentError> {
        let mut writer = self.writer.lock().await;
        blocking::run(|| {
            let transaction = writer.transaction()?;
            for collection in collections {
                schema::prepare(&transaction, collection)?;
            }
            Ok(transaction.commit()?)
        })
    }

    async fn get(&self, of: &Collection, id: &str) -> Result<Option<Document>, DocumentError> {
        self.read(|db| find::get(db, Table::of(db, of, Line::Live)?, id))
    }

    async fn find(&self, of: &Collection, find: &Find) -> Result<Page, DocumentError> {
        self.read(|db| find::find(db, Table::of(db, of, Line::Live)?, of, find))
    }

    async fn count(&self, of: &Collection, find: &Find) -> Result<u64, DocumentError> {
        self.read(|db| find::count(db, Table::of(db, of, Line::Live)?, of, find))
    }

    async fn checkpoints(&self, projection: &str) -> Result<Vec<Checkpoint>, DocumentError> {
        self.read(|db| schema::checkpoints(db, projection))
    }

    fn is_shared(&self) -> bool {
        false
    }

    async fn begin(&self) -> Result<Box<dyn Unit>, DocumentError> {
        let writer = Arc::clone(&self.writer).lock_owned().await;
        let parsed = Arc::clone(&self.parsed);
        Ok(Box::new(blocking::run(|| SqliteUnit::begin(writer, parsed))?))
    }
}

impl From<rusqlite::Error> for DocumentError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Failed(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::update::Change;
    use super::*;

    fn object(value: Value) -> Document {
        let Value::Object(document) = value else {
            panic!("{value} is no object");
        };
        document
    }

    /// The writer computes keys of a document before it is text, and of the same one as text when it is replaced.
    #[tokio::test(flavor = "multi_thread")]
    async fn an_index_holds_what_stands_in_the_documents() {
        let folder = tempfile::tempdir().unwrap();
        let store = SqliteDocuments::new(folder.path(), SqliteDocumentsLimits { readers_max: 1 });
        let tenant = TenantId::new("acme").unwrap();
        let documents = store.open(&tenant).await.unwrap();
        let of = Arc::new(Collection {
            module: "sales".to_owned(),
            name: "invoices".to_owned(),
            decimals: vec!["total".to_owned()],
            indexes: vec![vec!["x".to_owned(), "total".to_owned()], vec!["y".to_owned()]],
        });
        documents.prepare(&[Arc::clone(&of)]).await.unwrap();
        let values = [
            json!(null),
            json!(-0.0),
            json!(0.1),
            json!(1e300),
            json!(u64::MAX),
            json!(i64::MIN),
            serde_json::from_str("18446744073709551616").unwrap(),
            serde_json::from_str("0.12345678901234567891234").unwrap(),
            json!("\u{0}\"\\\u{1f600}"),
            json!({"b": 1, "a": [0.3]}),
        ];
        let more = Change::parse(&json!({"$inc": {"n": 1}, "$set": {"y": 0.7}})).unwrap();
        for round in 0..2 {
            let mut unit = documents.begin().await.unwrap();
            for (number, x) in values.iter().enumerate() {
                let id = number.to_string();
                let document = object(json!({"x": x, "y": x, "n": 2, "total": "1.50", "round": round}));
                unit.put(&of, Line::Live, &id, document).await.unwrap();
                assert!(unit.update(&of, Line::Live, &id, &more).await.unwrap());
            }
            unit.commit(None).await.unwrap();
        }
        let db = Connection::open(store.path(&tenant)).unwrap();
        functions::register(&db).unwrap();
        let found: String = db
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(found, "ok");
    }
}
