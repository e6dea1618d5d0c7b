//! Who is signed in: sessions, which end when they are not used, when they have lasted long enough, and when somebody ends
//! them. For the host alone; no component reaches them.
//!
//! A session is kept under its [`Handle`], the SHA-256 of its id, and the id is kept nowhere: who reads the store, a backup
//! of it or a list of sessions cannot act for anybody. A hash without salt is enough, since an id has 256 bits of randomness,
//! which nobody guesses. So the handle may be shown, and is what sessions are called by those who end them.
//!
//! Nothing is remembered above a backend: a session that was ended is ended for every host at once. Times come in, in
//! milliseconds since 1970.

pub mod memory;
pub mod redis;

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use millwork_registry::generation::TenantRecord;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// The sessions cannot be reached, or no more can be kept, so nothing is known of any: nobody is let in by one, and nobody
/// is told that theirs has ended.
#[derive(Debug, thiserror::Error)]
#[error("sessions: {0}")]
pub struct SessionError(pub String);

/// Where one signs in: a tenant, in this of its lives. The sessions of one that had its id before are nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Realm(String);

impl Realm {
    /// That of the tenant with this record.
    #[must_use]
    pub fn of(record: &TenantRecord) -> Self {
        Self(match &record.life {
            Some(life) => format!("{}.{life}", record.id),
            None => record.id.to_string(),
        })
    }
}

impl fmt::Display for Realm {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str(&self.0)
    }
}

/// What a session is kept under and called by; see the module. 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Handle(String);

impl Handle {
    /// That of the session with this id.
    #[must_use]
    pub fn of(id: &str) -> Self {
        Self(hex::encode(Sha256::digest(id.as_bytes())))
    }

    /// One that somebody names; nothing when it has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        (text.len() == 64 && text.bytes().all(digit)).then(|| Self(text.to_owned()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A session: what the credential said that began it, and how long it lasts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// See the module.
    pub handle: Handle,
    /// Who is signed in.
    pub user: String,
    /// What they may do.
    pub roles: Vec<String>,
    /// What they call it, to tell it from their others.
    pub label: String,
    /// When it began.
    pub created_at: u64,
    /// When it was last used.
    pub seen_at: u64,
    /// When it ends unless it is used before.
    pub expires_at: u64,
    /// When it ends however it is used; never before `expires_at`.
    pub ends_at: u64,
}

impl Session {
    /// Whether it has ended by itself.
    #[must_use]
    pub fn is_over(&self, now: u64) -> bool {
        self.expires_at <= now
    }

    /// Notes that it is used, and may then be unused for so long.
    pub fn see(&mut self, now: u64, idle: Duration) {
        self.seen_at = now;
        self.expires_at = now.saturating_add(milliseconds(idle)).min(self.ends_at);
    }
}

/// See the module.
#[async_trait]
pub trait Sessions: Send + Sync + 'static {
    /// Keeps a session that begins when it says it was created. Where its user then has more than so many, the oldest end.
    ///
    /// # Errors
    /// [`SessionError`]; it may be kept all the same, under a handle that nobody was given the id of.
    async fn begin(&self, realm: &Realm, session: &Session, per_user_max: usize) -> Result<(), SessionError>;

    /// The session, which is used by this and may then be unused for so long; nothing when it has ended or never was.
    ///
    /// # Errors
    /// [`SessionError`].
    async fn touch(
        &self,
        realm: &Realm,
        handle: &Handle,
        now: u64,
        idle: Duration,
    ) -> Result<Option<Session>, SessionError>;

    /// A user's sessions, the oldest first.
    ///
    /// # Errors
    /// [`SessionError`].
    async fn list(&self, realm: &Realm, user: &str, now: u64) -> Result<Vec<Session>, SessionError>;

    /// Ends a session of this user; false when they have none of this handle.
    ///
    /// # Errors
    /// [`SessionError`]; it may have ended all the same.
    async fn end(&self, realm: &Realm, user: &str, handle: &Handle) -> Result<bool, SessionError>;

    /// Ends all sessions of a user, and says how many those were.
    ///
    /// # Errors
    /// [`SessionError`]; they may have ended all the same.
    async fn end_all(&self, realm: &Realm, user: &str, now: u64) -> Result<usize, SessionError>;
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}
