//! The streams of the bus on NATS, and how the servers are reached.

use async_nats::jetstream::Context;
use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType, Stream};

use super::{NatsSettings, failed};
use crate::capability::messaging::bus::{BusError, Message, Taken};

/// A connection that is made again whenever it is lost.
pub(in crate::capability::messaging) async fn client(
    settings: &NatsSettings,
) -> Result<async_nats::Client, BusError> {
    let servers: Result<Vec<async_nats::ServerAddr>, _> =
        settings.url.split(',').map(|url| url.trim().parse()).collect();
    async_nats::ConnectOptions::new()
        .name("millwork")
        .connection_timeout(settings.limits.connect_timeout)
        .request_timeout(Some(settings.limits.request_timeout))
        .max_reconnects(None)
        .connect(servers.map_err(failed)?)
        .await
        .map_err(failed)
}

/// A stream as it is to be: made, or brought to these settings.
pub(super) async fn ensure(context: &Context, config: Config) -> Result<Stream, BusError> {
    let name = config.name.clone();
    context.create_or_update_stream(config).await.map_err(failed)?;
    context.get_stream(&name).await.map_err(failed)
}

/// What modules recorded and components published. The event store is what everything can be built from again; this is
/// how others hear of it.
pub(super) fn events(settings: &NatsSettings) -> Config {
    Config {
        max_bytes: settings.limits.event_bytes_max,
        duplicate_window: settings.limits.duplicate_window,
        ..stream(settings, "EVENTS", "evt")
    }
}

/// Commands that wait: each is with one taker at a time, and is gone when it was settled. None grows too old to be
/// executed, and a full queue refuses.
pub(super) fn commands(settings: &NatsSettings) -> Config {
    Config {
        retention: RetentionPolicy::WorkQueue,
        max_messages: settings.limits.commands_max,
        duplicate_window: settings.limits.duplicate_window,
        ..stream(settings, "COMMANDS", "cmd")
    }
}

/// Dead letters, until somebody deals with them.
pub(super) fn letters(settings: &NatsSettings) -> Config {
    stream(settings, "DLQ", "dlq")
}

fn stream(settings: &NatsSettings, name: &str, kind: &str) -> Config {
    Config {
        name: format!("{}{name}", settings.prefix),
        subjects: vec![format!("{}{kind}.>", settings.prefix)],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: settings.replicas,
        max_messages: -1,
        max_bytes: -1,
        max_messages_per_subject: -1,
        allow_direct: true,
        ..Config::default()
    }
}

/// A command as the queue gives it; its subject and id begin so.
pub(super) fn taken(
    message: async_nats::jetstream::Message,
    before: &str,
    before_id: &str,
) -> Result<Taken, BusError> {
    let delivered = message.info().map_err(failed)?.delivered;
    let headers = message.headers.as_ref();
    let id = headers.and_then(|headers| headers.get(async_nats::header::NATS_MESSAGE_ID));
    let id = id.map(ToString::to_string).unwrap_or_default();
    let receipt = message.reply.as_ref().map(ToString::to_string);
    Ok(Taken {
        attempt: u32::try_from(delivered).unwrap_or(u32::MAX),
        receipt: receipt.ok_or_else(|| failed("a command without a receipt"))?,
        message: Message {
            id: id.strip_prefix(before_id).unwrap_or(&id).to_owned(),
            subject: message
                .subject
                .strip_prefix(before)
                .unwrap_or_default()
                .to_owned(),
            payload: message.payload.clone(),
        },
    })
}
