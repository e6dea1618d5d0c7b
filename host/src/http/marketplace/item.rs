//! What the marketplace shows of a component, and what that means for the tenant.

use millwork_registry::consent::Told;
use millwork_registry::key::KeyId;
use millwork_registry::manifest::Schema;
use semver::{Version, VersionReq};
use serde::Serialize;
use serde_json::Value;

use crate::error::Reason;
use crate::http::reply;

/// One page of components, by name.
#[derive(Debug, Serialize)]
pub(super) struct Page {
    pub(super) items: Vec<Item>,
    /// Give it as `cursor` for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

/// A component, as its newest release that can be enabled describes it; else as the one that the tenant runs does.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Item {
    pub(super) name: String,
    /// Its name where its publisher gives no title.
    pub(super) title: String,
    pub(super) description: String,
    pub(super) publisher: String,
    /// Whether the publisher's key is trusted by this host.
    pub(super) trusted: bool,
    pub(super) categories: Vec<String>,
    pub(super) licence: String,
    /// The version that is described.
    pub(super) version: Version,
    pub(super) size_bytes: u64,
    #[serde(serialize_with = "reply::rfc3339")]
    pub(super) published_at: u64,
    pub(super) permissions: Vec<Told>,
    /// Absent where the tenant does not have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) installed: Option<Installed>,
    /// Number of the swap under way that is about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) swap: Option<u64>,
}

/// How the tenant has it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Installed {
    pub(super) version: Version,
    /// The range that the tenant asked for, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) wanted: Option<VersionReq>,
    #[serde(serialize_with = "reply::rfc3339")]
    pub(super) enabled_at: u64,
    /// The version that an upgrade without a version leads to, if to another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) upgrade: Option<Version>,
    /// The newest version, whatever range is wanted, if it is newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) newer: Option<Version>,
    /// Why it does not serve, if it did not load.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) broken: Option<Reason>,
}

/// All that is shown of one component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Details {
    #[serde(flatten)]
    pub(super) item: Item,
    pub(super) key_id: Option<KeyId>,
    pub(super) changelog: Option<String>,
    pub(super) dependencies: Vec<Dependency>,
    pub(super) exports: Vec<String>,
    /// The newest first.
    pub(super) versions: Vec<Release>,
    /// Versions in all.
    pub(super) version_count: usize,
    /// The swap under way that is about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) under_way: Option<Value>,
    /// For the tenant's admins, where it is enabled.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) configuration: Option<Configuration>,
}

/// What a component needs beside it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) range: VersionReq,
    /// The version that the tenant has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) installed: Option<Version>,
}

/// One version of a component.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Release {
    pub(super) version: Version,
    #[serde(serialize_with = "reply::rfc3339")]
    pub(super) published_at: u64,
    pub(super) size_bytes: u64,
    pub(super) digest: String,
    pub(super) changelog: Option<String>,
    /// Why it was withdrawn, if it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) yanked: Option<String>,
    /// Why this host does not take it, if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Reason>,
    /// What it asks for and the tenant has not granted.
    pub(super) asks: Vec<Told>,
}

/// How a component is set.
#[derive(Debug, Serialize)]
pub(super) struct Configuration {
    /// As the tenant gave it.
    pub(super) given: Value,
    /// JSON Schema of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) schema: Option<Schema>,
}
