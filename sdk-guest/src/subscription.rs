//! Subscriptions: what a component does when something has happened.

use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::aggregate::{Origin, read};
use crate::bindings::lifecycle::millwork::module::types;
use crate::bindings::subscriptions::exports::millwork::module::subscriptions as wit;
use crate::blobs;
use crate::documents;
use crate::messaging;
use crate::projection::Recorded;
use crate::timestamp::Timestamp;

/// Reacts to events with effects, through [`messaging`] and the other capabilities.
///
/// At least once per event: [`Recorded::id`] is the key to be idempotent by.
pub trait Subscription {
    /// As in the manifest.
    const NAME: &'static str;

    /// Takes one event.
    ///
    /// # Errors
    /// [`NotHandled`] says whether it comes again or becomes a dead letter.
    fn handle(event: &Recorded, ctx: &SubscriptionContext) -> Result<(), NotHandled>;
}

/// Why an event has not had its effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotHandled {
    /// The world failed: the event comes again.
    Retry {
        /// Stable, for programs.
        code: String,
        /// One sentence for people.
        message: String,
        /// How long to wait; nothing: as the manifest's backoff says.
        after: Option<Duration>,
    },
    /// It can never have its effect: a dead letter.
    Reject {
        /// Stable, for programs.
        code: String,
        /// One sentence for people.
        message: String,
    },
}

impl NotHandled {
    /// The event comes again, as the manifest's backoff says.
    #[must_use]
    pub fn retry(code: &str, message: impl Into<String>) -> Self {
        Self::Retry {
            code: code.to_owned(),
            message: message.into(),
            after: None,
        }
    }

    /// The event becomes a dead letter.
    #[must_use]
    pub fn reject(code: &str, message: impl Into<String>) -> Self {
        Self::Reject {
            code: code.to_owned(),
            message: message.into(),
        }
    }
}

impl From<messaging::Error> for NotHandled {
    fn from(error: messaging::Error) -> Self {
        let message = error.to_string();
        match error {
            messaging::Error::Unavailable | messaging::Error::Timeout => {
                Self::retry("messaging-unavailable", message)
            }
            messaging::Error::Rejected(_) => Self::reject("message-rejected", message),
            _ => Self::reject("message-refused", message),
        }
    }
}

impl From<blobs::Error> for NotHandled {
    fn from(error: blobs::Error) -> Self {
        let message = error.to_string();
        match error {
            blobs::Error::Unavailable => Self::retry("blobs-unavailable", message),
            _ => Self::reject("blobs-refused", message),
        }
    }
}

impl From<documents::Error> for NotHandled {
    fn from(error: documents::Error) -> Self {
        Self::retry("documents-failed", error.to_string())
    }
}

impl From<NotHandled> for wit::Outcome {
    fn from(not_handled: NotHandled) -> Self {
        match not_handled {
            NotHandled::Retry { code, message, after } => Self::Retry(wit::Delay {
                reason: types::Reason { code, message },
                after_ms: after.map(|after| u32::try_from(after.as_millis()).unwrap_or(u32::MAX)),
            }),
            NotHandled::Reject { code, message } => Self::Reject(types::Reason { code, message }),
        }
    }
}

/// What a subscription knows beside the event.
#[derive(Debug, Clone)]
pub struct SubscriptionContext(pub(crate) types::Context);

impl SubscriptionContext {
    /// Time of this attempt.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now)
    }

    /// Who caused the event; the event is the cause of what is done now.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The tenant's configuration of this component. Traps when it does not fit the type.
    #[must_use]
    pub fn config<T: DeserializeOwned>(&self) -> T {
        read("configuration", &self.0.config)
    }
}
