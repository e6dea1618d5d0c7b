//! Sessions of this process, which end with it.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;

use super::{Handle, Realm, Session, SessionError, Sessions};

/// Sessions that are kept; further ones are refused, since to forget one would sign somebody out.
const SESSIONS_MAX: usize = 100_000;

/// See the module.
pub struct MemorySessions {
    /// Std's Mutex: nothing waits while it is held.
    kept: Mutex<Kept>,
    sessions_max: usize,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<(Realm, Handle), Session>,
    /// In the order in which they began.
    of_users: HashMap<(Realm, String), Vec<Handle>>,
}

impl MemorySessions {
    /// Without any.
    #[must_use]
    pub fn new() -> Self {
        Self::keeping(SESSIONS_MAX)
    }

    /// Without any, and for so many at most.
    #[must_use]
    pub fn keeping(sessions_max: usize) -> Self {
        Self {
            kept: Mutex::default(),
            sessions_max,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for MemorySessions {
    fn default() -> Self {
        Self::new()
    }
}

impl Kept {
    fn of(&self, realm: &Realm, user: &str) -> Vec<Session> {
        let handles = self.of_users.get(&(realm.clone(), user.to_owned()));
        let find = |handle: &Handle| self.sessions.get(&(realm.clone(), handle.clone())).cloned();
        handles.into_iter().flatten().filter_map(find).collect()
    }

    fn insert(&mut self, realm: &Realm, session: &Session) {
        let owner = (realm.clone(), session.user.clone());
        let handles = self.of_users.entry(owner).or_default();
        handles.push(session.handle.clone());
        let key = (realm.clone(), session.handle.clone());
        self.sessions.insert(key, session.clone());
    }

    fn remove(&mut self, realm: &Realm, handle: &Handle) {
        let Some(session) = self.sessions.remove(&(realm.clone(), handle.clone())) else {
            return;
        };
        let owner = (realm.clone(), session.user);
        if let Some(handles) = self.of_users.get_mut(&owner) {
            handles.retain(|other| other != handle);
            if handles.is_empty() {
                self.of_users.remove(&owner);
            }
        }
    }

    fn remove_all(&mut self, realm: &Realm, sessions: &[Session]) {
        for session in sessions {
            self.remove(realm, &session.handle);
        }
    }

    /// Forgets those that are over, of all users.
    fn sweep(&mut self, now: u64) {
        let over = |(key, session): (&(Realm, Handle), &Session)| session.is_over(now).then(|| key.clone());
        let keys: Vec<_> = self.sessions.iter().filter_map(over).collect();
        for (realm, handle) in keys {
            self.remove(&realm, &handle);
        }
    }
}

#[async_trait]
impl Sessions for MemorySessions {
    async fn begin(&self, realm: &Realm, session: &Session, per_user_max: usize) -> Result<(), SessionError> {
        let mut kept = self.kept();
        let now = session.created_at;
        let (over, alive): (Vec<_>, Vec<_>) = kept
            .of(realm, &session.user)
            .into_iter()
            .partition(|other| other.is_over(now));
        kept.remove_all(realm, &over);
        let too_many = (alive.len() + 1).saturating_sub(per_user_max);
        kept.remove_all(realm, alive.get(..too_many).unwrap_or(&alive));
        if kept.sessions.len() >= self.sessions_max {
            kept.sweep(now);
        }
        if kept.sessions.len() >= self.sessions_max {
            return Err(SessionError(format!("{} are kept already", self.sessions_max)));
        }
        kept.insert(realm, session);
        Ok(())
    }

    async fn touch(
        &self,
        realm: &Realm,
        handle: &Handle,
        now: u64,
        idle: Duration,
    ) -> Result<Option<Session>, SessionError> {
        let mut kept = self.kept();
        let found = kept.sessions.get_mut(&(realm.clone(), handle.clone()));
        Ok(found.filter(|session| !session.is_over(now)).map(|session| {
            session.see(now, idle);
            session.clone()
        }))
    }

    async fn list(&self, realm: &Realm, user: &str, now: u64) -> Result<Vec<Session>, SessionError> {
        let mut sessions = self.kept().of(realm, user);
        sessions.retain(|session| !session.is_over(now));
        Ok(sessions)
    }

    async fn end(&self, realm: &Realm, user: &str, handle: &Handle) -> Result<bool, SessionError> {
        let mut kept = self.kept();
        let sessions = kept.of(realm, user);
        let is_theirs = sessions.iter().any(|session| session.handle == *handle);
        if is_theirs {
            kept.remove(realm, handle);
        }
        Ok(is_theirs)
    }

    async fn end_all(&self, realm: &Realm, user: &str, now: u64) -> Result<usize, SessionError> {
        let mut kept = self.kept();
        let sessions = kept.of(realm, user);
        kept.remove_all(realm, &sessions);
        Ok(sessions.iter().filter(|session| !session.is_over(now)).count())
    }
}
