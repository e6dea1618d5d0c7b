//! The lines of an archive: one JSON object for each thing. Data of components stands in texts, byte for byte, so that no
//! number in it changes on the way.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ArchiveError;
use crate::event_store::portable::{Accepted, Holding, Rejected};
use crate::event_store::{Journalled, Origin, Position, Recorded, Subject};

/// An event.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct EventLine {
    position: Position,
    id: String,
    of: Subject,
    version: u64,
    name: String,
    recorded_at: u64,
    origin: Arc<Origin>,
    data: Arc<str>,
}

impl From<Recorded> for EventLine {
    fn from(event: Recorded) -> Self {
        Self {
            position: event.position,
            id: event.id,
            of: event.of,
            version: event.version,
            name: event.name,
            recorded_at: event.recorded_at,
            origin: event.origin,
            data: event.data,
        }
    }
}

impl From<EventLine> for Recorded {
    fn from(line: EventLine) -> Self {
        Self {
            position: line.position,
            id: line.id,
            of: line.of,
            version: line.version,
            name: line.name,
            recorded_at: line.recorded_at,
            origin: line.origin,
            data: line.data,
        }
    }
}

/// A command with its whole input.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Command {
    id: String,
    /// Hexadecimal.
    fingerprint: String,
    name: String,
    target: Subject,
    release: Arc<str>,
    decided_at: u64,
    origin: Arc<Origin>,
    input: Arc<str>,
}

impl Command {
    fn of(command: Journalled, origin: Arc<Origin>) -> Self {
        Self {
            id: command.id,
            fingerprint: hex::encode(command.fingerprint),
            name: command.name,
            target: command.target,
            release: command.release,
            decided_at: command.decided_at,
            origin,
            input: command.input,
        }
    }

    fn into_parts(self) -> Result<(Journalled, Arc<Origin>), ArchiveError> {
        let mut fingerprint = [0; 32];
        hex::decode_to_slice(&self.fingerprint, &mut fingerprint).map_err(|error| {
            ArchiveError::Damaged(format!("the fingerprint of command {:?}: {error}", self.id))
        })?;
        let command = Journalled {
            id: self.id,
            fingerprint,
            name: self.name,
            target: self.target,
            release: self.release,
            input: self.input,
            decided_at: self.decided_at,
        };
        Ok((command, self.origin))
    }
}

/// An accepted command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CommandLine {
    before: Position,
    position: Position,
    version: u64,
    command: Command,
}

impl From<Accepted> for CommandLine {
    fn from(accepted: Accepted) -> Self {
        Self {
            before: accepted.before,
            position: accepted.position,
            version: accepted.version,
            command: Command::of(accepted.command, accepted.origin),
        }
    }
}

impl CommandLine {
    /// As it was accepted, without a key.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`].
    pub fn into_accepted(self) -> Result<Accepted, ArchiveError> {
        let (command, origin) = self.command.into_parts()?;
        Ok(Accepted {
            key: 0,
            command,
            origin,
            before: self.before,
            position: self.position,
            version: self.version,
        })
    }
}

/// A rejected command.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct RejectionLine {
    command: Command,
    rejection: String,
}

impl From<Rejected> for RejectionLine {
    fn from(rejected: Rejected) -> Self {
        Self {
            command: Command::of(rejected.command, rejected.origin),
            rejection: rejected.rejection,
        }
    }
}

impl RejectionLine {
    /// As it was rejected, without a key.
    ///
    /// # Errors
    /// [`ArchiveError::Damaged`].
    pub fn into_rejected(self) -> Result<Rejected, ArchiveError> {
        let (command, origin) = self.command.into_parts()?;
        Ok(Rejected {
            key: 0,
            command,
            origin,
            rejection: self.rejection,
        })
    }
}

/// A claim.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct ClaimLine {
    name: String,
    value: String,
    holder: Subject,
}

/// A sequence.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct NumberLine {
    module: String,
    name: String,
    last: u64,
}

/// What a tenant holds, as a line.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum HoldingLine {
    /// A claim.
    Claim(ClaimLine),
    /// A sequence.
    Number(NumberLine),
}

impl From<Holding> for HoldingLine {
    fn from(holding: Holding) -> Self {
        match holding {
            Holding::Claim { holder, name, value } => Self::Claim(ClaimLine { name, value, holder }),
            Holding::Sequence { module, name, last } => Self::Number(NumberLine { module, name, last }),
        }
    }
}

impl From<ClaimLine> for Holding {
    fn from(line: ClaimLine) -> Self {
        Self::Claim {
            holder: line.holder,
            name: line.name,
            value: line.value,
        }
    }
}

impl From<NumberLine> for Holding {
    fn from(line: NumberLine) -> Self {
        Self::Sequence {
            module: line.module,
            name: line.name,
            last: line.last,
        }
    }
}

/// A message of the bus. Its place is that of the line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct MessageLine {
    /// See [`crate::capability::messaging::bus::Message::id`].
    pub id: String,
    /// See there.
    pub subject: String,
    /// JSON text.
    pub payload: String,
}

/// A version of a blob. Its bytes are the next ones of the contents.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct BlobLine {
    /// The module that owns its bucket.
    pub module: String,
    /// The bucket.
    pub bucket: String,
    /// Its key there.
    pub key: String,
    /// See [`crate::capability::blobs::Content`].
    pub media_type: String,
    /// Its size.
    pub bytes: u64,
    /// 64 lowercase hexadecimal digits.
    pub sha256: String,
}

/// How far a subscription has come.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct CheckpointLine {
    /// Its name.
    pub reader: String,
    /// The position of the feed, or how many messages of the folder `published` it has had.
    pub at: u64,
    /// Which of both.
    pub of: Feed,
}

/// What a subscription reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Feed {
    /// What modules have recorded.
    Events,
    /// What components have published.
    Published,
}
