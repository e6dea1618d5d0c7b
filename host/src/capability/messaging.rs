//! Words between components: published events, commands, questions, and what becomes of those that nobody takes.
//!
//! [`Outlet`] is what a call may say, after its permissions were checked; the host above answers it. [`Bus`] is what
//! carries the words: durable where something was accepted. Every subject belongs to one tenant, which the host names.

pub mod bus;
pub mod component;
pub mod sqlite;
pub mod nats;
pub mod announce;

use std::sync::Arc;

use async_trait::async_trait;

pub use self::bus::{Bus, BusError};

/// Longest key of a message, in bytes.
pub const KEY_BYTES_MAX: usize = 128;
/// Longest data of a message, in bytes of JSON text.
pub const DATA_BYTES_MAX: usize = 1 << 20;
/// How many questions may lead to each other: a cycle of components ends here.
pub const DEPTH_MAX: u8 = 8;

/// Who speaks, and why.
#[derive(Debug, Clone)]
pub struct Speaker {
    /// The component's name.
    pub component: Arc<str>,
    /// Subject of the credential that it all began with.
    pub user: String,
    /// The same for all that one request causes.
    pub correlation_id: String,
    /// The event or command that led directly to this.
    pub causation_id: String,
    /// How many questions led here.
    pub depth: u8,
}

/// A command for a module of the same tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    /// Unique among the commands of the speaker.
    pub key: String,
    /// The module.
    pub module: String,
    /// The command.
    pub name: String,
    /// The aggregate's id.
    pub target: Option<String>,
    /// A JSON object.
    pub data: String,
}

/// Why something was not said or not heard.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SayError {
    /// It is not understood, or does not fit.
    #[error("{0}")]
    Malformed(String),
    /// Try again later.
    #[error("unavailable: {0}")]
    Unavailable(String),
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    Timeout,
    /// The other side failed at it: a bug over there, perhaps gone next time.
    #[error("{code}: {why}")]
    Failed {
        /// Stable, for programs.
        code: String,
        /// Why, in a sentence.
        why: String,
    },
    /// The other side said no: code and sentence.
    #[error("{0}")]
    Rejected(String),
}

impl SayError {
    /// Stable, for programs.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Malformed(_) => "message-malformed",
            Self::Unavailable(_) => "unavailable",
            Self::Timeout => "no-answer",
            Self::Failed { code, .. } => code,
            // The other side's own code stands first.
            Self::Rejected(told) => told.split_once(": ").map_or("message-rejected", |(code, _)| code),
        }
    }
}

/// What the host does with the words of one tenant's components. The speaker may say them: that was checked.
#[async_trait]
pub trait Outlet: Send + Sync + 'static {
    /// Publishes an event; the same key of the same speaker is published once. Durable when it returns.
    ///
    /// # Errors
    /// [`SayError`].
    async fn publish(&self, speaker: &Speaker, event: &str, key: &str, data: String) -> Result<(), SayError>;

    /// Accepts a command. Durable when it returns.
    ///
    /// # Errors
    /// [`SayError`].
    async fn send(&self, speaker: &Speaker, command: Outgoing) -> Result<(), SayError>;

    /// Executes a command and gives the version of its target.
    ///
    /// # Errors
    /// [`SayError`].
    async fn execute(&self, speaker: &Speaker, command: Outgoing) -> Result<u64, SayError>;

    /// The answer of a query or view of another module, as JSON text.
    ///
    /// # Errors
    /// [`SayError`].
    async fn ask(
        &self,
        speaker: &Speaker,
        module: &str,
        query: &str,
        params: String,
    ) -> Result<String, SayError>;
}
