//! From the event feed to the bus, where others than this installation's components hear of what was recorded.
//!
//! The event store is written first and alone; this follows it. How far it has come is kept durably, and the sweep from
//! there makes up for whatever a crash left. An event's place in the feed is its id, so that several hosts that relay the
//! same feed, or one that relays a part again, do no harm.

use std::sync::Arc;

use millwork_registry::id::TenantId;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::watch;

use super::{DeliverError, DeliverLimits};
use crate::capability::messaging::Bus;
use crate::capability::messaging::bus::Message;
use crate::event_store::{EventStore, Origin, Position, Recorded, StoreError};

/// The name of the durable position.
const READER: &str = "relay";

/// Relays the feeds of tenants.
pub struct Relay {
    events: Arc<dyn EventStore>,
    bus: Arc<dyn Bus>,
    limits: DeliverLimits,
}

impl Relay {
    /// A relay from `events` to `bus`.
    #[must_use]
    pub fn new(events: Arc<dyn EventStore>, bus: Arc<dyn Bus>, limits: DeliverLimits) -> Self {
        Self { events, bus, limits }
    }

    /// Relays a tenant's feed until `stop` turns true or its sender is gone.
    pub async fn run(self: Arc<Self>, tenant: TenantId, mut stop: watch::Receiver<bool>) {
        loop {
            let wait = async {
                match self.events.last_position(&tenant).await {
                    Ok(mut last) => {
                        last.mark_unchanged();
                        match self.sweep(&tenant).await {
                            Ok(_) => drop(tokio::time::timeout(self.limits.look_every, last.changed()).await),
                            Err(error) => {
                                tracing::error!(%tenant, %error, "the feed cannot be relayed");
                                tokio::time::sleep(self.limits.look_every).await;
                            }
                        }
                    }
                    Err(error) => {
                        tracing::error!(%tenant, %error, "the feed cannot be followed");
                        tokio::time::sleep(self.limits.look_every).await;
                    }
                }
            };
            tokio::select! {
                () = wait => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    /// Relays what is behind the position that was kept; gives how many events that were.
    ///
    /// # Errors
    /// [`DeliverError`]; what was relayed until then may be relayed again.
    pub async fn sweep(&self, tenant: &TenantId) -> Result<u64, DeliverError> {
        let mut at = self.bus.checkpoint(tenant, READER).await?.unwrap_or_default();
        let mut relayed = 0;
        loop {
            let page = self.events.feed(tenant, at, self.limits.page_events_max).await?;
            let Some(last) = page.last() else {
                return Ok(relayed);
            };
            let messages: Vec<Message> = page.iter().map(message).collect::<Result<_, _>>()?;
            self.bus.publish(tenant, &messages).await?;
            at = last.position;
            relayed += page.len() as u64;
            self.bus.keep_checkpoint(tenant, READER, at).await?;
            metrics::counter!("millwork_relayed_events_total").increment(page.len() as u64);
        }
    }
}

/// An event as the bus carries it, in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Relayed<'a> {
    position: Position,
    id: &'a str,
    module: &'a str,
    aggregate: &'a str,
    aggregate_id: &'a str,
    version: u64,
    name: &'a str,
    recorded_at: u64,
    origin: &'a Origin,
    data: &'a RawValue,
}

fn message(event: &Recorded) -> Result<Message, DeliverError> {
    let failed = |error: serde_json::Error| StoreError::Failed(error.to_string());
    let payload = serde_json::to_vec(&Relayed {
        position: event.position,
        id: &event.id,
        module: &event.of.module,
        aggregate: &event.of.aggregate,
        aggregate_id: &event.of.id,
        version: event.version,
        name: &event.name,
        recorded_at: event.recorded_at,
        origin: &event.origin,
        data: serde_json::from_str(&event.data).map_err(failed)?,
    });
    Ok(Message {
        id: event.position.to_string(),
        subject: format!("{}.{}.{}", event.of.module, event.of.aggregate, event.name),
        payload: payload.map_err(failed)?.into(),
    })
}
