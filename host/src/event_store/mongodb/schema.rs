//! The collections of the event store, their indexes, and how what is recorded becomes a document.
//!
//! Every document has its `tenant`, and every unique index but that of `_id` begins with it: so all of them may be sharded
//! by `{ tenant: 1 }`, which keeps a tenant on one shard and its appends transactions of one shard. Where `_id` is not
//! MongoDB's own it begins with the tenant too, and is unique across shards therefore.

use std::sync::Arc;

use millwork_registry::id::TenantId;
use mongodb::bson::spec::BinarySubtype;
use mongodb::bson::{Binary, Document, doc, oid::ObjectId};
use mongodb::options::IndexOptions;
use mongodb::{Collection, IndexModel};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::super::portable::Gate;
use super::super::{Append, Appended, Claim, Journalled, Origin, Position, Recorded, StoreError, Subject};
use crate::mongodb::{Failure, MongoDatabase};

/// The collections.
pub(super) struct Collections {
    /// Last position and number of commands of each tenant: what two hosts that append for one tenant contend for.
    pub(super) tenants: Collection<TenantRow>,
    /// All events.
    pub(super) events: Collection<EventRow>,
    /// Version of each aggregate.
    pub(super) aggregates: Collection<AggregateRow>,
    /// Accepted commands.
    pub(super) commands: Collection<CommandRow>,
    /// Rejected commands.
    pub(super) rejections: Collection<RejectionRow>,
    /// Who holds which unique value.
    pub(super) claims: Collection<ClaimRow>,
    /// The last number of each sequence.
    pub(super) sequences: Collection<SequenceRow>,
    /// States as of a version.
    pub(super) snapshots: Collection<SnapshotRow>,
}

/// A tenant.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct TenantRow {
    /// The tenant's name.
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// As in all collections.
    pub(super) tenant: String,
    /// The last position recorded.
    pub(super) position: Position,
    /// Commands accepted so far.
    pub(super) commands: u64,
    /// Whether appends are taken; absent until somebody has closed it.
    #[serde(default)]
    pub(super) gate: Gate,
}

/// An event.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct EventRow {
    tenant: String,
    position: Position,
    id: String,
    module: String,
    aggregate: String,
    subject: String,
    version: u64,
    name: String,
    at: u64,
    origin: Origin,
    /// Text, not a document: BSON would change some numbers.
    data: String,
}

/// An aggregate.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct AggregateRow {
    /// Tenant, module, aggregate, id.
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) module: String,
    pub(super) aggregate: String,
    pub(super) subject: String,
    /// Position of its first event.
    pub(super) first: Position,
    pub(super) version: u64,
}

/// A command, as the journal keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Entry {
    pub(super) tenant: String,
    /// Orders the journal.
    pub(super) key: u64,
    /// Its id.
    pub(super) command: String,
    fingerprint: Binary,
    name: String,
    pub(super) module: String,
    aggregate: String,
    subject: String,
    release: String,
    input: String,
    at: u64,
    origin: Origin,
}

/// An accepted command. Its events are those at positions above `before` up to `position`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct CommandRow {
    /// Tenant and command id.
    #[serde(rename = "_id")]
    pub(super) id: String,
    /// The batch that recorded it: tells a host whether a commit without an answer has happened.
    pub(super) batch: ObjectId,
    pub(super) before: Position,
    pub(super) position: Position,
    /// The target's version after it.
    pub(super) version: u64,
    /// Whether it recorded no events.
    pub(super) empty: bool,
    #[serde(flatten)]
    pub(super) entry: Entry,
}

/// A rejected command.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RejectionRow {
    pub(super) rejection: String,
    #[serde(flatten)]
    pub(super) entry: Entry,
}

/// A unique value and its holder.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct ClaimRow {
    /// Tenant, module, name, value.
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) tenant: String,
    /// The `_id` of the aggregate that holds it.
    pub(super) holder: String,
}

/// A sequence of numbers.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SequenceRow {
    /// Tenant, module, name.
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) last: u64,
}

/// A snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct SnapshotRow {
    /// Tenant, module, aggregate, id; and the version of the states.
    #[serde(rename = "_id")]
    pub(super) id: String,
    pub(super) tenant: String,
    pub(super) module: String,
    pub(super) version: u64,
    pub(super) state: String,
}

impl Collections {
    /// Names them in a database.
    pub(super) fn of(mongo: &MongoDatabase) -> Self {
        let database = mongo.database();
        Self {
            tenants: database.collection("eventTenants"),
            events: database.collection("events"),
            aggregates: database.collection("eventAggregates"),
            commands: database.collection("eventCommands"),
            rejections: database.collection("eventRejections"),
            claims: database.collection("eventClaims"),
            sequences: database.collection("eventSequences"),
            snapshots: database.collection("eventSnapshots"),
        }
    }

    /// Makes collections and indexes that are not there: a transaction on a sharded cluster cannot.
    pub(super) async fn make(&self, mongo: &MongoDatabase) -> Result<(), Failure> {
        for name in [self.tenants.name(), self.claims.name(), self.sequences.name()] {
            mongo.create(name).await?;
        }
        let of = doc! { "tenant": 1, "module": 1, "aggregate": 1, "subject": 1, "version": 1 };
        let events = [unique(doc! { "tenant": 1, "position": 1 }), unique(of)];
        mongo.run(self.events.create_indexes(events)).await?;
        let newest = IndexModel::builder().keys(doc! { "tenant": 1, "module": 1, "first": -1 });
        mongo.run(self.aggregates.create_index(newest.build())).await?;
        let shelf = IndexModel::builder().keys(doc! { "tenant": 1, "module": 1, "empty": 1, "key": -1 });
        let commands = [unique(doc! { "tenant": 1, "key": 1 }), shelf.build()];
        mongo.run(self.commands.create_indexes(commands)).await?;
        let shelf = IndexModel::builder().keys(doc! { "tenant": 1, "module": 1, "key": -1 });
        let rejections = [unique(doc! { "tenant": 1, "key": 1 }), shelf.build()];
        mongo.run(self.rejections.create_indexes(rejections)).await?;
        let of_module = IndexModel::builder().keys(doc! { "tenant": 1, "module": 1 });
        mongo.run(self.snapshots.create_index(of_module.build())).await?;
        Ok(())
    }
}

