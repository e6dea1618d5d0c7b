//! Withdrawing a release: a mark `<version>.yanked` beside its record.
//!
//! A yanked release is not enabled anew and never the latest; where it is installed it goes on serving, after a restart
//! too. Unlike a revoked key it says that the release is bad, not that it may be somebody else's.

use semver::Version;
use serde::{Deserialize, Serialize};

use super::Catalog;
use crate::Error;
use crate::store::{json, read_json};
use crate::trust::check_reason;

/// Largest mark, in bytes.
const MARK_BYTES_MAX: usize = 4 << 10;

/// When and why a release was withdrawn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Yank {
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub at_ms: u64,
    /// What the operator gave as the reason.
    pub reason: String,
}

impl Yank {
    pub(super) fn error(&self, name: &str, version: &Version) -> Error {
        Error::Yanked {
            name: name.to_owned(),
            version: version.clone(),
            reason: self.reason.clone(),
        }
    }
}

impl Catalog {
    /// Withdraws a release. Once more changes nothing: the first reason stays.
    ///
    /// # Errors
    /// [`Error::NoRelease`]; [`Error::Form`] when the reason is no line of text; those of the store.
    pub fn yank(&self, name: &str, version: &Version, reason: &str, now_ms: u64) -> Result<Yank, Error> {
        check_reason(reason)?;
        self.summary(name, version)?;
        let yank = Yank {
            at_ms: now_ms,
            reason: reason.to_owned(),
        };
        let mark = mark_name(name, version);
        if self.store.create(&mark, &json(&yank, &mark)?)? {
            return Ok(yank);
        }
        Ok(self.yanked(name, version)?.unwrap_or(yank))
    }

    /// Takes a yank back. Where there is none, nothing changes.
    ///
    /// # Errors
    /// [`Error::NoRelease`]; those of the store.
    pub fn unyank(&self, name: &str, version: &Version) -> Result<(), Error> {
        self.summary(name, version)?;
        self.store.remove(&mark_name(name, version))
    }

    /// Whether the release, which exists, was withdrawn.
    ///
    /// # Errors
    /// [`Error::Damaged`]; those of the store.
    pub(super) fn yanked(&self, name: &str, version: &Version) -> Result<Option<Yank>, Error> {
        read_json(&*self.store, &mark_name(name, version), MARK_BYTES_MAX)
    }
}

/// The mark's name in the folder of the component.
pub(super) fn mark_of(version: &Version) -> String {
    format!("{version}.yanked")
}

pub(super) fn mark_name(name: &str, version: &Version) -> String {
    format!("{}/{}", super::folder(name), mark_of(version))
}
