//! What hosts of one cluster tell each other: which of them works for a tenant, and that the tenant runs another generation.
//!
//! An announcement is a hint to look, not the thing itself: the generation stands where all hosts read it, and the lease
//! says who works. One that is lost is made up for by the next, and by the looks that hosts take now and then.

use async_nats::jetstream::{self, kv};
use async_trait::async_trait;
use futures_util::StreamExt as _;
use millwork_registry::id::TenantId;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::bus::BusError;
use super::nats::{NatsSettings, failed, streams};

/// Announcements that a listener may be behind.
const BEHIND_MAX: usize = 1_024;

/// What is new of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announced {
    /// Which.
    pub tenant: TenantId,
    /// What else; nothing of one that is being removed.
    pub news: Option<News>,
}

/// How a tenant is run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The number of its generation.
    pub generation: u64,
    /// Tells it from others that had its id before, see
    /// [`TenantRecord::life`](millwork_registry::generation::TenantRecord::life).
    #[serde(default)]
    pub life: Option<String>,
    /// Where the host is that works for it, `http://host:port`.
    pub home: String,
    /// The module whose quarantine was ended, where that is what is new.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revived: Option<String>,
}

/// See the module.
#[async_trait]
pub trait Announcements: Send + Sync + 'static {
    /// Tells all hosts, this one among them.
    ///
    /// # Errors
    /// [`BusError`].
    async fn announce(&self, announced: &Announced) -> Result<(), BusError>;

    /// What is announced from now on, and what was before where that is kept. A listener that falls far behind is told the
    /// newest only.
    ///
    /// # Errors
    /// [`BusError`].
    async fn listen(&self) -> Result<mpsc::Receiver<Announced>, BusError>;
}

/// In a key-value bucket of JetStream: a key for each tenant, whose value is its [`News`] as JSON; that it is removed tells
/// that there are none. Who begins to listen is told the last of each tenant first.
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
            bucket: format!("{}TENANTS", settings.prefix),
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
        let tenant = announced.tenant.as_str();
        let Some(news) = &announced.news else {
            return self.0.purge(tenant).await.map_err(failed);
        };
        let news = serde_json::to_vec(news).map_err(failed)?;
        let told = self.0.put(tenant, news.into()).await;
        told.map(drop).map_err(failed)
    }

    async fn listen(&self) -> Result<mpsc::Receiver<Announced>, BusError> {
        let mut heard = self.0.watch_with_history(">").await.map_err(failed)?;
        let (send, receive) = mpsc::channel(BEHIND_MAX);
        tokio::spawn(async move {
            loop {
                let entry = tokio::select! {
                    entry = heard.next() => entry,
                    () = send.closed() => return,
                };
                match entry {
                    Some(Ok(entry)) => {
                        let news = serde_json::from_slice(&entry.value).ok();
                        let Ok(tenant) = TenantId::new(entry.key) else {
                            continue;
                        };
                        if news.is_none() && entry.operation == kv::Operation::Put {
                            continue;
                        }
                        if send.send(Announced { tenant, news }).await.is_err() {
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
