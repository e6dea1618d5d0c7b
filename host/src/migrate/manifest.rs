//! What an archive says of itself: whose it is, what is in it, and the checksum of each part.

use std::collections::BTreeMap;
use std::fmt;

use millwork_registry::id::{Digest, TenantId};
use millwork_registry::key::PublicKey;
use serde::{Deserialize, Serialize};

use crate::event_store::Position;

/// The format that this host writes, and the newest that it reads.
pub const FORMAT: u32 = 1;
/// Name of the manifest, the last file but one.
pub const FILE: &str = "manifest.json";
/// Name of the file with the manifest's own checksum, the last one.
pub const SEAL: &str = "manifest.sha256";
/// Name of the file that says what the tenant runs.
pub const INSTALLATIONS: &str = "installations.json";
/// Folder of the releases.
pub const RELEASES: &str = "releases";

/// What files are about; each has a folder of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// The feed.
    Events,
    /// Accepted commands: outcomes under their idempotency keys, and the journal.
    Commands,
    /// Rejected commands, for replays.
    Rejections,
    /// Unique values and who holds them.
    Claims,
    /// Sequences.
    Numbers,
    /// Dead letters.
    Letters,
    /// Events that components published and that not all who listen have had.
    Published,
    /// Commands that components sent and that wait.
    Queue,
    /// How far subscriptions have come.
    Checkpoints,
    /// Versions of blobs: where each is, and what it holds.
    Blobs,
    /// The bytes of those versions, one after the other in the order of their lines.
    Contents,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Events,
        Self::Commands,
        Self::Rejections,
        Self::Claims,
        Self::Numbers,
        Self::Letters,
        Self::Published,
        Self::Queue,
        Self::Checkpoints,
        Self::Blobs,
        Self::Contents,
    ];

    /// Those that the event store holds.
    pub const RECORDS: [Self; 5] = [
        Self::Events,
        Self::Commands,
        Self::Rejections,
        Self::Claims,
        Self::Numbers,
    ];

    /// Those that blobs come to.
    pub const BLOBS: [Self; 2] = [Self::Blobs, Self::Contents];

    /// Its folder.
    #[must_use]
    pub fn folder(self) -> &'static str {
        match self {
            Self::Events => "events",
            Self::Commands => "commands",
            Self::Rejections => "rejections",
            Self::Claims => "claims",
            Self::Numbers => "numbers",
            Self::Letters => "letters",
            Self::Published => "published",
            Self::Queue => "queue",
            Self::Checkpoints => "checkpoints",
            Self::Blobs => "blobs",
            Self::Contents => "contents",
        }
    }

    /// Its file number `number`, from 1.
    #[must_use]
    pub fn file(self, number: usize) -> String {
        let form = match self {
            Self::Contents => "bin",
            _ => "jsonl",
        };
        format!("{}/{number:06}.{form}", self.folder())
    }

    /// How many of it a piece of its files has: lines, and of contents bytes.
    #[must_use]
    pub fn count(self, piece: &[u8]) -> u64 {
        let count = match self {
            Self::Contents => piece.len(),
            _ => piece.iter().filter(|byte| **byte == b'\n').count(),
        };
        count as u64
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.folder())
    }
}

/// How many lines there are of a kind, and the checksum over all of them in order, line feeds included.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Sum {
    /// Lines; of contents, bytes.
    pub count: u64,
    /// SHA-256.
    pub digest: Digest,
}

/// A file of the archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: u64,
    /// SHA-256.
    pub digest: Digest,
}

/// The tenant, as its host knew it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Whose {
    /// Its id there.
    pub id: TenantId,
    /// What people call it.
    pub name: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub created_at_ms: u64,
    /// Where its data was.
    pub profile: String,
}

/// A publisher whose releases the tenant runs, for those who decide whom they trust. An import trusts nobody for standing
/// here.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Publisher {
    /// The name.
    pub publisher: String,
    /// The key.
    pub key: PublicKey,
}

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Manifest {
    /// See [`FORMAT`].
    pub format: u32,
    /// Version of the host that wrote it.
    pub host: String,
    /// Milliseconds since 1970-01-01T00:00:00Z.
    pub exported_at_ms: u64,
    /// Whose it is.
    pub tenant: Whose,
    /// The tenant's generation there.
    pub generation: u64,
    /// Whether the tenant was closed, so that nothing came after what is in here.
    pub frozen: bool,
    /// The last position of the feed in here.
    pub position: Position,
    /// What is in here, by kind.
    pub contents: BTreeMap<Kind, Sum>,
    /// Whom an import must trust.
    pub publishers: Vec<Publisher>,
    /// Every other file but the seal, in order.
    pub parts: Vec<Part>,
}
