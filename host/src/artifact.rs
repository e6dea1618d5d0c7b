//! Releases on their way from and to other registries.
//!
//! Bytes come and go here, nothing else: what comes is published like any upload, with all that is checked then.

pub mod oci;

use serde::Deserialize;

/// A place in another registry.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Place {
    /// `host:port/repository:tag` or `host/repository@sha256:...`, also with `oci://` before it.
    pub reference: String,
    /// Whether it may be reached without TLS. A registry on this machine always is.
    #[serde(default)]
    pub plain_http: bool,
    /// Who asks there; nobody when absent.
    pub username: Option<String>,
    /// Of the user.
    pub password: Option<String>,
}

/// Why a release could not be taken from or to another registry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArtifactError {
    /// The reference is not understood; says why.
    #[error("{0}")]
    Malformed(String),
    /// Nobody answers there, or not in time.
    #[error("{registry} does not answer: {detail}")]
    Unreachable {
        /// Host and port.
        registry: String,
        /// What happened.
        detail: String,
    },
    /// The registry refuses this user, or nobody in particular.
    #[error("{registry} does not allow it: {detail}")]
    Denied {
        /// Host and port.
        registry: String,
        /// What it said.
        detail: String,
    },
    /// The registry has nothing under this reference.
    #[error("{0} is not there")]
    NotFound(String),
    /// There is something else under this reference; says what.
    #[error("{reference} is no component: {detail}")]
    NotComponent {
        /// What was asked for.
        reference: String,
        /// What is there.
        detail: String,
    },
    /// Larger than a release may be.
    #[error("{reference} is larger than {bytes_max} bytes")]
    TooLarge {
        /// What was asked for.
        reference: String,
        /// The limit.
        bytes_max: usize,
    },
    /// The registry answers, but not as registries do.
    #[error("{registry} fails: {detail}")]
    Failed {
        /// Host and port.
        registry: String,
        /// What happened.
        detail: String,
    },
}

impl ArtifactError {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "reference-malformed",
            Self::Unreachable { .. } => "registry-unreachable",
            Self::Denied { .. } => "registry-denied",
            Self::NotFound(_) => "artifact-not-found",
            Self::NotComponent { .. } => "artifact-not-a-component",
            Self::TooLarge { .. } => "artifact-too-large",
            Self::Failed { .. } => "registry-failed",
        }
    }
}
