//! What the backends on Redis share: one connection that is made when it is needed, and a bound on every wait.
//!
//! Redis holds nothing that the host cannot do without, so a server that does not answer must never hold up a request for
//! long: one call waits at most [`RedisSettings::answer_timeout`] and the time to connect, and after it the next ones are
//! refused at once for [`RedisSettings::pause_after_silence`]. Nothing here knows a key.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Cmd, FromRedisValue, RedisError, RedisResult, ScriptInvocation};
use tokio::sync::OnceCell;

/// Where Redis is, and how long it may take.
#[derive(Clone)]
pub struct RedisSettings {
    /// `redis://user:password@host:port/number`, `rediss://` for TLS. It may hold a password, so it is never shown.
    pub url: String,
    /// What all keys begin with, so that several clusters can share a server; empty for the only one.
    pub key_prefix: String,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
    /// How long the server may take to answer.
    pub answer_timeout: Duration,
    /// How long it is not asked again once it has not answered, so that not every request waits for it.
    pub pause_after_silence: Duration,
}

impl RedisSettings {
    /// Bounds that suit a server nearby.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            key_prefix: String::new(),
            connect_timeout: Duration::from_millis(500),
            answer_timeout: Duration::from_millis(500),
            pause_after_silence: Duration::from_millis(250),
        }
    }
}

impl fmt::Debug for RedisSettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("RedisSettings")
            .field("key_prefix", &self.key_prefix)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("pause_after_silence", &self.pause_after_silence)
            .finish_non_exhaustive()
    }
}

/// Redis did not do what it was asked, or it is not known whether it did.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Unanswered(String);

/// See the module.
pub struct RedisLink {
    client: Client,
    settings: RedisSettings,
    /// Std's Mutex: it is held to read or replace a pointer.
    state: Mutex<State>,
}

struct State {
    /// Empty until somebody needs it; replaced, not emptied, so that those who wait for it are not confused.
    connection: Arc<OnceCell<MultiplexedConnection>>,
    /// The server is not asked before that.
    silent_until: Option<Instant>,
}

impl RedisLink {
    /// Checks the address; nothing is connected yet.
    ///
    /// # Errors
    /// [`Unanswered`] when the URL is none of Redis.
    pub fn new(settings: RedisSettings) -> Result<Self, Unanswered> {
        let client = Client::open(settings.url.as_str())
            .map_err(|error| Unanswered(format!("the address of redis: {error}")))?;
        Ok(Self {
            client,
            settings,
            state: Mutex::new(State {
                connection: Arc::new(OnceCell::new()),
                silent_until: None,
            }),
        })
    }

    /// A complete key of this cluster.
    #[must_use]
    pub fn key(&self, key: &str) -> String {
        format!("{}{key}", self.settings.key_prefix)
    }

    /// One command.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Unanswered> {
        self.bounded(|mut connection| async move { command.query_async(&mut connection).await })
            .await
    }

    /// One script, which takes effect as a whole or not at all.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub async fn run<T: FromRedisValue>(&self, script: &ScriptInvocation<'_>) -> Result<T, Unanswered> {
        self.bounded(|mut connection| async move { script.invoke_async(&mut connection).await })
            .await
    }

    async fn bounded<T, F>(&self, work: impl FnOnce(MultiplexedConnection) -> F) -> Result<T, Unanswered>
    where
        F: Future<Output = RedisResult<T>>,
    {
        let cell = self.open()?;
        let connection = cell.get_or_try_init(|| self.connect()).await?.clone();
        match tokio::time::timeout(self.settings.answer_timeout, work(connection)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.judge(&cell, &error);
                Err(Unanswered(format!("redis: {error}")))
            }
            // The connection may be dead without anybody saying so.
            Err(_) => {
                self.forget(&cell);
                self.pause();
                let waited = self.settings.answer_timeout;
                Err(Unanswered(format!("redis was silent for {waited:?}")))
            }
        }
    }

    /// The present connection, or the place for it.
    fn open(&self) -> Result<Arc<OnceCell<MultiplexedConnection>>, Unanswered> {
        self.refuse_while_silent()?;
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(Arc::clone(&state.connection))
    }

    fn refuse_while_silent(&self) -> Result<(), Unanswered> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.silent_until.is_some_and(|until| Instant::now() < until) {
            return Err(Unanswered("redis did not answer a moment ago".to_owned()));
        }
        Ok(())
    }

    /// One caller does this while others wait for it. When it fails they come here one after another, and must not each wait
    /// for the server again: so the pause begins in here, and is looked at in here.
    async fn connect(&self) -> Result<MultiplexedConnection, Unanswered> {
        self.refuse_while_silent()?;
        // The connection's own bound on answers is left out: it would leave a connection in use that may be dead.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.settings.connect_timeout))
            .set_response_timeout(None);
        let connecting = self.client.get_multiplexed_async_connection_with_config(&config);
        // The handshake after the connection has no bound of its own.
        let reason = match tokio::time::timeout(self.settings.connect_timeout, connecting).await {
            Ok(Ok(connection)) => return Ok(connection),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("silent for {:?}", self.settings.connect_timeout),
        };
        self.pause();
        Err(Unanswered(format!("redis cannot be reached: {reason}")))
    }

    /// A connection that broke is made anew by the next call; an answer that is an error leaves it as it is.
    fn judge(&self, cell: &Arc<OnceCell<MultiplexedConnection>>, error: &RedisError) {
        if error.is_io_error() || error.is_unrecoverable_error() {
            self.forget(cell);
        }
    }

    fn forget(&self, cell: &Arc<OnceCell<MultiplexedConnection>>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have done so already, and then the present one is another.
        if Arc::ptr_eq(&state.connection, cell) {
            state.connection = Arc::new(OnceCell::new());
        }
    }

    fn pause(&self) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.silent_until = Some(Instant::now() + self.settings.pause_after_silence);
    }
}

/// Longest time that anything is kept; Redis refuses points in time that do not fit its numbers.
const TTL_MAX: Duration = Duration::from_hours(24 * 3_650);

/// A time to live as Redis takes it, in milliseconds; 0 is over at once, which Redis would refuse.
#[must_use]
pub fn ttl_ms(ttl: Duration) -> u64 {
    u64::try_from(ttl.min(TTL_MAX).as_millis()).unwrap_or(u64::MAX)
}
