//! Queries: questions that need computing, over the module's own documents.

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::aggregate::{Origin, read};
use crate::bindings::lifecycle::millwork::module::types;
use crate::blobs;
use crate::documents;
use crate::rejection::Rejection;
use crate::search;
use crate::timestamp::Timestamp;

/// A question with typed parameters. May read through [`documents`], never write.
pub trait Query {
    /// As in the manifest.
    const NAME: &'static str;
    /// Valid against the query's schema.
    type Params: DeserializeOwned;
    /// What the caller gets, as JSON.
    type Answer: Serialize;

    /// Computes the answer.
    ///
    /// # Errors
    /// [`QueryError::Rejected`] goes to the caller; after the others the host answers that it failed.
    fn answer(params: Self::Params, ctx: &QueryContext) -> Result<Self::Answer, QueryError>;
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The caller asked for what cannot be had.
    #[error("{0:?}")]
    Rejected(Rejection),
    /// The documents could not be read.
    #[error(transparent)]
    Documents(#[from] documents::Error),
    /// An index could not be searched.
    #[error(transparent)]
    Search(#[from] search::Error),
    /// A blob could not be read, or no link be made.
    #[error(transparent)]
    Blobs(#[from] blobs::Error),
}

impl From<Rejection> for QueryError {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

/// What a query knows beside its parameters.
#[derive(Debug, Clone)]
pub struct QueryContext(pub(crate) types::Context);

impl QueryContext {
    /// Time of the question.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now)
    }

    /// Who asks.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The tenant's configuration of this module. Traps when it does not fit the type.
    #[must_use]
    pub fn config<T: DeserializeOwned>(&self) -> T {
        read("configuration", &self.0.config)
    }
}
