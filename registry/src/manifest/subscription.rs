//! Which events a component reacts to, and how often it is tried.

use serde::{Deserialize, Serialize};

use super::QualifiedName;

/// A reaction to events with effects. At least once per event; what cannot be handled becomes a dead letter.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Subscription {
    /// Own events (`InvoiceCreated`), other modules' (`client.ClientUpdated`) and those that other components publish
    /// (`plugin.<name>.<Event>`); all but the own need the permission.
    pub events: Vec<String>,
    /// Attempts before an event becomes a dead letter, 1 to 100.
    #[serde(default = "attempts")]
    pub attempts: u32,
    /// The wait before the second attempt, in milliseconds, 10 to 3,600,000; each further one is twice as long, up to an
    /// hour.
    #[serde(default = "backoff_ms")]
    pub backoff_ms: u32,
}

fn attempts() -> u32 {
    8
}

fn backoff_ms() -> u32 {
    1_000
}

/// An event that a component publishes, as subscribers write it.
#[must_use]
pub fn published_event(text: &str) -> Option<QualifiedName> {
    QualifiedName::parse(text.strip_prefix("plugin.")?)
}
