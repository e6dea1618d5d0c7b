//! Whose releases this installation of the host takes: public keys, each trusted for one publisher's name.
//!
//! Kept in one record, `registry/trust.json`, and read at each use, so that what one host is told binds all others at once.
//! A revocation is for ever: what the key signed neither publishes nor loads again, and the publisher goes on with another
//! key. An operator decides both; several keys may be trusted for one publisher.

use std::sync::Arc;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::id::check_name;
use crate::key::{KeyId, PublicKey};
use crate::release::{Release, Summary};
use crate::store::{Store, check_size, json, parse};

/// Name of the record.
const RECORD: &str = "registry/trust.json";
/// Largest record, in bytes: some thousand keys.
const TRUST_BYTES_MAX: usize = 1 << 20;
/// How often a change is tried; each that fails means that another host was faster.
const CHANGES_TRIED_MAX: u32 = 100;
/// Longest reason for a revocation, in characters.
const REASON_CHARS_MAX: usize = 300;

/// A key and what this installation thinks of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct TrustedKey {
    /// Whose it is.
    pub publisher: String,
    /// The key.
    pub key: PublicKey,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub trusted_at_ms: u64,
    /// Set when it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Revocation>,
}

/// When and why a key was revoked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Revocation {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// What the operator gave as the reason.
    pub reason: String,
}

/// The list of keys of a store. Its functions block.
#[derive(Debug)]
pub struct Trust {
    store: Arc<dyn Store>,
}

/// The list as it was at one moment, for those who ask it about many releases.
#[derive(Debug, Clone)]
pub struct TrustedKeys(Vec<TrustedKey>);

impl Trust {
    /// The list of a store; one without any trusts nobody.
    pub(crate) fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// All keys as they are now.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub fn keys(&self) -> Result<TrustedKeys, Error> {
        let stored = self.store.read(RECORD, TRUST_BYTES_MAX)?;
        read(stored.as_deref()).map(TrustedKeys)
    }

    /// Trusts a key for a publisher. Once more changes nothing.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::PublisherMismatch`] when it is another publisher's; [`Error::KeyRevoked`];
    /// [`Error::TooLarge`] when there are too many; those of the store.
    pub fn trust(&self, publisher: &str, key: PublicKey, now_ms: u64) -> Result<TrustedKey, Error> {
        check_name("publisher", publisher)?;
        self.change(|keys| {
            if let Some(known) = keys.iter().find(|known| known.key == key) {
                known.check(publisher)?;
                return Ok(known.clone());
            }
            let new = TrustedKey {
                publisher: publisher.to_owned(),
                key,
                trusted_at_ms: now_ms,
                revoked: None,
            };
            keys.push(new.clone());
            Ok(new)
        })
    }

    /// Revokes a key for ever; no host takes it once this returns. Once more changes nothing: the first reason stays.
    ///
    /// # Errors
    /// [`Error::NoKey`]; [`Error::Form`] when the reason is no line of text; those of the store.
    pub fn revoke(&self, id: &KeyId, reason: &str, now_ms: u64) -> Result<TrustedKey, Error> {
        check_reason(reason)?;
        self.change(|keys| {
            let known = keys.iter_mut().find(|known| known.key.id() == *id);
            let known = known.ok_or_else(|| Error::NoKey(id.clone()))?;
            known.revoked.get_or_insert_with(|| Revocation {
                at_ms: now_ms,
                reason: reason.to_owned(),
            });
            Ok(known.clone())
        })
    }

    /// Whether this installation takes the release now: signed, with a key that is trusted for its publisher.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::PublisherUnknown`], [`Error::PublisherMismatch`], [`Error::KeyRevoked`]; those of
    /// [`Trust::keys`].
    pub fn check(&self, release: &Release) -> Result<(), Error> {
        let keys = self.keys()?;
        keys.check(&release.name, &release.version, &release.publisher, release.key)
    }

    /// Changes the list as it is when the change is written, and gives what the change gives.
    fn change(
        &self,
        change: impl Fn(&mut Vec<TrustedKey>) -> Result<TrustedKey, Error>,
    ) -> Result<TrustedKey, Error> {
        for _ in 0..CHANGES_TRIED_MAX {
            let stored = self.store.read(RECORD, TRUST_BYTES_MAX)?;
            let before = read(stored.as_deref())?;
            let mut keys = before.clone();
            let changed = change(&mut keys)?;
            if keys == before {
                return Ok(changed);
            }
            let bytes = json(&keys, RECORD)?;
            check_size("list of trusted keys", &bytes, TRUST_BYTES_MAX)?;
            if self.store.replace_if(RECORD, stored.as_deref(), &bytes)? {
                return Ok(changed);
            }
        }
        let busy = "the list of trusted keys is changed all the time";
        Err(Error::Unavailable(busy.to_owned()))
    }
}

impl TrustedKeys {
    /// Each, in the order in which they were trusted, revoked ones too.
    #[must_use]
    pub fn all(&self) -> &[TrustedKey] {
        &self.0
    }

    /// As [`Trust::check`], by what the record of a release says of it: for lists. Whoever runs it asks that.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::PublisherUnknown`], [`Error::PublisherMismatch`], [`Error::KeyRevoked`].
    pub fn check_summary(&self, summary: &Summary) -> Result<(), Error> {
        self.check(&summary.name, &summary.version, &summary.publisher, summary.key)
    }

    fn check(
        &self,
        name: &str,
        version: &Version,
        publisher: &str,
        key: Option<PublicKey>,
    ) -> Result<(), Error> {
        let key = key.ok_or_else(|| Error::Unsigned {
            name: name.to_owned(),
            version: version.clone(),
        })?;
        let known = self.0.iter().find(|known| known.key == key);
        let known = known.ok_or_else(|| Error::PublisherUnknown {
            publisher: publisher.to_owned(),
            key,
        })?;
        known.check(publisher)
    }
}

fn read(stored: Option<&[u8]>) -> Result<Vec<TrustedKey>, Error> {
    stored.map_or(Ok(Vec::new()), |bytes| parse(RECORD, bytes))
}

impl TrustedKey {
    /// Whether it may sign for this publisher.
    fn check(&self, publisher: &str) -> Result<(), Error> {
        if self.publisher != publisher {
            return Err(Error::PublisherMismatch {
                key: self.key.id(),
                owner: self.publisher.clone(),
                publisher: publisher.to_owned(),
            });
        }
        match &self.revoked {
            Some(revoked) => Err(Error::KeyRevoked {
                publisher: self.publisher.clone(),
                key: self.key.id(),
                reason: revoked.reason.clone(),
            }),
            None => Ok(()),
        }
    }
}

/// Reasons are shown in one line to those whom they stop.
pub(crate) fn check_reason(reason: &str) -> Result<(), Error> {
    let length = reason.chars().count();
    if (1..=REASON_CHARS_MAX).contains(&length) && !reason.chars().any(char::is_control) {
        return Ok(());
    }
    Err(Error::Form {
        what: "reason",
        text: reason.chars().take(REASON_CHARS_MAX).collect(),
        expected: "one line of 1 to 300 characters",
    })
}

#[cfg(test)]
mod tests;
