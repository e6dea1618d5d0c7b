//! A component with its manifest, as it is published: checked once when it comes in, immutable from then on.
//!
//! The manifest asks and the binary must not take more: an import that no permission covers, or that the host does not
//! know, is refused by name before any of the component's code runs.

mod binary;
mod interfaces;

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::id::Digest;
use crate::manifest::Manifest;

pub use self::binary::embed;

/// Largest component, in bytes.
pub const RELEASE_BYTES_MAX: usize = 64 << 20;

/// What there is to know of a release without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Summary {
    /// The component's name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Of the bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size_bytes: u64,
    /// Who published it, as the manifest says.
    pub publisher: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub published_at_ms: u64,
}

/// A component that may be installed.
#[derive(Debug, Clone)]
pub struct Release {
    /// The component's name.
    pub name: String,
    /// Its version.
    pub version: Version,
    /// Of the bytes.
    pub digest: Digest,
    /// What it says about itself.
    pub manifest: Manifest,
    /// How many bytes.
    pub size_bytes: u64,
    /// Who published it, as the manifest says.
    pub publisher: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub published_at_ms: u64,
}

impl Release {
    /// Reads a component from anybody and checks all of it: that it is valid WebAssembly, that it has a consistent
    /// manifest, that it imports no more than that allows and exports what that promises.
    ///
    /// Takes CPU time in proportion to the size, up to about a second: not for an async worker thread.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NotComponent`], [`Error::ManifestSections`], those of [`Manifest::parse`],
    /// [`Error::ImportsRefused`], [`Error::ExportsMissing`].
    pub fn read(bytes: &[u8], published_at_ms: u64) -> Result<Self, Error> {
        if bytes.len() > RELEASE_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "component",
                bytes: bytes.len(),
                bytes_max: RELEASE_BYTES_MAX,
            });
        }
        binary::validate(bytes)?;
        let interfaces = binary::interfaces(bytes)?;
        let manifest = binary::manifest(bytes)?;
        interfaces::check_imports(&interfaces.imports, &manifest)?;
        interfaces::check_exports(&interfaces.exports, &manifest)?;
        Ok(Self::of(manifest, bytes, published_at_ms))
    }

    /// Reads a component that was checked when it was published.
    pub(crate) fn read_again(bytes: &[u8], published_at_ms: u64) -> Result<Self, Error> {
        Ok(Self::of(binary::manifest(bytes)?, bytes, published_at_ms))
    }

    fn of(manifest: Manifest, bytes: &[u8], published_at_ms: u64) -> Self {
        Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: Digest::of(bytes),
            publisher: manifest.publisher.clone(),
            size_bytes: bytes.len() as u64,
            published_at_ms,
            manifest,
        }
    }

    /// The same without the manifest.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary {
            name: self.name.clone(),
            version: self.version.clone(),
            digest: self.digest.clone(),
            size_bytes: self.size_bytes,
            publisher: self.publisher.clone(),
            published_at_ms: self.published_at_ms,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
