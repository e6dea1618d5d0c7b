//! The bus on NATS JetStream, for several hosts over one set of servers.
//!
//! Subjects, each with its tenant, so that the server's permissions can tell tenants apart: `evt.<tenant>.<subject>` in the
//! stream EVENTS, `cmd.<tenant>.<subject>` in COMMANDS (a work queue), `dlq.<tenant>` in DLQ, `rpc.<tenant>.<subject>` for
//! questions. No stream discards what it has accepted: a full one refuses. An event's id ends its Nats-Msg-Id: the server
//! passes over a second one for [`NatsLimits::duplicate_window`], and readers drop what they have seen after that. The
//! server knows ids longer than what was removed with them, so they begin with tenant and life.

pub(super) mod streams;
mod lives;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_nats::jetstream::consumer::pull::Config as PullConfig;
use async_nats::jetstream::consumer::{AckPolicy, Consumer};
use async_nats::jetstream::message::{AckKind, PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use async_nats::jetstream::{self, Context, kv};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use millwork_registry::id::TenantId;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::AbortHandle;

use super::bus::{Bus, BusError, Letter, Message, Published, Question, Taken};

/// How to reach the servers, and the bounds of what they keep.
#[derive(Debug, Clone)]
pub struct NatsSettings {
    /// `nats://host:port`, several with commas between them.
    pub url: String,
    /// Stands before every stream, bucket and subject: capital letters and digits, or nothing. Several installations can
    /// share servers by it.
    pub prefix: String,
    /// Copies of everything that is kept: 1, or 3 in a cluster of servers.
    pub replicas: usize,
    /// The bounds.
    pub limits: NatsLimits,
}

/// Bounds of the bus on NATS.
#[derive(Debug, Clone)]
pub struct NatsLimits {
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long a request to the server may take.
    pub request_timeout: Duration,
    /// How long the server knows ids that it has seen.
    pub duplicate_window: Duration,
    /// Commands of all tenants that may wait; further ones are refused.
    pub commands_max: i64,
    /// Bytes of events that are kept; further ones are refused. -1: as many as the disk holds.
    pub event_bytes_max: i64,
    /// How long a command may be with its taker before it comes again.
    pub settle_within: Duration,
    /// Questions of one subject that may wait for who answers.
    pub questions_max: usize,
}

impl Default for NatsLimits {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(5),
            duplicate_window: Duration::from_secs(600),
            commands_max: 1_000_000,
            event_bytes_max: -1,
            settle_within: Duration::from_secs(60),
            questions_max: 256,
        }
    }
}

/// See the module. Reconnects by itself; what it is asked meanwhile fails within its bounds.
pub struct NatsBus {
    client: async_nats::Client,
    context: Context,
    prefix: String,
    limits: NatsLimits,
    events: Stream,
    commands: Stream,
    letters: Stream,
    checkpoints: kv::Store,
    /// std's lock: held for a look only.
    queues: Mutex<HashMap<TenantId, Consumer<PullConfig>>>,
    /// Of the tenants that have one. std's lock: held for a look only.
    lives: Mutex<HashMap<TenantId, String>>,
    /// Tasks that listen for news, ended with the bus. std's lock: held for a look only.
    news: Mutex<HashMap<TenantId, (watch::Receiver<u64>, AbortHandle)>>,
}

impl NatsBus {
    /// Connects, and makes what is not there yet.
    ///
    /// # Errors
    /// [`BusError::Failed`] when the server cannot be reached or refuses.
    pub async fn connect(settings: &NatsSettings) -> Result<Self, BusError> {
        let client = streams::client(settings).await?;
        let mut context = jetstream::new(client.clone());
        context.set_timeout(settings.limits.request_timeout);
        let checkpoints = kv::Config {
            bucket: format!("{}CHECKPOINTS", settings.prefix),
            history: 1,
            num_replicas: settings.replicas,
            ..kv::Config::default()
        };
        Ok(Self {
            events: streams::ensure(&context, streams::events(settings)).await?,
            commands: streams::ensure(&context, streams::commands(settings)).await?,
            letters: streams::ensure(&context, streams::letters(settings)).await?,
            checkpoints: context
                .create_or_update_key_value(checkpoints)
                .await
                .map_err(failed)?,
            client,
            context,
            prefix: settings.prefix.clone(),
            limits: settings.limits.clone(),
            queues: Mutex::default(),
            lives: Mutex::default(),
            news: Mutex::default(),
        })
    }

