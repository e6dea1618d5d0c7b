//! What lets a tenant move to another store: all it has as of one position, read page by page, and put down elsewhere.
//!
//! Events and accepted commands never change, so that they can be read at leisure up to the position that [`Mark`] names;
//! claims and sequences change, so that they are read in the one moment that the mark is taken. Events and commands are
//! put down by [`super::EventStore::append`], which gives them the positions that they had.

use std::sync::Arc;

use async_trait::async_trait;
use millwork_registry::id::TenantId;
use serde::{Deserialize, Serialize};

use super::{AppendError, Journalled, Origin, Position, StoreError, Subject};

/// Whether a store takes appends of a tenant.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Gate {
    /// It does.
    #[default]
    Open,
    /// It refuses them: the tenant is moving. Outcomes of earlier commands are still given.
    Closed,
    /// It takes those of whoever brings the tenant here; the tenant is not whole until the gate is open.
    Arriving,
    /// It refuses them: the tenant is not here any more, or what is left of it is being removed. It stays so until another
    /// of its id is made or arrives, so that a host which has not heard of it yet records nothing that nobody would find.
    Gone,
}

impl Gate {
    /// Whether appends are taken.
    ///
    /// # Errors
    /// [`AppendError::Closed`] and [`AppendError::Gone`].
    pub fn check(self, tenant: &TenantId) -> Result<(), AppendError> {
        match self {
            Self::Open | Self::Arriving => Ok(()),
            Self::Closed => Err(AppendError::Closed(tenant.clone())),
            Self::Gone => Err(AppendError::Gone(tenant.clone())),
        }
    }
}

/// What a tenant holds besides events, as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holding {
    /// A unique value and who holds it.
    Claim {
        /// The holder; its module is the claim's.
        holder: Subject,
        /// As the manifest declares it.
        name: String,
        /// The value.
        value: String,
    },
    /// A sequence.
    Sequence {
        /// Whose.
        module: String,
        /// With its period filled in.
        name: String,
        /// The last number given.
        last: u64,
    },
}

/// How far a tenant had come at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Mark {
    /// Its last position.
    pub position: Position,
    /// The store's key of its last accepted command; 0 before the first.
    pub command: u64,
    /// The store's key of its last rejected command; 0 before the first.
    pub rejection: u64,
}

/// An accepted command. Its events are those at positions above `before` up to `position`.
#[derive(Debug, Clone)]
pub struct Accepted {
    /// The store's key; orders them.
    pub key: u64,
    /// The command and its input.
    pub command: Journalled,
    /// Who caused it.
    pub origin: Arc<Origin>,
    /// The last position before it.
    pub before: Position,
    /// The last position after it.
    pub position: Position,
    /// The target's version after it.
    pub version: u64,
}

/// A rejected command.
#[derive(Debug, Clone)]
pub struct Rejected {
    /// The store's key; orders them.
    pub key: u64,
    /// The command and its input.
    pub command: Journalled,
    /// Who caused it.
    pub origin: Arc<Origin>,
    /// JSON text.
    pub rejection: String,
}

/// Takes what is read, one by one; what it fails with ends the reading.
pub type Each<'a> = &'a mut (dyn FnMut(Holding) -> Result<(), StoreError> + Send);

/// See the module. Every event store is one.
#[async_trait]
pub trait Portable: Send + Sync + 'static {
    /// Whether appends of a tenant are taken.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn gate(&self, tenant: &TenantId) -> Result<Gate, StoreError>;

    /// Opens or closes a tenant, durably and for all hosts. When it is closed, what was acknowledged before is there, and
    /// nothing comes after it.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn set_gate(&self, tenant: &TenantId, gate: Gate) -> Result<(), StoreError>;

    /// How far a tenant has come, and all it holds at that very moment: claims ordered by `module/name/value`, then
    /// sequences ordered by `module/name`, in the order of their bytes. Appends go on meanwhile.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails, or what `each` fails with.
    async fn mark(&self, tenant: &TenantId, each: Each<'_>) -> Result<Mark, StoreError>;

    /// Accepted commands with keys above `after` up to `through`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn accepted(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Accepted>, StoreError>;

    /// Rejected commands with keys above `after` up to `through`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails.
    async fn rejected(
        &self,
        tenant: &TenantId,
        after: u64,
        through: u64,
        limit: u32,
    ) -> Result<Vec<Rejected>, StoreError>;

    /// Puts down what a tenant holds, which must not hold it yet. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; some of it may be there then.
    async fn restore_holdings(&self, tenant: &TenantId, holdings: Vec<Holding>) -> Result<(), StoreError>;

    /// Puts down rejected commands, in order; their keys are given anew. Durable when it returns.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails; some of it may be there then.
    async fn restore_rejected(&self, tenant: &TenantId, rejected: Vec<Rejected>) -> Result<(), StoreError>;

    /// Removes all that a tenant has here, behind [`Gate::Gone`], and gives how many events that were; for a tenant that no
    /// host serves. It ends when somebody sets another gate.
    ///
    /// # Errors
    /// [`StoreError`] when the store fails, or another gate was set; some of it may be left then.
    async fn forget(&self, tenant: &TenantId) -> Result<u64, StoreError>;

    /// A tenant of this id begins on this host: what is remembered here of one before is no longer so.
    fn begin(&self, tenant: &TenantId);
}

/// What a tenant had is not removed any further: somebody has come to have its id.
pub(super) fn disturbed(tenant: &TenantId) -> StoreError {
    StoreError::Failed(format!("tenant {tenant} is here again while it is removed"))
}
