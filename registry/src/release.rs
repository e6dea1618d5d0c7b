//! A component with its manifest, as it is published: checked once when it comes in, immutable from then on.
//!
//! The manifest asks and the binary must not take more: an import that no permission covers, or that the host does not
//! know, is refused by name before any of the component's code runs.

mod binary;
mod interfaces;
mod signature;

use indexmap::IndexMap;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::Error;
use crate::id::Digest;
use crate::key::PublicKey;
use crate::manifest::{Manifest, Permission};

pub use self::binary::{Interfaces, embed};
pub(crate) use self::interfaces::{serves, versioned};
pub use self::signature::{is_signed, sign};

/// Largest component, in bytes.
pub const RELEASE_BYTES_MAX: usize = 64 << 20;

/// What there is to know of a release without opening it: enough for lists and for choosing.
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
    /// With which key it is signed.
    pub key: Option<PublicKey>,
    /// What people call it.
    pub title: Option<String>,
    /// One sentence.
    pub description: String,
    /// SPDX expression.
    pub licence: String,
    /// What is new in it, in lines of text.
    pub changelog: Option<String>,
    /// Where the marketplace lists it.
    pub categories: Vec<String>,
    /// What it may touch beyond its own.
    pub permissions: Vec<Permission>,
    /// Components that it needs beside it.
    pub dependencies: IndexMap<String, VersionReq>,
    /// What its code exports, in order.
    pub exports: Vec<String>,
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
    /// What its code exports, in order.
    pub exports: Vec<String>,
    /// How many bytes.
    pub size_bytes: u64,
    /// Who published it, as the manifest says.
    pub publisher: String,
    /// The key with which that publisher signed these bytes, held against them; nothing when they are not signed. Whether
    /// the key is trusted here is for [`crate::trust`] to say.
    pub key: Option<PublicKey>,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub published_at_ms: u64,
}

impl Release {
    /// Reads a component from anybody and checks all of it: that it is valid WebAssembly, that it has a consistent
    /// manifest, that a signature holds if there is one, that it imports no more than the manifest allows and exports what
    /// that promises.
    ///
    /// Takes CPU time in proportion to the size, up to about a second: not for an async worker thread.
    ///
    /// # Errors
    /// [`Error::TooLarge`], [`Error::NotComponent`], [`Error::ManifestSections`], those of [`Manifest::parse`],
    /// [`Error::SignatureInvalid`], [`Error::PublisherMismatch`], [`Error::ImportsRefused`], [`Error::ExportsMissing`].
    pub fn read(bytes: &[u8], published_at_ms: u64) -> Result<Self, Error> {
        if bytes.len() > RELEASE_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "component",
                bytes: bytes.len(),
                bytes_max: RELEASE_BYTES_MAX,
            });
        }
        binary::validate(bytes)?;
        let release = Self::read_again(bytes, published_at_ms)?;
        let interfaces = binary::interfaces(bytes)?;
        interfaces::check_imports(&interfaces.imports, &release.manifest)?;
        interfaces::check_exports(&release.exports, &release.manifest)?;
        Ok(release)
    }

    /// Reads a component whose code was checked when it was published; the signature is held against the bytes again.
    pub(crate) fn read_again(bytes: &[u8], published_at_ms: u64) -> Result<Self, Error> {
        let manifest = binary::manifest(bytes)?;
        Ok(Self {
            name: manifest.name.clone(),
            version: manifest.version.clone(),
            digest: Digest::of(bytes),
            publisher: manifest.publisher.clone(),
            key: signature::verified(bytes, &manifest.publisher)?,
            exports: binary::interfaces(bytes)?.exports,
            size_bytes: bytes.len() as u64,
            published_at_ms,
            manifest,
        })
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
            key: self.key,
            title: self.manifest.title.clone(),
            description: self.manifest.description.clone(),
            licence: self.manifest.licence.clone(),
            changelog: self.manifest.changelog.clone(),
            categories: self.manifest.categories.clone(),
            permissions: self.manifest.permissions.clone(),
            dependencies: self.manifest.dependencies.clone(),
            exports: self.exports.clone(),
            published_at_ms: self.published_at_ms,
        }
    }
}

/// What a component imports and exports, in order.
///
/// # Errors
/// [`Error::NotComponent`].
pub fn interfaces(component: &[u8]) -> Result<Interfaces, Error> {
    binary::interfaces(component)
}

#[cfg(test)]
pub(crate) mod tests;
