//! What the bus has of a tenant: dead letters, what has not been delivered, and how far subscriptions are, so that nothing
//! is delivered a second time for having moved, and nothing is left behind.

use std::collections::BTreeMap;

use millwork_registry::id::TenantId;

use super::ArchiveError;
use super::lines::{CheckpointLine, Feed, MessageLine};
use super::manifest::Kind;
use super::pack::{Lines, line};
use super::unpack::Archive;
use crate::capability::messaging::bus::{Bus, Letter, Message, Published};
use crate::error::Error;
use crate::event_store::Position;

/// What is read or put down at once.
const PAGE: u32 = 256;
/// What the subjects of events that components publish begin with.
const PLUGIN: &str = "plugin";

/// The names of the checkpoints of a tenant's subscriptions.
#[derive(Debug, Default)]
pub struct Readers {
    /// Of those that read what modules record.
    pub feed: Vec<String>,
    /// Of those that read what components publish.
    pub published: Vec<String>,
}

/// Hands out what a bus has of a tenant whose feed ends at `position`.
///
/// # Errors
/// [`Error::Unavailable`] when the bus fails, [`Error::Archive`] when nobody takes what is handed out.
pub async fn pack(
    bus: &dyn Bus,
    tenant: &TenantId,
    readers: &Readers,
    position: Position,
    out: &mut dyn Lines,
) -> Result<(), Error> {
    // Checkpoints before messages: what is delivered meanwhile is delivered again.
    let mut checkpoints = Vec::new();
    for reader in &readers.feed {
        if let Some(at) = bus.checkpoint(tenant, reader).await? {
            let (reader, at, of) = (reader.clone(), at.min(position), Feed::Events);
            checkpoints.push(CheckpointLine { reader, at, of });
        }
    }
    let mut heard = BTreeMap::new();
    for reader in &readers.published {
        if let Some(at) = bus.checkpoint(tenant, reader).await? {
            heard.insert(reader.clone(), at);
        }
    }
    let mut after = 0;
    loop {
        let page = bus.letters(tenant, after, PAGE).await?;
        let Some((last, _)) = page.last() else { break };
        after = *last;
        for (_, letter) in page {
            out.line(Kind::Letters, line(&letter)?).await?;
        }
    }
    if let Some(first) = heard.values().min() {
        let (mut after, mut places) = (*first, Vec::new());
        loop {
            let page = bus.published(tenant, PLUGIN, after, PAGE).await?;
            let Some(last) = page.last() else { break };
            after = last.position;
            places.extend(page.iter().map(|message| message.position));
            put(Kind::Published, page, out).await?;
        }
        for (reader, at) in heard {
            let at = places.partition_point(|place| *place <= at) as u64;
            let of = Feed::Published;
            checkpoints.push(CheckpointLine { reader, at, of });
        }
    }
    let mut after = 0;
    loop {
        let page = bus.queued(tenant, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        put(Kind::Queue, page, out).await?;
    }
    checkpoints.sort_by(|a, b| a.reader.cmp(&b.reader));
    for checkpoint in checkpoints {
        out.line(Kind::Checkpoints, line(&checkpoint)?).await?;
    }
    Ok(())
}

async fn put(kind: Kind, page: Vec<Published>, out: &mut dyn Lines) -> Result<(), Error> {
    for Published { message, .. } in page {
        let payload = String::from_utf8(message.payload.into());
        let payload = payload.map_err(|error| Error::Unavailable(format!("{kind}: {error}")))?;
        let (id, subject) = (message.id, message.subject);
        let message = MessageLine { id, subject, payload };
        out.line(kind, line(&message)?).await?;
    }
    Ok(())
}

/// Puts all that an archive has for the bus into one, which has nothing of the tenant.
///
/// # Errors
/// [`Error::Unavailable`] when the bus fails, [`Error::Archive`] when the archive is not understood. Some of it is there
/// then.
pub async fn unpack(archive: &Archive, bus: &dyn Bus, tenant: &TenantId) -> Result<(), Error> {
    for letter in archive.lines::<Letter>(Kind::Letters) {
        bus.bury(tenant, &letter?).await?;
    }
    let mut carried = 0;
    for message in archive.lines(Kind::Published) {
        bus.publish(tenant, &[message_of(message?)]).await?;
        carried += 1;
    }
    for message in archive.lines(Kind::Queue) {
        bus.enqueue(tenant, &message_of(message?)).await?;
    }
    let places = if carried == 0 {
        Vec::new()
    } else {
        places(bus, tenant, carried).await?
    };
    for checkpoint in archive.lines::<CheckpointLine>(Kind::Checkpoints) {
        let CheckpointLine { reader, at, of } = checkpoint?;
        let at = match of {
            Feed::Events => at,
            Feed::Published => place(&places, at)?,
        };
        bus.keep_checkpoint(tenant, &reader, at).await?;
    }
    Ok(())
}

fn message_of(line: MessageLine) -> Message {
    Message {
        id: line.id,
        subject: line.subject,
        payload: line.payload.into(),
    }
}

/// Where the last `carried` published messages came to stand.
async fn places(bus: &dyn Bus, tenant: &TenantId, carried: usize) -> Result<Vec<u64>, Error> {
    let (mut after, mut places) = (0, Vec::new());
    loop {
        let page = bus.published(tenant, PLUGIN, after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        places.extend(page.iter().map(|message| message.position));
    }
    Ok(places.split_off(places.len().saturating_sub(carried)))
}

/// The place of the message number `at`; before the first it is 0.
fn place(places: &[u64], at: u64) -> Result<u64, ArchiveError> {
    let Some(index) = at.checked_sub(1) else {
        return Ok(0);
    };
    let found = usize::try_from(index).ok().and_then(|index| places.get(index));
    found
        .copied()
        .ok_or_else(|| ArchiveError::Damaged(format!("there is no published message number {at}")))
}
