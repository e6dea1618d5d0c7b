//! What the data of tenants is kept in: a set of backends for each profile, and the way from a tenant to its own.

mod bus;
mod events;
mod portable;
pub mod routes;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use millwork_registry::generation::TenantRecord;

use crate::capability::blobs::Blobs;
use crate::capability::blobs::files::FilesBlobs;
use crate::capability::blobs::link::LinkKey;
use crate::capability::blobs::s3::{S3Blobs, S3Settings};
use crate::capability::cache::Cache;
use crate::capability::cache::memory::MemoryCache;
use crate::capability::cache::redis::RedisCache;
use crate::capability::documents::DocumentStore;
use crate::capability::documents::mongodb::{MongoDocuments, MongoDocumentsLimits};
use crate::capability::documents::sqlite::{SqliteDocuments, SqliteDocumentsLimits};
use crate::capability::messaging::Bus;
use crate::capability::messaging::nats::{NatsBus, NatsLimits, NatsSettings};
use crate::capability::messaging::sqlite::{SqliteBus, SqliteBusLimits};
use crate::capability::rate_limits::RateLimits;
use crate::capability::rate_limits::memory::MemoryRateLimits;
use crate::capability::rate_limits::redis::RedisRateLimits;
use crate::capability::search::Search;
use crate::capability::search::elasticsearch::{
    ElasticsearchCredentials, ElasticsearchSearch, ElasticsearchSettings,
};
use crate::capability::search::tantivy::{TantivySearch, TantivySearchLimits};
use crate::capability::sessions::Sessions;
use crate::capability::sessions::memory::MemorySessions;
use crate::capability::sessions::redis::RedisSessions;
use crate::config::profile::{self, Profile};
use crate::config::{Config, EventLimits};
use crate::error::Error;
use crate::event_store::EventStore;
use crate::event_store::mongodb::{MongoEvents, MongoEventsLimits};
use crate::event_store::sqlite::{SqliteEvents, SqliteEventsLimits};
use crate::mongodb::{MongoDatabase, MongoSettings};
use crate::redis_link::{RedisLink, RedisSettings};

/// Bytes that one transaction of the event store on MongoDB takes: below the 16 MB of one message, with room.
const BATCH_BYTES_MAX: usize = 8 << 20;
/// Tenants whose appends are written to MongoDB at once.
const TENANTS_AT_ONCE: usize = 16;
/// After how much silence of the change stream positions are asked for.
const POSITIONS_POLL_MS: u64 = 1_000;

/// The backends of one profile.
#[derive(Clone)]
pub struct Backends {
    /// Where events are appended, loaded and fed from.
    pub events: Arc<dyn EventStore>,
    /// Where read models are.
    pub documents: Arc<dyn DocumentStore>,
    /// What may forget.
    pub cache: Arc<dyn Cache>,
    /// Where requests are counted.
    pub rate_limits: Arc<dyn RateLimits>,
    /// Who is signed in.
    pub sessions: Arc<dyn Sessions>,
    /// Indexes of text.
    pub search: Arc<dyn Search>,
    /// Files and other large bytes.
    pub blobs: Arc<dyn Blobs>,
    /// What components say to each other.
    pub bus: Arc<dyn Bus>,
    /// Whether others than this host hear what is said on the bus, so that the feed is relayed to it.
    pub relayed: bool,
}

impl Backends {
    /// Everything on files of the data folder and in memory. Blocks.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the files cannot be used.
    pub fn embedded(config: &Config) -> Result<Self, Error> {
        let EventLimits {
            queue_max,
            batch_max,
            event_readers_max,
            document_readers_max,
        } = config.events;
        let limits = SqliteEventsLimits {
            queue_max,
            batch_max,
            readers_max: event_readers_max,
        };
        let reading = SqliteDocumentsLimits {
            readers_max: document_readers_max,
        };
        let links = LinkKey::open(&config.data);
        let links = links.map_err(|error| Error::Unavailable(format!("key of links: {error}")))?;
        Ok(Self {
            events: Arc::new(SqliteEvents::open(&config.data.join("events.db"), &limits)?),
            documents: Arc::new(SqliteDocuments::new(config.data.join("tenants"), reading)),
            cache: Arc::new(MemoryCache::new(config.cache_bytes_max)),
            rate_limits: Arc::new(MemoryRateLimits::new()),
            sessions: Arc::new(MemorySessions::new()),
            search: Arc::new(TantivySearch::new(
                config.data.join("tenants"),
                TantivySearchLimits::default(),
            )),
            blobs: Arc::new(FilesBlobs::new(config.data.join("tenants"), links)),
            bus: Arc::new(SqliteBus::open(
                &config.data.join("messages.db"),
                SqliteBusLimits::default(),
            )?),
            relayed: false,
        })
    }

