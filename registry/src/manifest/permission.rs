//! What a component may touch, as one line of text each.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bucket::is_bucket_name;
use super::check::form;
use super::host_pattern::HostPattern;
use super::subscription::published_event;
use crate::Error;
use crate::id::check_name;

/// One thing a component may touch, as text: `documents`, `cache`, `search`, `blobs:read:<bucket>`,
/// `blobs:write:<bucket>`, `view:<module>.<View>`, `events:<module>.<Event>`, `events:plugin.<component>.<Event>`, `messages:publish`, `commands:<module>`,
/// `requests:<module>.<Query>`, `http:outbound` or `http:outbound:<host>`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Permission {
    /// Read and write own collections through `millwork:documents`.
    Documents,
    /// Use `millwork:cache`.
    Cache,
    /// Write and search own indexes through `millwork:search`.
    Search,
    /// Read blobs in one of its own buckets through `millwork:blobs`.
    ReadBlobs(String),
    /// Read, write and remove blobs in one of its own buckets.
    WriteBlobs(String),
    /// Read one view of another module as a fact.
    View(QualifiedName),
    /// Project one event of another module.
    Events(QualifiedName),
    /// Receive one event that another component publishes.
    Published(QualifiedName),
    /// Publish events of its own.
    Publish,
    /// Send and execute commands of one module.
    Commands(String),
    /// Ask one query or view of another module.
    Requests(QualifiedName),
    /// Send requests to servers through `wasi:http/outgoing-handler`: to all, or to those of a pattern.
    HttpOutbound(Option<HostPattern>),
}

impl Permission {
    /// What it means for whoever grants it.
    #[must_use]
    pub fn in_words(&self) -> String {
        match self {
            Self::Documents => {
                "keep read models of its own: read and write documents in its own collections".to_owned()
            }
            Self::Cache => {
                "keep data of its own in the cache, from where it may vanish at any time".to_owned()
            }
            Self::Search => {
                "keep documents that can be searched: write and search indexes of its own".to_owned()
            }
            Self::ReadBlobs(bucket) => {
                format!("read files of its own in the bucket {bucket}, and give out links to download them")
            }
            Self::WriteBlobs(bucket) => format!(
                "keep files of its own in the bucket {bucket}, and give out links to upload and download them"
            ),
            Self::View(name) => format!("read {} of the module {} when it decides", name.name, name.module),
            Self::Events(name) => {
                format!(
                    "receive each event {} of the module {}, with its data",
                    name.name, name.module
                )
            }
            Self::Published(name) => {
                format!(
                    "receive each event {} that {} publishes, with its data",
                    name.name, name.module
                )
            }
            Self::Publish => "publish events of its own, which others may receive".to_owned(),
            Self::Commands(module) => format!("do in the module {module} whatever its commands can do"),
            Self::Requests(name) => {
                format!(
                    "ask {} of the module {} and read the answer",
                    name.name, name.module
                )
            }
            Self::HttpOutbound(None) => "send data to any server on the internet".to_owned(),
            Self::HttpOutbound(Some(host)) => format!("send data to {}", host.words()),
        }
    }

    /// Whether who has this one needs not ask for the other.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::HttpOutbound(None), Self::HttpOutbound(_)) => true,
            (Self::HttpOutbound(Some(wide)), Self::HttpOutbound(Some(narrow))) => wide.covers(narrow),
            (Self::WriteBlobs(own), Self::ReadBlobs(bucket)) => own == bucket,
            _ => self == other,
        }
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Documents => f.write_str("documents"),
            Self::Cache => f.write_str("cache"),
            Self::Search => f.write_str("search"),
            Self::ReadBlobs(bucket) => write!(f, "blobs:read:{bucket}"),
            Self::WriteBlobs(bucket) => write!(f, "blobs:write:{bucket}"),
            Self::View(name) => write!(f, "view:{name}"),
            Self::Events(name) => write!(f, "events:{name}"),
            Self::Published(name) => write!(f, "events:plugin.{name}"),
            Self::Publish => f.write_str("messages:publish"),
            Self::Commands(module) => write!(f, "commands:{module}"),
            Self::Requests(name) => write!(f, "requests:{name}"),
            Self::HttpOutbound(None) => f.write_str("http:outbound"),
            Self::HttpOutbound(Some(host)) => write!(f, "http:outbound:{host}"),
        }
    }
}

impl TryFrom<String> for Permission {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        let malformed = || Error::Form {
            what: "permission",
            text: text.clone(),
            expected: "documents, cache, search, blobs:read:<bucket>, blobs:write:<bucket>, \
                       view:<module>.<View>, events:<module>.<Event>, events:plugin.<component>.<Event>, \
                       messages:publish, commands:<module>, requests:<module>.<Query>, http:outbound or http:outbound:<host>",
        };
        match text.split_once(':') {
            None if text == "documents" => Ok(Self::Documents),
            None if text == "cache" => Ok(Self::Cache),
            None if text == "search" => Ok(Self::Search),
            Some(("blobs", rest)) => match rest.split_once(':') {
                Some(("read", bucket)) if is_bucket_name(bucket) => Ok(Self::ReadBlobs(bucket.to_owned())),
                Some(("write", bucket)) if is_bucket_name(bucket) => Ok(Self::WriteBlobs(bucket.to_owned())),
                _ => Err(malformed()),
            },
            Some(("view", name)) => QualifiedName::parse(name).map(Self::View).ok_or_else(malformed),
            Some(("messages", "publish")) => Ok(Self::Publish),
            Some(("commands", module)) if check_name("module", module).is_ok() => {
                Ok(Self::Commands(module.to_owned()))
            }
            Some(("requests", name)) => QualifiedName::parse(name)
                .map(Self::Requests)
                .ok_or_else(malformed),
            Some(("events", name)) if name.starts_with("plugin.") && name.matches('.').count() > 1 => {
                published_event(name).map(Self::Published).ok_or_else(malformed)
            }
            Some(("events", name)) => QualifiedName::parse(name).map(Self::Events).ok_or_else(malformed),
            Some(("http", "outbound")) => Ok(Self::HttpOutbound(None)),
            Some(("http", rest)) => {
                let host = rest.strip_prefix("outbound:").and_then(HostPattern::parse);
                host.map(|host| Self::HttpOutbound(Some(host)))
                    .ok_or_else(malformed)
            }
            _ => Err(malformed()),
        }
    }
}

impl From<Permission> for String {
    fn from(permission: Permission) -> Self {
        permission.to_string()
    }
}

/// A name of another module: `client.ClientDetail`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QualifiedName {
    /// The module it belongs to.
    pub module: String,
    /// Its name there.
    pub name: String,
}

impl QualifiedName {
    /// `None` when the text has another form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (module, name) = text.split_once('.')?;
        let well_formed = check_name("module", module).is_ok() && form::is_pascal_case(name);
        well_formed.then(|| Self {
            module: module.to_owned(),
            name: name.to_owned(),
        })
    }
}

impl fmt::Display for QualifiedName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.module, self.name)
    }
}

impl TryFrom<String> for QualifiedName {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text).ok_or(Error::Form {
            what: "name",
            text,
            expected: "<module>.<Name>, such as client.ClientDetail",
        })
    }
}

impl From<QualifiedName> for String {
    fn from(name: QualifiedName) -> Self {
        name.to_string()
    }
}
