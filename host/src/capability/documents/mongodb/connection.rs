//! One tenant's way to its database: every name and every filter of its documents is made here, with the tenant in it.

use ::mongodb::bson::{Bson, Document as Row, doc};
use ::mongodb::options::{CollectionOptions, ReadConcern, ReadPreference, SelectionCriteria};
use ::mongodb::{Collection as Rows, Database};
use millwork_registry::id::TenantId;
use serde::{Serialize, de::DeserializeOwned};

use super::super::{Collection, DocumentError};
use super::MongoDocumentsLimits;
use crate::mongodb::durable;

/// See the module.
pub(super) struct Connection {
    database: Database,
    pub(super) tenant: TenantId,
    pub(super) limits: MongoDocumentsLimits,
}

impl Connection {
    pub(super) fn new(database: Database, tenant: TenantId, limits: MongoDocumentsLimits) -> Self {
        Self {
            database,
            tenant,
            limits,
        }
    }

    /// Ends what takes too long, as it does while no server can be found.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, DocumentError>>,
    ) -> Result<T, DocumentError> {
        let limit = self.limits.call_max;
        tokio::time::timeout(limit, work)
            .await
            .unwrap_or_else(|_| Err(DocumentError::Failed(format!("no answer within {limit:?}"))))
    }

    /// The documents of a collection, of all tenants and lines.
    pub(super) fn documents(&self, of: &Collection) -> Rows<Row> {
        self.rows(&format!("{}.{}", of.module, of.name))
    }

    /// Rows of a kind: what is written survives the loss of a server, what is read was written so.
    pub(super) fn rows<T: Serialize + DeserializeOwned + Send + Sync>(&self, name: &str) -> Rows<T> {
        let options = CollectionOptions::builder()
            .read_concern(ReadConcern::majority())
            .write_concern(durable(self.limits.call_max))
            .selection_criteria(SelectionCriteria::ReadPreference(ReadPreference::Primary))
            .build();
        self.database
            .collection_with_options(&format!("documents.{name}"), options)
    }

    /// The database, to make collections in.
    pub(super) fn database(&self) -> &Database {
        &self.database
    }

    /// What is there under a key of this tenant's.
    pub(super) fn own(&self, key: &str) -> Row {
        doc! { "tenantId": self.tenant.as_str(), "_id": self.id(key) }
    }

    /// Everything of this tenant's. `0` comes after the slash.
    pub(super) fn all(&self) -> Row {
        let (start, end) = (self.id(""), format!("{}0", self.tenant));
        doc! { "tenantId": self.tenant.as_str(), "_id": { "$gte": start, "$lt": end } }
    }

    /// A key of this tenant's. No tenant's id has a slash.
    pub(super) fn id(&self, key: &str) -> String {
        format!("{}/{key}", self.tenant)
    }

    /// Everything of one copy. Its `_id`s sort as the documents' ids do, since only those differ.
    pub(super) fn copy(&self, copy: i64) -> Row {
        let (start, end) = (self.id(&format!("{copy}/")), self.id(&format!("{copy}0")));
        doc! { "tenantId": self.tenant.as_str(), "copy": copy, "_id": { "$gte": start, "$lt": end } }
    }

    /// Where a document of a copy is.
    pub(super) fn place(&self, copy: i64, id: &str) -> Bson {
        Bson::String(self.id(&format!("{copy}/{id}")))
    }
}