    /// Those of a profile; what is embedded in it is shared with all others.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when a server is not reached: the same may go well later. The log has the cause, which may
    /// name servers.
    pub async fn open(
        config: &Config,
        name: &str,
        profile: &Profile,
        embedded: &Self,
    ) -> Result<Self, Error> {
        let mut backends = embedded.clone();
        if let Some(mongodb) = &profile.mongodb {
            let opened = backends.put_on_mongodb(config, name, profile, mongodb).await;
            opened.map_err(|error| unreached(name, "MongoDB", &error))?;
        }
        if profile.cache == profile::Cache::Redis
            && let Some(redis) = &profile.redis
        {
            let opened = backends.put_on_redis(name, redis);
            opened.map_err(|error| unreached(name, "Redis", &error))?;
        }
        if profile.search == profile::Search::Elasticsearch
            && let Some(elasticsearch) = &profile.elasticsearch
        {
            let opened = backends.put_on_elasticsearch(name, elasticsearch);
            opened.map_err(|error| unreached(name, "Elasticsearch", &error))?;
        }
        if profile.blobs == profile::Blobs::S3
            && let Some(s3) = &profile.s3
        {
            let opened = backends.put_on_s3(name, s3);
            opened.map_err(|error| unreached(name, "S3", &error))?;
        }
        if profile.messages == profile::Messages::Nats
            && let Some(nats) = &profile.nats
        {
            let opened = backends.put_on_nats(name, nats).await;
            opened.map_err(|error| unreached(name, "NATS", &error))?;
        }
        Ok(backends)
    }

    /// A tenant begins on this host: what is remembered here of one that had its id before is no longer so.
    pub fn begin(&self, tenant: &TenantRecord) {
        self.events.begin(&tenant.id);
        self.bus.begin(&tenant.id, tenant.life.as_deref());
        self.search.begin(&tenant.id);
    }

    async fn put_on_mongodb(
        &mut self,
        config: &Config,
        name: &str,
        profile: &Profile,
        mongodb: &profile::Mongodb,
    ) -> Result<(), String> {
        let settings = MongoSettings::of(name, mongodb).map_err(told)?;
        if profile.events == profile::Events::Mongodb {
            let limits = MongoEventsLimits {
                queue_max: config.events.queue_max,
                batch_max: config.events.batch_max,
                batch_bytes_max: BATCH_BYTES_MAX,
                tenants_at_once: TENANTS_AT_ONCE,
                append_ms: 2 * milliseconds(mongodb.timeout),
                poll_ms: POSITIONS_POLL_MS,
            };
            self.events = Arc::new(MongoEvents::open(&settings, limits).await.map_err(told)?);
        }
        if profile.documents == profile::Documents::Mongodb {
            let database = MongoDatabase::open(&settings).await.map_err(told)?;
            let limits = MongoDocumentsLimits {
                call_max: mongodb.timeout,
                ..MongoDocumentsLimits::default()
            };
            self.documents = Arc::new(MongoDocuments::new(database, limits));
        }
        Ok(())
    }

    fn put_on_redis(&mut self, name: &str, redis: &profile::Redis) -> Result<(), String> {
        let link = redis_link(name, redis)?;
        self.cache = Arc::new(RedisCache::new(Arc::clone(&link)));
        self.rate_limits = Arc::new(RedisRateLimits::new(Arc::clone(&link)));
        self.sessions = Arc::new(RedisSessions::new(link));
        Ok(())
    }

    fn put_on_elasticsearch(&mut self, name: &str, server: &profile::Elasticsearch) -> Result<(), String> {
        let key = format!("profiles.{name}.elasticsearch");
        let credentials = match &server.user {
            Some(user) => ElasticsearchCredentials::Basic {
                user: user.clone(),
                password: server.password.read(&format!("{key}.password")).map_err(told)?,
            },
            None => ElasticsearchCredentials::None,
        };
        let settings = ElasticsearchSettings {
            url: server.url.read(&format!("{key}.url")).map_err(told)?,
            credentials,
            prefix: server.prefix.clone(),
            request_timeout: server.timeout,
            shards: 1,
            replicas: server.replicas,
        };
        self.search = Arc::new(ElasticsearchSearch::new(settings).map_err(told)?);
        Ok(())
    }

    fn put_on_s3(&mut self, name: &str, s3: &profile::S3) -> Result<(), String> {
        let settings = S3Settings::of(name, s3).map_err(told)?;
        self.blobs = Arc::new(S3Blobs::new(settings));
        Ok(())
    }

    async fn put_on_nats(&mut self, name: &str, nats: &profile::Nats) -> Result<(), String> {
        let settings = nats_settings(name, nats)?;
        self.bus = Arc::new(NatsBus::connect(&settings).await.map_err(told)?);
        self.relayed = true;
        Ok(())
    }
}

/// The way to a profile's Redis. Nothing is connected yet.
pub(crate) fn redis_link(profile: &str, redis: &profile::Redis) -> Result<Arc<RedisLink>, String> {
    let url = redis.url.read(&format!("profiles.{profile}.redis.url"));
    let link = RedisLink::new(RedisSettings {
        key_prefix: redis.key_prefix.clone(),
        connect_timeout: redis.timeout,
        answer_timeout: redis.timeout,
        ..RedisSettings::new(url.map_err(told)?)
    });
    link.map(Arc::new).map_err(told)
}

/// How a profile's NATS is reached.
pub(crate) fn nats_settings(profile: &str, nats: &profile::Nats) -> Result<NatsSettings, String> {
    let url = nats.url.read(&format!("profiles.{profile}.nats.url"));
    Ok(NatsSettings {
        url: url.map_err(told)?,
        prefix: nats.prefix.clone(),
        replicas: nats.replicas,
        limits: NatsLimits {
            connect_timeout: nats.timeout,
            request_timeout: nats.timeout,
            ..NatsLimits::default()
        },
    })
}

fn told(error: impl Display) -> String {
    error.to_string()
}

/// Tells the log why, and others that.
fn unreached(profile: &str, what: &str, error: &dyn Display) -> Error {
    tracing::error!(profile, %error, "{what} is not reached");
    Error::Unavailable(format!("{what} of profile {profile} is not reached"))
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