    fn subject(&self, kind: &str, tenant: &TenantId, rest: &str) -> String {
        format!("{}{kind}.{tenant}.{rest}", self.prefix)
    }

    /// The durable consumer of a tenant's commands, shared by all hosts.
    async fn queue(&self, tenant: &TenantId) -> Result<Consumer<PullConfig>, BusError> {
        let known = {
            let queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
            queues.get(tenant).cloned()
        };
        if let Some(known) = known {
            return Ok(known);
        }
        let name = queue_name(tenant);
        let config = PullConfig {
            durable_name: Some(name.clone()),
            filter_subject: self.subject("cmd", tenant, ">"),
            ack_policy: AckPolicy::Explicit,
            ack_wait: self.limits.settle_within,
            max_deliver: -1,
            ..PullConfig::default()
        };
        let made = self.commands.get_or_create_consumer(&name, config).await;
        let made = made.map_err(failed)?;
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        queues.insert(tenant.clone(), made.clone());
        Ok(made)
    }

    async fn acknowledge(&self, taken: &Taken, kind: AckKind) -> Result<(), BusError> {
        let receipt = taken.receipt.clone();
        let payload: Bytes = kind.into();
        // A request, so that the server has heard it when this returns.
        let asked = self.client.request(receipt, payload);
        match tokio::time::timeout(self.limits.request_timeout, asked).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(failed(error)),
            Err(_) => Err(BusError::Failed("an acknowledgement was not heard".to_owned())),
        }
    }

    /// Up to `limit` messages of a stream on a subject, from a sequence on.
    async fn read(
        &self,
        stream: &Stream,
        subject: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<StreamMessage>, BusError> {
        let mut found = Vec::new();
        let mut next = after.saturating_add(1);
        while found.len() < limit as usize {
            match stream.direct_get_next_for_subject(subject, Some(next)).await {
                Ok(message) => {
                    next = message.sequence.saturating_add(1);
                    found.push(message);
                }
                Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => break,
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(found)
    }
}

impl Drop for NatsBus {
    fn drop(&mut self) {
        let news = self.news.get_mut().unwrap_or_else(PoisonError::into_inner);
        for (_, task) in news.values() {
            task.abort();
        }
    }
}

pub(super) fn failed(error: impl std::fmt::Display) -> BusError {
    BusError::Failed(error.to_string())
}

/// A publish that the server refused because it has as much as it may keep.
fn refused(error: impl std::fmt::Display) -> BusError {
    let text = error.to_string();
    // The last is of the server as a whole: error codes 10023 and 10047 of JetStream.
    let full = ["maximum messages", "maximum bytes", "insufficient"];
    if full.iter().any(|why| text.contains(why)) {
        BusError::Full
    } else {
        BusError::Failed(text)
    }
}

fn message_id(message: &StreamMessage) -> String {
    let id = message.headers.get(async_nats::header::NATS_MESSAGE_ID);
    id.map(ToString::to_string).unwrap_or_default()
}

fn queue_name(tenant: &TenantId) -> String {
    format!("commands-{tenant}")
}

/// A message of a stream at its place, whose subject and id begin so.
fn placed(message: StreamMessage, before: &str, before_id: &str) -> Published {
    let id = message_id(&message);
    Published {
        position: message.sequence,
        message: Message {
            id: id.strip_prefix(before_id).unwrap_or(&id).to_owned(),
            subject: message
                .subject
                .strip_prefix(before)
                .unwrap_or_default()
                .to_owned(),
            payload: message.payload,
        },
    }
}

#[async_trait]
impl Bus for NatsBus {
    async fn publish(&self, tenant: &TenantId, events: &[Message]) -> Result<(), BusError> {
        let mut acknowledged = Vec::with_capacity(events.len());
        let before_id = self.before_id(tenant);
        for event in events {
            let subject = self.subject("evt", tenant, &event.subject);
            let message = PublishMessage::build()
                .payload(event.payload.clone())
                .message_id(format!("{before_id}{}", event.id));
            acknowledged.push(
                self.context
                    .send_publish(subject, message)
                    .await
                    .map_err(refused)?,
            );
        }
        for acknowledgement in acknowledged {
            acknowledgement.await.map_err(refused)?;
        }
        Ok(())
    }

    async fn published(
        &self,
        tenant: &TenantId,
        first: &str,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Published>, BusError> {
        let subject = self.subject("evt", tenant, &format!("{first}.>"));
        let before = self.subject("evt", tenant, "");
        let found = self.read(&self.events, &subject, after, limit).await?;
        let before_id = self.before_id(tenant);
        let published = found
            .into_iter()
            .map(|message| placed(message, &before, &before_id));
        Ok(published.collect())
    }

    async fn last_published(&self, tenant: &TenantId) -> Result<u64, BusError> {
        let subject = self.subject("evt", tenant, ">");
        match self.events.direct_get_last_for_subject(subject).await {
            Ok(message) => Ok(message.sequence),
            Err(error) if matches!(error.kind(), DirectGetErrorKind::NotFound) => Ok(0),
            Err(error) => Err(failed(error)),
        }
    }

    async fn news(&self, tenant: &TenantId) -> Result<watch::Receiver<u64>, BusError> {
        {
            let news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((told, _)) = news.get(tenant) {
                return Ok(told.clone());
            }
        }
        let subject = self.subject("evt", tenant, ">");
        let mut heard = self.client.subscribe(subject).await.map_err(failed)?;
        let (tell, told) = watch::channel(0);
        let listen = async move {
            while heard.next().await.is_some() {
                tell.send_modify(|count| *count += 1);
            }
        };
        let task = tokio::spawn(listen).abort_handle();
        let mut news = self.news.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = news.entry(tenant.clone()).or_insert((told, task));
        Ok(kept.0.clone())
    }

    async fn enqueue(&self, tenant: &TenantId, command: &Message) -> Result<(), BusError> {
        let subject = self.subject("cmd", tenant, &command.subject);
        let message = PublishMessage::build()
            .payload(command.payload.clone())
            .message_id(format!("{}{}", self.before_id(tenant), command.id));
        let accepted = self.context.send_publish(subject, message).await;
        accepted.map_err(refused)?.await.map_err(refused)?;
        Ok(())
    }

    async fn queued(&self, tenant: &TenantId, after: u64, limit: u32) -> Result<Vec<Published>, BusError> {
        let before = self.subject("cmd", tenant, "");
        let found = self
            .read(&self.commands, &format!("{before}>"), after, limit)
            .await?;
        let before_id = self.before_id(tenant);
        let queued = found
            .into_iter()
            .map(|message| placed(message, &before, &before_id));
        Ok(queued.collect())
    }

    async fn take(&self, tenant: &TenantId, limit: u32, wait: Duration) -> Result<Vec<Taken>, BusError> {
        let queue = self.queue(tenant).await?;
        let (before, before_id) = (self.subject("cmd", tenant, ""), self.before_id(tenant));
        let limit = limit as usize;
        // What is there is taken at once; only for the first is it worth to wait.
        let mut batch = queue
            .fetch()
            .max_messages(limit)
            .messages()
            .await
            .map_err(failed)?;
        let mut taken = Vec::new();
        while let Some(message) = batch.next().await {
            taken.push(streams::taken(message.map_err(failed)?, &before, &before_id)?);
        }
        if taken.is_empty() && !wait.is_zero() {
            let waiting = queue.batch().max_messages(1).expires(wait);
            let mut batch = waiting.messages().await.map_err(failed)?;
            while let Some(message) = batch.next().await {
                taken.push(streams::taken(message.map_err(failed)?, &before, &before_id)?);
            }
        }
        Ok(taken)
    }

    async fn settle(&self, _: &TenantId, taken: &Taken) -> Result<(), BusError> {
        self.acknowledge(taken, AckKind::Ack).await
    }

    async fn give_back(&self, _: &TenantId, taken: &Taken, wait: Duration) -> Result<(), BusError> {
        self.acknowledge(taken, AckKind::Nak(Some(wait))).await
    }

    async fn checkpoint(&self, tenant: &TenantId, reader: &str) -> Result<Option<u64>, BusError> {
        let key = format!("{tenant}.{reader}");
        let Some(kept) = self.checkpoints.get(key).await.map_err(failed)? else {
            return Ok(None);
        };
        let text = std::str::from_utf8(&kept).map_err(failed)?;
        text.parse().map(Some).map_err(failed)
    }

    async fn keep_checkpoint(&self, tenant: &TenantId, reader: &str, position: u64) -> Result<(), BusError> {
        let key = format!("{tenant}.{reader}");
        let kept = self.checkpoints.put(key, position.to_string().into()).await;
        kept.map(drop).map_err(failed)
    }

    async fn bury(&self, tenant: &TenantId, letter: &Letter) -> Result<u64, BusError> {
        let payload = serde_json::to_vec(letter).map_err(failed)?;
        let subject = self.subject("dlq", tenant, "letter");
        let kept = self.context.publish(subject, payload.into()).await;
        let kept = kept.map_err(refused)?.await.map_err(refused)?;
        Ok(kept.sequence)
    }

    async fn letters(
        &self,
        tenant: &TenantId,
        after: u64,
        limit: u32,
    ) -> Result<Vec<(u64, Letter)>, BusError> {
        let subject = self.subject("dlq", tenant, "letter");
        let found = self.read(&self.letters, &subject, after, limit).await?;
        let read = |message: StreamMessage| {
            let letter = serde_json::from_slice(&message.payload);
            Ok((message.sequence, letter.map_err(failed)?))
        };
        found.into_iter().map(read).collect()
    }

    async fn discard(&self, tenant: &TenantId, number: u64) -> Result<bool, BusError> {
        // Numbers are those of the stream: one of another tenant is none of this one's.
        let Some(before) = number.checked_sub(1) else {
            return Ok(false);
        };
        let found = self.letters(tenant, before, 1).await?;
        if !found.iter().any(|(found, _)| *found == number) {
            return Ok(false);
        }
        self.letters.delete_message(number).await.map_err(failed)
    }

    async fn forget(&self, tenant: &TenantId) -> Result<(), BusError> {
        self.remove_all(tenant).await
    }

    fn begin(&self, tenant: &TenantId, life: Option<&str>) {
        self.begin_life(tenant, life);
    }

    async fn ask(
        &self,
        tenant: &TenantId,
        subject: &str,
        payload: Bytes,
        limit: Duration,
    ) -> Result<Bytes, BusError> {
        let subject = self.subject("rpc", tenant, subject);
        let asked = self.client.request(subject, payload);
        match tokio::time::timeout(limit, asked).await {
            Ok(Ok(answer)) => Ok(answer.payload),
            // Nobody listens, or nobody is done in time: the same to who asks.
            Ok(Err(error)) => match error.kind() {
                async_nats::RequestErrorKind::TimedOut | async_nats::RequestErrorKind::NoResponders => {
                    Err(BusError::Timeout)
                }
                _ => Err(failed(error)),
            },
            Err(_) => Err(BusError::Timeout),
        }
    }

    async fn answer(&self, tenant: &TenantId, subject: &str) -> Result<mpsc::Receiver<Question>, BusError> {
        let subject = self.subject("rpc", tenant, subject);
        let group = "hosts".to_owned();
        let mut asked = self
            .client
            .queue_subscribe(subject, group)
            .await
            .map_err(failed)?;
        // Known to the server before anybody is told that this one answers.
        self.client.flush().await.map_err(failed)?;
        let (send, receive) = mpsc::channel(self.limits.questions_max);
        let client = self.client.clone();
        tokio::spawn(async move {
            loop {
                let message = tokio::select! {
                    message = asked.next() => message,
                    () = send.closed() => return,
                };
                let Some(message) = message else { return };
                let Some(reply) = message.reply else { continue };
                let (answer, answered) = oneshot::channel();
                let question = Question {
                    payload: message.payload,
                    answer,
                };
                if send.send(question).await.is_err() {
                    return;
                }
                let client = client.clone();
                tokio::spawn(async move {
                    if let Ok(answer) = answered.await
                        && let Err(error) = client.publish(reply, answer).await
                    {
                        tracing::warn!(%error, "an answer could not be sent");
                    }
                });
            }
        });
        Ok(receive)
    }
}