fn unique(keys: Document) -> IndexModel {
    let options = IndexOptions::builder().unique(true).build();
    IndexModel::builder().keys(keys).options(options).build()
}

/// The `_id` of an aggregate. Names of modules and aggregates have no slash.
pub(super) fn aggregate_id(tenant: &TenantId, of: &Subject) -> String {
    format!("{tenant}/{}/{}/{}", of.module, of.aggregate, of.id)
}

/// The `_id` of a command.
pub(super) fn command_id(tenant: &TenantId, id: &str) -> String {
    format!("{tenant}/{id}")
}

/// The `_id` of a unique value.
pub(super) fn claim_id(tenant: &TenantId, module: &str, claim: &Claim) -> String {
    format!("{tenant}/{module}/{}/{}", claim.name, claim.value)
}

/// The `_id` of a sequence.
pub(super) fn sequence_id(tenant: &TenantId, module: &str, sequence: &str) -> String {
    format!("{tenant}/{module}/{sequence}")
}

/// The `_id` of a snapshot.
pub(super) fn snapshot_id(tenant: &TenantId, of: &Subject, state_version: u32) -> String {
    format!("{}/{state_version}", aggregate_id(tenant, of))
}

/// Bits of a command's key that come from its tenant's name: tenants count for themselves, and still the keys of one
/// give nothing of another.
const TENANT_BITS: u32 = 23;

/// The journal's key of a tenant's command number `count`.
pub(super) fn command_key(tenant: &TenantId, count: u64) -> u64 {
    let salt = Sha256::digest(tenant.as_str());
    let salt = salt
        .iter()
        .take(3)
        .fold(0, |salt, byte| (salt << 8) | u64::from(*byte));
    (count << TENANT_BITS) | (salt >> (24 - TENANT_BITS))
}

/// A number as BSON has it.
pub(super) fn number(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|error| StoreError::Failed(error.to_string()))
}

impl EventRow {
    /// As it is recorded.
    pub(super) fn of(tenant: &TenantId, event: &Recorded) -> Self {
        Self {
            tenant: tenant.to_string(),
            position: event.position,
            id: event.id.clone(),
            module: event.of.module.clone(),
            aggregate: event.of.aggregate.clone(),
            subject: event.of.id.clone(),
            version: event.version,
            name: event.name.clone(),
            at: event.recorded_at,
            origin: Origin::clone(&event.origin),
            data: event.data.to_string(),
        }
    }

    /// As it was recorded.
    pub(super) fn into_recorded(self) -> Recorded {
        Recorded {
            position: self.position,
            id: self.id,
            of: Subject {
                module: self.module,
                aggregate: self.aggregate,
                id: self.subject,
            },
            version: self.version,
            name: self.name,
            recorded_at: self.at,
            origin: Arc::new(self.origin),
            data: Arc::from(self.data),
        }
    }
}

impl Entry {
    /// As it is kept.
    pub(super) fn of(tenant: &TenantId, key: u64, command: &Journalled, origin: &Origin) -> Self {
        Self {
            tenant: tenant.to_string(),
            key,
            command: command.id.clone(),
            fingerprint: Binary {
                subtype: BinarySubtype::Generic,
                bytes: command.fingerprint.to_vec(),
            },
            name: command.name.clone(),
            module: command.target.module.clone(),
            aggregate: command.target.aggregate.clone(),
            subject: command.target.id.clone(),
            release: command.release.to_string(),
            input: command.input.to_string(),
            at: command.decided_at,
            origin: origin.clone(),
        }
    }

    /// What makes two requests the same.
    pub(super) fn fingerprint(&self) -> Result<[u8; 32], StoreError> {
        let bytes = self.fingerprint.bytes.as_slice();
        bytes.try_into().map_err(|_| {
            let (command, length) = (&self.command, bytes.len());
            StoreError::Failed(format!("command {command:?} has a fingerprint of {length} bytes"))
        })
    }

    /// As it was kept.
    pub(super) fn into_journalled(self) -> Result<(Journalled, Arc<Origin>), StoreError> {
        let command = Journalled {
            fingerprint: self.fingerprint()?,
            id: self.command,
            name: self.name,
            target: Subject {
                module: self.module,
                aggregate: self.aggregate,
                id: self.subject,
            },
            release: Arc::from(self.release),
            input: Arc::from(self.input),
            decided_at: self.at,
        };
        Ok((command, Arc::new(self.origin)))
    }
}

impl CommandRow {
    /// As it is kept: the tenant's command number `key`, which led to `appended`.
    pub(super) fn of(append: &Append, key: u64, batch: ObjectId, appended: &Appended) -> Self {
        Self {
            id: command_id(&append.tenant, &append.command.id),
            batch,
            before: appended.position - appended.events.len() as u64,
            position: appended.position,
            version: appended.version,
            empty: appended.events.is_empty(),
            entry: Entry::of(&append.tenant, key, &append.command, &append.origin),
        }
    }

    /// What came of it, with its events.
    pub(super) fn appended(&self, events: Vec<Recorded>) -> Appended {
        Appended {
            events,
            version: self.version,
            position: self.position,
            replayed: true,
        }
    }
}
