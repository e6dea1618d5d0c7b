//! What can go wrong with a request, by what the caller can do about it.
//!
//! Three channels: a [`Rejection`] (the business says no), an error of the world (try again later), a trap (a bug in a
//! component). [`crate::http`] alone turns these into HTTP.

use millwork_registry::id::TenantId;

use crate::capability::documents::DocumentError;
use crate::engine::CallError;
use crate::event_store::{Claim, StoreError};

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
    /// The world failed: try again later.
    #[error("unavailable: {0}")]
    Unavailable(String),
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
