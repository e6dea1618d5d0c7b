//! What carries messages: published events, a work queue of commands, questions, dead letters, and how far readers are.
//!
//! Promises of every backend: what was accepted is durable; the same id is accepted once within the backend's memory of
//! ids; a queue that is full refuses; a command taken and not settled comes again; nobody reads another tenant's.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use millwork_registry::id::TenantId;
use serde::{Deserialize, Serialize};
use tokio::sync::{mpsc, oneshot, watch};

/// Why a bus did nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The queue has as much as it may hold: try again later.
    #[error("the queue is full")]
    Full,
    /// Nobody answered in time.
    #[error("nobody answered in time")]
    Timeout,
    /// The bus cannot be reached or has failed.
    #[error("bus: {0}")]
    Failed(String),
}

/// Something to be carried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The same id is accepted once.
    pub id: String,
    /// What it is about, in tokens with dots between them; the backend puts kind and tenant before it.
    pub subject: String,
    /// JSON text.
    pub payload: Bytes,
}

/// A published event, or a command that waits, at its place among the tenant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Grows; may have gaps.
    pub position: u64,
    /// As it was accepted.
    pub message: Message,
}

/// A command that was taken to be executed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// As it was accepted.
    pub message: Message,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What the backend knows it by until it is settled.
    pub receipt: String,
}

/// Something that nobody could take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Letter {
    /// Whose it was: `greeter.Welcome` for a subscription, the module for a command.
    pub addressee: String,
    /// Whether it is an event for a subscription or a command.
    pub kind: LetterKind,
    /// The event's or command's name.
    pub name: String,
    /// The event's or message's id.
    pub id: String,
    /// Stable, for programs.
    pub code: String,
    /// Why, in a sentence.
    pub reason: String,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was given up, in milliseconds since 1970.
    pub buried_at: u64,
    /// All that is needed to try again.
    pub content: serde_json::Value,
}

/// What a dead letter was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LetterKind {
    /// An event for a subscription.
    Event,
    /// A command that was sent.
    Command,
}

/// A question that waits for its answer. Dropped, it is not answered.
#[derive(Debug)]
pub struct Question {
    /// What is asked.
    pub payload: Bytes,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Bytes>,
}

/// See the module.
#[async_trait]
pub trait Bus: Send + Sync + 'static {
    /// Publishes events in order. What was published before under the same id is passed over.
    ///
    /// # Errors
    /// [`BusError`]; some of them may have been published then.
    async fn publish(&self, tenant: &TenantId, events: &[Message]) -> Result<(), BusError>;

    /// Events of a tenant whose subjects begin with the token `first`, at positions above `after`, in order, at most
    /// `limit`.
    ///
    /// # Errors
    /// [`BusError`].
    async fn published(
        &self,
        tenant: &TenantId,
        first: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Published>, BusError>;

    /// The position of the last event of a tenant, 0 when there is none.
    ///
    /// # Errors
    /// [`BusError`].
    async fn last_published(&self, tenant: &TenantId) -> Result<u64, BusError>;

    /// Changes whenever something may have been published for a tenant or sent to it.
    ///
    /// # Errors
    /// [`BusError`].
    async fn news(&self, tenant: &TenantId) -> Result<watch::Receiver<u64>, BusError>;

    /// Accepts a command into the tenant's queue.
    ///
    /// # Errors
    /// [`BusError::Full`] when it holds as much as it may.
    async fn enqueue(&self, tenant: &TenantId, command: &Message) -> Result<(), BusError>;

    /// Commands of a tenant's queue that are not settled, due or not, at places above `after`, in order, at most `limit`.
    /// They stay there.
    ///
    /// # Errors
    /// [`BusError`].
    async fn queued(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Published>, BusError>;

    /// Takes up to `limit` commands that are due, waiting for the first at most `wait`. One that is not settled within
    /// the backend's bound comes again.
    ///
    /// # Errors
    /// [`BusError`].
    async fn take(&self, tenant: &TenantId, limit: u32, wait: Duration) -> Result<Vec<Taken>, BusError>;

    /// Says that a command was executed or buried: it does not come again.
    ///
    /// # Errors
    /// [`BusError`]; it comes again then.
    async fn settle(&self, tenant: &TenantId, taken: &Taken) -> Result<(), BusError>;

    /// Gives a command back, to come again after `wait`.
    ///
    /// # Errors
    /// [`BusError`]; it comes again all the same.
    async fn give_back(&self, tenant: &TenantId, taken: &Taken, wait: Duration) -> Result<(), BusError>;

    /// How far a reader of a tenant has come, if it was kept.
    ///
    /// # Errors
    /// [`BusError`].
    async fn checkpoint(&self, tenant: &TenantId, reader: &str) -> Result<Option<u64>, BusError>;

    /// Keeps how far a reader has come.
    ///
    /// # Errors
    /// [`BusError`].
    async fn keep_checkpoint(&self, tenant: &TenantId, reader: &str, position: u64) -> Result<(), BusError>;

    /// Keeps a dead letter; gives its number.
    ///
    /// # Errors
    /// [`BusError`].
    async fn bury(&self, tenant: &TenantId, letter: &Letter) -> Result<u64, BusError>;

    /// Dead letters with numbers above `after`, in order, at most `limit`.
    ///
    /// # Errors
    /// [`BusError`].
    async fn letters(
        &self,
        tenant: &TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Letter)>, BusError>;

    /// Forgets a dead letter; false when there is none with this number.
    ///
    /// # Errors
    /// [`BusError`].
    async fn discard(&self, tenant: &TenantId, number: u64) -> Result<bool, BusError>;

    /// Removes all that a tenant has here: events, commands, checkpoints and dead letters.
    ///
    /// # Errors
    /// [`BusError`]; some of it may be left then.
    async fn forget(&self, tenant: &TenantId) -> Result<(), BusError>;

    /// A tenant of this id begins on this host: what is remembered here of one before is no longer so, and an id that was
    /// accepted in another life is not known in this.
    fn begin(&self, tenant: &TenantId, life: Option<&str>);

    /// Asks whoever answers to `subject`, once.
    ///
    /// # Errors
    /// [`BusError::Timeout`] when nobody does within `limit`.
    async fn ask(
        &self,
        tenant: &TenantId,
        subject: &str,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, BusError>;

    /// Answers to `subject` from now on, until the receiver is dropped. Of several who do, one gets each question.
    ///
    /// # Errors
    /// [`BusError`].
    async fn answer(&self, tenant: &TenantId, subject: &str) -> Result<mpsc::Receiver<Question>, BusError>;
}
