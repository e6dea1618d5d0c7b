//! What hosts of one cluster tell each other: that a tenant runs another generation now.
//!
//! An announcement is a hint to look, not the thing itself: the generation stands where all hosts read it. One that is
//! lost is made up for by the next, and by the first look of a host that starts.

use async_nats::jetstream::{self, kv};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use millwork_registry::id::TenantId;
use tokio::sync::{broadcast, mpsc};

use super::bus::BusError;
use super::nats::{NatsSettings, failed, streams};

/// Announcements that a listener may be behind.
const BEHIND_MAX: usize = 1_024;

/// A tenant runs the generation with this number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Whose.
    pub tenant: TenantId,
    /// Which.
    pub generation: u64,
}

/// See the module.
#[async_trait]
pub trait Announcements: Send + Sync + 'static {
    /// Tells all hosts, this one among them.
    ///
    /// # Errors
    /// [`BusError`].
    async fn announce(&self, announced: &Announced) -> Result<(), BusError>;

    /// What is announced from now on. A listener that falls far behind is told the newest only.
    ///
    /// # Errors
    /// [`BusError`].
    async fn listen(&self) -> Result<mpsc::Receiver<Announced>, BusError>;
}

/// For a host that is alone.
pub struct LocalAnnouncements(broadcast::Sender<Announced>);

impl Default for LocalAnnouncements {
    fn default() -> Self {
        Self(broadcast::Sender::new(BEHIND_MAX))
    }
}

#[async_trait]
impl Announcements for LocalAnnouncements {
    async fn announce(&self, announced: &Announced) -> Result<(), BusError> {
        // Nobody needs to listen.
        let _ = self.0.send(announced.clone());
        Ok(())
    }

    async fn listen(&self) -> Result<mpsc::Receiver<Announced>, BusError> {
        let mut heard = self.0.subscribe();
        let (send, receive) = mpsc::channel(BEHIND_MAX);
        tokio::spawn(async move {
            loop {
                let announced = tokio::select! {
                    announced = heard.recv() => announced,
                    () = send.closed() => return,
                };
                match announced {
                    Ok(announced) => {
                        if send.send(announced).await.is_err() {
                            return;
                        }
                    }
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return,
                }
            }
        });
        Ok(receive)
    }
}

/// In a key-value bucket of JetStream: a key for each tenant, whose value is the number.
pub struct NatsAnnouncements(kv::Store);

impl NatsAnnouncements {
    /// Connects, and makes the bucket if it is not there yet.
    ///
    /// # Errors
    /// [`BusError::Failed`] when the server cannot be reached or refuses.
    pub async fn connect(settings: &NatsSettings) -> Result<Self, BusError> {
        let mut context = jetstream::new(streams::client(settings).await?);
        context.set_timeout(settings.limits.request_timeout);
        let bucket = kv::Config {
            bucket: format!("{}GENERATIONS", settings.prefix),
            history: 1,
            num_replicas: settings.replicas,
            ..kv::Config::default()
        };
        let store = context.create_or_update_key_value(bucket).await;
        store.map(Self).map_err(failed)
    }
}

#[async_trait]
impl Announcements for NatsAnnouncements {
    async fn announce(&self, announced: &Announced) -> Result<(), BusError> {
        let number = announced.generation.to_string();
        let told = self.0.put(announced.tenant.as_str(), number.into()).await;
        told.map(drop).map_err(failed)
    }

    async fn listen(&self) -> Result<mpsc::Receiver<Announced>, BusError> {
        let mut heard = self.0.watch_all().await.map_err(failed)?;
        let (send, receive) = mpsc::channel(BEHIND_MAX);
        tokio::spawn(async move {
            loop {
                let entry = tokio::select! {
                    entry = heard.next() => entry,
                    () = send.closed() => return,
                };
                match entry {
                    Some(Ok(entry)) => {
                        let number = std::str::from_utf8(&entry.value).ok();
                        let number = number.and_then(|text| text.parse().ok());
                        let tenant = TenantId::new(entry.key).ok();
                        let Some((tenant, generation)) = tenant.zip(number) else {
                            continue;
                        };
                        if send.send(Announced { tenant, generation }).await.is_err() {
                            return;
                        }
                    }
                    Some(Err(error)) => tracing::warn!(%error, "an announcement was not understood"),
                    None => return,
                }
            }
        });
        Ok(receive)
    }
}
