//! Commands that components have sent: taken from the tenant's queue, executed, settled.
//!
//! Each is executed at least once, and once in effect: the command's id is made from its sender and its key. While the
//! world fails a command comes again; what the module refuses, or fails at too often, becomes a dead letter.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::watch;

use super::Deliverer;
use crate::capability::messaging::bus::{BusError, Letter, LetterKind, Message, Taken};
use crate::capability::messaging::{Outgoing, Outlet, SayError, Speaker};
use crate::capability::platform::now_ms;
use crate::tenant::Tenant;

/// How long one look at the queue waits for a command.
const WAIT: Duration = Duration::from_secs(2);

/// A command as it travels on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SentCommand {
    /// Who sent it.
    pub sender: String,
    /// The key that it was sent under.
    pub key: String,
    /// The module.
    pub module: String,
    /// The command.
    pub name: String,
    /// The aggregate's id.
    pub target: Option<String>,
    /// A JSON object.
    pub data: String,
    /// Who caused it.
    pub user: String,
    /// The same for all that one request causes.
    pub correlation_id: String,
    /// What led to it.
    pub causation_id: String,
}

impl SentCommand {
    /// A command as its speaker sends it.
    #[must_use]
    pub fn new(speaker: &Speaker, command: Outgoing) -> Self {
        Self {
            sender: speaker.component.to_string(),
            key: command.key,
            module: command.module,
            name: command.name,
            target: command.target,
            data: command.data,
            user: speaker.user.clone(),
            correlation_id: speaker.correlation_id.clone(),
            causation_id: speaker.causation_id.clone(),
        }
    }

    fn into_parts(self) -> (Speaker, Outgoing) {
        let speaker = Speaker {
            component: Arc::from(self.sender),
            user: self.user,
            correlation_id: self.correlation_id,
            causation_id: self.causation_id,
            depth: 0,
        };
        let command = Outgoing {
            key: self.key,
            module: self.module,
            name: self.name,
            target: self.target,
            data: self.data,
        };
        (speaker, command)
    }
}

impl Deliverer {
    /// Executes a tenant's commands until `stop` turns true or its sender is gone.
    pub async fn work(
        self: Arc<Self>,
        tenant: Arc<Tenant>,
        outlet: Arc<dyn Outlet>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut moving = tenant.moving();
        loop {
            tokio::select! {
                _ = moving.wait_for(|moving| !*moving) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
            let limit = self.limits.commands_at_once;
            let taken = tokio::select! {
                taken = self.bus.take(&tenant.id, limit, WAIT) => taken,
                _ = stop.wait_for(|stop| *stop) => return,
            };
            match taken {
                Ok(taken) => {
                    let executed = taken
                        .iter()
                        .map(|taken| self.execute_taken(&tenant, &outlet, taken));
                    join_all(executed).await;
                }
                Err(error) => {
                    tracing::error!(tenant = %tenant.id, %error, "commands cannot be taken");
                    tokio::select! {
                        () = tokio::time::sleep(self.limits.look_every) => {}
                        _ = stop.wait_for(|stop| *stop) => return,
                    }
                }
            }
        }
    }

    async fn execute_taken(&self, tenant: &Tenant, outlet: &Arc<dyn Outlet>, taken: &Taken) {
        let settled = match self.outcome(outlet, taken).await {
            Ok(()) => self.bus.settle(&tenant.id, taken).await,
            Err(SayError::Unavailable(why)) => {
                tracing::warn!(tenant = %tenant.id, command = taken.message.subject, why, "a command waits");
                self.again(tenant, taken).await
            }
            Err(SayError::Timeout) => self.again(tenant, taken).await,
            Err(SayError::Failed { .. }) if taken.attempt < self.limits.command_attempts_max => {
                self.again(tenant, taken).await
            }
            Err(error) => self.give_up(tenant, taken, &error).await,
        };
        if let Err(error) = settled {
            // It comes again, and its id makes that harmless.
            tracing::error!(tenant = %tenant.id, %error, "a command could not be settled");
        }
    }

    async fn outcome(&self, outlet: &Arc<dyn Outlet>, taken: &Taken) -> Result<(), SayError> {
        let sent: SentCommand = serde_json::from_slice(&taken.message.payload)
            .map_err(|error| SayError::Malformed(error.to_string()))?;
        let (speaker, command) = sent.into_parts();
        outlet.execute(&speaker, command).await.map(drop)
    }

    async fn again(&self, tenant: &Tenant, taken: &Taken) -> Result<(), BusError> {
        let factor = 1_u32
            .checked_shl(taken.attempt.saturating_sub(1))
            .unwrap_or(u32::MAX);
        let wait = self.limits.command_backoff.saturating_mul(factor);
        let wait = wait.min(self.limits.backoff_max);
        self.bus.give_back(&tenant.id, taken, wait).await
    }

    async fn give_up(&self, tenant: &Tenant, taken: &Taken, error: &SayError) -> Result<(), BusError> {
        let subject = &taken.message.subject;
        let (module, name) = subject.split_once('.').unwrap_or((subject, ""));
        let payload = String::from_utf8_lossy(&taken.message.payload);
        let letter = Letter {
            addressee: module.to_owned(),
            kind: LetterKind::Command,
            name: name.to_owned(),
            id: taken.message.id.clone(),
            code: error.code().to_owned(),
            reason: error.to_string(),
            attempts: taken.attempt,
            buried_at: now_ms(),
            content: json!({ "subject": subject, "payload": payload }),
        };
        let number = self.bus.bury(&tenant.id, &letter).await?;
        tracing::error!(tenant = %tenant.id, command = subject, number, %error, "a command became a dead letter");
        metrics::counter!("millwork_dead_letters_total", "addressee" => letter.addressee).increment(1);
        self.bus.settle(&tenant.id, taken).await
    }
}

/// The message of a command that was sent.
///
/// # Errors
/// [`SayError::Malformed`] when it cannot be written.
pub fn message(id: String, command: &SentCommand) -> Result<Message, SayError> {
    let payload = serde_json::to_vec(command).map_err(|error| SayError::Malformed(error.to_string()))?;
    Ok(Message {
        id,
        subject: format!("{}.{}", command.module, command.name),
        payload: payload.into(),
    })
}
