//! Whose releases this installation of the host takes: public keys, each trusted for one publisher's name.
//!
//! Kept in one file, `trust.json`. A revocation is for ever: what the key signed neither publishes nor loads again, and
//! the publisher goes on with another key. An operator decides both; several keys may be trusted for one publisher.

use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::files;
use crate::id::check_name;
use crate::key::{KeyId, PublicKey};
use crate::release::{Release, Summary};

/// Name of the file, in the folder of the registry.
const FILE: &str = "trust.json";
/// Largest file, in bytes: some thousand keys.
const TRUST_BYTES_MAX: usize = 1 << 20;
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

/// The list of keys, on disk and in memory. Its functions block.
#[derive(Debug)]
pub struct Trust {
    path: PathBuf,
    /// In the order in which they were trusted. Held over a write of the file too, so that none is lost.
    keys: RwLock<Vec<TrustedKey>>,
}

impl Trust {
    /// Reads the list from the folder; a folder without one trusts nobody.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`].
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(FILE);
        let keys = files::read_json(&path, TRUST_BYTES_MAX)?.unwrap_or_default();
        Ok(Self {
            path,
            keys: RwLock::new(keys),
        })
    }

    /// All keys, in the order in which they were trusted, revoked ones too.
    #[must_use]
    pub fn list(&self) -> Vec<TrustedKey> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Trusts a key for a publisher. Once more changes nothing.
    ///
    /// # Errors
    /// [`Error::Name`]; [`Error::PublisherMismatch`] when it is another publisher's; [`Error::KeyRevoked`];
    /// [`Error::TooLarge`] when there are too many; [`Error::Io`].
    pub fn trust(&self, publisher: &str, key: PublicKey, now_ms: u64) -> Result<TrustedKey, Error> {
        check_name("publisher", publisher)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
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
        let next = [keys.as_slice(), std::slice::from_ref(&new)].concat();
        self.write(&next)?;
        *keys = next;
        Ok(new)
    }

    /// Revokes a key for ever. Once more changes nothing: the first reason stays.
    ///
    /// # Errors
    /// [`Error::NoKey`]; [`Error::Form`] when the reason is no line of text; [`Error::Io`].
    pub fn revoke(&self, id: &KeyId, reason: &str, now_ms: u64) -> Result<TrustedKey, Error> {
        check_reason(reason)?;
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let mut next = keys.clone();
        let known = next.iter_mut().find(|known| known.key.id() == *id);
        let known = known.ok_or_else(|| Error::NoKey(id.clone()))?;
        if known.revoked.is_none() {
            known.revoked = Some(Revocation {
                at_ms: now_ms,
                reason: reason.to_owned(),
            });
        }
        let revoked = known.clone();
        self.write(&next)?;
        *keys = next;
        Ok(revoked)
    }

    /// Whether this installation takes the release: signed, with a key that is trusted for its publisher.
    ///
    /// # Errors
    /// [`Error::Unsigned`], [`Error::PublisherUnknown`], [`Error::PublisherMismatch`], [`Error::KeyRevoked`].
    pub fn check(&self, release: &Release) -> Result<(), Error> {
        self.check_signer(&release.name, &release.version, &release.publisher, release.key)
    }

    /// The same, by what the record of a release says of it: for lists. Whoever runs it asks [`Trust::check`].
    ///
    /// # Errors
    /// As for [`Trust::check`].
    pub fn check_summary(&self, summary: &Summary) -> Result<(), Error> {
        self.check_signer(&summary.name, &summary.version, &summary.publisher, summary.key)
    }

    fn check_signer(
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
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let known = keys.iter().find(|known| known.key == key);
        let known = known.ok_or_else(|| Error::PublisherUnknown {
            publisher: publisher.to_owned(),
            key,
        })?;
        known.check(publisher)
    }

    fn write(&self, keys: &[TrustedKey]) -> Result<(), Error> {
        let json = files::json(&keys, &self.path)?;
        if json.len() > TRUST_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "list of trusted keys",
                bytes: json.len(),
                bytes_max: TRUST_BYTES_MAX,
            });
        }
        files::replace(&self.path, &json)
    }
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
