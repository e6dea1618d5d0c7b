//! What can go wrong with a request, by what the caller can do about it.
//!
//! Three channels: a [`Rejection`] (the business says no), an error of the world (try again later), a trap (a bug in a
//! component). [`crate::http`] alone turns these into HTTP.

use std::time::Duration;

use millwork_registry::Error as Refusal;
use millwork_registry::id::TenantId;

use crate::artifact::ArtifactError;
use crate::capability::documents::DocumentError;
use crate::engine::CallError;
use crate::event_store::{Claim, StoreError};
use crate::migrate::ArchiveError;

/// One rule broken by one place of a body.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Violation {
    /// JSON Pointer (RFC 6901).
    pub pointer: String,
    /// Stable, for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

/// Why not.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Reason {
    /// Stable, for programs.
    pub code: String,
    /// One sentence for people.
    pub message: String,
}

/// The business says no.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(tag = "kind", content = "reason", rename_all = "kebab-case")]
pub enum Rejection {
    /// The body breaks rules that no schema can state.
    Invalid(Vec<Violation>),
    /// What the command names does not exist.
    NotFound(Reason),
    /// The state or a fact forbids it now.
    Conflict(Reason),
    /// This user may not.
    Forbidden(Reason),
}

/// Why a request did nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A component rejected the command.
    #[error("rejected: {0:?}")]
    Rejected(Rejection),
    /// The body does not fit the schema.
    #[error("the body does not fit its schema")]
    Schema(Vec<Violation>),
    /// A part of the request is not understood; says which and why.
    #[error("{0}")]
    Malformed(String),
    /// What the request names does not exist.
    #[error("{what} {id:?} does not exist")]
    NotFound {
        /// What kind of thing.
        what: String,
        /// Its id.
        id: String,
    },
    /// What the request would make is there already.
    #[error("{what} {id:?} already exists")]
    Exists {
        /// What kind of thing.
        what: String,
        /// Its id.
        id: String,
    },
    /// `If-Match` named another version.
    #[error("it is at version {actual}, not {expected}")]
    VersionMismatch {
        /// The version asked for.
        expected: u64,
        /// The version it has.
        actual: u64,
    },
    /// Another aggregate holds a value that must be unique.
    #[error("{} {:?} is already taken", .0.name, .0.value)]
    ClaimTaken(Claim),
    /// The idempotency key was used for another request.
    #[error("idempotency key {0:?} was used before for another request")]
    KeyReused(String),
    /// Others changed the same aggregates so often that the bound of attempts was reached: try again.
    #[error("too many concurrent changes, gave up after {0} attempts")]
    Contention(u32),
    /// The projection has not come as far as `?after=` asks, in the time given: try again.
    #[error("the read model is at position {at}, behind {after}")]
    Behind {
        /// The position asked for.
        after: u64,
        /// The position reached.
        at: u64,
    },
    /// No or no valid credential.
    #[error("{0}")]
    Unauthenticated(&'static str),
    /// The credential does not allow it.
    #[error("permission {0:?} is needed")]
    Forbidden(String),
    /// The tenant is not known to this host.
    #[error("tenant {0} does not exist")]
    NoTenant(TenantId),
    /// A component did what it must not, or trapped.
    #[error("component {component}: {source}")]
    Component {
        /// Name and version.
        component: std::sync::Arc<str>,
        /// What happened.
        #[source]
        source: CallError,
    },
    /// A decision breaks the contract: a bug in the component; says how.
    #[error("component {component} broke its contract: {detail}")]
    Contract {
        /// Name and version.
        component: std::sync::Arc<str>,
        /// What it did.
        detail: String,
    },
    /// The registry refuses.
    #[error(transparent)]
    Registry(#[from] millwork_registry::Error),
    /// A release could not be taken from or to another registry.
    #[error(transparent)]
    Artifact(#[from] ArtifactError),
    /// A release cannot be loaded; says why.
    #[error("release {release} cannot be loaded: {detail}")]
    Load {
        /// Name and version.
        release: String,
        /// Why.
        detail: String,
    },
    /// A lifecycle function of a component said no.
    #[error("{release} does not start: {}", reason.message)]
    Activation {
        /// Name and version.
        release: String,
        /// What it said.
        reason: Reason,
    },
    /// The module is enabled but did not load: an operator mends or replaces it; says which and why.
    #[error("module {0}")]
    ModuleBroken(String),
    /// The module failed too often in a row and is left alone for a while.
    #[error("{release} fails at every call and is quarantined for another {} s", left.as_secs() + 1)]
    Quarantined {
        /// Name and version.
        release: String,
        /// How long yet.
        left: Duration,
    },
    /// Another change of the same tenant is under way: wait for it or cancel it.
    #[error("swap {number} of tenant {tenant} is under way; wait for it, or cancel it")]
    SwapUnderWay {
        /// The tenant.
        tenant: TenantId,
        /// Which one.
        number: u64,
    },
    /// The swap is not, or no more, where it could be told this.
    #[error("swap {number} is {stage} and cannot be {wanted}")]
    SwapStage {
        /// Which one.
        number: u64,
        /// Where it is.
        stage: String,
        /// What it was told.
        wanted: &'static str,
    },
    /// The candidate does otherwise than what serves, in a way that the policy bars; says what, with examples.
    #[error("{0}")]
    Diverges(String),
    /// What serves could not read what the candidate writes, and nobody has said that this is wanted.
    #[error("{0}; ask again with oneWay to accept that there is no way back")]
    OneWay(String),
    /// A canary found the candidate wanting; says why.
    #[error("the canary was ended: {0}")]
    CanaryFailed(String),
    /// Somebody took the swap back.
    #[error("swap {number} was cancelled by {by}")]
    SwapCancelled {
        /// Which one.
        number: u64,
        /// Who.
        by: String,
    },
    /// A dead letter was tried again and could not be delivered; it stays.
    #[error("{addressee} does not take it: {why}")]
    NotDelivered {
        /// The subscription.
        addressee: String,
        /// Why, in its own words.
        why: String,
    },
    /// A read model comes out otherwise the second time, so it does not take the place of the old one: a bug in the
    /// component; says where.
    #[error("{0}")]
    NotRepeatable(String),
    /// The tenant is on its way to another place: ask again later, here or there.
    #[error("tenant {0} is moving; it can be read, and takes no changes until it has arrived")]
    Moving(TenantId),
    /// Only a tenant that is closed is removed; says how it comes to be.
    #[error("tenant {0} is open, and only a closed one is removed: `millwork tenant freeze {0}` closes it")]
    NotFrozen(TenantId),
    /// The tenant is just being made or removed, perhaps at another host: ask again.
    #[error("tenant {0} is just being made or removed; ask again")]
    Busy(TenantId),
    /// In a cluster, what only the tenant's home can do, while that host is not known or not reached.
    #[error("the host that works for tenant {0} is not reached at this moment; ask again")]
    Homeless(TenantId),
    /// An archive of a tenant is not taken.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// The world failed: try again later.
    #[error("unavailable: {0}")]
    Unavailable(String),
}

impl Error {
    /// Whether a server was not reached, so that the same may go well later.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        matches!(
            self,
            Self::Unavailable(_) | Self::Registry(Refusal::Unavailable(_))
        )
    }

    /// What people of a tenant may be told: without paths on the host's disks, which the log has.
    #[must_use]
    pub fn told(&self) -> String {
        match self {
            Self::Registry(Refusal::Damaged { .. }) => "a record of the registry is damaged".to_owned(),
            Self::Registry(Refusal::Io { .. } | Refusal::Unavailable(_)) | Self::Unavailable(_) => {
                "something that the host needs does not answer".to_owned()
            }
            other => other.to_string(),
        }
    }

    /// Stable, for programs: what problem documents and journals carry.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Rejected(
                Rejection::NotFound(reason) | Rejection::Conflict(reason) | Rejection::Forbidden(reason),
            ) => &reason.code,
            Self::Rejected(Rejection::Invalid(_)) => "invalid",
            Self::Schema(_) => "schema",
            Self::Malformed(_) => "malformed",
            Self::NotFound { .. } => "not-found",
            Self::Exists { .. } => "exists",
            Self::VersionMismatch { .. } => "version-mismatch",
            Self::ClaimTaken(_) => "claim-taken",
            Self::KeyReused(_) => "idempotency-key-reused",
            Self::Contention(_) => "contention",
            Self::Behind { .. } => "read-model-behind",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::Forbidden(_) => "forbidden",
            Self::NoTenant(_) => "no-tenant",
            Self::Component { source, .. } => source.code(),
            Self::Contract { .. } => "component-contract",
            Self::Registry(refusal) => refusal.code(),
            Self::Artifact(failure) => failure.code(),
            Self::Load { .. } => "release-unusable",
            Self::Activation { reason, .. } => &reason.code,
            Self::NotDelivered { .. } => "not-delivered",
            Self::NotRepeatable(_) => "read-model-not-repeatable",
            Self::ModuleBroken(_) => "module-broken",
            Self::Quarantined { .. } => "module-quarantined",
            Self::SwapUnderWay { .. } => "swap-under-way",
            Self::SwapStage { .. } => "swap-stage",
            Self::Diverges(_) => "replay-diverges",
            Self::OneWay(_) => "one-way",
            Self::CanaryFailed(_) => "canary-failed",
            Self::SwapCancelled { .. } => "swap-cancelled",
            Self::Moving(_) => "tenant-moving",
            Self::NotFrozen(_) => "tenant-not-frozen",
            Self::Busy(_) => "tenant-busy",
            Self::Homeless(_) => "tenant-homeless",
            Self::Archive(refusal) => refusal.code(),
            Self::Unavailable(_) => "unavailable",
        }
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::Unavailable(error.to_string())
    }
}

impl From<DocumentError> for Error {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Malformed(text) | DocumentError::TooLarge(text) => Self::Malformed(text),
            DocumentError::Failed(text) => Self::Unavailable(text),
        }
    }
}
