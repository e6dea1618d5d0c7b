//! What a component says about itself in `plugin.yaml`, embedded in it as the custom section `millwork:manifest`.
//!
//! Types only say the shape; [`Manifest::parse`] is the one door, and what comes out of it is consistent: every name
//! that is referred to exists, every collection has one projection that writes it, every schema compiles.

mod bucket;
mod caching;
mod check;
mod command;
mod host_pattern;
mod index;
mod number;
mod permission;
mod read_model;
mod reference;
mod route;
mod schema;
mod subscription;
mod upcast;

use indexmap::IndexMap;
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

pub use self::bucket::{BUCKET_NAME_BYTES_MAX, Bucket, Lifetime};
pub use self::caching::{CacheRule, Ttl};
pub use self::command::{Aggregate, Command, Fact, Related};
pub use self::host_pattern::HostPattern;
pub use self::index::{Index, IndexField, IndexKind};
pub use self::number::Number;
pub use self::permission::{Permission, QualifiedName};
pub use self::read_model::{Collection, Projection, Query, View};
pub use self::reference::Reference;
pub use self::route::{Action, Method, Route};
pub use self::schema::{Schema, compile};
pub use self::subscription::{Subscription, published_event};
pub use self::upcast::{Upcast, Upcasts};

use crate::Error;

/// Longest manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = 256 << 10;
/// How deep mappings and lists of a manifest may stand in each other.
pub const MANIFEST_DEPTH_MAX: usize = 32;

/// A whole `plugin.yaml`. Unknown keys are errors that name the key, so that a typing mistake grants nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    /// Version of this format: 1.
    pub manifest: u32,
    /// Name of the component: lowercase letters, digits and hyphens, at most 40, starting with a letter.
    pub name: String,
    /// Version of the component.
    pub version: Version,
    /// Who publishes it, in the form of a component's name; who signs the component has this name too.
    pub publisher: String,
    /// What people call it; its name when absent.
    #[serde(default)]
    pub title: Option<String>,
    /// One sentence for the marketplace.
    pub description: String,
    /// What is new in this version, for people: lines of text.
    #[serde(default)]
    pub changelog: Option<String>,
    /// Where the marketplace lists it, each in the form of a component's name.
    #[serde(default)]
    pub categories: Vec<String>,
    /// SPDX expression.
    pub licence: String,
    /// What the component may touch beyond its own aggregates.
    #[serde(default)]
    pub permissions: Vec<Permission>,
    /// Components that must be enabled beside this one, with the versions that will do.
    #[serde(default)]
    pub dependencies: IndexMap<String, VersionReq>,
    /// Schema of the tenant's configuration; its `default`s fill what the tenant leaves out.
    #[serde(default)]
    pub config: Option<Schema>,
    /// Shared definitions for the schemas below.
    #[serde(default)]
    pub schemas: IndexMap<String, Schema>,
    /// Consistency boundaries, by name.
    #[serde(default)]
    pub aggregates: IndexMap<String, Aggregate>,
    /// Where documents are kept, by name.
    #[serde(default)]
    pub collections: IndexMap<String, Collection>,
    /// What can be searched by its text, by name.
    #[serde(default)]
    pub indexes: IndexMap<String, Index>,
    /// Where blobs are kept, by name.
    #[serde(default)]
    pub buckets: IndexMap<String, Bucket>,
    /// What turns events into documents, by name.
    #[serde(default)]
    pub projections: IndexMap<String, Projection>,
    /// Questions that the host answers from documents, by name.
    #[serde(default)]
    pub views: IndexMap<String, View>,
    /// Questions that the component answers, by name.
    #[serde(default)]
    pub queries: IndexMap<String, Query>,
    /// Events that the component publishes under its own name, each with the schema of its data where there is one.
    #[serde(default)]
    pub publishes: IndexMap<String, Option<Schema>>,
    /// Reactions to events, by name.
    #[serde(default)]
    pub subscriptions: IndexMap<String, Subscription>,
    /// What each role may do beside the host's own roles `admin`, `editor` and `viewer`: role to permissions of routes.
    #[serde(default)]
    pub roles: IndexMap<String, Vec<String>>,
    /// Where all this is reached over HTTP, below `/api/v1`.
    #[serde(default)]
    pub routes: Vec<Route>,
}

impl Manifest {
    /// Reads a manifest and holds all of it against itself.
    ///
    /// YAML 1.2 booleans only (`no` is a text); no anchors, aliases, merge keys, tags or repeated keys.
    ///
    /// # Errors
    /// [`Error::ManifestSyntax`] with line and column, or [`Error::ManifestInvalid`] with every contradiction found.
    pub fn parse(yaml: &str) -> Result<Self, Error> {
        if yaml.len() > MANIFEST_BYTES_MAX {
            return Err(Error::ManifestSyntax(format!(
                "longer than {MANIFEST_BYTES_MAX} bytes"
            )));
        }
        let manifest: Self = serde_saphyr::from_str_with_options(yaml, strict())
            .map_err(|error| Error::ManifestSyntax(error.to_string()))?;
        let problems = check::problems(&manifest);
        if problems.0.is_empty() {
            Ok(manifest)
        } else {
            Err(Error::ManifestInvalid(problems))
        }
    }

    /// A command by name, with the name of the aggregate it belongs to.
    #[must_use]
    pub fn command(&self, name: &str) -> Option<(&str, &Command)> {
        self.commands()
            .find(|(_, found, _)| *found == name)
            .map(|(aggregate, _, command)| (aggregate, command))
    }

    /// Every command: aggregate, name, declaration.
    pub fn commands(&self) -> impl Iterator<Item = (&str, &str, &Command)> {
        self.aggregates.iter().flat_map(|(aggregate, declared)| {
            declared
                .commands
                .iter()
                .map(|(name, command)| (aggregate.as_str(), name.as_str(), command))
        })
    }

    /// Every event: aggregate, name, schema of its data where there is one.
    pub fn events(&self) -> impl Iterator<Item = (&str, &str, Option<&Schema>)> {
        self.aggregates.iter().flat_map(|(aggregate, declared)| {
            declared
                .events
                .iter()
                .map(|(name, schema)| (aggregate.as_str(), name.as_str(), schema.as_ref()))
        })
    }

    /// What callers need for reading unless a view or query says otherwise: `<module>.read`.
    #[must_use]
    pub fn read_permission(&self) -> String {
        format!("{}.read", self.name)
    }

    /// What callers need for commands unless a command says otherwise: `<module>.write`.
    #[must_use]
    pub fn write_permission(&self) -> String {
        format!("{}.write", self.name)
    }
}

/// Everything that could make a manifest mean something else to another reader is refused.
fn strict() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: MANIFEST_DEPTH_MAX,
            flow_nesting_limit: MANIFEST_DEPTH_MAX,
            max_documents: 1,
            max_aliases: 0,
            max_anchors: 0,
            max_total_scalar_bytes: MANIFEST_BYTES_MAX,
        },
        duplicate_keys: serde_saphyr::DuplicateKeyPolicy::Error,
        merge_keys: serde_saphyr::MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        reject_tagged_field_names: true,
        with_snippet: false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
